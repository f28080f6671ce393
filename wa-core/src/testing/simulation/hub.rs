//! What all parts of a run share: time, draws, what is on its way, and who keeps watch.
//!
//! A step waits for an instant or for an [`Errand`]: something that is done at the other end, whether
//! or not whoever asked for it still waits. So a process that stops or dies takes nothing back that it
//! has handed over, as in life.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::audit::Audit;
use super::dice::Dice;
use super::mark::Mark;
use super::meta::Meta;
use super::plan::Plan;
use super::trace::Trace;
use crate::port::Clock;
use crate::testing::ManualClock;

/// Locks; a panic elsewhere leaves nothing that a test would mind.
pub(super) fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all parts of a run share. No two of its locks are ever held at once, but for `trace`, which
/// takes no other.
pub(super) struct Hub {
    pub(super) clock: Arc<ManualClock>,
    pub(super) dice: Dice,
    pub(super) plan: Plan,
    pub(super) audit: Mutex<Audit>,
    pub(super) meta: Mutex<Meta>,
    pub(super) trace: Mutex<Trace>,
    healed: AtomicBool,
    queue: Mutex<Queue>,
    /// When the task that is polled wants to be polled again.
    wanted: Mutex<Option<Duration>>,
    /// The process that dies before its next poll.
    doomed: Mutex<Option<u32>>,
    /// Whether what is dropped is dropped by a death.
    dying: AtomicBool,
    opportunities: AtomicU64,
}

type Deed = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    errands: BTreeMap<(Duration, u64), Deed>,
    next: u64,
}

