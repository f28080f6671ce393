//! Source of the claims: Meta, Throughput: so many messages in any second, in and out.
//!
//! The judge here is a recount over the instants of all releases; it knows nothing of the ring.

use std::collections::VecDeque;

use proptest::prelude::*;
use wa_core::model::Throughput;
use wa_core::rules::throughput::{Micros, Ring};

const SECOND: Micros = 1_000_000;

fn per_second(limit: u32) -> Throughput {
    Throughput::try_from(limit).expect("a throughput")
}

/// The most releases in any window `[t, t + length)`.
fn most_within(releases: &[Micros], length: Micros) -> usize {
    let mut window = VecDeque::new();
    let mut most = 0;
    for at in releases {
        while window.front().is_some_and(|first| first + length <= *at) {
            window.pop_front();
        }
        window.push_back(*at);
        most = most.max(window.len());
    }
    most
}

/// What a client does that wakes up now and then, late by chance, and releases all it may.
fn drain(ring: &mut Ring, wake_ups: impl IntoIterator<Item = Micros>) -> Vec<Micros> {
    let mut releases = Vec::new();
    for now in wake_ups {
        while ring.next_at(now) <= now {
            ring.release(now);
            releases.push(now);
        }
    }
    releases
}

/// A word that looks random, from a seed.
fn word(seed: u64) -> u64 {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ (word >> 31)
}

#[test]
fn a_client_that_polls_each_millisecond_gets_99_percent_and_never_more_than_all() {
    for limit in [20, 80, 1_000, 10_000_u32] {
        for lateness in [1, 400, 1_000] {
            let mut ring = Ring::new(per_second(limit));
            let seconds = 20;
            let wake_ups = (0..seconds * 1_000).map(|ms| ms * 1_000 + word(ms) % lateness);
            let releases = drain(&mut ring, wake_ups);
            let nominal = u64::from(limit) * seconds;
            let got = u64::try_from(releases.len()).expect("a count");
            println!(
                "{limit}/s, up to {lateness} µs late: {got} of {nominal}, worst second {}",
                most_within(&releases, SECOND)
            );
            assert!(got * 100 >= nominal * 99, "{limit}/s: {got} of {nominal}");
            assert!(most_within(&releases, SECOND) <= usize::try_from(limit).expect("a count"));
        }
    }
}

#[test]
fn neither_a_fresh_start_nor_a_pause_lets_a_clump_out() {
    for limit in [1, 20, 80, 1_000, 10_000_u32] {
        let mut ring = Ring::new(per_second(limit));
        let before = (0..2_500).map(|ms| ms * 1_000);
        let after = (60_000..62_500).map(|ms| ms * 1_000);
        let releases = drain(&mut ring, before.chain(after));
        // Twelve milliseconds' share: ten that are looked at, two of a late timer; and the first one.
        let share = usize::try_from(u64::from(limit) * 12 / 1_000).expect("a count") + 2;
        let worst = most_within(&releases, 10_000);
        assert!(worst <= share, "{limit}/s: {worst} in 10 ms, {share} allowed");
    }
}

#[test]
fn a_full_ring_stays_shut_for_a_second_whatever_its_limit_becomes() {
    for (before, after) in [(80, 80), (20, 80), (80, 1_000), (1_000, 20)] {
        let mut ring = Ring::full(per_second(before), 7 * SECOND);
        ring.set(per_second(after));
        assert!(ring.next_at(7 * SECOND) >= 8 * SECOND, "{before} then {after}");
        assert!(ring.next_at(7 * SECOND) <= 8 * SECOND + SECOND / 10, "{before} then {after}");
    }
}

#[test]
fn slowing_down_and_speeding_up_again_forgets_nothing() {
    for limit in [20, 80, 1_000, 10_000_u32] {
        let mut ring = Ring::new(per_second(limit));
        let mut releases = drain(&mut ring, (0..900).map(|ms| ms * 1_000));
        ring.set(per_second(1));
        ring.set(per_second(limit));
        releases.extend(drain(&mut ring, (900..3_000).map(|ms| ms * 1_000)));
        let worst = most_within(&releases, SECOND);
        assert!(worst <= usize::try_from(limit).expect("a count"), "{limit}/s: {worst} in a second");
    }
}

