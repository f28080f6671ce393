//! The read side. A count is the sum of a few rows, never of messages.

use async_trait::async_trait;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{PgConnection, QueryBuilder};
use uuid::Uuid;
use wa_core::model::{
    CampaignAlert, CampaignCounts, CampaignId, IdMint, MessageId, MessageView, TenantId, from_micros,
};
use wa_core::port::Scope;
use wa_core::port::store::{FailureFilter, Reports, StoreError, TrendPoint, TrendQuery};
use wa_core::rules::alert::Meter;
use wa_core::rules::tally::{Counter, apply};

use super::audience::campaign_exists;
use super::codec::{campaign_key, get, id, json, ts};
use super::error::Fallible;
use super::message::{into_view, into_views, load, load_all};
use super::prices::Books;
use super::spend;
use super::tx::Access;
use super::{PostgresStore, page_size};

const COUNTS: &str = "SELECT c.counter, sum(c.n)::bigint FROM ( \
     SELECT counter, n FROM campaign_count WHERE tenant = $1 AND campaign = $2 \
     UNION ALL SELECT counter, n FROM delta WHERE tenant = $1 AND campaign = $2) c \
     GROUP BY c.counter ORDER BY c.counter";
const OF_CAMPAIGN: &str = "SELECT id FROM message \
     WHERE tenant = $1 AND id > $2 AND id <= $3 AND campaign = $4 ORDER BY id LIMIT $5";
const IN_DOUBT: &str =
    "SELECT message FROM doubt WHERE tenant = $1 AND message > $2 ORDER BY message LIMIT $3";
const SILENT: &str =
    "SELECT DISTINCT message FROM silent WHERE tenant = $1 AND message > $2 ORDER BY message LIMIT $3";

#[async_trait]
impl Reports for PostgresStore {
    async fn counts(
        &self,
        scope: &Scope,
        campaign: CampaignId,
    ) -> Result<Option<CampaignCounts>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let counts = counts(tx.conn(), tenant, campaign).await;
        tx.close(counts).await
    }

    async fn message(&self, scope: &Scope, id: MessageId) -> Result<Option<MessageView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let view = view(tx.conn(), tenant, id).await;
        tx.close(view).await
    }

    async fn messages(
        &self,
        scope: &Scope,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let views = latest(tx.conn(), tenant, before, limit).await;
        tx.close(views).await
    }

    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let views = recipients(tx.conn(), tenant, campaign, after, limit).await;
        tx.close(views).await
    }

    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let views = named(tx.conn(), IN_DOUBT, tenant, after, limit).await;
        tx.close(views).await
    }

    async fn failed(
        &self,
        scope: &Scope,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let views = failed(tx.conn(), tenant, filter, after, limit).await;
        tx.close(views).await
    }

    async fn silent(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let views = named(tx.conn(), SILENT, tenant, after, limit).await;
        tx.close(views).await
    }

    async fn alert(&self, scope: &Scope, campaign: CampaignId) -> Result<Option<CampaignAlert>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let alert = alert(tx.conn(), tenant, campaign).await;
        tx.close(alert).await
    }

    async fn trend(&self, scope: &Scope, ask: &TrendQuery) -> Result<Vec<TrendPoint>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let points = spend::trend(tx.conn(), tenant, ask).await;
        tx.close(points).await
    }
}

async fn counts(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
) -> Fallible<Option<CampaignCounts>> {
    if !campaign_exists(conn, tenant, campaign).await? {
        return Ok(None);
    }
    let mut counts = CampaignCounts::default();
    for (key, n) in read_counters(conn, tenant, Some(campaign)).await? {
        if let Some(counter) = Counter::from_key(&key) {
            apply(&mut counts, &counter, n);
        }
    }
    Ok(Some(counts))
}

async fn alert(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
) -> Fallible<Option<CampaignAlert>> {
    let meter: Option<Meter> =
        sqlx::query("SELECT meter FROM campaign_meter WHERE tenant = $1 AND campaign = $2")
            .bind(tenant.as_uuid())
            .bind(campaign.as_uuid())
            .try_map(|row: PgRow| json(&row, 0))
            .fetch_optional(conn)
            .await?;
    Ok(meter.and_then(|meter| meter.last))
}

async fn failed(
    conn: &mut PgConnection,
    tenant: TenantId,
    filter: &FailureFilter,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    let messages = failed_ids(conn, tenant, filter, after, limit).await?;
    views(conn, tenant, messages).await
}

