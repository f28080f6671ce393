//! A fresh store for each run.

use std::path::PathBuf;
use std::sync::Arc;

use wa_kit::memory::MemoryStore;
use wa_kit::port::SystemClock;
use wa_kit::port::store::Store;
use wa_kit::postgres::sqlx::{self, Connection};
use wa_kit::postgres::{PostgresOptions, PostgresStore, TestDatabase};
use wa_kit::sqlite::{SqliteOptions, SqliteStore};

use crate::StoreKind;
use crate::harness::Anyhow;

/// Tables that hold a message, an attempt and its result; everything else is reported apart.
const HOT: [&str; 9] =
    ["message", "feed", "due", "attempt", "open_attempt", "result", "closed", "touch", "tier_slot"];

pub(crate) enum Place {
    Memory(Arc<MemoryStore>),
    Sqlite(tempfile::TempDir, Arc<SqliteStore>),
    Postgres(TestDatabase, Arc<PostgresStore>),
}

/// Bytes of a store, with its indexes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes {
    /// Of messages, attempts and results.
    pub(crate) hot: u64,
    pub(crate) all: u64,
}

impl Place {
    pub(crate) async fn fresh(kind: StoreKind) -> Result<Self, Anyhow> {
        Ok(match kind {
            StoreKind::Memory => Self::Memory(Arc::new(MemoryStore::new(Arc::new(SystemClock)))),
            StoreKind::Sqlite => {
                let folder = tempfile::tempdir()?;
                let store = SqliteStore::open(SqliteOptions::new(Self::file(&folder)))?;
                Self::Sqlite(folder, Arc::new(store))
            }
            StoreKind::Postgres => {
                let database = TestDatabase::create().await;
                let options = PostgresOptions::new(database.url()).connections(8);
                let store = PostgresStore::connect(options).await?;
                Self::Postgres(database, Arc::new(store))
            }
        })
    }

    fn file(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("wa.db")
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Sqlite(_, store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Postgres(_, store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Transactions that changed something.
    pub(crate) fn commits(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Sqlite(_, store) => store.stats().commits,
            Self::Postgres(_, store) => store.commits(),
        }
    }

    /// Rows inserted, changed and deleted so far, where the database counts them; those of a run are a
    /// difference.
    pub(crate) async fn rows_written(&self) -> Result<Option<u64>, Anyhow> {
        let Self::Postgres(database, _) = self else { return Ok(None) };
        let mut connection = sqlx::PgConnection::connect(&database.admin_url()).await?;
        // A server tells its own figures a second late.
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        let rows: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(u64::try_from(rows).ok())
    }

    /// What it takes on the disk. Postgres: every table with its indexes. SQLite: pages in use, by `dbstat`
    /// where it is there, else of all.
    pub(crate) async fn bytes(&self) -> Result<Option<Bytes>, Anyhow> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::Sqlite(folder, _) => sqlite_bytes(&Self::file(folder)).map(Some),
            Self::Postgres(database, _) => {
                let mut connection = sqlx::PgConnection::connect(&database.admin_url()).await?;
                let tables: Vec<(String, i64)> = sqlx::query_as(
                    "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' \
                     AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)",
                )
                .fetch_all(&mut connection)
                .await?;
                connection.close().await?;
                if std::env::var_os("WA_BENCH_TABLES").is_some() {
                    for (name, size) in &tables {
                        eprintln!("{name} {size}");
                    }
                }
                let sum = |is_wanted: &dyn Fn(&str) -> bool| {
                    let sizes = tables.iter().filter(|(name, _)| is_wanted(name)).map(|(_, size)| *size);
                    u64::try_from(sizes.sum::<i64>()).unwrap_or_default()
                };
                Ok(Some(Bytes { hot: sum(&|name| HOT.contains(&name)), all: sum(&|_| true) }))
            }
        }
    }
}

fn sqlite_bytes(file: &std::path::Path) -> Result<Bytes, Anyhow> {
    use wa_kit::sqlite::rusqlite;
    let connection = rusqlite::Connection::open(file)?;
    let mut statement = connection.prepare(
        "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name GROUP BY 1",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let mut bytes = Bytes { hot: 0, all: 0 };
    for row in rows {
        let (table, size) = row?;
        if std::env::var_os("WA_BENCH_TABLES").is_some() {
            eprintln!("{table} {size}");
        }
        let size = u64::try_from(size).unwrap_or_default();
        bytes.all += size;
        if HOT.contains(&table.as_str()) {
            bytes.hot += size;
        }
    }
    Ok(bytes)
}
