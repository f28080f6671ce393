//! The `SQLite` store: one file, one writer thread, readers beside it.
//!
//! Invariant: whatever a call reports, the commit that holds it came first. Every decision is made
//! by `wa_core::rules`; the rooms read facts, ask, and write. Several stores on one file, also in
//! several processes, are correct, not fast: the file itself is the only shared state.

mod alerts;
mod archive;
mod audience;
mod backup;
mod booked;
mod changes;
mod codec;
mod config;
mod connect;
mod directory;
mod error;
mod inbox;
mod journal;
mod ledger;
mod lock;
mod message;
mod migrate;
mod numbers;
mod outbox;
#[cfg(test)]
mod plans;
mod prices;
mod reader;
mod reports;
mod schedules;
mod spend;
mod transaction;
mod writer;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use chrono::{DateTime, Utc};
use rusqlite::params;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use wa_core::model::{ReconcileCause, micros};
use wa_core::port::store::{
    Archive, Audience, Directory, Hear, Inbox, Journal, Ledger, MAX_PAGE, Numbers, Outbox, Reports,
    Schedules, Store, StoreError,
};

pub use backup::SqliteBackup;
pub use config::SqliteOptions;
use error::{Fallible, Fault};
pub use migrate::SqliteMigrations;
use reader::{Read, Reader, Snapshot};
pub use transaction::{SqliteTransaction, TransactionError};
use writer::{Counters, Durability, Job, Shared, Tx, Writer};

/// A store in one `SQLite` file.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    open: Mutex<Option<Open>>,
}

/// How many rows a step of a long deletion takes.
const DELETED_AT_ONCE: u32 = 1_000;

/// What a store did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Transactions that changed something and were committed.
    pub commits: u64,
    /// Those of them that were synced to the disk before they were answered.
    pub synced_commits: u64,
    /// Calls that ran inside the transactions, also those that changed nothing.
    pub jobs: u64,
}

/// The ways to the threads of an open store.
#[derive(Debug)]
struct Open {
    writes: Queue<Box<dyn Job>>,
    reads: Queue<Read>,
    threads: Vec<JoinHandle<()>>,
}

/// A bounded queue into a thread. The bound is a semaphore, so that a caller who waits for room
/// holds no sender and cannot keep the thread from ending.
struct Queue<T> {
    sender: mpsc::UnboundedSender<Queued<T>>,
    room: Arc<Semaphore>,
}

