//! The room of the store's lives and of tenants that move, and how a database is recognised as the one that was last sent from.
//!
//! Invariant: where the tables lie is kept beside them: the server's identifier, the timeline of its
//! history, the database and the schema's own table. A copy, a restored dump and a promoted replica
//! differ in at least one of them. What this role cannot read is left out of the comparison; on a plain
//! server it can read all of it (checked on Postgres 15), some managed ones hide the timeline.

mod export;
mod import;
mod recount;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;
use wa_core::model::{
    Campaign, CampaignId, CampaignState, EventBody, Finding, HoldReason, IncarnationId, Invariant,
    ReconcileCause, ReconcileNeed, Tenant, TenantId,
};
use wa_core::port::store::{
    Archive, HeldTenant, ImportTenant, ImportTenantStep, MAX_PAGE, News, RecordSink, StoreError,
    UnfinishedImport,
};
use wa_core::port::{AdminScope, Scope};

use super::audience::{CAMPAIGN_COLUMNS, campaign_row};
use super::codec::{at, get, id, named, opt_id, parsed};
use super::error::{Fallible, Fault};
use super::tx::{Access, Locks, Tx};
use super::{PostgresStore, page_size, schedules};
use crate::common::changes::Changes;
use crate::common::examine::{self, Bounded, Dialect};

/// The timeline on which the server writes.
pub(super) const TIMELINE: &str = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

const SYSTEM: &str = "SELECT system_identifier::text FROM pg_control_system()";
/// Alone, what only this schema of this database has: a dump that was put back made the table anew.
const DATABASE: &str = "SELECT d.oid::text || '.' || c.oid FROM pg_database d, pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE d.datname = current_database() AND n.nspname = $1 AND c.relname = 'identity'";
/// What would go on by itself, as `rules::campaign::goes_on` has it.
const HOLD: &str = "WITH held AS (UPDATE campaign c SET state = $1, paused_for = $2 \
     WHERE ($3::uuid IS NULL OR c.tenant = $3) AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = c.tenant) \
     AND (c.state IN ('launching', 'scheduled', 'running') \
     OR (c.state = 'draft' AND EXISTS \
     (SELECT 1 FROM schedule_run r WHERE r.tenant = c.tenant AND r.campaign = c.id))) \
     RETURNING c.tenant, c.id) SELECT tenant, id FROM held ORDER BY tenant, id";

#[async_trait]
impl Archive for PostgresStore {
    async fn awaits(&self, _scope: &AdminScope) -> Result<Option<ReconcileNeed>, StoreError> {
        self.recognise().await?;
        let mut tx = self.read(Access::Engine).await?;
        let found = need(tx.conn()).await;
        tx.close(found).await
    }