/// The failed messages that fit, in order: found by the narrowest index, never by looking at messages.
pub(super) async fn failed_ids(
    conn: &mut PgConnection,
    tenant: TenantId,
    filter: &FailureFilter,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageId>> {
    let mut query = failed_query(tenant, filter, after, limit);
    Ok(query.build().try_map(|row: PgRow| id(&row, 0)).fetch_all(conn).await?)
}

/// The statement for a filter, with its values.
fn failed_query(
    tenant: TenantId,
    filter: &FailureFilter,
    after: Option<MessageId>,
    limit: u32,
) -> QueryBuilder<Postgres> {
    let FailureFilter { campaign, session, code, class, since, before, critical_only } = filter;
    let mut sql = QueryBuilder::new("SELECT message FROM failure WHERE tenant = ");
    sql.push_bind(tenant.as_uuid()).push(" AND message > ");
    sql.push_bind(after.map_or(Uuid::nil(), |after| after.as_uuid()));
    if let Some(campaign) = campaign {
        sql.push(" AND campaign = ").push_bind(campaign.as_uuid());
    }
    if let Some(code) = code {
        sql.push(" AND code = ").push_bind(*code);
    }
    if let Some(session) = session {
        sql.push(" AND session = ").push_bind(session.as_uuid());
    }
    if let Some(class) = class {
        sql.push(" AND class = ").push_bind(class.as_str());
    }
    if let Some(since) = since {
        sql.push(" AND at >= ").push_bind(ts(*since));
    }
    if let Some(before) = before {
        sql.push(" AND at < ").push_bind(ts(*before));
    }
    if *critical_only {
        sql.push(" AND critical");
    }
    sql.push(" ORDER BY message LIMIT ").push_bind(page_size(limit));
    sql
}

/// The rule's counters of a campaign, or of everything that a tenant sent: base and deltas summed up.
pub(super) async fn read_counters(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: Option<CampaignId>,
) -> Fallible<Vec<(String, i64)>> {
    let mut counters: Vec<(String, i64)> = sqlx::query(COUNTS)
        .bind(tenant.as_uuid())
        .bind(campaign_key(campaign))
        .try_map(|row: PgRow| Ok((get(&row, 0)?, get(&row, 1)?)))
        .fetch_all(conn)
        .await?;
    counters.retain(|(_, n)| *n != 0);
    Ok(counters)
}

async fn latest(
    conn: &mut PgConnection,
    tenant: TenantId,
    before: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    let sql = "SELECT id FROM message WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let messages = sqlx::query(sql)
        .bind(tenant.as_uuid())
        .bind(before.map_or(Uuid::max(), |id| id.as_uuid()))
        .bind(page_size(limit))
        .try_map(|row: PgRow| id(&row, 0))
        .fetch_all(&mut *conn)
        .await?;
    views(conn, tenant, messages).await
}

async fn recipients(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    let Some((first, last)) = ids_of_campaign(conn, tenant, campaign).await? else { return Ok(Vec::new()) };
    let after = after.map_or(first, |after| after.max(first));
    let messages = sqlx::query(OF_CAMPAIGN)
        .bind(tenant.as_uuid())
        .bind(after.as_uuid())
        .bind(last.as_uuid())
        .bind(campaign.as_uuid())
        .bind(page_size(limit))
        .try_map(|row: PgRow| id(&row, 0))
        .fetch_all(&mut *conn)
        .await?;
    views(conn, tenant, messages).await
}

/// Between which ids a launched campaign's messages lie: behind the first, up to the last.
pub(super) async fn ids_of_campaign(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
) -> Fallible<Option<(MessageId, MessageId)>> {
    let minted_ms: Option<Option<i64>> =
        sqlx::query_scalar("SELECT minted_ms FROM campaign WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_uuid())
            .bind(campaign.as_uuid())
            .fetch_optional(conn)
            .await?;
    Ok(minted_ms.flatten().map(|minted_ms| {
        let at = from_micros(minted_ms.saturating_mul(1_000));
        (IdMint::new(at, 0).first(), IdMint::new(at, IdMint::MAX_SESSIONS - 1).last())
    }))
}

/// The messages that a statement names by tenant, in order of their ids.
async fn named(
    conn: &mut PgConnection,
    sql: &'static str,
    tenant: TenantId,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    let messages = sqlx::query(sql)
        .bind(tenant.as_uuid())
        .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
        .bind(page_size(limit))
        .try_map(|row: PgRow| id(&row, 0))
        .fetch_all(&mut *conn)
        .await?;
    views(conn, tenant, messages).await
}

async fn views(
    conn: &mut PgConnection,
    tenant: TenantId,
    messages: Vec<MessageId>,
) -> Fallible<Vec<MessageView>> {
    let keys: Vec<_> = messages.into_iter().map(|message| (tenant, message)).collect();
    let mut stored = load_all(conn, &keys).await?;
    let in_order = keys.iter().filter_map(|key| stored.remove(key)).collect();
    into_views(conn, in_order, &mut Books::default()).await
}

async fn view(
    conn: &mut PgConnection,
    tenant: TenantId,
    message: MessageId,
) -> Fallible<Option<MessageView>> {
    match load(conn, tenant, message).await? {
        Some(stored) => into_view(conn, stored, &mut Books::default()).await.map(Some),
        None => Ok(None),
    }
}
