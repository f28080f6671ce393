//! Stores for wa-kit.
//!
//! `SqliteStore` (feature `sqlite`) keeps everything in one file: one writer thread that commits waiting calls
//! together, a few readers beside it, no server. It implements every room of
//! [`wa_core::port::store::Store`]; the contracts are written there.

#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub use sqlite::{MigrationStatus, SqliteMigrations, SqliteOptions, SqliteStore, StoreStats};
