//! The runner: drives the steps with tokio. The only place of this crate that spawns and sleeps.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::EngineConfig;
use super::intake::{Intake, IntakeRequest};
use super::job::{Done, Job};
use super::notices::Notices;
use super::overheard::Overheard;
use super::ports::Ports;
use super::question::{Question, Questions};
use super::signal::Signal;
use super::worker::{Sending, Worker, WorkerStatus};
use crate::model::{AttemptKey, RawId};
use crate::port::store::{Projected, RawBody, StoreError, StoreErrorKind};
use crate::port::{SendOutcome, TransportError, TransportErrorKind};

/// A running engine. Dropping it stops the engine as a crash would: what is under way becomes in doubt.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<Option<Duration>>,
    worker: JoinHandle<StopReport>,
    others: Vec<JoinHandle<()>>,
    status: Arc<Mutex<WorkerStatus>>,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReport {
    /// Attempts that were begun and whose outcome did not come in by the deadline. They will be in
    /// doubt until a webhook resolves them.
    pub open: usize,
}

/// The signals that steps raise and wait for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// Something to own appeared, or what was held up may go on.
    pub(crate) work: Signal,
    /// A message was queued.
    pub(crate) due: Signal,
    /// Another worker gave a session back.
    pub(crate) free: Signal,
    /// The journal grew.
    pub(crate) journal: Signal,
    /// What intake heard that the worker needs to know.
    pub(crate) heard: Overheard,
    /// Held by the engine: who else announces something to it can see whether it still runs.
    pub(crate) alive: Arc<()>,
}

impl Running {
    /// Stops gracefully: begins nothing more, sends and settles what has begun until the deadline,
    /// gives what has not left by then back, and hands the sessions over.
    pub async fn stop(mut self, deadline: Duration) -> StopReport {
        let _ = self.stop.send(Some(deadline));
        let until = tokio::time::Instant::now() + deadline + Duration::from_secs(3);
        let report = (&mut self.worker).await.unwrap_or(StopReport { open: usize::MAX });
        for task in &mut self.others {
            // A notifier or a store that hangs is not waited for; the drop ends what is left.
            let _ = tokio::time::timeout_at(until, task).await;
        }
        report
    }

    /// What the engine is doing now.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.abort();
        self.others.iter().for_each(JoinHandle::abort);
    }
}

/// Starts everything.
#[expect(clippy::disallowed_methods, reason = "starting the engine is what spawns")]
pub(crate) fn start(
    worker: Worker,
    config: &EngineConfig,
    signals: Signals,
    webhooks: mpsc::Receiver<IntakeRequest>,
    questions: Questions,
) -> Running {
    let (stop, stopped) = watch::channel(None);
    let status = Arc::new(Mutex::new(WorkerStatus::default()));
    let inflow = Inflow {
        intake: Intake::new(worker.ports().clone()),
        config: config.clone(),
        grew: signals.journal.clone(),
        work: signals.work.clone(),
        heard: signals.heard.clone(),
        webhooks,
        kept: Vec::new(),
        apply_at: tokio::time::Instant::now(),
        catch_up_at: tokio::time::Instant::now(),
        caught_up: None,
    };
    let notices = Notices::new(worker.ports().clone());
    let others = vec![
        tokio::spawn(inflow.run(stopped.clone())),
        tokio::spawn(tell(notices, signals.journal.clone(), stopped.clone())),
    ];
    let worker = tokio::spawn(drive(worker, signals, stopped, questions, Arc::clone(&status)));
    Running { stop, worker, others, status }
}

type Sent = BoxFuture<'static, (AttemptKey, SendOutcome)>;

