//! What jobs gave: turns, pages, leases and abandoned batches, taken into the books.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::held::{Held, Skip};
use super::{APART, Micros, Worker, after};
use crate::engine::job::Leased;
use crate::engine::turn::{BatchDone, BatchOutcome, Letter, TurnDone};
use crate::model::{
    AttemptTag, BatchId, BreakerScope, Category, Chosen, HoldReason, Lane, MessageId, SessionId,
};
use crate::port::SendPermit;
use crate::port::store::{
    Abandoned, Begun, BegunBatch, DuePage, Recovered, Settled, Stopped, StoreError, StoreErrorKind,
};

impl Worker {
    /// Takes in what became of messages in doubt.
    pub(super) fn recovered(&mut self, recovered: Result<Recovered, StoreError>, now: Micros) {
        self.recover.done(now);
        match recovered {
            Ok(Recovered { resent, given_up, next_at }) => {
                self.journal_grew |= !resent.is_empty() || !given_up.is_empty();
                for (tenant, message) in &resent {
                    tracing::warn!(%tenant, %message, "nobody knows whether it was sent; it goes once more");
                }
                if !resent.is_empty() {
                    self.read_again(now);
                }
                self.recover.not_after(self.not_before_apart(next_at, now));
            }
            Err(error) => tracing::warn!(%error, "messages in doubt were not looked at"),
        }
    }

    pub(super) fn turned(&mut self, done: TurnDone, now: Micros) {
        self.turning = false;
        for (facts, result) in done.settled {
            match result {
                Ok(settled) => {
                    self.open -= facts.len();
                    self.book.stored();
                    self.settled(settled, now);
                }
                // The store will never take it; a webhook may still say what became of the message.
                Err(error) if error.kind() == StoreErrorKind::Broken && facts.len() == 1 => {
                    tracing::error!(%error, "an outcome cannot be stored; its attempt will be in doubt");
                    self.open -= facts.len();
                }
                Err(error) => {
                    tracing::warn!(%error, facts = facts.len(), "outcomes were not stored; they will be again");
                    self.book.put_back(facts, now);
                }
            }
        }
        for batch in done.begun {
            self.batch_done(batch, now);
        }
    }

    fn settled(&mut self, settled: Settled, now: Micros) {
        self.journal_grew = true;
        for attempt in settled.unknown {
            tracing::error!(message = %attempt.message, n = attempt.n, "an outcome came for an attempt that is not there");
        }
        let wall = self.ports.clock.now();
        for (_, breaker) in settled.opened {
            let (BreakerScope::Session(session) | BreakerScope::Template(session, _, _)) = &breaker.scope;
            tracing::warn!(%session, reason = breaker.reason.as_str(), code = breaker.code, "stopped by the provider");
            if let BreakerScope::Session(session) = &breaker.scope {
                // What has begun and not left would be refused too: give it back unharmed.
                let late = self.held.get_mut(session).map(Held::drain).unwrap_or_default();
                self.not_sent(late, wall);
            }
        }
        if let Some(due_at) = settled.due_at {
            let at = self.until(due_at, now);
            for held in self.held.values_mut() {
                held.lanes.iter_mut().for_each(|ahead| ahead.read.not_after(Some(at)));
            }
        }
    }

    fn batch_done(&mut self, done: BatchDone, now: Micros) {
        let BatchDone { session, epoch, batch, mut letters, asked_at, outcome } = done;
        match outcome {
            BatchOutcome::Begun(Begun::Done(begun)) => {
                self.begun((session, batch), begun, &mut letters, asked_at, now)
            }
            BatchOutcome::Begun(Begun::LeaseLost) => {
                tracing::warn!(%session, "the session is another worker's now");
                // Meanwhile it may have been taken anew; then the refusal is about a former epoch.
                if self.held.get(&session).is_some_and(|held| held.epoch == epoch) {
                    self.lose(session);
                }
            }
            BatchOutcome::Begun(Begun::UsedBatch) => {
                tracing::error!(%session, "a fresh batch id was known already");
                self.forget_ahead(session, now);
            }
            BatchOutcome::Failed(error) => {
                tracing::warn!(%session, %error, "a batch was not begun");
                self.forget_ahead(session, now);
                self.pause(session, now.saturating_add(1_000_000), HoldReason::NotSent);
            }
            BatchOutcome::Unknown(error) => {
                tracing::warn!(%session, %batch, %error, "a batch's commit is unknown; it is abandoned");
                self.open += letters.len();
                self.abandoning.push((batch, letters.len(), now));
                self.forget_ahead(session, now);
            }
        }
        // Whoever did not become an attempt gives the pair's place back.
        if let Some(held) = self.held.get_mut(&session) {
            for letter in letters.values().filter(|letter| letter.pair_taken) {
                held.planner.give_pair_back(letter.recipient.key());
            }
        }
    }

