//! Messages that are put back by hand.

use rusqlite::{Connection, params};
use wa_core::model::{CampaignId, CampaignState, Lane, MessageId, SkipReason, TenantId, micros};
use wa_core::port::store::{Redrive, RedriveOf, Redriven, RetryMessage};
use wa_core::rules::redrive::may_return;

use super::failures;
use crate::common::changes::Changes;
use crate::sqlite::codec::{id, named};
use crate::sqlite::error::Fallible;
use crate::sqlite::message::{PUT_DUE, Stored};
use crate::sqlite::page_size;
use crate::sqlite::reports::{failed_ids, ids_of_campaign};
use crate::sqlite::writer::Tx;

const SKIPPED: &str = "SELECT message FROM closed \
     WHERE tenant = ?1 AND message > ?2 AND reason = ?3 ORDER BY message LIMIT ?4";
const SKIPPED_OF_CAMPAIGN: &str = "SELECT c.message FROM closed c \
     JOIN message m ON m.tenant = c.tenant AND m.id = c.message \
     WHERE c.tenant = ?1 AND c.message > ?2 AND c.reason = ?3 AND c.message <= ?5 AND m.campaign = ?6 \
     ORDER BY c.message LIMIT ?4";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[SKIPPED, SKIPPED_OF_CAMPAIGN];

pub(super) fn retry(tx: &Tx<'_>, tenant: TenantId, message: MessageId) -> Fallible<RetryMessage> {
    let mut changes = Changes::default();
    let outcome = put_back(tx, tenant, message, &mut changes)?;
    tx.write(changes)?;
    Ok(outcome)
}

pub(super) fn redrive(tx: &Tx<'_>, tenant: TenantId, ask: &Redrive) -> Fallible<Redriven> {
    let Redrive { of, after, limit } = ask;
    let fitting = match of {
        RedriveOf::Failed(filter) => failed_ids(tx.conn, tenant, filter, *after, *limit)?,
        RedriveOf::Skipped { reason, campaign } if may_return(*reason) => {
            skipped(tx.conn, tenant, *reason, *campaign, *after, *limit)?
        }
        RedriveOf::Skipped { reason: _, campaign: _ } => Vec::new(),
    };
    let full = i64::try_from(fitting.len()).is_ok_and(|len| len >= page_size(*limit));
    let mut redriven = Redriven { next: fitting.last().copied().filter(|_| full), ..Redriven::default() };
    let mut changes = Changes::default();
    for message in fitting {
        match put_back(tx, tenant, message, &mut changes)? {
            RetryMessage::Requeued(_) => redriven.requeued += 1,
            RetryMessage::Not(_) | RetryMessage::Missing => redriven.refused += 1,
        }
    }
    tx.write(changes)?;
    Ok(redriven)
}

/// The messages that were skipped for a reason, in order.
fn skipped(
    conn: &Connection,
    tenant: TenantId,
    reason: SkipReason,
    campaign: Option<CampaignId>,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageId>> {
    let (tenant_id, reason, limit) = (tenant, reason.as_str(), page_size(limit));
    let behind = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
    let Some(campaign) = campaign else {
        let mut statement = conn.prepare_cached(SKIPPED)?;
        let found =
            statement.query_map(params![tenant_id.as_bytes(), behind, reason, limit], |row| id(row, 0))?;
        return Ok(found.collect::<rusqlite::Result<_>>()?);
    };
    let Some((first, last)) = ids_of_campaign(conn, tenant, campaign)? else { return Ok(Vec::new()) };
    let behind = after.map_or(first, |after| after.max(first));
    let mut statement = conn.prepare_cached(SKIPPED_OF_CAMPAIGN)?;
    let found = statement.query_map(
        params![tenant_id.as_bytes(), behind.as_bytes(), reason, limit, last.as_bytes(), campaign.as_bytes()],
        |row| id(row, 0),
    )?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Puts one message back, if the rule says so.
fn put_back(
    tx: &Tx<'_>,
    tenant: TenantId,
    message: MessageId,
    changes: &mut Changes,
) -> Fallible<RetryMessage> {
    let Some(mut stored) = Stored::load(tx.conn, tenant, message)? else { return Ok(RetryMessage::Missing) };
    let session = stored.session(tx.conn)?;
    let campaign = match stored.campaign {
        Some(campaign) => Some(
            tx.conn
                .prepare_cached("SELECT state, lane FROM campaign WHERE tenant = ?1 AND id = ?2")?
                .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| {
                    Ok((named(row, 0, CampaignState::from_name)?, named(row, 1, Lane::from_name)?))
                })?,
        ),
        None => None,
    };
    stored.learn_from_feed(tx.conn)?;
    let was_closed = stored.closed.is_some();
    let due = match stored.redrive(campaign.map(|(state, _)| state), tx.now, changes) {
        Ok(due) => due,
        Err(state) => return Ok(RetryMessage::Not(state)),
    };
    let lane = match campaign {
        Some((_, lane)) => lane,
        None => tx
            .conn
            .prepare_cached("SELECT lane FROM single WHERE tenant = ?1 AND message = ?2")?
            .query_row(params![tenant.as_bytes(), message.as_bytes()], |row| {
                named(row, 0, Lane::from_name)
            })?,
    };
    if was_closed {
        tx.conn
            .prepare_cached("DELETE FROM closed WHERE tenant = ?1 AND message = ?2")?
            .execute(params![tenant.as_bytes(), message.as_bytes()])?;
    }
    failures::forget(tx.conn, tenant, message)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO redriven (tenant, message, attempts) VALUES (?1, ?2, ?3) \
             ON CONFLICT (tenant, message) DO UPDATE SET attempts = excluded.attempts",
        )?
        .execute(params![tenant.as_bytes(), message.as_bytes(), due.n - 1])?;
    tx.conn.prepare_cached(PUT_DUE)?.execute(params![
        tenant.as_bytes(),
        message.as_bytes(),
        session.as_bytes(),
        super::lane_rank(lane),
        micros(due.at),
        due.n,
        stored.campaign.as_ref().map(|id| id.as_bytes()),
        None::<&str>
    ])?;
    Ok(RetryMessage::Requeued(due.at))
}
