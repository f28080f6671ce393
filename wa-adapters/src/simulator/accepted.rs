//! What the log remembers of an accepted send, and the statuses that will follow it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::clock::Micros;

/// A send that the simulator accepted: one line of its log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Accepted {
    /// When it was accepted.
    pub at: DateTime<Utc>,
    /// The id in the answer and in all statuses.
    pub wamid: String,
    /// The sending number's id.
    pub number: String,
    /// The recipient: a phone's digits or a business-scoped user id.
    pub recipient: String,
    /// The type of the message, such as `text`.
    pub kind: String,
    /// `biz_opaque_callback_data`, as it was given.
    pub callback_data: Option<String>,
    /// Equal for two sends of the same number, recipient and content, whatever the callback data.
    pub fingerprint: String,
    /// Whether the user's service window was open.
    pub in_window: bool,
    /// The category in the pricing object, such as marketing, `marketing_lite` or service.
    pub category: String,
    /// The type in the pricing object: regular, `free_customer_service` or `free_entry_point`;
    /// empty for what is never sent.
    pub pricing_type: String,
    /// What it costs when it is delivered, in millionths of the currency; none when it is to be
    /// paid and no rate is known, and for what is never sent.
    #[serde(default)]
    pub amount: Option<i64>,
    /// The currency of the amount; none when the simulator has no rates.
    #[serde(default)]
    pub currency: Option<String>,
    /// When it is delivered, whether or not a status says so; none when it never is.
    #[serde(default)]
    pub delivered_at: Option<DateTime<Utc>>,
    /// The template's name and language, such as `greeting/en_US`.
    #[serde(default)]
    pub template: Option<String>,
    /// Whether it is a marketing template.
    #[serde(default)]
    pub is_marketing: bool,
    /// The end of the free entry point that it is in.
    #[serde(default)]
    pub(crate) entry_until: Option<Micros>,
    /// The statuses that will be called back, drawn at acceptance.
    pub(crate) plan: Vec<Step>,
}

/// One status on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) status: Status,
    /// The time stamp inside.
    pub(crate) at: Micros,
    /// When it is posted.
    pub(crate) due: Micros,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Sent,
    Delivered,
    Read,
    Played,
    Failed,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }
}

impl Accepted {
    /// Whether it was sent at all, and so has a price; not when it fails at once or is dropped.
    pub(crate) fn has_price(&self) -> bool {
        !self.pricing_type.is_empty()
    }

    /// When the sender is told that it failed.
    pub(crate) fn fails_at(&self) -> Option<Micros> {
        self.plan.iter().find(|step| step.status == Status::Failed).map(|step| step.due)
    }

    /// Which status, besides `sent`, says the price: the first news of the delivery.
    pub(crate) fn priced_again_by(&self) -> Status {
        let told = self.plan.iter().any(|step| step.status == Status::Delivered);
        if told { Status::Delivered } else { Status::Read }
    }

    /// The two digits by which a log line may tell recipients apart.
    fn ending(&self) -> &str {
        self.recipient.get(self.recipient.len().saturating_sub(2)..).unwrap_or_default()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("at", &self.at)
            .field("wamid", &self.wamid)
            .field("number", &self.number)
            .field("recipient", &format_args!("..{}", self.ending()))
            .field("kind", &self.kind)
            .field("category", &self.category)
            .finish_non_exhaustive()
    }
}
