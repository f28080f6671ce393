//! What a message says.
//!
//! Invariant: content that exists keeps the provider's documented limits; what is stored is checked
//! again when it is read. A template is checked by [`Content::validate`], which every service calls.
//! `Debug` shows the kind and never what is said.
//!
//! Not here: what reaches whom when. That is decided by the rules.

pub(crate) mod check;
mod contacts;
pub mod interactive;
mod json;
mod kind;
mod location;
mod media;
mod media_ref;
mod reaction;
mod text;
pub(crate) mod texts;

use serde::{Deserialize, Serialize};

pub use check::{Flaw, InvalidContent};
pub use contacts::{
    CardAddress, CardEmail, CardName, CardOrg, CardPhone, CardUrl, ContactCard, ContactCards,
};
pub use interactive::Interactive;
pub use json::JsonObject;
pub(super) use json::map_value;
pub use kind::{ContentKind, ContentKinds};
pub use location::Location;
pub(super) use location::is_degrees;
pub use media::{Media, MediaKind};
pub use media_ref::MediaRef;
pub use reaction::Reaction;
pub use text::{Text, TextError};

use super::campaign::ContentError;
use super::template::TemplateContent;
use texts::{Fill, Texts};

/// The content of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Free-form text: needs an open 24-hour window, as all kinds but templates.
    Text(Text),
    /// An approved template: may open a conversation.
    Template(TemplateContent),
    /// An image, video, audio file, document or sticker.
    Media(Media),
    /// A place.
    Location(Location),
    /// Contact cards.
    Contacts(ContactCards),
    /// Something to tap.
    Interactive(Interactive),
    /// A reaction to a message.
    Reaction(Reaction),
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

impl Content {
    /// Makes a plain text message.
    ///
    /// # Errors
    /// As [`Text::new`].
    pub fn text(body: impl Into<String>) -> Result<Self, TextError> {
        Text::new(body).map(Self::Text)
    }

    /// What kind of message it is.
    #[must_use]
    pub fn kind(&self) -> ContentKind {
        match self {
            Self::Text(_) => ContentKind::Text,
            Self::Template(_) => ContentKind::Template,
            Self::Media(media) => media.kind().content_kind(),
            Self::Location(_) => ContentKind::Location,
            Self::Contacts(_) => ContentKind::Contacts,
            Self::Interactive(interactive) => interactive.kind(),
            Self::Reaction(_) => ContentKind::Reaction,
        }
    }

    /// The template, if it is one.
    #[must_use]
    pub const fn template(&self) -> Option<&TemplateContent> {
        match self {
            Self::Template(template) => Some(template),
            Self::Text(_)
            | Self::Media(_)
            | Self::Location(_)
            | Self::Contacts(_)
            | Self::Interactive(_)
            | Self::Reaction(_) => None,
        }
    }

    /// Whether the provider only takes this content inside an open 24-hour window.
    #[must_use]
    pub const fn needs_window(&self) -> bool {
        self.template().is_none()
    }

    /// The billing category.
    #[must_use]
    pub fn category(&self) -> Category {
        self.template().map_or(Category::Service, |template| template.category)
    }

    /// Whether it may quote a message.
    ///
    /// Source: Meta, Contextual replies, read December 2025: reactions may not.
    #[must_use]
    pub const fn may_quote(&self) -> bool {
        !matches!(self, Self::Reaction(_))
    }

    /// Checks what the provider is documented to refuse.
    ///
    /// Every kind but a template is checked when it is made, and passes.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ContentError> {
        match self {
            Self::Text(text) => Ok(text.check()?),
            Self::Template(template) => Ok(template.validate()?),
            Self::Media(media) => Ok(media.check()?),
            Self::Location(location) => Ok(location.check()?),
            Self::Contacts(cards) => Ok(cards.check()?),
            Self::Interactive(interactive) => Ok(interactive.check()?),
            Self::Reaction(reaction) => Ok(reaction.check()?),
        }
    }
}

/// What comes out may break a limit: whoever changes a text validates.
impl Texts for Content {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Text(text) => Self::Text(text.map_texts(fill)?),
            Self::Template(template) => Self::Template(template.map_texts(fill)?),
            Self::Media(media) => Self::Media(media.map_texts(fill)?),
            Self::Location(location) => Self::Location(location.map_texts(fill)?),
            Self::Contacts(cards) => Self::Contacts(cards.map_texts(fill)?),
            Self::Interactive(interactive) => Self::Interactive(interactive.map_texts(fill)?),
            Self::Reaction(reaction) => Self::Reaction(reaction.map_texts(fill)?),
        })
    }
}

macro_rules! from_part {
    ($($part:ident => $variant:ident),* $(,)?) => {
        $(impl From<$part> for Content {
            fn from(part: $part) -> Self {
                Self::$variant(part)
            }
        })*
    };
}

from_part! {
    Text => Text,
    TemplateContent => Template,
    Media => Media,
    Location => Location,
    ContactCards => Contacts,
    Interactive => Interactive,
    Reaction => Reaction,
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
mod tests;
