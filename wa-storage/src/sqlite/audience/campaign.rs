//! Campaigns as rows: defining, finding, listing.

use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{
    Campaign, CampaignId, CampaignName, CampaignState, HoldReason, IdMint, Lane, Money, NewCampaign,
    SessionId, TenantId, micros,
};
use wa_core::port::store::CreateCampaign;

use crate::sqlite::codec::{
    at, fingerprint, id, json, named, opt_at, opt_json, opt_micros, opt_named, opt_uint, parsed, to_json,
};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::numbers::session_of;
use crate::sqlite::page_size;
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

pub(in crate::sqlite) const COLUMNS: &str = "id, name, content, list_name, sessions, lane, valid_until, start_at, rate, \
     definition, state, created_at, launched_at, completed_at, fallback, budget, budget_currency, paused_for, \
     in_doubt";

pub(in crate::sqlite) fn create(
    tx: &Tx<'_>,
    tenant: TenantId,
    new: &NewCampaign,
) -> Fallible<CreateCampaign> {
    let definition = new.definition();
    if let Some(mut known) = by_name(tx.conn, tenant, &new.name)? {
        if known.definition != definition {
            return Ok(CreateCampaign::Different(known));
        }
        // The rate is no part of who gets what; the latest word counts.
        if known.rate != new.rate {
            tx.conn
                .prepare_cached("UPDATE campaign SET rate = ?3 WHERE tenant = ?1 AND id = ?2")?
                .execute(params![tenant.as_bytes(), known.id.as_bytes(), new.rate])?;
            known.rate = new.rate;
        }
        if known.budget != new.budget {
            put_budget(tx, tenant, known.id, new.budget)?;
            known.budget = new.budget;
        }
        return Ok(CreateCampaign::Known(known));
    }
    if let Some(unknown) = unknown_session(tx.conn, tenant, &new.sessions)? {
        return Ok(unknown);
    }
    let campaign = Campaign::draft(new, tx.now);
    tx.conn
        .prepare_cached(&format!(
            "INSERT INTO campaign (tenant, {COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, NULL, NULL, ?14, ?15, ?16, NULL, ?17)"
        ))?
        .execute(params![
            tenant.as_bytes(),
            campaign.id.as_bytes(),
            campaign.name.as_str(),
            to_json(&campaign.content)?,
            campaign.list.as_str(),
            to_json(&campaign.sessions)?,
            campaign.lane.as_str(),
            opt_micros(campaign.valid_until),
            opt_micros(campaign.start_at),
            campaign.rate,
            campaign.definition.as_bytes(),
            campaign.state.as_str(),
            micros(campaign.created_at),
            campaign.fallback.as_ref().map(to_json).transpose()?,
            campaign.budget.map(|budget| budget.micros),
            campaign.budget.as_ref().map(|budget| budget.currency.as_str()),
            campaign.in_doubt.as_ref().map(to_json).transpose()?
        ])?;
    Ok(CreateCampaign::Created(campaign))
}

pub(super) fn set_budget(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: CampaignId,
    budget: Option<Money>,
) -> Fallible<Option<Campaign>> {
    put_budget(tx, tenant, id, budget)?;
    by_id(tx.conn, tenant, id)
}

fn put_budget(tx: &Tx<'_>, tenant: TenantId, id: CampaignId, budget: Option<Money>) -> Fallible<()> {
    tx.conn
        .prepare_cached(
            "UPDATE campaign SET budget = ?3, budget_currency = ?4 WHERE tenant = ?1 AND id = ?2",
        )?
        .execute(params![
            tenant.as_bytes(),
            id.as_bytes(),
            budget.map(|budget| budget.micros),
            budget.as_ref().map(|budget| budget.currency.as_str())
        ])?;
    Ok(())
}

fn unknown_session(
    conn: &Connection,
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
        if session_of(conn, tenant, *session)?.is_none() {
            return Ok(Some(CreateCampaign::UnknownSession(Some(*session))));
        }
    }
    Ok(None)
}

pub(super) fn by_id(conn: &Connection, tenant: TenantId, id: CampaignId) -> Fallible<Option<Campaign>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM campaign WHERE tenant = ?1 AND id = ?2"))?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], campaign)
        .optional()?;
    Ok(found)
}

pub(super) fn by_name(
    conn: &Connection,
    tenant: TenantId,
    name: &CampaignName,
) -> Fallible<Option<Campaign>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM campaign WHERE tenant = ?1 AND name = ?2"))?
        .query_row(params![tenant.as_bytes(), name.as_str()], campaign)
        .optional()?;
    Ok(found)
}

/// Whether a tenant has a campaign.
pub(in crate::sqlite) fn exists(conn: &Connection, tenant: TenantId, id: CampaignId) -> Fallible<bool> {
    let found = conn
        .prepare_cached("SELECT 1 FROM campaign WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn page(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    after: Option<CampaignId>,
    limit: u32,
) -> Fallible<Vec<Campaign>> {
    let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
    let mut statement = snapshot.conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM campaign WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![tenant.as_bytes(), after, page_size(limit)], campaign)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(in crate::sqlite) fn campaign(row: &Row<'_>) -> rusqlite::Result<Campaign> {
    let budget = match row.get::<_, Option<i64>>(15)? {
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
