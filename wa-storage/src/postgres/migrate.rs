//! The schema's versions: listed, run in order, rolled back one at a time.
//!
//! Invariant: each migration and the row that says so are one transaction, so an interruption
//! anywhere leaves the schema at a whole version, and running again goes on from there. An advisory lock
//! makes programs that start at once take turns. A program accepts a schema one version ahead of its own,
//! so that old and new can run side by side while a deployment rolls.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use wa_core::model::Fingerprint;
use wa_core::port::store::{StoreError, StoreErrorKind};

use super::config::PostgresOptions;
use super::error::{Fallible, Fault, of_commit};
use crate::common::migration::{Migration, MigrationStatus, listed};

/// Versions rise by one from 1; a released migration never changes.
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "base",
    up: include_str!("migrations/0001_base.up.sql"),
    down: include_str!("migrations/0001_base.down.sql"),
}];

/// The migrations of one schema, for tools; [`PostgresStore::connect`](super::PostgresStore::connect) runs what is
/// pending.
#[derive(Debug)]
pub struct PostgresMigrations {
    pool: PgPool,
    options: PostgresOptions,
}

impl PostgresMigrations {
    /// Connects, and changes no schema yet.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let (pool, _) = super::pool_of(&options).await?;
        Ok(Self { pool, options })
    }

    /// Every migration that this program or the schema knows, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let mut tx = begin(&self.pool, &self.options.schema).await?;
        let applied = applied(&mut tx).await;
        Ok(listed(MIGRATIONS, end(tx, applied).await?))
    }

    /// Applies what is pending, in order; returns the versions applied. Safe to run again, and by several
    /// processes at once.
    ///
    /// # Errors
    /// When the database cannot be written, or has a schema more than one version ahead.
    pub async fn run(&mut self) -> Result<Vec<u32>, StoreError> {
        run(&self.pool, &self.options.schema, MIGRATIONS).await
    }

    /// Takes the latest migration back, with everything that it holds; returns its version, or `None` when
    /// there is none.
    ///
    /// # Errors
    /// When the database cannot be written, or its latest version is not this program's to take back.
    pub async fn roll_back_one(&mut self) -> Result<Option<u32>, StoreError> {
        roll_back_one(&self.pool, &self.options.schema, MIGRATIONS).await
    }
}

/// Brings a store's schema up to date.
pub(super) async fn bring_up(pool: &PgPool, options: &PostgresOptions) -> Result<(), StoreError> {
    run(pool, &options.schema, MIGRATIONS).await.map(drop)
}

async fn run(pool: &PgPool, schema: &str, migrations: &[Migration]) -> Result<Vec<u32>, StoreError> {
    let mut done = Vec::new();
    loop {
        let mut tx = begin(pool, schema).await?;
        let step = step(&mut tx, schema, migrations).await;
        match end(tx, step).await? {
            Some(version) => done.push(version),
            None => return Ok(done),
        }
    }
}

/// Applies the next migration, if one is pending.
async fn step(conn: &mut PgConnection, schema: &str, migrations: &[Migration]) -> Fallible<Option<u32>> {
    let ours = migrations.last().map_or(0, |last| last.version);
    if !has_versions(conn).await? {
        // The schema may have been made by somebody with more rights than this role has.
        if sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1")
            .bind(schema)
            .fetch_optional(&mut *conn)
            .await?
            .is_none()
        {
            sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).execute(&mut *conn).await?;
        }
        sqlx::query(
            "CREATE TABLE schema_version (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL)",
        )
        .execute(&mut *conn)
        .await?;
    }
    let version = version(conn).await?;
    if version > ours + 1 {
        return Err(Fault::Broken("the schema is newer than this program accepts"));
    }
    let Some(next) = migrations.iter().find(|migration| migration.version == version + 1) else {
        return Ok(None);
    };
    sqlx::raw_sql(next.up).execute(&mut *conn).await?;
    sqlx::query("INSERT INTO schema_version (version, applied_at) VALUES ($1, clock_timestamp())")
        .bind(i64::from(next.version))
        .execute(conn)
        .await?;
    Ok(Some(next.version))
}

