//! Clocks that keep their contract, and clocks that break one clause of it each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::from_micros;
use wa_core::port::{Clock, SystemClock};
use wa_core::testing::{ManualClock, check_clock, clock_cases};

#[test]
fn both_clocks_keep_their_contract() {
    check_clock(&SystemClock);
    let manual = ManualClock::new(from_micros(5));
    manual.set(from_micros(1));
    check_clock(&manual);
    assert_eq!(manual.now(), from_micros(1));
}

/// Gives nanoseconds, at every look or now and then.
#[derive(Debug)]
struct TooFine(AtomicU64, u64);

impl Clock for TooFine {
    fn now(&self) -> DateTime<Utc> {
        let look = self.0.fetch_add(1, Ordering::Relaxed);
        from_micros(5) + TimeDelta::nanoseconds(i64::from(look % self.1 == self.1 - 1))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Goes back at every so many looks.
#[derive(Debug)]
struct Swinging(AtomicU64, u64);

impl Clock for Swinging {
    fn now(&self) -> DateTime<Utc> {
        from_micros(5)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed) % self.1)
    }
}

#[test]
fn the_clock_suite_tells_each_fault_by_its_clause() {
    let faults: [(&str, Box<dyn Clock>); 4] = [
        ("now_is_in_whole_microseconds", Box::new(TooFine(AtomicU64::new(0), 1))),
        ("now_is_in_whole_microseconds", Box::new(TooFine(AtomicU64::new(0), 100))),
        ("monotonic_never_goes_back", Box::new(Swinging(AtomicU64::new(0), 2))),
        ("monotonic_never_goes_back", Box::new(Swinging(AtomicU64::new(0), 900))),
    ];
    let cases = clock_cases();
    for (clause, clock) in &faults {
        let is_broken = |case: &&wa_core::testing::ClockCase| {
            catch_unwind(AssertUnwindSafe(|| (case.check)(clock.as_ref()))).is_err()
        };
        let broken: Vec<&str> = cases.iter().filter(is_broken).map(|case| case.clause).collect();
        assert_eq!(broken, [*clause], "{clock:?}");
    }
    assert!(cases.iter().all(|case| faults.iter().any(|(clause, _)| *clause == case.clause)));
}