    async fn suspend(
        &self,
        _scope: &AdminScope,
        fresh: IncarnationId,
        cause: ReconcileCause,
    ) -> Result<ReconcileNeed, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::store(&self.shared)).await?;
        let done = suspend(&mut tx, fresh, cause).await;
        tx.end_telling(done, News::Work).await
    }

    async fn unreconciled(
        &self,
        _scope: &AdminScope,
        after: Option<(TenantId, CampaignId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Campaign)>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = unreconciled(tx.conn(), after, limit).await;
        tx.close(found).await
    }

    async fn lift(&self, _scope: &AdminScope) -> Result<bool, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::store(&self.shared)).await?;
        let done = lift(&mut tx).await;
        tx.end_telling(done, News::Work).await
    }

    async fn examine(&self, _scope: &AdminScope, limit: u32) -> Result<Vec<Finding>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = examine(tx.conn(), limit).await;
        tx.close(found).await
    }

    async fn export(&self, scope: &Scope, sink: &mut dyn RecordSink) -> Result<bool, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let done = export::export(&mut tx, scope.tenant(), sink).await;
        // A sink that refused said why by itself.
        match done {
            Ok(given) => tx.close(Ok(given)).await,
            Err(export::Ended::Here(fault)) => tx.close(Err(fault)).await,
            Err(export::Ended::There(error)) => tx.close(Ok(())).await.and(Err(error)),
        }
    }

    async fn import_tenant(
        &self,
        _scope: &AdminScope,
        chunk: &ImportTenant,
    ) -> Result<ImportTenantStep, StoreError> {
        let mut locks = Locks::directory(&self.shared).and_tenant(&self.shared, chunk.head.tenant);
        if chunk.last {
            let mut tx = self.read(Access::Engine).await?;
            let portfolios = import::portfolios(tx.conn(), chunk).await;
            for portfolio in tx.close(portfolios).await? {
                locks = locks.and_portfolio(&self.shared, &portfolio);
            }
        }
        let mut tx = self.write(Access::Engine, locks).await?;
        let done = import::import(&mut tx, chunk).await;
        tx.end_telling(done, News::Work).await
    }

    async fn unfinished_imports(&self, _scope: &AdminScope) -> Result<Vec<UnfinishedImport>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = import::unfinished(tx.conn()).await;
        tx.close(found).await
    }

    async fn discard_import(&self, _scope: &AdminScope, tenant: TenantId) -> Result<bool, StoreError> {
        let mut is_there = false;
        loop {
            let mut tx = self.write(Access::Engine, Locks::tenant(&self.shared, tenant)).await?;
            let done = import::discard_some(tx.conn(), tenant).await;
            if !tx.end(done).await? {
                return Ok(is_there);
            }
            is_there = true;
        }
    }

    async fn held_tenants(
        &self,
        _scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<HeldTenant>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = held(tx.conn(), after, limit).await;
        tx.close(found).await
    }

    async fn release_tenant(&self, _scope: &AdminScope, tenant: TenantId) -> Result<bool, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::tenant(&self.shared, tenant)).await?;
        let done = release(&mut tx, tenant).await;
        tx.end_telling(done, News::Work).await
    }
}

async fn held(conn: &mut PgConnection, after: Option<TenantId>, limit: u32) -> Fallible<Vec<HeldTenant>> {
    let rows = sqlx::query(
        "SELECT id, name, created_at, held_since FROM tenant WHERE held_since IS NOT NULL AND id > $1 \
         ORDER BY id LIMIT $2",
    )
    .bind(after.map_or(Uuid::nil(), |id| id.as_uuid()))
    .bind(page_size(limit))
    .try_map(|row: PgRow| {
        let tenant = Tenant { id: id(&row, 0)?, name: parsed(&row, 1)?, created_at: at(&row, 2)? };
        Ok(HeldTenant { tenant, since: at(&row, 3)? })
    });
    Ok(rows.fetch_all(conn).await?)
}

async fn release(tx: &mut Tx, tenant: TenantId) -> Fallible<bool> {
    let released =
        sqlx::query("UPDATE tenant SET held_since = NULL WHERE id = $1 AND held_since IS NOT NULL")
            .bind(tenant.as_uuid())
            .execute(tx.conn())
            .await?
            .rows_affected()
            > 0;
    if released {
        hold_campaigns(tx, Some(tenant)).await?;
        schedules::pass_over(tx, Some(tenant)).await?;
    }
    Ok(released)
}

/// Whether a tenant was imported and waits for somebody's word.
pub(super) async fn is_held(conn: &mut PgConnection, tenant: TenantId) -> Fallible<bool> {
    let held =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tenant WHERE id = $1 AND held_since IS NOT NULL)");
    Ok(held.bind(tenant.as_uuid()).fetch_one(conn).await?)
}

const DIALECT: Dialect = Dialect {
    none: "NULL::uuid",
    span: |span| format!("interval '{} microseconds'", span.num_microseconds().unwrap_or(i64::MAX)),
};

/// What keeps the tenants apart beside the queries.
const ISOLATION: &str = "SELECT 'the role sees the rows of every tenant' FROM pg_roles \
     WHERE rolname = current_user AND (rolsuper OR rolbypassrls) \
     UNION ALL (SELECT 'table ' || c.relname || ' is not held to row-level security' FROM pg_class c \
     WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace \
     AND c.relname NOT IN ('identity', 'origin', 'reconcile_need', 'schema_version') \
     AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY c.relname)";

