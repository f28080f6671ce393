//! What attempts give back: the plan's quota, the recipient's touches, the warm-up and the tier slots.
//!
//! Invariant: the outcome is that of giving back one attempt after the other. A slot is held by every
//! attempt that relies on it, lasts as long as the latest of them, and goes back with the last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{AttemptKey, MessageId, Period, SessionId, TenantId};
use wa_core::rules::tier::SLOT;

use crate::common::portfolio_key;
use crate::postgres::codec::{ago, at, get, id, ts, uint, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message::Attempt;

/// The rows are locked in the order of their keys first: a batch can span tenants.
const QUOTA: &str = "WITH held AS (SELECT q.tenant, q.period, u.n \
     FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS u (tenant, period, n) \
     JOIN quota_usage q ON q.tenant = u.tenant AND q.period = u.period \
     ORDER BY q.tenant, q.period FOR UPDATE OF q) \
     UPDATE quota_usage q SET used = greatest(q.used - h.n, 0) FROM held h \
     WHERE q.tenant = h.tenant AND q.period = h.period";
/// Only templates have a row; for anything else nothing is there to delete.
const TOUCHES: &str = "DELETE FROM touch t \
     USING unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::bigint[]) \
     AS u (tenant, recipient, at, message, n) WHERE t.tenant = u.tenant AND t.recipient = u.recipient \
     AND t.at = u.at AND t.message = u.message AND t.n = u.n";
const WARM_UP: &str = "UPDATE warm_up_usage w SET used = greatest(w.used - u.n, 0) \
     FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS u (session, day, n) \
     WHERE w.session = u.session AND w.day = u.day";
/// Locked in the order of the arrays, which is that of their keys.
const HELD_SLOTS: &str = "SELECT t.portfolio, t.recipient, t.taken_at, t.until, t.uses \
     FROM unnest($1::text[], $2::bigint[]) AS u (portfolio, recipient) \
     CROSS JOIN LATERAL (SELECT * FROM tier_slot x \
         WHERE x.portfolio = u.portfolio AND x.recipient = u.recipient LIMIT 1 FOR UPDATE) t";
/// Attempts to recipients that rely on a slot of a portfolio and were not given back, from an instant on.
const USES: &str = "SELECT u.transport, u.portfolio, a.recipient, a.begun_at, a.tenant, a.message, a.n \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) \
     AS u (transport, portfolio, recipient, since) \
     CROSS JOIN LATERAL (SELECT x.* FROM attempt x \
         WHERE x.tier_slot AND x.recipient = u.recipient AND x.begun_at > u.since OFFSET 0) a \
     CROSS JOIN LATERAL (SELECT 1 FROM session x \
         WHERE x.id = a.session AND x.transport = u.transport AND x.portfolio = u.portfolio LIMIT 1) s \
     LEFT JOIN LATERAL (SELECT x.released_at FROM result x \
         WHERE x.tenant = a.tenant AND x.message = a.message AND x.n = a.n LIMIT 1) r ON true \
     WHERE r.released_at IS NULL";
const DELETE_SLOTS: &str = "DELETE FROM tier_slot t \
     USING unnest($1::text[], $2::bigint[]) AS u (portfolio, recipient) \
     WHERE t.portfolio = u.portfolio AND t.recipient = u.recipient";
const PUT_SLOTS: &str = "INSERT INTO tier_slot (portfolio, recipient, taken_at, until, uses) \
     SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[]) \
     ON CONFLICT (portfolio, recipient) DO UPDATE SET until = excluded.until, uses = excluded.uses";
const FREED: &str = "WITH held AS (SELECT t.portfolio, u.n \
     FROM unnest($1::text[], $2::bigint[]) AS u (portfolio, n) \
     JOIN tier_usage t ON t.portfolio = u.portfolio ORDER BY t.portfolio FOR UPDATE OF t) \
     UPDATE tier_usage t SET used = greatest(t.used - h.n, 0) FROM held h WHERE t.portfolio = h.portfolio";

/// Gives back what attempts took, in this order; call it once per attempt.
pub(in crate::postgres) async fn give_back(
    conn: &mut PgConnection,
    attempts: &[(TenantId, MessageId, Attempt)],
) -> Fallible<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut periods: BTreeMap<(TenantId, String), i64> = BTreeMap::new();
    let mut days: BTreeMap<(SessionId, i64), i64> = BTreeMap::new();
    for (tenant, _, attempt) in attempts {
        *periods.entry((*tenant, Period::of(attempt.begun_at).to_string())).or_default() += 1;
        if let Some(day) = attempt.warm_up_day {
            *days.entry((attempt.session, i64::from(day))).or_default() += 1;
        }
    }
    sqlx::query(QUOTA)
        .bind(uuids(periods.keys().map(|(tenant, _)| *tenant)))
        .bind(periods.keys().map(|(_, period)| period.as_str()).collect::<Vec<_>>())
        .bind(periods.values().copied().collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    sqlx::query(TOUCHES)
        .bind(uuids(attempts.iter().map(|(tenant, ..)| *tenant)))
        .bind(attempts.iter().map(|(.., attempt)| attempt.recipient).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(.., attempt)| attempt.begun_at).collect::<Vec<_>>())
        .bind(uuids(attempts.iter().map(|(_, message, _)| *message)))
        .bind(attempts.iter().map(|(.., attempt)| i64::from(attempt.n)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    if !days.is_empty() {
        sqlx::query(WARM_UP)
            .bind(uuids(days.keys().map(|(session, _)| *session)))
            .bind(days.keys().map(|(_, day)| *day).collect::<Vec<_>>())
            .bind(days.values().copied().collect::<Vec<_>>())
            .execute(&mut *conn)
            .await?;
    }
    slots(conn, attempts).await
}

/// The transport and the portfolio of a slot, and its recipient.
type SlotKey = ((String, String), i64);

/// A slot as it is stored, and what becomes of it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    taken_at: DateTime<Utc>,
    until: DateTime<Utc>,
    uses: i64,
}

/// An attempt that relies on a slot.
#[derive(Debug, Clone, Copy)]
struct Use {
    begun_at: DateTime<Utc>,
    key: AttemptKey,
}

/// Gives back the slots of those attempts that have one.
async fn slots(conn: &mut PgConnection, attempts: &[(TenantId, MessageId, Attempt)]) -> Fallible<()> {
    let with_slot = || attempts.iter().filter(|(.., attempt)| attempt.tier_slot);
    let sessions: BTreeSet<SessionId> = with_slot().map(|(.., attempt)| attempt.session).collect();
    if sessions.is_empty() {
        return Ok(());
    }
    let portfolios = portfolios(conn, sessions).await?;
    // What is given back of each slot, in order.
    let mut given: BTreeMap<SlotKey, Vec<Use>> = BTreeMap::new();
    for (tenant, message, attempt) in with_slot() {
        let portfolio = portfolios.get(&attempt.session).cloned();
        let portfolio = portfolio.ok_or(Fault::Broken("the number of an attempt is not there"))?;
        let key = AttemptKey { tenant: *tenant, message: *message, n: attempt.n };
        let begun_at = attempt.begun_at;
        given.entry((portfolio, attempt.recipient)).or_default().push(Use { begun_at, key });
    }
    let before = held(conn, given.keys()).await?;
    let mut others = uses(conn, &given, &before).await?;
    let (mut gone, mut kept, mut freed) = (Vec::new(), Vec::new(), BTreeMap::<String, i64>::new());
    for (of, given) in &given {
        let (portfolio, recipient) = (name(of), of.1);
        let Some(before) = before.get(&(portfolio.clone(), recipient)) else { continue };
        let others = others.remove(of).unwrap_or_default();
        let Some(after) = left(*before, given, &others) else {
            *freed.entry(portfolio.clone()).or_default() += 1;
            gone.push((portfolio, recipient));
            continue;
        };
        if (after.uses, after.until) != (before.uses, before.until) {
            kept.push((portfolio, recipient, after));
        }
    }
    write(conn, &gone, &kept, &freed).await
}

/// What is left of a slot when some of its uses are given back, one after the other; `others` are the uses
/// that stay.
fn left(mut slot: Slot, given: &[Use], others: &[Use]) -> Option<Slot> {
    for (place, going) in given.iter().enumerate() {
        // A slot that was taken after the attempt began is another one.
        if slot.taken_at > going.begun_at {
            continue;
        }
        slot.uses -= 1;
        if slot.uses <= 0 {
            return None;
        }
        // It lasts as long as the latest of those that still rely on it.
        let since = going.begun_at.checked_sub_signed(SLOT).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let rest = given.iter().skip(place + 1).chain(others).map(|it| it.begun_at);
        let latest = rest.filter(|begun_at| *begun_at > since).max();
        if let Some(until) = latest.and_then(|latest| latest.checked_add_signed(SLOT)) {
            slot.until = until;
        }
    }
    Some(slot)
}

fn name(((transport, portfolio), _): &SlotKey) -> String {
    portfolio_key(transport, portfolio)
}

/// Transport and portfolio of numbers.
async fn portfolios(
    conn: &mut PgConnection,
    sessions: BTreeSet<SessionId>,
) -> Fallible<HashMap<SessionId, (String, String)>> {
    let found: Vec<(SessionId, (String, String))> =
        sqlx::query("SELECT id, transport, portfolio FROM session WHERE id = ANY ($1)")
            .bind(uuids(sessions))
            .try_map(|row: PgRow| Ok((id(&row, 0)?, (get(&row, 1)?, get(&row, 2)?))))
            .fetch_all(conn)
            .await?;
    Ok(found.into_iter().collect())
}

/// The slots that are there, locked until the commit.
async fn held(
    conn: &mut PgConnection,
    of: impl Iterator<Item = &SlotKey>,
) -> Fallible<HashMap<(String, i64), Slot>> {
    let (names, recipients): (Vec<String>, Vec<i64>) = of.map(|key| (name(key), key.1)).unzip();
    let found: Vec<((String, i64), Slot)> = sqlx::query(HELD_SLOTS)
        .bind(names)
        .bind(recipients)
        .try_map(|row: PgRow| {
            let slot = Slot { taken_at: at(&row, 2)?, until: at(&row, 3)?, uses: get(&row, 4)? };
            Ok(((get(&row, 0)?, get(&row, 1)?), slot))
        })
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().collect())
}

