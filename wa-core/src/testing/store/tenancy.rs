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

use std::sync::Arc;

use async_trait::async_trait;

use super::{OpenStore, StoreFixture};
use crate::model::{Tenant, TenantId, TenantName, TenantSettings, WorkerId, from_micros};
use crate::port::store::{
    Archive, Audience, Directory, Hear, Inbox, Journal, Ledger, Numbers, Outbox, Reports, Schedules, Store,
    StoreError, StoreIdentity,
};
use crate::port::{AdminScope, Clock, Scope, WorkerScope};
use crate::testing::scope;

type Answer<T> = Result<T, StoreError>;

/// Opens stores behind which a stranger tries everything first.
pub(super) struct Trespassed<'a>(pub(super) &'a dyn StoreFixture);

struct OpenTrespassed(Box<dyn OpenStore>, Scope);

/// A store, and another tenant of it.
#[derive(Debug)]
struct Trespassing {
    store: Arc<dyn Store>,
    stranger: Scope,
}

#[async_trait]
impl StoreFixture for Trespassed<'_> {
    async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
        let opened = self.0.open(clock).await;
        let admin = scope::admin(WorkerId::mint(from_micros(0), [9; 10]));
        let fresh = TenantId::mint(from_micros(0), [9; 10]);
        let name = "stranger".parse().expect("a name");
        let made = opened.store().directory().ensure_tenant(&admin, &name, fresh).await;
        let stranger = scope::tenant(made.expect("the stranger is a tenant").id);
        Box::new(OpenTrespassed(opened, stranger))
    }
}

#[async_trait]
impl OpenStore for OpenTrespassed {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Trespassing { store: self.0.store(), stranger: self.1 })
    }

    async fn reopen(&mut self) {
        self.0.reopen().await;
    }
}

/// Checks what a stranger was told about a method's subject.
#[track_caller]
fn refused<T: std::fmt::Debug + PartialEq>(method: &str, told: Answer<T>, expected: &T) {
    match told {
        Ok(told) => assert_eq!(&told, expected, "what a stranger is told by `{method}`"),
        Err(error) => panic!("a stranger tells by `{method}` that something is there: {error:?}"),
    }
}

impl Trespassing {
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
        refused("settings", told, &Some(TenantSettings::default()));
        self.store.directory().settings(scope).await
    }

    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Answer<bool> {
        self.store.directory().put_settings(scope, settings).await
    }
}
