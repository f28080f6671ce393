//! The tenant boundary: every case again, on a store behind which a stranger tries everything first.
//!
//! [`Trespassed`] repeats each call under the scope of another tenant, or of a worker that holds
//! nothing, checks that the answer is the one for a missing id, and only then makes the call
//! itself. A case that holds without the stranger and fails with it has found a hole. A method that is
//! added to a room does not compile until the stranger tries it too.

mod archive;
mod audience;
mod inbox;
mod journal;
mod ledger;
mod numbers;
mod outbox;
mod reports;
mod schedules;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{OpenStore, StoreFixture, of_rooms, outcome};
use crate::model::{Tenant, TenantId, TenantName, TenantSettings, WorkerId, from_micros};
use crate::port::store::{
    Archive, Audience, Directory, Hear, Inbox, Journal, Ledger, Numbers, Outbox, Reports, Schedules, Store,
    StoreError, StoreIdentity,
};
use crate::port::{AdminScope, Clock, Scope, WorkerScope};
use crate::testing::scope;

type Answer<T> = Result<T, StoreError>;

/// The clause that holds in every room: runs every case that holds again, behind a stranger's back.
#[expect(clippy::print_stdout, reason = "how much was tried is part of the answer")]
pub(super) async fn a_foreign_id_looks_missing(fixture: &dyn StoreFixture) {
    let (mut holes, mut cases) = (Vec::new(), 0);
    let refused = Refused::default();
    // The directory is the list of tenants: what it holds is no tenant's own.
    for case in of_rooms().into_iter().filter(|case| case.room != "directory") {
        cases += 1;
        let trespassed = Trespassed { fixture, refused: Arc::clone(&refused) };
        let Some(seen) = outcome(&case, &trespassed).await else { continue };
        if outcome(&case, fixture).await.is_none() {
            holes.push(format!("{}::{}: {seen}", case.room, case.clause));
        }
    }
    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
    let (methods, times): (_, u64) = (refused.len(), refused.values().sum());
    println!(
        "{cases} cases with a stranger: refused by {methods} methods, {times} times, {} holes",
        holes.len()
    );
    assert!(holes.is_empty(), "a stranger makes a difference:\n{}", holes.join("\n"));
}

/// How often a stranger was refused, by method.
type Refused = Arc<Mutex<BTreeMap<&'static str, u64>>>;

/// Opens stores behind which a stranger tries everything first.
struct Trespassed<'a> {
    fixture: &'a dyn StoreFixture,
    refused: Refused,
}

struct OpenTrespassed {
    opened: Box<dyn OpenStore>,
    stranger: Scope,
    refused: Refused,
}

/// A store, and another tenant of it.
#[derive(Debug)]
struct Trespassing {
    store: Arc<dyn Store>,
    stranger: Scope,
    refused: Refused,
}

#[async_trait]
impl StoreFixture for Trespassed<'_> {
    async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
        let opened = self.fixture.open(clock).await;
        let admin = scope::admin(WorkerId::mint(from_micros(0), [9; 10]));
        let fresh = TenantId::mint(from_micros(0), [9; 10]);
        let name = "stranger".parse().expect("a name");
        let made = opened.store().directory().ensure_tenant(&admin, &name, fresh).await;
        let stranger = scope::tenant(made.expect("the stranger is a tenant").id);
        Box::new(OpenTrespassed { opened, stranger, refused: Arc::clone(&self.refused) })
    }
}

#[async_trait]
impl OpenStore for OpenTrespassed {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Trespassing {
            store: self.opened.store(),
            stranger: self.stranger,
            refused: Arc::clone(&self.refused),
        })
    }

    async fn reopen(&mut self) {
        self.opened.reopen().await;
    }
}

impl Trespassing {
    /// Checks what a stranger was told about a method's subject.
    #[track_caller]
    fn refused<T: std::fmt::Debug + PartialEq>(&self, method: &'static str, told: Answer<T>, expected: &T) {
        match told {
            Ok(told) => assert_eq!(&told, expected, "what a stranger is told by `{method}`"),
            Err(error) => panic!("a stranger tells by `{method}` that something is there: {error:?}"),
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(method).or_default() += 1;
    }

    fn nobody(&self) -> WorkerScope {
        scope::worker(WorkerId::mint(from_micros(0), [8; 10]), [])
    }
}

impl Store for Trespassing {
    fn commits_in_order(&self) -> bool {
        self.store.commits_in_order()
    }
    fn subscribe(&self, hear: Hear) {
        self.store.subscribe(hear);
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

// The directory names nothing that a tenant owns but its settings, which a scope reaches alone.
#[async_trait]
impl Directory for Trespassing {
    async fn identity(&self, scope: &AdminScope, fresh: &StoreIdentity) -> Answer<StoreIdentity> {
        self.store.directory().identity(scope, fresh).await
    }

    async fn ensure_tenant(&self, scope: &AdminScope, name: &TenantName, fresh: TenantId) -> Answer<Tenant> {
        self.store.directory().ensure_tenant(scope, name, fresh).await
    }

    async fn tenants(&self, scope: &AdminScope, after: Option<TenantId>, limit: u32) -> Answer<Vec<Tenant>> {
        self.store.directory().tenants(scope, after, limit).await
    }

    async fn tenant(&self, scope: &Scope) -> Answer<Option<Tenant>> {
        self.store.directory().tenant(scope).await
    }

    async fn settings(&self, scope: &Scope) -> Answer<Option<TenantSettings>> {
        let told = self.store.directory().settings(&self.stranger).await;
        self.refused("settings", told, &Some(TenantSettings::default()));
        self.store.directory().settings(scope).await
    }

    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Answer<bool> {
        self.store.directory().put_settings(scope, settings).await
    }
}
