//! When a message that was definitely not delivered is tried again.
//!
//! By default up to three times, after 5, 10 and 15 seconds, and only for failures that may pass.
//! Throttles and requests that never left use up no retry.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::pair;
use crate::model::{DeliveryFacts, Fact, HoldReason, RejectClass, TenantSettings};

/// What follows a definite non-delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the message has failed.
    Fail,
    /// It goes back into a due row.
    Again {
        /// Not before.
        at: DateTime<Utc>,
        /// Why it waits.
        why: HoldReason,
    },
}

/// Decides what follows when every attempt of a message is definitely undelivered.
///
/// `attempts` is the whole chain, oldest first; `retry_after` is what the provider asked for.
#[must_use]
pub fn next(
    attempts: &[&DeliveryFacts],
    settings: &TenantSettings,
    retry_after: Option<Duration>,
    now: DateTime<Utc>,
) -> Next {
    let Some(last) = attempts.last() else { return Next::Fail };
    let again = |seconds: u32, why| {
        let own = TimeDelta::seconds(i64::from(seconds));
        let asked = retry_after.and_then(|wait| TimeDelta::from_std(wait).ok()).unwrap_or_default();
        Next::Again { at: now + own.max(asked.min(TimeDelta::days(1))), why }
    };
    let Some(class) = class_of(last) else {
        // Never left: try when the connection may be back, the longer the more often it failed.
        let tries = trailing(attempts, |facts| class_of(facts).is_none());
        return again(2_u32.saturating_pow(tries.min(6)).min(60), HoldReason::NotSent);
    };
    match class {
        RejectClass::Retry => {
            let used = attempts.iter().filter(|facts| class_of(facts) == Some(RejectClass::Retry)).count();
            // The last entry of the chain is the failure that asks for the retry.
            let retry = used.saturating_sub(1);
            if retry >= usize::from(settings.max_retries) {
                return Next::Fail;
            }
            let waits = &settings.retry_after_seconds;
            let seconds = waits.get(retry).or(waits.last()).copied().unwrap_or(15);
            again(seconds, HoldReason::Retry)
        }
        RejectClass::Throttled => {
            let tries = trailing(attempts, |facts| class_of(facts) == Some(RejectClass::Throttled));
            again(2_u32.saturating_pow(tries.saturating_sub(1).min(6)).min(60), HoldReason::Throttled)
        }
        RejectClass::PairThrottled => {
            let tries = trailing(attempts, |facts| class_of(facts) == Some(RejectClass::PairThrottled));
            again(pair::backoff_seconds(tries.saturating_sub(1)), HoldReason::PairThrottled)
        }
        // The breaker of the session or template holds these back; they fail with nothing lost.
        RejectClass::Credential | RejectClass::Account | RejectClass::Billing | RejectClass::Spam => {
            again(5, HoldReason::SessionStopped)
        }
        RejectClass::TemplatePaused => again(60, HoldReason::TemplateStopped),
        RejectClass::Later
        | RejectClass::WindowClosed
        | RejectClass::Recipient
        | RejectClass::OptedOut
        | RejectClass::Template
        | RejectClass::Request
        | RejectClass::Media => Next::Fail,
    }
}

/// The class of a definite failure; `None` when the attempt never left.
fn class_of(facts: &DeliveryFacts) -> Option<RejectClass> {
    if facts.has(Fact::Rejected) || facts.has(Fact::Failed) {
        facts.failure.as_ref().map(|failure| failure.class)
    } else {
        None
    }
}

/// How many attempts at the end of the chain, the last included, are of one kind.
fn trailing(attempts: &[&DeliveryFacts], is_kind: impl Fn(&DeliveryFacts) -> bool) -> u32 {
    let count = attempts.iter().rev().take_while(|facts| is_kind(facts)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}