async fn examine(conn: &mut PgConnection, limit: u32) -> Fallible<Vec<Finding>> {
    // Whole tables are read here, and nothing waits for it.
    let planned =
        "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on";
    sqlx::raw_sql(planned).execute(&mut *conn).await?;
    let lines: Vec<String> = sqlx::query_scalar(ISOLATION).fetch_all(&mut *conn).await?;
    let isolation = lines.into_iter().map(|line| Finding {
        invariant: Invariant::Isolation,
        tenant: None,
        message: None,
        line,
    });
    let mut found: Vec<Finding> = isolation.collect();
    let limit = limit.clamp(1, MAX_PAGE);
    for (invariant, sql) in examine::queries(&DIALECT, limit) {
        let rows = sqlx::query(AssertSqlSafe(sql)).try_map(|row: PgRow| {
            let (tenant, message) = (opt_id(&row, 0)?, opt_id(&row, 1)?);
            Ok(Finding { invariant, tenant, message, line: get(&row, 2)? })
        });
        found.extend(rows.fetch_all(&mut *conn).await?);
    }
    let mut recounted = Bounded::new(limit);
    recount::recount(conn, |finding| recounted.add(finding)).await?;
    Ok(recounted.after(found))
}

/// Where the tables lie, as far as this role can see.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    system: Option<String>,
    timeline: Option<String>,
    database: Option<String>,
}

impl Origin {
    async fn read(pool: &PgPool, schema: &str) -> Self {
        // Each by itself: one that is refused takes no other along.
        let system = sqlx::query_scalar(SYSTEM).fetch_one(pool).await;
        let timeline = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {TIMELINE}"))).fetch_one(pool).await;
        let database = sqlx::query_scalar(DATABASE).bind(schema).fetch_one(pool).await;
        Self { system: seen(system), timeline: seen(timeline), database: seen(database) }
    }

    /// Whether a part that both know differs.
    fn is_another(&self, other: &Self) -> bool {
        let Self { system, timeline, database } = self;
        [(system, &other.system), (timeline, &other.timeline), (database, &other.database)]
            .iter()
            .any(|(own, other)| own.is_some() && other.is_some() && own != other)
    }

    /// What is known now, and what was known of the parts that are hidden now.
    fn or(self, other: Self) -> Self {
        Self {
            system: self.system.or(other.system),
            timeline: self.timeline.or(other.timeline),
            database: self.database.or(other.database),
        }
    }
}

fn seen(part: Result<String, sqlx::Error>) -> Option<String> {
    part.inspect_err(|error| tracing::debug!(%error, "a part of the database's origin is hidden")).ok()
}

/// Whether this role can read the timeline.
pub(super) async fn reads_timeline(pool: &PgPool) -> bool {
    let timeline = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {TIMELINE}"))).fetch_one(pool).await;
    seen(timeline).is_some()
}

impl PostgresStore {
    /// Suspends the store if its database is not the one that was last sent from.
    pub(super) async fn recognise(&self) -> Result<(), StoreError> {
        let now = Origin::read(self.pool()?, &self.shared.schema).await;
        let mut tx = self.read(Access::Engine).await?;
        let known = known(tx.conn()).await;
        let known = tx.close(known).await?;
        if known.as_ref().is_some_and(|known| *known == now) {
            return Ok(());
        }
        let mut tx = self.write(Access::Engine, Locks::store(&self.shared)).await?;
        let done = compare(&mut tx, now).await;
        tx.end_telling(done, News::Work).await
    }
}

