//! A message and what can be said about it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attempt::{DeliveryFacts, FailureCode};
use super::content::Content;
use super::doubt::InDoubtPolicy;
use super::ids::{CampaignId, MessageId, SessionId};
use super::price::AttemptPrice;
use super::provider_id::ProviderMessageId;
use super::recipient::Recipient;
use super::template::TemplateContent;
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
    /// The message that it quotes; a reaction quotes none.
    pub reply_to: Option<ProviderMessageId>,
    /// What goes instead outside the window, where the tenant's settings say so.
    pub fallback: Option<TemplateContent>,
    /// Its lane.
    pub lane: Lane,
    /// Not before this instant.
    pub due_at: DateTime<Utc>,
    /// From this instant on it is not sent any more but skipped as expired.
    pub valid_until: Option<DateTime<Utc>>,
    /// The caller's key, unique per tenant.
    pub key: Option<SendKey>,
    /// What becomes of it should nobody know whether it was sent; `None` for what the tenant set.
    pub in_doubt: Option<InDoubtPolicy>,
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
    /// An attempt has begun and nobody knows whether the provider took it. Also while another one is
    /// waited for, and after one that definitely failed.
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
    /// The recipient is known by user id only, and this content needs a phone number.
    NeedsPhone,
    /// The template cooldown ends after `valid_until`.
    Cooldown,
    /// The frequency cap lets it go too late, or beyond it nothing waits.
    FrequencyCap,
    /// The recipient's quiet hours end after `valid_until`.
    QuietHours,
    /// Marketing, and no opt-in is recorded.
    NotOptedIn,
    /// An address of the recipient is on the suppression list.
    Suppressed,
    /// Safe mode is on and does not name the recipient.
    NotAllowed,
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
    /// The recipient got a template not long ago.
    Cooldown,
    /// The recipient got as many messages as the frequency cap allows.
    FrequencyCap,
    /// It is night where the recipient lives.
    QuietHours,
    /// The provider rates the number so badly that marketing waits.
    QualityLow,
    /// The number is new, and what it may send today is used up.
    WarmUpFull,
    /// The provider asked to try this recipient another day.
    Later,
    /// The store was restored, and nobody has said yet that it may send.
    NeedsReconcile,
    /// Nobody knows whether it was sent, and it goes once more.
    Resend,
}

/// Which of a message's contents goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// What it says.
    #[default]
    Own,
    /// The template that stands in for it outside the window.
    Fallback,
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
    /// Why and until when it waits; also in doubt, where another attempt follows.
    pub held: Option<(HoldReason, DateTime<Utc>)>,
    /// In doubt for good since then: nothing more is expected to be heard of it.
    pub given_up_at: Option<DateTime<Utc>>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// What a customer is shown of a message: no codes, no retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomerView {
    /// Waits, is being sent, or nobody knows yet.
    OnItsWay,
    /// Sent ✓.
    Sent,
    /// Not sent.
    NotSent,
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
    /// Which of the message's contents it carries.
    pub content: Chosen,
    /// What is known about it.
    pub facts: DeliveryFacts,
    /// What it costs.
    pub price: AttemptPrice,
}

impl MessageView {
    /// The failure that stands for the message: that of its latest attempt that has one.
    #[must_use]
    pub fn failure(&self) -> Option<&FailureCode> {
        self.attempts.iter().rev().find_map(|attempt| attempt.facts.failure.as_ref())
    }

    /// What a customer of the tenant is shown.
    #[must_use]
    pub const fn customer_view(&self) -> CustomerView {
        match self.state {
            MessageState::Pending | MessageState::Held | MessageState::Attempting | MessageState::InDoubt => {
                CustomerView::OnItsWay
            }
            MessageState::Accepted
            | MessageState::Sent
            | MessageState::Delivered
            | MessageState::Read
            | MessageState::Played => CustomerView::Sent,
            MessageState::Failed | MessageState::Skipped => CustomerView::NotSent,
        }
    }

    /// Whether it failed although the failure could have passed: tried again as often as it may be.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        let chain: Vec<&DeliveryFacts> = self.attempts.iter().map(|attempt| &attempt.facts).collect();
        self.state == MessageState::Failed && crate::rules::failure::is_critical(&chain)
    }
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
    NeedsPhone = "needs_phone",
    Cooldown = "cooldown",
    FrequencyCap = "frequency_cap",
    QuietHours = "quiet_hours",
    NotOptedIn = "not_opted_in",
    Suppressed = "suppressed",
    NotAllowed = "not_allowed",
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
    Cooldown = "cooldown",
    FrequencyCap = "frequency_cap",
    QuietHours = "quiet_hours",
    QualityLow = "quality_low",
    WarmUpFull = "warm_up_full",
    Later = "later",
    NeedsReconcile = "needs_reconcile",
    Resend = "resend",
});

