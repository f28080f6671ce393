//! Plain text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::texts::texts;

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
        let text = Self { body: body.into(), preview_url: false };
        text.check().map(|()| text)
    }

    pub(super) fn check(&self) -> Result<(), TextError> {
        if self.body.trim().is_empty() {
            return Err(TextError::Empty);
        }
        let chars = self.body.chars().count();
        if chars > Self::MAX_CHARS { Err(TextError::TooLong(chars)) } else { Ok(()) }
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

texts!(Text { body } keep { preview_url });

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