async fn compare(tx: &mut Tx, now: Origin) -> Fallible<()> {
    let known = known(tx.conn()).await?;
    if let Some(known) = &known
        && known.is_another(&now)
    {
        let mut random = [0; 10];
        tx.shared.entropy.fill(&mut random);
        let cause = ReconcileCause::OtherDatabase;
        let need = suspend(tx, IncarnationId::mint(tx.now, random), cause).await?;
        tracing::warn!(cause = cause.as_str(), since = %need.since, "the database is a copy or was failed over: nothing is sent from it until it is reconciled");
    }
    let Origin { system, timeline, database } = match known {
        Some(known) => now.or(known),
        None => now,
    };
    sqlx::query(
        "INSERT INTO origin (one, system, timeline, database) VALUES (1, $1, $2, $3) \
         ON CONFLICT (one) DO UPDATE SET system = excluded.system, timeline = excluded.timeline, \
         database = excluded.database",
    )
    .bind(system)
    .bind(timeline)
    .bind(database)
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn known(conn: &mut PgConnection) -> Fallible<Option<Origin>> {
    let found: Option<(Option<String>, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT system, timeline, database FROM origin WHERE one = 1")
            .fetch_optional(conn)
            .await?;
    Ok(found.map(|(system, timeline, database)| Origin { system, timeline, database }))
}

/// Whether the store waits until somebody says that it may send.
pub(super) async fn need(conn: &mut PgConnection) -> Fallible<Option<ReconcileNeed>> {
    let found = sqlx::query("SELECT since, cause FROM reconcile_need WHERE one = 1").try_map(|row: PgRow| {
        Ok(ReconcileNeed { since: at(&row, 0)?, cause: named(&row, 1, ReconcileCause::from_name)? })
    });
    Ok(found.fetch_optional(conn).await?)
}

async fn suspend(tx: &mut Tx, fresh: IncarnationId, cause: ReconcileCause) -> Fallible<ReconcileNeed> {
    let now = tx.now;
    sqlx::query(
        "INSERT INTO reconcile_need (one, since, cause) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING",
    )
    .bind(now)
    .bind(cause.as_str())
    .execute(tx.conn())
    .await?;
    sqlx::query("UPDATE identity SET incarnation = $1 WHERE one = 1")
        .bind(fresh.as_uuid())
        .execute(tx.conn())
        .await?;
    hold_campaigns(tx, None).await?;
    need(tx.conn()).await?.ok_or(Fault::Broken("what was just written is not there"))
}

/// Holds what would go on by itself, of one tenant or of all.
async fn hold_campaigns(tx: &mut Tx, only: Option<TenantId>) -> Fallible<()> {
    let state = CampaignState::NeedsReconcile;
    let held: Vec<(TenantId, CampaignId)> = sqlx::query(HOLD)
        .bind(state.as_str())
        .bind(HoldReason::NeedsReconcile.as_str())
        .bind(only.map(|of| of.as_uuid()))
        .try_map(|row: PgRow| Ok((id(&row, 0)?, id(&row, 1)?)))
        .fetch_all(tx.conn())
        .await?;
    let mut changes = Changes::default();
    for (tenant, campaign) in held {
        changes.event(tenant, EventBody::Campaign { campaign, state });
    }
    tx.write(changes).await
}

async fn unreconciled(
    conn: &mut PgConnection,
    after: Option<(TenantId, CampaignId)>,
    limit: u32,
) -> Fallible<Vec<(TenantId, Campaign)>> {
    let sql = format!(
        "SELECT {CAMPAIGN_COLUMNS}, tenant FROM campaign WHERE state = 'needs_reconcile' \
         AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = campaign.tenant) AND (tenant, id) > ($1, $2) ORDER BY tenant, id LIMIT $3"
    );
    // No id is nil.
    let (tenant, campaign) =
        after.map_or((Uuid::nil(), Uuid::nil()), |(tenant, id)| (tenant.as_uuid(), id.as_uuid()));
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(tenant).bind(campaign).bind(page_size(limit));
    Ok(rows.try_map(|row| Ok((id(&row, 19)?, campaign_row(&row)?))).fetch_all(conn).await?)
}

async fn lift(tx: &mut Tx) -> Fallible<bool> {
    let waited =
        sqlx::query("DELETE FROM reconcile_need WHERE one = 1").execute(tx.conn()).await?.rows_affected() > 0;
    if waited {
        schedules::pass_over(tx, None).await?;
    }
    Ok(waited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(system: Option<&str>, timeline: Option<&str>, database: Option<&str>) -> Origin {
        let own = |part: Option<&str>| part.map(str::to_owned);
        Origin { system: own(system), timeline: own(timeline), database: own(database) }
    }

    #[test]
    fn what_is_hidden_makes_no_difference() {
        let whole = origin(Some("7"), Some("1"), Some("5.1"));
        let hidden = origin(None, None, Some("5.1"));
        assert!(!whole.is_another(&hidden) && !hidden.is_another(&whole));
        assert!(whole.is_another(&origin(Some("7"), Some("2"), Some("5.1"))), "a replica was promoted");
        assert!(whole.is_another(&origin(Some("8"), Some("1"), None)), "another server");
        assert!(hidden.is_another(&origin(None, None, Some("6.1"))), "a copy of the database");
        assert_eq!(hidden.or(origin(Some("7"), Some("1"), Some("4.1"))), whole, "what was known stays");
    }
}
