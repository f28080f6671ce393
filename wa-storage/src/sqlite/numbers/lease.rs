//! Who owns a session: leases, epochs, and owners that are known to be dead.
//!
//! Invariant: an epoch only grows. A lease that was held under the file lock carries its holder's
//! token; whoever holds the lock with another token ends that lease, and the owner's open attempts
//! become in doubt in the same transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use wa_core::model::{SessionId, WorkerId, micros};
use wa_core::port::WorkerScope;
use wa_core::port::store::{AcquireSessions, DispatchState, Lease, MAX_PAGE, RecentAttempt};

use super::session_of_any;
use crate::sqlite::codec::{at, id, int, later, opt_at, opt_id, opt_json, to_json, uint};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::outbox::merge::Merger;
use crate::sqlite::outbox::{give_up, holds};
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

/// The most attempts from which meters are rebuilt.
const MOST_RECENT: i64 = 100_000;

/// What makes a lease `l` of a session `s` free at `?1`.
pub(super) const FREE: &str = "(l.worker IS NULL OR l.until <= ?1) AND (s.state <> 'deleted' \
     OR EXISTS (SELECT 1 FROM open_attempt o WHERE o.session = l.session))";

pub(super) fn acquire(tx: &Tx<'_>, ask: &AcquireSessions) -> Fallible<Vec<Lease>> {
    let AcquireSessions { worker, lease, most } = ask;
    let token = tx.shared.lock.try_hold();
    if let Some(token) = token {
        bury(tx, *worker, token)?;
    }
    let free = free_sessions(tx, *most)?;
    let until = later(tx.now, *lease);
    let mut leases = Vec::with_capacity(free.len());
    for free in free {
        leases.push(take(tx, free, *worker, until, token)?);
    }
    Ok(leases)
}

