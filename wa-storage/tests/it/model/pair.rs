//! Both stores, and how their answers are compared.

use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use wa_core::memory::MemoryStore;
use wa_core::port::Clock;
use wa_core::port::store::{AcquireSessions, Numbers};
use wa_core::testing::{ManualClock, scope};
use wa_storage::{SqliteOptions, SqliteStore};

use super::Mismatch;
use crate::world::worker_id;

/// Both stores on one clock.
///
/// They may differ in the ids of events, which each store makes itself; in the order of what the
/// contracts promise no order of; and in that the reference store never knows before a lease ends
/// that its owner is dead. So a bystander holds the file lock here, and `SQLite` does not know either.
pub(crate) struct Pair {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) memory: MemoryStore,
    pub(crate) sqlite: SqliteStore,
    _bystander: SqliteStore,
    folder: TempDir,
}

impl Pair {
    pub(crate) async fn new(start: DateTime<Utc>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(start));
        let bystander = SqliteStore::open(options(&folder, &clock)).expect("a store");
        let nothing = AcquireSessions { worker: worker_id(99), lease: crate::world::LEASE, most: 0 };
        let held = bystander.acquire(&scope::admin(worker_id(99)), &nothing).await;
        assert_eq!(held.expect("an answer"), [], "only the lock is taken");
        let memory = MemoryStore::new(Arc::<ManualClock>::clone(&clock));
        let sqlite = SqliteStore::open(options(&folder, &clock)).expect("a store");
        Self { clock, memory, sqlite, _bystander: bystander, folder }
    }

    pub(crate) fn reopen(&mut self) {
        self.sqlite.close();
        self.sqlite = SqliteStore::open(options(&self.folder, &self.clock)).expect("the store again");
    }
}

fn options(folder: &TempDir, clock: &Arc<ManualClock>) -> SqliteOptions {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    SqliteOptions::new(folder.path().join("wa.db")).clock(clock).readers(NonZeroUsize::MIN)
}

/// Both answers from shortly before the first line in which they differ.
pub(super) fn differ(call: &str, memory: &str, sqlite: &str) -> Mismatch {
    let same = memory.lines().zip(sqlite.lines()).take_while(|(memory, sqlite)| memory == sqlite).count();
    let part = |text: &str| {
        let lines = text.lines().skip(same.saturating_sub(12)).take(40);
        lines.collect::<Vec<_>>().join("\n")
    };
    Mismatch(format!("{call}\nmemory:\n{}\nsqlite:\n{}", part(memory), part(sqlite)))
}

/// Makes a call on both stores and compares the answers, errors by their kind; gives the answer.
macro_rules! both {
    ($pair:expr, $store:ident => $call:expr) => {
        both!($pair, $store => $call, |answer| answer)
    };
    ($pair:expr, $store:ident => $call:expr, $tidy:expr) => {{
        let memory = {
            let $store: &dyn wa_core::port::store::Store = &$pair.memory;
            $call.await.map($tidy).map_err(|error| error.kind())
        };
        let sqlite = {
            let $store: &dyn wa_core::port::store::Store = &$pair.sqlite;
            $call.await.map($tidy).map_err(|error| error.kind())
        };
        if memory != sqlite {
            let call = stringify!($call);
            return Err($crate::model::pair::differ(call, &format!("{memory:#?}"), &format!("{sqlite:#?}")));
        }
        memory
    }};
}
pub(crate) use both;
