//! Who owns a session: leases and epochs.
//!
//! Invariant: an epoch only grows, and grows under the lock of the lease's row. What a former owner left
//! open is counted behind that lock: a begin that shared it has committed by then, and every later one
//! finds the new epoch. A dead owner is known by nothing but the end of its lease.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{Session, SessionId, TenantId};
use wa_core::port::WorkerScope;
use wa_core::port::store::{AcquireSessions, DispatchState, Lease, RecentAttempt};

use super::{SESSION_COLUMNS, session_at};
use crate::postgres::codec::{at, get, id, int, later, opt_at, opt_json, to_json, ts, uint, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::outbox::holds;
use crate::postgres::tx::Tx;

/// The most attempts from which meters are rebuilt.
const MOST_RECENT: i64 = 100_000;

/// What makes a lease `l` of a session `s` free at `$1`.
pub(super) const FREE: &str = "(l.worker IS NULL OR l.until <= $1) AND (s.state <> 'deleted' \
     OR EXISTS (SELECT 1 FROM open_attempt o WHERE o.session = l.session))";

pub(super) async fn acquire(tx: &mut Tx, ask: &AcquireSessions) -> Fallible<Vec<Lease>> {
    let AcquireSessions { worker, lease, most } = ask;
    let (now, until) = (tx.now, later(tx.now, *lease));
    let locked = lock_free(tx, *most).await?;
    if locked.is_empty() {
        return Ok(Vec::new());
    }
    let free = free_sessions(tx.conn(), &locked).await?;
    let (mut epochs, mut deaths) = (Vec::new(), Vec::new());
    let mut leases = Vec::with_capacity(free.len());
    for free in free {
        let next = free.epoch.checked_add(1).ok_or(Fault::Broken("a session has had too many owners"))?;
        let unsettled_deaths = free.deaths();
        epochs.push(next);
        deaths.push(i64::from(unsettled_deaths));
        leases.push(Lease {
            tenant: free.tenant,
            session: free.session,
            epoch: u64::try_from(next).unwrap_or(0),
            until,
            quiet_until: free.latest.filter(|latest| *latest > now),
            state: free.state,
            unsettled_deaths,
        });
    }
    sqlx::query(
        "UPDATE session_lease l SET worker = $4, epoch = u.epoch, until = $5, dispatch_state = NULL, \
         unsettled_deaths = u.deaths \
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS u (session, epoch, deaths) \
         WHERE l.session = u.session",
    )
    .bind(uuids(leases.iter().map(|lease| lease.session.id)))
    .bind(epochs)
    .bind(deaths)
    .bind(worker.as_uuid())
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(leases)
}

/// Locks the leases of free sessions, the oldest first; those that somebody else works on are passed over.
async fn lock_free(tx: &mut Tx, most: u32) -> Fallible<Vec<Uuid>> {
    let now = tx.now;
    let locked = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT l.session FROM session_lease l JOIN session s ON s.id = l.session WHERE {FREE} \
         ORDER BY l.created_at, l.session LIMIT $2 FOR UPDATE OF l SKIP LOCKED"
    )))
    .bind(now)
    .bind(i64::from(most))
    .fetch_all(tx.conn())
    .await?;
    Ok(locked)
}

struct Free {
    tenant: TenantId,
    session: Session,
    was_owned: bool,
    epoch: i64,
    state: Option<DispatchState>,
    unsettled_deaths: u32,
    /// Whether its last owner left attempts open.
    left_open: bool,
    /// When the last open attempt of any owner ends.
    latest: Option<DateTime<Utc>>,
}

impl Free {
    /// How often in a row an owner died with open attempts, the last one included.
    const fn deaths(&self) -> u32 {
        if self.was_owned && self.left_open { self.unsettled_deaths.saturating_add(1) } else { 0 }
    }
}

/// What is known of locked leases, in their order. A statement of its own, so that it sees what was begun
/// until they were locked.
async fn free_sessions(conn: &mut PgConnection, locked: &[Uuid]) -> Fallible<Vec<Free>> {
    let found: Vec<(SessionId, Free)> = sqlx::query(AssertSqlSafe(format!(
        "SELECT l.session, l.worker IS NOT NULL, l.epoch, l.dispatch_state, l.unsettled_deaths, \
         EXISTS (SELECT 1 FROM open_attempt o WHERE o.session = l.session AND o.epoch = l.epoch), \
         (SELECT max(o.end_by) FROM open_attempt o WHERE o.session = l.session), s.* \
         FROM session_lease l \
         CROSS JOIN LATERAL (SELECT tenant, {SESSION_COLUMNS} FROM session WHERE id = l.session) AS s \
         WHERE l.session = ANY ($1)"
    )))
    .bind(locked)
    .try_map(|row: PgRow| Ok((id(&row, 0)?, free(&row)?)))
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<Uuid, Free> =
        found.into_iter().map(|(session, free)| (session.as_uuid(), free)).collect();
    let in_order = locked.iter().map(|session| found.remove(session));
    in_order.collect::<Option<_>>().ok_or(Fault::Broken("a lease has no session"))
}