#[test]
fn a_ring_handed_over_goes_on_as_if_nothing_happened() {
    let mut first = Ring::new(per_second(80));
    let mut releases = drain(&mut first, (0..700).map(|ms| ms * 1_000));
    let mut second = Ring::new(per_second(80));
    for release in first.recent(700_000) {
        second.restore(release);
    }
    releases.extend(drain(&mut second, (700..3_000).map(|ms| ms * 1_000)));
    assert!(most_within(&releases, SECOND) <= 80);
}

#[derive(Debug, Clone)]
enum Step {
    /// Time goes on, and one is released at the first instant that is allowed.
    Release { after: Micros },
    /// Everything that may go at this instant goes.
    Burst { after: Micros },
    /// Nothing happens for a while.
    Idle { for_: Micros },
    /// The limit changes.
    Set { limit: u32 },
    /// The ring is handed over.
    HandOver,
}

fn any_step(limits: &'static [u32]) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_000_u64).prop_map(|after| Step::Release { after }),
        6 => (0..60_000_u64).prop_map(|after| Step::Burst { after }),
        1 => (0..3_000_000_u64).prop_map(|for_| Step::Idle { for_ }),
        1 => proptest::sample::select(limits).prop_map(|limit| Step::Set { limit }),
        1 => Just(Step::HandOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_second_ever_holds_more_than_the_limit(
        steps in proptest::collection::vec(any_step(&[1, 2, 5, 20, 80, 333, 1_000]), 1..400),
        start in prop_oneof![Just(None), (0..2_000_000_u64).prop_map(Some)],
    ) {
        let mut limit = 20;
        let mut ring = match start {
            None => Ring::new(per_second(limit)),
            Some(now) => Ring::full(per_second(limit), now),
        };
        let mut now = start.unwrap_or(0);
        let begin = now;
        // Each release with the limit that held then: the second that ends with it keeps that limit.
        let mut releases: Vec<(Micros, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Release { after } => {
                    now += after;
                    let at = ring.next_at(now);
                    prop_assert!(at >= now);
                    ring.release(at);
                    releases.push((at, limit));
                    // Sometimes the clock is read before the planned instant has come.
                    if after % 2 == 0 { now = at; }
                }
                Step::Burst { after } => {
                    now += after;
                    for _ in 0..2_000 {
                        if ring.next_at(now) > now { break; }
                        ring.release(now);
                        releases.push((now, limit));
                    }
                }
                Step::Idle { for_ } => now += for_,
                Step::Set { limit: other } => {
                    limit = other;
                    ring.set(per_second(other));
                }
                // Within its first second a full ring would hand on less than it knows.
                Step::HandOver if start.is_some() && now < begin + 2 * SECOND => {}
                Step::HandOver => {
                    let mut next = Ring::new(per_second(limit));
                    for release in ring.recent(now) {
                        next.restore(release);
                    }
                    ring = next;
                }
            }
        }
        let mut window: VecDeque<Micros> = VecDeque::new();
        let mut before = 0;
        for (at, limit) in releases {
            prop_assert!(at >= before, "a release went back in time");
            before = at;
            if start.is_some() {
                prop_assert!(at >= begin + SECOND, "released right after a takeover");
            }
            while window.front().is_some_and(|first| first + SECOND <= at) {
                window.pop_front();
            }
            window.push_back(at);
            prop_assert!(u32::try_from(window.len()).expect("a count") <= limit, "{} at {limit}/s", window.len());
        }
    }

    #[test]
    fn a_full_speed_client_never_exceeds_ten_thousand_a_second(
        gaps in proptest::collection::vec(0..5_000_u64, 500..1_500),
    ) {
        let mut ring = Ring::new(per_second(10_000));
        let mut now = 0;
        let wake_ups: Vec<Micros> = gaps.into_iter().map(|gap| { now += gap; now }).collect();
        let releases = drain(&mut ring, wake_ups);
        prop_assert!(most_within(&releases, SECOND) <= 10_000);
    }
}
