//! How fast a number sent, beside how fast it was allowed to.
//!
//! Source: Meta, Throughput, read May 2026. Only the throughput is in `allowed`: what windows,
//! pairs, tiers or quiet hours held back was no demand, and a test says so by its spans.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::clock::{Micros, SECOND, instant};

/// How fast a number sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pace {
    /// Sends that the throughput meter let pass.
    pub passed: u64,
    /// The first of them.
    pub first: Option<DateTime<Utc>>,
    /// The last of them.
    pub last: Option<DateTime<Utc>>,
    /// The most in any sliding second.
    pub busiest_second: u64,
    /// How long the number was busy, in microseconds: spans without a pause of more than five seconds.
    pub busy_micros: i64,
    /// The mean over the busy spans, in thousandths of a message per second.
    pub mean_per_1000_seconds: u64,
    /// How long there was demand, holds taken out, in microseconds.
    pub demand_micros: i64,
    /// Sends that passed while there was demand and no hold.
    pub achieved: u64,
    /// How many the throughput allowed meanwhile.
    pub allowed: u64,
}

impl Pace {
    /// What share of the allowed was achieved, in thousandths; none when nothing was allowed.
    #[must_use]
    pub fn achieved_permille(&self) -> Option<u64> {
        self.achieved.saturating_mul(1_000).checked_div(self.allowed)
    }
}

/// The record of one number.
#[derive(Debug, Default)]
pub(crate) struct Track {
    passed: Vec<Micros>,
    second: VecDeque<Micros>,
    busiest: usize,
    /// From when on which throughput holds.
    limits: Vec<(Micros, u32)>,
    /// When the number could not send, by the simulator's doing.
    holds: Vec<(Micros, Micros)>,
    demand: Vec<(Micros, Micros)>,
}

const PAUSE: Micros = 5 * SECOND;

impl Track {
    pub(crate) fn new(throughput: u32) -> Self {
        Self { limits: vec![(Micros::MIN, throughput)], ..Self::default() }
    }

    /// A send has passed the meter.
    pub(crate) fn pass(&mut self, at: Micros) {
        self.passed.push(at);
        while self.second.front().is_some_and(|before| *before <= at - SECOND) {
            self.second.pop_front();
        }
        self.second.push_back(at);
        self.busiest = self.busiest.max(self.second.len());
    }

    /// Nothing could be sent in this span.
    pub(crate) fn hold(&mut self, from: Micros, until: Micros) {
        self.holds.push((from, until));
    }

    /// There was something to send in this span.
    pub(crate) fn demand(&mut self, from: Micros, until: Micros) {
        self.demand.push((from, until));
    }

    /// Another throughput holds.
    pub(crate) fn limit(&mut self, from: Micros, throughput: u32) {
        self.limits.push((from, throughput));
    }

    pub(crate) fn report(&self) -> Pace {
        let (Some(first), Some(last)) = (self.passed.first().copied(), self.passed.last().copied()) else {
            return Pace::default();
        };
        let mut busy = 0;
        for (before, after) in self.passed.iter().zip(self.passed.iter().skip(1)) {
            let gap = after - before;
            busy += if gap > PAUSE { self.slot(*before) } else { gap };
        }
        busy += self.slot(last);
        let demand =
            if self.demand.is_empty() { vec![(first, last + self.slot(last))] } else { merged(&self.demand) };
        let open = without(&demand, &merged(&self.holds));
        let allowed: i128 = open.iter().map(|span| self.allowed(*span)).sum();
        let inside = |at: &&Micros| open.iter().any(|(from, until)| (*from..*until).contains(*at));
        Pace {
            passed: count(self.passed.len()),
            first: Some(instant(first)),
            last: Some(instant(last)),
            busiest_second: count(self.busiest),
            busy_micros: busy,
            mean_per_1000_seconds: u64::try_from(
                i128::from(count(self.passed.len())) * 1_000 * i128::from(SECOND) / i128::from(busy.max(1)),
            )
            .unwrap_or(u64::MAX),
            demand_micros: open.iter().map(|(from, until)| until - from).sum(),
            achieved: count(self.passed.iter().filter(inside).count()),
            allowed: u64::try_from(allowed / i128::from(SECOND)).unwrap_or(u64::MAX),
        }
    }

    /// The time that one message takes at the throughput in force.
    fn slot(&self, at: Micros) -> Micros {
        let limit = self.limits.iter().rfind(|(from, _)| *from <= at).map_or(1, |(_, limit)| *limit);
        SECOND / Micros::from(limit.max(1))
    }

    /// Messages times microseconds per second: the integral of the throughput.
    fn allowed(&self, (from, until): (Micros, Micros)) -> i128 {
        let ends = self.limits.iter().skip(1).map(|(from, _)| *from).chain([Micros::MAX]);
        self.limits
            .iter()
            .zip(ends)
            .map(|((begin, limit), end)| {
                let length = until.min(end).saturating_sub(from.max(*begin)).max(0);
                i128::from(length) * i128::from(*limit)
            })
            .sum()
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// The spans in order, without overlaps.
fn merged(spans: &[(Micros, Micros)]) -> Vec<(Micros, Micros)> {
    let mut sorted: Vec<_> = spans.iter().copied().filter(|(from, until)| from < until).collect();
    sorted.sort_unstable();
    let mut merged: Vec<(Micros, Micros)> = Vec::new();
    for (from, until) in sorted {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = (*end).max(until),
            _ => merged.push((from, until)),
        }
    }
    merged
}

/// What is left of the spans outside the holds; both are in order and without overlaps.
fn without(spans: &[(Micros, Micros)], holds: &[(Micros, Micros)]) -> Vec<(Micros, Micros)> {
    let mut left = Vec::new();
    for (mut from, until) in spans.iter().copied() {
        for (begin, end) in holds.iter().copied() {
            if end <= from || begin >= until {
                continue;
            }
            if from < begin {
                left.push((from, begin));
            }
            from = from.max(end);
        }
        if from < until {
            left.push((from, until));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_pace_at_the_limit_achieves_what_was_allowed() {
        let mut track = Track::new(10);
        (0..100).for_each(|n| track.pass(n * 100_000));
        let pace = track.report();
        assert_eq!((pace.passed, pace.achieved, pace.allowed), (100, 100, 100));
        assert_eq!((pace.busiest_second, pace.mean_per_1000_seconds), (10, 10_000));
        assert_eq!(pace.achieved_permille(), Some(1_000));
    }

    #[test]
    fn a_pause_is_allowed_for_unless_it_was_a_hold_or_no_demand() {
        let mut track = Track::new(10);
        (0..100).for_each(|n| track.pass(n * 100_000));
        (0..100).for_each(|n| track.pass(20 * SECOND + n * 100_000));
        assert_eq!(track.report().achieved_permille(), Some(666));
        assert_eq!(track.report().busy_micros, 20 * SECOND);
        let mut held = Track::new(10);
        held.passed = track.passed.clone();
        held.hold(10 * SECOND, 20 * SECOND);
        held.hold(10 * SECOND, 12 * SECOND);
        assert_eq!(held.report().achieved_permille(), Some(1_000));
        track.demand(0, 10 * SECOND);
        track.demand(20 * SECOND, 40 * SECOND);
        assert_eq!((track.report().allowed, track.report().achieved), (300, 200));
    }

    #[test]
    fn another_throughput_counts_from_its_instant_on() {
        let mut track = Track::new(10);
        track.limit(SECOND, 100);
        track.pass(0);
        track.demand(0, 2 * SECOND);
        assert_eq!(track.report().allowed, 110);
    }
}