/// Ends the leases of former holders of the file lock: the operating system says that they are gone.
pub(super) fn bury(tx: &Tx<'_>, worker: WorkerId, token: [u8; 16]) -> Fallible<()> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT session, worker, epoch FROM session_lease WHERE guard IS NOT NULL AND guard <> ?1",
    )?;
    let orphans = statement
        .query_map(params![token], |row| {
            Ok((id::<SessionId>(row, 0)?, opt_id::<WorkerId>(row, 1)?, row.get::<_, i64>(2)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut merger = Merger::new(tx);
    for (session, owner, epoch) in orphans {
        if owner == Some(worker) {
            // The same worker through a new handle: it lives, and holds the lock again.
            tx.conn
                .prepare_cached("UPDATE session_lease SET guard = ?2 WHERE session = ?1")?
                .execute(params![session.as_bytes(), token])?;
            continue;
        }
        let died_unsettled = owner.is_some() && open_attempts(tx, session, Some(epoch))?.0 > 0;
        let full = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
        // What an earlier owner left open is not known to be dead: it ends by time.
        while give_up(&mut merger, session, Some(epoch), DateTime::<Utc>::MAX_UTC)?.len() >= full {}
        tx.conn
            .prepare_cached(
                "UPDATE session_lease SET guard = NULL, worker = NULL, until = NULL, \
                 dispatch_state = CASE WHEN ?3 THEN NULL ELSE dispatch_state END, \
                 unsettled_deaths = CASE WHEN ?2 THEN unsettled_deaths + 1 ELSE 0 END, \
                 judged_epoch = CASE WHEN ?3 THEN epoch ELSE judged_epoch END WHERE session = ?1",
            )?
            .execute(params![session.as_bytes(), died_unsettled, owner.is_some()])?;
    }
    merger.finish()?;
    Ok(())
}

struct Free {
    session: SessionId,
    was_owned: bool,
    epoch: i64,
    state: Option<DispatchState>,
    unsettled_deaths: u32,
    judged_epoch: i64,
}

fn free_sessions(tx: &Tx<'_>, most: u32) -> Fallible<Vec<Free>> {
    let mut statement = tx.conn.prepare_cached(&format!(
        "SELECT l.session, l.worker IS NOT NULL, l.epoch, l.dispatch_state, l.unsettled_deaths, l.judged_epoch \
         FROM session_lease l JOIN session s ON s.id = l.session WHERE {FREE} \
         ORDER BY l.created_at, l.session LIMIT ?2"
    ))?;
    let free = statement.query_map(params![micros(tx.now), most], |row| {
        Ok(Free {
            session: id(row, 0)?,
            was_owned: row.get(1)?,
            epoch: row.get(2)?,
            state: opt_json(row, 3)?,
            unsettled_deaths: uint(row, 4)?,
            judged_epoch: row.get(5)?,
        })
    })?;
    Ok(free.collect::<rusqlite::Result<_>>()?)
}

fn take(
    tx: &Tx<'_>,
    free: Free,
    worker: WorkerId,
    until: DateTime<Utc>,
    token: Option<[u8; 16]>,
) -> Fallible<Lease> {
    let Free { session, was_owned, epoch, state, unsettled_deaths, judged_epoch } = free;
    let (of_former, _) = open_attempts(tx, session, Some(epoch))?;
    let (_, latest) = open_attempts(tx, session, None)?;
    let deaths = if judged_epoch == epoch && epoch > 0 {
        // Counted when its owner was found dead.
        unsettled_deaths
    } else if was_owned && of_former > 0 {
        unsettled_deaths.saturating_add(1)
    } else {
        0
    };
    let next = epoch.checked_add(1).ok_or(Fault::Broken("a session has had too many owners"))?;
    tx.conn
        .prepare_cached(
            "UPDATE session_lease SET worker = ?2, epoch = ?3, until = ?4, guard = ?5, \
             dispatch_state = NULL, unsettled_deaths = ?6 WHERE session = ?1",
        )?
        .execute(params![session.as_bytes(), worker.as_bytes(), next, micros(until), token, deaths])?;
    let (tenant, stored) =
        session_of_any(tx.conn, session)?.ok_or(Fault::Broken("a lease has no session"))?;
    Ok(Lease {
        tenant,
        session: stored,
        epoch: u64::try_from(next).unwrap_or(0),
        until,
        quiet_until: latest.filter(|latest| *latest > tx.now),
        state,
        unsettled_deaths: deaths,
    })
}

/// How many attempts of a session are open, and when the last of them ends; of one epoch or of all.
fn open_attempts(
    tx: &Tx<'_>,
    session: SessionId,
    epoch: Option<i64>,
) -> Fallible<(i64, Option<DateTime<Utc>>)> {
    let found = tx
        .conn
        .prepare_cached(
            "SELECT count(*), max(end_by) FROM open_attempt \
             WHERE session = ?1 AND (?2 IS NULL OR epoch = ?2)",
        )?
        .query_row(params![session.as_bytes(), epoch], |row| Ok((row.get(0)?, opt_at(row, 1)?)))?;
    Ok(found)
}

pub(super) fn heartbeat(tx: &Tx<'_>, scope: &WorkerScope, lease: Duration) -> Fallible<Vec<SessionId>> {
    let until = later(tx.now, lease);
    // Where the lock was got only now, the leases that are held already come under it.
    let token = tx.shared.lock.token();
    let mut held = Vec::new();
    for (session, epoch) in scope.sessions() {
        let prolonged = tx
            .conn
            .prepare_cached(
                "UPDATE session_lease SET until = ?4, guard = coalesce(?6, guard) \
                 WHERE session = ?1 AND worker = ?2 AND epoch = ?3 AND until > ?5",
            )?
            .execute(params![
                session.as_bytes(),
                scope.worker().as_bytes(),
                int(epoch),
                micros(until),
                micros(tx.now),
                token
            ])?;
        if prolonged > 0 {
            held.push(session);
        }
    }
    Ok(held)
}

pub(super) fn release(
    tx: &Tx<'_>,
    scope: &WorkerScope,
    session: SessionId,
    state: &DispatchState,
) -> Fallible<bool> {
    if !holds(tx.conn, scope, session, tx.now)? {
        return Ok(false);
    }
    // The guard stays: should the process end with requests under way, they are in doubt at once.
    tx.conn
        .prepare_cached(
            "UPDATE session_lease SET worker = NULL, until = NULL, dispatch_state = ?2 WHERE session = ?1",
        )?
        .execute(params![session.as_bytes(), to_json(state)?])?;
    Ok(true)
}

pub(super) fn recent(
    snapshot: &Snapshot<'_>,
    scope: &WorkerScope,
    session: SessionId,
    since: DateTime<Utc>,
) -> Fallible<Vec<RecentAttempt>> {
    if !holds(snapshot.conn, scope, session, snapshot.now)? {
        return Ok(Vec::new());
    }
    recent_of(snapshot.conn, session, since)
}

/// Attempts of a session since an instant, oldest first, those not sent left out; the latest of them.
pub(in crate::sqlite) fn recent_of(
    conn: &Connection,
    session: SessionId,
    since: DateTime<Utc>,
) -> Fallible<Vec<RecentAttempt>> {
    let mut statement = conn.prepare_cached(RECENT)?;
    let rows = statement.query_map(params![session.as_bytes(), micros(since), MOST_RECENT], |row| {
        Ok(RecentAttempt { recipient: row.get::<_, i64>(1)?.cast_unsigned(), begun_at: at(row, 0)? })
    })?;
    let mut attempts = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    attempts.reverse();
    Ok(attempts)
}

pub(in crate::sqlite) const RECENT: &str = "SELECT a.begun_at, a.recipient FROM attempt a \
     LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.session = ?1 AND a.begun_at >= ?2 AND r.not_sent_at IS NULL \
     ORDER BY a.begun_at DESC LIMIT ?3";
