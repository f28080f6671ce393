//! The worker: what one process knows of the sessions that it holds, and what it wants done next.
//!
//! All decisions are the rules' and the planner's; this file keeps the books. Invariant: `open`
//! counts every attempt that was begun by this process and whose outcome is not in the store, and
//! never passes `max_in_doubt_per_crash`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::config::EngineConfig;
use super::gate::Gate;
use super::job::{Done, Job, Leased};
use super::planner::Planner;
use super::ports::Ports;
use super::turn::{BatchDone, BatchOutcome, Letter, PlannedJudge, PreparedBatch, Turn, TurnDone};
use crate::model::{
    AttemptKey, AttemptTag, BatchId, BreakerScope, CampaignId, HoldReason, Lane, Outcome, RejectClass,
    SessionId, SkipReason,
};
use crate::port::store::{
    AttemptFact, BeginBatch, BeginItem, Begun, BegunBatch, DueBody, DueMessage, DuePage, DueQuery, Lease,
    RecentAttempt, Settled, Stopped, StoreErrorKind,
};
use crate::port::{SendOutcome, SendPermit, SessionRef, Transport, WorkerScope};
use crate::rules::judge::{Judge, StandardJudge};
use crate::rules::throughput::Micros;

mod book;

use book::{Book, Every};

/// What one process knows and wants.
#[derive(Debug)]
pub(crate) struct Worker {
    ports: Ports,
    config: EngineConfig,
    rules: Arc<dyn Judge>,
    held: BTreeMap<SessionId, Held>,
    book: Book,
    /// Attempts begun by this process whose outcome is not in the store.
    open: usize,
    turning: bool,
    lease: Every,
    sweep: Every,
    advance: Every,
    entitle: Every,
    prune: Every,
    abandoning: Vec<(BatchId, usize, Micros)>,
    stopping: bool,
    /// Set when the journal may have grown.
    journal_grew: bool,
}

/// One session that is held.
#[derive(Debug)]
struct Held {
    epoch: u64,
    session: SessionRef,
    transport: Option<Arc<dyn Transport>>,
    planner: Planner,
    gate: Gate,
    lanes: [Ahead; 2],
    /// Campaigns that may not begin now, and when to ask again.
    skip: BTreeMap<CampaignId, (Micros, HoldReason)>,
    /// The whole session may not begin now.
    hold: Option<(Micros, HoldReason)>,
    report: Every,
    reported: bool,
    unsettled_deaths: u32,
}

/// Messages of one lane that were read ahead.
#[derive(Debug)]
struct Ahead {
    lane: Lane,
    messages: VecDeque<DueMessage>,
    read: Every,
}

/// A request that the driver makes.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) permit: SendPermit,
    pub(crate) transport: Arc<dyn Transport>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Sessions held.
    pub sessions: usize,
    /// Attempts begun whose outcome is not stored yet.
    pub open: usize,
    /// Requests under way.
    pub sending: usize,
    /// Begun messages that wait for their place in the throughput.
    pub waiting: usize,
    /// What may not begin now, and why.
    pub stopped: Vec<(SessionId, Option<CampaignId>, HoldReason)>,
}

impl Worker {
    pub(crate) fn new(ports: Ports, config: EngineConfig, judge: StandardJudge) -> Self {
        let now = now(&ports);
        let poll = config.poll_every;
        Self {
            lease: Every::new(config.heartbeat, now),
            sweep: Every::new(Duration::from_secs(5), now),
            advance: Every::new(poll, now),
            entitle: Every::new(config.health_every, now),
            prune: Every::new(Duration::from_secs(600), now),
            rules: Arc::new(judge),
            held: BTreeMap::new(),
            book: Book::default(),
            open: 0,
            turning: false,
            abandoning: Vec::new(),
            stopping: false,
            journal_grew: false,
            ports,
            config,
        }
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Something changed outside: sessions, due messages, campaigns.
    pub(crate) fn wake(&mut self) {
        let now = self.now();
        self.lease.at_once(now);
        self.advance.at_once(now);
        for held in self.held.values_mut() {
            held.hold = None;
            held.skip.clear();
            held.lanes.iter_mut().for_each(|ahead| ahead.read.at_once(now));
        }
    }

    /// Begins nothing more; what has begun is sent and settled.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Gives up what waits at the gate: it is settled as not sent.
    pub(crate) fn give_up_waiting(&mut self) {
        let now = self.ports.clock.now();
        let late: Vec<_> = self.held.values_mut().flat_map(|held| held.gate.drain()).collect();
        self.not_sent(late, now);
    }

    /// Whether nothing is open any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open == 0 && !self.turning && self.abandoning.is_empty()
    }

