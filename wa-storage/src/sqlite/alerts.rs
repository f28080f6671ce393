//! Campaigns that fail: looked at in the transaction that made messages of them fail.

use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    CampaignAction, CampaignAlert, CampaignCounts, CampaignId, CampaignState, EventBody, TenantId,
};
use wa_core::rules::alert::{Look, Meter, look};
use wa_core::rules::campaign::{Move, act};
use wa_core::rules::tally::{Counter, apply};

use super::codec::{json, named, opt_at, to_json};
use super::directory::settings_of;
use super::error::Fallible;
use super::reports::read_counters;
use super::writer::Tx;
use crate::common::changes::CampaignLook;

const PUT_METER: &str = "INSERT INTO campaign_meter (tenant, campaign, meter) VALUES (?1, ?2, ?3) \
     ON CONFLICT (tenant, campaign) DO UPDATE SET meter = excluded.meter";

/// Looks at a campaign, once its counts are written, and carries out what the rule says.
pub(super) fn look_at(tx: &Tx<'_>, changed: CampaignLook) -> Fallible<()> {
    let CampaignLook { tenant, campaign, fresh, answered } = changed;
    let mut counts = CampaignCounts::default();
    for (key, n) in read_counters(tx.conn, tenant, Some(campaign))? {
        if let Some(counter) = Counter::from_key(&key) {
            apply(&mut counts, &counter, n);
        }
    }
    let key = params![tenant.as_bytes(), campaign.as_bytes()];
    let meter: Option<Meter> = tx
        .conn
        .prepare_cached("SELECT meter FROM campaign_meter WHERE tenant = ?1 AND campaign = ?2")?
        .query_row(key, |row| json(row, 0))
        .optional()?;
    let settings = settings_of(tx.conn, tenant)?.unwrap_or_default().alerts;
    let before = meter.clone().unwrap_or_default();
    let seen = look(before, &Look { counts: &counts, fresh: &fresh, answered }, &settings);
    if meter.as_ref() != Some(&seen.meter) {
        tx.conn.prepare_cached(PUT_METER)?.execute(params![
            tenant.as_bytes(),
            campaign.as_bytes(),
            to_json(&seen.meter)?
        ])?;
    }
    for alert in seen.alerts {
        let pauses = matches!(alert, CampaignAlert::Paused { .. });
        tx.journal(tenant, EventBody::CampaignAlert { campaign, alert })?;
        if pauses {
            pause(tx, tenant, campaign)?;
        }
    }
    Ok(())
}

/// Pauses a campaign where that is a legal move.
fn pause(tx: &Tx<'_>, tenant: TenantId, campaign: CampaignId) -> Fallible<()> {
    let (state, frozen, start_at) = tx
        .conn
        .prepare_cached("SELECT state, frozen, start_at FROM campaign WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| {
            Ok((named(row, 0, CampaignState::from_name)?, row.get::<_, bool>(1)?, opt_at(row, 2)?))
        })?;
    let Move::To(state) = act(state, CampaignAction::Pause, frozen, start_at, tx.now) else { return Ok(()) };
    tx.conn
        .prepare_cached("UPDATE campaign SET state = ?3 WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_bytes(), campaign.as_bytes(), state.as_str()])?;
    tx.journal(tenant, EventBody::Campaign { campaign, state })
}