names!(Chosen { Own = "own", Fallback = "fallback" });

impl SkipReason {
    /// What it means and what can be done, in plain words.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::OptedOut => "The person does not want it. Do not write again before they ask for it.",
            Self::Blocked => "You blocked this contact. Change its consent to write to it again.",
            Self::Expired => "It was valid until a time that has passed. Send it anew if it still matters.",
            Self::Cancelled => "The message or its campaign was cancelled.",
            Self::WindowClosed => {
                "The person has not written in the last 24 hours. Send an approved template, or give the \
                 message a template as fallback and let the settings use it."
            }
            Self::MissingParameter => {
                "The contact has no value for a placeholder. Fill it in and send again."
            }
            Self::Unsupported => {
                "The number cannot send this kind of content. Use another number or content."
            }
            Self::NeedsPhone => {
                "The person is known by user id only, and one-time codes go to phone numbers. Ask for the \
                 phone number."
            }
            Self::Cooldown => {
                "The person got a template not long ago, and the message expires before the cooldown ends. \
                 Make it valid for longer, or shorten the cooldown."
            }
            Self::FrequencyCap => {
                "The person got as many of these messages as your frequency cap allows. Raise the cap, or \
                 send it another week."
            }
            Self::QuietHours => {
                "It expires before the person's quiet hours end. Make it valid until the next morning."
            }
            Self::NotOptedIn => {
                "Your settings ask for a recorded opt-in for marketing. Record it when the person gives it."
            }
            Self::Suppressed => "The address is on your suppression list. Take it off only if that is right.",
            Self::NotAllowed => {
                "Safe mode is on, so that only named recipients are written to. Name this one, or switch \
                 safe mode off in production."
            }
        }
    }
}

impl HoldReason {
    /// What it means and what can be done, in plain words.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::CampaignPaused => "The campaign is paused. Resume it to go on.",
            Self::TenantPaused => "Sending is paused or suspended. Lift the pause, or settle the plan.",
            Self::SessionStopped => {
                "The number cannot send at present. Look at its breaker, and reset it once its cause is gone."
            }
            Self::TemplateStopped => "The template is paused. It goes on once the provider lets it.",
            Self::TierFull => {
                "The account wrote to as many people today as its messaging limit allows. It goes on when \
                 room frees up."
            }
            Self::QuotaFull => {
                "The plan's messages of this month are used up. Upgrade, or wait for the next."
            }
            Self::Throttled => "The provider asked to slow down. It goes on by itself.",
            Self::PairThrottled => "This person got many messages in a short time. It goes on by itself.",
            Self::Resend => {
                "Nobody knows whether it was sent, and it goes once more, by its policy or because you said so."
            }
            Self::Retry => "It failed for a reason that may pass, and is tried again by itself.",
            Self::NotSent => "It did not leave. It goes again when the connection is back.",
            Self::Poison => "Its processing failed repeatedly. An operator must look at it.",
            Self::Cooldown => "The person got a template not long ago. It goes when the cooldown ends.",
            Self::FrequencyCap => {
                "The person got as many of these messages as your frequency cap allows. It goes when the \
                 cap lets it."
            }
            Self::QuietHours => "It is night where the person lives. It goes in the morning.",
            Self::QualityLow => {
                "Many people disliked what this number sent. Marketing waits for a better rating: check \
                 the audience and the content."
            }
            Self::BudgetSpent => "A budget has no room for it. Raise the budget and resume the campaign.",
            Self::PriceUnknown => {
                "There is a budget, and nobody knows what the message costs. Give the tenant its prices."
            }
            Self::WarmUpFull => "The number is new, and today's share is used up. It goes on tomorrow.",
            Self::NeedsReconcile => {
                "The store was restored or moved. Find out what was sent since the copy was made, then lift the \
                 hold and resume the campaigns."
            }
            Self::Later => {
                "The provider limits marketing to this person at present. It is tried again in a day or more."
            }
        }
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_value!(SendKey, "a send key", "1 to 255 visible ASCII characters", |text| is_token(text, 255));
