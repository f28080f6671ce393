//! The pair rate of a number and one recipient, as a generic cell rate.
//!
//! Source: Meta, About the platform: pair rate limits, read December 2025: one message every six
//! seconds to the same user; up to 45 at once borrow from the future; after 131056 wait 4^X
//! seconds. Meta's own model is a leaky bucket, hence GCRA with T = 6 s and a burst of 45.

use super::throughput::Micros;

/// One message every six seconds.
pub const INTERVAL: Micros = 6_000_000;
/// So many may go at once.
pub const BURST: u64 = 45;
/// How far a pair may borrow from its future.
const TOLERANCE: Micros = INTERVAL * (BURST - 1);

/// The meter of one pair: when it would be empty again, on a monotonic clock.
///
/// Sixteen bytes. A meter that is empty at `now` says the same as no meter at all.
///
/// ```
/// use wa_core::rules::pair::{Meter, BURST, INTERVAL};
/// let mut meter = Meter::default();
/// for _ in 0..BURST {
///     assert_eq!(meter.next_at(0), 0);
///     meter.take(0);
/// }
/// assert_eq!(meter.next_at(0), INTERVAL);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    empty_at: Micros,
    /// Apart from `empty_at`: what is counted later adds to the one and does not end the other.
    held_until: Micros,
}

/// Messages to one recipient of which nobody knows yet when the provider gets them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// How many.
    pub count: u64,
    /// After so long at the latest each of them is there, or never will be.
    pub within: Micros,
}

impl Meter {
    /// The earliest instant from `now` on at which one more message may go to this recipient.
    #[must_use]
    pub fn next_at(&self, now: Micros) -> Micros {
        now.max(self.empty_at.saturating_sub(TOLERANCE)).max(self.held_until)
    }

    /// The same, beside messages that are under way: whenever each of those arrives, the provider finds no more
    /// than it allows.
    ///
    /// It may be earlier once they have arrived and were counted.
    ///
    /// ```
    /// use wa_core::rules::pair::{Meter, UnderWay, INTERVAL};
    /// let beside = |count| UnderWay { count, within: 2 * INTERVAL };
    /// assert_eq!(Meter::default().next_beside(beside(42), 0), 0);
    /// // These might come twelve seconds from now, and the next one at once.
    /// assert_eq!(Meter::default().next_beside(beside(43), 0), INTERVAL);
    /// ```
    #[must_use]
    pub fn next_beside(&self, others: UnderWay, now: Micros) -> Micros {
        if others.count == 0 {
            return self.next_at(now);
        }
        let empty_at = self
            .empty_at
            .max(now.saturating_add(others.within))
            .saturating_add(INTERVAL.saturating_mul(others.count));
        Self { empty_at, held_until: self.held_until }.next_at(now)
    }

    /// Counts a message that was there at `at` at the latest.
    pub fn take(&mut self, at: Micros) {
        self.empty_at = self.empty_at.max(at).saturating_add(INTERVAL);
    }

    /// Nothing more goes before `until`: the provider said that the pair is throttled.
    ///
    /// From then on the pair goes on one by one, as if its burst were used up.
    pub fn hold(&mut self, until: Micros) {
        self.held_until = self.held_until.max(until);
        self.empty_at = self.empty_at.max(until.saturating_add(TOLERANCE));
    }

    /// Whether the meter says the same as none.
    #[must_use]
    pub const fn is_empty(&self, now: Micros) -> bool {
        self.empty_at <= now && self.held_until <= now
    }
}

/// How long to wait after the n-th refusal in a row for the pair (131056), n from 0: 4^n seconds, at most an hour.
#[must_use]
pub fn backoff_seconds(refusals: u32) -> u32 {
    4_u32.checked_pow(refusals).unwrap_or(3_600).min(3_600)
}
