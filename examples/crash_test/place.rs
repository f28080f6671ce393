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

/// A connection that sees everything, for counting.
#[derive(Debug, Clone)]
pub(crate) enum Counting {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Counting {
    /// The largest number of attempts that one worker has begun and not settled.
    pub(crate) async fn most_open(&self) -> Result<u64, Anyhow> {
        // The server may be dead just now.
        let mut tries = 0;
        loop {
            match self.try_most_open().await {
                Err(_) if tries < 100 => tries += 1,
                counted => return counted,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn try_most_open(&self) -> Result<u64, Anyhow> {
        let count: i64 = match self {
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path)?;
                connection.busy_timeout(Duration::from_secs(30))?;
                connection.query_row(MOST_OPEN, [], |row| row.get(0))?
            }
            Self::Postgres(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await?;
                sqlx::query("SET search_path = wa_kit").execute(&mut connection).await?;
                let sql = format!("SELECT ({MOST_OPEN})::bigint");
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await?
            }
        };
        Ok(count.unsigned_abs())
    }
}
