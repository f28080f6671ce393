//! What a preflight adds up to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{Currency, HoldReason, SessionId, SkipReason};

/// What would become of a campaign if it were launched now, alone on its numbers.
///
/// `audience = go + Σ blocked + Σ held`. It is what the campaign then does, as long as the provider takes
/// every message at once, says at once what it charges, and nothing that it depends on changes meanwhile:
/// consents, windows, settings, other sending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preflight {
    /// Members of the list.
    pub audience: u64,
    /// Messages that would go, some of them later.
    pub go: u64,
    /// Of these, how many from each number.
    pub by_session: BTreeMap<SessionId, u64>,
    /// Messages that would never go, by reason.
    pub blocked: BTreeMap<SkipReason, u64>,
    /// Messages that would wait before they go or are blocked, by reason. One that waits for two reasons
    /// counts once in each.
    pub waits: BTreeMap<HoldReason, Waiting>,
    /// Messages that would still wait at the end of the forecast, by reason.
    pub held: BTreeMap<HoldReason, u64>,
    /// What the messages that go would cost, in micros by currency; none where all of them are free.
    pub cost: BTreeMap<Currency, i64>,
    /// Messages that would go at a price that nobody knows.
    pub unpriced: u64,
    /// When the first would leave; `None` when none goes.
    pub starts_at: Option<DateTime<Utc>>,
    /// When the last would leave.
    pub ends_at: Option<DateTime<Utc>>,
}

/// Messages that would wait for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many.
    pub messages: u64,
    /// The latest instant until which one of them would wait before it is looked at again.
    pub until: DateTime<Utc>,
}

impl Preflight {
    /// Whether nothing is left that has not been counted.
    pub(super) fn is_complete(&self) -> bool {
        self.audience == self.go + self.blocked.values().sum::<u64>() + self.held.values().sum::<u64>()
    }

    pub(super) fn waits(&mut self, why: HoldReason, messages: u64, until: DateTime<Utc>) {
        let waiting = self.waits.entry(why).or_insert(Waiting { messages: 0, until });
        waiting.messages += messages;
        waiting.until = waiting.until.max(until);
    }
}
