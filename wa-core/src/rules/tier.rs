//! The messaging limit of a portfolio: unique people written to outside windows in 24 hours.
//!
//! Source: Meta, Messaging limits, read December 2025: 250, 2,000, 10,000, 100,000 or unlimited
//! unique users per moving 24 hours and business portfolio, open windows not counted.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a slot is taken: the moving day, and a guard for the skew between two clocks.
pub const SLOT: TimeDelta = TimeDelta::seconds(24 * 3_600 + 60);

/// What the store knows of a portfolio's slots when a message is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierFacts {
    /// The limit, or `None` for unlimited.
    pub limit: Option<u32>,
    /// Slots taken now, this batch's included.
    pub used: u32,
    /// Whether this recipient has one.
    pub has_slot: bool,
    /// When the next slot frees up.
    pub next_free_at: Option<DateTime<Utc>>,
}

/// What the limit says about one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierVerdict {
    /// It needs no new slot.
    Free,
    /// It takes a slot.
    Take,
    /// None is left.
    Full {
        /// When one frees up.
        until: DateTime<Utc>,
    },
}

/// Decides whether a message may go, and whether it takes a slot.
#[must_use]
pub fn check(facts: &TierFacts, window_open: bool, now: DateTime<Utc>) -> TierVerdict {
    let Some(limit) = facts.limit else { return TierVerdict::Free };
    if window_open || facts.has_slot {
        return TierVerdict::Free;
    }
    if facts.used < limit {
        return TierVerdict::Take;
    }
    let soon = now + TimeDelta::seconds(1);
    TierVerdict::Full { until: facts.next_free_at.map_or(soon, |free_at| free_at.max(soon)) }
}

/// Whether a message keeps a slot taken that its recipient has: who is written to again outside the
/// window stays counted for another day.
#[must_use]
pub const fn relies(facts: &TierFacts, window_open: bool) -> bool {
    facts.limit.is_some() && facts.has_slot && !window_open
}
