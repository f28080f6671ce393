//! Which workers there are, and how many sessions each of them holds.

use sqlx::postgres::PgRow;
use wa_core::port::store::{Attendance, Presence};
use wa_core::rules::spread::Fellow;

use super::lease::FREE;
use crate::postgres::codec::{at, get, id, later, uint};
use crate::postgres::error::Fallible;
use crate::postgres::tx::Tx;

pub(super) async fn attend(tx: &mut Tx, presence: &Presence) -> Fallible<Attendance> {
    let Presence { worker, lease, most } = *presence;
    let now = tx.now;
    // Nobody waits for another one's row, so that two who clear away at once cannot wait for each other.
    sqlx::query(
        "DELETE FROM worker WHERE id IN (SELECT id FROM worker WHERE until <= $1 AND id <> $2 \
         FOR UPDATE SKIP LOCKED)",
    )
    .bind(now)
    .bind(worker.as_uuid())
    .execute(tx.conn())
    .await?;
    if most == 0 {
        let leave = sqlx::query("DELETE FROM worker WHERE id = $1").bind(worker.as_uuid());
        leave.execute(tx.conn()).await?;
    } else {
        sqlx::query(
            "INSERT INTO worker AS w (id, since, until, most) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until, most = EXCLUDED.most, \
             since = CASE WHEN w.until > $2 THEN w.since ELSE EXCLUDED.since END",
        )
        .bind(worker.as_uuid())
        .bind(now)
        .bind(later(now, lease))
        .bind(i64::from(most))
        .execute(tx.conn())
        .await?;
    }
    let workers = sqlx::query(
        "SELECT w.id, coalesce(h.held, 0), w.most, w.since FROM worker w \
         LEFT JOIN (SELECT worker, count(*) AS held FROM session_lease WHERE until > $1 GROUP BY worker) h \
         ON h.worker = w.id WHERE w.until > $1 ORDER BY w.id",
    )
    .bind(now)
    .try_map(|row: PgRow| {
        Ok(Fellow { worker: id(&row, 0)?, held: uint(&row, 1)?, most: uint(&row, 2)?, since: at(&row, 3)? })
    })
    .fetch_all(tx.conn())
    .await?;
    let free = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FROM session_lease l JOIN session s ON s.id = l.session WHERE {FREE}"
    )))
    .bind(now)
    .try_map(|row: PgRow| get::<i64>(&row, 0))
    .fetch_one(tx.conn())
    .await?;
    Ok(Attendance { at: now, workers, free: u32::try_from(free).unwrap_or(u32::MAX) })
}
