//! How campaigns move: by their callers, by time, by completion. And how their counts are folded.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use wa_core::model::{
    Campaign, CampaignAction, CampaignId, CampaignState, EventBody, HoldReason, MessageId, MessageState,
    SkipReason, TenantId,
};
use wa_core::port::store::{ActOutcome, Advanced};
use wa_core::rules::campaign::{self as rule, Move};
use wa_core::rules::tally::Standing;

use super::{campaign, launch};
use crate::common::begin::KEEP_BATCHES;
use crate::common::changes::Changes;
use crate::common::message::Due;
use crate::postgres::booked;
use crate::postgres::codec::{ago, at, id, named, opt_at, opt_named, uint};
use crate::postgres::error::Fallible;
use crate::postgres::message::load_all;
use crate::postgres::tx::{Locks, Tx};

/// What lives, and what was completed and has something open again, with the number of messages that are
/// not done: base and changes, from one snapshot.
const CANDIDATES: &str = "SELECT c.tenant, c.id, c.state, c.start_at, \
     (coalesce((SELECT sum(o.n) FROM campaign_count o WHERE o.tenant = c.tenant AND o.campaign = c.id \
     AND o.counter IN ('pending', 'attempting', 'resending')), 0) \
     + coalesce((SELECT sum(d.n) FROM delta d WHERE d.tenant = c.tenant AND d.campaign = c.id \
     AND d.counter IN ('pending', 'attempting', 'resending')), 0))::bigint \
     FROM (SELECT tenant, id FROM campaign WHERE state IN ('scheduled', 'running') \
     UNION SELECT o.tenant, o.campaign FROM campaign_count o \
     JOIN campaign c ON c.tenant = o.tenant AND c.id = o.campaign \
     WHERE o.counter IN ('pending', 'attempting', 'resending') AND o.n > 0 AND c.state = 'completed') k \
     JOIN campaign c ON c.tenant = k.tenant AND c.id = k.id \
     JOIN tenant t ON t.id = c.tenant AND t.held_since IS NULL ORDER BY c.tenant, c.id";

/// How long a status waits for the attempt that it is about.
const KEEP_WAITING: TimeDelta = TimeDelta::days(30);

/// How many rows of each kind one step takes away at most.
const MOST_PRUNED: i64 = 1_000;

/// How many messages are cancelled with one statement.
const CANCELLED_AT_ONCE: usize = 1_000;

