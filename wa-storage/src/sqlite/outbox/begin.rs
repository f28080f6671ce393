//! The point of no return: a batch is judged and its attempts are written, in one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    CampaignState, Chosen, HoldReason, IncarnationId, MessageId, RateCategory, TenantId, micros,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{BeginBatch, Begun, BegunBatch, DueSource};
use wa_core::rules::judge::Judge;

use super::{court, feed, holds, lane_rank, reserve};
use crate::common::begin::{Beginning, Plan, Touched};
use crate::common::message::Attempt;
use crate::sqlite::codec::{at, id, int, opt_id, opt_named, uint};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{Due, PUT_DUE, Stored, delete_due, put_closed};
use crate::sqlite::writer::Tx;

const DUE_OF: &str =
    "SELECT n, why, campaign, due_at FROM due WHERE tenant = ?1 AND message = ?2 AND session = ?3";
const INSERT_ATTEMPT: &str = "INSERT INTO attempt (tenant, message, n, session, epoch, incarnation, batch, \
     begun_at, end_by, recipient, tier_slot, category, price, reserve, currency, price_reason, \
     counts_as_service, month, book, fallback, warm_up_day, in_window) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";
const INSERT_OPEN: &str = "INSERT INTO open_attempt (session, end_by, tenant, message, n, epoch) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const PAUSE: &str = "UPDATE campaign SET state = ?3, paused_for = ?4 WHERE tenant = ?1 AND id = ?2";
const MOVE_FEED: &str = "UPDATE feed SET after_id = ?4, remaining = remaining - ?5 \
     WHERE tenant = ?1 AND campaign = ?2 AND place = ?3 AND after_id < ?4";

const PUT_TOUCH: &str = "INSERT INTO touch (tenant, recipient, at, message, n, category, lane) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[
    feed::FEEDS_OF,
    feed::FEED_NEXT,
    feed::IS_CLOSED,
    DUE_OF,
    MOVE_FEED,
    reserve::ENDED_SLOTS,
    reserve::LATEST_USE,
    reserve::NEXT_FREE,
    reserve::PURGE_SLOTS,
    reserve::SELECT_SLOT,
];

/// The statements of the judging.
#[cfg(test)]
pub(in crate::sqlite) const JUDGING: &[&str] = court::HOT;

pub(super) fn begin(
    tx: &Tx<'_>,
    scope: &WorkerScope,
    batch: &BeginBatch,
    judge: &dyn Judge,
) -> Fallible<Begun> {
    let used = tx
        .conn
        .prepare_cached("SELECT 1 FROM batch WHERE id = ?1")?
        .query_row(params![batch.id.as_bytes()], |_| Ok(()))
        .optional()?;
    if used.is_some() {
        return Ok(Begun::UsedBatch);
    }
    let (Some(epoch), true) = (scope.epoch(batch.session), holds(tx.conn, scope, batch.session, tx.now)?)
    else {
        return Ok(Begun::LeaseLost);
    };
    tx.conn.prepare_cached("INSERT INTO batch (id, session, at) VALUES (?1, ?2, ?3)")?.execute(params![
        batch.id.as_bytes(),
        batch.session.as_bytes(),
        micros(tx.now)
    ])?;
    reserve::purge_slots(tx.conn, batch.session, tx.now)?;
    let (court, bench) = court::open(tx.conn, tx.now, batch.session, &batch.items)?
        .ok_or(Fault::Broken("a session with a lease is not there"))?;
    let tenant = court.shared.tenant;
    let rows = due_rows(tx, tenant, batch)?;
    let feeds = feed::read(tx.conn, tenant, batch.session, &batch.items)?;
    let closed = feed::closed(tx.conn, tenant, &batch.items, &feeds)?;
    let mut beginning = Beginning::new(batch, court);
    let waiting = beginning.still_waiting(|message| rows.get(&message).copied(), &feeds, &closed);
    let admitted = beginning.admit(judge, &waiting);
    for waiting in waiting.iter().filter(|waiting| admitted.contains(&waiting.item.campaign)) {
        if beginning.stays(waiting) {
            continue;
        }
        let chain = match waiting.item.n {
            ..=1 => None,
            _ => Stored::load(tx.conn, tenant, waiting.item.message)?,
        };
        beginning.judge(judge, waiting, &bench.facts(waiting.item)?, chain);
    }
    write(tx, batch, epoch, beginning.finish()).map(Begun::Done)
}

type DueRow = (Due, Option<wa_core::model::CampaignId>);

/// The due rows of a batch's messages.
fn due_rows(tx: &Tx<'_>, tenant: TenantId, batch: &BeginBatch) -> Fallible<HashMap<MessageId, DueRow>> {
    let mut rows = HashMap::new();
    for item in batch.items.iter().filter(|item| item.source == DueSource::Row) {
        let key = params![tenant.as_bytes(), item.message.as_bytes(), batch.session.as_bytes()];
        let row = tx.conn.prepare_cached(DUE_OF)?.query_row(key, |row| {
            let why = opt_named(row, 1, HoldReason::from_name)?;
            Ok((Due { n: uint(row, 0)?, why, at: at(row, 3)? }, opt_id(row, 2)?))
        });
        rows.extend(row.optional()?.map(|row| (item.message, row)));
    }
    Ok(rows)
}

