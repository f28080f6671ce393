//! How campaigns move: by their callers, by time, by completion. And how their counts are folded.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};
use wa_core::model::{
    Campaign, CampaignAction, CampaignId, CampaignState, EventBody, MessageId, MessageState, SkipReason,
    TenantId, micros,
};
use wa_core::port::store::{ActOutcome, Advanced};
use wa_core::rules::campaign::{self as rule, Move};
use wa_core::rules::tally::Standing;

use super::campaign;
use crate::common::changes::Changes;
use crate::sqlite::booked;
use crate::sqlite::codec::{id, named, opt_at, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::message::Stored;
use crate::sqlite::outbox::KEEP_BATCHES;
use crate::sqlite::writer::Tx;

const ALIVE: &str = "SELECT tenant, id, state, start_at FROM campaign \
     WHERE state IN ('scheduled', 'running') \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = campaign.tenant AND t.held_since IS NULL) ORDER BY tenant, id";
const REOPENED: &str = "SELECT DISTINCT o.tenant, o.campaign, c.state, c.start_at FROM campaign_count o \
     JOIN campaign c ON c.tenant = o.tenant AND c.id = o.campaign \
     WHERE o.counter IN ('pending', 'attempting', 'resending') AND o.n > 0 AND c.state = 'completed' \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = c.tenant AND t.held_since IS NULL)";
const OPEN_COUNT: &str = "SELECT coalesce(sum(n), 0) FROM campaign_count \
     WHERE tenant = ?1 AND campaign = ?2 AND counter IN ('pending', 'attempting', 'resending')";
const NEXT_START: &str = "SELECT min(start_at) FROM campaign WHERE state = 'scheduled' \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = campaign.tenant AND t.held_since IS NULL)";
const WAITING_ROWS: &str = "SELECT message FROM due WHERE tenant = ?1 AND campaign = ?2";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[ALIVE, REOPENED, OPEN_COUNT, NEXT_START, WAITING_ROWS];

/// How long a status waits for the attempt that it is about.
const KEEP_WAITING: TimeDelta = TimeDelta::days(30);

/// How many rows of each kind one step takes away at most.
const MOST_PRUNED: i64 = 1_000;

pub(super) fn act(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: CampaignId,
    action: CampaignAction,
) -> Fallible<ActOutcome> {
    let Some(mut campaign) = campaign::by_id(tx.conn, tenant, id)? else { return Ok(ActOutcome::Missing) };
    let frozen: bool = tx
        .conn
        .prepare_cached("SELECT frozen FROM campaign WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], |row| row.get(0))?;
    let state = match rule::act(campaign.state, action, frozen, campaign.start_at, tx.now) {
        Move::Stay => return Ok(ActOutcome::Unchanged(campaign)),
        Move::Illegal => return Ok(ActOutcome::Illegal(campaign)),
        Move::To(state) => state,
    };
    let mut changes = Changes::default();
    campaign.state = state;
    campaign.paused_for = None;
    set_state(tx.conn, tenant, &campaign)?;
    if state == CampaignState::Cancelled {
        cancel_feeds(tx, tenant, id, &mut changes)?;
        cancel_rows(tx, tenant, id, &mut changes)?;
    }
    changes.event(tenant, EventBody::Campaign { campaign: id, state });
    tx.write(changes)?;
    Ok(ActOutcome::Moved(campaign))
}

/// Cancels what lies in feeds as ranges, whatever their length.
fn cancel_feeds(tx: &Tx<'_>, tenant: TenantId, id: CampaignId, changes: &mut Changes) -> Fallible<()> {
    let waiting: u64 = tx
        .conn
        .prepare_cached("SELECT coalesce(sum(remaining), 0) FROM feed WHERE tenant = ?1 AND campaign = ?2")?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], |row| uint(row, 0))?;
    tx.conn
        .prepare_cached(
            "UPDATE feed SET remaining = 0, cancelled_at = ?3 WHERE tenant = ?1 AND campaign = ?2",
        )?
        .execute(params![tenant.as_bytes(), id.as_bytes(), micros(tx.now)])?;
    let pending = Standing::new(MessageState::Pending, None, &[]);
    let skipped = Standing::new(MessageState::Skipped, Some(SkipReason::Cancelled), &[]);
    changes.standings(tenant, id, Some(&pending), &skipped, waiting);
    Ok(())
}

