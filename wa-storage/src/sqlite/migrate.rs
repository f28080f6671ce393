//! The schema's versions: listed, run in order, rolled back one at a time.
//!
//! Invariant: each migration and the row that says so are one transaction, so an interruption
//! anywhere leaves the schema at a whole version, and running again goes on from there. A program
//! accepts a schema one version ahead of its own, so that old and new can run side by side while
//! a deployment rolls.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::micros;
use wa_core::port::store::{StoreError, StoreErrorKind};

use super::codec::at;
use super::config::SqliteOptions;
use super::connect;
use super::error::{Fallible, Fault};
use crate::common::migration::MigrationStatus;
use crate::common::migration::{Migration, listed};

/// Versions rise by one from 1; a released migration never changes.
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "base",
    up: include_str!("migrations/0001_base.up.sql"),
    down: include_str!("migrations/0001_base.down.sql"),
}];

/// The migrations of one file, for tools; [`SqliteStore::open`](super::SqliteStore::open) runs what is pending.
#[derive(Debug)]
pub struct SqliteMigrations {
    conn: Connection,
    options: SqliteOptions,
}

impl SqliteMigrations {
    /// Opens the file, creating it if it is not there, and changes no schema yet.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        connect::create(&options.path)?;
        let conn = connect::writer(&options).map_err(Fault::into_store)?;
        Ok(Self { conn, options })
    }

    /// The file that is migrated.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Every migration that this program or the file knows, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        list(&self.conn, MIGRATIONS).map_err(Fault::into_store)
    }

    /// Applies what is pending, in order; returns the versions applied. Safe to run again, and by two processes at once.
    ///
    /// # Errors
    /// When the file cannot be written, or has a schema more than one version ahead.
    pub fn run(&mut self) -> Result<Vec<u32>, StoreError> {
        let now = self.options.clock.now();
        run(&self.conn, MIGRATIONS, now, self.options.busy).map_err(into_store)
    }

    /// Takes the latest migration back, with everything that it holds; returns its version, or `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be written, or its latest version is not this program's to take back.
    pub fn roll_back_one(&mut self) -> Result<Option<u32>, StoreError> {
        roll_back_one(&self.conn, MIGRATIONS, self.options.busy).map_err(into_store)
    }
}

/// Brings an open connection's file up to date.
pub(super) fn bring_up(conn: &Connection, options: &SqliteOptions) -> Result<(), StoreError> {
    run(conn, MIGRATIONS, options.clock.now(), options.busy).map(drop).map_err(into_store)
}

fn into_store(fault: Fault) -> StoreError {
    match fault {
        Fault::Broken(what) => StoreError::new(StoreErrorKind::Broken, what, None),
        Fault::Sql(_) => fault.into_store(),
    }
}

fn run(
    conn: &Connection,
    migrations: &[Migration],
    now: DateTime<Utc>,
    patience: Duration,
) -> Fallible<Vec<u32>> {
    let ours = migrations.last().map_or(0, |last| last.version);
    let mut applied = Vec::new();
    loop {
        let step = in_transaction(conn, patience, || {
            conn.execute_batch(
                "CREATE TABLE IF NOT EXISTS schema_version \
                 (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
            )?;
            // Read under the write lock: another process may have run it meanwhile.
            let version = version(conn)?;
            if version > ours + 1 {
                return Err(Fault::Broken("the file's schema is newer than this program accepts"));
            }
            let Some(next) = migrations.iter().find(|migration| migration.version == version + 1) else {
                return Ok(None);
            };
            conn.execute_batch(next.up)?;
            conn.execute(
                "INSERT INTO schema_version (version, applied_at) VALUES (?1, ?2)",
                params![next.version, micros(now)],
            )?;
            Ok(Some(next.version))
        })?;
        match step {
            Some(version) => applied.push(version),
            None => return Ok(applied),
        }
    }
}

fn roll_back_one(conn: &Connection, migrations: &[Migration], patience: Duration) -> Fallible<Option<u32>> {
    in_transaction(conn, patience, || {
        let version = version(conn)?;
        if version == 0 {
            return Ok(None);
        }
        let last = migrations
            .iter()
            .find(|migration| migration.version == version)
            .ok_or(Fault::Broken("the latest version is not known to this program"))?;
        conn.execute_batch(last.down)?;
        conn.execute("DELETE FROM schema_version WHERE version = ?1", [version])?;
        Ok(Some(version))
    })
}

fn list(conn: &Connection, migrations: &[Migration]) -> Fallible<Vec<MigrationStatus>> {
    let mut applied = Vec::new();
    if has_versions(conn)? {
        let mut statement =
            conn.prepare("SELECT version, applied_at FROM schema_version ORDER BY version")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, at(row, 1)?)))?;
        applied = rows.collect::<rusqlite::Result<_>>()?;
    }
    Ok(listed(migrations, applied))
}

/// The latest version that the file has; 0 for a new file.
fn version(conn: &Connection) -> Fallible<u32> {
    if !has_versions(conn)? {
        return Ok(0);
    }
    Ok(conn.query_row("SELECT coalesce(max(version), 0) FROM schema_version", [], |row| row.get(0))?)
}

