//! What stands above the body of an interactive message.

use serde::{Deserialize, Serialize};

use crate::model::content::MediaRef;
use crate::model::content::check::{Checked, Place, hidden};
use crate::model::content::texts::{Fill, Texts};

/// The header of an interactive message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Header {
    /// A text of 1 to 60 characters.
    Text {
        /// The text.
        text: String,
        /// A smaller text below it, 1 to 60 characters, where the client shows one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sub_text: Option<String>,
    },
    /// An image.
    Image {
        /// Where it comes from.
        source: MediaRef,
    },
    /// A video.
    Video {
        /// Where it comes from.
        source: MediaRef,
    },
    /// A document.
    Document {
        /// Where it comes from.
        source: MediaRef,
        /// The file name that is shown, 1 to 255 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
    },
}

impl Header {
    /// The most characters of a text.
    pub const MAX_CHARS: usize = 60;

    /// A text header.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), sub_text: None }
    }

    /// An image header.
    #[must_use]
    pub const fn image(source: MediaRef) -> Self {
        Self::Image { source }
    }

    /// A video header.
    #[must_use]
    pub const fn video(source: MediaRef) -> Self {
        Self::Video { source }
    }

    pub(super) const fn is_text(&self) -> bool {
        match self {
            Self::Text { .. } => true,
            Self::Image { .. } | Self::Video { .. } | Self::Document { .. } => false,
        }
    }

    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        match self {
            Self::Text { text, sub_text } => {
                at.field("text").text(text, Self::MAX_CHARS)?;
                at.field("sub_text").optional(sub_text.as_ref(), Self::MAX_CHARS)
            }
            Self::Image { source } => source.check(&at.field("image")),
            Self::Video { source } => source.check(&at.field("video")),
            Self::Document { source, filename } => {
                let at = at.field("document");
                source.check(&at)?;
                at.field("filename").optional(filename.as_ref(), 255)
            }
        }
    }
}

impl Texts for Header {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Text { text, sub_text } => {
                Self::Text { text: text.map_texts(fill)?, sub_text: sub_text.map_texts(fill)? }
            }
            Self::Image { source } => Self::Image { source: source.map_texts(fill)? },
            Self::Video { source } => Self::Video { source: source.map_texts(fill)? },
            Self::Document { source, filename } => {
                Self::Document { source: source.map_texts(fill)?, filename: filename.map_texts(fill)? }
            }
        })
    }
}

hidden!(Header);
