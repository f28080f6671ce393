//! Open attempts whose time is over: they become in doubt, never pending.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::params;
use wa_core::model::{AttemptKey, Outcome, SessionId, micros};
use wa_core::port::WorkerScope;
use wa_core::port::store::{MAX_PAGE, Swept};
use wa_core::rules::status::merge_outcome;

use super::holds;
use super::merge::Merger;
use crate::sqlite::codec::{id, later, opt_at, uint};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::writer::Tx;

const OPEN_UNTIL: &str = "SELECT tenant, message, n FROM open_attempt \
     WHERE session = ?1 AND end_by <= ?2 AND (?4 IS NULL OR epoch = ?4) \
     ORDER BY end_by, tenant, message, n LIMIT ?3";
const NEXT_END: &str = "SELECT min(end_by) FROM open_attempt WHERE session = ?1";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] =
    &[OPEN_UNTIL, NEXT_END, super::merge::DELETE_OPEN, super::merge::TAKE_WAITING];

pub(super) fn sweep(tx: &Tx<'_>, scope: &WorkerScope, grace: Duration) -> Fallible<Swept> {
    let wait = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
    let ended = tx.now.checked_sub_signed(wait).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let mut swept = Swept::default();
    let mut merger = Merger::new(tx);
    for (session, _) in scope.sessions() {
        if !holds(tx.conn, scope, session, tx.now)? {
            continue;
        }
        swept.in_doubt.extend(give_up(&mut merger, session, None, ended)?);
        let next = tx
            .conn
            .prepare_cached(NEXT_END)?
            .query_row(params![session.as_bytes()], |row| opt_at(row, 0))?
            .map(|end_by| later(end_by, grace));
        swept.next_at = [swept.next_at, next].into_iter().flatten().min();
    }
    merger.finish()?;
    Ok(swept)
}

/// Marks the open attempts of a session, or of one epoch of it, in doubt that ended by an instant, a
/// page of them at most.
pub(in crate::sqlite) fn give_up(
    merger: &mut Merger<'_>,
    session: SessionId,
    epoch: Option<i64>,
    ended: DateTime<Utc>,
) -> Fallible<Vec<AttemptKey>> {
    let (conn, now) = merger.place();
    let open = conn
        .prepare_cached(OPEN_UNTIL)?
        .query_map(params![session.as_bytes(), micros(ended), MAX_PAGE, epoch], |row| {
            Ok(AttemptKey { tenant: id(row, 0)?, message: id(row, 1)?, n: uint(row, 2)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for attempt in &open {
        let found =
            merger.merge(*attempt, None, None, |facts| merge_outcome(facts, &Outcome::Ambiguous, now))?;
        if !found {
            return Err(Fault::Broken("an open attempt is not there"));
        }
    }
    Ok(open)
}
