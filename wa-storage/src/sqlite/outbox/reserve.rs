//! What an attempt takes and gives back: the plan's quota and the portfolio's tier slots.
//!
//! Invariant: `quota_usage.used` is the number of attempts of the month that were not given back;
//! `tier_usage.used` is the number of rows of `tier_slot`. A slot is held by every attempt that
//! relies on it and goes back with the last of them.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{MessageId, Period, Session, SessionId, TenantId, micros};
use wa_core::rules::tier::SLOT;

use crate::common::court::SlotEnd;
pub(in crate::sqlite) use crate::common::portfolio_key;
use crate::sqlite::codec::{at, column, int, opt_at, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::message::Attempt;

pub(in crate::sqlite) const SELECT_SLOT: &str =
    "SELECT until FROM tier_slot WHERE portfolio = ?1 AND recipient = ?2";
pub(in crate::sqlite) const PURGE_SLOTS: &str = "DELETE FROM tier_slot WHERE portfolio = ?1 AND until <= ?2";
pub(in crate::sqlite) const ENDED_SLOTS: &str =
    "SELECT count(*) FROM tier_slot WHERE portfolio = ?1 AND until <= ?2";
pub(in crate::sqlite) const NEXT_FREE: &str =
    "SELECT until, recipient FROM tier_slot WHERE portfolio = ?1 AND until > ?2 ORDER BY until";

/// When the latest attempt began that relies on a recipient's slot, one attempt left out.
pub(in crate::sqlite) const LATEST_USE: &str = "SELECT max(a.begun_at) FROM attempt a \
     JOIN session s ON s.id = a.session \
     LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.tier_slot = 1 AND a.recipient = ?1 AND a.begun_at > ?2 \
     AND s.transport = ?3 AND s.portfolio = ?4 AND r.released_at IS NULL \
     AND NOT (a.tenant = ?5 AND a.message = ?6 AND a.n = ?7)";

/// How much of a month's quota a tenant used.
pub(in crate::sqlite) fn used_of(conn: &Connection, tenant: TenantId, period: Period) -> Fallible<u64> {
    let used = conn
        .prepare_cached("SELECT used FROM quota_usage WHERE tenant = ?1 AND period = ?2")?
        .query_row(params![tenant.as_bytes(), period.to_string()], |row| uint(row, 0))
        .optional()?;
    Ok(used.unwrap_or(0))
}

/// Forgets the slots of a session's portfolio that have ended.
pub(super) fn purge_slots(conn: &Connection, session: SessionId, now: DateTime<Utc>) -> Fallible<()> {
    let found: Option<(String, String, Option<u32>)> = conn
        .prepare_cached("SELECT transport, portfolio, tier FROM session WHERE id = ?1")?
        .query_row(params![session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((transport, portfolio, Some(_))) = found else { return Ok(()) };
    let portfolio = portfolio_key(&transport, &portfolio);
    let ended = conn.prepare_cached(PURGE_SLOTS)?.execute(params![portfolio, micros(now)])?;
    if ended > 0 {
        change_used(conn, &portfolio, -i64::try_from(ended).unwrap_or(i64::MAX))?;
    }
    Ok(())
}

/// When each taken slot of a session's portfolio ends, earliest first, and whose it is; none without a limit.
pub(super) fn slot_ends(
    conn: &Connection,
    session: &Session,
    now: DateTime<Utc>,
) -> Fallible<Vec<(DateTime<Utc>, u64)>> {
    if session.tier.limit().is_none() {
        return Ok(Vec::new());
    }
    let portfolio = portfolio_key(session.transport.as_str(), &session.portfolio);
    let mut statement = conn.prepare_cached(NEXT_FREE)?;
    let ends = statement.query_map(params![portfolio, micros(now)], |row| {
        Ok((at(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    Ok(ends.collect::<Result<_, _>>()?)
}

/// The slots of a portfolio that have not ended, and those that end first.
pub(super) fn slots(
    conn: &Connection,
    portfolio: &str,
    now: DateTime<Utc>,
    most: usize,
) -> Fallible<(u32, Vec<SlotEnd>)> {
    let ended: u32 =
        conn.prepare_cached(ENDED_SLOTS)?.query_row(params![portfolio, micros(now)], |row| uint(row, 0))?;
    let used: Option<u32> = conn
        .prepare_cached("SELECT used FROM tier_usage WHERE portfolio = ?1")?
        .query_row([portfolio], |row| uint(row, 0))
        .optional()?;
    let mut statement = conn.prepare_cached(NEXT_FREE)?;
    let ends = statement.query_map(params![portfolio, micros(now)], |row| {
        Ok((at(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    let ends = ends.take(most).collect::<Result<_, _>>()?;
    Ok((used.unwrap_or(0).saturating_sub(ended), ends))
}

/// Whether a recipient has a slot that has not ended.
pub(super) fn has_slot(
    conn: &Connection,
    portfolio: &str,
    recipient: u64,
    now: DateTime<Utc>,
) -> Fallible<bool> {
    let until = conn
        .prepare_cached(SELECT_SLOT)?
        .query_row(params![portfolio, recipient.cast_signed()], |row| at(row, 0))
        .optional()?;
    Ok(until.is_some_and(|until| until > now))
}

/// Writes the quota that a batch took.
pub(super) fn take_quota(conn: &Connection, tenant: TenantId, now: DateTime<Utc>, n: u64) -> Fallible<()> {
    if n > 0 {
        conn.prepare_cached(
            "INSERT INTO quota_usage (tenant, period, used) VALUES (?1, ?2, ?3) \
             ON CONFLICT (tenant, period) DO UPDATE SET used = used + excluded.used",
        )?
        .execute(params![tenant.as_bytes(), Period::of(now).to_string(), int(n)])?;
    }
    Ok(())
}

/// Writes the slots that a batch took or shares, one entry per attempt.
pub(super) fn take_slots(
    conn: &Connection,
    portfolio: &str,
    recipients: &[u64],
    now: DateTime<Utc>,
) -> Fallible<()> {
    let until = now.checked_add_signed(SLOT).unwrap_or(DateTime::<Utc>::MAX_UTC);
    for recipient in recipients {
        let key = params![portfolio, recipient.cast_signed(), micros(now), micros(until)];
        let shared = conn
            .prepare_cached(
                "UPDATE tier_slot SET uses = uses + 1, until = max(until, ?4) \
                 WHERE portfolio = ?1 AND recipient = ?2 AND until > ?3",
            )?
            .execute(key)?;
        if shared > 0 {
            continue;
        }
        // An ended slot of this recipient is gone already where the limit is finite.
        let new = conn
            .prepare_cached(
                "INSERT OR IGNORE INTO tier_slot (portfolio, recipient, taken_at, until, uses) \
                 VALUES (?1, ?2, ?3, ?4, 1)",
            )?
            .execute(key)?;
        if new > 0 {
            change_used(conn, portfolio, 1)?;
        }
    }
    Ok(())
}

/// Gives back what an attempt took; call it once per attempt.
pub(super) fn give_back(
    conn: &Connection,
    tenant: TenantId,
    message: MessageId,
    attempt: &Attempt,
) -> Fallible<()> {
    conn.prepare_cached(
        "UPDATE quota_usage SET used = used - 1 WHERE tenant = ?1 AND period = ?2 AND used > 0",
    )?
    .execute(params![tenant.as_bytes(), Period::of(attempt.begun_at).to_string()])?;
    // Only templates have a row; for anything else nothing is there to delete.
    conn.prepare_cached(
        "DELETE FROM touch WHERE tenant = ?1 AND recipient = ?2 AND at = ?3 AND message = ?4 AND n = ?5",
    )?
    .execute(params![
        tenant.as_bytes(),
        attempt.recipient,
        micros(attempt.begun_at),
        message.as_bytes(),
        attempt.n
    ])?;
    if let Some(day) = attempt.warm_up_day {
        conn.prepare_cached(
            "UPDATE warm_up_usage SET used = used - 1 WHERE session = ?1 AND day = ?2 AND used > 0",
        )?
        .execute(params![attempt.session.as_bytes(), day])?;
    }
    if !attempt.tier_slot {
        return Ok(());
    }
    let (transport, portfolio_name): (String, String) = conn
        .prepare_cached("SELECT transport, portfolio FROM session WHERE id = ?1")?
        .query_row(params![attempt.session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let portfolio = portfolio_key(&transport, &portfolio_name);
    // A slot that was taken after the attempt began is another one.
    let left: Option<i64> = conn
        .prepare_cached(
            "UPDATE tier_slot SET uses = uses - 1 \
             WHERE portfolio = ?1 AND recipient = ?2 AND taken_at <= ?3 RETURNING uses",
        )?
        .query_row(params![portfolio, attempt.recipient, micros(attempt.begun_at)], column)
        .optional()?;
    if left.is_some_and(|left| left <= 0) {
        conn.prepare_cached("DELETE FROM tier_slot WHERE portfolio = ?1 AND recipient = ?2")?
            .execute(params![portfolio, attempt.recipient])?;
        change_used(conn, &portfolio, -1)?;
    } else if left.is_some() {
        // It lasts as long as the latest of those that still rely on it.
        let key = params![
            attempt.recipient,
            micros(attempt.begun_at.checked_sub_signed(SLOT).unwrap_or(DateTime::<Utc>::MIN_UTC)),
            transport,
            portfolio_name,
            tenant.as_bytes(),
            message.as_bytes(),
            attempt.n
        ];
        let latest = conn.prepare_cached(LATEST_USE)?.query_row(key, |row| opt_at(row, 0))?;
        if let Some(until) = latest.and_then(|latest| latest.checked_add_signed(SLOT)) {
            conn.prepare_cached("UPDATE tier_slot SET until = ?3 WHERE portfolio = ?1 AND recipient = ?2")?
                .execute(params![portfolio, attempt.recipient, micros(until)])?;
        }
    }
    Ok(())
}

fn change_used(conn: &Connection, portfolio: &str, n: i64) -> Fallible<()> {
    conn.prepare_cached(
        "INSERT INTO tier_usage (portfolio, used) VALUES (?1, max(?2, 0)) \
         ON CONFLICT (portfolio) DO UPDATE SET used = max(used + ?2, 0)",
    )?
    .execute(params![portfolio, n])?;
    Ok(())
}