/// A call and the room that it takes up until it is taken out.
type Queued<T> = (T, OwnedSemaphorePermit);

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("room", &self.room.available_permits()).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, brings its schema up to date and starts the threads.
    ///
    /// A file that is older than what was last begun in it, or that came without `<file>.lock`, is a copy that
    /// was put back: nothing is sent from it until [`Archive::lift`].
    ///
    /// # Errors
    /// When the file cannot be opened or written, is no `SQLite` database, or has a schema more than
    /// one version ahead of this program.
    pub fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::open_as(options, None)
    }

    /// Opens the file, and suspends it for a cause that is known already.
    fn open_as(options: SqliteOptions, cause: Option<ReconcileCause>) -> Result<Self, StoreError> {
        connect::create(&options.path)?;
        let conn = connect::writer(&options).map_err(Fault::into_store)?;
        migrate::bring_up(&conn, &options)?;
        let mut token = [0; 16];
        options.entropy.fill(&mut token);
        let shared = Arc::new(Shared {
            clock: Arc::clone(&options.clock),
            entropy: Arc::clone(&options.entropy),
            lock: lock::FileLock::new(&options.path, token),
            counters: Counters::default(),
            is_closing: AtomicBool::new(false),
        });
        archive::recognise(&conn, &shared, options.busy, cause).map_err(Fault::into_store)?;
        let open = start(conn, &shared, &options)?;
        Ok(Self { shared, open: Mutex::new(Some(open)) })
    }

    /// Finishes what waits, stops the threads and lets go of the file. Blocks for as long as that takes;
    /// calls that another process holds up are refused as unavailable.
    ///
    /// Every later call gives [`StoreErrorKind::Closed`](wa_core::port::store::StoreErrorKind::Closed); closing again does nothing.
    pub fn close(&self) {
        let Some(Open { writes, reads, threads }) = self.lock().take() else { return };
        self.shared.is_closing.store(true, Ordering::Relaxed);
        writes.room.close();
        reads.room.close();
        drop((writes, reads));
        for thread in threads {
            // Who drops the last handle inside a judge is the writer himself, and ends after this call.
            if thread.thread().id() == std::thread::current().id() {
                continue;
            }
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        // Last, so that nobody takes this owner for dead while its writer still works.
        self.shared.lock.release();
    }

    /// What the store did since it was opened.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let Counters { commits, jobs, syncs } = &self.shared.counters;
        StoreStats {
            commits: commits.load(Ordering::Relaxed),
            synced_commits: syncs.load(Ordering::Relaxed),
            jobs: jobs.load(Ordering::Relaxed),
        }
    }

    async fn write<T, F>(&self, durability: Durability, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Fallible<T> + Send + 'static,
    {
        let (job, answer) = writer::job(durability, work);
        self.enter(|open| &open.writes, job).await?;
        answer.await.map_err(|_| error::lost())?
    }

    /// Deletes what is older than an instant, a step per commit, so that sends wait for one step at most.
    async fn delete_in_steps(&self, sql: &'static str, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let gone = self.write(Durability::Normal, move |tx| {
                Ok(tx.conn.prepare_cached(sql)?.execute(params![micros(before), DELETED_AT_ONCE])?)
            });
            let gone = u64::try_from(gone.await?).unwrap_or(u64::MAX);
            all += gone;
            if gone < u64::from(DELETED_AT_ONCE) {
                return Ok(all);
            }
        }
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Snapshot<'_>) -> Fallible<T> + Send + 'static,
    {
        let (call, answer) = reader::call(work);
        self.enter(|open| &open.reads, call).await?;
        answer.await.map_err(|_| error::lost())?
    }

    /// Waits for room in a queue and puts a call in.
    async fn enter<T>(&self, queue: impl Fn(&Open) -> &Queue<T>, call: T) -> Result<(), StoreError> {
        let room =
            self.lock().as_ref().map(|open| Arc::clone(&queue(open).room)).ok_or_else(error::closed)?;
        let permit = room.acquire_owned().await.map_err(|_| error::closed())?;
        let open = self.lock();
        let queue = open.as_ref().map(queue).ok_or_else(error::closed)?;
        queue.sender.send((call, permit)).map_err(|_| error::lost())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for SqliteStore {
    fn commits_in_order(&self) -> bool {
        // One queue, one writer: what is handed in first is in the same commit or an earlier one.
        true
    }
    fn subscribe(&self, _hear: Hear) {
        // Another process cannot reach this one through a file.
    }
    fn directory(&self) -> &dyn Directory {
        self
    }
    fn numbers(&self) -> &dyn Numbers {
        self
    }
    fn audience(&self) -> &dyn Audience {
        self
    }
    fn schedules(&self) -> &dyn Schedules {
        self
    }
    fn outbox(&self) -> &dyn Outbox {
        self
    }
    fn inbox(&self) -> &dyn Inbox {
        self
    }
    fn ledger(&self) -> &dyn Ledger {
        self
    }
    fn journal(&self) -> &dyn Journal {
        self
    }
    fn reports(&self) -> &dyn Reports {
        self
    }
    fn archive(&self) -> &dyn Archive {
        self
    }
}

fn start(
    conn: rusqlite::Connection,
    shared: &Arc<Shared>,
    options: &SqliteOptions,
) -> Result<Open, StoreError> {
    let (writes, jobs) = queue(options.queue);
    let (reads, calls) = queue(options.queue);
    let writer = Writer {
        conn,
        shared: Arc::clone(shared),
        most: options.group,
        patience: options.busy,
        durability: Durability::Full,
    };
    let mut threads = vec![spawn("wa-sqlite-writer", move || writer.run(jobs))?];
    let calls = Arc::new(Mutex::new(calls));
    for _ in 0..options.readers {
        let conn = connect::reader(options).map_err(Fault::into_store)?;
        let reader = Reader { conn, clock: Arc::clone(&options.clock), patience: options.busy };
        let calls = Arc::clone(&calls);
        threads.push(spawn("wa-sqlite-reader", move || reader.run(&calls))?);
    }
    Ok(Open { writes, reads, threads })
}

/// How many rows a page gives at most.
fn page_size(limit: u32) -> i64 {
    i64::from(limit.clamp(1, MAX_PAGE))
}

fn queue<T>(room: usize) -> (Queue<T>, mpsc::UnboundedReceiver<Queued<T>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Queue { sender, room: Arc::new(Semaphore::new(room)) }, receiver)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| error::of_io("a thread of the store cannot be started", error))
}