    fn begun(
        &mut self,
        (session, batch): (SessionId, BatchId),
        begun: BegunBatch,
        letters: &mut BTreeMap<MessageId, Letter>,
        asked_at: Duration,
        now: Micros,
    ) {
        self.journal_grew = true;
        self.open += begun.attempts.len();
        let start_by = asked_at + self.config.start_within;
        let wall = self.ports.clock.now();
        let mut unsent = Vec::new();
        for attempt in &begun.attempts {
            let letter = letters.remove(&attempt.key.message);
            let chosen = letter.as_ref().and_then(|letter| match attempt.content {
                Chosen::Own => letter.content.clone().zip(Some(letter.reply_to.clone())),
                // It stands in for a reply, and is none.
                Chosen::Fallback => letter.fallback.clone().zip(Some(None)),
            });
            match (self.held.get_mut(&session), letter, chosen) {
                (Some(held), Some(letter), Some((content, reply_to))) => {
                    let identity = &self.ports.identity;
                    let marketing = content.category() == Category::Marketing;
                    let permit = SendPermit::new(
                        attempt.key,
                        held.session.clone(),
                        letter.recipient,
                        content,
                        AttemptTag::new(identity.instance, attempt.key, batch, &identity.tag_key),
                        start_by,
                        self.config.request_timeout,
                    )
                    .quoting(reply_to);
                    held.gate.push((letter.lane, letter.campaign, marketing), letter.rate, permit);
                }
                // Never without content by the rules; if it were, nothing has left.
                (_, _, _) => unsent.push(attempt.key),
            }
        }
        self.not_sent(unsent, wall);
        let waits = begun.waits.iter().map(|(_, _, until)| *until).min();
        let waits = waits.map(|at| self.until(at, now));
        if self.gave_up {
            let late = self.held.get_mut(&session).map(Held::drain).unwrap_or_default();
            self.not_sent(late, wall);
        }
        for Stopped { campaign, feed_only, why, until } in &begun.stopped {
            // Whoever resumes or upgrades is asked again soon; a known end is waited for.
            let again = until.map_or(now.saturating_add(1_000_000), |at| self.until(at, now));
            let again = again.clamp(now.saturating_add(APART), now.saturating_add(self.recheck));
            match campaign {
                Some(campaign) if !is_of_all(*why) => {
                    if let Some(held) = self.held.get_mut(&session) {
                        held.skip.insert(*campaign, Skip { until: again, why: *why, feed_only: *feed_only });
                    }
                }
                Some(_) | None => self.pause(session, again, *why),
            }
        }
        if !begun.gone.is_empty() || !begun.stopped.is_empty() {
            self.forget_ahead(session, now);
        }
        if let Some(held) = self.held.get_mut(&session) {
            held.lanes.iter_mut().for_each(|ahead| ahead.read.not_after(waits));
        }
    }

    pub(super) fn read(
        &mut self,
        session: SessionId,
        lane: Lane,
        page: Result<DuePage, StoreError>,
        now: Micros,
    ) {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%session, %error, "due messages were not read");
                DuePage { at: self.ports.clock.now(), messages: Vec::new(), next_at: None, pace: None }
            }
        };
        // Counted on the store's own clock: by ours it could be due already, and again and again.
        let next_at = page.next_at.map(|at| after(at - page.at, now));
        let more = page.messages.len() >= usize::try_from(self.page()).unwrap_or(usize::MAX);
        let Some(held) = self.held.get_mut(&session) else { return };
        if let Some(pace) = &page.pace {
            let gap = held.transport.as_ref().and_then(|transport| transport.capabilities().gap);
            held.planner.set_pace(pace, gap, now);
        }
        let Some(ahead) = held.ahead(lane) else { return };
        ahead.read.done(now);
        ahead.read.not_after(next_at);
        if ahead.messages.is_empty() {
            ahead.read_at = now;
        }
        ahead.messages.extend(page.messages);
        ahead.more = more;
    }

    pub(super) fn leased(&mut self, leased: Result<Leased, StoreError>, now: Micros) {
        self.lease.done(now);
        let leased = match leased {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(%error, "leases were not prolonged");
                self.lease.not_after(Some(now.saturating_add(1_000_000)));
                return;
            }
        };
        // Also one that is taken anew: what waits at its former gate must not be forgotten with it.
        let kept: BTreeSet<_> = leased.kept.into_iter().collect();
        let lost: Vec<_> = self.held.keys().filter(|id| !kept.contains(id)).copied().collect();
        for session in lost {
            tracing::warn!(%session, "the lease was lost");
            self.lose(session);
        }
        for (lease, recent) in leased.fresh {
            let quiet = lease.quiet_until.map(|at| self.until(at, now));
            let mut held = Held::new(&self.ports, &self.config, lease, &recent, quiet, now);
            held.came = self.rolling.next_place();
            self.held.insert(held.session.id, held);
        }
        let tenants: BTreeSet<_> = self.held.values().map(|held| held.session.tenant).collect();
        self.began.retain(|tenant, _| tenants.contains(tenant));
        self.balance(leased.step, leased.left, now);
    }

    pub(super) fn abandoned(
        &mut self,
        batch: BatchId,
        size: usize,
        result: Result<Abandoned, StoreError>,
        now: Micros,
    ) {
        self.abandoning.retain(|(id, _, _)| *id != batch);
        match result {
            Ok(abandoned) => {
                tracing::info!(%batch, ?abandoned, "abandoned");
                self.open -= size;
                self.read_again(now);
            }
            Err(error) if error.kind() == StoreErrorKind::Closed => self.open -= size,
            Err(error) => {
                tracing::warn!(%batch, %error, "not abandoned yet");
                self.abandoning.push((batch, size, now.saturating_add(500_000)));
            }
        }
    }
}

/// Whether a reason holds up everything of a session, and not one campaign.
fn is_of_all(why: HoldReason) -> bool {
    matches!(why, HoldReason::SessionStopped | HoldReason::TenantPaused | HoldReason::NeedsReconcile)
}
