//! Attempts and the facts known about them.
//!
//! Invariant: facts only accumulate. Merging is set union that keeps the earliest instant, so the
//! order and number of deliveries of the same facts cannot matter.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::charge::Charge;
use super::ids::{MessageId, TenantId};

/// One attempt to send a message: the message and the attempt's number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The tenant that owns the message.
    pub tenant: TenantId,
    /// The message.
    pub message: MessageId,
    /// 1 for the first attempt.
    pub n: u16,
}

/// The kinds of facts about an attempt, each a bit of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The request provably never left, or was never made.
    NotSent,
    /// The provider answered that it does not take the message.
    Rejected,
    /// The provider answered with its message id.
    Accepted,
    /// Nobody knows whether the provider took the message.
    InDoubt,
    /// The provider says it was sent to the recipient's device or servers.
    Sent,
    /// The recipient's device has it.
    Delivered,
    /// The recipient read it.
    Read,
    /// The recipient played the voice message.
    Played,
    /// The provider says that delivery failed.
    Failed,
    /// Quota, tier slot and cost were given back.
    Released,
}

/// Why a provider did not deliver: its own code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCode {
    /// The provider's number, or 0 where it has none.
    pub code: i64,
    /// What the failure means for the next step.
    pub class: RejectClass,
    /// The provider's title, without personal data.
    pub title: String,
    /// What the provider says beside it (at Meta `error_data.details`), if anything.
    pub details: Option<FailureDetails>,
}

/// A provider's own words about a failure: 1 to 500 characters on one line.
///
/// They may name a person or a number, so `Debug` shows their length only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailureDetails(String);

impl FailureDetails {
    /// The most characters that are kept.
    pub const LONGEST: usize = 500;

    /// Takes a provider's words, cut to what is kept; `None` where there is nothing to read.
    ///
    /// ```
    /// use wa_core::model::FailureDetails;
    /// let said = FailureDetails::new(" Message failed\nto send ").expect("words");
    /// assert_eq!(said.as_str(), "Message failed to send");
    /// assert!(FailureDetails::new(" \t").is_none());
    /// ```
    #[must_use]
    pub fn new(said: &str) -> Option<Self> {
        let line: String = said
            .trim()
            .chars()
            .take(Self::LONGEST)
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        (!line.trim().is_empty()).then_some(Self(line))
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FailureDetails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FailureDetails(len={})", self.0.chars().count())
    }
}

/// What a definite refusal means for the next step.
///
/// Exhaustive on purpose: a new class must be decided everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectClass {
    /// A passing fault: may be tried again by policy.
    Retry,
    /// The number, the account or the app sends too fast: slow down, no retry is used up.
    Throttled,
    /// This recipient gets too much too fast: wait for the pair, no retry is used up.
    PairThrottled,
    /// Not now for this recipient: at the earliest in a day.
    Later,
    /// The 24-hour window is closed.
    WindowClosed,
    /// This recipient cannot be reached.
    Recipient,
    /// The recipient does not want marketing.
    OptedOut,
    /// The template is paused: wait until it is lifted.
    TemplatePaused,
    /// The template does not exist, is not approved or does not fit.
    Template,
    /// The request itself is wrong.
    Request,
    /// The credential is not valid: the session waits for a new one.
    Credential,
    /// The number or account is stopped: an operator must act.
    Account,
    /// The number or account has sent too much that was disliked: a long pause.
    Spam,
    /// The account cannot be billed.
    Billing,
    /// The medium cannot be used.
    Media,
}

/// How one attempt to send ended, as far as the sender knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Provably never left.
    NotSent,
    /// Definitely refused.
    Rejected(FailureCode),
    /// Taken by the provider under this id.
    Accepted {
        /// The provider's message id (wamid at Meta).
        provider_id: String,
    },
    /// Nobody knows.
    Ambiguous,
}

