//! Opening the file: its mode, and the settings of each connection.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use wa_core::port::store::StoreError;

use super::config::SqliteOptions;
use super::error::{Fallible, Fault, is_busy, of_io};

/// `SQLite`'s own handler waits this long in one go; longer waits are repeats of it.
pub(super) const BUSY_SLICE: Duration = Duration::from_millis(500);

/// Creates a file that only its owner can read, if it is not there. `SQLite` gives the files
/// beside it (`-wal`, `-shm`) the same mode.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(drop)
        .map_err(|error| of_io("the database file cannot be created or opened", error))
}

/// The connection of the writer, or of migrations.
pub(super) fn writer(options: &SqliteOptions) -> Fallible<Connection> {
    let conn = open(&options.path)?;
    patiently(options.busy, || Ok(conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // Negative: KiB. Small on purpose: nothing here reads whole tables.
    conn.pragma_update(None, "cache_size", -8_192)?;
    // 16 MiB of log between checkpoints; each checkpoint costs two more syncs.
    conn.pragma_update(None, "wal_autocheckpoint", 4_096)?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1_024 * 1_024)?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(conn)
}

/// A connection that can only read.
pub(super) fn reader(options: &SqliteOptions) -> Fallible<Connection> {
    let conn = open(&options.path)?;
    conn.pragma_update(None, "cache_size", -2_048)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn open(path: &Path) -> Fallible<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_SLICE)?;
    conn.set_prepared_statement_cache_capacity(256);
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

/// Repeats what another process's lock refuses, until `patience` is used up.
pub(super) fn patiently<T>(patience: Duration, call: impl FnMut() -> Fallible<T>) -> Fallible<T> {
    patiently_while(patience, || true, call)
}

/// The same, and gives up early when the answer is no longer worth waiting for.
pub(super) fn patiently_while<T>(
    patience: Duration,
    is_wanted: impl Fn() -> bool,
    mut call: impl FnMut() -> Fallible<T>,
) -> Fallible<T> {
    let mut left = patience;
    loop {
        match call() {
            Err(Fault::Sql(error)) if is_busy(&error) && !left.is_zero() && is_wanted() => {
                left = left.saturating_sub(BUSY_SLICE);
            }
            other => return other,
        }
    }
}
