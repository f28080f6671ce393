//! What follows from an outcome: what is given back, tried again, stopped or recorded.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::retry::{self, Next};
use crate::model::{
    AttemptKey, BreakerReason, Consent, DeliveryFacts, Fact, FailureCode, RejectClass, TenantSettings,
};

/// What one merge of facts leads to, beside the facts themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequences {
    /// Quota, tier slot and cost of the attempt go back now, once.
    pub gives_back: bool,
    /// What becomes of the message, if this made it definitely undelivered.
    pub next: Option<Next>,
    /// The message waits for no further attempt: it may have been delivered, or has failed for good.
    pub withdraws: bool,
    /// What stops, if anything.
    pub breaker: Option<BreakerRule>,
    /// A marketing opt-out of the contact.
    pub consent: Option<Consent>,
}

/// What a refusal stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRule {
    /// The template of the message only, or its whole session.
    pub template_only: bool,
    /// Why.
    pub reason: BreakerReason,
    /// The provider's code.
    pub code: i64,
    /// For how long; `None` until it is reset.
    pub lasts: Option<TimeDelta>,
}

/// One merge into one attempt of a message.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// The attempt.
    pub key: AttemptKey,
    /// Its facts before the merge.
    pub before: &'a DeliveryFacts,
    /// The whole chain after it, oldest first.
    pub chain: &'a [&'a DeliveryFacts],
    /// The attempt's place in it.
    pub place: usize,
    /// How many attempts the message had when it was last put back by hand: retries are counted after
    /// them.
    pub redriven: usize,
    /// What the provider asked for.
    pub retry_after: Option<Duration>,
}

/// Decides what follows from a merge into one attempt.
#[must_use]
pub fn consequences(merge: &Merge<'_>, settings: &TenantSettings, now: DateTime<Utc>) -> Consequences {
    let Merge { key, before, chain, place, redriven, retry_after } = *merge;
    let Some(after) = chain.get(place) else {
        return Consequences {
            gives_back: false,
            next: None,
            withdraws: false,
            breaker: None,
            consent: None,
        };
    };
    let newly_dead = after.is_definitely_undelivered() && !before.is_definitely_undelivered();
    let new_failure = (after.mask() & !before.mask()) & (Fact::Rejected.bit() | Fact::Failed.bit()) != 0;
    let all_dead = chain.iter().all(|facts| facts.is_definitely_undelivered());
    let failure = after.failure.as_ref().filter(|_| new_failure);
    let next = (newly_dead && all_dead).then(|| {
        let since = chain.get(redriven..).unwrap_or_default();
        retry::next(since, settings, retry_after, retry::word(key), now)
    });
    // One that is only in doubt withdraws nothing: it may wait for being sent again.
    let may_live = chain.iter().any(|facts| facts.is_taken() && !facts.is_definitely_undelivered());
    Consequences {
        gives_back: after.is_definitely_undelivered() && !before.has(Fact::Released),
        next,
        withdraws: may_live || next == Some(Next::Fail),
        breaker: failure.and_then(breaker_for),
        consent: failure
            .filter(|failure| failure.class == RejectClass::OptedOut)
            .map(|_| Consent::NoMarketing),
    }
}

/// What a definite refusal stops.
///
/// Source: Meta, Error codes, read May 2026: tokens and permissions (0, 3, 10, 190, 200–299), account
/// locks (131031, 368), payment (131042), template pauses (132015), spam limits (131048).
#[must_use]
pub fn breaker_for(failure: &FailureCode) -> Option<BreakerRule> {
    let rule =
        |template_only, reason, lasts| Some(BreakerRule { template_only, reason, code: failure.code, lasts });
    match failure.class {
        RejectClass::Credential => rule(false, BreakerReason::Credential, None),
        RejectClass::Account => rule(false, BreakerReason::Account, None),
        RejectClass::Billing => rule(false, BreakerReason::Billing, None),
        RejectClass::Spam => rule(false, BreakerReason::Spam, Some(TimeDelta::hours(6))),
        RejectClass::TemplatePaused => rule(true, BreakerReason::TemplatePaused, Some(TimeDelta::hours(3))),
        RejectClass::Retry
        | RejectClass::Throttled
        | RejectClass::PairThrottled
        | RejectClass::Later
        | RejectClass::WindowClosed
        | RejectClass::Recipient
        | RejectClass::OptedOut
        | RejectClass::Template
        | RejectClass::Request
        | RejectClass::Media => None,
    }
}