async fn roll_back_one(
    pool: &PgPool,
    schema: &str,
    migrations: &[Migration],
) -> Result<Option<u32>, StoreError> {
    let mut tx = begin(pool, schema).await?;
    let step = step_back(&mut tx, migrations).await;
    end(tx, step).await
}

async fn step_back(conn: &mut PgConnection, migrations: &[Migration]) -> Fallible<Option<u32>> {
    let version = version(conn).await?;
    if version == 0 {
        return Ok(None);
    }
    let last = migrations
        .iter()
        .find(|migration| migration.version == version)
        .ok_or(Fault::Broken("the latest version is not known to this program"))?;
    sqlx::raw_sql(last.down).execute(&mut *conn).await?;
    sqlx::query("DELETE FROM schema_version WHERE version = $1")
        .bind(i64::from(version))
        .execute(conn)
        .await?;
    Ok(Some(version))
}

/// The versions that the schema has, and when they were applied.
async fn applied(conn: &mut PgConnection) -> Fallible<Vec<(u32, DateTime<Utc>)>> {
    if !has_versions(conn).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, DateTime<Utc>)> =
        sqlx::query_as("SELECT version, applied_at FROM schema_version ORDER BY version")
            .fetch_all(conn)
            .await?;
    let versions = rows.into_iter().map(|(version, at)| {
        let version = u32::try_from(version).map_err(|_| Fault::Broken("a schema version is no number"))?;
        Ok((version, at))
    });
    versions.collect()
}

/// The latest version that the schema has; 0 for a new one.
async fn version(conn: &mut PgConnection) -> Fallible<u32> {
    Ok(applied(conn).await?.last().map_or(0, |(version, _)| *version))
}

async fn has_versions(conn: &mut PgConnection) -> Fallible<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = current_setting('wa.schema') AND c.relname = 'schema_version')",
    )
    .fetch_one(conn)
    .await?)
}

/// A transaction in which nobody else migrates this schema.
async fn begin(pool: &PgPool, schema: &str) -> Result<Transaction<'static, Postgres>, StoreError> {
    let name = schema.as_bytes();
    let plain = name.first().is_some_and(|first| first.is_ascii_lowercase() || *first == b'_')
        && name.len() <= 63
        && name.iter().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || *sign == b'_');
    if !plain {
        let what = "a schema's name has 1 to 63 lower-case letters, digits and underscores, no digit first";
        return Err(StoreError::new(StoreErrorKind::Broken, what, None));
    }
    let key = Fingerprint::of(format!("migrate {schema}").as_bytes()).short().cast_signed();
    let begin = format!(
        "BEGIN; SET LOCAL search_path = \"{schema}\", pg_catalog; SET LOCAL wa.schema = '{schema}'; \
         SELECT pg_advisory_xact_lock({key})"
    );
    let begun = pool.begin_with(AssertSqlSafe(begin)).await;
    begun.map_err(|error| into_store(Fault::from(error)))
}

async fn end<T>(tx: Transaction<'static, Postgres>, result: Fallible<T>) -> Result<T, StoreError> {
    match result {
        Ok(value) => {
            tx.commit().await.map_err(of_commit)?;
            Ok(value)
        }
        Err(fault) => {
            drop(tx.rollback().await);
            Err(into_store(fault))
        }
    }
}

/// A role that may not create what is missing hears it in the server's own words.
fn into_store(fault: Fault) -> StoreError {
    match fault {
        Fault::Sql(error) if error.as_database_error().is_some() => {
            StoreError::new(StoreErrorKind::Broken, "the schema cannot be migrated", Some(Box::new(error)))
        }
        other => other.into_store(),
    }
}