/// Cancels the few messages that wait on their own: retries and deferrals.
fn cancel_rows(tx: &Tx<'_>, tenant: TenantId, campaign: CampaignId, changes: &mut Changes) -> Fallible<()> {
    let messages = tx
        .conn
        .prepare_cached(WAITING_ROWS)?
        .query_map(params![tenant.as_bytes(), campaign.as_bytes()], |row| id::<MessageId>(row, 0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for message in messages {
        let Some(mut stored) = Stored::load(tx.conn, tenant, message)? else { continue };
        let old = stored.standing();
        stored.delete_due(tx.conn)?;
        stored.close(tx.conn, SkipReason::Cancelled, tx.now)?;
        let new = stored.standing();
        // The campaign's own event says it for all its messages, as it does for those in feeds.
        changes.standing(tenant, Some(campaign), Some(&old), &new);
    }
    Ok(())
}

pub(super) fn advance(tx: &Tx<'_>) -> Fallible<Advanced> {
    fold(tx.conn)?;
    booked::fold(tx.conn)?;
    prune(tx)?;
    let mut advanced = Advanced::default();
    let mut changes = Changes::default();
    for candidate in candidates(tx.conn)? {
        let Candidate { tenant, id, state, start_at } = candidate;
        let open: u64 = tx
            .conn
            .prepare_cached(OPEN_COUNT)?
            .query_row(params![tenant.as_bytes(), id.as_bytes()], |row| uint(row, 0))?;
        let Some(next) = rule::advance(state, start_at, open, tx.now) else { continue };
        let Some(mut campaign) = campaign::by_id(tx.conn, tenant, id)? else { continue };
        campaign.state = next;
        campaign.completed_at = (next == CampaignState::Completed).then_some(tx.now);
        set_state(tx.conn, tenant, &campaign)?;
        changes.event(tenant, EventBody::Campaign { campaign: id, state: next });
        advanced.moved.push((tenant, id, next));
    }
    tx.write(changes)?;
    advanced.next_at = tx.conn.prepare_cached(NEXT_START)?.query_row([], |row| opt_at(row, 0))?;
    Ok(advanced)
}

struct Candidate {
    tenant: TenantId,
    id: CampaignId,
    state: CampaignState,
    start_at: Option<DateTime<Utc>>,
}

/// The campaigns that may have to move.
fn candidates(conn: &Connection) -> Fallible<Vec<Candidate>> {
    let mut found = Vec::new();
    for sql in [ALIVE, REOPENED] {
        let mut statement = conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Candidate {
                tenant: id(row, 0)?,
                id: id(row, 1)?,
                state: named(row, 2, CampaignState::from_name)?,
                start_at: opt_at(row, 3)?,
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_by_key(|candidate| (candidate.tenant, candidate.id));
    Ok(found)
}

fn set_state(conn: &Connection, tenant: TenantId, campaign: &Campaign) -> Fallible<()> {
    conn.prepare_cached(
        "UPDATE campaign SET state = ?3, completed_at = ?4, paused_for = NULL WHERE tenant = ?1 AND id = ?2",
    )?
    .execute(params![
        tenant.as_bytes(),
        campaign.id.as_bytes(),
        campaign.state.as_str(),
        campaign.completed_at.map(micros)
    ])?;
    Ok(())
}

/// Adds the deltas up into their campaigns' base; the sum stays what it was.
fn fold(conn: &Connection) -> Fallible<()> {
    let upto: Option<i64> =
        conn.prepare_cached("SELECT max(seq) FROM delta")?.query_row([], |row| row.get(0))?;
    let Some(upto) = upto else { return Ok(()) };
    conn.prepare_cached(
        "INSERT INTO campaign_count (tenant, campaign, counter, n) \
         SELECT tenant, campaign, counter, sum(n) FROM delta WHERE seq <= ?1 \
         GROUP BY tenant, campaign, counter \
         ON CONFLICT (tenant, campaign, counter) DO UPDATE SET n = n + excluded.n",
    )?
    .execute([upto])?;
    conn.prepare_cached("DELETE FROM delta WHERE seq <= ?1")?.execute([upto])?;
    Ok(())
}

/// Takes away what nobody can need any more, a little at a time.
fn prune(tx: &Tx<'_>) -> Fallible<()> {
    let before = |age: TimeDelta| micros(tx.now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC));
    tx.conn
        .prepare_cached(
            "DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE at < ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![before(KEEP_BATCHES), MOST_PRUNED])?;
    tx.conn
        .prepare_cached("DELETE FROM waiting_status WHERE received_at < ?1")?
        .execute([before(KEEP_WAITING)])?;
    Ok(())
}