/// Who else relies on the slots of which something may stay.
async fn uses(
    conn: &mut PgConnection,
    given: &BTreeMap<SlotKey, Vec<Use>>,
    before: &HashMap<(String, i64), Slot>,
) -> Fallible<HashMap<SlotKey, Vec<Use>>> {
    let mut others: HashMap<SlotKey, Vec<Use>> = HashMap::new();
    let (mut transports, mut portfolios) = (Vec::new(), Vec::new());
    let (mut recipients, mut since) = (Vec::new(), Vec::new());
    for (of, given) in given {
        let shared = before.get(&(name(of), of.1)).is_some_and(|slot| slot.uses > 1);
        if let Some(first) = given.iter().map(|it| it.begun_at).min().filter(|_| shared) {
            transports.push(of.0.0.as_str());
            portfolios.push(of.0.1.as_str());
            recipients.push(of.1);
            since.push(ago(first, SLOT));
        }
    }
    if recipients.is_empty() {
        return Ok(others);
    }
    let going: BTreeSet<AttemptKey> = given.values().flatten().map(|it| it.key).collect();
    let found: Vec<(SlotKey, Use)> = sqlx::query(USES)
        .bind(transports)
        .bind(portfolios)
        .bind(recipients)
        .bind(since)
        .try_map(|row: PgRow| {
            let key = AttemptKey { tenant: id(&row, 4)?, message: id(&row, 5)?, n: uint(&row, 6)? };
            let of = ((get(&row, 0)?, get(&row, 1)?), get(&row, 2)?);
            Ok((of, Use { begun_at: at(&row, 3)?, key }))
        })
        .fetch_all(conn)
        .await?;
    for (of, other) in found.into_iter().filter(|(_, other)| !going.contains(&other.key)) {
        others.entry(of).or_default().push(other);
    }
    Ok(others)
}

