//! What an inbound message holds: the kinds, and for each what an application needs of it.
//!
//! Bodies are personal data: their `Debug` shows the kind and nothing else.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::message::names;

/// The kinds of inbound messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboundKind {
    /// Text.
    Text,
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound file.
    Audio,
    /// A voice message.
    Voice,
    /// A file.
    Document,
    /// A sticker.
    Sticker,
    /// A place.
    Location,
    /// Contact cards.
    Contacts,
    /// A reaction to a message, or its removal.
    Reaction,
    /// A quick reply button of a template.
    Button,
    /// A reply button of an interactive message.
    InteractiveButton,
    /// A row of a list.
    InteractiveList,
    /// A form that was filled in.
    Flow,
    /// An answer to the question whether the business may call.
    CallPermissionReply,
    /// A call by the user, answered or not.
    Call,
    /// An order from the catalogue.
    Order,
    /// A changed text of an earlier message.
    Edit,
    /// A deletion of an earlier message.
    Revoke,
    /// Something that the provider does not pass on.
    Unsupported,
    /// Anything else that a user can send; the raw body has the rest.
    Other,
}

names!(InboundKind {
    Text = "text",
    Image = "image",
    Video = "video",
    Audio = "audio",
    Voice = "voice",
    Document = "document",
    Sticker = "sticker",
    Location = "location",
    Contacts = "contacts",
    Reaction = "reaction",
    Button = "button",
    InteractiveButton = "interactive_button",
    InteractiveList = "interactive_list",
    Flow = "flow",
    CallPermissionReply = "call_permission_reply",
    Call = "call",
    Order = "order",
    Edit = "edit",
    Revoke = "revoke",
    Unsupported = "unsupported",
    Other = "other",
});

/// What an inbound message, or an echo, holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboundBody {
    /// Text.
    Text {
        /// What was written.
        body: String,
    },
    /// A picture.
    Image(InboundMedia),
    /// A film.
    Video(InboundMedia),
    /// A sound file.
    Audio(InboundMedia),
    /// A voice message.
    Voice(InboundMedia),
    /// A file.
    Document(InboundMedia),
    /// A sticker.
    Sticker(InboundMedia),
    /// A place.
    Location(InboundLocation),
    /// Contact cards.
    Contacts {
        /// The list of cards, as the provider wrote it.
        cards: JsonText,
    },
    /// A reaction to a message.
    Reaction {
        /// The provider's id of that message.
        target: String,
        /// The emoji; `None` takes the reaction back.
        emoji: Option<String>,
    },
    /// A quick reply button of a template.
    Button {
        /// Its label.
        text: String,
        /// What the sender attached to it.
        payload: Option<String>,
    },
    /// A reply button of an interactive message.
    InteractiveButton {
        /// What the sender attached to it.
        id: String,
        /// Its label.
        title: String,
    },
    /// A row of a list.
    InteractiveList {
        /// What the sender attached to it.
        id: String,
        /// Its label.
        title: String,
        /// What stood below it.
        description: Option<String>,
    },
    /// A form that was filled in.
    Flow {
        /// What the provider calls it.
        name: Option<String>,
        /// What the user saw as sent.
        body: Option<String>,
        /// The answers: the JSON text that the form gave.
        response: JsonText,
    },
    /// An answer to the question whether the business may call.
    CallPermissionReply {
        /// Whether it may.
        granted: bool,
        /// Until when, if it is not for good.
        expires_at: Option<DateTime<Utc>>,
        /// What brought the answer about, such as `user_action`, as written.
        source: Option<String>,
    },
    /// The user called, whether or not anybody answered. It opens the window as a message does.
    ///
    /// Source: Meta, Customer service windows, read May 2026: the window opens when the user messages or calls.
    Call,
    /// An order from the catalogue.
    Order {
        /// The catalogue.
        catalog: Option<String>,
        /// What the user wrote with it.
        text: Option<String>,
        /// The list of products, as the provider wrote it.
        items: JsonText,
    },
    /// A changed text of an earlier message.
    Edit {
        /// The provider's id of the message.
        target: String,
        /// What it holds now; never itself an edit.
        body: Box<InboundBody>,
    },
    /// A deletion of an earlier message.
    Revoke {
        /// The provider's id of the message.
        target: String,
    },
    /// Something that the provider does not pass on.
    Unsupported {
        /// What it was, where the provider says so.
        name: Option<String>,
        /// The provider's error code.
        code: Option<i64>,
        /// The provider's title of the error.
        title: Option<String>,
    },
    /// Anything else; the raw body has the rest.
    Other {
        /// The provider's name for it.
        name: String,
    },
}

