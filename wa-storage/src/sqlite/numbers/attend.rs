//! Which workers there are, and how many sessions each of them holds.

use rusqlite::params;
use wa_core::model::micros;
use wa_core::port::store::{Attendance, Presence};
use wa_core::rules::spread::Fellow;

use super::lease::{FREE, bury};
use crate::sqlite::codec::{at, id, later, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::writer::Tx;

pub(super) fn attend(tx: &Tx<'_>, presence: &Presence) -> Fallible<Attendance> {
    let Presence { worker, lease, most } = *presence;
    let (now, token) = (micros(tx.now), tx.shared.lock.try_hold());
    if let Some(token) = token {
        // Whoever held the lock before is dead, and what it held is free.
        bury(tx, worker, token)?;
        tx.conn
            .prepare_cached("DELETE FROM worker WHERE guard IS NOT NULL AND guard <> ?1 AND id <> ?2")?
            .execute(params![token, worker.as_bytes()])?;
    }
    tx.conn.prepare_cached("DELETE FROM worker WHERE until <= ?1 OR (id = ?2 AND ?3)")?.execute(params![
        now,
        worker.as_bytes(),
        most == 0
    ])?;
    if most > 0 {
        tx.conn
            .prepare_cached(
                "INSERT INTO worker (id, since, until, most, guard) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (id) DO UPDATE SET until = ?3, most = ?4, guard = ?5",
            )?
            .execute(params![worker.as_bytes(), now, micros(later(tx.now, lease)), most, token])?;
    }
    let mut statement = tx.conn.prepare_cached(
        "SELECT w.id, (SELECT count(*) FROM session_lease l WHERE l.worker = w.id AND l.until > ?1), \
         w.most, w.since FROM worker w ORDER BY w.id",
    )?;
    let workers = statement.query_map(params![now], |row| {
        Ok(Fellow { worker: id(row, 0)?, held: uint(row, 1)?, most: uint(row, 2)?, since: at(row, 3)? })
    })?;
    let workers = workers.collect::<rusqlite::Result<_>>()?;
    let free = tx
        .conn
        .prepare_cached(&format!(
            "SELECT count(*) FROM session_lease l JOIN session s ON s.id = l.session WHERE {FREE}"
        ))?
        .query_row(params![now], |row| uint(row, 0))?;
    Ok(Attendance { at: tx.now, workers, free })
}
