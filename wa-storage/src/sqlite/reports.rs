//! The read side. A count is the sum of a few rows, never of messages.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use wa_core::model::{
    CampaignAlert, CampaignCounts, CampaignId, IdMint, MessageId, MessageView, TenantId, from_micros, micros,
};
use wa_core::port::Scope;
use wa_core::port::store::{FailureFilter, Reports, StoreError, TrendPoint, TrendQuery};
use wa_core::rules::alert::Meter;
use wa_core::rules::tally::{Counter, apply};

use super::audience::campaign_exists;
use super::codec::{id, json};
use super::error::Fallible;
use super::message::Stored;
use super::prices::Books;
use super::spend;
use super::{SqliteStore, page_size};

pub(super) const COUNTS: &str = "SELECT counter, sum(n) FROM ( \
     SELECT counter, n FROM campaign_count WHERE tenant = ?1 AND campaign = ?2 \
     UNION ALL SELECT counter, n FROM delta WHERE tenant = ?1 AND campaign = ?2) \
     GROUP BY counter ORDER BY counter";
pub(super) const OF_CAMPAIGN: &str = "SELECT id FROM message \
     WHERE tenant = ?1 AND id > ?2 AND id <= ?3 AND campaign = ?4 ORDER BY id LIMIT ?5";
pub(super) const LATEST: &str =
    "SELECT id FROM message WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
pub(super) const IN_DOUBT: &str =
    "SELECT message FROM doubt WHERE tenant = ?1 AND message > ?2 ORDER BY message LIMIT ?3";

pub(super) const SILENT: &str =
    "SELECT DISTINCT message FROM silent WHERE tenant = ?1 AND message > ?2 ORDER BY message LIMIT ?3";

#[async_trait]
impl Reports for SqliteStore {
    async fn counts(
        &self,
        scope: &Scope,
        campaign: CampaignId,
    ) -> Result<Option<CampaignCounts>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            if !campaign_exists(snapshot.conn, tenant, campaign)? {
                return Ok(None);
            }
            let mut counts = CampaignCounts::default();
            for (key, n) in read_counters(snapshot.conn, tenant, Some(campaign))? {
                if let Some(counter) = Counter::from_key(&key) {
                    apply(&mut counts, &counter, n);
                }
            }
            Ok(Some(counts))
        })
        .await
    }

    async fn message(&self, scope: &Scope, id: MessageId) -> Result<Option<MessageView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| view(snapshot.conn, tenant, id)).await
    }

    async fn messages(
        &self,
        scope: &Scope,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| latest(snapshot.conn, tenant, before, limit)).await
    }

    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| recipients(snapshot.conn, tenant, campaign, after, limit)).await
    }

    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| named(snapshot.conn, IN_DOUBT, tenant, after, limit)).await
    }

    async fn failed(
        &self,
        scope: &Scope,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let (tenant, filter) = (scope.tenant(), filter.clone());
        self.read(move |snapshot| {
            let messages = failed_ids(snapshot.conn, tenant, &filter, after, limit)?;
            views(snapshot.conn, tenant, messages)
        })
        .await
    }

    async fn silent(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| named(snapshot.conn, SILENT, tenant, after, limit)).await
    }

    async fn alert(&self, scope: &Scope, campaign: CampaignId) -> Result<Option<CampaignAlert>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let meter: Option<Meter> = snapshot
                .conn
                .prepare_cached("SELECT meter FROM campaign_meter WHERE tenant = ?1 AND campaign = ?2")?
                .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| json(row, 0))
                .optional()?;
            Ok(meter.and_then(|meter| meter.last))
        })
        .await
    }

    async fn trend(&self, scope: &Scope, ask: &TrendQuery) -> Result<Vec<TrendPoint>, StoreError> {
        let (tenant, ask) = (scope.tenant(), *ask);
        self.read(move |snapshot| spend::trend(snapshot.conn, tenant, &ask)).await
    }
}

