//! The pause between two messages of a number: a fixed part and a random one.

use super::throughput::Micros;
use crate::model::Gap;

/// How long the pause after a message is; the random word `chance` spreads it evenly.
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
