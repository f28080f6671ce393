//! Hand-written queues on Postgres: prepared statements, `synchronous_commit=on`, one connection (more make
//! leasing no faster).

use tokio::time::Instant;
use wa_kit::postgres::TestDatabase;
use wa_kit::postgres::sqlx::{self, Connection, PgConnection, Row};

use crate::harness::Anyhow;
use crate::{BATCH, Drained, provider_id};

const SCHEMA: &str = "SET synchronous_commit = on;
    CREATE TABLE job (
        id bigint PRIMARY KEY, state smallint NOT NULL DEFAULT 0, lease_until timestamptz, phone bigint NOT NULL,
        params text NOT NULL, provider_id text, done_at timestamptz);
    CREATE INDEX job_waiting ON job (id) WHERE state = 0;
    CREATE TABLE attempt (id bigint PRIMARY KEY, begun_at timestamptz NOT NULL, price bigint NOT NULL);
    CREATE TABLE result (id bigint PRIMARY KEY, at timestamptz NOT NULL, provider_id text NOT NULL);";

struct Table {
    _database: TestDatabase,
    connection: PgConnection,
}

impl Table {
    async fn empty() -> Result<Self, Anyhow> {
        let database = TestDatabase::create().await;
        let mut connection = PgConnection::connect(&database.admin_url()).await?;
        // A database may be used again: what the last run left goes.
        sqlx::raw_sql("DROP TABLE IF EXISTS job, attempt, result").execute(&mut connection).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
        Ok(Self { _database: database, connection })
    }

    async fn full(rows: u64) -> Result<Self, Anyhow> {
        let mut table = Self::empty().await?;
        table.fill(rows).await?;
        sqlx::raw_sql("ANALYZE job").execute(&mut table.connection).await?;
        Ok(table)
    }

    async fn fill(&mut self, rows: u64) -> Result<(), Anyhow> {
        for first in (0..rows).step_by(usize::try_from(BATCH)?) {
            let ids: Vec<i64> =
                (first..(first + BATCH).min(rows)).map(i64::try_from).collect::<Result<_, _>>()?;
            let phones: Vec<i64> = ids.iter().map(|id| 4_915_100_000_000 + id).collect();
            let params: Vec<String> = ids.iter().map(|id| format!("[\"Ada {id}\"]")).collect();
            sqlx::query("INSERT INTO job (id, phone, params) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[])")
                .bind(ids)
                .bind(phones)
                .bind(params)
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    async fn close(self) -> Result<(), Anyhow> {
        let Self { _database, mut connection } = self;
        sqlx::raw_sql("DROP TABLE job, attempt, result").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

/// Batches of 1,000, claimed by lease and completed.
pub(crate) async fn lease(rows: u64) -> Result<Drained, Anyhow> {
    drain(rows, BATCH).await
}

/// As [`lease`], a commit for each claim and each completion of one row.
pub(crate) async fn single(rows: u64) -> Result<Drained, Anyhow> {
    drain(rows, 1).await
}

async fn drain(rows: u64, batch: u64) -> Result<Drained, Anyhow> {
    let mut table = Table::full(rows).await?;
    let begun = Instant::now();
    let mut commits = 0;
    let limit = i64::try_from(batch)?;
    loop {
        let jobs = sqlx::query(
            "WITH picked AS (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) \
             UPDATE job SET state = 1, lease_until = now() + interval '1 minute' FROM picked \
             WHERE job.id = picked.id RETURNING job.id, job.phone, job.params",
        )
        .bind(limit)
        .fetch_all(&mut table.connection)
        .await?;
        commits += 1;
        if jobs.is_empty() {
            break;
        }
        let ids: Vec<i64> = jobs.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let names: Vec<String> = ids.iter().map(|id| provider_id(*id)).collect();
        sqlx::query(
            "UPDATE job SET state = 2, provider_id = u.name, done_at = now() \
             FROM unnest($1::bigint[], $2::text[]) AS u (id, name) WHERE job.id = u.id",
        )
        .bind(ids)
        .bind(names)
        .execute(&mut table.connection)
        .await?;
        commits += 1;
    }
    let took = begun.elapsed();
    table.close().await?;
    Ok(Drained { rows, took, commits })
}

/// The owner reads, and appends what was begun and how it ended.
pub(crate) async fn append(rows: u64) -> Result<Drained, Anyhow> {
    let mut table = Table::full(rows).await?;
    let begun = Instant::now();
    let (mut after, mut commits) = (-1_i64, 0);
    loop {
        let jobs = sqlx::query("SELECT id, phone, params FROM job WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after)
            .bind(i64::try_from(BATCH)?)
            .fetch_all(&mut table.connection)
            .await?;
        let ids: Vec<i64> = jobs.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let Some(last) = ids.last() else { break };
        after = *last;
        let names: Vec<String> = ids.iter().map(|id| provider_id(*id)).collect();
        sqlx::query(
            "INSERT INTO attempt (id, begun_at, price) SELECT u, now(), 60400 FROM unnest($1::bigint[]) AS u",
        )
        .bind(&ids)
        .execute(&mut table.connection)
        .await?;
        sqlx::query(
            "INSERT INTO result (id, at, provider_id) SELECT u.id, now(), u.name \
             FROM unnest($1::bigint[], $2::text[]) AS u (id, name)",
        )
        .bind(&ids)
        .bind(names)
        .execute(&mut table.connection)
        .await?;
        commits += 2;
    }
    let took = begun.elapsed();
    table.close().await?;
    Ok(Drained { rows, took, commits })
}

/// What a launch does: rows written in batches of 1,000.
pub(crate) async fn insert(rows: u64) -> Result<Drained, Anyhow> {
    let mut table = Table::empty().await?;
    let begun = Instant::now();
    table.fill(rows).await?;
    let took = begun.elapsed();
    table.close().await?;
    Ok(Drained { rows, took, commits: rows.div_ceil(BATCH) })
}