    /// The jobs that give every session back.
    pub(crate) fn release_all(&mut self) -> Vec<Job> {
        let (now, wall) = (self.now(), self.ports.clock.now());
        let scope = self.scope();
        std::mem::take(&mut self.held)
            .into_iter()
            .map(|(id, held)| Job::Release(id, held.planner.pass_on(now, wall), scope.clone()))
            .collect()
    }

    /// Whether the journal may have grown since the last call.
    pub(crate) fn take_journal_grew(&mut self) -> bool {
        std::mem::take(&mut self.journal_grew)
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        let stopped = self.held.iter().flat_map(|(id, held)| {
            let session = held.hold.iter().map(|(_, why)| (*id, None, *why));
            session.chain(held.skip.iter().map(|(campaign, (_, why))| (*id, Some(*campaign), *why)))
        });
        WorkerStatus {
            sessions: self.held.len(),
            open: self.open,
            sending: self.book.sending(),
            waiting: self.held.values().map(|held| held.gate.len()).sum(),
            stopped: stopped.collect(),
        }
    }

    /// The jobs to run now; each is given once.
    pub(crate) fn jobs(&mut self) -> Vec<Job> {
        let now = self.now();
        let mut jobs = Vec::new();
        let scope = self.scope();
        if self.lease.start(now) {
            let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
            let most = if self.stopping { 0 } else { self.config.max_sessions.saturating_sub(held) };
            jobs.push(Job::Lease { scope: scope.clone(), lease: self.config.lease, most });
        }
        if self.sweep.start(now) {
            jobs.push(Job::Sweep(scope.clone(), self.config.grace));
        }
        let due = self.abandoning.iter().position(|(_, _, at)| *at <= now);
        if let Some((batch, size, _)) = due.map(|place| self.abandoning.swap_remove(place)) {
            // It stays open until the answer is known.
            self.abandoning.push((batch, size, Micros::MAX));
            jobs.push(Job::Abandon(batch, size, scope.clone()));
        }
        if !self.stopping {
            if self.advance.start(now) {
                jobs.push(Job::Advance);
            }
            if self.entitle.start(now) {
                jobs.push(Job::Entitle);
            }
            if self.prune.start(now) {
                jobs.push(Job::Prune { raw: self.config.keep_raw, events: self.config.keep_events });
            }
            let limit = self.page();
            for held in self.held.values_mut() {
                jobs.extend(held.jobs(now, limit, &scope));
            }
        }
        jobs.extend(self.turn(now).map(|turn| Job::Turn(turn, scope)));
        jobs
    }

    /// The permits that may leave now.
    pub(crate) fn release(&mut self) -> Vec<Sending> {
        let (clock, wall) = (self.ports.clock.monotonic(), self.ports.clock.now());
        let now = whole(clock);
        let mut out = Vec::new();
        let mut late = Vec::new();
        for held in self.held.values_mut() {
            late.extend(held.gate.expired(clock));
            while self.book.sending() < self.config.concurrency {
                let Some(transport) = held.transport.clone() else { break };
                let Some(permit) = held.gate.release(&mut held.planner, now) else { break };
                self.book.left(permit.attempt(), held.session.id, permit.recipient().key());
                out.push(Sending { permit, transport });
            }
        }
        self.not_sent(late, wall);
        out
    }