impl Hub {
    pub(super) fn new(clock: Arc<ManualClock>, dice: Dice, plan: Plan, trace: Trace) -> Self {
        let (audit, meta) = (Audit::new(&plan), Meta::new(&plan));
        Self {
            clock,
            dice,
            plan,
            audit: Mutex::new(audit),
            meta: Mutex::new(meta),
            trace: Mutex::new(trace),
            healed: AtomicBool::new(true),
            queue: Mutex::default(),
            wanted: Mutex::new(None),
            doomed: Mutex::new(None),
            dying: AtomicBool::new(false),
            opportunities: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn wall(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    pub(super) fn set_healed(&self, healed: bool) {
        self.healed.store(healed, Ordering::Relaxed);
    }

    /// Whether a fault strikes.
    pub(super) fn strikes(&self, per_mille: u64) -> bool {
        !self.is_healed() && self.dice.per_mille(per_mille)
    }

    pub(super) fn mark(&self, mark: Mark) {
        lock(&self.trace).marks.hit(mark);
    }

    /// Writes into the trace.
    pub(super) fn note(&self, kind: &'static str, one: u64, other: u64) {
        lock(&self.trace).note(self.now(), kind, one, other);
    }

    /// Lets a process die before its next poll, if the seed says so.
    pub(super) fn tempt(&self, process: u32) {
        let count = self.opportunities.fetch_add(1, Ordering::Relaxed) + 1;
        if self.plan.crash_at == Some(count) || self.strikes(self.plan.crash_in_call) {
            *lock(&self.doomed) = Some(process);
        }
    }

    /// How often a process could have died.
    pub(super) fn opportunities(&self) -> u64 {
        self.opportunities.load(Ordering::Relaxed)
    }

    /// Whether a process is to die now; asked once.
    pub(super) fn takes(&self, process: u32) -> bool {
        let mut doomed = lock(&self.doomed);
        let hit = *doomed == Some(process);
        if hit {
            *doomed = None;
        }
        hit
    }

    /// Drops what a dead process leaves.
    pub(super) fn bury<T>(&self, remains: T) {
        self.dying.store(true, Ordering::Relaxed);
        drop(remains);
        self.dying.store(false, Ordering::Relaxed);
    }

    /// Polls a step once, and says when it wants to be polled again.
    pub(super) fn poll<T>(&self, step: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Result<T, Duration> {
        *lock(&self.wanted) = None;
        match step.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Ok(done),
            // Whatever waits for nothing that we know is looked at again soon.
            Poll::Pending => {
                Err(lock(&self.wanted).unwrap_or_else(|| self.now() + Duration::from_millis(100)))
            }
        }
    }

    fn want(&self, at: Duration) {
        let mut wanted = lock(&self.wanted);
        *wanted = Some(wanted.map_or(at, |other| other.min(at)));
    }

    /// Waits until an instant.
    pub(super) fn until(self: &Arc<Self>, at: Duration) -> Until {
        Until { at, hub: Arc::clone(self) }
    }

    /// Hands something over that is done at `does_at`; the answer is there at `answers_at`.
    ///
    /// `lands` says whether it is done although whoever asked for it died before.
    pub(super) fn send_out<T: Send + 'static>(
        self: &Arc<Self>,
        does_at: Duration,
        answers_at: Duration,
        lands: bool,
        deed: impl FnOnce() -> T + Send + 'static,
    ) -> Errand<T> {
        let slot = Arc::new(Mutex::new(Slot { answer: None, recalled: false, orphan: false }));
        let own = Arc::clone(&slot);
        let hub = Arc::downgrade(self);
        self.leave(does_at, move || {
            let (recalled, orphan) = {
                let slot = lock(&own);
                (slot.recalled, slot.orphan)
            };
            if recalled {
                return;
            }
            if orphan && let Some(hub) = hub.upgrade() {
                hub.mark(Mark::CommitAfterCrash);
            }
            let answer = deed();
            lock(&own).answer = Some(answer);
        });
        Errand { hub: Arc::clone(self), slot, answers_at: answers_at.max(does_at), lands }
    }

    /// Hands something over of which nobody wants to hear.
    pub(super) fn leave(&self, at: Duration, deed: impl FnOnce() + Send + 'static) {
        let mut queue = lock(&self.queue);
        let number = queue.next;
        queue.next += 1;
        queue.errands.insert((at, number), Box::new(deed));
    }

    /// Does what has arrived at its end by now; whether there was anything.
    pub(super) fn arrive(&self) -> bool {
        let mut any = false;
        loop {
            let deed = {
                let mut queue = lock(&self.queue);
                match queue.errands.first_entry() {
                    Some(first) if first.key().0 <= self.now() => first.remove(),
                    Some(_) | None => return any,
                }
            };
            any = true;
            deed();
        }
    }

    /// When the next thing arrives.
    pub(super) fn next_at(&self) -> Option<Duration> {
        lock(&self.queue).errands.first_key_value().map(|((at, _), _)| *at)
    }

    /// Forgets everything that is on its way.
    pub(super) fn lose_all(&self) {
        let lost = std::mem::take(&mut lock(&self.queue).errands);
        drop(lost);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Waits until an instant.
pub(super) struct Until {
    at: Duration,
    hub: Arc<Hub>,
}

impl Future for Until {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.hub.now() >= self.at {
            return Poll::Ready(());
        }
        self.hub.want(self.at);
        // Joins poll only those parts again that asked for it.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

struct Slot<T> {
    answer: Option<T>,
    /// Nobody waits any more, and it is not to be done.
    recalled: bool,
    /// Nobody waits any more, and it is done all the same.
    orphan: bool,
}

/// Something that is done at the other end, and the wait for its answer.
pub(super) struct Errand<T> {
    hub: Arc<Hub>,
    slot: Arc<Mutex<Slot<T>>>,
    answers_at: Duration,
    lands: bool,
}

impl<T> Future for Errand<T> {
    type Output = T;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if self.hub.now() >= self.answers_at
            && let Some(answer) = lock(&self.slot).answer.take()
        {
            return Poll::Ready(answer);
        }
        self.hub.want(self.answers_at.max(self.hub.now() + Duration::from_micros(1)));
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        if !self.hub.dying.load(Ordering::Relaxed) {
            return;
        }
        let mut slot = lock(&self.slot);
        if slot.answer.is_some() {
            self.hub.mark(Mark::CrashAfterCommit);
        } else if self.lands {
            slot.orphan = true;
        } else {
            slot.recalled = true;
            self.hub.mark(Mark::CrashBeforeCommit);
        }
    }
}
