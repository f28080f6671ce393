//! The meters of WhatsApp's limits, written from Meta's pages and from nothing of this project.
//!
//! Each meter is a value over microseconds without a clock of its own. What is counted is what
//! the simulator lets pass; a refused request costs its sender nothing more.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::clock::{DAY, Micros, SECOND};

/// How many messages a number may send in a sliding second.
///
/// Source: Meta, Throughput, read May 2026: 80 messages a second by default, 1,000 after the
/// upgrade, 20 for numbers in coexistence.
#[derive(Debug)]
pub(crate) struct Throughput {
    limit: usize,
    span: Micros,
    passed: VecDeque<Micros>,
}

impl Throughput {
    /// A second less `tolerance`: what the network may have pressed together.
    pub(crate) fn new(limit: u32, tolerance: Micros) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            span: (SECOND - tolerance).max(0),
            passed: VecDeque::new(),
        }
    }

    /// Another limit holds from now on.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = usize::try_from(limit).unwrap_or(usize::MAX);
    }

    /// Lets an arrival pass and counts it, or refuses it.
    pub(crate) fn admit(&mut self, now: Micros) -> bool {
        while self.passed.front().is_some_and(|at| *at <= now - self.span) {
            self.passed.pop_front();
        }
        let room = self.passed.len() < self.limit;
        if room {
            self.passed.push_back(now);
        }
        room
    }
}

/// The pair rate: a generic cell rate per recipient of one number.
///
/// Source: Meta, About the platform, pair rate limits, read December 2025: one message in six
/// seconds to the same user; a burst of up to 45 borrows from the future.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    full_until: HashMap<Box<str>, Micros>,
    prune_at: usize,
}

const PAIR_INTERVAL: Micros = 6 * SECOND;
const PAIR_BURST: Micros = 45;

impl Pairs {
    /// Whether one more message may go to the recipient now.
    pub(crate) fn has_room(&self, recipient: &str, now: Micros, tolerance: Micros) -> bool {
        let full = self.full_until.get(recipient).copied().unwrap_or(now).max(now);
        full - now <= PAIR_INTERVAL * (PAIR_BURST - 1) + tolerance
    }

    /// Counts a message that was accepted.
    pub(crate) fn count(&mut self, recipient: &str, now: Micros) {
        if self.full_until.len() >= self.prune_at {
            self.full_until.retain(|_, until| *until > now);
            self.prune_at = self.full_until.len() * 2 + 1_024;
        }
        match self.full_until.get_mut(recipient) {
            Some(until) => *until = (*until).max(now) + PAIR_INTERVAL,
            None => {
                self.full_until.insert(recipient.into(), now + PAIR_INTERVAL);
            }
        }
    }
}

impl Pairs {
    /// A person has another name from now on.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(until) = self.full_until.remove(from) {
            let own = self.full_until.entry(to.into()).or_insert(until);
            *own = (*own).max(until);
        }
    }
}

/// The messaging limit of a portfolio: unique users outside windows in moving 24 hours.
///
/// A user who is written to again within the day stays one user, counted until 24 hours after
/// the latest message. Meta counts deliveries; the simulator counts from the acceptance on, until it
/// says that the message failed.
///
/// Source: Meta, Messaging limits, read December 2025.
#[derive(Debug, Default)]
pub(crate) struct Tier {
    limit: Option<u32>,
    until: HashMap<Box<str>, Micros>,
    by_end: BTreeSet<(Micros, Box<str>)>,
}

impl Tier {
    /// `None` is unlimited.
    pub(crate) fn new(limit: Option<u32>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The limit in force.
    pub(crate) const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Sets the limit to the lower of the two: a portfolio's numbers share one.
    pub(crate) fn narrow(&mut self, limit: Option<u32>) {
        self.limit = match (self.limit, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Another limit holds from now on; users who were written to while there was none do not count.
    pub(crate) fn set_limit(&mut self, limit: Option<u32>) {
        self.limit = limit;
    }

    /// A person has another name from now on.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(end) = self.until.remove(from) {
            self.by_end.remove(&(end, from.into()));
            let before = self.until.get(to).copied().unwrap_or(end);
            self.by_end.remove(&(before, to.into()));
            self.until.insert(to.into(), before.max(end));
            self.by_end.insert((before.max(end), to.into()));
        }
    }

    /// Whether a message to the user fits into the limit now.
    pub(crate) fn has_room(&mut self, user: &str, now: Micros) -> bool {
        self.forget(now);
        let Some(limit) = self.limit else { return true };
        self.until.contains_key(user) || self.until.len() < usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// Counts a message that was accepted; if it fails, until then.
    pub(crate) fn count(&mut self, user: &str, now: Micros, fails_at: Option<Micros>) {
        // Without a limit nothing asks, and a million users need no room.
        if self.limit.is_none() {
            return;
        }
        let before = self.until.get(user).copied();
        let end = fails_at.unwrap_or(now + DAY).max(before.unwrap_or(now));
        if let Some(before) = before {
            self.by_end.remove(&(before, user.into()));
        }
        self.until.insert(user.into(), end);
        self.by_end.insert((end, user.into()));
    }

    fn forget(&mut self, now: Micros) {
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, user)) = self.by_end.pop_first() {
                self.until.remove(&user);
            }
        }
    }
}

/// The service windows of one number: open for 24 hours from the user's latest message.
///
/// Source: Meta, Send messages, customer service windows, read December 2025.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    ends: HashMap<Box<str>, Micros>,
    prune_at: usize,
}

