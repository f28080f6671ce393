//! How a change of a message's state changes its campaign's counts.
//!
//! Invariant: whatever the order of changes, the counts are what a recount over all messages gives.

use super::cost::CostCounter;
use super::failure;
use crate::model::{CampaignCounts, DeliveryFacts, MessageState, SkipReason};

/// One number of a campaign's counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Frozen messages.
    Audience,
    /// Waiting.
    Pending,
    /// Begun.
    Attempting,
    /// Taken.
    Accepted,
    /// Not delivered.
    Failed,
    /// Of the failed: tried again in vain as often as they may be.
    Critical,
    /// Unknown.
    InDoubt,
    /// Of the unknown: another attempt is waited for.
    Resending,
    /// Closed.
    Skipped,
    /// Sent, delivered or read.
    Sent,
    /// Delivered or read.
    Delivered,
    /// Read.
    Read,
    /// Attempts after the first.
    Retries,
    /// What the attempts cost.
    Cost(CostCounter),
    /// Messages skipped or failed for a reason.
    Reason(String),
}

/// What the counts need to know of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: MessageState,
    /// `skipped:<reason>` or `failed:<code>`, where the code may be `unknown` or `not_sent`.
    pub reason: Option<String>,
    /// Whether it failed although the failure could have passed.
    pub critical: bool,
    /// Whether it is in doubt and waits for another attempt.
    pub resends: bool,
}

impl Standing {
    /// The standing of a message.
    #[must_use]
    pub fn new(state: MessageState, closed: Option<SkipReason>, attempts: &[&DeliveryFacts]) -> Self {
        let reason = match state {
            MessageState::Skipped => closed.map(|reason| format!("skipped:{}", reason.as_str())),
            MessageState::Failed => Some(failure::reason(attempts)),
            MessageState::Pending
            | MessageState::Held
            | MessageState::Attempting
            | MessageState::InDoubt
            | MessageState::Accepted
            | MessageState::Sent
            | MessageState::Delivered
            | MessageState::Read
            | MessageState::Played => None,
        };
        let critical = state == MessageState::Failed && failure::is_critical(attempts);
        Self { state, reason, critical, resends: false }
    }

    /// The standing of a message that waits, or does not, for its next attempt.
    #[must_use]
    pub fn waiting(mut self, queued: bool) -> Self {
        self.resends = queued && self.state == MessageState::InDoubt;
        self
    }
}

/// The counters that a standing is counted in, each by one.
#[must_use]
pub fn counted_in(standing: &Standing) -> Vec<Counter> {
    use Counter::{Accepted, Attempting, Delivered, Failed, InDoubt, Pending, Read, Sent, Skipped};
    let mut counters = match standing.state {
        MessageState::Pending | MessageState::Held => vec![Pending],
        MessageState::Attempting => vec![Attempting],
        MessageState::InDoubt => vec![InDoubt],
        MessageState::Accepted => vec![Accepted],
        MessageState::Sent => vec![Accepted, Sent],
        MessageState::Delivered => vec![Accepted, Sent, Delivered],
        MessageState::Read | MessageState::Played => vec![Accepted, Sent, Delivered, Read],
        MessageState::Failed => vec![Failed],
        MessageState::Skipped => vec![Skipped],
    };
    counters.extend(standing.critical.then_some(Counter::Critical));
    counters.extend(standing.resends.then_some(Counter::Resending));
    counters.extend(standing.reason.clone().map(Counter::Reason));
    counters
}

/// What changes when a message goes from one standing to another; equal ones change nothing.
#[must_use]
pub fn delta(old: Option<&Standing>, new: &Standing) -> Vec<(Counter, i64)> {
    if old == Some(new) {
        return Vec::new();
    }
    let mut changes: Vec<(Counter, i64)> = counted_in(new).into_iter().map(|it| (it, 1)).collect();
    match old {
        Some(old) => changes.extend(counted_in(old).into_iter().map(|it| (it, -1))),
        None => changes.push((Counter::Audience, 1)),
    }
    changes
}

impl Counter {
    /// A text form for stores; [`Counter::from_key`] reads it back.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Audience => "audience".to_owned(),
            Self::Pending => "pending".to_owned(),
            Self::Attempting => "attempting".to_owned(),
            Self::Accepted => "accepted".to_owned(),
            Self::Failed => "failed".to_owned(),
            Self::Critical => "critical".to_owned(),
            Self::InDoubt => "in_doubt".to_owned(),
            Self::Resending => "resending".to_owned(),
            Self::Skipped => "skipped".to_owned(),
            Self::Sent => "sent".to_owned(),
            Self::Delivered => "delivered".to_owned(),
            Self::Read => "read".to_owned(),
            Self::Retries => "retries".to_owned(),
            Self::Cost(counter) => counter.key(),
            Self::Reason(reason) => format!("reason:{reason}"),
        }
    }

    /// The counter of a text form.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        if key.starts_with("cost.") {
            return CostCounter::from_key(key).map(Self::Cost);
        }
        if let Some(reason) = key.strip_prefix("reason:") {
            return Some(Self::Reason(reason.to_owned()));
        }
        Some(match key {
            "audience" => Self::Audience,
            "pending" => Self::Pending,
            "attempting" => Self::Attempting,
            "accepted" => Self::Accepted,
            "failed" => Self::Failed,
            "critical" => Self::Critical,
            "in_doubt" => Self::InDoubt,
            "resending" => Self::Resending,
            "skipped" => Self::Skipped,
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "retries" => Self::Retries,
            _ => return None,
        })
    }
}

/// Adds a change to counts. A count never falls below 0: the change of a sum that is kept right cannot.
pub fn apply(counts: &mut CampaignCounts, counter: &Counter, change: i64) {
    let add = |count: &mut u64| *count = count.saturating_add_signed(change);
    match counter {
        Counter::Audience => add(&mut counts.audience),
        Counter::Pending => add(&mut counts.pending),
        Counter::Attempting => add(&mut counts.attempting),
        Counter::Accepted => add(&mut counts.accepted),
        Counter::Failed => add(&mut counts.failed),
        Counter::Critical => add(&mut counts.critical),
        Counter::InDoubt => add(&mut counts.in_doubt),
        Counter::Resending => add(&mut counts.resending),
        Counter::Skipped => add(&mut counts.skipped),
        Counter::Sent => add(&mut counts.sent),
        Counter::Delivered => add(&mut counts.delivered),
        Counter::Read => add(&mut counts.read),
        Counter::Retries => add(&mut counts.retries),
        Counter::Cost(CostCounter::Unpriced(_)) => add(&mut counts.unpriced),
        Counter::Cost(CostCounter::Priced(..) | CostCounter::Settled(_)) => {}
        Counter::Cost(CostCounter::Micros(_, currency)) => {
            let total = counts.cost.entry(currency.as_str().to_owned()).or_default();
            *total = total.saturating_add(change);
            if *total == 0 {
                counts.cost.remove(currency.as_str());
            }
        }
        Counter::Reason(reason) => {
            let count = counts.reasons.entry(reason.clone()).or_default();
            *count = count.saturating_add_signed(change);
            if *count == 0 {
                counts.reasons.remove(reason);
            }
        }
    }
}
