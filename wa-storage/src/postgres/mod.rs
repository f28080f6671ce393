//! The Postgres store: any number of workers on one database.
//!
//! Invariant: whatever a call reports, the commit that holds it came first. Every decision is made
//! by `wa_core::rules`; the rooms read facts, ask, and write. What has to exclude each other takes advisory
//! locks, all at once and in one order (`tx`); row-level security keeps tenants apart beside the queries.

mod alerts;
mod archive;
mod audience;
mod booked;
mod changes;
mod codec;
mod config;
mod directory;
mod error;
mod inbox;
mod journal;
mod ledger;
mod message;
mod migrate;
mod news;
mod numbers;
mod outbox;
mod prices;
mod reports;
mod schedules;
mod spend;
mod transaction;
mod tx;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use wa_core::port::store::{
    Archive, Audience, Directory, Hear, Inbox, Journal, Ledger, MAX_PAGE, Numbers, Outbox, Reports,
    Schedules, Store, StoreError, StoreErrorKind,
};
use wa_core::port::{Clock, Entropy};

pub use config::PostgresOptions;
use config::Source;
use error::Fault;
pub use migrate::PostgresMigrations;
use tx::{Access, Locks};

/// A store in one Postgres schema.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
    owns_pool: bool,
    is_closed: AtomicBool,
    shared: Arc<Shared>,
    listening: news::Listening,
}

/// What transactions need to know of their store.
#[derive(Debug)]
struct Shared {
    schema: String,
    clock: Option<Arc<dyn Clock>>,
    entropy: Arc<dyn Entropy>,
    patience: Duration,
    /// Whether this role can see on which timeline the server writes.
    reads_timeline: bool,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
}

/// How many rows a step of a long deletion takes.
const DELETED_AT_ONCE: i64 = 1_000;

impl Shared {
    /// The name under which something of this store is locked; a database can hold several stores.
    fn lock_name(&self, kind: &str, of: &str) -> String {
        format!("{} {kind} {of}", self.schema)
    }
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    ///
    /// A database that is another than before, or that went on from another point of its history (it was
    /// copied, restored from a dump or a backup, or failed over to a replica), is noticed here and while
    /// sessions are held, and at each begin where the role can read the server's timeline, as any role can
    /// on a plain server: nothing is sent from it until [`Archive::lift`].
    ///
    /// # Errors
    /// When the database cannot be reached, the schema's name is none, the role may not create what is
    /// missing, or the schema is more than one version ahead of this program.
    pub async fn connect(options: PostgresOptions) -> Result<Self, StoreError> {
        let (pool, owns_pool) = pool_of(&options).await?;
        migrate::bring_up(&pool, &options).await?;
        if sees_everything(&pool).await? {
            tracing::warn!(
                "the role is held to no row-level security; connect as one without SUPERUSER and BYPASSRLS"
            );
        }
        let PostgresOptions { source: _, schema, clock, entropy, patience } = options;
        let reads_timeline = archive::reads_timeline(&pool).await;
        let counters = Counters::default();
        let shared = Arc::new(Shared { schema, clock, entropy, patience, reads_timeline, counters });
        let listening = news::Listening::default();
        let store = Self { pool, owns_pool, is_closed: AtomicBool::new(false), shared, listening };
        store.recognise().await?;
        Ok(store)
    }

    /// Lets go of the database. Every later call gives
    /// [`StoreErrorKind::Closed`](wa_core::port::store::StoreErrorKind::Closed); closing again does nothing.
    pub async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.listening.stop();
        if self.owns_pool {
            self.pool.close().await;
        }
    }

    /// How many transactions that change something were committed since the store was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.counters.commits.load(Ordering::Relaxed)
    }

    fn pool(&self) -> Result<&PgPool, StoreError> {
        if self.is_closed.load(Ordering::Relaxed) { Err(error::closed()) } else { Ok(&self.pool) }
    }

    /// Deletes what is older than an instant, a step per commit, so that sends wait for one step at most.
    /// The statement takes the instant and the number of rows of a step.
    async fn delete_in_steps(&self, sql: &'static str, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let mut tx = self.write(Access::Engine, Locks::none()).await?;
            let step = sqlx::query(sql).bind(codec::ts(before)).bind(DELETED_AT_ONCE);
            let gone = step.execute(tx.conn()).await.map(|done| done.rows_affected()).map_err(Fault::from);
            let gone = tx.end(gone).await?;
            all += gone;
            if gone < DELETED_AT_ONCE.unsigned_abs() {
                return Ok(all);
            }
        }
    }
}

impl Store for PostgresStore {
    fn commits_in_order(&self) -> bool {
        // Calls run on several connections, and each commits when it is done.
        false
    }
    fn subscribe(&self, hear: Hear) {
        self.listening.add(&self.pool, news::channel(&self.shared.schema), hear);
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

/// The pool of a store, and whether it is the store's own.
async fn pool_of(options: &PostgresOptions) -> Result<(PgPool, bool), StoreError> {
    match &options.source {
        Source::Pool(pool) => Ok((pool.clone(), false)),
        Source::Url { url, connections } => {
            let pool = PgPoolOptions::new()
                .max_connections(*connections)
                .acquire_timeout(options.patience)
                // A dead connection shows when a transaction is opened on it, and costs no question before.
                .test_before_acquire(false)
                .connect(url)
                .await
                .map_err(|error| {
                    let kind = StoreErrorKind::Unavailable;
                    StoreError::new(kind, "the database cannot be reached", Some(Box::new(error)))
                })?;
            Ok((pool, true))
        }
    }
}

/// Whether row-level security does not hold for the role of these connections.
async fn sees_everything(pool: &PgPool) -> Result<bool, StoreError> {
    let asked =
        sqlx::query_scalar("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user");
    asked.fetch_one(pool).await.map_err(|error| Fault::from(error).into_store())
}

/// How many rows a page gives at most.
fn page_size(limit: u32) -> i64 {
    i64::from(limit.clamp(1, MAX_PAGE))
}