/// Everything known about one attempt's fate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFacts {
    at: [Option<DateTime<Utc>>; Fact::ALL.len()],
    /// Why it was rejected or failed; of several, that with the lower code, ties broken by
    /// title and class; then one with details.
    pub failure: Option<FailureCode>,
    /// The provider's message id.
    pub provider_id: Option<String>,
    /// What the provider says it charges; of several words the least.
    pub charge: Option<Charge>,
}

impl Fact {
    /// Every kind, in the order of the bits.
    pub const ALL: [Self; 10] = [
        Self::NotSent,
        Self::Rejected,
        Self::Accepted,
        Self::InDoubt,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Played,
        Self::Failed,
        Self::Released,
    ];

    /// The bit of this fact in a mask.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << self.place()
    }

    const fn place(self) -> usize {
        match self {
            Self::NotSent => 0,
            Self::Rejected => 1,
            Self::Accepted => 2,
            Self::InDoubt => 3,
            Self::Sent => 4,
            Self::Delivered => 5,
            Self::Read => 6,
            Self::Played => 7,
            Self::Failed => 8,
            Self::Released => 9,
        }
    }
}

impl DeliveryFacts {
    /// When a fact became true, if it did.
    #[must_use]
    pub fn at(&self, fact: Fact) -> Option<DateTime<Utc>> {
        self.at.get(fact.place()).copied().flatten()
    }

    /// Whether a fact is known.
    #[must_use]
    pub fn has(&self, fact: Fact) -> bool {
        self.at(fact).is_some()
    }

    /// Adds a fact; the earlier instant wins. Returns whether anything changed.
    pub fn add(&mut self, fact: Fact, at: DateTime<Utc>) -> bool {
        let Some(slot) = self.at.get_mut(fact.place()) else { return false };
        let earlier = slot.is_none_or(|known| at < known);
        if earlier {
            *slot = Some(at);
        }
        earlier
    }

    /// Adds a word of the provider about the price; the least one counts. Returns whether anything changed.
    pub fn add_charge(&mut self, charge: Charge) -> bool {
        let counts = self.charge.is_none_or(|known| charge < known);
        if counts {
            self.charge = Some(charge);
        }
        counts
    }

    /// The known facts as a mask of [`Fact::bit`]s.
    #[must_use]
    pub fn mask(&self) -> u16 {
        Fact::ALL.into_iter().filter(|fact| self.has(*fact)).map(Fact::bit).sum()
    }

    /// Whether the attempt's fate is known or was given up on: nothing is open any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.mask() & !Fact::Released.bit() != 0
    }

    /// Whether the provider is known to have taken the message.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        [Fact::Accepted, Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed]
            .into_iter()
            .any(|fact| self.has(fact))
    }

    /// Whether the message reached the recipient.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        [Fact::Delivered, Fact::Read, Fact::Played].into_iter().any(|fact| self.has(fact))
    }

    /// Whether it is certain that this attempt did not and will not deliver.
    #[must_use]
    pub fn is_definitely_undelivered(&self) -> bool {
        !self.is_delivered()
            && (self.has(Fact::Failed)
                || (!self.is_taken() && (self.has(Fact::NotSent) || self.has(Fact::Rejected))))
    }
}

impl RejectClass {
    /// Every class.
    pub const ALL: [Self; 15] = [
        Self::Retry,
        Self::Throttled,
        Self::PairThrottled,
        Self::Later,
        Self::WindowClosed,
        Self::Recipient,
        Self::OptedOut,
        Self::TemplatePaused,
        Self::Template,
        Self::Request,
        Self::Credential,
        Self::Account,
        Self::Spam,
        Self::Billing,
        Self::Media,
    ];

    /// The name, as stored and as counted in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Throttled => "throttled",
            Self::PairThrottled => "pair_throttled",
            Self::Later => "later",
            Self::WindowClosed => "window_closed",
            Self::Recipient => "recipient",
            Self::OptedOut => "opted_out",
            Self::TemplatePaused => "template_paused",
            Self::Template => "template",
            Self::Request => "request",
            Self::Credential => "credential",
            Self::Account => "account",
            Self::Spam => "spam",
            Self::Billing => "billing",
            Self::Media => "media",
        }
    }

    /// The class with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}
