//! The writer thread: every change goes through it, and what waits together is committed together.
//!
//! Invariant: a call is answered after the commit that holds it, never before. Each call of a
//! group runs in a savepoint of its own, so one that fails takes nothing of its siblings with it.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};
use wa_core::port::store::{StoreError, StoreErrorKind};
use wa_core::port::{Clock, Entropy};

use super::Queued;
use super::archive;
use super::connect::patiently_while;
use super::error::{Fallible, Fault, is_busy, of_commit};
use super::lock::FileLock;

/// How far a commit must have got before its calls are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// Survives the end of the process; a power cut may undo it.
    Normal,
    /// Survives a power cut.
    Full,
}

/// What a call works on: the open transaction and its one instant.
pub(super) struct Tx<'c> {
    pub(super) conn: &'c Connection,
    pub(super) now: DateTime<Utc>,
    pub(super) shared: &'c Shared,
}

/// What the writer shares with the store that owns it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) lock: FileLock,
    pub(super) counters: Counters,
    /// The store is being closed: what another process holds up is refused, not waited for.
    pub(super) is_closing: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) jobs: AtomicU64,
    pub(super) syncs: AtomicU64,
}

/// One call on its way to the writer.
pub(super) trait Job: Send {
    fn durability(&self) -> Durability;
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work; `false` when what it changed must be undone.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Answers the caller with the call's own result, or with what befell its group.
    fn answer(self: Box<Self>, group: Result<(), StoreError>);
}

/// Builds a job around a closure; the answer comes through the receiver.
pub(super) fn job<T, F>(
    durability: Durability,
    work: F,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&Tx<'_>) -> Fallible<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Typed { durability, work: Some(work), result: None, reply }), answer)
}

