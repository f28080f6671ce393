//! The pause between two messages of a number: a fixed part and one that looks like chance.

use chrono::{DateTime, Utc};

use super::chance;
use super::throughput::Micros;
use crate::model::{Gap, SessionId};

/// How long the pause after a message is; the word `chance` spreads it evenly.
///
/// ```
/// use wa_core::{model::Gap, rules::pause};
/// let gap = Gap { millis: 1_500, jitter_millis: 500 };
/// assert_eq!(pause::after(gap, 0), 1_500_000);
/// assert_eq!(pause::after(gap, u64::MAX), 2_000_000);
/// ```
#[must_use]
pub fn after(gap: Gap, chance: u64) -> Micros {
    let jitter = u128::from(gap.jitter_millis) * 1_000;
    // The upper half of the product is `jitter` scaled by `chance` as a fraction of 2^64.
    let part = ((jitter + 1) * u128::from(chance)) >> 64;
    Micros::from(gap.millis) * 1_000 + Micros::try_from(part).unwrap_or(0)
}

/// The word that stands for chance in the pause after a message of a campaign: another for each
/// recipient, number and day (UTC), but always the same, so that a forecast knows it.
///
/// ```
/// use wa_core::{model::{SessionId, from_micros}, rules::pause};
/// let number = SessionId::mint(from_micros(0), [7; 10]);
/// let at = from_micros(1_790_000_000_000_000);
/// assert_eq!(pause::word(number, 49_151, at), pause::word(number, 49_151, at));
/// assert_ne!(pause::word(number, 49_151, at), pause::word(number, 49_152, at));
/// ```
#[must_use]
pub fn word(session: SessionId, recipient: u64, at: DateTime<Utc>) -> u64 {
    let (high, low) = session.as_uuid().as_u64_pair();
    let day = at.timestamp().div_euclid(86_400).cast_unsigned();
    chance::mix(chance::mix(high ^ low.rotate_left(32) ^ recipient) ^ day)
}
