//! The store that `--store` names.

use std::path::PathBuf;
use std::sync::Arc;

use wa_kit::postgres::{PostgresOptions, PostgresStore};
use wa_kit::prelude::*;
use wa_kit::sqlite::{SqliteOptions, SqliteStore};

use crate::failure::Failure;

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A URL, which may hold a password.
    Postgres(String),
}

/// An open store.
pub(crate) enum Opened {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let path = text.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        if let Some(path) = path {
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        // What looks like a URL may hold a password.
        let shown = if text.contains("://") { "its value" } else { text };
        Err(Failure::bad_input(format!(
            "--store {shown:?} is not a store; write it as sqlite:PATH or postgres://USER@HOST/DATABASE"
        )))
    }

    /// The name for people: without a password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(url) => match url.split_once("//").zip(url.rsplit_once('@')) {
                Some(((scheme, _), (_, rest))) => format!("{scheme}//{rest}"),
                None => url.clone(),
            },
        }
    }

    /// Where the simulator keeps its log, so that a resumed run finds its truth again.
    pub(crate) fn simulator_log(&self) -> PathBuf {
        match self {
            Self::Sqlite(path) => {
                let mut log = path.as_os_str().to_owned();
                log.push(".simulator.jsonl");
                log.into()
            }
            Self::Postgres(_) => {
                let plain = |sign: char| if sign.is_ascii_alphanumeric() { sign } else { '-' };
                let name: String = self.shown().chars().map(plain).collect();
                std::env::temp_dir().join(format!("wa-kit-campaign-{name}.simulator.jsonl"))
            }
        }
    }

    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        let unusable = |error| Failure::unusable(&format!("{} cannot be used", self.shown()), error);
        match self {
            Self::Sqlite(path) => {
                let store = SqliteStore::open(SqliteOptions::new(path)).map_err(unusable)?;
                Ok(Opened::Sqlite(Arc::new(store)))
            }
            Self::Postgres(url) => {
                let store = PostgresStore::connect(PostgresOptions::new(url)).await.map_err(unusable)?;
                Ok(Opened::Postgres(Arc::new(store)))
            }
        }
    }
}

impl Opened {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Postgres(store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Transactions that changed something.
    pub(crate) fn commits(&self) -> u64 {
        match self {
            Self::Sqlite(store) => store.stats().commits,
            Self::Postgres(store) => store.commits(),
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close(),
            Self::Postgres(store) => store.close().await,
        }
    }
}
