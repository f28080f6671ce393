//! The worker: what one process knows of the sessions that it holds, and what it wants done next.
//!
//! All decisions are the rules' and the planner's; this file keeps the books. Invariant: `open`
//! counts every attempt that was begun by this process and whose outcome is not in the store, and
//! never passes `max_in_doubt_per_crash`; but where a store commits in order and fails a settle
//! alone, the begin that was handed in behind it may add as many once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::config::EngineConfig;
use super::job::{Done, Job, LeaseRound};
use super::overheard::News;
use super::ports::Ports;
use super::question::{Asked, Room};
use super::turn::{PreparedBatch, Turn};
use crate::model::{AttemptKey, BatchId, CampaignId, HoldReason, Outcome, SessionId, SessionState, TenantId};
use crate::port::WorkerScope;
use crate::port::store::{AttemptFact, Listened};
use crate::rules::judge::{Judge, StandardJudge};
use crate::rules::throughput::Micros;

mod book;
mod held;
mod results;
mod rolling;
mod sending;
mod share;

use book::{Book, Every};
use held::Held;
use rolling::Rolling;
use share::Share;

pub(crate) use held::compose;
pub(crate) use sending::Sending;

/// What the store says is due is asked for no sooner than this after the last answer: its clock may
/// lag behind ours.
const APART: Micros = 200_000;

/// How long a number that could send waits for a batch that is worth its commit.
const STARVED: Micros = 100_000;

