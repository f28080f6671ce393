//! The state of a message as a fold over everything that is known about it.
//!
//! Facts about attempts form a set that only grows, so no order and no repetition of their
//! arrival can matter. Evidence of delivery beats a report of failure.

use chrono::{DateTime, Utc};

use crate::model::{
    AttemptView, DeliveryFacts, Fact, FailureCode, HoldReason, MessageState, Outcome, SkipReason,
};

/// Adds an outcome to an attempt's facts. Returns whether anything changed.
pub fn merge_outcome(facts: &mut DeliveryFacts, outcome: &Outcome, at: DateTime<Utc>) -> bool {
    match outcome {
        Outcome::NotSent => facts.add(Fact::NotSent, at),
        Outcome::Ambiguous => facts.add(Fact::InDoubt, at),
        Outcome::Accepted { provider_id } => {
            let named = facts.provider_id.is_none();
            if named {
                facts.provider_id = Some(provider_id.clone());
            }
            facts.add(Fact::Accepted, at) || named
        }
        Outcome::Rejected(failure) => merge_failure(facts, Fact::Rejected, failure, at),
    }
}

/// Adds a status that a provider reported. Returns whether anything changed.
pub fn merge_status(
    facts: &mut DeliveryFacts,
    fact: Fact,
    failure: Option<&FailureCode>,
    provider_id: &str,
    at: DateTime<Utc>,
) -> bool {
    let named = facts.provider_id.is_none() && !provider_id.is_empty();
    if named {
        facts.provider_id = Some(provider_id.to_owned());
    }
    let changed = match failure {
        Some(failure) => merge_failure(facts, fact, failure, at),
        None => facts.add(fact, at),
    };
    changed || named
}

fn merge_failure(facts: &mut DeliveryFacts, fact: Fact, failure: &FailureCode, at: DateTime<Utc>) -> bool {
    // Of several failures one must be shown whatever their order: the lower code, then the title.
    let better = facts
        .failure
        .as_ref()
        .is_none_or(|known| (failure.code, &failure.title) < (known.code, &known.title));
    if better {
        facts.failure = Some(failure.clone());
    }
    facts.add(fact, at) || better
}

/// Everything that decides a message's state.
#[derive(Debug, Clone, Copy)]
pub struct MessageFacts<'a> {
    /// The facts of its attempts, oldest first.
    pub attempts: &'a [&'a DeliveryFacts],
    /// Why it was closed, if it was.
    pub closed: Option<SkipReason>,
    /// Whether it waits in a feed or a due row, and why.
    pub queued: Option<Option<HoldReason>>,
}

/// The state of a message.
#[must_use]
pub fn message_state(facts: &MessageFacts<'_>) -> MessageState {
    let has = |fact| facts.attempts.iter().any(|attempt| attempt.has(fact));
    if has(Fact::Played) {
        return MessageState::Played;
    }
    if has(Fact::Read) {
        return MessageState::Read;
    }
    if has(Fact::Delivered) {
        return MessageState::Delivered;
    }
    let alive = |attempt: &&&DeliveryFacts| attempt.is_taken() && !attempt.has(Fact::Failed);
    if let Some(taken) = facts.attempts.iter().find(alive) {
        return if taken.has(Fact::Sent) { MessageState::Sent } else { MessageState::Accepted };
    }
    if facts.attempts.iter().any(|attempt| !attempt.is_settled()) {
        return MessageState::Attempting;
    }
    // Whatever became of other attempts: one that nobody knows about may still deliver.
    if facts.attempts.iter().any(|attempt| !attempt.is_definitely_undelivered()) {
        return MessageState::InDoubt;
    }
    if facts.closed.is_some() {
        return MessageState::Skipped;
    }
    match facts.queued {
        Some(None) => MessageState::Pending,
        Some(Some(_)) => MessageState::Held,
        None if facts.attempts.is_empty() => MessageState::Pending,
        None => MessageState::Failed,
    }
}

/// The failure that a report shows for a message: that of the latest attempt that has one.
#[must_use]
pub fn shown_failure(attempts: &[AttemptView]) -> Option<&FailureCode> {
    attempts.iter().rev().find_map(|attempt| attempt.facts.failure.as_ref())
}
