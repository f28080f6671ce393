//! A message and what can be said about it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attempt::DeliveryFacts;
use super::content::Content;
use super::ids::{CampaignId, MessageId, SessionId};
use super::price::AttemptPrice;
use super::recipient::Recipient;
use super::value::{is_token, text_value};

/// Which of the two lanes a message takes through a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// One-time codes and confirmations: go first, with a share of the throughput kept free.
    Transactional,
    /// Campaigns.
    Bulk,
}

/// A caller's own key that makes sending safe to call twice: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SendKey(String);

/// A message to be sent, as a caller hands it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id, minted by the kit.
    pub id: MessageId,
    /// The sending number.
    pub session: SessionId,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it says.
    pub content: Content,
    /// Its lane.
    pub lane: Lane,
    /// Not before this instant.
    pub due_at: DateTime<Utc>,
    /// From this instant on it is not sent any more but skipped as expired.
    pub valid_until: Option<DateTime<Utc>>,
    /// The caller's key, unique per tenant.
    pub key: Option<SendKey>,
}

/// The state of a message, folded from all that is known.
///
/// Exhaustive on purpose. Every message is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Waits for its turn.
    Pending,
    /// Waits for a reason that has a name.
    Held,
    /// An attempt has begun and its outcome is not recorded yet.
    Attempting,
    /// An attempt has begun and nobody knows whether the provider took it.
    InDoubt,
    /// The provider took it.
    Accepted,
    /// The provider says it was sent.
    Sent,
    /// It reached the recipient's device.
    Delivered,
    /// The recipient read it.
    Read,
    /// The recipient played it.
    Played,
    /// Definitely not delivered, and no retry is left.
    Failed,
    /// Never attempted, for a reason that has a name.
    Skipped,
}

/// Why a message was closed without an attempt that could have delivered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The contact opted out.
    OptedOut,
    /// The contact is blocked by the tenant.
    Blocked,
    /// `valid_until` passed.
    Expired,
    /// The campaign or message was cancelled.
    Cancelled,
    /// Free-form content and no open window.
    WindowClosed,
    /// A placeholder has no value for this contact.
    MissingParameter,
    /// The session cannot send this kind of content or is deleted.
    Unsupported,
}

/// Why a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Its campaign is paused.
    CampaignPaused,
    /// Its tenant is paused.
    TenantPaused,
    /// Its session waits for a credential or an operator.
    SessionStopped,
    /// Its template is paused or disabled.
    TemplateStopped,
    /// The portfolio's messaging limit is used up.
    TierFull,
    /// The plan's quota is used up.
    QuotaFull,
    /// A budget has no room for it.
    BudgetSpent,
    /// There is a budget, and nobody knows what it costs.
    PriceUnknown,
    /// The provider throttled the number.
    Throttled,
    /// The pair of number and recipient is throttled.
    PairThrottled,
    /// A retry is scheduled.
    Retry,
    /// The request did not leave; it goes again when the connection is back.
    NotSent,
    /// Its processing failed repeatedly; an operator must look at it.
    Poison,
}

/// One message as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub id: MessageId,
    /// Its campaign, if it belongs to one.
    pub campaign: Option<CampaignId>,
    /// The sending number.
    pub session: SessionId,
    /// Who gets it.
    pub recipient: Recipient,
    /// Its state.
    pub state: MessageState,
    /// Why it was skipped.
    pub skipped: Option<SkipReason>,
    /// Why and until when it waits.
    pub held: Option<(HoldReason, DateTime<Utc>)>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// One attempt as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// 1 for the first.
    pub n: u16,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// When its request must have ended.
    pub end_by: DateTime<Utc>,
    /// What is known about it.
    pub facts: DeliveryFacts,
    /// What it costs.
    pub price: AttemptPrice,
}

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, as stored and as counted in reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The variant with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use names;

names!(Lane { Transactional = "transactional", Bulk = "bulk" });

names!(MessageState {
    Pending = "pending",
    Held = "held",
    Attempting = "attempting",
    InDoubt = "in_doubt",
    Accepted = "accepted",
    Sent = "sent",
    Delivered = "delivered",
    Read = "read",
    Played = "played",
    Failed = "failed",
    Skipped = "skipped",
});

names!(SkipReason {
    OptedOut = "opted_out",
    Blocked = "blocked",
    Expired = "expired",
    Cancelled = "cancelled",
    WindowClosed = "window_closed",
    MissingParameter = "missing_parameter",
    Unsupported = "unsupported",
});

names!(HoldReason {
    CampaignPaused = "campaign_paused",
    TenantPaused = "tenant_paused",
    SessionStopped = "session_stopped",
    TemplateStopped = "template_stopped",
    TierFull = "tier_full",
    QuotaFull = "quota_full",
    BudgetSpent = "budget_spent",
    PriceUnknown = "price_unknown",
    Throttled = "throttled",
    PairThrottled = "pair_throttled",
    Retry = "retry",
    NotSent = "not_sent",
    Poison = "poison",
});

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_value!(SendKey, "a send key", "1 to 255 visible ASCII characters", |text| is_token(text, 255));
