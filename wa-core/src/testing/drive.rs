//! Drives a kit's engine step by step on manual time.
//!
//! The same steps as in production, without the runner: whatever can be done is done, then time is
//! moved to the next instant at which something is due. So a day of sending takes as long as its
//! work does, and the same start gives the same end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::ManualClock;
use crate::engine::{Intake, Notices, Signal, Worker, WorkerStatus};
use crate::model::AttemptKey;
use crate::port::store::StoreError;
use crate::port::{Clock, SendOutcome};
use crate::service::Kit;

/// How long after they were stored webhooks are applied, and notices passed on.
const APPLY_AFTER: Duration = Duration::from_millis(100);

/// How many webhook bodies are applied at once.
const PAGE: u32 = 500;

/// One worker of a kit, driven on manual time.
///
/// The kit must have been built with the same clock, and must not be started. Requests take no manual
/// time unless [`latency`](Self::latency) says so; each is awaited, so a transport may do real I/O.
/// Webhooks that the application hands to [`Kit::webhooks`] meanwhile are applied 100 ms later in manual
/// time, all that came in by then together.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use wa_core::{memory::MemoryStore, model::*, service::{Kit, Message, Number}};
/// # use wa_core::testing::{Driver, ManualClock, ScriptedTransport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
/// let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// let kit = Kit::builder(Arc::new(MemoryStore::new(clock.clone())))
///     .clock(clock.clone())
///     .transport("cloud", transport.clone())
///     .build()
///     .await?;
/// let tenant = kit.tenants().ensure("acme").await?;
/// let session = tenant.sessions().add(&Number::cloud("100")).await?.id;
/// let code = TemplateContent::with_body("code".parse()?, "en".parse()?, Category::Authentication, ["42".to_owned()])?;
/// let phone = Phone::try_from(4_915_112_345_678)?;
/// let message = Message::new(session, phone, Content::Template(code));
/// let id = tenant.messages().send(message.send_at(from_micros(1_790_003_600_000_000))).await?.id;
///
/// let mut driver = Driver::new(&kit, clock);
/// driver.run_for(Duration::from_secs(3_599)).await;
/// assert!(transport.sent().is_empty());
/// driver.run_for(Duration::from_secs(2)).await; // an hour has passed, of which nothing was waited for
/// assert_eq!(tenant.messages().get(id).await?.state, MessageState::Accepted);
/// # Ok(())
/// # }
/// ```
pub struct Driver {
    worker: Worker,
    intake: Intake,
    notices: Notices,
    clock: Arc<ManualClock>,
    moved: Box<dyn FnMut(Duration) + Send>,
    latency: Duration,
    /// Requests whose answers have not arrived in manual time yet.
    answers: Vec<(Duration, AttemptKey, SendOutcome)>,
    /// When something is to be applied, if anything may have come in.
    apply_at: Option<Duration>,
    /// What the application raises, and how often it had when it was last listened to.
    signals: [(Signal, u64); 2],
}

impl Driver {
    /// A driver for one worker of the kit.
    #[must_use]
    pub fn new(kit: &Kit, clock: Arc<ManualClock>) -> Self {
        let (worker, intake) = kit.steps();
        let notices = Notices::new(worker.ports().clone());
        Self {
            worker,
            intake,
            notices,
            clock,
            moved: Box::new(|_| {}),
            latency: Duration::ZERO,
            answers: Vec::new(),
            apply_at: Some(Duration::ZERO),
            signals: [(kit.inner.due.clone(), 0), (kit.inner.work.clone(), 0)],
        }
    }

    /// Is told each time by how much time has moved, such as to move another clock with it.
    #[must_use]
    pub fn moving(mut self, moved: impl FnMut(Duration) + Send + 'static) -> Self {
        self.moved = Box::new(moved);
        self
    }

    /// Lets each answer arrive so long after its request left, in manual time.
    #[must_use]
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// What the worker is doing.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.worker.status()
    }

    /// Does everything that can be done without time passing.
    ///
    /// # Panics
    /// When there is no end to it, which is a bug of the engine or of a store.
    #[expect(clippy::panic, reason = "a test harness tells a test that it cannot go on")]
    pub async fn settle_down(&mut self) {
        for _ in 0..100_000 {
            self.arrive();
            self.listen();
            let sending = self.worker.release();
            let jobs = self.worker.jobs();
            if sending.is_empty() && jobs.is_empty() {
                return;
            }
            let mut requests: FuturesUnordered<BoxFuture<'static, (AttemptKey, SendOutcome)>> =
                FuturesUnordered::new();
            for it in sending {
                let attempt = it.permit.attempt();
                requests.push(Box::pin(async move { (attempt, it.transport.send(it.permit).await) }));
            }
            let arrives_at = self.clock.monotonic() + self.latency;
            while let Some((attempt, outcome)) = requests.next().await {
                self.answers.push((arrives_at, attempt, outcome));
            }
            self.arrive();
            let ports = self.worker.ports().clone();
            for job in jobs {
                let done = job.run(&ports).await;
                self.worker.apply(done);
            }
            if self.worker.take_journal_grew() {
                self.apply_at.get_or_insert(self.clock.monotonic() + APPLY_AFTER);
            }
        }
        panic!("the worker is busy although no time passes");
    }

    /// Lets time pass, from one thing to do to the next.
    ///
    /// # Panics
    /// As [`settle_down`](Self::settle_down), or when webhooks cannot be applied.
    pub async fn run_for(&mut self, span: Duration) {
        let end = self.clock.monotonic() + span;
        loop {
            self.take_in().await.expect("webhooks are applied");
            self.settle_down().await;
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            let answer = self.answers.iter().map(|(at, _, _)| *at).min().unwrap_or(end);
            let next = self.worker.next_at().min(answer).min(self.apply_at.unwrap_or(end));
            self.advance(next.max(now + Duration::from_micros(1)).min(end) - now);
        }
    }

    /// Applies the webhooks that were stored, and passes notices on, if it is time to.
    ///
    /// # Errors
    /// When the store fails.
    async fn take_in(&mut self) -> Result<(), StoreError> {
        if self.apply_at.is_none_or(|at| at > self.clock.monotonic()) {
            return Ok(());
        }
        self.apply_at = None;
        let mut after = None;
        while let Some(last) = self.intake.catch_up(after, PAGE).await? {
            after = Some(last);
        }
        while self.notices.step().await? {}
        Ok(())
    }

    /// Notices what the application did meanwhile: messages, launches, webhooks.
    fn listen(&mut self) {
        let [due, work] = &mut self.signals;
        let raised = |(signal, seen): &mut (Signal, u64)| {
            let count = signal.count();
            std::mem::replace(seen, count) != count
        };
        if raised(due) {
            self.worker.wake_due();
        }
        if raised(work) {
            self.worker.wake();
            self.apply_at.get_or_insert(self.clock.monotonic() + APPLY_AFTER);
        }
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        (self.moved)(by);
    }

    /// Hands in the answers that have arrived.
    fn arrive(&mut self) {
        let now = self.clock.monotonic();
        for (_, attempt, outcome) in self.answers.extract_if(.., |(at, _, _)| *at <= now) {
            self.worker.record(attempt, outcome);
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("status", &self.worker.status()).finish_non_exhaustive()
    }
}
