//! Campaigns as rows: defining, finding, listing.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    Campaign, CampaignId, CampaignName, CampaignState, HoldReason, IdMint, Lane, Money, NewCampaign,
    SessionId, TenantId,
};
use wa_core::port::store::CreateCampaign;

use crate::postgres::codec::{
    at, fingerprint, get, id, json, named, opt_at, opt_json, opt_named, opt_uint, parsed, to_json, ts,
};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::numbers::session_of;
use crate::postgres::page_size;
use crate::postgres::tx::Tx;

pub(in crate::postgres) const COLUMNS: &str = "id, name, content, list_name, sessions, lane, valid_until, start_at, rate, \
     definition, state, created_at, launched_at, completed_at, fallback, budget, budget_currency, paused_for, \
     in_doubt";

pub(in crate::postgres) async fn create(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewCampaign,
) -> Fallible<CreateCampaign> {
    let definition = new.definition();
    if let Some(mut known) = by_name(tx.conn(), tenant, &new.name).await? {
        if known.definition != definition {
            return Ok(CreateCampaign::Different(known));
        }
        // The rate is no part of who gets what; the latest word counts.
        if known.rate != new.rate {
            sqlx::query("UPDATE campaign SET rate = $3 WHERE tenant = $1 AND id = $2")
                .bind(tenant.as_uuid())
                .bind(known.id.as_uuid())
                .bind(new.rate.map(i64::from))
                .execute(tx.conn())
                .await?;
            known.rate = new.rate;
        }
        if known.budget != new.budget {
            put_budget(tx, tenant, known.id, new.budget).await?;
            known.budget = new.budget;
        }
        return Ok(CreateCampaign::Known(known));
    }
    if let Some(unknown) = unknown_session(tx.conn(), tenant, &new.sessions).await? {
        return Ok(unknown);
    }
    let campaign = Campaign::draft(new, tx.now);
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO campaign (tenant, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, NULL, NULL, $14, $15, $16, NULL, $17)"
    )))
    .bind(tenant.as_uuid())
    .bind(campaign.id.as_uuid())
    .bind(campaign.name.as_str())
    .bind(to_json(&campaign.content)?)
    .bind(campaign.list.as_str())
    .bind(to_json(&campaign.sessions)?)
    .bind(campaign.lane.as_str())
    .bind(campaign.valid_until.map(ts))
    .bind(campaign.start_at.map(ts))
    .bind(campaign.rate.map(i64::from))
    .bind(campaign.definition.as_bytes().as_slice())
    .bind(campaign.state.as_str())
    .bind(campaign.created_at)
    .bind(campaign.fallback.as_ref().map(to_json).transpose()?)
    .bind(campaign.budget.map(|budget| budget.micros))
    .bind(campaign.budget.as_ref().map(|budget| budget.currency.as_str()))
    .bind(campaign.in_doubt.as_ref().map(to_json).transpose()?)
    .execute(tx.conn())
    .await?;
    Ok(CreateCampaign::Created(campaign))
}

pub(super) async fn set_budget(
    tx: &mut Tx,
    tenant: TenantId,
    id: CampaignId,
    budget: Option<Money>,
) -> Fallible<Option<Campaign>> {
    put_budget(tx, tenant, id, budget).await?;
    by_id(tx.conn(), tenant, id).await
}

async fn put_budget(tx: &mut Tx, tenant: TenantId, id: CampaignId, budget: Option<Money>) -> Fallible<()> {
    sqlx::query("UPDATE campaign SET budget = $3, budget_currency = $4 WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .bind(budget.map(|budget| budget.micros))
        .bind(budget.as_ref().map(|budget| budget.currency.as_str()))
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn unknown_session(
    conn: &mut PgConnection,
    tenant: TenantId,
    sessions: &[SessionId],
) -> Fallible<Option<CreateCampaign>> {
    if sessions.is_empty() {
        return Ok(Some(CreateCampaign::UnknownSession(None)));
    }
    if sessions.len() > usize::from(IdMint::MAX_SESSIONS) {
        return Err(Fault::Broken("a campaign has more sessions than ids can tell apart"));
    }
    for session in sessions {
        if session_of(conn, tenant, *session).await?.is_none() {
            return Ok(Some(CreateCampaign::UnknownSession(Some(*session))));
        }
    }
    Ok(None)
}

pub(super) async fn by_id(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: CampaignId,
) -> Fallible<Option<Campaign>> {
    let sql = format!("SELECT {COLUMNS} FROM campaign WHERE tenant = $1 AND id = $2");
    let found = sqlx::query(AssertSqlSafe(sql)).bind(tenant.as_uuid()).bind(id.as_uuid());
    Ok(found.try_map(|row| campaign(&row)).fetch_optional(conn).await?)
}

pub(super) async fn by_name(
    conn: &mut PgConnection,
    tenant: TenantId,
    name: &CampaignName,
) -> Fallible<Option<Campaign>> {
    let sql = format!("SELECT {COLUMNS} FROM campaign WHERE tenant = $1 AND name = $2");
    let found = sqlx::query(AssertSqlSafe(sql)).bind(tenant.as_uuid()).bind(name.as_str());
    Ok(found.try_map(|row| campaign(&row)).fetch_optional(conn).await?)
}

/// Whether a tenant has a campaign.
pub(in crate::postgres) async fn exists(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: CampaignId,
) -> Fallible<bool> {
    let found = sqlx::query("SELECT 1 FROM campaign WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

pub(super) async fn page(
    conn: &mut PgConnection,
    tenant: TenantId,
    after: Option<CampaignId>,
    limit: u32,
) -> Fallible<Vec<Campaign>> {
    let sql = format!("SELECT {COLUMNS} FROM campaign WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        // No id is nil: a bound that is always there keeps the plan on the index.
        .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
        .bind(page_size(limit));
    Ok(rows.try_map(|row| campaign(&row)).fetch_all(conn).await?)
}

pub(in crate::postgres) fn campaign(row: &PgRow) -> Result<Campaign, Error> {
    let budget = match get::<Option<i64>>(row, 15)? {
        Some(micros) => Some(Money { micros, currency: parsed(row, 16)? }),
        None => None,
    };
    Ok(Campaign {
        id: id(row, 0)?,
        name: parsed(row, 1)?,
        content: json(row, 2)?,
        list: parsed(row, 3)?,
        sessions: json(row, 4)?,
        lane: named(row, 5, Lane::from_name)?,
        valid_until: opt_at(row, 6)?,
        start_at: opt_at(row, 7)?,
        rate: opt_uint(row, 8)?,
        budget,
        definition: fingerprint(row, 9)?,
        state: named(row, 10, CampaignState::from_name)?,
        created_at: at(row, 11)?,
        launched_at: opt_at(row, 12)?,
        completed_at: opt_at(row, 13)?,
        fallback: opt_json(row, 14)?,
        paused_for: opt_named(row, 17, HoldReason::from_name)?,
        in_doubt: opt_json(row, 18)?,
    })
}