impl Windows {
    /// The user wrote at `at`.
    pub(crate) fn open(&mut self, user: &str, at: Micros) {
        if self.ends.len() >= self.prune_at {
            self.ends.retain(|_, end| *end > at);
            self.prune_at = self.ends.len() * 2 + 1_024;
        }
        let end = self.ends.entry(user.into()).or_insert(at + DAY);
        *end = (*end).max(at + DAY);
    }

    /// A person has another name from now on.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(end) = self.ends.remove(from) {
            let own = self.ends.entry(to.into()).or_insert(end);
            *own = (*own).max(end);
        }
    }

    /// Whether free-form messages may go to the user.
    pub(crate) fn is_open(&self, user: &str, now: Micros) -> bool {
        self.ends.get(user).is_some_and(|end| now < *end)
    }
}

/// How many marketing messages a user takes in moving 24 hours, outside windows, from one business.
///
/// Source: Meta, Per-user marketing template message limits, read December 2025. Meta's cap is
/// undisclosed and counts all businesses; the simulator's is a number.
#[derive(Debug, Default)]
pub(crate) struct MarketingCap {
    pub(crate) most: Option<u32>,
    taken: HashMap<Box<str>, VecDeque<Micros>>,
}

impl MarketingCap {
    /// Whether the user takes one more.
    pub(crate) fn has_room(&self, user: &str, now: Micros) -> bool {
        let Some(most) = self.most else { return true };
        let taken =
            self.taken.get(user).map_or(0, |taken| taken.iter().filter(|at| **at > now - DAY).count());
        taken < usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// A person has another name from now on.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(before) = self.taken.remove(from) {
            let own = self.taken.entry(to.into()).or_default();
            own.extend(before);
            own.make_contiguous().sort_unstable();
        }
    }

    /// Counts one that was taken.
    pub(crate) fn count(&mut self, user: &str, now: Micros) {
        if self.most.is_none() {
            return;
        }
        let taken = self.taken.entry(user.into()).or_default();
        while taken.front().is_some_and(|at| *at <= now - DAY) {
            taken.pop_front();
        }
        taken.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sliding_second_holds_the_limit_and_no_more() {
        let mut meter = Throughput::new(3, 0);
        assert!([0, 400_000, 999_999].into_iter().all(|at| meter.admit(at)));
        assert!(!meter.admit(999_999));
        assert!(meter.admit(SECOND), "the first has left the second");
        assert!(!meter.admit(SECOND));
    }

    #[test]
    fn the_tolerance_shortens_the_second() {
        let mut meter = Throughput::new(1, 50_000);
        assert!(meter.admit(0));
        assert!(!meter.admit(949_999));
        assert!(meter.admit(950_000));
    }

    #[test]
    fn a_pair_takes_a_burst_and_then_one_in_six_seconds() {
        let mut pairs = Pairs::default();
        for _ in 0..45 {
            assert!(pairs.has_room("a", 0, 0));
            pairs.count("a", 0);
        }
        assert!(!pairs.has_room("a", 0, 0));
        assert!(pairs.has_room("b", 0, 0));
        assert!(!pairs.has_room("a", 6 * SECOND - 1, 0));
        assert!(pairs.has_room("a", 6 * SECOND, 0));
        assert!(pairs.has_room("a", 6 * SECOND - 50_000, 50_000));
    }

    #[test]
    fn pruning_forgets_only_empty_pairs() {
        let mut pairs = Pairs::default();
        for _ in 0..45 {
            pairs.count("kept", 10 * SECOND);
        }
        for n in 0..5_000 {
            pairs.count(&n.to_string(), 17 * SECOND + n);
        }
        assert!(pairs.has_room("kept", 17 * SECOND, 0), "one interval has passed");
        pairs.count("kept", 17 * SECOND);
        assert!(!pairs.has_room("kept", 17 * SECOND, 0));
    }

    #[test]
    fn a_tier_counts_users_and_frees_them_after_a_day() {
        let mut tier = Tier::new(Some(2));
        for user in ["a", "b", "a"] {
            assert!(tier.has_room(user, 0));
            tier.count(user, 0, None);
        }
        assert!(!tier.has_room("c", DAY - 1));
        assert!(tier.has_room("a", DAY - 1));
        tier.count("a", DAY - 1, None);
        assert!(tier.has_room("c", DAY), "b has left");
        tier.count("c", DAY, None);
        assert!(!tier.has_room("b", DAY));
        assert!(tier.has_room("b", 2 * DAY - 1), "a has left");
    }

    #[test]
    fn a_user_whose_message_failed_leaves_the_tier_unless_another_counts() {
        let mut tier = Tier::new(Some(1));
        tier.count("a", 0, Some(SECOND));
        assert!(!tier.has_room("b", SECOND - 1), "it may still be delivered");
        assert!(tier.has_room("b", SECOND));
        tier.count("b", SECOND, None);
        tier.count("b", 2 * SECOND, Some(3 * SECOND));
        assert!(!tier.has_room("a", 3 * SECOND), "the first one to b was delivered");
        assert!(tier.has_room("a", SECOND + DAY));
    }

    #[test]
    fn a_window_closes_to_the_microsecond_and_never_shrinks() {
        let mut windows = Windows::default();
        assert!(!windows.is_open("a", 0));
        windows.open("a", 10);
        windows.open("a", 5);
        assert!(windows.is_open("a", DAY + 9));
        assert!(!windows.is_open("a", DAY + 10));
    }
}