async fn drive(
    mut worker: Worker,
    signals: Signals,
    mut stopped: watch::Receiver<Option<Duration>>,
    mut questions: Questions,
    status: Arc<Mutex<WorkerStatus>>,
) -> StopReport {
    let ports = worker.ports().clone();
    let patience = worker.config().request_timeout;
    let mut jobs: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
    let mut sends: FuturesUnordered<Sent> = FuturesUnordered::new();
    let (mut seen, mut seen_due) = (signals.work.count(), signals.due.count());
    let mut seen_free = signals.free.count();
    let mut ending: Option<Ending> = None;
    loop {
        worker.hear(signals.heard.take());
        sends.extend(worker.release().into_iter().map(send));
        for job in worker.jobs() {
            let ports = ports.clone();
            let span = tracing::debug_span!("job", worker = %ports.worker, kind = job.kind());
            jobs.push(async move { perform(job, &ports, patience).await }.instrument(span).boxed());
        }
        if worker.take_journal_grew() {
            signals.journal.raise();
        }
        *status.lock().unwrap_or_else(PoisonError::into_inner) = worker.status();
        let mut wake_at = worker.next_at();
        if let Some(ending) = &mut ending {
            let now = ports.clock.monotonic();
            if (worker.is_quiet() && sends.is_empty()) || now >= ending.deadline {
                break;
            }
            if now >= ending.give_up && !ending.gave_up {
                ending.gave_up = true;
                worker.give_up_waiting();
                continue;
            }
            wake_at = wake_at.min(if ending.gave_up { ending.deadline } else { ending.give_up });
        }
        let wait = wake_at.saturating_sub(ports.clock.monotonic());
        tokio::select! {
            biased;
            Some((attempt, outcome)) = sends.next(), if !sends.is_empty() => {
                worker.record(attempt, outcome);
                // Whatever else has come back by now goes into the same settle.
                while let Some(Some((attempt, outcome))) = sends.next().now_or_never() {
                    worker.record(attempt, outcome);
                }
            }
            Some(done) = jobs.next(), if !jobs.is_empty() => worker.apply(done),
            count = signals.work.raised_since(seen) => {
                seen = count;
                worker.wake();
            }
            count = signals.due.raised_since(seen_due) => {
                seen_due = count;
                worker.wake_due();
            }
            count = signals.free.raised_since(seen_free) => {
                seen_free = count;
                worker.wake_lease();
            }
            Some(Question { asked, answer }) = questions.next() => {
                // Whoever asked may have gone; then nobody wants the answer.
                let _ = answer.send(worker.room(&asked));
            }
            deadline = stopping(&mut stopped), if ending.is_none() => {
                worker.stop();
                ending = Some(Ending::new(ports.clock.monotonic(), deadline));
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
    let open = worker.status().open;
    // What is still under way is not waited for; it would keep its connection, and what it has locked.
    drop(jobs);
    let leave = worker.leave().run(&ports);
    let releases = worker.release_all().into_iter().map(|job| job.run(&ports));
    let going = async {
        leave.await;
        futures::future::join_all(releases).await;
    };
    // A store that does not answer now frees the sessions when their leases end.
    let _ = tokio::time::timeout(Duration::from_secs(2), going).await;
    signals.journal.raise();
    StopReport { open }
}

/// Runs one job. A transport that does not answer about its number is not waited for for ever.
async fn perform(job: Job, ports: &Ports, patience: Duration) -> Done {
    let Job::Report(session, transport) = job else { return job.run(ports).await };
    let asked = Job::Report(session.clone(), transport).run(ports);
    match tokio::time::timeout(patience, asked).await {
        Ok(done) => done,
        Err(_) => {
            let what = "the transport did not answer about the number in time";
            let error = TransportError::new(TransportErrorKind::Unavailable, what, None);
            Done::Report(session, Err(error), Ok(()))
        }
    }
}

struct Ending {
    deadline: Duration,
    give_up: Duration,
    gave_up: bool,
}

impl Ending {
    fn new(now: Duration, deadline: Duration) -> Self {
        // What still waits at the gate is given up early enough for that to be stored.
        let reserve = (deadline / 4).min(Duration::from_secs(1));
        Self { deadline: now + deadline, give_up: now + deadline - reserve, gave_up: false }
    }
}

async fn stopping(stopped: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match stopped.wait_for(Option::is_some).await.map(|deadline| *deadline) {
        Ok(deadline) => deadline.unwrap_or_default(),
        // The handle is gone: its drop aborts this task.
        Err(_) => std::future::pending().await,
    }
}

/// One request. A transport that panics or overruns its time has an unknown outcome.
fn send(Sending { permit, transport }: Sending) -> Sent {
    let attempt = permit.attempt();
    let span = tracing::info_span!("send", tenant = %attempt.tenant, session = %permit.session().id, message = %attempt.message, n = attempt.n);
    async move {
        let most = permit.timeout() + Duration::from_secs(1);
        let sent = AssertUnwindSafe(async move { transport.send(permit).await }).catch_unwind();
        let outcome = match tokio::time::timeout(most, sent).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => SendOutcome::Ambiguous { why: "the transport panicked".to_owned() },
            Err(_) => SendOutcome::Ambiguous { why: "the transport did not keep its time-out".to_owned() },
        };
        (attempt, outcome)
    }
    .instrument(span)
    .boxed()
}

/// How often bodies that nobody applied are looked for.
const CATCH_UP_EVERY: Duration = Duration::from_secs(15);

/// Webhooks on their way from the queue into the store.
struct Inflow {
    intake: Intake,
    config: EngineConfig,
    grew: Signal,
    work: Signal,
    heard: Overheard,
    webhooks: mpsc::Receiver<IntakeRequest>,
    /// Stored and not applied yet.
    kept: Vec<RawBody>,
    /// Not applied before: while more keep coming, what they say is applied together.
    apply_at: tokio::time::Instant,
    /// When what is stored and not applied is looked for next, and from where on.
    catch_up_at: tokio::time::Instant,
    caught_up: Option<RawId>,
}

impl Inflow {
    async fn run(mut self, mut stopped: watch::Receiver<Option<Duration>>) {
        loop {
            let full = self.kept.len() >= self.config.intake_batch;
            let apply = tokio::time::sleep_until(self.apply_at);
            tokio::select! {
                biased;
                () = apply, if !self.kept.is_empty() => self.apply().await,
                () = tokio::time::sleep_until(self.catch_up_at) => self.catch_up().await,
                request = self.webhooks.next(), if !full => match request {
                    Some(request) => self.take(request).await,
                    None => break,
                },
                _ = stopping(&mut stopped) => {
                    // What was accepted into the queue is still stored and answered.
                    self.webhooks.close();
                    while let Some(request) = self.webhooks.next().await {
                        self.take(request).await;
                    }
                    break;
                }
            }
        }
        self.apply().await;
    }

    /// Applies one page of what is stored and was not applied: by an earlier or another process, or
    /// by this one, of a body that was stored although the answer was lost.
    async fn catch_up(&mut self) {
        let page = u32::try_from(self.config.intake_batch).unwrap_or(500);
        let wait = match self.intake.catch_up(self.caught_up, page).await {
            Ok(None) => {
                self.caught_up = None;
                CATCH_UP_EVERY
            }
            Ok(next) => {
                self.caught_up = next;
                self.grew.raise();
                // Webhooks that come in are taken in between.
                self.config.intake_wait
            }
            Err(error) => {
                tracing::warn!(%error, "stored webhooks were not applied yet");
                Duration::from_secs(1)
            }
        };
        self.catch_up_at = tokio::time::Instant::now() + wait;
    }

    /// Stores a body together with those that come in meanwhile, and answers their senders.
    async fn take(&mut self, first: IntakeRequest) {
        let mut requests = vec![first];
        let until = tokio::time::Instant::now() + self.config.intake_wait;
        while requests.len() < self.config.intake_batch {
            match tokio::time::timeout_at(until, self.webhooks.next()).await {
                Ok(Some(request)) => requests.push(request),
                Ok(None) | Err(_) => break,
            }
        }
        let (bodies, replies): (Vec<_>, Vec<_>) =
            requests.into_iter().map(|request| (request.body, request.kept)).unzip();
        let applies = self.apply_at <= tokio::time::Instant::now();
        let (result, applied) = if applies {
            let (result, applied) = self.intake.keep_and_project(&bodies, &self.kept).await;
            (result, Some(applied))
        } else {
            (self.intake.keep(&bodies).await, None)
        };
        if let Err(error) = &result {
            tracing::warn!(%error, bodies = bodies.len(), "webhooks were not stored; their senders are told to come again");
        }
        let answer = result.as_ref().map(|_| ()).map_err(|error| error.kind());
        for reply in replies {
            let _ = reply.send(answer);
        }
        let kept = bodies.into_iter().zip(result.unwrap_or_default());
        self.kept.extend(kept.filter(|(_, kept)| !kept.known).map(|(body, _)| body));
        if let Some(applied) = applied {
            self.applied(applied).await;
        }
    }

    async fn apply(&mut self) {
        if !self.kept.is_empty() {
            let applied = self.intake.project(&self.kept).await;
            self.applied(applied).await;
        }
    }

    async fn applied(&mut self, applied: Result<Projected, StoreError>) {
        match applied {
            Ok(Projected { changed: _, inbound: _, waiting: _, foreign, unknown: _, sessions, metered }) => {
                if foreign > 0 {
                    tracing::warn!(events = foreign, "webhook events of numbers that are not registered");
                }
                self.kept.clear();
                self.grew.raise();
                let changed = !sessions.is_empty();
                self.heard.tell(sessions, metered);
                if changed {
                    self.work.raise();
                }
            }
            Err(error) if error.kind() == StoreErrorKind::Closed => self.kept.clear(),
            Err(error) => {
                tracing::warn!(%error, "stored webhooks were not applied yet");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        self.apply_at = tokio::time::Instant::now() + self.config.project_every;
    }
}

async fn tell(notices: Notices, grew: Signal, mut stopped: watch::Receiver<Option<Duration>>) {
    loop {
        let seen = grew.count();
        let more = match notices.step().await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "notices were not passed on yet");
                false
            }
        };
        let wait = if more { Duration::from_millis(1) } else { Duration::from_secs(1) };
        tokio::select! {
            _ = stopping(&mut stopped) => return,
            // The journal grows with every batch; notices need not keep up with each.
            () = async { tokio::time::sleep(wait).await; let _ = tokio::time::timeout(Duration::from_secs(4), grew.raised_since(seen)).await; } => {}
        }
    }
}
