//! One transaction: what it may see, what it locks, its one instant, and how it ends.
//!
//! Invariant: locks are taken in one order, by everybody, before anything that they protect is read; the
//! clock is read after them. Everything is taken in one go, so that nobody who holds a late lock waits for
//! an early one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use wa_core::model::{SessionId, TenantId};
use wa_core::port::store::{News, StoreError};

use super::error::{Fallible, Fault, is_disconnect, of_commit};
use super::news::announce;
use super::{PostgresStore, Shared};
use crate::common::int;

/// Whose rows a transaction may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Those of one tenant; row-level security hides the others.
    Tenant(TenantId),
    /// All of them: the engine and the kit's administration.
    Engine,
}

/// An open transaction and its one instant.
#[derive(Debug)]
pub(super) struct Tx {
    inner: Transaction<'static, Postgres>,
    pub(super) now: DateTime<Utc>,
    pub(super) shared: Arc<Shared>,
}

/// What is locked, in the order in which it is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The store as a whole: shared by those who send, exclusive to those who say whether anybody may.
    Store,
    /// Names that are unique across tenants, and what there is one of.
    Directory,
    /// A tenant: shared by those who send, exclusive to those whose change binds every later begin.
    Gate,
    /// Contacts, lists and campaigns of a tenant, for those who share its gate.
    Audience,
    /// The attempts of a session.
    Session,
    /// The slots of a messaging limit.
    Portfolio,
    /// What a tenant's quota and budgets have left.
    Money,
    /// The end of the journal.
    Journal,
}

/// Locks to take, all at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Locks(BTreeMap<(Place, String), bool>);

impl Locks {
    /// None: for what only appends.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// The store by itself: nothing begins beside this.
    pub(super) fn store(shared: &Shared) -> Self {
        Self::none().with(Place::Store, shared.lock_name("store", ""), true)
    }

    /// Beside what else is taken, the store, shared with others that send.
    pub(super) fn and_store(self, shared: &Shared) -> Self {
        self.with(Place::Store, shared.lock_name("store", ""), false)
    }

    /// A tenant by itself: nothing of it begins, settles or changes beside this.
    pub(super) fn tenant(shared: &Shared, tenant: TenantId) -> Self {
        Self::none().and_tenant(shared, tenant)
    }

    /// Beside what else is taken, a tenant by itself.
    pub(super) fn and_tenant(self, shared: &Shared, tenant: TenantId) -> Self {
        self.with(Place::Gate, shared.lock_name("tenant", &tenant.as_uuid().to_string()), true)
    }

    /// The gate of a tenant, shared with others that send.
    pub(super) fn and_gate(self, shared: &Shared, tenant: TenantId) -> Self {
        self.with(Place::Gate, shared.lock_name("tenant", &tenant.as_uuid().to_string()), false)
    }

    /// Contacts, lists and campaigns of a tenant, under its shared gate: sends go on meanwhile.
    pub(super) fn audience(shared: &Shared, tenant: TenantId) -> Self {
        let key = shared.lock_name("audience", &tenant.as_uuid().to_string());
        Self::none().and_gate(shared, tenant).with(Place::Audience, key, true)
    }

    /// The attempts of a session, with its tenant's gate and what its quota and budgets have left: what becomes
    /// of attempts changes these.
    pub(super) fn and_session(self, shared: &Shared, tenant: TenantId, session: SessionId) -> Self {
        self.and_gate(shared, tenant).and_money(shared, tenant).with(
            Place::Session,
            shared.lock_name("session", &session.as_uuid().to_string()),
            true,
        )
    }

    /// The slots of a messaging limit, by [`portfolio_key`](crate::common::portfolio_key).
    pub(super) fn and_portfolio(self, shared: &Shared, portfolio: &str) -> Self {
        self.with(Place::Portfolio, shared.lock_name("portfolio", portfolio), true)
    }

    /// What a tenant's quota and budgets have left.
    pub(super) fn and_money(self, shared: &Shared, tenant: TenantId) -> Self {
        self.with(Place::Money, shared.lock_name("money", &tenant.as_uuid().to_string()), true)
    }

    /// Names that are unique across tenants, and what there is one of.
    pub(super) fn directory(shared: &Shared) -> Self {
        Self::none().with(Place::Directory, shared.lock_name("directory", ""), true)
    }

    /// The end of the journal, for whoever gives its rows their positions.
    pub(super) fn journal(shared: &Shared) -> Self {
        Self::none().with(Place::Journal, shared.lock_name("journal", ""), true)
    }

    fn with(mut self, place: Place, key: String, exclusive: bool) -> Self {
        *self.0.entry((place, key)).or_default() |= exclusive;
        self
    }
}

impl PostgresStore {
    /// A transaction that changes something: opened, locked, and its instant read.
    pub(super) async fn write(&self, access: Access, locks: Locks) -> Result<Tx, StoreError> {
        let mut tx = self.open(access).await?;
        match tx.lock(locks).await {
            Ok(()) => Ok(tx),
            Err(fault) => Err(fault.into_store()),
        }
    }

