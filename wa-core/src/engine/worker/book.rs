//! The worker's books: requests under way, outcomes not yet stored, and what recurs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{EngineConfig, whole};
use crate::model::{AttemptKey, SessionId};
use crate::port::store::AttemptFact;
use crate::rules::throughput::Micros;

/// Whose a request under way is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) session: SessionId,
    pub(super) epoch: u64,
    /// [`Recipient::key`](crate::model::Recipient::key).
    pub(super) recipient: u64,
}

/// Requests under way and outcomes that are not in the store yet.
#[derive(Debug, Default)]
pub(super) struct Book {
    sending: BTreeMap<AttemptKey, Sent>,
    facts: Vec<AttemptFact>,
    /// How many outcomes were ever noted.
    noted: u64,
    first_at: Micros,
    last_at: Micros,
    /// After a settle that failed: not tried again before this instant.
    again_at: Option<Micros>,
}

impl Book {
    pub(super) fn left(&mut self, attempt: AttemptKey, sent: Sent) {
        self.sending.insert(attempt, sent);
    }

    pub(super) fn came_back(&mut self, attempt: AttemptKey) -> Option<Sent> {
        self.sending.remove(&attempt)
    }

    pub(super) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Whether requests of a session are under way.
    pub(super) fn is_sending(&self, session: SessionId) -> bool {
        self.sending.values().any(|sent| sent.session == session)
    }

    /// How many outcomes were ever noted.
    pub(super) const fn noted(&self) -> u64 {
        self.noted
    }

    /// How many of them, the oldest, are in the store; while no turn is under way.
    pub(super) fn settled(&self) -> u64 {
        self.noted - u64::try_from(self.facts.len()).unwrap_or(u64::MAX).min(self.noted)
    }

    pub(super) fn note(&mut self, fact: AttemptFact, now: Micros) {
        if self.facts.is_empty() {
            self.first_at = now;
        }
        self.last_at = now;
        self.noted += 1;
        self.facts.push(fact);
    }

    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// Takes the oldest outcomes out.
    pub(super) fn take(&mut self, count: usize, now: Micros) -> Vec<AttemptFact> {
        let rest = self.facts.split_off(count.min(self.facts.len()));
        self.first_at = now;
        std::mem::replace(&mut self.facts, rest)
    }

    /// Puts outcomes back that could not be stored; they are tried again after a while.
    pub(super) fn put_back(&mut self, mut facts: Vec<AttemptFact>, now: Micros) {
        facts.append(&mut self.facts);
        self.facts = facts;
        self.again_at = Some(now.saturating_add(500_000));
    }

    /// Notes that outcomes were stored.
    pub(super) fn stored(&mut self) {
        self.again_at = None;
    }

    /// Whether the latest settle failed.
    pub(super) fn is_troubled(&self) -> bool {
        self.again_at.is_some()
    }

    /// Whether outcomes wait that may be stored now.
    pub(super) fn may_settle(&self, now: Micros) -> bool {
        !self.facts.is_empty() && self.again_at.is_none_or(|at| at <= now)
    }

    /// When the outcomes should be stored at the latest.
    pub(super) fn settle_by(&self, config: &EngineConfig) -> Option<Micros> {
        if self.facts.is_empty() {
            return None;
        }
        let idle = self.last_at.saturating_add(whole(config.settle_idle));
        let latest = self.first_at.saturating_add(whole(config.settle_latest));
        Some(self.again_at.unwrap_or_else(|| idle.min(latest)))
    }
}

/// Something that recurs, one run at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Every {
    period: Duration,
    due_at: Micros,
    running: bool,
    /// Asked for while it ran: runs again right after.
    again: Option<Micros>,
}

impl Every {
    /// Due for the first time at once.
    pub(super) const fn new(period: Duration, now: Micros) -> Self {
        Self { period, due_at: now, running: false, again: None }
    }

    /// Whether it should start now; if so it counts as running.
    pub(super) fn start(&mut self, now: Micros) -> bool {
        let starts = !self.running && self.due_at <= now;
        self.running |= starts;
        starts
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn done(&mut self, now: Micros) {
        self.running = false;
        let next = now.saturating_add(whole(self.period));
        self.due_at = self.again.take().map_or(next, |again| again.min(next));
    }

    pub(super) fn at_once(&mut self, now: Micros) {
        self.not_after(Some(now));
    }

    /// Makes it due at an instant at the latest.
    pub(super) fn not_after(&mut self, at: Option<Micros>) {
        let Some(at) = at else { return };
        if self.running {
            self.again = Some(self.again.map_or(at, |again| again.min(at)));
        } else {
            self.due_at = self.due_at.min(at);
        }
    }

    pub(super) fn next_at(&self) -> Option<Micros> {
        (!self.running).then_some(self.due_at)
    }
}
