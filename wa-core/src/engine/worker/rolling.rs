//! Handing sessions over to other workers, one at a time.
//!
//! Invariant: a session is given back when nothing of it waits, is under way or is not settled, so that its
//! next owner may send at once. Until then its lease is kept and nothing more of it begins.

use super::{APART, Micros, Worker, whole};
use crate::engine::job::{Job, LeaseRound};
use crate::model::SessionId;
use crate::rules::spread::{Candidate, Step, given_up};

/// How many times a wait for a taker a worker rests after one in vain, before it gives another one up.
const REST: u64 = 6;

/// What a worker knows about sessions that change hands.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    leaving: Option<Leaving>,
    /// The session that is just being given back.
    giving: Option<SessionId>,
    /// The round of leasing under way began before a session was given back: it counts it still.
    outdated: bool,
    /// Since when sessions have been free that others should take.
    free_since: Option<Micros>,
    /// Nothing is given up before.
    rest_until: Micros,
    /// How many sessions have come.
    came: u64,
}

/// A session on its way out.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    session: SessionId,
    /// How many outcomes had been noted when its last one was.
    last: Option<u64>,
}

impl Rolling {
    /// The place of a session that comes now among all that ever came.
    pub(super) const fn next_place(&mut self) -> u64 {
        self.came += 1;
        self.came
    }
}

impl Worker {
    /// A round of leasing as of now.
    pub(super) fn lease_round(&mut self, now: Micros) -> Job {
        let wait = whole(self.config.handover_wait);
        let overdue = self.rolling.free_since.is_some_and(|since| since.saturating_add(wait) <= now);
        if overdue {
            self.rolling.rest_until = now.saturating_add(wait.saturating_mul(REST));
        }
        let most = if self.stopping { 0 } else { self.config.max_sessions };
        let (lease, within) = (self.config.lease, self.config.under_way());
        Job::Lease(LeaseRound { scope: self.scope(), lease, most, overdue, within })
    }

    /// Takes in what the rule said, and what was free when this worker had taken its part.
    pub(super) fn balance(&mut self, step: Step, left: u32, now: Micros) {
        let wait = whole(self.config.handover_wait);
        if left == 0 {
            self.rolling.free_since = None;
        } else {
            let overdue_at = self.rolling.free_since.get_or_insert(now).saturating_add(wait);
            // Whoever should take them does so soon; for what stays free for long the heartbeat is enough.
            if now < overdue_at {
                self.look_again(now);
                self.lease.not_after(Some(overdue_at));
            }
        }
        let outdated = std::mem::take(&mut self.rolling.outdated);
        match step {
            Step::Stay => {}
            Step::Expect => self.look_again(now),
            Step::Give if outdated => {}
            Step::Give => self.give_one_up(now),
        }
    }

    fn look_again(&mut self, now: Micros) {
        self.lease.not_after(Some(now.saturating_add(whole(self.config.poll_every).max(APART))));
    }

    fn give_one_up(&mut self, now: Micros) {
        let is_giving = self.rolling.leaving.is_some() || self.rolling.giving.is_some();
        if self.stopping || is_giving || now < self.rolling.rest_until {
            return;
        }
        let candidates = self.held.iter().map(|(id, held)| Candidate {
            session: *id,
            is_idle: !held.has_work() && !self.book.is_sending(*id),
            came: held.came,
        });
        let Some(session) = given_up(candidates) else { return };
        tracing::info!(%session, "handing the session over: another worker holds fewer");
        self.rolling.leaving = Some(Leaving { session, last: None });
        if let Some(held) = self.held.get_mut(&session) {
            held.leaving = true;
        }
    }

    /// The job that gives a session back, once nothing of it is open.
    pub(super) fn hand_over(&mut self, now: Micros) -> Option<Job> {
        let Leaving { session, last } = self.rolling.leaving?;
        let Some(held) = self.held.get(&session) else {
            self.rolling.leaving = None;
            return None;
        };
        let is_busy = held.gate.len() > 0 || self.book.is_sending(session);
        if self.turning || is_busy || !self.abandoning.is_empty() {
            return None;
        }
        // What it noted last is stored when everything up to there is.
        let last = last.unwrap_or_else(|| self.book.noted());
        if self.book.settled() < last {
            self.rolling.leaving = Some(Leaving { session, last: Some(last) });
            return None;
        }
        let scope = self.scope();
        let held = self.held.remove(&session)?;
        self.rolling.leaving = None;
        self.rolling.giving = Some(session);
        Some(Job::Release(session, held.planner.pass_on(now), scope))
    }

    /// Takes in that a session was given back, or not.
    pub(super) fn handed_over(&mut self, session: SessionId, now: Micros) {
        if self.rolling.giving == Some(session) {
            self.rolling.giving = None;
            self.rolling.outdated = self.lease.is_running();
            self.lease.not_after(Some(now.saturating_add(APART)));
        }
    }
}
