//! The reference store: simple, slow, obviously right; the oracle of the model tests.
//!
//! Everything lies in ordered maps behind one lock, so every call is one atomic step and every
//! answer has one order. What can be derived is derived on each call: states of messages, counts,
//! quota, tier and cost are never stored. It does not outlive its process, and it never knows that
//! an owner of a session is dead before the lease has ended.

mod alerts;
mod archive;
mod audience;
mod begin;
mod consider;
mod contacts;
mod cost;
mod court;
mod directory;
mod doubt;
mod flaws;
mod inbox;
mod journal;
mod launch;
mod ledger;
mod merge;
#[cfg(feature = "mutants")]
mod mutants;
mod numbers;
mod outbox;
mod pricing;
mod redrive;
mod reports;
mod schedules;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::state::State;
use crate::model::whole_micros;
#[cfg(all(feature = "engine", feature = "testing"))]
use crate::model::{IncarnationId, ReconcileCause};
use crate::port::Clock;
use crate::port::store::{
    Archive, Audience, Directory, Hear, Inbox, Journal, Ledger, MAX_PAGE, Numbers, Outbox, Reports,
    Schedules, Store, StoreError, StoreErrorKind,
};

/// A store in memory. A clone is another handle on the same data, as a reopened database is.
///
/// ```
/// use std::sync::Arc;
/// use wa_core::{memory::MemoryStore, port::SystemClock};
/// let store = MemoryStore::new(Arc::new(SystemClock));
/// let before = store.snapshot();
/// let reopened = store.clone();
/// reopened.restore(&before);
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

/// Everything that a store held at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

impl MemoryStore {
    /// An empty store that tells the time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// The same store, broken for tests of its tests; the tenants made from now on are broken with it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(self, mutant: Option<crate::testing::Mutant>) -> Self {
        self.lock().mutant = mutant;
        self
    }

    /// The same store, wrong in one small way; the tenants made from now on are wrong with it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_flaw(self, flaw: Option<crate::testing::Flaw>) -> Self {
        self.lock().flaw = flaw;
        self
    }

    /// Another handle on the same data, as after a restart. A store that forgets forgets here.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn reopened(&self) -> Self {
        flaws::forget(&mut self.lock());
        self.clone()
    }

    /// Copies everything.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().clone())
    }

    /// Puts back what a snapshot holds, for every handle; what came after it is lost.
    ///
    /// The incarnation stays that of the snapshot: a simulated loss of the last commits is not a
    /// restored backup. Who plays the latter calls [`Archive::suspend`].
    pub fn restore(&self, snapshot: &Snapshot) {
        *self.lock() = snapshot.0.clone();
    }

    /// Puts a backup back: what came after it is lost, and the store begins another life, as one that
    /// notices what happened when it is opened.
    #[cfg(all(feature = "engine", feature = "testing"))]
    pub(crate) fn restore_backup(&self, backup: &Snapshot, now: DateTime<Utc>, random: u64) {
        let mut state = backup.0.clone();
        let mut bytes = [0; 10];
        bytes.iter_mut().zip(random.to_le_bytes()).for_each(|(byte, fresh)| *byte = fresh);
        let fresh = IncarnationId::mint(now, bytes);
        #[cfg(feature = "mutants")]
        let notices = mutants::notices_a_restore(state.mutant);
        #[cfg(not(feature = "mutants"))]
        let notices = true;
        if notices {
            archive::suspend(&mut state, now, fresh, ReconcileCause::Restored);
        }
        *self.lock() = state;
    }

    fn read<T>(&self, look: impl FnOnce(&State, DateTime<Utc>) -> T) -> T {
        let state = self.lock();
        look(&state, whole_micros(self.clock.now()))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State, DateTime<Utc>) -> T) -> T {
        let mut state = self.lock();
        let now = whole_micros(self.clock.now());
        change(&mut state, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The only foreign code that runs under the lock is a judge, and it runs before anything is
        // changed: what a panic leaves behind is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn commits_in_order(&self) -> bool {
        true
    }

    fn subscribe(&self, _hear: Hear) {}

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

/// At most as many as a page may hold.
fn page<T>(all: impl Iterator<Item = T>, limit: u32) -> Vec<T> {
    all.take(usize::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(usize::MAX)).collect()
}

/// The range of keys behind `after`, or all.
fn behind<K>(after: Option<K>) -> (Bound<K>, Bound<K>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// The range of keys from `after` on, or all: what a store pages by that repeats the row at the border.
#[cfg(feature = "mutants")]
fn from<K>(after: Option<K>) -> (Bound<K>, Bound<K>) {
    (after.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded)
}

/// An instant that lies this much later, in whole microseconds.
fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    whole_micros(at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// Two different things were given one id.
fn id_taken(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Broken, format!("the id of the {what} belongs to another one"), None)
}