struct Typed<T, F> {
    durability: Durability,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Fallible<T> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        // A judge is the embedder's code: its panic must not take the writer and all other calls along.
        let result = catch_unwind(AssertUnwindSafe(|| work(tx)))
            .unwrap_or(Err(Fault::Broken("the call panicked inside its transaction")))
            .map_err(Fault::into_store);
        let keeps = result.is_ok();
        self.result = Some(result);
        keeps
    }

    fn answer(self: Box<Self>, group: Result<(), StoreError>) {
        let result = match (self.result, group) {
            // A call that failed on its own changed nothing, whatever became of the group.
            (Some(Err(own)), _) => Err(own),
            (_, Err(group)) => Err(group),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => return,
        };
        // The caller may have gone; then nobody wants the answer.
        drop(self.reply.send(result));
    }
}

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) most: usize,
    pub(super) patience: Duration,
    pub(super) durability: Durability,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Writer {
    /// Works until every sender is gone and the channel is empty.
    pub(super) fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Queued<Box<dyn Job>>>) {
        let mut carried = VecDeque::new();
        while let Some(first) = carried.pop_front().or_else(|| inbox.blocking_recv().map(|(job, _)| job)) {
            let mut group = VecDeque::from([first]);
            while group.len() < self.most {
                let Some(next) = carried.pop_front().or_else(|| inbox.try_recv().ok().map(|(job, _)| job))
                else {
                    break;
                };
                group.push_back(next);
            }
            // What was not run, because the transaction broke or needs another durability, comes first
            // in the next one.
            carried = self.commit_group(group, &mut inbox);
        }
    }

    /// Runs a group in one transaction, with what comes in meanwhile, and answers all of it; returns
    /// what was not run.
    fn commit_group(
        &mut self,
        mut waiting: VecDeque<Box<dyn Job>>,
        inbox: &mut mpsc::UnboundedReceiver<Queued<Box<dyn Job>>>,
    ) -> VecDeque<Box<dyn Job>> {
        waiting.retain(|job| !job.is_abandoned());
        let Some(durability) = waiting.iter().map(|job| job.durability()).max() else { return waiting };
        if let Err(fault) = self.begin(durability) {
            let error = fault.into_store();
            for job in waiting {
                job.answer(Err(copy(&error)));
            }
            return VecDeque::new();
        }
        let shared = Arc::clone(&self.shared);
        let changes = self.conn.total_changes();
        let mut done = Vec::with_capacity(waiting.len());
        let mut after = VecDeque::new();
        while let Some(mut job) = waiting.pop_front() {
            let now = shared.clock.now();
            let tx = Tx { conn: &self.conn, now, shared: &shared };
            let kept = run_in_savepoint(&tx, job.as_mut());
            shared.counters.jobs.fetch_add(1, Ordering::Relaxed);
            done.push(job);
            if let Err(error) = kept {
                self.undo();
                let error = Fault::Sql(error).into_store();
                for job in done {
                    job.answer(Err(copy(&error)));
                }
                waiting.append(&mut after);
                return waiting;
            }
            // Whoever came while this ran rides along, in order, unless it needs a safer commit.
            while after.is_empty()
                && done.len() + waiting.len() < self.most
                && let Ok((next, _)) = inbox.try_recv()
            {
                let fits = next.durability() <= durability;
                if fits { waiting.push_back(next) } else { after.push_back(next) }
            }
        }
        let outcome = self.commit(changes);
        for job in done {
            job.answer(outcome.as_ref().map_or_else(|error| Err(copy(error)), |()| Ok(())));
        }
        after
    }

    fn begin(&mut self, durability: Durability) -> Fallible<()> {
        // `synchronous` can be switched between transactions only.
        if durability != self.durability {
            let level = match durability {
                Durability::Normal => "NORMAL",
                Durability::Full => "FULL",
            };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        let (conn, is_closing) = (&self.conn, &self.shared.is_closing);
        let is_wanted = || !is_closing.load(Ordering::Relaxed);
        let begun = patiently_while(self.patience, is_wanted, || {
            Ok(conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?)
        });
        if begun.is_err() && !is_wanted() {
            // The groups behind this one would meet the same lock, each for another while.
            conn.busy_timeout(Duration::ZERO)?;
        }
        begun
    }

    fn commit(&mut self, changes_before: u64) -> Result<(), StoreError> {
        let changed = self.conn.total_changes() != changes_before;
        let mark =
            if changed && self.durability == Durability::Full { archive::mark(&self.conn) } else { None };
        let mut tries = 0_u32;
        let failure = loop {
            match self.conn.prepare_cached("COMMIT").and_then(|mut it| it.execute([])) {
                Ok(_) => {
                    if changed {
                        self.shared.counters.commits.fetch_add(1, Ordering::Relaxed);
                        if self.durability == Durability::Full {
                            self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
                        }
                        if let Some(mark) = mark {
                            self.shared.lock.note(mark);
                        }
                    }
                    return Ok(());
                }
                Err(error) if is_busy(&error) && tries < 60 && !self.conn.is_autocommit() => tries += 1,
                Err(error) => break error,
            }
        };
        self.undo();
        Err(of_commit(failure))
    }

    /// Makes sure that no transaction is open.
    fn undo(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

/// Runs one job; an error means that the whole transaction is lost.
fn run_in_savepoint(tx: &Tx<'_>, job: &mut dyn Job) -> rusqlite::Result<()> {
    let execute = |sql| tx.conn.prepare_cached(sql).and_then(|mut it| it.execute([])).map(drop);
    execute("SAVEPOINT job")?;
    let keeps = job.run(tx);
    // A full disk or a failing one makes SQLite roll the whole transaction back by itself.
    if tx.conn.is_autocommit() {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error {
                code: ErrorCode::OperationAborted,
                extended_code: rusqlite::ffi::SQLITE_ABORT,
            },
            None,
        ));
    }
    if !keeps {
        execute("ROLLBACK TO job")?;
    }
    execute("RELEASE job")
}

/// The same error for every call of a group; the source goes to none of them twice.
fn copy(error: &StoreError) -> StoreError {
    let what = match error.kind() {
        StoreErrorKind::Unavailable
        | StoreErrorKind::Unknown
        | StoreErrorKind::Closed
        | StoreErrorKind::Broken => error.to_string(),
    };
    let source = std::error::Error::source(error).map(|source| source.to_string().into());
    StoreError::new(error.kind(), what, source)
}