fn has_versions(conn: &Connection) -> Fallible<bool> {
    let found = conn
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'", [], |_| {
            Ok(())
        })
        .optional()?;
    Ok(found.is_some())
}

fn in_transaction<T>(
    conn: &Connection,
    patience: Duration,
    work: impl FnOnce() -> Fallible<T>,
) -> Fallible<T> {
    connect::patiently(patience, || Ok(conn.execute_batch("BEGIN IMMEDIATE")?))?;
    let result = work().and_then(|value| Ok(conn.execute_batch("COMMIT").map(|()| value)?));
    if result.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    result
}

#[cfg(test)]
mod tests {
    use wa_core::model::from_micros;

    use super::*;

    const PATIENCE: Duration = Duration::ZERO;

    fn steps() -> Vec<Migration> {
        vec![
            Migration {
                version: 1,
                name: "a",
                up: "CREATE TABLE a (x); INSERT INTO a VALUES (1)",
                down: "DROP TABLE a",
            },
            Migration {
                version: 2,
                name: "b",
                up: "CREATE TABLE b (x); DELETE FROM a",
                down: "DROP TABLE b",
            },
            Migration { version: 3, name: "c", up: "CREATE TABLE c (x)", down: "DROP TABLE c" },
        ]
    }

    fn fresh() -> Connection {
        Connection::open_in_memory().expect("a database")
    }

    fn now() -> DateTime<Utc> {
        from_micros(1_790_000_000_000_000)
    }

    fn tables(conn: &Connection) -> Vec<String> {
        let mut statement = conn
            .prepare(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_version' ORDER BY 1",
            )
            .expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("names")
    }

    #[test]
    fn pending_migrations_run_once_and_in_order() {
        let conn = fresh();
        assert_eq!(run(&conn, &steps()[..1], now(), PATIENCE).expect("runs"), [1]);
        assert_eq!(run(&conn, &steps(), now(), PATIENCE).expect("runs"), [2, 3]);
        assert_eq!(run(&conn, &steps(), now(), PATIENCE).expect("runs"), [0_u32; 0]);
        assert_eq!(tables(&conn), ["a", "b", "c"]);
    }

    #[test]
    fn a_migration_that_breaks_off_leaves_nothing_of_itself() {
        let conn = fresh();
        let mut broken = steps();
        // Its first statements succeed; the last one stands for an interruption in the middle.
        broken[1].up = "CREATE TABLE b (x); DELETE FROM a; INSERT INTO nowhere VALUES (1)";
        run(&conn, &broken, now(), PATIENCE).expect_err("the second breaks off");
        assert_eq!(tables(&conn), ["a"]);
        let kept: u32 = conn.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).expect("a count");
        assert_eq!(kept, 1, "the delete was undone");
        assert_eq!(run(&conn, &steps(), now(), PATIENCE).expect("runs again"), [2, 3]);
    }

    #[test]
    fn roll_back_takes_the_latest_and_stops_at_none() {
        let conn = fresh();
        run(&conn, &steps(), now(), PATIENCE).expect("runs");
        assert_eq!(roll_back_one(&conn, &steps(), PATIENCE).expect("rolls back"), Some(3));
        assert_eq!(tables(&conn), ["a", "b"]);
        assert_eq!(list(&conn, &steps()).expect("lists")[2].applied_at, None);
        assert_eq!(roll_back_one(&conn, &steps(), PATIENCE).expect("rolls back"), Some(2));
        assert_eq!(roll_back_one(&conn, &steps(), PATIENCE).expect("rolls back"), Some(1));
        assert_eq!(roll_back_one(&conn, &steps(), PATIENCE).expect("rolls back"), None);
        assert_eq!(tables(&conn), [""; 0]);
    }

    #[test]
    fn one_version_ahead_is_accepted_and_two_are_not() {
        let conn = fresh();
        run(&conn, &steps(), now(), PATIENCE).expect("runs");
        assert_eq!(run(&conn, &steps()[..2], now(), PATIENCE).expect("one ahead"), [0_u32; 0]);
        let ahead = list(&conn, &steps()[..2]).expect("lists");
        assert_eq!(ahead[2], MigrationStatus { version: 3, name: None, applied_at: Some(now()) });
        run(&conn, &steps()[..1], now(), PATIENCE).expect_err("two ahead");
        assert!(roll_back_one(&conn, &steps()[..2], PATIENCE).is_err(), "not ours to take back");
    }

    #[test]
    fn the_real_migrations_go_forth_and_back() {
        let conn = fresh();
        let versions: Vec<u32> = (1..).take(MIGRATIONS.len()).collect();
        assert_eq!(MIGRATIONS.iter().map(|it| it.version).collect::<Vec<_>>(), versions);
        run(&conn, MIGRATIONS, now(), PATIENCE).expect("runs");
        let full = tables(&conn);
        while roll_back_one(&conn, MIGRATIONS, PATIENCE).expect("rolls back").is_some() {}
        assert_eq!(tables(&conn), ["sqlite_sequence"], "only SQLite's own table stays");
        run(&conn, MIGRATIONS, now(), PATIENCE).expect("runs again");
        assert_eq!(tables(&conn), full);
    }
}
