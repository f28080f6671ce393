//! The state of a message as a fold over everything that is known about it.
//!
//! Facts about attempts form a set that only grows, so no order and no repetition of their
//! arrival can matter. Evidence of delivery beats a report of failure.

use chrono::{DateTime, Utc};

use crate::model::{
    AttemptView, Charge, DeliveryFacts, Fact, FailureCode, HoldReason, MessageState, Outcome, SkipReason,
};

/// Adds an outcome to an attempt's facts. Returns whether anything changed.
pub fn merge_outcome(facts: &mut DeliveryFacts, outcome: &Outcome, at: DateTime<Utc>) -> bool {
    match outcome {
        Outcome::NotSent => facts.add(Fact::NotSent, at),
        Outcome::Ambiguous => facts.add(Fact::InDoubt, at),
        Outcome::Accepted { provider_id } => {
            let named = merge_id(facts, provider_id);
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
    charge: Option<Charge>,
    at: DateTime<Utc>,
) -> bool {
    let named = merge_id(facts, provider_id);
    let charged = charge.is_some_and(|charge| facts.add_charge(charge));
    let changed = match failure {
        Some(failure) => merge_failure(facts, fact, failure, at),
        None => facts.add(fact, at),
    };
    changed || named || charged
}

/// Notes the provider's id. Of two, which only a request that was repeated on its way can have, the
/// lower one is kept, so that the order of their arrival does not matter.
fn merge_id(facts: &mut DeliveryFacts, id: &str) -> bool {
    let better = !id.is_empty() && facts.provider_id.as_deref().is_none_or(|known| id < known);
    if better {
        facts.provider_id = Some(id.to_owned());
    }
    better
}

fn merge_failure(facts: &mut DeliveryFacts, fact: Fact, failure: &FailureCode, at: DateTime<Utc>) -> bool {
    // Of several failures one must be shown whatever their order: the lower code, then title and
    // class, then the one that says more.
    let rank = |it: &FailureCode| {
        let FailureCode { code, class, title, details } = it.clone();
        (code, title, class, details.is_none(), details)
    };
    let better = facts.failure.as_ref().is_none_or(|known| rank(failure) < rank(known));
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
    let mut alive = facts.attempts.iter().filter(|it| it.is_taken() && !it.has(Fact::Failed)).peekable();
    if alive.peek().is_some() {
        // Of two live attempts the further one is shown.
        let sent = alive.any(|attempt| attempt.has(Fact::Sent));
        return if sent { MessageState::Sent } else { MessageState::Accepted };
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

/// Whether it is settled what became of a message, as far as somebody who waits for it cares.
///
/// In doubt counts as decided while nothing but acceptance is waited for: no answer will come any more.
#[must_use]
pub const fn is_decided(state: MessageState, awaited: Awaited) -> bool {
    match state {
        MessageState::Pending | MessageState::Held | MessageState::Attempting => false,
        MessageState::InDoubt | MessageState::Accepted | MessageState::Sent => {
            matches!(awaited, Awaited::Answer)
        }
        MessageState::Delivered
        | MessageState::Read
        | MessageState::Played
        | MessageState::Failed
        | MessageState::Skipped => true,
    }
}

/// What somebody who waits for a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// That the provider took it, or that it will not: accepted, failed, skipped or in doubt.
    Answer,
    /// That it reached the recipient, or that it will not: delivered, read, failed or skipped.
    Delivery,
}

/// The failure that a report shows for a message: that of the latest attempt that has one.
#[must_use]
pub fn shown_failure(attempts: &[AttemptView]) -> Option<&FailureCode> {
    attempts.iter().rev().find_map(|attempt| attempt.facts.failure.as_ref())
}
