//! One process: a worker, its intake, and the steps that it has under way.
//!
//! Steps are polled by hand. A process that stands still polls nothing; one that dies drops what it has.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::hub::{Hub, lock};
use super::link::{Link, at_once};
use super::mark::Mark;
use super::meta::Mail;
use super::webhook::Letters;
use super::wire::Wire;
use crate::engine::{Done, Intake, News, Worker};
use crate::memory::{MemoryStore, Snapshot};
use crate::model::{AttemptKey, RawId};
use crate::port::store::{Projected, RawBody};
use crate::port::{Clock, SendOutcome};
use crate::service::Kit;
use crate::testing::{ManualClock, SeededEntropy};

/// How often bodies are looked for that were kept and not applied.
const CATCH_UP_EVERY: Duration = Duration::from_secs(3);

/// How often a process may find something to do at one instant.
const BUSY: usize = 5_000;

/// A process's own clock: it may be set, while the time that has passed is the same for all.
#[derive(Debug)]
pub(super) struct OwnClock {
    base: Arc<ManualClock>,
    ahead: Mutex<TimeDelta>,
}

impl OwnClock {
    pub(super) fn set_ahead(&self, ahead: TimeDelta) {
        *lock(&self.ahead) = ahead;
    }
}

impl Clock for OwnClock {
    fn now(&self) -> DateTime<Utc> {
        self.base.now() + *lock(&self.ahead)
    }

    fn monotonic(&self) -> Duration {
        self.base.monotonic()
    }
}

/// What a step gave.
enum Out {
    Done(Done),
    Sent(AttemptKey, SendOutcome),
    Heard { kept: bool, projected: Option<Projected> },
    CaughtUp { any: bool },
}

struct Task {
    wake_at: Duration,
    /// The callback that it takes in, if it does.
    mail: Option<Mail>,
    step: BoxFuture<'static, Out>,
}

/// How far a process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Working,
    Stopping,
    Releasing,
    Gone,
}

pub(super) struct Process {
    pub(super) name: u32,
    pub(super) worker: Worker,
    pub(super) clock: Arc<OwnClock>,
    pub(super) frozen_until: Duration,
    pub(super) course: Course,
    intake: Intake,
    hub: Arc<Hub>,
    tasks: Vec<Task>,
    catch_up_at: Duration,
}

/// What a step of a process came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    Lives,
    Dies,
}

impl Process {
    pub(super) fn start(
        name: u32,
        hub: &Arc<Hub>,
        store: &MemoryStore,
        disk: &Arc<Mutex<Option<Snapshot>>>,
    ) -> Self {
        let clock = Arc::new(OwnClock { base: Arc::clone(&hub.clock), ahead: Mutex::default() });
        let link = Link::new(name, store.clone(), Arc::clone(hub), Arc::clone(disk));
        let wire = Wire { hub: Arc::clone(hub), process: name };
        let builder = Kit::builder(Arc::new(link))
            .transport("cloud", Arc::new(wire))
            .webhooks("cloud", Arc::new(Letters))
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .entropy(Arc::new(SeededEntropy::new(hub.dice.seed())))
            .engine(hub.plan.config.clone());
        let kit = at_once(builder.build()).expect("a kit is built of valid parts");
        let (worker, intake) = kit.steps();
        hub.note("starts", u64::from(name), 0);
        Self {
            name,
            worker,
            clock,
            frozen_until: Duration::ZERO,
            course: Course::Working,
            intake,
            hub: Arc::clone(hub),
            tasks: Vec::new(),
            catch_up_at: hub.now(),
        }
    }

    /// When something is to be done.
    pub(super) fn next_at(&mut self) -> Duration {
        let tasks = self.tasks.iter().map(|task| task.wake_at);
        let own = self.worker.next_at().min(self.catch_up_at);
        tasks.fold(own, Duration::min).max(self.frozen_until)
    }

    /// Takes a callback in.
    pub(super) fn deliver(&mut self, mail: Mail) {
        let received_at = self.clock.now();
        let raw = RawBody {
            id: RawId::mint(received_at, self.worker.ports().draw()),
            transport: "cloud".parse().expect("the name is visible ASCII"),
            body: mail.body.clone().into_bytes(),
            received_at,
        };
        let intake = self.intake.clone();
        let step = async move {
            let (kept, projected) = intake.keep_and_project(&[raw], &[]).await;
            Out::Heard { kept: kept.is_ok(), projected: projected.ok() }
        };
        self.push(Some(mail), step.boxed());
    }

