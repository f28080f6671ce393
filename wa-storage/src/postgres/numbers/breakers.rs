//! What stops a session or a template until something changes.
//!
//! Invariant: a breaker is read and then written under the lock of its tenant or of its session.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use wa_core::model::{Breaker, BreakerReason, BreakerScope, EventBody, TenantId};
use wa_core::rules::judge::is_open;

use super::session_of;
use crate::common::changes::Changes;
use crate::common::numbers::{announce, breaker_key, differs, tripped};
use crate::postgres::codec::{at, get, id, named, opt_at, ts, undecodable};
use crate::postgres::error::Fallible;
use crate::postgres::tx::Tx;

const COLUMNS: &str = "session, template, language, reason, code, until, since";

/// A caller opens a breaker, or changes an open one.
pub(super) async fn open(tx: &mut Tx, tenant: TenantId, breaker: &Breaker) -> Fallible<bool> {
    let now = tx.now;
    let (session, ..) = breaker_key(&breaker.scope);
    if session_of(tx.conn(), tenant, session).await?.is_none() {
        return Ok(false);
    }
    let known = open_at(tx.conn(), tenant, &breaker.scope, now).await?;
    put(tx.conn(), tenant, breaker).await?;
    let is_news = known.is_none_or(|known| differs(&known, breaker));
    let mut changes = Changes::default();
    if is_news {
        announce(&mut changes, tenant, breaker);
    }
    tx.write(changes).await?;
    Ok(true)
}

/// A refusal opens a breaker, or prolongs an open one; gives it as stored if that is news.
pub(in crate::postgres) async fn trip(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    breaker: Breaker,
) -> Fallible<Option<Breaker>> {
    let now = tx.now;
    let known = open_at(tx.conn(), tenant, &breaker.scope, now).await?;
    let Some((breaker, is_news)) = tripped(known.as_ref(), breaker) else { return Ok(None) };
    put(tx.conn(), tenant, &breaker).await?;
    if is_news {
        announce(changes, tenant, &breaker);
    }
    Ok(Some(breaker).filter(|_| is_news))
}

pub(super) async fn reset(tx: &mut Tx, tenant: TenantId, scope: &BreakerScope) -> Fallible<bool> {
    let mut changes = Changes::default();
    let was_open = remove(tx, &mut changes, tenant, scope, None).await?;
    tx.write(changes).await?;
    Ok(was_open)
}

/// A provider lets go what it stopped; with a reason, only what is stopped for it.
pub(in crate::postgres) async fn close(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    scope: &BreakerScope,
    reason: Option<BreakerReason>,
) -> Fallible<()> {
    remove(tx, changes, tenant, scope, reason).await.map(drop)
}

/// Removes a breaker; whether it was open.
async fn remove(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    scope: &BreakerScope,
    reason: Option<BreakerReason>,
) -> Fallible<bool> {
    let known = read(tx.conn(), tenant, scope).await?;
    let Some(known) = known.filter(|known| reason.is_none_or(|reason| known.reason == reason)) else {
        return Ok(false);
    };
    let (session, template, language) = breaker_key(scope);
    sqlx::query("DELETE FROM breaker WHERE tenant = $1 AND session = $2 AND template = $3 AND language = $4")
        .bind(tenant.as_uuid())
        .bind(session.as_uuid())
        .bind(template)
        .bind(language)
        .execute(tx.conn())
        .await?;
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

pub(super) async fn list(tx: &mut Tx, tenant: TenantId) -> Fallible<Vec<Breaker>> {
    let now = tx.now;
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM breaker WHERE tenant = $1 AND (until IS NULL OR until > $2) \
         ORDER BY template <> '', session, template, language"
    )))
    .bind(tenant.as_uuid())
    .bind(now)
    .try_map(|row: PgRow| breaker(&row))
    .fetch_all(tx.conn())
    .await?;
    Ok(found)
}

/// The breaker of a scope, if it is open at an instant.
pub(in crate::postgres) async fn open_at(
    conn: &mut PgConnection,
    tenant: TenantId,
    scope: &BreakerScope,
    now: DateTime<Utc>,
) -> Fallible<Option<Breaker>> {
    Ok(read(conn, tenant, scope).await?.filter(|known| is_open(known, now)))
}

/// The breaker of a scope, also one whose time is over.
async fn read(conn: &mut PgConnection, tenant: TenantId, scope: &BreakerScope) -> Fallible<Option<Breaker>> {
    let (session, template, language) = breaker_key(scope);
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM breaker \
         WHERE tenant = $1 AND session = $2 AND template = $3 AND language = $4"
    )))
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(template)
    .bind(language)
    .try_map(|row: PgRow| breaker(&row))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

async fn put(conn: &mut PgConnection, tenant: TenantId, breaker: &Breaker) -> Fallible<()> {
    let Breaker { scope, reason, code, until, since } = breaker;
    let (session, template, language) = breaker_key(scope);
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO breaker (tenant, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (tenant, session, template, language) DO UPDATE SET reason = excluded.reason, \
         code = excluded.code, until = excluded.until, since = excluded.since"
    )))
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(template)
    .bind(language)
    .bind(reason.as_str())
    .bind(*code)
    .bind(until.map(ts))
    .bind(ts(*since))
    .execute(conn)
    .await?;
    Ok(())
}

fn breaker(row: &PgRow) -> Result<Breaker, Error> {
    let session = id(row, 0)?;
    let (template, language): (&str, &str) = (get(row, 1)?, get(row, 2)?);
    let scope = if template.is_empty() {
        BreakerScope::Session(session)
    } else {
        let name = template.parse().map_err(|_| undecodable(1))?;
        BreakerScope::Template(session, name, language.parse().map_err(|_| undecodable(2))?)
    };
    Ok(Breaker {
        scope,
        reason: named(row, 3, BreakerReason::from_name)?,
        code: get(row, 4)?,
        until: opt_at(row, 5)?,
        since: at(row, 6)?,
    })
}
