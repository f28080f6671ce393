//! Writes what a transaction changed in budgets, in free messages and in roll-ups.

use rusqlite::{Connection, params};
use wa_core::model::micros;

use super::error::Fallible;
use crate::common::booked::{Booked, Change, budget_key};

const ADD_BUDGET: &str = "INSERT INTO budget_use (tenant, of, currency, committed, open, last_begun_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (tenant, of, currency) DO UPDATE SET committed = committed + excluded.committed, \
     open = open + excluded.open, \
     last_begun_at = max(coalesce(last_begun_at, excluded.last_begun_at), \
     coalesce(excluded.last_begun_at, last_begun_at))";
const ADD_SERVICE: &str = "INSERT INTO service_usage (session, month, used) VALUES (?1, ?2, ?3) \
     ON CONFLICT (session, month) DO UPDATE SET used = used + excluded.used";
const ADD_ROLLUP: &str =
    "INSERT INTO rollup_delta (tenant, slot, session, counter, n) VALUES (?1, ?2, ?3, ?4, ?5)";

pub(super) fn write(conn: &Connection, booked: Booked) -> Fallible<()> {
    let Booked { budgets, services, rollups } = booked;
    for ((tenant, of, currency), Change { committed, open, begun_at }) in budgets {
        if (committed, open, begun_at) != (0, 0, None) {
            let begun_at = begun_at.map(micros);
            conn.prepare_cached(ADD_BUDGET)?.execute(params![
                tenant.as_bytes(),
                budget_key(of),
                currency.as_str(),
                committed,
                open,
                begun_at
            ])?;
        }
    }
    for ((_, session, month), n) in services.into_iter().filter(|(_, n)| *n != 0) {
        conn.prepare_cached(ADD_SERVICE)?.execute(params![session.as_bytes(), month.to_string(), n])?;
    }
    for ((tenant, slot, session, count), n) in rollups.into_iter().filter(|(_, n)| *n != 0) {
        conn.prepare_cached(ADD_ROLLUP)?.execute(params![
            tenant.as_bytes(),
            micros(slot),
            session.as_bytes(),
            count.key(),
            n
        ])?;
    }
    Ok(())
}

/// Adds the changes up into the roll-ups; the sums stay what they were.
pub(super) fn fold(conn: &Connection) -> Fallible<()> {
    let upto: Option<i64> =
        conn.prepare_cached("SELECT max(seq) FROM rollup_delta")?.query_row([], |row| row.get(0))?;
    let Some(upto) = upto else { return Ok(()) };
    conn.prepare_cached(
        "INSERT INTO rollup (tenant, slot, session, counter, n) \
         SELECT tenant, slot, session, counter, sum(n) FROM rollup_delta WHERE seq <= ?1 \
         GROUP BY tenant, slot, session, counter \
         ON CONFLICT (tenant, slot, session, counter) DO UPDATE SET n = n + excluded.n",
    )?
    .execute([upto])?;
    conn.prepare_cached("DELETE FROM rollup_delta WHERE seq <= ?1")?.execute([upto])?;
    Ok(())
}