/// A file that a user sent. To be fetched soon: ids live for days, addresses for minutes.
///
/// Source: Meta, Media, read December 2025: inbound ids live 7 days, URLs 5 minutes.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundMedia {
    /// The provider's id of the file.
    pub id: String,
    /// Its type, such as `image/jpeg`.
    pub mime_type: Option<String>,
    /// The digest of its bytes, base64, as written.
    pub sha256: Option<String>,
    /// Where it is for a few minutes; needs the access token.
    pub url: Option<String>,
    /// What the user wrote below it.
    pub caption: Option<String>,
    /// What the file was called.
    pub filename: Option<String>,
    /// Whether a sticker moves.
    pub animated: bool,
}

/// A place that a user sent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundLocation {
    /// Degrees north, decimal, as written.
    pub latitude: String,
    /// Degrees east, decimal, as written.
    pub longitude: String,
    /// What the place is called.
    pub name: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// A page about it.
    pub url: Option<String>,
}

/// A part of a body as JSON text. Its `Debug` tells the length only.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(String);

impl JsonText {
    /// Takes text that an adapter wrote as JSON, or found to be marked so by its provider.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl InboundBody {
    /// A text.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text { body: body.into() }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> InboundKind {
        match self {
            Self::Text { .. } => InboundKind::Text,
            Self::Image(_) => InboundKind::Image,
            Self::Video(_) => InboundKind::Video,
            Self::Audio(_) => InboundKind::Audio,
            Self::Voice(_) => InboundKind::Voice,
            Self::Document(_) => InboundKind::Document,
            Self::Sticker(_) => InboundKind::Sticker,
            Self::Location(_) => InboundKind::Location,
            Self::Contacts { .. } => InboundKind::Contacts,
            Self::Reaction { .. } => InboundKind::Reaction,
            Self::Button { .. } => InboundKind::Button,
            Self::InteractiveButton { .. } => InboundKind::InteractiveButton,
            Self::InteractiveList { .. } => InboundKind::InteractiveList,
            Self::Flow { .. } => InboundKind::Flow,
            Self::CallPermissionReply { .. } => InboundKind::CallPermissionReply,
            Self::Call => InboundKind::Call,
            Self::Order { .. } => InboundKind::Order,
            Self::Edit { .. } => InboundKind::Edit,
            Self::Revoke { .. } => InboundKind::Revoke,
            Self::Unsupported { .. } => InboundKind::Unsupported,
            Self::Other { .. } => InboundKind::Other,
        }
    }

    /// What was said in words: a text, or the label of a button that stands for one. It may be a stop word.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Text { body } => Some(body),
            Self::Button { text, payload: _ } => Some(text),
            Self::InteractiveButton { id: _, title } => Some(title),
            Self::Image(_)
            | Self::Video(_)
            | Self::Audio(_)
            | Self::Voice(_)
            | Self::Document(_)
            | Self::Sticker(_)
            | Self::Location(_)
            | Self::Contacts { .. }
            | Self::Reaction { .. }
            | Self::InteractiveList { .. }
            | Self::Flow { .. }
            | Self::CallPermissionReply { .. }
            | Self::Call
            | Self::Order { .. }
            | Self::Edit { .. }
            | Self::Revoke { .. }
            | Self::Unsupported { .. }
            | Self::Other { .. } => None,
        }
    }
}

impl fmt::Debug for InboundBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InboundBody({})", self.kind().as_str())
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

impl fmt::Debug for InboundMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMedia").field("mime_type", &self.mime_type).finish_non_exhaustive()
    }
}

impl fmt::Debug for InboundLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundLocation").finish_non_exhaustive()
    }
}
