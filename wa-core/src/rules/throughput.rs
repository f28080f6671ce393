//! The throughput of a number: a ring of the latest release instants.
//!
//! Exact by construction: a release is allowed only when the N-th last one lies at least a window
//! back, so no window ever holds more than N. Releases are paced evenly beside that, so that a
//! second's share does not leave in one clump.
//!
//! Source: Meta, Throughput, read May 2026: 80 messages a second by default, up to 1,000.

use std::collections::VecDeque;

use crate::model::Throughput;

/// A microsecond count on one monotonic clock.
pub type Micros = u64;

/// One second and a margin: the network bunches requests up a little, and the provider counts arrivals.
const WINDOW: Micros = 1_000_000 + MARGIN;
const MARGIN: Micros = 5_000;
/// The highest throughput that there is: no window holds more.
const MOST: usize = 10_000;

/// The latest releases of one number.
///
/// ```
/// use wa_core::{model::Throughput, rules::throughput::Ring};
/// let mut ring = Ring::new(Throughput::try_from(2)?);
/// assert_eq!(ring.next_at(0), 0);
/// ring.release(0);
/// assert!(ring.next_at(0) > 0); // paced: the second one waits for its place
/// # Ok::<(), wa_core::model::ValueError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ring {
    per_second: u32,
    /// In order. All that a window ending now can hold, also from before the limit was lowered.
    releases: VecDeque<Micros>,
    /// Nothing goes before this, whatever the limit becomes.
    shut_until: Micros,
    /// Where the even schedule stands: the instant at which the latest release was due.
    schedule: Option<Micros>,
}

impl Ring {
    /// An idle ring.
    #[must_use]
    pub fn new(throughput: Throughput) -> Self {
        Self { per_second: throughput.per_second(), releases: VecDeque::new(), shut_until: 0, schedule: None }
    }

    /// A ring that counts as full at `now`: after a takeover nobody knows what was just released.
    #[must_use]
    pub fn full(throughput: Throughput, now: Micros) -> Self {
        let mut ring = Self::new(throughput);
        ring.releases.extend(std::iter::repeat_n(now, ring.capacity()));
        ring.shut_until = now.saturating_add(WINDOW);
        ring.schedule = Some(now);
        ring
    }

    /// The limit.
    #[must_use]
    pub const fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Changes the limit; what was released stays counted.
    pub fn set(&mut self, throughput: Throughput) {
        self.per_second = throughput.per_second();
        self.trim();
    }

    /// Notes a release that was made before this ring, oldest first.
    pub fn restore(&mut self, at: Micros) {
        self.push(at);
        self.schedule = Some(at);
    }

    /// Counts something else that used the number up at `at`; the even pace goes on as it was.
    pub fn count(&mut self, at: Micros) {
        self.push(at);
    }

    /// The earliest instant from `now` on at which one more may be released.
    #[must_use]
    pub fn next_at(&self, now: Micros) -> Micros {
        let paced = self.schedule.map_or(now, |due| due.saturating_add(self.interval()));
        now.max(paced).max(self.window_end()).max(self.latest())
    }

    /// Notes a release at `at`, which must not lie before [`next_at`](Self::next_at).
    pub fn release(&mut self, at: Micros) {
        debug_assert!(at >= self.window_end(), "released before its time");
        // The schedule goes on from where it should have been, so that a timer that wakes late
        // costs nothing; but it never lags by more than the slack, so that idleness saves nothing up.
        let due = self.schedule.map_or(at, |due| due.saturating_add(self.interval()));
        self.schedule = Some(due.max(at.saturating_sub(self.slack())));
        self.push(at);
    }

    /// The releases that still count at `now`, oldest first.
    pub fn recent(&self, now: Micros) -> impl Iterator<Item = Micros> + '_ {
        self.releases.iter().copied().filter(move |at| at.saturating_add(WINDOW) > now)
    }

    fn push(&mut self, at: Micros) {
        self.releases.push_back(at.max(self.latest()));
        self.trim();
    }

    fn trim(&mut self) {
        // What lies within a window of the latest release stays even above the limit: after a
        // back-off the limit rises again, and then these count.
        let past = self.latest().saturating_sub(WINDOW);
        while self.releases.len() > MOST
            || (self.releases.len() > self.capacity() && self.releases.front().is_some_and(|at| *at <= past))
        {
            self.releases.pop_front();
        }
    }

    fn capacity(&self) -> usize {
        usize::try_from(self.per_second).unwrap_or(usize::MAX)
    }

    fn window_end(&self) -> Micros {
        let nth_last = self.releases.len().checked_sub(self.capacity());
        let ring = nth_last.and_then(|place| self.releases.get(place));
        ring.map_or(0, |at| at.saturating_add(WINDOW)).max(self.shut_until)
    }

    fn latest(&self) -> Micros {
        self.releases.back().copied().unwrap_or(0)
    }

    fn interval(&self) -> Micros {
        WINDOW / Micros::from(self.per_second)
    }

    /// How far a release may run behind its place in the schedule and still be caught up on.
    fn slack(&self) -> Micros {
        self.interval().max(2_000)
    }
}
