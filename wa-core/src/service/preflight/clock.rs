//! The forecast's own clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::whole_micros;
use crate::port::Clock;

/// Shows an instant that only the forecast moves.
#[derive(Debug)]
pub(super) struct VirtualClock {
    start: DateTime<Utc>,
    passed: AtomicU64,
}

impl VirtualClock {
    pub(super) fn at(start: DateTime<Utc>) -> Self {
        Self { start: whole_micros(start), passed: AtomicU64::new(0) }
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.passed.fetch_add(by, Ordering::Relaxed);
    }

    /// Moves on to an instant; one that is past changes nothing.
    pub(super) fn move_to(&self, at: DateTime<Utc>) {
        self.advance((at - self.now()).to_std().unwrap_or_default());
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.monotonic()).unwrap_or(TimeDelta::MAX);
        self.start.checked_add_signed(passed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.passed.load(Ordering::Relaxed))
    }
}