fn free(row: &PgRow) -> Result<Free, Error> {
    Ok(Free {
        was_owned: get(row, 1)?,
        epoch: get(row, 2)?,
        state: opt_json(row, 3)?,
        unsettled_deaths: uint(row, 4)?,
        left_open: get(row, 5)?,
        latest: opt_at(row, 6)?,
        tenant: id(row, 7)?,
        session: session_at(row, 8)?,
    })
}

pub(super) async fn heartbeat(tx: &mut Tx, scope: &WorkerScope, lease: Duration) -> Fallible<Vec<SessionId>> {
    let (now, until) = (tx.now, later(tx.now, lease));
    let (sessions, epochs): (Vec<SessionId>, Vec<i64>) =
        scope.sessions().map(|(session, epoch)| (session, int(epoch))).unzip();
    // Locked in one order by everybody who waits for several of them.
    let held: Vec<Uuid> = sqlx::query_scalar(
        "WITH held AS (SELECT l.session FROM session_lease l \
         JOIN unnest($1::uuid[], $2::bigint[]) AS u (session, epoch) \
         ON u.session = l.session AND u.epoch = l.epoch \
         WHERE l.worker = $3 AND l.until > $4 ORDER BY l.session FOR NO KEY UPDATE OF l) \
         UPDATE session_lease l SET until = $5 FROM held h WHERE l.session = h.session RETURNING l.session",
    )
    .bind(uuids(sessions.iter().copied()))
    .bind(epochs)
    .bind(scope.worker().as_uuid())
    .bind(now)
    .bind(until)
    .fetch_all(tx.conn())
    .await?;
    let held: HashSet<Uuid> = held.into_iter().collect();
    Ok(sessions.into_iter().filter(|session| held.contains(&session.as_uuid())).collect())
}

pub(super) async fn release(
    tx: &mut Tx,
    scope: &WorkerScope,
    session: SessionId,
    state: &DispatchState,
) -> Fallible<bool> {
    let now = tx.now;
    let Some(epoch) = scope.epoch(session) else { return Ok(false) };
    // Whether it is held is asked where it is given back: asked before, it could be lost in between.
    let released = sqlx::query(
        "UPDATE session_lease SET worker = NULL, until = NULL, dispatch_state = $5 \
         WHERE session = $1 AND worker = $2 AND epoch = $3 AND until > $4",
    )
    .bind(session.as_uuid())
    .bind(scope.worker().as_uuid())
    .bind(int(epoch))
    .bind(now)
    .bind(to_json(state)?)
    .execute(tx.conn())
    .await?;
    Ok(released.rows_affected() > 0)
}

pub(super) async fn recent(
    tx: &mut Tx,
    scope: &WorkerScope,
    session: SessionId,
    since: DateTime<Utc>,
) -> Fallible<Vec<RecentAttempt>> {
    let now = tx.now;
    if !holds(tx.conn(), scope, session, now).await? {
        return Ok(Vec::new());
    }
    recent_of(tx.conn(), session, since).await
}

/// Attempts of a session since an instant, oldest first, those not sent left out; the latest of them.
pub(in crate::postgres) async fn recent_of(
    conn: &mut PgConnection,
    session: SessionId,
    since: DateTime<Utc>,
) -> Fallible<Vec<RecentAttempt>> {
    let mut attempts = sqlx::query(
        "SELECT a.begun_at, a.recipient FROM attempt a \
         LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
         WHERE a.session = $1 AND a.begun_at >= $2 AND r.not_sent_at IS NULL \
         ORDER BY a.begun_at DESC LIMIT $3",
    )
    .bind(session.as_uuid())
    .bind(ts(since))
    .bind(MOST_RECENT)
    .try_map(|row: PgRow| {
        let recipient: i64 = get(&row, 1)?;
        Ok(RecentAttempt { recipient: recipient.cast_unsigned(), begun_at: at(&row, 0)? })
    })
    .fetch_all(conn)
    .await?;
    attempts.reverse();
    Ok(attempts)
}
