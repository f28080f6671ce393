//! Which messages may be put back by hand, and when they are due.
//!
//! Invariant: nothing that may have been delivered is ever put back, and nothing that was given up on
//! purpose: cancelled, expired, opted out.

use chrono::{DateTime, TimeDelta, Utc};

use super::retry;
use crate::model::{CampaignState, DeliveryFacts, Fact, MessageState, RejectClass, SkipReason};

/// What becomes of a message that somebody wants tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// It goes back, due at this instant, and is judged anew.
    Again(DateTime<Utc>),
    /// It stays as it is.
    Never,
}

/// Decides whether a message goes back.
///
/// `chain` are its attempts, oldest first; `campaign` is the state of its campaign, if it has one.
#[must_use]
pub fn decide(
    state: MessageState,
    skipped: Option<SkipReason>,
    chain: &[&DeliveryFacts],
    campaign: Option<CampaignState>,
    now: DateTime<Utc>,
) -> Redrive {
    if campaign == Some(CampaignState::Cancelled) {
        return Redrive::Never;
    }
    match state {
        MessageState::Failed => Redrive::Again(patience(chain).map_or(now, |until| until.max(now))),
        MessageState::Skipped if skipped.is_some_and(may_return) => Redrive::Again(now),
        MessageState::Skipped
        | MessageState::Pending
        | MessageState::Held
        | MessageState::Attempting
        | MessageState::InDoubt
        | MessageState::Accepted
        | MessageState::Sent
        | MessageState::Delivered
        | MessageState::Read
        | MessageState::Played => Redrive::Never,
    }
}

/// Whether messages that were skipped for a reason may be put back once the reason is gone.
#[must_use]
pub const fn may_return(reason: SkipReason) -> bool {
    match reason {
        SkipReason::WindowClosed
        | SkipReason::Cooldown
        | SkipReason::FrequencyCap
        | SkipReason::QuietHours
        | SkipReason::NotOptedIn
        | SkipReason::NotAllowed => true,
        SkipReason::OptedOut
        | SkipReason::Suppressed
        | SkipReason::NeedsPhone
        | SkipReason::Blocked
        | SkipReason::Expired
        | SkipReason::Cancelled
        | SkipReason::MissingParameter
        | SkipReason::Unsupported => false,
    }
}

/// Until when the provider wants nothing more for this recipient.
///
/// Source: Meta, Error codes, 131049, read May 2026: repeating it sooner than a day later is counted
/// against the account.
fn patience(chain: &[&DeliveryFacts]) -> Option<DateTime<Utc>> {
    let is_later = |facts: &&&DeliveryFacts| {
        facts.failure.as_ref().is_some_and(|failure| failure.class == RejectClass::Later)
    };
    let last = chain.last().filter(is_later)?;
    let at = [Fact::Failed, Fact::Rejected].into_iter().filter_map(|fact| last.at(fact)).min()?;
    let times = chain.iter().filter(is_later).count();
    at.checked_add_signed(TimeDelta::seconds(retry::patience_seconds(times)))
}
