//! Pictures, films, sounds, documents and stickers, by link or by the provider's id.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::check::{Checked, Flaw, InvalidContent, Place};
use super::texts::texts;
use super::{ContentKind, MediaRef};

/// A media message.
///
/// Source: Meta, Image, Video, Audio, Document and Sticker messages, read December 2025.
///
/// ```
/// use wa_core::model::{Media, MediaKind, MediaRef};
/// let menu = Media::new(MediaKind::Document, MediaRef::link("https://example.org/menu.pdf"))?
///     .with_filename("menu.pdf")?
///     .with_caption("Today's menu")?;
/// assert_eq!(menu.caption(), Some("Today's menu"));
/// let sticker = Media::new(MediaKind::Sticker, MediaRef::id("2871834006348767"))?;
/// assert!(sticker.with_caption("no").is_err());
/// # Ok::<(), wa_core::model::InvalidContent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawMedia", into = "RawMedia")]
pub struct Media {
    kind: MediaKind,
    source: MediaRef,
    caption: Option<String>,
    filename: Option<String>,
    voice: bool,
}

/// The kinds of media.
///
/// Exhaustive on purpose: each has fields of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// JPEG or PNG of at most 5 MB; may have a caption.
    Image,
    /// MP4 or 3GP of at most 16 MB; may have a caption.
    Video,
    /// At most 16 MB; may be shown as a voice message.
    Audio,
    /// At most 100 MB; may have a caption and a file name.
    Document,
    /// WebP, at most 100 KB, or 500 KB when it moves.
    Sticker,
}

#[derive(Serialize, Deserialize)]
struct RawMedia {
    kind: MediaKind,
    source: MediaRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caption: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    voice: bool,
}

impl Media {
    /// The most characters of a caption.
    pub const MAX_CAPTION: usize = 1_024;
    /// The most characters of a file name. Unconfirmed: what file systems take; Meta names no limit.
    pub const MAX_FILENAME: usize = 255;

    /// A medium without caption.
    ///
    /// # Errors
    /// When the id is empty or the link is no http or https link.
    pub fn new(kind: MediaKind, source: MediaRef) -> Result<Self, InvalidContent> {
        Self { kind, source, caption: None, filename: None, voice: false }.checked()
    }

    /// Puts a text of 1 to 1,024 characters under an image, a video or a document.
    ///
    /// # Errors
    /// When the text is blank or too long, or the kind has no caption.
    pub fn with_caption(mut self, caption: impl Into<String>) -> Result<Self, InvalidContent> {
        self.caption = Some(caption.into());
        self.checked()
    }

    /// Names a document's file; its extension decides which symbol is shown.
    ///
    /// # Errors
    /// When the name is blank or has over 255 characters, or the kind shows none.
    pub fn with_filename(mut self, filename: impl Into<String>) -> Result<Self, InvalidContent> {
        self.filename = Some(filename.into());
        self.checked()
    }

    /// Shows an audio file (OGG with OPUS) as a voice message, with a `played` status to follow.
    ///
    /// # Errors
    /// When it is not an audio file.
    pub fn as_voice(mut self) -> Result<Self, InvalidContent> {
        self.voice = true;
        self.checked()
    }

    /// What kind of medium it is.
    #[must_use]
    pub const fn kind(&self) -> MediaKind {
        self.kind
    }

    /// Where it comes from.
    #[must_use]
    pub const fn source(&self) -> &MediaRef {
        &self.source
    }

    /// The text under it.
    #[must_use]
    pub fn caption(&self) -> Option<&str> {
        self.caption.as_deref()
    }

    /// The file name that is shown.
    #[must_use]
    pub fn filename(&self) -> Option<&str> {
        self.filename.as_deref()
    }

    /// Whether it is shown as a voice message.
    #[must_use]
    pub const fn is_voice(&self) -> bool {
        self.voice
    }

    fn checked(self) -> Result<Self, InvalidContent> {
        self.check().map(|()| self)
    }

    pub(super) fn check(&self) -> Checked {
        let Self { kind, source, caption, filename, voice } = self;
        let at = Place::root(kind.as_str());
        source.check(&at)?;
        let (has_caption, has_filename, has_voice) = match kind {
            MediaKind::Image | MediaKind::Video => (true, false, false),
            MediaKind::Audio => (false, false, true),
            MediaKind::Document => (true, true, false),
            MediaKind::Sticker => (false, false, false),
        };
        at.field("caption").must(caption.is_none() || has_caption, Flaw::NotPossible)?;
        at.field("filename").must(filename.is_none() || has_filename, Flaw::NotPossible)?;
        at.field("voice").must(!voice || has_voice, Flaw::NotPossible)?;
        at.field("caption").optional(caption.as_ref(), Self::MAX_CAPTION)?;
        at.field("filename").optional(filename.as_ref(), Self::MAX_FILENAME)
    }
}

texts!(Media { source, caption, filename } keep { kind, voice });

impl MediaKind {
    /// The name, as Meta's `type` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.content_kind().as_str()
    }

    pub(super) const fn content_kind(self) -> ContentKind {
        match self {
            Self::Image => ContentKind::Image,
            Self::Video => ContentKind::Video,
            Self::Audio => ContentKind::Audio,
            Self::Document => ContentKind::Document,
            Self::Sticker => ContentKind::Sticker,
        }
    }
}

impl TryFrom<RawMedia> for Media {
    type Error = InvalidContent;
    fn try_from(raw: RawMedia) -> Result<Self, InvalidContent> {
        let RawMedia { kind, source, caption, filename, voice } = raw;
        Self { kind, source, caption, filename, voice }.checked()
    }
}

impl From<Media> for RawMedia {
    fn from(media: Media) -> Self {
        let Media { kind, source, caption, filename, voice } = media;
        Self { kind, source, caption, filename, voice }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({})", self.kind.as_str())
    }
}