    /// Takes the outcome of a request in.
    pub(crate) fn record(&mut self, attempt: AttemptKey, outcome: SendOutcome) {
        let (now, wall) = (self.now(), self.ports.clock.now());
        let Some((session, recipient)) = self.book.came_back(attempt) else { return };
        let held = self.held.get_mut(&session);
        let (outcome, retry_after) = match outcome {
            SendOutcome::Accepted { provider_id } => (Outcome::Accepted { provider_id }, None),
            SendOutcome::Ambiguous { why } => {
                tracing::warn!(message = %attempt.message, n = attempt.n, why, "nobody knows whether it was sent");
                (Outcome::Ambiguous, None)
            }
            SendOutcome::NotSent { why } => {
                tracing::debug!(message = %attempt.message, n = attempt.n, why, "not sent");
                if let Some(held) = held {
                    held.planner.give_pair_back(recipient);
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

    /// Takes the result of a job in.
    pub(crate) fn apply(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Turn(done) => self.turned(done, now),
            Done::Read(session, lane, page) => self.read(session, lane, page, now),
            Done::Lease(leased) => self.leased(leased, now),
            Done::Report(session, report, stored) => {
                if let Err(error) = stored {
                    tracing::warn!(session = %session.id, %error, "what the provider says was not stored");
                }
                let Some(held) = self.held.get_mut(&session.id) else { return };
                held.report.done(now);
                held.reported = true;
                match report {
                    Ok(report) => {
                        if let Some(throughput) = report.throughput {
                            held.planner.set_throughput(throughput);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(session = %session.id, %error, "the provider did not answer about the number")
                    }
                }
            }
            Done::Sweep(swept) => {
                self.sweep.done(now);
                match swept {
                    Ok(swept) => {
                        self.journal_grew |= !swept.in_doubt.is_empty();
                        self.sweep.not_after(swept.next_at.map(|at| self.until(at, now)));
                    }
                    Err(error) => tracing::warn!(%error, "open attempts were not swept"),
                }
            }
            Done::Advance(advanced) => {
                self.advance.done(now);
                match advanced {
                    Ok(advanced) => {
                        self.advance.not_after(advanced.next_at.map(|at| self.until(at, now)));
                        if !advanced.moved.is_empty() {
                            self.journal_grew = true;
                            self.read_again(now);
                        }
                    }
                    Err(error) => tracing::warn!(%error, "campaigns were not advanced"),
                }
            }
            Done::Abandon(batch, size, result) => self.abandoned(batch, size, result, now),
            Done::Release(session, result) => {
                if let Err(error) = result {
                    tracing::warn!(%session, %error, "the session was not given back; its lease will end");
                }
            }
            Done::Entitle => self.entitle.done(now),
            Done::Prune => self.prune.done(now),
        }
    }

    /// When something is to be done next, if nothing else happens.
    pub(crate) fn next_at(&mut self) -> Duration {
        let now = self.now();
        let mut at = [&self.lease, &self.sweep].iter().filter_map(|every| every.next_at()).min();
        let mut sooner = |other: Option<Micros>| at = at.into_iter().chain(other).min();
        if !self.stopping {
            for every in [&self.advance, &self.entitle, &self.prune] {
                sooner(every.next_at());
            }
        }
        let room = self.book.sending() < self.config.concurrency;
        for held in self.held.values_mut() {
            sooner(held.next_at(now, room, self.stopping));
        }
        if !self.turning {
            sooner(self.book.settle_by(&self.config));
        }
        sooner(self.abandoning.iter().map(|(_, _, at)| *at).min());
        Duration::from_micros(at.unwrap_or_else(|| now.saturating_add(1_000_000)))
    }

    fn scope(&self) -> WorkerScope {
        let epochs = self.held.iter().map(|(id, held)| (*id, held.epoch)).collect();
        WorkerScope::new(self.ports.worker, epochs)
    }

    fn now(&self) -> Micros {
        now(&self.ports)
    }

    /// A store's instant on the monotonic clock.
    fn until(&self, at: DateTime<Utc>, now: Micros) -> Micros {
        let wait = (at - self.ports.clock.now()).max(TimeDelta::zero());
        now.saturating_add(u64::try_from(wait.num_microseconds().unwrap_or(i64::MAX)).unwrap_or(0))
    }

    /// Messages to read at once: enough for a few batches, so that reading is not felt.
    fn page(&self) -> u32 {
        let most = self.config.begin_batch.max(64);
        u32::try_from((4 * self.config.max_in_doubt_per_crash).clamp(64, most)).unwrap_or(1_000)
    }

    /// How much room a turn must find before it is worth its commit.
    fn worth(&self) -> usize {
        let bound = self.config.max_in_doubt_per_crash;
        (bound - bound / 8).min(self.config.begin_batch).max(1)
    }

    fn turn(&mut self, now: Micros) -> Option<Turn> {
        if self.turning {
            return None;
        }
        let bound = self.config.max_in_doubt_per_crash;
        let waiting: usize = self.held.values().map(|held| held.gate.len()).sum();
        let nothing_under_way = waiting == 0 && self.book.sending() == 0;
        let enough = self.worth().min(self.config.settle_batch);
        let overdue = self.book.settle_by(&self.config).is_some_and(|at| at <= now);
        let settle = !self.book.is_empty() && (overdue || nothing_under_way || self.book.len() >= enough);
        let settled = if settle { self.book.len().min(self.config.settle_batch) } else { 0 };
        let room = bound.saturating_sub(self.open - settled);
        let batches = if self.stopping { Vec::new() } else { self.batches(room, now) };
        if settled == 0 && batches.is_empty() {
            return None;
        }
        self.turning = true;
        Some(Turn { facts: self.book.take(settled, now), batches })
    }

    fn batches(&mut self, room: usize, now: Micros) -> Vec<PreparedBatch> {
        let wanted: usize = self.held.values().map(|held| held.wants(now)).sum();
        let urgent = self.held.values().any(|held| held.is_ready(now) && !held.urgent().is_empty());
        if room == 0 || wanted == 0 || (!urgent && room < self.worth() && room < wanted) {
            return Vec::new();
        }
        // The session whose oldest message waits longest goes first: nobody starves behind a large one.
        let mut order: Vec<_> = self.held.iter().filter(|(_, held)| held.wants(now) > 0).collect();
        order.sort_by_key(|(_, held)| held.oldest());
        let order: Vec<_> = order.into_iter().map(|(id, _)| *id).collect();
        let mut left = room.min(self.config.begin_batch);
        let share = left.div_ceil(order.len().max(1)).max(1);
        let mut batches = Vec::new();
        for id in order {
            let Some(held) = self.held.get_mut(&id) else { continue };
            let careful = held.unsettled_deaths >= 3;
            let most = if careful { 1 } else { share.min(left) };
            if let Some(batch) = held.prepare(&self.ports, &self.config, &self.rules, most, now) {
                left -= batch.batch.items.len();
                batches.push(batch);
            }
            if left == 0 {
                break;
            }
        }
        batches
    }

    fn turned(&mut self, done: TurnDone, now: Micros) {
        self.turning = false;
        match done.settled {
            None => {}
            Some((facts, Ok(settled))) => {
                self.open -= facts.len();
                self.settled(settled, now);
            }
            Some((facts, Err(error))) => {
                tracing::warn!(%error, facts = facts.len(), "outcomes were not stored; they will be again");
                self.book.put_back(facts, now);
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
                let late = self.held.get_mut(session).map(|held| held.gate.drain()).unwrap_or_default();
                self.not_sent(late, wall);
            }
        }
        if let Some(due_at) = settled.due_at {
            let at = self.until(due_at, now);
            for held in self.held.values_mut() {
                held.lanes.iter_mut().for_each(|ahead| ahead.read.not_after(Some(at)));
            }
        }
        self.advance.not_after(Some(now.saturating_add(200_000)));
    }

    fn batch_done(&mut self, done: BatchDone, now: Micros) {
        let BatchDone { session, mut letters, asked_at, outcome } = done;
        match outcome {
            BatchOutcome::Begun(Begun::Done(begun)) => {
                self.begun(session, begun, &mut letters, asked_at, now)
            }
            BatchOutcome::Begun(Begun::LeaseLost) => {
                tracing::warn!(%session, "the session is another worker's now");
                self.lose(session);
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
            BatchOutcome::Unknown(batch, error) => {
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
        session: SessionId,
        begun: BegunBatch,
        letters: &mut BTreeMap<crate::model::MessageId, Letter>,
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
            let content = letter.as_ref().and_then(|letter| letter.content.clone());
            match (self.held.get_mut(&session), letter, content) {
                (Some(held), Some(letter), Some(content)) => {
                    let identity = &self.ports.identity;
                    let permit = SendPermit::new(
                        attempt.key,
                        held.session.clone(),
                        letter.recipient,
                        content,
                        AttemptTag::new(identity.instance, attempt.key, &identity.tag_key),
                        start_by,
                        self.config.request_timeout,
                    );
                    held.gate.push(letter.lane, letter.campaign, letter.rate, permit);
                }
                // Never without content by the rules; if it were, nothing has left.
                (_, _, _) => unsent.push(attempt.key),
            }
        }
        self.not_sent(unsent, wall);
        let waits = begun.waits.iter().map(|(_, _, until)| *until).min();
        let waits = waits.map(|at| self.until(at, now));
        for Stopped { campaign, why, until } in &begun.stopped {
            // Whoever resumes or upgrades is asked again soon; a known end is waited for.
            let again = until.map_or(now.saturating_add(1_000_000), |at| self.until(at, now));
            let again = again.clamp(now.saturating_add(200_000), now.saturating_add(5_000_000));
            match campaign {
                Some(campaign) if *why != HoldReason::SessionStopped && *why != HoldReason::TenantPaused => {
                    if let Some(held) = self.held.get_mut(&session) {
                        held.skip.insert(*campaign, (again, *why));
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

    fn read(
        &mut self,
        session: SessionId,
        lane: Lane,
        page: Result<DuePage, crate::port::store::StoreError>,
        now: Micros,
    ) {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%session, %error, "due messages were not read");
                DuePage { at: self.ports.clock.now(), messages: Vec::new(), next_at: None }
            }
        };
        let next_at = page.next_at.map(|at| self.until(at, now));
        let Some(ahead) = self.held.get_mut(&session).and_then(|held| held.ahead(lane)) else { return };
        ahead.read.done(now);
        ahead.read.not_after(next_at);
        ahead.messages.extend(page.messages);
    }

    fn leased(&mut self, leased: Result<Leased, crate::port::store::StoreError>, now: Micros) {
        self.lease.done(now);
        let leased = match leased {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(%error, "leases were not prolonged");
                self.lease.not_after(Some(now.saturating_add(1_000_000)));
                return;
            }
        };
        let fresh: Vec<_> = leased.fresh.iter().map(|(lease, _)| lease.session.id).collect();
        let lost: Vec<_> =
            self.held.keys().filter(|id| !leased.kept.contains(id) && !fresh.contains(id)).copied().collect();
        for session in lost {
            tracing::warn!(%session, "the lease was lost");
            self.lose(session);
        }
        for (lease, recent) in leased.fresh {
            let quiet = lease.quiet_until.map(|at| self.until(at, now));
            let held = Held::new(&self.ports, &self.config, lease, &recent, quiet, now);
            self.held.insert(held.session.id, held);
        }
    }

    fn abandoned(
        &mut self,
        batch: BatchId,
        size: usize,
        result: Result<crate::port::store::Abandoned, crate::port::store::StoreError>,
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

    /// Forgets a session that is not held any more; what has not left goes back unharmed.
    fn lose(&mut self, session: SessionId) {
        let late = self.held.remove(&session).map(|mut held| held.gate.drain()).unwrap_or_default();
        self.not_sent(late, self.ports.clock.now());
    }

    fn not_sent(&mut self, attempts: Vec<AttemptKey>, at: DateTime<Utc>) {
        let now = self.now();
        for attempt in attempts {
            self.book.note(AttemptFact { attempt, at, outcome: Outcome::NotSent, retry_after: None }, now);
        }
    }

    fn pause(&mut self, session: SessionId, until: Micros, why: HoldReason) {
        if let Some(held) = self.held.get_mut(&session) {
            held.hold = Some((until, why));
        }
    }

    fn forget_ahead(&mut self, session: SessionId, now: Micros) {
        if let Some(held) = self.held.get_mut(&session) {
            for ahead in &mut held.lanes {
                ahead.messages.clear();
                ahead.read.at_once(now);
            }
        }
    }

    fn read_again(&mut self, now: Micros) {
        for held in self.held.values_mut() {
            held.lanes.iter_mut().for_each(|ahead| ahead.read.at_once(now));
        }
    }
}

impl Held {
    fn new(
        ports: &Ports,
        config: &EngineConfig,
        lease: Lease,
        recent: &[RecentAttempt],
        quiet_until: Option<Micros>,
        now: Micros,
    ) -> Self {
        let Lease { tenant, session, epoch, until: _, quiet_until: _, state, unsettled_deaths } = lease;
        let mut planner = Planner::new(session.throughput, config.transactional_share);
        planner.take_over(state.as_ref(), recent, now, ports.clock.now());
        if let Some(until) = quiet_until {
            planner.keep_quiet_until(until);
        }
        let transport = ports.transports.get(&session.transport).cloned();
        if transport.is_none() {
            tracing::warn!(session = %session.id, transport = %session.transport, "no transport of this name is registered");
        }
        let ahead =
            |lane| Ahead { lane, messages: VecDeque::new(), read: Every::new(config.poll_every, now) };
        Self {
            epoch,
            session: SessionRef {
                tenant,
                id: session.id,
                transport: session.transport,
                number: session.number,
            },
            transport,
            planner,
            gate: Gate::default(),
            lanes: [ahead(Lane::Transactional), ahead(Lane::Bulk)],
            skip: BTreeMap::new(),
            hold: None,
            report: Every::new(config.health_every, now),
            reported: false,
            unsettled_deaths,
        }
    }

    /// Whether messages of this session may be begun.
    fn is_ready(&self, now: Micros) -> bool {
        self.reported && self.transport.is_some() && self.hold.is_none_or(|(until, _)| until <= now)
    }

    fn ahead(&mut self, lane: Lane) -> Option<&mut Ahead> {
        self.lanes.iter_mut().find(|ahead| ahead.lane == lane)
    }

    fn urgent(&self) -> &VecDeque<DueMessage> {
        let [urgent, _] = &self.lanes;
        &urgent.messages
    }

    fn oldest(&self) -> Option<crate::model::MessageId> {
        self.lanes.iter().filter_map(|ahead| ahead.messages.front()).map(|message| message.id).min()
    }

    /// How many messages should begin now: what the gate can let out in two seconds.
    fn wants(&self, now: Micros) -> usize {
        if !self.is_ready(now) {
            return 0;
        }
        let read: usize = self.lanes.iter().map(|ahead| ahead.messages.len()).sum();
        let rate = self.lanes.iter().filter_map(|ahead| ahead.messages.front()).map(campaign_rate);
        let rate = self.planner.rate(rate.flatten().max(), now);
        let horizon = usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(2).max(1);
        let room = horizon.saturating_sub(self.gate.len());
        // A begin for each place that frees up would cost a commit per message.
        if room >= horizon.div_ceil(2) || !self.urgent().is_empty() { read.min(room.max(1)) } else { 0 }
    }

    fn jobs(&mut self, now: Micros, limit: u32, scope: &WorkerScope) -> Vec<Job> {
        let mut jobs = Vec::new();
        if let Some(transport) = &self.transport
            && self.report.start(now)
        {
            jobs.push(Job::Report(self.session.clone(), Arc::clone(transport)));
        }
        self.skip.retain(|_, (until, _)| *until > now);
        if self.hold.is_some_and(|(until, _)| until <= now) {
            self.hold = None;
            self.lanes.iter_mut().for_each(|ahead| ahead.read.at_once(now));
        }
        if !self.is_ready(now) {
            return jobs;
        }
        for ahead in &mut self.lanes {
            if ahead.messages.is_empty() && ahead.read.start(now) {
                let query = DueQuery {
                    session: self.session.id,
                    lane: Some(ahead.lane),
                    limit,
                    skip: self.skip.keys().copied().collect(),
                };
                jobs.push(Job::Read(self.session.id, ahead.lane, query, scope.clone()));
            }
        }
        jobs
    }

    fn next_at(&mut self, now: Micros, room: bool, stopping: bool) -> Option<Micros> {
        let mut at = None::<Micros>;
        let mut sooner = |other: Option<Micros>| at = at.into_iter().chain(other).min();
        if room && let Some(gate_at) = self.gate.next_at(&mut self.planner, now) {
            sooner(Some(gate_at));
        }
        if !stopping {
            sooner(self.report.next_at());
            sooner(self.hold.map(|(until, _)| until));
            sooner(self.skip.values().map(|(until, _)| *until).min());
            if self.is_ready(now) {
                for ahead in self.lanes.iter().filter(|ahead| ahead.messages.is_empty()) {
                    sooner(ahead.read.next_at());
                }
            }
        }
        at
    }

    fn prepare(
        &mut self,
        ports: &Ports,
        config: &EngineConfig,
        rules: &Arc<dyn Judge>,
        most: usize,
        now: Micros,
    ) -> Option<PreparedBatch> {
        let most = most.min(self.wants(now));
        let templates = self.transport.as_ref().is_some_and(|it| it.capabilities().templates);
        let mut items = Vec::new();
        let mut letters = BTreeMap::new();
        let mut pair_waits = BTreeMap::new();
        for ahead in &mut self.lanes {
            while items.len() < most {
                let Some(message) = ahead.messages.pop_front() else { break };
                let (item, mut letter) = compose(message, templates);
                if letter.content.is_some() {
                    match self.planner.take_pair(letter.recipient.key(), now) {
                        Ok(()) => letter.pair_taken = true,
                        Err(at) => {
                            let wait = i64::try_from(at.saturating_sub(now)).unwrap_or(i64::MAX);
                            pair_waits.insert(item.message, TimeDelta::microseconds(wait));
                        }
                    }
                }
                letters.insert(item.message, letter);
                items.push(item);
            }
            // A page that is used up is followed by the next one while this batch is sent.
            if ahead.messages.is_empty() && !items.is_empty() {
                ahead.read.at_once(now);
            }
        }
        if items.is_empty() {
            return None;
        }
        let batch = BeginBatch {
            id: BatchId::mint(ports.clock.now(), ports.draw()),
            session: self.session.id,
            items,
            start_within: config.start_within,
            timeout: config.request_timeout,
        };
        let judge = Arc::new(PlannedJudge { rules: Arc::clone(rules), pair_waits });
        Some(PreparedBatch { batch, letters, judge })
    }

    fn rejected(&mut self, class: RejectClass, recipient: u64, retry_after: Option<Duration>, now: Micros) {
        match class {
            RejectClass::Throttled => self.planner.throttled(now, retry_after),
            RejectClass::PairThrottled => {
                let wait = retry_after.unwrap_or(Duration::from_secs(1));
                self.planner.hold_pair(recipient, now.saturating_add(whole(wait)));
            }
            RejectClass::Retry
            | RejectClass::Later
            | RejectClass::WindowClosed
            | RejectClass::Recipient
            | RejectClass::OptedOut
            | RejectClass::TemplatePaused
            | RejectClass::Template
            | RejectClass::Request
            | RejectClass::Credential
            | RejectClass::Account
            | RejectClass::Spam
            | RejectClass::Billing
            | RejectClass::Media => {}
        }
    }
}

fn campaign_rate(message: &DueMessage) -> Option<u32> {
    message.campaign.as_ref().and_then(|campaign| campaign.rate)
}

/// Makes what begin judges and what a permit carries from a due message.
fn compose(message: DueMessage, templates: bool) -> (BeginItem, Letter) {
    let rate = campaign_rate(&message);
    let DueMessage { tenant, id, n, campaign, contact, recipient, body, lane, valid_until, source } = message;
    let pattern = campaign.as_ref().map(|campaign| campaign.content.pattern().clone());
    let content = match (body, &campaign) {
        (DueBody::Own(content), _) => Ok(content),
        (DueBody::Values(values), Some(campaign)) => {
            campaign.content.fill(&values).map_err(|_| SkipReason::MissingParameter)
        }
        (DueBody::Values(_), None) => Err(SkipReason::Unsupported),
    };
    let content = content.and_then(|content| match &content {
        crate::model::Content::Template(_) if !templates => Err(SkipReason::Unsupported),
        crate::model::Content::Template(_) | crate::model::Content::Text(_) => Ok(content),
    });
    let shown = content.as_ref().ok().or(pattern.as_ref());
    let item = BeginItem {
        tenant,
        message: id,
        n,
        source,
        campaign: campaign.as_ref().map(|campaign| campaign.id),
        contact,
        recipient: recipient.clone(),
        lane,
        category: shown.map_or(crate::model::Category::Service, crate::model::Content::category),
        needs_window: shown.is_some_and(crate::model::Content::needs_window),
        template: shown.and_then(|content| match content {
            crate::model::Content::Template(template) => {
                Some((template.name.clone(), template.language.clone()))
            }
            crate::model::Content::Text(_) => None,
        }),
        valid_until,
        unsendable: content.as_ref().err().copied(),
    };
    let campaign = campaign.map(|campaign| campaign.id);
    let letter = Letter { content: content.ok(), recipient, lane, campaign, rate, pair_taken: false };
    (item, letter)
}

fn now(ports: &Ports) -> Micros {
    whole(ports.clock.monotonic())
}

fn whole(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
