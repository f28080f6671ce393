//! A clock that stands still until a test moves it.

use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::whole_micros;
use crate::port::Clock;

/// A clock that stands still until a test moves it. Share it with an `Arc`.
///
/// ```
/// use std::time::Duration;
/// use wa_core::{port::Clock, testing::ManualClock};
/// let clock = ManualClock::new(wa_core::model::from_micros(1_790_000_000_000_000));
/// let before = clock.now();
/// clock.advance(Duration::from_secs(6));
/// assert_eq!((clock.now() - before).num_seconds(), 6);
/// assert_eq!(clock.monotonic(), Duration::from_secs(6));
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<(DateTime<Utc>, Duration)>);

impl ManualClock {
    /// A clock that shows this instant.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new((whole_micros(now), Duration::ZERO)))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut time = self.lock();
        time.1 += by;
        time.0 = whole_micros(time.0 + TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
    }

    /// Sets the wall clock alone, also backwards.
    pub fn set(&self, now: DateTime<Utc>) {
        self.lock().0 = whole_micros(now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (DateTime<Utc>, Duration)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}

/// A clause of the Clock seam and the check that it holds, which panics when it does not.
#[derive(Debug, Clone, Copy)]
pub struct ClockCase {
    /// The clause.
    pub clause: &'static str,
    /// The check.
    pub check: fn(&dyn Clock),
}

/// Every clause of the Clock seam.
#[must_use]
pub fn clock_cases() -> [ClockCase; 2] {
    [
        ClockCase { clause: "now_is_in_whole_microseconds", check: now_is_in_whole_microseconds },
        ClockCase { clause: "monotonic_never_goes_back", check: monotonic_never_goes_back },
    ]
}

/// Checks every clause of the Clock seam.
///
/// ```
/// wa_core::testing::check_clock(&wa_core::port::SystemClock);
/// ```
///
/// # Panics
/// When one does not hold.
pub fn check_clock(clock: &dyn Clock) {
    clock_cases().into_iter().for_each(|case| (case.check)(clock));
}

fn now_is_in_whole_microseconds(clock: &dyn Clock) {
    for _ in 0..1_000 {
        let now = clock.now();
        assert_eq!(now, whole_micros(now), "now is in whole microseconds");
    }
}

fn monotonic_never_goes_back(clock: &dyn Clock) {
    let mut before = clock.monotonic();
    for _ in 0..1_000 {
        let after = clock.monotonic();
        assert!(after >= before, "monotonic never goes back: {after:?} after {before:?}");
        before = after;
    }
}
