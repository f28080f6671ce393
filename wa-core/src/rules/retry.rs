//! When a message that was definitely not delivered is tried again.
//!
//! By default up to three times, after 5, 10 and 15 seconds, and only for failures that may pass; or
//! after waits that grow, shortened at random. Throttles and requests that never left use up no retry.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{chance, pair};
use crate::model::{AttemptKey, DeliveryFacts, Fact, HoldReason, RejectClass, RetryBackoff, TenantSettings};

/// A provider may ask for this long a wait at most.
const LONGEST_ASKED: TimeDelta = TimeDelta::days(1);

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
/// `attempts` is the chain since the message was last put in by hand, oldest first; `retry_after` is
/// what the provider asked for; `word` decides what is left to chance (see [`word`]).
#[must_use]
pub fn next(
    attempts: &[&DeliveryFacts],
    settings: &TenantSettings,
    retry_after: Option<Duration>,
    word: u64,
    now: DateTime<Utc>,
) -> Next {
    let Some(last) = attempts.last() else { return Next::Fail };
    let again = |seconds: u32, why| {
        let own = TimeDelta::seconds(i64::from(seconds));
        let asked = retry_after.map_or(TimeDelta::zero(), |wait| {
            TimeDelta::from_std(wait).map_or(LONGEST_ASKED, |wait| wait.min(LONGEST_ASKED))
        });
        Next::Again { at: now + own.max(asked), why }
    };
    let class = match end_of(last) {
        End::NeverLeft => {
            // Try when the connection may be back, the longer the more often it failed.
            let tries = trailing(attempts, End::NeverLeft);
            return again(2_u32.saturating_pow(tries.min(6)).min(60), HoldReason::NotSent);
        }
        // It did leave, and nothing says that the failure may pass.
        End::Unexplained => return Next::Fail,
        End::Refused(class) => class,
    };
    match class {
        RejectClass::Retry => {
            let used = attempts.iter().filter(|facts| end_of(facts) == End::Refused(class)).count();
            // The last entry of the chain is the failure that asks for the retry.
            let retry = used.saturating_sub(1);
            if retry >= usize::from(settings.max_retries) {
                return Next::Fail;
            }
            let seconds = match &settings.retry_backoff {
                Some(backoff) => growing_seconds(backoff, retry, word),
                None => {
                    let waits = &settings.retry_after_seconds;
                    waits.get(retry).or(waits.last()).copied().unwrap_or(15)
                }
            };
            again(seconds, HoldReason::Retry)
        }
        RejectClass::Throttled => {
            let tries = trailing(attempts, End::Refused(class));
            again(2_u32.saturating_pow(tries.saturating_sub(1).min(6)).min(60), HoldReason::Throttled)
        }
        RejectClass::PairThrottled => {
            let tries = trailing(attempts, End::Refused(class));
            again(pair::backoff_seconds(tries.saturating_sub(1)), HoldReason::PairThrottled)
        }
        // The breaker of the session or template holds these back; they fail with nothing lost.
        RejectClass::Credential | RejectClass::Account | RejectClass::Billing | RejectClass::Spam => {
            again(5, HoldReason::SessionStopped)
        }
        RejectClass::TemplatePaused => again(60, HoldReason::TemplateStopped),
        RejectClass::Later => {
            let times = attempts.iter().filter(|facts| end_of(facts) == End::Refused(class)).count();
            if times > usize::from(settings.later_retries) {
                return Next::Fail;
            }
            again(u32::try_from(patience_seconds(times)).unwrap_or(u32::MAX), HoldReason::Later)
        }
        RejectClass::WindowClosed
        | RejectClass::Recipient
        | RejectClass::OptedOut
        | RejectClass::Template
        | RejectClass::Request
        | RejectClass::Media => Next::Fail,
    }
}

/// Whether a message would not be valid any more when its retry begins: then it is closed as expired
/// at once instead of waiting in vain.
///
/// ```
/// use wa_core::{model::from_micros, rules::retry};
/// let (at, later) = (from_micros(1_000_000), from_micros(1_000_001));
/// assert!(retry::comes_too_late(at, Some(at)));
/// assert!(!retry::comes_too_late(at, Some(later)));
/// assert!(!retry::comes_too_late(at, None));
/// ```
#[must_use]
pub fn comes_too_late(at: DateTime<Utc>, valid_until: Option<DateTime<Utc>>) -> bool {
    valid_until.is_some_and(|until| at >= until)
}

/// The number that stands for chance in what follows from an attempt: the same for the same attempt,
/// so that every store decides alike, and unlike that of any other.
#[must_use]
pub fn word(key: AttemptKey) -> u64 {
    let (high, low) = key.message.as_uuid().as_u64_pair();
    chance::mix(high ^ low.rotate_left(32) ^ u64::from(key.n).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// How long a recipient is left alone after so many refusals of class `Later`: a day, doubled each time.
///
/// Source: Meta, Error codes, 131049, read May 2026: not sooner than 24 hours, in growing intervals.
#[must_use]
pub fn patience_seconds(times: usize) -> i64 {
    let doublings = u32::try_from(times.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    86_400 * 2_i64.pow(doublings)
}

/// The wait before a retry, `retry` counted from 0, shortened by chance.
fn growing_seconds(backoff: &RetryBackoff, retry: usize, word: u64) -> u32 {
    let RetryBackoff { base_seconds, factor, cap_seconds, jitter_percent } = *backoff;
    let power = u32::from(factor).saturating_pow(u32::try_from(retry).unwrap_or(u32::MAX));
    let full = u64::from(base_seconds.saturating_mul(power).min(cap_seconds));
    let most_off = full * u64::from(jitter_percent.min(100)) / 100;
    let off = word % (most_off + 1);
    u32::try_from((full - off).max(1)).unwrap_or(cap_seconds)
}

/// How an attempt that is definitely undelivered ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// No request was made.
    NeverLeft,
    /// The provider says that it failed, and not why.
    Unexplained,
    /// The provider says why.
    Refused(RejectClass),
}

fn end_of(facts: &DeliveryFacts) -> End {
    if !facts.has(Fact::Rejected) && !facts.has(Fact::Failed) {
        return End::NeverLeft;
    }
    facts.failure.as_ref().map_or(End::Unexplained, |failure| End::Refused(failure.class))
}

/// How many attempts at the end of the chain, the last included, ended like this.
fn trailing(attempts: &[&DeliveryFacts], end: End) -> u32 {
    let count = attempts.iter().rev().take_while(|facts| end_of(facts) == end).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}
