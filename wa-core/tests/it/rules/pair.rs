//! Source of the claims: Meta, pair rate limits: one message in six seconds to the same user, up
//! to 45 at once, 4^X seconds after a refusal. The oracle is `governor`, whose cell rate is Meta's model.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use proptest::prelude::*;
use wa_core::rules::pair::{BURST, INTERVAL, Meter, UnderWay, backoff_seconds};
use wa_core::rules::throughput::Micros;

/// A clock for the oracle that the test moves.
#[derive(Debug, Clone, Default)]
struct TestClock(Rc<Cell<u64>>);

/// An instant of [`TestClock`], in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl Clock for TestClock {
    type Instant = Tick;
    fn now(&self) -> Tick {
        Tick(self.0.get())
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Duration::from_micros(self.0.saturating_sub(earlier.0)).into()
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(micros(duration.into())))
    }
}

impl std::ops::Add<Nanos> for Tick {
    type Output = Self;
    fn add(self, span: Nanos) -> Self {
        Self(self.0 + micros(span.into()))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("a short span")
}

proptest! {
    #[test]
    fn the_meter_decides_as_governor_does(
        asks in proptest::collection::vec((0..3_u64, prop_oneof![0..2_000_u64, 0..9_000_000_u64, 0..400_000_000_u64]), 1..300),
    ) {
        let clock = TestClock::default();
        let quota = Quota::with_period(Duration::from_secs(6)).expect("a period")
            .allow_burst(NonZeroU32::new(45).expect("not 0"));
        let oracle: RateLimiter<u64, _, _, NoOpMiddleware<Tick>> =
            RateLimiter::new(quota, HashMapStateStore::<u64>::default(), clock.clone());
        let mut meters = [Meter::default(); 3];
        let mut now: Micros = 0;
        for (pair, after) in asks {
            now += after;
            clock.0.set(now);
            let meter = &mut meters[usize::try_from(pair).expect("small")];
            let next = meter.next_at(now);
            match oracle.check_key(&pair) {
                Ok(()) => {
                    prop_assert_eq!(next, now);
                    meter.take(now);
                }
                Err(wait) => prop_assert_eq!(next - now, micros(wait.wait_time_from(Tick(now)))),
            }
        }
    }

    #[test]
    fn no_interval_holds_more_than_the_burst_and_its_share(
        gaps in proptest::collection::vec(prop_oneof![3 => Just(0_u64), 2 => 0..7_000_000_u64, 1 => 0..600_000_000_u64], 1..250),
    ) {
        let mut meter = Meter::default();
        let mut now = 0;
        let mut taken: Vec<Micros> = Vec::new();
        for gap in gaps {
            now = meter.next_at(now + gap);
            meter.take(now);
            taken.push(now);
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let count = u64::try_from(last - first + 1).expect("a count");
                prop_assert!(count <= BURST + (to - from) / INTERVAL, "{count} in {} µs", to - from);
            }
        }
    }

    #[test]
    fn whenever_messages_under_way_arrive_nobody_is_refused(
        within in prop_oneof![Just(1_u64), 0..40_000_000_u64],
        steps in proptest::collection::vec(
            (prop_oneof![4 => 0..1_000_u64, 2 => 0..7_000_000_u64, 1 => 0..90_000_000_u64], 0..=1_000_u64, 0..=1_000_u64),
            1..250,
        ),
    ) {
        let mut meter = Meter::default();
        // When each arrives, and when that is known.
        let (mut under_way, mut arrivals): (Vec<(Micros, Micros)>, Vec<Micros>) = (Vec::new(), Vec::new());
        let mut now: Micros = 0;
        let mut let_go = 0;
        for (gap, arrives, known) in steps {
            now += gap;
            under_way.sort_by_key(|(_, known)| *known);
            while let Some((_, known)) = under_way.first().copied().filter(|(_, known)| *known <= now) {
                under_way.remove(0);
                meter.take(known);
            }
            let others = UnderWay { count: under_way.len().try_into().expect("few"), within };
            if meter.next_beside(others, now) <= now {
                let_go += 1;
                let arrived = now + within * arrives / 1_000;
                let end = now + within;
                arrivals.push(arrived);
                under_way.push((arrived, arrived + (end - arrived) * known / 1_000));
            }
        }
        prop_assert!(let_go > 0);
        arrivals.sort_unstable();
        let mut provider = Meter::default();
        for at in arrivals {
            prop_assert_eq!(provider.next_at(at), at, "the provider refuses one");
            provider.take(at);
        }
    }

    #[test]
    fn a_held_pair_gets_nothing_before_its_time(
        taken in 0..45_u64, wait in 0..3_600_000_000_u64, others in 0..50_u64, now in 0..1_000_000_u64,
    ) {
        let mut meter = Meter::default();
        for _ in 0..taken {
            meter.take(now);
        }
        let until = now + wait;
        meter.hold(until);
        prop_assert!(meter.next_at(now) >= until);
        let others = UnderWay { count: others, within: 1 };
        prop_assert!(meter.next_beside(others, now) >= until);
        prop_assert!(wait == 0 || !meter.is_empty(now));
    }

    #[test]
    fn an_empty_meter_says_the_same_as_none(
        gaps in proptest::collection::vec(0..20_000_000_u64, 0..50), later in 0..600_000_000_u64,
    ) {
        let mut meter = Meter::default();
        let mut now = 0;
        for gap in gaps {
            now = meter.next_at(now + gap);
            meter.take(now);
        }
        now += later;
        if meter.is_empty(now) {
            let mut fresh = Meter::default();
            for _ in 0..50 {
                prop_assert_eq!(meter.next_at(now), fresh.next_at(now));
                meter.take(now);
                fresh.take(now);
            }
        }
    }
}

#[test]
fn after_a_hold_a_pair_goes_on_one_by_one() {
    let mut meter = Meter::default();
    meter.hold(10 * INTERVAL);
    meter.take(10 * INTERVAL);
    assert_eq!(meter.next_at(10 * INTERVAL), 11 * INTERVAL);
}

#[test]
fn a_shorter_hold_does_not_shorten_a_longer_one() {
    let mut meter = Meter::default();
    meter.hold(20 * INTERVAL);
    meter.hold(10 * INTERVAL);
    assert_eq!(meter.next_at(0), 20 * INTERVAL);
}

#[test]
fn the_back_off_is_a_power_of_four_and_at_most_an_hour() {
    let waits: Vec<u32> = (0..8).map(backoff_seconds).collect();
    assert_eq!(waits, [1, 4, 16, 64, 256, 1_024, 3_600, 3_600]);
    assert_eq!(backoff_seconds(u32::MAX), 3_600);
}
