//! What a provider's webhook says, once an adapter has translated it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attempt::{Fact, FailureCode};
use super::content::Category;
use super::message::names;
use super::recipient::Recipient;
use super::session::NumberId;

/// One event of a webhook body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboundEvent {
    /// A status of a message that was sent.
    Status(StatusUpdate),
    /// A message that a user wrote.
    Message(InboundMessage),
    /// Something that this version does not know; kept, never an error.
    Unknown {
        /// The provider's name for it.
        field: String,
    },
}

/// A status of a sent message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The number that sent the message.
    pub number: NumberId,
    /// The provider's message id.
    pub provider_id: String,
    /// What was echoed from the request, if anything.
    pub echo: Option<String>,
    /// The fact: sent, delivered, read, played or failed.
    pub fact: Fact,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// Why it failed.
    pub failure: Option<FailureCode>,
    /// What the provider charges.
    pub pricing: Option<WebhookPricing>,
}

/// What a provider says about the price of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookPricing {
    /// Whether the message is charged, where the provider says so.
    pub billable: Option<bool>,
    /// The category it is charged in, where it is one of ours.
    pub category: Option<Category>,
    /// The kind of price, such as `regular` or `free_customer_service`.
    pub kind: Option<String>,
}

/// A message that a user wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// The number that got it.
    pub number: NumberId,
    /// The provider's message id.
    pub provider_id: String,
    /// Who wrote it.
    pub from: Recipient,
    /// The profile name, if the user shows one.
    pub profile_name: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What it is.
    pub kind: InboundKind,
    /// What the user said in words: a text message, or the label of a quick reply, which may be a stop word.
    pub text: Option<String>,
}

/// The kinds of inbound messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboundKind {
    /// Text.
    Text,
    /// Anything else that a user can send; the raw body has the rest.
    Other,
}

names!(InboundKind { Text = "text", Other = "other" });

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("number", &self.number)
            .field("provider_id", &self.provider_id)
            .field("from", &self.from)
            .field("at", &self.at)
            .field("kind", &self.kind)
            .field("text_len", &self.text.as_ref().map(|text| text.chars().count()))
            .finish_non_exhaustive()
    }
}
