//! Campaigns that fail: looked at in the transaction that made messages of them fail.
//!
//! Invariant: of one campaign one look is taken at a time, until its commit: the meter's row is locked
//! before the counts are read. Whoever looks at several goes in the order of their keys.

use sqlx::PgConnection;
use wa_core::model::{
    CampaignAction, CampaignAlert, CampaignCounts, CampaignId, CampaignState, EventBody, TenantId,
};
use wa_core::rules::alert::{Look, Meter, look};
use wa_core::rules::campaign::{Move, act};
use wa_core::rules::tally::{Counter, apply};

use super::codec::{get, json, named, opt_at, to_json};
use super::directory::settings_of;
use super::error::{Fallible, Fault};
use super::reports::read_counters;
use super::tx::Tx;
use crate::common::changes::{CampaignLook, Changes};

/// Looks at a campaign, once its counts are written, and carries out what the rule says.
pub(super) async fn look_at(tx: &mut Tx, changed: CampaignLook) -> Fallible<()> {
    let CampaignLook { tenant, campaign, fresh, answered } = changed;
    let before = lock_meter(tx.conn(), tenant, campaign).await?;
    let mut counts = CampaignCounts::default();
    for (key, n) in read_counters(tx.conn(), tenant, Some(campaign)).await? {
        if let Some(counter) = Counter::from_key(&key) {
            apply(&mut counts, &counter, n);
        }
    }
    let settings = settings_of(tx.conn(), tenant).await?.unwrap_or_default().alerts;
    let seen = look(before.clone(), &Look { counts: &counts, fresh: &fresh, answered }, &settings);
    if before != seen.meter {
        sqlx::query("UPDATE campaign_meter SET meter = $3 WHERE tenant = $1 AND campaign = $2")
            .bind(tenant.as_uuid())
            .bind(campaign.as_uuid())
            .bind(to_json(&seen.meter)?)
            .execute(tx.conn())
            .await?;
    }
    let mut told = Changes::default();
    for alert in seen.alerts {
        let pauses = matches!(alert, CampaignAlert::Paused { .. });
        told.event(tenant, EventBody::CampaignAlert { campaign, alert });
        if pauses && let Some(state) = pause(tx, tenant, campaign).await? {
            told.event(tenant, EventBody::Campaign { campaign, state });
        }
    }
    // Boxed, because writing may look at campaigns; events alone lead to no look.
    Box::pin(tx.write(told)).await
}

/// What is remembered of a campaign, locked: sessions that settle beside each other take turns.
async fn lock_meter(conn: &mut PgConnection, tenant: TenantId, campaign: CampaignId) -> Fallible<Meter> {
    if let Some(meter) = read_meter(conn, tenant, campaign).await? {
        return Ok(meter);
    }
    // Waits for whoever puts the row there at the same time.
    sqlx::query(
        "INSERT INTO campaign_meter (tenant, campaign, meter) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.as_uuid())
    .bind(to_json(&Meter::default())?)
    .execute(&mut *conn)
    .await?;
    let meter = read_meter(conn, tenant, campaign).await?;
    meter.ok_or(Fault::Broken("a campaign lost what is remembered of it"))
}

async fn read_meter(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
) -> Fallible<Option<Meter>> {
    let meter =
        sqlx::query("SELECT meter FROM campaign_meter WHERE tenant = $1 AND campaign = $2 FOR NO KEY UPDATE")
            .bind(tenant.as_uuid())
            .bind(campaign.as_uuid())
            .try_map(|row| json(&row, 0));
    Ok(meter.fetch_optional(conn).await?)
}

/// Pauses a campaign where that is a legal move; its new state, if it was.
async fn pause(tx: &mut Tx, tenant: TenantId, campaign: CampaignId) -> Fallible<Option<CampaignState>> {
    // Locked: a begin beside this may be pausing it for its budget.
    let (state, frozen, start_at) = sqlx::query(
        "SELECT state, frozen, start_at FROM campaign WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.as_uuid())
    .try_map(|row| Ok((named(&row, 0, CampaignState::from_name)?, get::<bool>(&row, 1)?, opt_at(&row, 2)?)))
    .fetch_one(tx.conn())
    .await?;
    let Move::To(state) = act(state, CampaignAction::Pause, frozen, start_at, tx.now) else {
        return Ok(None);
    };
    sqlx::query("UPDATE campaign SET state = $3 WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_uuid())
        .bind(campaign.as_uuid())
        .bind(state.as_str())
        .execute(tx.conn())
        .await?;
    Ok(Some(state))
}
