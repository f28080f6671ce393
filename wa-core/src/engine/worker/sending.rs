//! Requests: permits that leave the gates, and outcomes that come back.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::book::Sent;
use super::{Worker, whole};
#[cfg(feature = "mutants")]
use crate::engine::mutants;
use crate::model::{AttemptKey, Outcome, SessionId};
use crate::port::store::AttemptFact;
use crate::port::{SendOutcome, SendPermit, Transport};

/// A request that the driver makes.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) permit: SendPermit,
    pub(crate) transport: Arc<dyn Transport>,
}

impl Worker {
    /// The permits that may leave now.
    pub(crate) fn release(&mut self) -> Vec<Sending> {
        let (clock, wall) = (self.ports.clock.monotonic(), self.ports.clock.now());
        let now = whole(clock);
        let mut out = Vec::new();
        let mut late = Vec::new();
        for held in self.held.values_mut() {
            // What will be too late once the number may send again is given back now.
            let hopeless = clock.max(Duration::from_micros(held.planner.idle_until()));
            late.extend(held.expired(hopeless));
        }
        // One from each number in turn: where connections are short, none takes them all.
        let mut waiting: VecDeque<_> = self.in_turn().collect();
        while self.book.sending() < self.config.concurrency
            && let Some(id) = waiting.pop_front()
        {
            let Some(held) = self.held.get_mut(&id) else { continue };
            let Some(transport) = held.transport.clone() else { continue };
            let Some(permit) = held.gate.release(&mut held.planner, now, wall) else { continue };
            let sent = Sent { session: id, epoch: held.epoch, recipient: permit.recipient().key() };
            self.book.left(permit.attempt(), sent);
            out.push(Sending { permit, transport });
            self.served = Some(id);
            waiting.push_back(id);
        }
        self.not_sent(late, wall);
        out
    }

    /// The numbers with permits that wait, from the one after the last served on.
    fn in_turn(&self) -> impl Iterator<Item = SessionId> {
        let served = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.held.range((served, Bound::Unbounded));
        let upto = self.served.map(|id| self.held.range(..=id));
        let all = later.chain(upto.into_iter().flatten());
        all.filter(|(_, held)| held.gate.len() > 0).map(|(id, _)| *id)
    }

    /// Takes the outcome of a request in.
    pub(crate) fn record(&mut self, attempt: AttemptKey, outcome: SendOutcome) {
        let (now, wall) = (self.now(), self.ports.clock.now());
        let Some(Sent { session, epoch, recipient }) = self.book.came_back(attempt) else { return };
        #[cfg(feature = "mutants")]
        let outcome = mutants::mistaken(self.ports.mutant, outcome);
        let mut held = self.held.get_mut(&session);
        // Whoever took the session anew has counted it among the recent ones.
        if let Some(held) = held.as_mut().filter(|held| held.epoch == epoch) {
            match outcome {
                SendOutcome::NotSent { .. } => held.planner.give_pair_back(recipient),
                SendOutcome::Accepted { .. }
                | SendOutcome::Ambiguous { .. }
                | SendOutcome::Rejected { .. } => {
                    held.planner.pair_left(recipient, now);
                }
            }
        }
        let (outcome, retry_after) = match outcome {
            SendOutcome::Accepted { provider_id } => (Outcome::Accepted { provider_id }, None),
            SendOutcome::Ambiguous { why } => {
                tracing::warn!(message = %attempt.message, n = attempt.n, why, "nobody knows whether it was sent");
                (Outcome::Ambiguous, None)
            }
            SendOutcome::NotSent { why } => {
                tracing::debug!(message = %attempt.message, n = attempt.n, why, "not sent");
                if let Some(held) = held {
                    // Whatever kept this one from leaving keeps the next one too.
                    held.planner.keep_quiet_until(now.saturating_add(500_000));
                }
                (Outcome::NotSent, None)
            }
            SendOutcome::Rejected { failure, retry_after } => {
                if let Some(held) = held {
                    held.rejected(failure.class, recipient, retry_after, now);
                }
                (Outcome::Rejected(failure), retry_after)
            }
        };
        self.book.note(AttemptFact { attempt, at: wall, outcome, retry_after }, now);
    }
}