async fn write(
    conn: &mut PgConnection,
    gone: &[(String, i64)],
    kept: &[(String, i64, Slot)],
    freed: &BTreeMap<String, i64>,
) -> Fallible<()> {
    if !gone.is_empty() {
        sqlx::query(DELETE_SLOTS)
            .bind(gone.iter().map(|(portfolio, _)| portfolio.as_str()).collect::<Vec<_>>())
            .bind(gone.iter().map(|(_, recipient)| *recipient).collect::<Vec<_>>())
            .execute(&mut *conn)
            .await?;
        sqlx::query(FREED)
            .bind(freed.keys().map(String::as_str).collect::<Vec<_>>())
            .bind(freed.values().copied().collect::<Vec<_>>())
            .execute(&mut *conn)
            .await?;
    }
    if !kept.is_empty() {
        sqlx::query(PUT_SLOTS)
            .bind(kept.iter().map(|(portfolio, ..)| portfolio.as_str()).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, recipient, _)| *recipient).collect::<Vec<_>>())
            .bind(kept.iter().map(|(.., slot)| slot.taken_at).collect::<Vec<_>>())
            .bind(kept.iter().map(|(.., slot)| ts(slot.until)).collect::<Vec<_>>())
            .bind(kept.iter().map(|(.., slot)| slot.uses).collect::<Vec<_>>())
            .execute(conn)
            .await?;
    }
    Ok(())
}