    /// Does everything that can be done without time passing.
    pub(super) fn step(&mut self) -> Stepped {
        let hub = Arc::clone(&self.hub);
        let now = hub.now();
        if self.frozen_until > now {
            return Stepped::Lives;
        }
        for _ in 0..BUSY {
            let mut moved = false;
            let mut place = 0;
            while let Some(task) = self.tasks.get_mut(place) {
                if task.wake_at > now {
                    place += 1;
                    continue;
                }
                let polled = hub.poll(Pin::as_mut(&mut task.step));
                if hub.takes(self.name) {
                    return Stepped::Dies;
                }
                match polled {
                    Ok(out) => {
                        let Task { mail, .. } = self.tasks.remove(place);
                        self.take(out, mail);
                        moved = true;
                    }
                    Err(wake_at) => {
                        task.wake_at = wake_at;
                        place += 1;
                    }
                }
            }
            moved |= self.give_out();
            if !moved {
                return Stepped::Lives;
            }
        }
        lock(&hub.trace).violated(
            "I6",
            now,
            format!("process {} is busy although no time passes", self.name),
        );
        Stepped::Lives
    }

    /// Starts the steps that the worker wants; whether there were any.
    fn give_out(&mut self) -> bool {
        let before = self.tasks.len();
        for sending in self.worker.release() {
            let attempt = sending.permit.attempt();
            lock(&self.hub.audit).released(&self.hub, sending.permit.session().id);
            let step = async move { Out::Sent(attempt, sending.transport.send(sending.permit).await) };
            self.push(None, step.boxed());
        }
        for job in self.worker.jobs() {
            let ports = self.worker.ports().clone();
            self.push(None, async move { Out::Done(job.run(&ports).await) }.boxed());
        }
        let now = self.hub.now();
        if self.catch_up_at <= now && self.course == Course::Working {
            // Not again before this one is done.
            self.catch_up_at = Duration::MAX;
            let intake = self.intake.clone();
            let step =
                async move { Out::CaughtUp { any: matches!(intake.catch_up(None, 100).await, Ok(Some(_))) } };
            self.push(None, step.boxed());
        }
        if self.course == Course::Stopping && self.worker.is_quiet() {
            self.course = Course::Releasing;
            for job in self.worker.release_all() {
                let ports = self.worker.ports().clone();
                self.push(None, async move { Out::Done(job.run(&ports).await) }.boxed());
            }
        }
        if self.course == Course::Releasing && self.tasks.is_empty() {
            self.course = Course::Gone;
        }
        self.tasks.len() > before
    }

    fn push(&mut self, mail: Option<Mail>, step: BoxFuture<'static, Out>) {
        self.tasks.push(Task { wake_at: Duration::ZERO, mail, step });
    }

    fn take(&mut self, out: Out, mail: Option<Mail>) {
        let hub = Arc::clone(&self.hub);
        match out {
            Out::Done(done) => self.worker.apply(done),
            Out::Sent(attempt, outcome) => self.worker.record(attempt, outcome),
            Out::Heard { kept, projected } => {
                if !kept && let Some(mail) = mail {
                    // Whoever is not answered with 200 comes again.
                    hub.mark(Mark::WebhookRefused);
                    lock(&hub.meta).post_again(hub.now() + Duration::from_secs(1), mail);
                }
                if let Some(Projected { sessions, metered, .. }) = projected {
                    self.worker.hear(News { sessions, metered });
                }
            }
            Out::CaughtUp { any } => {
                if any {
                    hub.mark(Mark::CaughtUp);
                }
                self.catch_up_at = hub.now() + CATCH_UP_EVERY;
            }
        }
    }

    /// Begins nothing more, and goes once everything is settled.
    pub(super) fn stop(&mut self) {
        self.course = Course::Stopping;
        self.worker.stop();
        self.worker.give_up_waiting();
    }

    /// Dies: what it had under way is dropped where it is.
    pub(super) fn die(self) {
        let hub = Arc::clone(&self.hub);
        hub.note("dies", u64::from(self.name), 0);
        lock(&hub.audit).died(&hub, self.name);
        let mut unanswered = Vec::new();
        for task in self.tasks {
            unanswered.extend(task.mail);
            hub.bury(task.step);
        }
        for mail in unanswered {
            lock(&hub.meta).post_again(hub.now() + Duration::from_secs(2), mail);
        }
    }
}
