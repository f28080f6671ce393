//! Hand-written queues on SQLite: WAL and `synchronous=FULL`, one connection, prepared statements.

use tokio::time::Instant;
use wa_kit::sqlite::rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::harness::Anyhow;
use crate::{BATCH, Drained, provider_id};

const SCHEMA: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE job (
        id INTEGER PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0, lease_until INTEGER, phone INTEGER NOT NULL,
        params TEXT NOT NULL, provider_id TEXT, done_at INTEGER);
    CREATE INDEX job_waiting ON job (id) WHERE state = 0;
    CREATE TABLE attempt (id INTEGER PRIMARY KEY, begun_at INTEGER NOT NULL, price INTEGER NOT NULL);
    CREATE TABLE result (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, provider_id TEXT NOT NULL);";

struct Table {
    _folder: tempfile::TempDir,
    connection: Connection,
    commits: u64,
}

impl Table {
    fn empty() -> Result<Self, Anyhow> {
        let folder = tempfile::tempdir()?;
        let connection = Connection::open(folder.path().join("queue.db"))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { _folder: folder, connection, commits: 0 })
    }

    fn full(rows: u64) -> Result<Self, Anyhow> {
        let mut table = Self::empty()?;
        table.fill(0, rows, rows)?;
        table.commits = 0;
        Ok(table)
    }

    fn fill(&mut self, first: u64, rows: u64, batch: u64) -> Result<(), Anyhow> {
        for start in (first..first + rows).step_by(usize::try_from(batch)?) {
            self.commit(|tx| {
                let mut insert =
                    tx.prepare_cached("INSERT INTO job (id, phone, params) VALUES (?1, ?2, ?3)")?;
                for n in start..(start + batch).min(first + rows) {
                    let n = i64::try_from(n)?;
                    insert.execute(params![n, 4_915_100_000_000 + n, format!("[\"Ada {n}\"]")])?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn commit<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Anyhow>) -> Result<T, Anyhow> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&tx)?;
        tx.commit()?;
        self.commits += 1;
        Ok(done)
    }

    fn drained(&self, rows: u64, begun: Instant) -> Drained {
        Drained { rows, took: begun.elapsed(), commits: self.commits }
    }
}

/// One job as a queue hands it out.
type Claimed = (i64, i64, String);

fn claimed(row: &wa_kit::sqlite::rusqlite::Row<'_>) -> wa_kit::sqlite::rusqlite::Result<Claimed> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn claim(tx: &Transaction<'_>, rows: u64) -> Result<Vec<Claimed>, Anyhow> {
    let mut claim = tx.prepare_cached(
        "UPDATE job SET state = 1, lease_until = 1 WHERE id IN \
         (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT ?1) RETURNING id, phone, params",
    )?;
    let rows = claim.query_map([i64::try_from(rows)?], claimed)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn complete(tx: &Transaction<'_>, jobs: &[Claimed]) -> Result<(), Anyhow> {
    let mut done =
        tx.prepare_cached("UPDATE job SET state = 2, provider_id = ?2, done_at = 1 WHERE id = ?1")?;
    for (id, _, _) in jobs {
        done.execute(params![id, provider_id(*id)])?;
    }
    Ok(())
}

/// Batches of 1,000, claimed by lease and completed.
pub(crate) fn lease(rows: u64) -> Result<Drained, Anyhow> {
    drain(rows, BATCH)
}

/// As [`lease`], a commit for each claim and each completion of one row.
pub(crate) fn single(rows: u64) -> Result<Drained, Anyhow> {
    drain(rows, 1)
}

fn drain(rows: u64, batch: u64) -> Result<Drained, Anyhow> {
    let mut table = Table::full(rows)?;
    let begun = Instant::now();
    loop {
        let jobs = table.commit(|tx| claim(tx, batch))?;
        if jobs.is_empty() {
            return Ok(table.drained(rows, begun));
        }
        table.commit(|tx| complete(tx, &jobs))?;
    }
}

/// The owner reads, and appends what was begun and how it ended.
pub(crate) fn append(rows: u64) -> Result<Drained, Anyhow> {
    let mut table = Table::full(rows)?;
    let begun = Instant::now();
    let mut after = -1;
    loop {
        let jobs: Vec<Claimed> = {
            let mut read = table
                .connection
                .prepare_cached("SELECT id, phone, params FROM job WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let rows = read.query_map(params![after, i64::try_from(BATCH)?], claimed)?;
            rows.collect::<Result<_, _>>()?
        };
        let Some((last, _, _)) = jobs.last() else { return Ok(table.drained(rows, begun)) };
        after = *last;
        table.commit(|tx| {
            let mut insert =
                tx.prepare_cached("INSERT INTO attempt (id, begun_at, price) VALUES (?1, 1, 60400)")?;
            for (id, _, _) in &jobs {
                insert.execute([id])?;
            }
            Ok(())
        })?;
        table.commit(|tx| {
            let mut insert =
                tx.prepare_cached("INSERT INTO result (id, at, provider_id) VALUES (?1, 1, ?2)")?;
            for (id, _, _) in &jobs {
                insert.execute(params![id, provider_id(*id)])?;
            }
            Ok(())
        })?;
    }
}

/// What a launch does: rows written in batches of 1,000.
pub(crate) fn insert(rows: u64) -> Result<Drained, Anyhow> {
    let mut table = Table::empty()?;
    let begun = Instant::now();
    table.fill(0, rows, BATCH)?;
    Ok(table.drained(rows, begun))
}
