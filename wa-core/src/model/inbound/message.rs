//! Messages that come in, and messages that a person typed on the business's own phone.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::body::{InboundBody, InboundKind};
use crate::model::recipient::{Bsuid, Recipient};
use crate::model::session::NumberId;

/// A message that a user wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// The number that got it.
    pub number: NumberId,
    /// The provider's message id.
    pub provider_id: String,
    /// Who wrote it.
    pub from: Recipient,
    /// The id that the user has with all businesses of the same parent.
    pub parent: Option<Bsuid>,
    /// The profile name, if the user shows one.
    pub profile_name: Option<String>,
    /// The user name, if the user has one.
    pub username: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What it holds.
    pub body: InboundBody,
    /// What it refers to.
    pub context: Option<InboundContext>,
    /// The advertisement that brought the user here.
    pub referral: Option<Referral>,
    /// The group that it was written in; `None` when it was written to the number alone.
    pub group: Option<String>,
    /// Whether another program of the business is answering at present, so that a reply by itself
    /// would cut in on it.
    pub standby: bool,
}

/// What a message refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundContext {
    /// The provider's id of the message that it answers.
    pub quoted: Option<String>,
    /// Whether it was passed on.
    pub forwarded: bool,
    /// Whether it was passed on many times.
    pub frequently_forwarded: bool,
    /// The product that it asks about.
    pub product: Option<ReferredProduct>,
}

/// A product of a catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferredProduct {
    /// The catalogue.
    pub catalog: Option<String>,
    /// The product in it.
    pub product: Option<String>,
}

/// The advertisement or post that brought a user here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// The provider's id of the advertisement or post.
    pub source_id: Option<String>,
    /// What it is, such as `ad` or `post`, as written.
    pub source_type: Option<String>,
    /// Where it is.
    pub source_url: Option<String>,
    /// Its headline.
    pub headline: Option<String>,
    /// Its text.
    pub body: Option<String>,
    /// The id of the click, to be reported back to the advertising platform.
    pub ctwa_clid: Option<String>,
}

/// A message that a person typed on the business's own phone.
///
/// It counts to the throughput and belongs in the conversation, and never opens a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// The number that it was sent from.
    pub number: NumberId,
    /// The provider's message id.
    pub provider_id: String,
    /// Who it went to, where the provider says so.
    pub to: Option<Recipient>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What it holds; an edit or a revoke names the earlier message.
    pub body: InboundBody,
}

impl InboundMessage {
    /// A message with no more than a body; the other fields are set by hand.
    ///
    /// ```
    /// use wa_core::model::{InboundBody, InboundKind, InboundMessage, Phone, from_micros};
    /// let from = Phone::parse("+4915112345678", None)?;
    /// let at = from_micros(1_700_000_000_000_000);
    /// let message = InboundMessage::new("1".parse()?, "wamid.1", from, at, InboundBody::text("STOP"));
    /// assert_eq!((message.kind(), message.text()), (InboundKind::Text, Some("STOP")));
    /// assert!(message.opens_window());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(
        number: NumberId,
        provider_id: impl Into<String>,
        from: impl Into<Recipient>,
        at: DateTime<Utc>,
        body: InboundBody,
    ) -> Self {
        Self {
            number,
            provider_id: provider_id.into(),
            from: from.into(),
            parent: None,
            profile_name: None,
            username: None,
            at,
            body,
            context: None,
            referral: None,
            group: None,
            standby: false,
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> InboundKind {
        self.body.kind()
    }

    /// What the user said in words: a text message, or the label of a quick reply, which may be a stop word.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.body.said()
    }

    /// Whether it opens the 24-hour window of its author.
    ///
    /// An edit or a deletion is no message of its own, and one written in a group opens the group's
    /// window, not that of its author.
    ///
    /// Source: Meta, Send messages, customer service windows, read December 2025.
    #[must_use]
    pub const fn opens_window(&self) -> bool {
        self.group.is_none() && !matches!(self.kind(), InboundKind::Edit | InboundKind::Revoke)
    }
}

impl Echo {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> InboundKind {
        self.body.kind()
    }

    /// What was said in words.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.body.said()
    }
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("number", &self.number)
            .field("provider_id", &self.provider_id)
            .field("from", &self.from)
            .field("at", &self.at)
            .field("kind", &self.kind())
            .field("text_len", &self.text().map(|text| text.chars().count()))
            .finish_non_exhaustive()
    }
}
