//! What stops a session or a template until something changes.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{Breaker, BreakerReason, BreakerScope, EventBody, TenantId, micros};
use wa_core::rules::judge::is_open;

use super::session_of;
use crate::common::changes::Changes;
use crate::common::numbers::{announce, breaker_key, differs, tripped};
use crate::sqlite::codec::{at, id, named, opt_at, opt_micros, undecodable};
use crate::sqlite::error::Fallible;
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

const COLUMNS: &str = "session, template, language, reason, code, until, since";

/// A caller opens a breaker, or changes an open one.
pub(super) fn open(tx: &Tx<'_>, tenant: TenantId, breaker: &Breaker) -> Fallible<bool> {
    let (session, ..) = breaker_key(&breaker.scope);
    if session_of(tx.conn, tenant, session)?.is_none() {
        return Ok(false);
    }
    let known = open_at(tx.conn, tenant, &breaker.scope, tx.now)?;
    put(tx.conn, tenant, breaker)?;
    let is_news = known.is_none_or(|known| differs(&known, breaker));
    let mut changes = Changes::default();
    if is_news {
        announce(&mut changes, tenant, breaker);
    }
    tx.write(changes)?;
    Ok(true)
}

/// A refusal opens a breaker, or prolongs an open one; gives it as stored if that is news.
pub(in crate::sqlite) fn trip(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    breaker: Breaker,
) -> Fallible<Option<Breaker>> {
    let known = open_at(tx.conn, tenant, &breaker.scope, tx.now)?;
    let Some((breaker, is_news)) = tripped(known.as_ref(), breaker) else { return Ok(None) };
    put(tx.conn, tenant, &breaker)?;
    if is_news {
        announce(changes, tenant, &breaker);
    }
    Ok(Some(breaker).filter(|_| is_news))
}

pub(super) fn reset(tx: &Tx<'_>, tenant: TenantId, scope: &BreakerScope) -> Fallible<bool> {
    let mut changes = Changes::default();
    let was_open = remove(tx, &mut changes, tenant, scope, None)?;
    tx.write(changes)?;
    Ok(was_open)
}

/// A provider lets go what it stopped; with a reason, only what is stopped for it.
pub(in crate::sqlite) fn close(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    scope: &BreakerScope,
    reason: Option<BreakerReason>,
) -> Fallible<()> {
    remove(tx, changes, tenant, scope, reason).map(drop)
}

/// Removes a breaker; whether it was open.
fn remove(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    scope: &BreakerScope,
    reason: Option<BreakerReason>,
) -> Fallible<bool> {
    let known = read(tx.conn, tenant, scope)?;
    let Some(known) = known.filter(|known| reason.is_none_or(|reason| known.reason == reason)) else {
        return Ok(false);
    };
    let (session, template, language) = breaker_key(scope);
    tx.conn
        .prepare_cached(
            "DELETE FROM breaker WHERE tenant = ?1 AND session = ?2 AND template = ?3 AND language = ?4",
        )?
        .execute(params![tenant.as_bytes(), session.as_bytes(), template, language])?;
    if !is_open(&known, tx.now) {
        return Ok(false);
    }
    match scope {
        BreakerScope::Session(session) => {
            changes.event(tenant, EventBody::SessionResumed { session: *session })
        }
        BreakerScope::Template(..) => {}
    }
    Ok(true)
}

pub(super) fn list(snapshot: &Snapshot<'_>, tenant: TenantId) -> Fallible<Vec<Breaker>> {
    let mut statement = snapshot.conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM breaker WHERE tenant = ?1 AND (until IS NULL OR until > ?2) \
         ORDER BY template <> '', session, template, language"
    ))?;
    let rows = statement.query_map(params![tenant.as_bytes(), micros(snapshot.now)], breaker)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The breaker of a scope, if it is open at an instant.
pub(in crate::sqlite) fn open_at(
    conn: &Connection,
    tenant: TenantId,
    scope: &BreakerScope,
    now: DateTime<Utc>,
) -> Fallible<Option<Breaker>> {
    Ok(read(conn, tenant, scope)?.filter(|known| is_open(known, now)))
}

/// The breaker of a scope, also one whose time is over.
fn read(conn: &Connection, tenant: TenantId, scope: &BreakerScope) -> Fallible<Option<Breaker>> {
    let (session, template, language) = breaker_key(scope);
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM breaker \
             WHERE tenant = ?1 AND session = ?2 AND template = ?3 AND language = ?4"
        ))?
        .query_row(params![tenant.as_bytes(), session.as_bytes(), template, language], breaker)
        .optional()?;
    Ok(found)
}

fn put(conn: &Connection, tenant: TenantId, breaker: &Breaker) -> Fallible<()> {
    let Breaker { scope, reason, code, until, since } = breaker;
    let (session, template, language) = breaker_key(scope);
    conn.prepare_cached(&format!(
        "INSERT OR REPLACE INTO breaker (tenant, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    ))?
    .execute(params![
        tenant.as_bytes(),
        session.as_bytes(),
        template,
        language,
        reason.as_str(),
        code,
        opt_micros(*until),
        micros(*since)
    ])?;
    Ok(())
}

fn breaker(row: &Row<'_>) -> rusqlite::Result<Breaker> {
    let session = id(row, 0)?;
    let (template, language): (String, String) = (row.get(1)?, row.get(2)?);
    let scope = if template.is_empty() {
        BreakerScope::Session(session)
    } else {
        let name = template.parse().map_err(|_| undecodable(1))?;
        BreakerScope::Template(session, name, language.parse().map_err(|_| undecodable(2))?)
    };
    Ok(Breaker {
        scope,
        reason: named(row, 3, BreakerReason::from_name)?,
        code: row.get(4)?,
        until: opt_at(row, 5)?,
        since: at(row, 6)?,
    })
}