    /// A snapshot: every statement of it sees the same.
    pub(super) async fn read(&self, access: Access) -> Result<Tx, StoreError> {
        let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}", self.settings(access));
        let mut tx = self.begin_with(begin).await?;
        match tx.tick().await {
            Ok(()) => Ok(tx),
            Err(fault) => Err(fault.into_store()),
        }
    }

    /// A transaction whose caller takes the locks and reads the clock.
    pub(super) async fn open(&self, access: Access) -> Result<Tx, StoreError> {
        let wait = int(u64::try_from(self.shared.patience.as_millis()).unwrap_or(u64::MAX));
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on; \
             SET LOCAL lock_timeout = {wait}; {}",
            self.settings(access)
        );
        self.begin_with(begin).await
    }

    fn settings(&self, access: Access) -> String {
        let (access, tenant) = match access {
            Access::Tenant(tenant) => ("tenant", tenant.as_uuid().to_string()),
            Access::Engine => ("engine", String::new()),
        };
        // The schema's name was checked when the store was opened; it may be a word of SQL elsewhere.
        let schema = &self.shared.schema;
        // The plans stay on the indexes. A planner without statistics, or with those of another day, would join
        // the array of a batch with whole tables: measured 6.7 s for 1,000 rows beside 100,000.
        // What is forbidden and still needed counts as so dear that the server would compile such a plan for longer
        // than it runs: measured 0.3 to 0.9 s a statement.
        format!(
            "SET LOCAL search_path = \"{schema}\", pg_catalog; SET LOCAL wa.access = '{access}'; \
             SET LOCAL wa.tenant = '{tenant}'; SET LOCAL enable_hashjoin = off; \
             SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
        )
    }

    async fn begin_with(&self, begin: String) -> Result<Tx, StoreError> {
        // A pooled connection may have died since it was last used; nothing was asked of it yet.
        let mut tries = 0_u32;
        loop {
            match self.pool()?.begin_with(AssertSqlSafe(begin.clone())).await {
                Ok(inner) => {
                    return Ok(Tx { inner, now: DateTime::UNIX_EPOCH, shared: Arc::clone(&self.shared) });
                }
                Err(error) if is_disconnect(&error) && tries < 20 => tries += 1,
                Err(error) => return Err(Fault::from(error).into_store()),
            }
        }
    }
}

impl Tx {
    /// The connection, inside the transaction.
    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Takes locks and then reads the clock. Once in a transaction.
    pub(super) async fn lock(&mut self, locks: Locks) -> Fallible<()> {
        self.take(locks).await?;
        self.tick().await
    }

    /// Takes locks, in their order; once in a transaction.
    pub(super) async fn take(&mut self, Locks(locks): Locks) -> Fallible<()> {
        if !locks.is_empty() {
            let (keys, exclusive): (Vec<String>, Vec<bool>) =
                locks.into_iter().map(|((_, key), exclusive)| (key, exclusive)).unzip();
            // One after the other, as the array has them. A statement of its own: what is read behind it
            // sees what others committed while this waited.
            sqlx::query(
                "SELECT CASE WHEN u.exclusive THEN pg_advisory_xact_lock(hashtextextended(u.name, 0))::text \
                 ELSE pg_advisory_xact_lock_shared(hashtextextended(u.name, 0))::text END \
                 FROM unnest($1::text[], $2::boolean[]) AS u (name, exclusive)",
            )
            .bind(keys)
            .bind(exclusive)
            .fetch_all(self.conn())
            .await?;
        }
        Ok(())
    }

    /// Reads the clock: the store's own, or the server's.
    pub(super) async fn tick(&mut self) -> Fallible<()> {
        self.now = match &self.shared.clock {
            Some(clock) => clock.now(),
            None => sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(self.conn()).await?,
        };
        Ok(())
    }

    /// Ends the transaction and, where it is committed, announces to the other workers that it changed
    /// something for them.
    pub(super) async fn end_telling<T>(mut self, result: Fallible<T>, news: News) -> Result<T, StoreError> {
        let schema = self.shared.schema.clone();
        let told = match result {
            Ok(value) => announce(self.conn(), &schema, news).await.map(|()| value),
            Err(fault) => Err(fault),
        };
        self.end(told).await
    }

    /// Ends the transaction: committed where the work succeeded, taken back where it did not.
    pub(super) async fn end<T>(self, result: Fallible<T>) -> Result<T, StoreError> {
        match result {
            Ok(value) => {
                self.inner.commit().await.map_err(of_commit)?;
                self.shared.counters.commits.fetch_add(1, Ordering::Relaxed);
                Ok(value)
            }
            Err(fault) => {
                // What broke the work may have broken the connection too; then the server rolls back.
                if let Err(error) = self.inner.rollback().await {
                    tracing::debug!(%error, "a transaction could not be rolled back");
                }
                Err(fault.into_store())
            }
        }
    }

    /// Ends a snapshot.
    pub(super) async fn close<T>(self, result: Fallible<T>) -> Result<T, StoreError> {
        // Nothing was written; ending the snapshot cannot fail in a way that matters.
        drop(self.inner.rollback().await);
        result.map_err(Fault::into_store)
    }
}
