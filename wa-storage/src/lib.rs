//! Stores for wa-kit.
//!
//! `PostgresStore` (feature `postgres`) keeps everything in one schema of a database that any number of
//! workers share.
//! `SqliteStore` (feature `sqlite`) keeps everything in one file: one writer thread that commits waiting calls
//! together, a few readers beside it, no server. It implements every room of
//! [`wa_core::port::store::Store`]; the contracts are written there.
//!
//! Beside the database lies `<file>.lock`, by which a process that takes over knows at once that the
//! former one is dead, and by which an older copy of the database is noticed that was put back: without it,
//! or with one that knows more than the database, nothing is sent until somebody says so
//! (`kit.reconcile()`). Do not delete it, and let it move together with the database. Back up the database
//! by `SqliteStore::backup` or SQLite's own means, not by copying the file alone: what was committed last
//! may still be in `<file>-wal`.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod common;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "postgres", feature = "testing"))]
#[expect(clippy::panic, reason = "a helper of tests fails as a test does")]
mod testing;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use common::migration::MigrationStatus;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresMigrations, PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{
    SqliteBackup, SqliteMigrations, SqliteOptions, SqliteStore, SqliteTransaction, StoreStats,
    TransactionError,
};
#[cfg(all(feature = "postgres", feature = "testing"))]
pub use testing::{Disk, TestCluster, TestDatabase};

/// The `SQLite` driver whose connection [`SqliteTransaction::connection`] gives.
#[cfg(feature = "sqlite")]
pub use rusqlite;

/// The Postgres driver whose pool [`PostgresOptions::pool`] takes.
#[cfg(feature = "postgres")]
pub use sqlx;
