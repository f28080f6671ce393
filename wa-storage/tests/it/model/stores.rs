//! The three stores, and how their answers are compared.

use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use wa_core::memory::MemoryStore;
use wa_core::port::Clock;
use wa_core::port::store::{AcquireSessions, Numbers, Store};
use wa_core::testing::{ManualClock, scope};
use wa_storage::{PostgresStore, SqliteOptions, SqliteStore, TestDatabase};

use super::Mismatch;
use crate::world::worker_id;

/// How many there are.
pub(super) const STORES: usize = 3;

/// All stores on one clock.
///
/// They may differ in the ids of events, which each store makes itself; in the order of what the
/// contracts promise no order of; in how many records make a page of an export; and in that only `SQLite`
/// can know before a lease ends that its owner is dead. So a bystander holds the file lock here, and `SQLite`
/// does not know either.
pub(crate) struct Stores {
    pub(crate) clock: Arc<ManualClock>,
    memory: MemoryStore,
    sqlite: SqliteStore,
    postgres: PostgresStore,
    _bystander: SqliteStore,
    folder: TempDir,
    database: TestDatabase,
}

impl Stores {
    pub(crate) async fn new(start: DateTime<Utc>) -> Self {
        Self::on(Arc::new(ManualClock::new(start))).await
    }

    /// Empty stores on a clock that others use too.
    pub(super) async fn on(clock: Arc<ManualClock>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bystander = SqliteStore::open(options(&folder, &clock)).expect("a store");
        let nothing = AcquireSessions { worker: worker_id(99), lease: crate::world::LEASE, most: 0 };
        let held = bystander.acquire(&scope::admin(worker_id(99)), &nothing).await;
        assert_eq!(held.expect("an answer"), [], "only the lock is taken");
        let memory = MemoryStore::new(Arc::<ManualClock>::clone(&clock));
        let sqlite = SqliteStore::open(options(&folder, &clock)).expect("a store");
        let database = TestDatabase::create().await;
        let postgres = connect(&database, &clock).await;
        Self { clock, memory, sqlite, postgres, _bystander: bystander, folder, database }
    }

    pub(crate) async fn reopen(&mut self) {
        self.sqlite.close();
        self.sqlite = SqliteStore::open(options(&self.folder, &self.clock)).expect("the store again");
        self.postgres.close().await;
        self.postgres = connect(&self.database, &self.clock).await;
    }

    /// The reference store first, which says what is right.
    pub(crate) fn all(&self) -> [(&'static str, &dyn Store); STORES] {
        [("memory", &self.memory), ("sqlite", &self.sqlite), ("postgres", &self.postgres)]
    }
}

fn options(folder: &TempDir, clock: &Arc<ManualClock>) -> SqliteOptions {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    SqliteOptions::new(folder.path().join("wa.db")).clock(clock).readers(NonZeroUsize::MIN)
}

async fn connect(database: &TestDatabase, clock: &Arc<ManualClock>) -> PostgresStore {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    PostgresStore::connect(database.options().clock(clock)).await.expect("a store")
}

/// Both answers from shortly before the first line in which they differ.
pub(super) fn differ(call: &str, memory: &str, name: &str, other: &str) -> Mismatch {
    let same = memory.lines().zip(other.lines()).take_while(|(memory, other)| memory == other).count();
    let part = |text: &str| {
        let lines = text.lines().skip(same.saturating_sub(12)).take(40);
        lines.collect::<Vec<_>>().join("\n")
    };
    Mismatch(format!("{call}\nmemory:\n{}\n{name}:\n{}", part(memory), part(other)))
}

/// Makes a call on every store and compares the answers, errors by their kind; gives the answer.
macro_rules! every {
    ($stores:expr, $store:ident => $call:expr) => {
        every!($stores, $store => $call, |answer| answer)
    };
    ($stores:expr, $store:ident => $call:expr, $tidy:expr) => {{
        let mut right = None;
        for (name, $store) in $stores.all() {
            let answer = $call.await.map($tidy).map_err(|error| {
                if std::env::var_os("WA_MODEL_ERRORS").is_some() {
                    eprintln!("{name}: {error:?}");
                }
                error.kind()
            });
            match &right {
                None => right = Some(answer),
                Some(right) if *right != answer => {
                    let (right, answer) = (format!("{right:#?}"), format!("{answer:#?}"));
                    return Err($crate::model::stores::differ(stringify!($call), &right, name, &answer));
                }
                Some(_) => {}
            }
        }
        right.expect("there are stores")
    }};
}
pub(crate) use every;