/// The failed messages that fit, in order: found by the narrowest index, never by looking at messages.
pub(super) fn failed_ids(
    conn: &Connection,
    tenant: TenantId,
    filter: &FailureFilter,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageId>> {
    let (sql, values) = failed_query(tenant, filter, after, limit);
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(values), |row| id(row, 0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The statement for a filter, with its values.
pub(super) fn failed_query(
    tenant: TenantId,
    filter: &FailureFilter,
    after: Option<MessageId>,
    limit: u32,
) -> (String, Vec<Value>) {
    let FailureFilter { campaign, session, code, class, since, before, critical_only } = filter;
    let mut sql = "SELECT message FROM failure WHERE tenant = ? AND message > ?".to_owned();
    let blob = |bytes: &[u8; 16]| Value::Blob(bytes.to_vec());
    let mut values = vec![blob(tenant.as_bytes())];
    values.push(after.map_or(Value::Blob(Vec::new()), |id| blob(id.as_bytes())));
    let mut and = |condition: &str, value: Value| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.push(value);
    };
    if let Some(campaign) = campaign {
        and("campaign = ?", blob(campaign.as_bytes()));
    }
    if let Some(code) = code {
        and("code = ?", Value::Integer(*code));
    }
    if let Some(session) = session {
        and("session = ?", blob(session.as_bytes()));
    }
    if let Some(class) = class {
        and("class = ?", Value::Text(class.as_str().to_owned()));
    }
    if let Some(since) = since {
        and("at >= ?", Value::Integer(micros(*since)));
    }
    if let Some(before) = before {
        and("at < ?", Value::Integer(micros(*before)));
    }
    if *critical_only {
        sql.push_str(" AND critical = 1");
    }
    sql.push_str(" ORDER BY message LIMIT ?");
    values.push(Value::Integer(page_size(limit)));
    (sql, values)
}

/// The rule's counters of a campaign, or of everything that a tenant sent: base and deltas summed up.
pub(super) fn read_counters(
    conn: &Connection,
    tenant: TenantId,
    campaign: Option<CampaignId>,
) -> Fallible<Vec<(String, i64)>> {
    let campaign = campaign.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
    let mut statement = conn.prepare_cached(COUNTS)?;
    let rows =
        statement.query_map(params![tenant.as_bytes(), campaign], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut counters = rows.collect::<rusqlite::Result<Vec<(String, i64)>>>()?;
    counters.retain(|(_, n)| *n != 0);
    Ok(counters)
}

fn latest(
    conn: &Connection,
    tenant: TenantId,
    before: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    // A blob of seventeen bytes lies behind every id.
    let before = before.map_or(vec![u8::MAX; 17], |id| id.as_bytes().to_vec());
    let messages = conn
        .prepare_cached(LATEST)?
        .query_map(params![tenant.as_bytes(), before, page_size(limit)], |row| id(row, 0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    views(conn, tenant, messages)
}

fn recipients(
    conn: &Connection,
    tenant: TenantId,
    campaign: CampaignId,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    let Some((first, last)) = ids_of_campaign(conn, tenant, campaign)? else { return Ok(Vec::new()) };
    let after = after.map_or(first, |after| after.max(first));
    let messages = conn
        .prepare_cached(OF_CAMPAIGN)?
        .query_map(
            params![
                tenant.as_bytes(),
                after.as_bytes(),
                last.as_bytes(),
                campaign.as_bytes(),
                page_size(limit)
            ],
            |row| id(row, 0),
        )?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    views(conn, tenant, messages)
}

/// Between which ids a launched campaign's messages lie: behind the first, up to the last.
pub(super) fn ids_of_campaign(
    conn: &Connection,
    tenant: TenantId,
    campaign: CampaignId,
) -> Fallible<Option<(MessageId, MessageId)>> {
    let minted_ms: Option<i64> = conn
        .prepare_cached("SELECT minted_ms FROM campaign WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(minted_ms.map(|minted_ms| {
        let at = from_micros(minted_ms.saturating_mul(1_000));
        (IdMint::new(at, 0).first(), IdMint::new(at, IdMint::MAX_SESSIONS - 1).last())
    }))
}

/// The messages that a statement names by tenant, in order of their ids.
fn named(
    conn: &Connection,
    sql: &str,
    tenant: TenantId,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageView>> {
    let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
    let messages = conn
        .prepare_cached(sql)?
        .query_map(params![tenant.as_bytes(), after, page_size(limit)], |row| id(row, 0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    views(conn, tenant, messages)
}

fn views(conn: &Connection, tenant: TenantId, messages: Vec<MessageId>) -> Fallible<Vec<MessageView>> {
    let (mut views, mut books) = (Vec::with_capacity(messages.len()), Books::default());
    for message in messages {
        let stored = Stored::load(conn, tenant, message)?;
        views.extend(stored.map(|stored| stored.into_view(conn, &mut books)).transpose()?);
    }
    Ok(views)
}

fn view(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<Option<MessageView>> {
    let books = &mut Books::default();
    Stored::load(conn, tenant, message)?.map(|stored| stored.into_view(conn, books)).transpose()
}