/// How often the numbers are listened to.
const LISTEN_EVERY: Duration = Duration::from_secs(60);

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
    /// When a batch was last begun, if one was.
    began_at: Option<Micros>,
    /// When something of a tenant was last begun.
    began: BTreeMap<TenantId, Micros>,
    /// The number whose permit left last.
    served: Option<SessionId>,
    lease: Every,
    rolling: Rolling,
    sweep: Every,
    listen: Every,
    recover: Every,
    advance: Every,
    entitle: Every,
    prune: Every,
    abandoning: Vec<(BatchId, usize, Micros)>,
    stopping: bool,
    /// Nothing more is sent: what begins after all is given back.
    gave_up: bool,
    /// Set when the journal may have grown.
    journal_grew: bool,
    /// After how long at the latest what the rules stopped is asked for again.
    recheck: Micros,
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
            sweep: Every::new(config.heartbeat, now),
            listen: Every::new(LISTEN_EVERY, now),
            recover: Every::new(config.heartbeat, now),
            advance: Every::new(poll, now),
            entitle: Every::new(config.health_every, now),
            prune: Every::new(Duration::from_secs(600), now),
            rolling: Rolling::default(),
            rules: Arc::new(judge),
            held: BTreeMap::new(),
            book: Book::default(),
            open: 0,
            turning: false,
            began_at: None,
            began: BTreeMap::new(),
            served: None,
            abandoning: Vec::new(),
            stopping: false,
            gave_up: false,
            journal_grew: false,
            recheck: whole(poll).saturating_mul(5).max(APART),
            ports,
            config,
        }
    }

    /// A worker in a world in which nothing changes but the time.
    pub(crate) fn patient(ports: Ports, config: EngineConfig, judge: StandardJudge) -> Self {
        Self { recheck: Micros::MAX, ..Self::new(ports, config, judge) }
    }

    pub(crate) const fn config(&self) -> &EngineConfig {
        &self.config
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Messages were queued.
    pub(crate) fn wake_due(&mut self) {
        let now = self.now();
        self.read_again(now);
    }

    /// A session came free elsewhere.
    pub(crate) fn wake_lease(&mut self) {
        let now = self.now();
        self.lease.at_once(now);
    }

    /// Something else changed outside: sessions, campaigns, settings.
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

    /// Takes in what intake heard: sessions as they are now, and what else went through the numbers.
    pub(crate) fn hear(&mut self, News { sessions, metered }: News) {
        let (now, wall) = (self.now(), self.ports.clock.now());
        for session in sessions {
            let Some(held) = self.held.get_mut(&session.id) else { continue };
            held.planner.set_throughput(session.throughput);
            match session.state {
                SessionState::Connected => {}
                SessionState::Disconnected | SessionState::Banned | SessionState::Deleted => {
                    // What has begun and not left would be refused: give it back unharmed.
                    let late = held.drain();
                    self.not_sent(late, wall);
                }
            }
        }
        for (session, at) in metered {
            if let Some(held) = self.held.get_mut(&session) {
                held.planner.overheard(at, now, wall);
            }
        }
    }

    /// Begins nothing more; what has begun is sent and settled.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        // The others learn early that it will not take what comes free.
        self.wake_lease();
    }

    /// Gives up what waits at the gate, and what is just being begun: it is settled as not sent.
    pub(crate) fn give_up_waiting(&mut self) {
        self.gave_up = true;
        let now = self.ports.clock.now();
        let late: Vec<_> = self.held.values_mut().flat_map(Held::drain).collect();
        self.not_sent(late, now);
    }

    /// Whether nothing is open any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open == 0 && !self.turning && self.abandoning.is_empty()
    }

    /// The job that tells the others that this worker is gone; before its sessions are given back, so that
    /// none of them waits for it.
    pub(crate) fn leave(&self) -> Job {
        let scope = WorkerScope::new(self.ports.worker, BTreeMap::new());
        Job::Lease(LeaseRound {
            scope,
            lease: self.config.lease,
            most: 0,
            overdue: false,
            within: Duration::ZERO,
        })
    }

    /// The jobs that give every session back.
    pub(crate) fn release_all(&mut self) -> Vec<Job> {
        let now = self.now();
        let scope = self.scope();
        std::mem::take(&mut self.held)
            .into_iter()
            .map(|(id, held)| Job::Release(id, held.planner.pass_on(now), scope.clone()))
            .collect()
    }

    /// Whether the journal may have grown since the last call.
    pub(crate) fn take_journal_grew(&mut self) -> bool {
        std::mem::take(&mut self.journal_grew)
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        let stopped = self.held.iter().flat_map(|(id, held)| {
            let session = held.hold.iter().map(|(_, why)| (*id, None, *why));
            session.chain(held.skip.iter().map(|(campaign, skip)| (*id, Some(*campaign), skip.why)))
        });
        WorkerStatus {
            sessions: self.held.len(),
            open: self.open,
            sending: self.book.sending(),
            waiting: self.held.values().map(|held| held.gate.len()).sum(),
            stopped: stopped.collect(),
        }
    }

    /// How long a number has no room for a message; `None` when it is not held.
    pub(crate) fn room(&mut self, asked: &Asked) -> Option<Room> {
        let now = self.now();
        self.held.get_mut(&asked.session).map(|held| asked.of(&mut held.planner, now))
    }

    /// The jobs to run now; each is given once.
    pub(crate) fn jobs(&mut self) -> Vec<Job> {
        let now = self.now();
        let mut jobs = Vec::new();
        if self.lease.start(now) {
            jobs.push(self.lease_round(now));
        }
        jobs.extend(self.hand_over(now));
        if self.sweep.start(now) {
            jobs.push(Job::Sweep(self.scope(), self.config.grace));
        }
        let due = self.abandoning.iter().position(|(_, _, at)| *at <= now);
        if let Some((batch, size, _)) = due.map(|place| self.abandoning.swap_remove(place)) {
            // It stays open until the answer is known.
            self.abandoning.push((batch, size, Micros::MAX));
            jobs.push(Job::Abandon(batch, size, self.scope()));
        }
        if !self.stopping {
            if self.listen.start(now) {
                jobs.push(Job::Listen(self.scope()));
            }
            if self.recover.start(now) {
                jobs.push(Job::Recover(self.scope(), self.config.grace));
            }
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
                jobs.extend(held.jobs(now, limit, self.ports.worker));
            }
        }
        if let Some(turn) = self.turn(now) {
            jobs.push(Job::Turn(turn, self.scope()));
        }
        jobs
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
                        self.sweep.not_after(self.not_before_apart(swept.next_at, now));
                    }
                    Err(error) => tracing::warn!(%error, "open attempts were not swept"),
                }
            }
            Done::Listen(listened) => {
                self.listen.done(now);
                match listened {
                    Ok(Listened { silent, deaf, more }) => {
                        self.journal_grew |= !silent.is_empty() || !deaf.is_empty();
                        for (tenant, session) in deaf {
                            tracing::warn!(%tenant, %session, "the number sends and no status about it comes");
                        }
                        // What is left is walked through step by step, with room for others between.
                        self.listen.not_after(more.then(|| now.saturating_add(APART)));
                    }
                    Err(error) => tracing::warn!(%error, "numbers were not listened to"),
                }
            }
            Done::Recover(recovered) => self.recovered(recovered, now),
            Done::Advance(advanced) => {
                self.advance.done(now);
                match advanced {
                    Ok(round) => {
                        self.advance.not_after(self.not_before_apart(round.next_at, now));
                        self.journal_grew |= round.told;
                        if round.moved {
                            self.read_again(now);
                        }
                        if round.more {
                            self.advance.at_once(now);
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
                self.handed_over(session, now);
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
            for every in [&self.listen, &self.recover, &self.advance, &self.entitle, &self.prune] {
                sooner(every.next_at());
            }
        }
        let room = self.book.sending() < self.config.concurrency;
        for held in self.held.values_mut() {
            sooner(held.next_at(now, room, self.stopping));
        }
        if !self.turning {
            sooner(self.book.settle_by(&self.config));
            let room = self.open < self.config.max_in_doubt_per_crash;
            if !self.stopping && room {
                let shares = self.shares(now);
                sooner((!shares.is_empty()).then(|| self.patient_until(&shares)));
            }
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
        after(at - self.ports.clock.now(), now)
    }

    /// When the store wants to be asked again, but no sooner than [`APART`].
    fn not_before_apart(&self, at: Option<DateTime<Utc>>, now: Micros) -> Option<Micros> {
        at.map(|at| self.until(at, now).max(now.saturating_add(APART)))
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

    /// What each number may begin, if there is room, in the order of their turns.
    fn shares(&self, now: Micros) -> Vec<Share> {
        let claims: Vec<_> = self.held.values().filter_map(|held| held.claim(now)).collect();
        share::shares(&claims, self.config.max_in_doubt_per_crash, &self.began)
    }

    /// Until when a begin may wait for more room: not for long while a gate is empty.
    fn patient_until(&self, shares: &[Share]) -> Micros {
        let starved = shares.iter().any(|share| share.starved);
        let patience = if starved { STARVED } else { whole(self.config.settle_latest) };
        self.began_at.map_or(0, |at| at.saturating_add(patience))
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
        let worth_it = overdue || nothing_under_way || self.book.len() >= enough;
        let settle = self.book.may_settle(now) && worth_it;
        let settled = if settle { self.book.len().min(self.config.settle_batch) } else { 0 };
        // Where the latest settle failed, this one may too: its room is not given away before.
        let freed = if self.book.is_troubled() { 0 } else { settled };
        let room = bound.saturating_sub(self.open - freed);
        let batches = if self.stopping { Vec::new() } else { self.batches(room, now) };
        if settled == 0 && batches.is_empty() {
            return None;
        }
        self.turning = true;
        Some(Turn { facts: self.book.take(settled, now), batches })
    }

    fn batches(&mut self, room: usize, now: Micros) -> Vec<PreparedBatch> {
        if room == 0 {
            return Vec::new();
        }
        let shares = self.shares(now);
        let wanted: usize = shares.iter().map(|share| share.most).sum();
        let urgent = shares.iter().any(|share| share.urgent);
        // Requests that hang would keep the room small for as long as they hang: patience ends.
        let patient = !urgent && now < self.patient_until(&shares);
        if wanted == 0 || (patient && room < self.worth() && room < wanted) {
            return Vec::new();
        }
        self.began_at = Some(now);
        let mut batches = Vec::new();
        for (id, most) in share::divide(&shares, room.min(self.config.begin_batch)) {
            let Some(held) = self.held.get_mut(&id) else { continue };
            self.began.insert(held.session.tenant, now);
            batches.extend(held.prepare(&self.ports, &self.config, &self.rules, most, now));
        }
        batches
    }

    /// Forgets a session that is not held any more; what has not left goes back unharmed.
    fn lose(&mut self, session: SessionId) {
        let late = self.held.remove(&session).map(|mut held| held.drain()).unwrap_or_default();
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

fn now(ports: &Ports) -> Micros {
    whole(ports.clock.monotonic())
}

/// The instant so long after `now`; `now` itself if that is past.
fn after(wait: TimeDelta, now: Micros) -> Micros {
    let wait = wait.max(TimeDelta::zero()).num_microseconds().unwrap_or(i64::MAX);
    now.saturating_add(u64::try_from(wait).unwrap_or(0))
}

fn whole(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