/// Moves the feeds and writes what the batch took and changed.
fn write(tx: &Tx<'_>, batch: &BeginBatch, epoch: u64, plan: Plan) -> Fallible<BegunBatch> {
    let Plan { court, attempts, in_window, deferred, skipped, left, feeds, paused, touched, changes, begun } =
        plan;
    let tenant = court.shared.tenant;
    let stays: HashSet<MessageId> = deferred.iter().map(|it| it.message).collect();
    for message in left.into_iter().filter(|message| !stays.contains(message)) {
        delete_due(tx.conn, tenant, message)?;
    }
    write_attempts(tx, tenant, batch, epoch, &attempts, &in_window, court.shared.book)?;
    for it in deferred {
        tx.conn.prepare_cached(PUT_DUE)?.execute(params![
            tenant.as_bytes(),
            it.message.as_bytes(),
            batch.session.as_bytes(),
            lane_rank(it.lane),
            micros(it.until),
            it.n,
            it.campaign.as_ref().map(|id| id.as_bytes()),
            it.why.as_str()
        ])?;
    }
    for (message, reason) in skipped {
        put_closed(tx.conn, tenant, message, reason, tx.now)?;
    }
    for (campaign, why) in paused {
        let state = CampaignState::Paused.as_str();
        let key = params![tenant.as_bytes(), campaign.as_bytes(), state, why.as_str()];
        tx.conn.prepare_cached(PAUSE)?.execute(key)?;
    }
    for ((campaign, place), moved) in &feeds {
        let (to, count) = (moved.to.as_bytes(), int(moved.count));
        let key = params![tenant.as_bytes(), campaign.as_bytes(), place, to, count];
        if tx.conn.prepare_cached(MOVE_FEED)?.execute(key)? != 1 {
            return Err(Fault::Broken("a feed moved under its own batch"));
        }
    }
    for Touched { recipient, message, n, category, lane } in touched {
        tx.conn.prepare_cached(PUT_TOUCH)?.execute(params![
            tenant.as_bytes(),
            recipient,
            micros(tx.now),
            message.as_bytes(),
            n,
            category.as_str(),
            lane_rank(lane)
        ])?;
    }
    let count = u64::try_from(attempts.len()).unwrap_or(u64::MAX);
    reserve::take_quota(tx.conn, tenant, tx.now, count)?;
    let session = &court.shared.session;
    let portfolio = reserve::portfolio_key(session.transport.as_str(), &session.portfolio);
    reserve::take_slots(tx.conn, &portfolio, &court.tier.taken, tx.now)?;
    if let Some(warm_up) = court.warm_up.filter(|_| count > 0) {
        tx.conn
            .prepare_cached(
                "INSERT INTO warm_up_usage (session, day, used) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (session, day) DO UPDATE SET used = used + excluded.used",
            )?
            .execute(params![batch.session.as_bytes(), warm_up.day.number, int(count)])?;
    }
    tx.write(changes)?;
    Ok(begun)
}

fn write_attempts(
    tx: &Tx<'_>,
    tenant: TenantId,
    batch: &BeginBatch,
    epoch: u64,
    attempts: &[(MessageId, Attempt)],
    in_window: &BTreeSet<MessageId>,
    book: Option<i64>,
) -> Fallible<()> {
    let incarnation: Option<IncarnationId> = tx
        .conn
        .prepare_cached("SELECT incarnation FROM identity WHERE one = 1")?
        .query_row([], |row| id(row, 0))
        .optional()?;
    for (message, attempt) in attempts {
        let estimate = attempt.quote.estimate;
        tx.conn.prepare_cached(INSERT_ATTEMPT)?.execute(params![
            tenant.as_bytes(),
            message.as_bytes(),
            attempt.n,
            batch.session.as_bytes(),
            int(epoch),
            incarnation.as_ref().map(|id| id.as_bytes()),
            batch.id.as_bytes(),
            micros(attempt.begun_at),
            micros(attempt.end_by),
            attempt.recipient,
            attempt.tier_slot,
            RateCategory::from(attempt.quote.category).as_str(),
            estimate.amount.map(|price| price.micros),
            estimate.reserve.map(|reserve| reserve.micros),
            estimate.amount.or(estimate.reserve).as_ref().map(|price| price.currency.as_str()),
            estimate.reason.as_str(),
            estimate.counts_as_service,
            attempt.month.to_string(),
            book,
            attempt.content == Chosen::Fallback,
            attempt.warm_up_day,
            in_window.contains(message)
        ])?;
        tx.conn.prepare_cached(INSERT_OPEN)?.execute(params![
            batch.session.as_bytes(),
            micros(attempt.end_by),
            tenant.as_bytes(),
            message.as_bytes(),
            attempt.n,
            int(epoch)
        ])?;
    }
    Ok(())
}
