//! The preflight: what a campaign would do, found by running the engine itself in virtual time.
//!
//! A worker with the same planner, gate and judge as in production is driven on a clock of its own.
//! Where production would ask the store or the provider, the preflight answers: members of the list
//! come from the store page by page together with the facts that begin would read, every request is
//! accepted at once, and what a begin takes is kept in meters of its own. Nothing is written and
//! nothing is sent.
//!
//! Invariant: whatever a begin would decide is decided here by the same rules from the same facts;
//! only the passage of time is imagined.

mod clock;
mod meters;
mod outlook;
mod scene;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::outlook::{Preflight, Waiting};

use self::clock::VirtualClock;
use self::scene::Scene;
use super::error::KitError;
use crate::engine::{
    BatchDone, BatchOutcome, Done, EngineConfig, Job, Leased, Ports, PreparedBatch, Turn, TurnDone, Worker,
};
use crate::model::{NewCampaign, Outcome, SessionReport};
use crate::port::store::{Abandoned, Begun, Lease, Settled, StoreError};
use crate::port::{Clock, Scope, SendOutcome};
use crate::rules::judge::StandardJudge;
use crate::rules::spread::Step;

/// How far a preflight looks when nothing else is said.
pub(super) const HORIZON: TimeDelta = TimeDelta::days(31);

/// Runs a campaign that nobody has launched, as if it were launched now and alone on its numbers.
pub(super) async fn run(
    ports: &Ports,
    config: &EngineConfig,
    judge: StandardJudge,
    scope: &Scope,
    campaign: &NewCampaign,
    horizon: TimeDelta,
) -> Result<Preflight, KitError> {
    let now = ports.clock.now();
    let clock = Arc::new(VirtualClock::at(now));
    let imagined = Ports { clock: clock.clone(), billing: None, notifiers: Vec::new(), ..ports.clone() };
    // Nobody else is there, so what guards against others need not recur.
    let day = Duration::from_secs(24 * 3_600);
    let calm = EngineConfig { heartbeat: day, health_every: day, poll_every: day, ..config.clone() };
    let judge = judge.patient();
    let scene = Scene::open(ports, scope, campaign, now).await?;
    let scene = scene.map_err(|session| KitError::NoSession(Some(session)))?;
    let end = now.checked_add_signed(horizon).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let mut flight = Flight { worker: Worker::patient(imagined, calm, judge), scene, clock, end };
    flight.fly().await?;
    Ok(flight.scene.finish(flight.clock.now()).await?)
}

/// A preflight under way.
struct Flight<'a> {
    worker: Worker,
    scene: Scene<'a>,
    clock: Arc<VirtualClock>,
    end: DateTime<Utc>,
}

impl Flight<'_> {
    async fn fly(&mut self) -> Result<(), StoreError> {
        // A campaign that starts later is looked at then.
        self.clock.move_to(self.scene.starts_at());
        while self.clock.now() < self.end {
            self.settle_down().await?;
            if self.scene.is_over() {
                break;
            }
            let now = self.clock.monotonic();
            self.clock.advance(self.worker.next_at().max(now + Duration::from_micros(1)) - now);
        }
        Ok(())
    }

    /// Does everything that can be done without time passing.
    async fn settle_down(&mut self) -> Result<(), StoreError> {
        loop {
            let sending = self.worker.release();
            let jobs = self.worker.jobs();
            if sending.is_empty() && jobs.is_empty() {
                return Ok(());
            }
            for it in sending {
                let attempt = it.permit.attempt();
                self.scene.sent(attempt, it.permit.session().id, self.clock.now());
                self.worker.record(attempt, SendOutcome::Accepted { provider_id: String::new() });
            }
            for job in jobs {
                if let Some(done) = self.answer(job).await? {
                    self.worker.apply(done);
                }
            }
        }
    }

    /// What production's store and provider would say; `None` leaves what recurs unanswered, so that it
    /// does not recur.
    async fn answer(&mut self, job: Job) -> Result<Option<Done>, StoreError> {
        let now = self.clock.now();
        Ok(match job {
            Job::Turn(turn, _) => Some(Done::Turn(self.turn(turn, now))),
            Job::Read(session, lane, query, _) => {
                let page = self.scene.page(&query, now).await?;
                Some(Done::Read(session, lane, Ok(page)))
            }
            Job::Lease(..) => Some(Done::Lease(Ok(self.lease(now)))),
            Job::Report(session, _) => Some(Done::Report(session, Ok(SessionReport::default()), Ok(()))),
            Job::Abandon(batch, size, _) => Some(Done::Abandon(batch, size, Ok(Abandoned::NeverCame))),
            Job::Release(session, ..) => Some(Done::Release(session, Ok(true))),
            Job::Sweep(..)
            | Job::Listen(_)
            | Job::Recover(..)
            | Job::Advance
            | Job::Entitle
            | Job::Prune { .. } => None,
        })
    }

    fn turn(&mut self, turn: Turn, now: DateTime<Utc>) -> TurnDone {
        let Turn { facts, batches } = turn;
        let mut settled = Settled::default();
        for fact in &facts {
            match fact.outcome {
                Outcome::NotSent => {
                    let at = self.scene.give_back(fact.attempt, now);
                    settled.due_at = settled.due_at.into_iter().chain(at).min();
                }
                Outcome::Accepted { .. } | Outcome::Rejected(_) | Outcome::Ambiguous => {}
            }
        }
        let settled = if facts.is_empty() { Vec::new() } else { vec![(facts, Ok(settled))] };
        let begun = batches.into_iter().map(|batch| self.begin(batch, now)).collect();
        TurnDone { settled, begun }
    }

    fn begin(&mut self, prepared: PreparedBatch, now: DateTime<Utc>) -> BatchDone {
        let PreparedBatch {
            batch,
            epoch,
            letters,
            judge,
            #[cfg(feature = "mutants")]
                to: _,
        } = prepared;
        let begun = self.scene.begin(&batch, &*judge, now);
        BatchDone {
            session: batch.session,
            epoch,
            batch: batch.id,
            letters,
            asked_at: self.clock.monotonic(),
            outcome: BatchOutcome::Begun(Begun::Done(begun)),
        }
    }

    fn lease(&mut self, now: DateTime<Utc>) -> Leased {
        let tenant = self.scene.tenant();
        let until = now + TimeDelta::days(36_500);
        let fresh = self.scene.take_leases().into_iter().map(|(session, recent)| {
            let lease = Lease {
                tenant,
                session,
                epoch: 1,
                until,
                quiet_until: None,
                state: None,
                unsettled_deaths: 0,
            };
            (lease, recent)
        });
        Leased { fresh: fresh.collect(), kept: self.scene.sessions().collect(), left: 0, step: Step::Stay }
    }
}
