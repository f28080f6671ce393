//! A reaction to a message, or its removal.

use serde::{Deserialize, Serialize};

use super::check::{Checked, Flaw, InvalidContent, Place, hidden};
use super::texts::texts;
use crate::model::ProviderMessageId;

/// A reaction to one message.
///
/// Source: Meta, Reaction messages, read December 2025: an empty emoji removes the reaction; a
/// message of over 30 days or one that is a reaction itself cannot be reacted to.
///
/// ```
/// use wa_core::model::Reaction;
/// let reaction = Reaction::set("wamid.HBgL".parse()?, "👍")?;
/// assert_eq!(reaction.emoji(), Some("👍"));
/// assert_eq!(Reaction::remove("wamid.HBgL".parse()?).emoji(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawReaction", into = "RawReaction")]
pub struct Reaction {
    message_id: String,
    emoji: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RawReaction {
    message_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emoji: Option<String>,
}

impl Reaction {
    /// The most code points of an emoji: the longest sequences have fewer.
    const MAX_CHARS: usize = 32;

    /// Reacts to a message with one emoji.
    ///
    /// # Errors
    /// When the emoji is blank, too long, or plain letters.
    pub fn set(message: ProviderMessageId, emoji: impl Into<String>) -> Result<Self, InvalidContent> {
        Self { message_id: message.into(), emoji: Some(emoji.into()) }.checked()
    }

    /// Takes the reaction to a message back.
    #[must_use]
    pub fn remove(message: ProviderMessageId) -> Self {
        Self { message_id: message.into(), emoji: None }
    }

    /// The provider's id of the message that is reacted to.
    #[must_use]
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The emoji; `None` takes the reaction back.
    #[must_use]
    pub fn emoji(&self) -> Option<&str> {
        self.emoji.as_deref()
    }

    fn checked(self) -> Result<Self, InvalidContent> {
        self.check().map(|()| self)
    }

    pub(super) fn check(&self) -> Checked {
        let Self { message_id, emoji } = self;
        let at = Place::root("reaction");
        let is_id = message_id.parse::<ProviderMessageId>().is_ok();
        at.field("message_id").must(is_id, Flaw::Form("a provider's message id"))?;
        let Some(emoji) = emoji else { return Ok(()) };
        let at = at.field("emoji");
        at.text(emoji, Self::MAX_CHARS)?;
        let is_emoji = !emoji.is_ascii() && !emoji.contains(|c: char| c.is_whitespace() || c.is_alphabetic());
        at.must(is_emoji, Flaw::Form("an emoji"))
    }
}

texts!(Reaction { message_id, emoji });

impl TryFrom<RawReaction> for Reaction {
    type Error = InvalidContent;
    fn try_from(raw: RawReaction) -> Result<Self, InvalidContent> {
        let RawReaction { message_id, emoji } = raw;
        Self { message_id, emoji }.checked()
    }
}

impl From<Reaction> for RawReaction {
    fn from(reaction: Reaction) -> Self {
        let Reaction { message_id, emoji } = reaction;
        Self { message_id, emoji }
    }
}

hidden!(Reaction);
