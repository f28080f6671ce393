//! The rows beside a message that failed: what lists are made of, and how often it was put back.
//!
//! Invariant: a message has a `failure` row exactly while its state is failed, written and removed in
//! the transaction that changes the state.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{AlertSettings, MessageId, TenantId, Undelivered, micros};
use wa_core::rules::failure::Failure;
use wa_core::rules::silence::{Heard, hear};

use crate::sqlite::codec::uint;
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{Attempt, Stored};

const PUT: &str = "INSERT INTO failure (tenant, message, campaign, session, code, class, critical, at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
     ON CONFLICT (tenant, message) DO UPDATE SET session = excluded.session, code = excluded.code, \
     class = excluded.class, critical = excluded.critical, at = excluded.at";

/// Lists a failed message; what is to be told of it.
pub(super) fn keep(conn: &Connection, stored: &Stored) -> Fallible<Undelivered> {
    let failure = Failure::of(&stored.chain()).ok_or(Fault::Broken("a failed message has no failure"))?;
    let session = stored.session(conn)?;
    let Failure { code, class, critical, at } = failure;
    conn.prepare_cached(PUT)?.execute(params![
        stored.tenant.as_bytes(),
        stored.id.as_bytes(),
        stored.campaign.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice()),
        session.as_bytes(),
        code,
        class.map(|class| class.as_str()),
        critical,
        micros(at)
    ])?;
    Ok(Undelivered { message: stored.id, campaign: stored.campaign, code, class, critical })
}

pub(super) fn forget(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<()> {
    conn.prepare_cached("DELETE FROM failure WHERE tenant = ?1 AND message = ?2")?
        .execute(params![tenant.as_bytes(), message.as_bytes()])?;
    Ok(())
}

/// How many attempts a message had when it was last put back by hand.
pub(super) fn redriven(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<usize> {
    let attempts: Option<u16> = conn
        .prepare_cached("SELECT attempts FROM redriven WHERE tenant = ?1 AND message = ?2")?
        .query_row(params![tenant.as_bytes(), message.as_bytes()], |row| uint(row, 0))
        .optional()?;
    Ok(attempts.map_or(0, usize::from))
}

/// Takes an attempt off the list of silent ones when something was heard of it.
pub(super) fn break_silence(
    conn: &Connection,
    tenant: TenantId,
    message: MessageId,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> Fallible<()> {
    // Before that no attempt can be on the list, and that is when nearly all statuses come.
    let soonest = TimeDelta::seconds(i64::from(AlertSettings::SHORTEST_SILENCE));
    if now - attempt.begun_at >= soonest && hear(&attempt.facts) == Heard::Status {
        conn.prepare_cached("DELETE FROM silent WHERE tenant = ?1 AND message = ?2 AND n = ?3")?
            .execute(params![tenant.as_bytes(), message.as_bytes(), attempt.n])?;
    }
    Ok(())
}
