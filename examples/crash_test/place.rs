//! The store under test, as each process opens it, and the plain SQL that counts in it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use wa_kit::port::store::Store;
use wa_kit::postgres::sqlx::{self, Connection};
use wa_kit::postgres::{PostgresOptions, PostgresStore};
use wa_kit::sqlite::{SqliteOptions, SqliteStore, rusqlite};

use crate::Anyhow;

/// Where the store is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(path.into())),
            None => Ok(Self::Postgres(text.to_owned())),
        }
    }
}

impl Place {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, Anyhow> {
        // The server may be dead just now.
        let mut tries = 0;
        loop {
            match self.try_open().await {
                Ok(store) => return Ok(store),
                Err(error) if tries >= 100 => return Err(error),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn try_open(&self) -> Result<Arc<dyn Store>, Anyhow> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteStore::open(SqliteOptions::new(path))?),
            Self::Postgres(url) => {
                let options = PostgresOptions::new(url).patience(Duration::from_secs(10));
                Arc::new(PostgresStore::connect(options).await?)
            }
        })
    }
}

/// The largest number of open attempts that one worker has.
const MOST_OPEN: &str = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM open_attempt o \
     JOIN session_lease l ON l.session = o.session AND l.epoch = o.epoch \
     WHERE l.worker IS NOT NULL GROUP BY l.worker) x";

/// What must never be: each line counts offenders.
const INVARIANTS: [(&str, &str); 6] = [
    (
        "results of no attempt",
        "SELECT count(*) FROM result r WHERE NOT EXISTS (SELECT 1 FROM attempt a \
      WHERE a.tenant = r.tenant AND a.message = r.message AND a.n = r.n)",
    ),
    (
        "open attempts with an outcome",
        "SELECT count(*) FROM open_attempt o JOIN result r \
      ON r.tenant = o.tenant AND r.message = o.message AND r.n = o.n",
    ),
    (
        "attempts neither open nor with an outcome",
        "SELECT count(*) FROM attempt a WHERE \
      NOT EXISTS (SELECT 1 FROM open_attempt o WHERE o.tenant = a.tenant AND o.message = a.message AND o.n = a.n) \
      AND NOT EXISTS (SELECT 1 FROM result r WHERE r.tenant = a.tenant AND r.message = a.message AND r.n = a.n)",
    ),
    (
        "messages both waiting and closed",
        "SELECT count(*) FROM due d JOIN closed c \
      ON c.tenant = d.tenant AND c.message = d.message",
    ),
    (
        "slots that are not counted",
        "SELECT abs((SELECT count(*) FROM tier_slot) \
      - (SELECT coalesce(sum(used), 0) FROM tier_usage))",
    ),
    (
        "quota that is no sum of attempts",
        "SELECT abs((SELECT coalesce(sum(used), 0) FROM quota_usage) \
      - (SELECT count(*) FROM attempt a LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message \
      AND r.n = a.n WHERE r.released_at IS NULL))",
    ),
];

/// A connection that sees everything, for counting.
#[derive(Debug, Clone)]
pub(crate) enum Counting {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Counting {
    /// The largest number of attempts that one worker has begun and not settled.
    pub(crate) async fn most_open(&self) -> Result<u64, Anyhow> {
        self.count(MOST_OPEN).await
    }

    /// What the books say that must not be.
    pub(crate) async fn violations(&self) -> Result<Vec<String>, Anyhow> {
        let mut found = Vec::new();
        for (what, sql) in INVARIANTS {
            let count = self.count(sql).await?;
            if count > 0 {
                found.push(format!("{count} {what}"));
            }
        }
        Ok(found)
    }

    async fn count(&self, sql: &'static str) -> Result<u64, Anyhow> {
        // The server may be dead just now.
        let mut tries = 0;
        loop {
            match self.try_count(sql).await {
                Err(_) if tries < 100 => tries += 1,
                counted => return counted,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn try_count(&self, sql: &'static str) -> Result<u64, Anyhow> {
        let count: i64 = match self {
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path)?;
                connection.busy_timeout(Duration::from_secs(30))?;
                connection.query_row(sql, [], |row| row.get(0))?
            }
            Self::Postgres(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await?;
                sqlx::query("SET search_path = wa_kit").execute(&mut connection).await?;
                let sql = format!("SELECT ({sql})::bigint");
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await?
            }
        };
        Ok(count.unsigned_abs())
    }
}
