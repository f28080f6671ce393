//! Slowing down after a throttle (130429 and its like), and recovering.
//!
//! Halve on a throttle, at most once per pause; then gain a tenth of the nominal rate each second.
//! The provider says nothing about how much is too much, so the rate is found from below.

use std::time::Duration;

use super::throughput::Micros;
use crate::model::Throughput;

/// How far a number is slowed down.
///
/// ```
/// use wa_core::{model::Throughput, rules::adapt::Backoff};
/// let nominal = Throughput::DEFAULT;
/// let mut backoff = Backoff::default();
/// assert_eq!(backoff.effective(nominal, 0), nominal);
/// backoff.throttled(0, None);
/// assert_eq!(backoff.effective(nominal, 0).per_second(), 40);
/// assert_eq!(backoff.hold_until(), 1_000_000);
/// assert_eq!(backoff.effective(nominal, 6_000_000), nominal);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Thousandths of the nominal rate at `hold_until`.
    level: u32,
    hold_until: Micros,
}

const FULL: u32 = 1_000;
const FLOOR: u32 = 50;
const PAUSE: Duration = Duration::from_secs(1);

impl Default for Backoff {
    fn default() -> Self {
        Self { level: FULL, hold_until: 0 }
    }
}

impl Backoff {
    /// Notes a throttle. Those that come while one holds belong to the same overload and count once.
    pub fn throttled(&mut self, now: Micros, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(PAUSE).clamp(PAUSE, Duration::from_secs(3_600));
        let until = now.saturating_add(Micros::try_from(pause.as_micros()).unwrap_or(Micros::MAX));
        if now >= self.hold_until {
            self.level = (self.level_at(now) / 2).max(FLOOR);
        }
        self.hold_until = self.hold_until.max(until);
    }

    /// Nothing is released before.
    #[must_use]
    pub const fn hold_until(&self) -> Micros {
        self.hold_until
    }

    /// The rate at `now`, at least 1 a second.
    #[must_use]
    pub fn effective(&self, nominal: Throughput, now: Micros) -> Throughput {
        let level = self.level_at(now);
        let rate = u64::from(nominal.per_second()) * u64::from(level) / u64::from(FULL);
        u32::try_from(rate.max(1)).ok().and_then(|rate| Throughput::try_from(rate).ok()).unwrap_or(nominal)
    }

    fn level_at(&self, now: Micros) -> u32 {
        let seconds = now.saturating_sub(self.hold_until) / 1_000_000;
        let gained = u32::try_from(seconds.saturating_mul(100)).unwrap_or(FULL);
        self.level.saturating_add(gained).min(FULL)
    }
}
