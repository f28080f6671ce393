//! What a transaction changed in budgets, in free messages and in roll-ups, as parameters.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::changes::Statement;
use super::codec::ts;
use super::error::Fallible;
use crate::common::booked::{Booked, Change, budget_key};

/// The parts of a statement that write it. Rows that several transactions change are written in the order of
/// their keys, so that two of them never wait for each other.
pub(super) const PARTS: &str = "budgets AS (INSERT INTO budget_use AS b \
         (tenant, of, currency, committed, open, last_begun_at) \
         SELECT u.tenant, u.of, u.currency, u.committed, u.open, u.begun \
         FROM unnest($14::uuid[], $15::bytea[], $16::text[], $17::bigint[], $18::bigint[], $19::timestamptz[]) \
         AS u (tenant, of, currency, committed, open, begun) ORDER BY 1, 2, 3 \
         ON CONFLICT (tenant, of, currency) DO UPDATE SET committed = b.committed + excluded.committed, \
         open = b.open + excluded.open, last_begun_at = greatest(b.last_begun_at, excluded.last_begun_at)), \
     services AS (INSERT INTO service_usage AS s (tenant, session, month, used) \
         SELECT * FROM unnest($20::uuid[], $21::uuid[], $22::text[], $23::bigint[]) ORDER BY 2, 3 \
         ON CONFLICT (session, month) DO UPDATE SET used = s.used + excluded.used), \
     rollups AS (INSERT INTO rollup_delta (tenant, slot, session, counter, n) \
         SELECT * FROM unnest($24::uuid[], $25::timestamptz[], $26::uuid[], $27::text[], $28::bigint[]))";

/// Binds what [`PARTS`] take.
pub(super) fn bind<'q>(mut statement: Statement<'q>, booked: Booked) -> Statement<'q> {
    let Booked { budgets, services, rollups } = booked;
    let changed = budgets.into_iter().filter(|(_, it)| (it.committed, it.open, it.begun_at) != (0, 0, None));
    let (mut tenants, mut keys, mut currencies) = (Vec::<Uuid>::new(), Vec::new(), Vec::new());
    let (mut committed, mut open, mut begun) = (Vec::new(), Vec::new(), Vec::<Option<DateTime<Utc>>>::new());
    for ((tenant, of, currency), change) in changed {
        let Change { committed: more, open: kept, begun_at } = change;
        tenants.push(tenant.as_uuid());
        keys.push(budget_key(of));
        currencies.push(currency.as_str().to_owned());
        committed.push(more);
        open.push(kept);
        begun.push(begun_at);
    }
    statement = statement.bind(tenants).bind(keys).bind(currencies).bind(committed).bind(open).bind(begun);
    let (mut tenants, mut sessions) = (Vec::<Uuid>::new(), Vec::<Uuid>::new());
    let (mut months, mut counts) = (Vec::new(), Vec::new());
    for ((tenant, session, month), n) in services.into_iter().filter(|(_, n)| *n != 0) {
        tenants.push(tenant.as_uuid());
        sessions.push(session.as_uuid());
        months.push(month.to_string());
        counts.push(n);
    }
    statement = statement.bind(tenants).bind(sessions).bind(months).bind(counts);
    let (mut tenants, mut slots, mut sessions) = (Vec::<Uuid>::new(), Vec::new(), Vec::<Uuid>::new());
    let (mut counters, mut counts) = (Vec::new(), Vec::new());
    for ((tenant, slot, session, count), n) in rollups.into_iter().filter(|(_, n)| *n != 0) {
        tenants.push(tenant.as_uuid());
        slots.push(ts(slot));
        sessions.push(session.as_uuid());
        counters.push(count.key().to_string());
        counts.push(n);
    }
    statement.bind(tenants).bind(slots).bind(sessions).bind(counters).bind(counts)
}

/// Adds the changes up into the roll-ups; the sums stay what they were.
pub(super) async fn fold(conn: &mut PgConnection) -> Fallible<()> {
    sqlx::query(
        "WITH gone AS (DELETE FROM rollup_delta RETURNING tenant, slot, session, counter, n) \
         INSERT INTO rollup AS r (tenant, slot, session, counter, n) \
         SELECT tenant, slot, session, counter, sum(n)::bigint FROM gone \
         GROUP BY tenant, slot, session, counter ORDER BY tenant, slot, session, counter \
         ON CONFLICT (tenant, slot, session, counter) DO UPDATE SET n = r.n + excluded.n",
    )
    .execute(conn)
    .await?;
    Ok(())
}
