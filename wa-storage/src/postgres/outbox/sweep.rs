//! Open attempts whose time is over: they become in doubt, never pending.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{AttemptKey, Outcome, SessionId, TenantId};
use wa_core::port::WorkerScope;
use wa_core::port::store::{MAX_PAGE, StoreError, Swept};
use wa_core::rules::status::merge_outcome;

use super::merge::Merger;
use crate::postgres::PostgresStore;
use crate::postgres::codec::{ago, id, int, later, opt_at, ts, uint, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::tx::{Access, Locks, Tx};

const OPEN_UNTIL: &str = "SELECT tenant, message, n FROM open_attempt \
     WHERE session = $1 AND end_by <= $2 AND ($4::bigint IS NULL OR epoch = $4) \
     ORDER BY end_by, tenant, message, n LIMIT $3";
/// The sessions that a worker holds, in order, with the end of their first open attempt.
const HELD: &str = "SELECT u.session, l.tenant, o.end_by \
     FROM unnest($1::uuid[], $2::bigint[]) AS u (session, epoch) \
     CROSS JOIN LATERAL (SELECT x.tenant FROM session_lease x \
         WHERE x.session = u.session AND x.epoch = u.epoch AND x.worker = $3 AND x.until > $4 LIMIT 1) l \
     LEFT JOIN LATERAL (SELECT x.end_by FROM open_attempt x \
         WHERE x.session = u.session ORDER BY x.end_by LIMIT 1) o ON true \
     ORDER BY u.session";

pub(super) async fn sweep(
    store: &PostgresStore,
    scope: &WorkerScope,
    grace: Duration,
) -> Result<Swept, StoreError> {
    let mut tx = store.open(Access::Engine).await?;
    let swept = locked(&mut tx, scope, grace).await;
    tx.end(swept).await
}

/// Locks only those sessions that have something to give up: most sweeps find nothing, and should keep nobody
/// waiting.
async fn locked(tx: &mut Tx, scope: &WorkerScope, grace: Duration) -> Fallible<Swept> {
    tx.tick().await?;
    let mut held = held_by(tx, scope).await?;
    let is_over = |held: &Held, now| held.first_end.is_some_and(|end_by| end_by <= ended(now, grace));
    let mut swept = Swept::default();
    if held.iter().any(|held| is_over(held, tx.now)) {
        let shared = Arc::clone(&tx.shared);
        let over = held.iter().filter(|held| is_over(held, tx.now));
        let locks = over
            .clone()
            .fold(Locks::none(), |locks, held| locks.and_session(&shared, held.tenant, held.session));
        let over: BTreeSet<SessionId> = over.map(|held| held.session).collect();
        tx.lock(locks).await?;
        let (mut merger, until) = (Merger::new(), ended(tx.now, grace));
        for held in held_by(tx, scope).await?.into_iter().filter(|held| over.contains(&held.session)) {
            swept.in_doubt.extend(give_up(tx, &mut merger, held.session, None, until).await?);
        }
        merger.finish(tx).await?;
        held = held_by(tx, scope).await?;
    }
    swept.next_at = held.iter().filter_map(|held| held.first_end).min().map(|end_by| later(end_by, grace));
    Ok(swept)
}

fn ended(now: DateTime<Utc>, grace: Duration) -> DateTime<Utc> {
    ago(now, TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX))
}

/// A session that a worker holds.
struct Held {
    session: SessionId,
    tenant: TenantId,
    first_end: Option<DateTime<Utc>>,
}

/// The sessions that a worker holds now.
async fn held_by(tx: &mut Tx, scope: &WorkerScope) -> Fallible<Vec<Held>> {
    let (sessions, epochs): (Vec<SessionId>, Vec<i64>) =
        scope.sessions().map(|(session, epoch)| (session, int(epoch))).unzip();
    let held = sqlx::query(HELD)
        .bind(uuids(sessions))
        .bind(epochs)
        .bind(scope.worker().as_uuid())
        .bind(tx.now)
        .try_map(|row: PgRow| {
            Ok(Held { session: id(&row, 0)?, tenant: id(&row, 1)?, first_end: opt_at(&row, 2)? })
        })
        .fetch_all(tx.conn())
        .await?;
    Ok(held)
}

/// Marks the open attempts of a session, or of one epoch of it, in doubt that ended by an instant, a
/// page of them at most.
pub(in crate::postgres) async fn give_up(
    tx: &mut Tx,
    merger: &mut Merger,
    session: SessionId,
    epoch: Option<i64>,
    ended: DateTime<Utc>,
) -> Fallible<Vec<AttemptKey>> {
    let now = tx.now;
    let open = open_until(tx.conn(), session, epoch, ended).await?;
    merger.prepare(tx, &open).await?;
    for attempt in &open {
        let add = |facts: &mut _| merge_outcome(facts, &Outcome::Ambiguous, now);
        if !merger.merge(tx, *attempt, None, None, add).await? {
            return Err(Fault::Broken("an open attempt is not there"));
        }
    }
    Ok(open)
}

async fn open_until(
    conn: &mut PgConnection,
    session: SessionId,
    epoch: Option<i64>,
    ended: DateTime<Utc>,
) -> Fallible<Vec<AttemptKey>> {
    let open = sqlx::query(OPEN_UNTIL)
        .bind(session.as_uuid())
        .bind(ts(ended))
        .bind(i64::from(MAX_PAGE))
        .bind(epoch)
        .try_map(|row: PgRow| {
            Ok(AttemptKey { tenant: id(&row, 0)?, message: id(&row, 1)?, n: uint(&row, 2)? })
        })
        .fetch_all(conn)
        .await?;
    Ok(open)
}
