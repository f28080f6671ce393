//! What a message says: text or an approved template.
//!
//! Invariant: content that exists keeps the provider's documented length limits.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::template::TemplateContent;

/// The content of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Free-form text: needs an open 24-hour window.
    Text(Text),
    /// An approved template: may open a conversation.
    Template(TemplateContent),
}

/// The billing category of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Offers and news.
    Marketing,
    /// About an order, an account, an appointment.
    Utility,
    /// One-time codes.
    Authentication,
    /// Free-form messages inside the window.
    Service,
}

/// A text body of 1 to 4,096 characters.
///
/// Source: Meta, Text messages, read December 2025.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawText", into = "RawText")]
pub struct Text {
    body: String,
    preview_url: bool,
}

#[derive(Serialize, Deserialize)]
struct RawText {
    body: String,
    #[serde(default)]
    preview_url: bool,
}

/// Why a text cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// More than 4,096 characters.
    #[error("the text has {0} characters; at most 4096 are allowed")]
    TooLong(usize),
}

impl Text {
    /// The most characters of a text body.
    pub const MAX_CHARS: usize = 4_096;

    /// Makes a text body without link preview.
    ///
    /// # Errors
    /// When the text is blank or longer than [`Text::MAX_CHARS`].
    pub fn new(body: impl Into<String>) -> Result<Self, TextError> {
        let body = body.into();
        if body.trim().is_empty() {
            return Err(TextError::Empty);
        }
        let chars = body.chars().count();
        if chars > Self::MAX_CHARS {
            return Err(TextError::TooLong(chars));
        }
        Ok(Self { body, preview_url: false })
    }

    /// Asks for a preview of the first link.
    #[must_use]
    pub fn with_preview(mut self) -> Self {
        self.preview_url = true;
        self
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Whether the first link is previewed.
    #[must_use]
    pub const fn preview_url(&self) -> bool {
        self.preview_url
    }
}

impl TryFrom<RawText> for Text {
    type Error = TextError;
    fn try_from(raw: RawText) -> Result<Self, TextError> {
        let text = Self::new(raw.body)?;
        Ok(if raw.preview_url { text.with_preview() } else { text })
    }
}

impl From<Text> for RawText {
    fn from(text: Text) -> Self {
        Self { body: text.body, preview_url: text.preview_url }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text(len={})", self.body.chars().count())
    }
}

impl Content {
    /// Makes a plain text message.
    ///
    /// # Errors
    /// As [`Text::new`].
    pub fn text(body: impl Into<String>) -> Result<Self, TextError> {
        Text::new(body).map(Self::Text)
    }

    /// Whether the provider only takes this content inside an open 24-hour window.
    #[must_use]
    pub const fn needs_window(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Template(_) => false,
        }
    }

    /// The billing category.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::Text(_) => Category::Service,
            Self::Template(template) => template.category,
        }
    }
}

impl Category {
    /// The lower-case name, as in Meta's `pricing.category`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::Service => "service",
        }
    }

    /// The category with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Marketing, Self::Utility, Self::Authentication, Self::Service]
            .into_iter()
            .find(|category| category.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_the_documented_limits() {
        assert_eq!(Text::new(" \n"), Err(TextError::Empty));
        assert!(Text::new("ä".repeat(4_096)).is_ok());
        assert_eq!(Text::new("ä".repeat(4_097)), Err(TextError::TooLong(4_097)));
    }

    #[test]
    fn a_stored_text_is_checked_again() {
        assert!(serde_json::from_str::<Text>(r#"{"body":""}"#).is_err());
        let text: Text = serde_json::from_str(r#"{"body":"hi"}"#).expect("a text");
        assert_eq!(format!("{text:?}"), "Text(len=2)");
    }
}