pub(super) async fn act(
    tx: &mut Tx,
    tenant: TenantId,
    id: CampaignId,
    action: CampaignAction,
) -> Fallible<ActOutcome> {
    let Some(mut campaign) = campaign::by_id(tx.conn(), tenant, id).await? else {
        return Ok(ActOutcome::Missing);
    };
    let frozen: bool = sqlx::query_scalar("SELECT frozen FROM campaign WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .fetch_one(tx.conn())
        .await?;
    let state = match rule::act(campaign.state, action, frozen, campaign.start_at, tx.now) {
        Move::Stay => return Ok(ActOutcome::Unchanged(campaign)),
        Move::Illegal => return Ok(ActOutcome::Illegal(campaign)),
        Move::To(state) => state,
    };
    let mut changes = Changes::default();
    campaign.state = state;
    campaign.paused_for = None;
    set_state(tx.conn(), tenant, &campaign).await?;
    if state == CampaignState::Cancelled {
        cancel_feeds(tx, tenant, id, &mut changes).await?;
        cancel_rows(tx, tenant, id, &mut changes).await?;
    }
    changes.event(tenant, EventBody::Campaign { campaign: id, state });
    tx.write(changes).await?;
    Ok(ActOutcome::Moved(campaign))
}

/// Cancels what lies in feeds as ranges, whatever their length.
async fn cancel_feeds(tx: &mut Tx, tenant: TenantId, id: CampaignId, changes: &mut Changes) -> Fallible<()> {
    let now = tx.now;
    let waiting: u64 = sqlx::query(
        "SELECT coalesce(sum(remaining), 0)::bigint FROM feed WHERE tenant = $1 AND campaign = $2",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .try_map(|row| uint(&row, 0))
    .fetch_one(tx.conn())
    .await?;
    sqlx::query("UPDATE feed SET remaining = 0, cancelled_at = $3 WHERE tenant = $1 AND campaign = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    let pending = Standing::new(MessageState::Pending, None, &[]);
    let skipped = Standing::new(MessageState::Skipped, Some(SkipReason::Cancelled), &[]);
    changes.standings(tenant, id, Some(&pending), &skipped, waiting);
    Ok(())
}

/// Cancels the messages that wait on their own: retries and deferrals.
async fn cancel_rows(
    tx: &mut Tx,
    tenant: TenantId,
    campaign: CampaignId,
    changes: &mut Changes,
) -> Fallible<()> {
    let now = tx.now;
    let mut left: Vec<(MessageId, Due)> =
        sqlx::query("DELETE FROM due WHERE tenant = $1 AND campaign = $2 RETURNING message, n, why, due_at")
            .bind(tenant.as_uuid())
            .bind(campaign.as_uuid())
            .try_map(|row| {
                let why = opt_named(&row, 2, HoldReason::from_name)?;
                Ok((id(&row, 0)?, Due { n: uint(&row, 1)?, why, at: at(&row, 3)? }))
            })
            .fetch_all(tx.conn())
            .await?;
    left.sort_unstable_by_key(|(message, _)| *message);
    for left in left.chunks(CANCELLED_AT_ONCE) {
        let messages: Vec<_> = left.iter().map(|(message, _)| (tenant, *message)).collect();
        let mut known = load_all(tx.conn(), &messages).await?;
        let mut cancelled = Vec::with_capacity(left.len());
        for (message, due) in left {
            let Some(mut stored) = known.remove(&(tenant, *message)) else { continue };
            stored.due = Some(*due);
            let old = stored.standing();
            stored.due = None;
            stored.closed.get_or_insert(SkipReason::Cancelled);
            // The campaign's own event says it for all its messages, as it does for those in feeds.
            changes.standing(tenant, Some(campaign), Some(&old), &stored.standing());
            cancelled.push(*message);
        }
        launch::close_all(tx.conn(), tenant, &cancelled, SkipReason::Cancelled, now).await?;
    }
    Ok(())
}

/// Folds the counts and takes away what nobody needs any more. Any number of workers may do it at once; it
/// is a transaction of its own, so that nobody who waits for a tenant holds these rows.
pub(super) async fn tidy(tx: &mut Tx) -> Fallible<()> {
    fold(tx.conn()).await?;
    booked::fold(tx.conn()).await?;
    prune(tx).await
}

/// Moves what time or completion moves. Opened without locks: which tenants' campaigns move, it finds out.
pub(super) async fn advance(tx: &mut Tx) -> Fallible<Advanced> {
    let mut advanced = Advanced::default();
    tx.tick().await?;
    let now = tx.now;
    let mut tenants = BTreeSet::new();
    let mut locks = Locks::none();
    for Candidate { tenant, id: _, state, start_at, open } in candidates(tx.conn()).await? {
        if rule::advance(state, start_at, open, now).is_some() && tenants.insert(tenant) {
            locks = locks.and_tenant(&tx.shared, tenant);
        }
    }
    if !tenants.is_empty() {
        tx.lock(locks).await?;
        let mut changes = Changes::default();
        // Once more: they may have moved meanwhile.
        for candidate in candidates(tx.conn()).await? {
            let Candidate { tenant, id, state, start_at, open } = candidate;
            let next = rule::advance(state, start_at, open, tx.now);
            let Some(next) = next.filter(|_| tenants.contains(&tenant)) else { continue };
            let Some(mut campaign) = campaign::by_id(tx.conn(), tenant, id).await? else { continue };
            campaign.state = next;
            campaign.completed_at = (next == CampaignState::Completed).then_some(tx.now);
            set_state(tx.conn(), tenant, &campaign).await?;
            changes.event(tenant, EventBody::Campaign { campaign: id, state: next });
            advanced.moved.push((tenant, id, next));
        }
        tx.write(changes).await?;
    }
    advanced.next_at = sqlx::query(
        "SELECT min(start_at) FROM campaign WHERE state = 'scheduled' \
         AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = campaign.tenant AND t.held_since IS NULL)",
    )
    .try_map(|row| opt_at(&row, 0))
    .fetch_one(tx.conn())
    .await?;
    Ok(advanced)
}

struct Candidate {
    tenant: TenantId,
    id: CampaignId,
    state: CampaignState,
    start_at: Option<DateTime<Utc>>,
    /// How many messages are not done.
    open: u64,
}

/// The campaigns that may have to move, in order of their keys.
async fn candidates(conn: &mut PgConnection) -> Fallible<Vec<Candidate>> {
    let found = sqlx::query(CANDIDATES).try_map(|row| {
        Ok(Candidate {
            tenant: id(&row, 0)?,
            id: id(&row, 1)?,
            state: named(&row, 2, CampaignState::from_name)?,
            start_at: opt_at(&row, 3)?,
            open: uint(&row, 4)?,
        })
    });
    Ok(found.fetch_all(conn).await?)
}

async fn set_state(conn: &mut PgConnection, tenant: TenantId, campaign: &Campaign) -> Fallible<()> {
    sqlx::query(
        "UPDATE campaign SET state = $3, completed_at = $4, paused_for = NULL WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.id.as_uuid())
    .bind(campaign.state.as_str())
    .bind(campaign.completed_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds the deltas up into their campaigns' base; the sum stays what it was.
async fn fold(conn: &mut PgConnection) -> Fallible<()> {
    sqlx::query(
        "WITH gone AS (DELETE FROM delta RETURNING tenant, campaign, counter, n) \
         INSERT INTO campaign_count AS c (tenant, campaign, counter, n) \
         SELECT tenant, campaign, counter, sum(n)::bigint FROM gone \
         GROUP BY tenant, campaign, counter ORDER BY tenant, campaign, counter \
         ON CONFLICT (tenant, campaign, counter) DO UPDATE SET n = c.n + excluded.n",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes away what nobody can need any more, a little at a time.
async fn prune(tx: &mut Tx) -> Fallible<()> {
    let now = tx.now;
    sqlx::query("DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE at < $1 ORDER BY at LIMIT $2)")
        .bind(ago(now, KEEP_BATCHES))
        .bind(MOST_PRUNED)
        .execute(tx.conn())
        .await?;
    sqlx::query("DELETE FROM waiting_status WHERE received_at < $1")
        .bind(ago(now, KEEP_WAITING))
        .execute(tx.conn())
        .await?;
    Ok(())
}
