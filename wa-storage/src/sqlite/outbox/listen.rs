//! Attempts that were taken and never heard of.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{AlertSettings, EventBody, MessageId, SessionId, TenantId, micros};
use wa_core::port::WorkerScope;
use wa_core::port::store::Listened;
use wa_core::rules::silence::{Ear, Heard, hear};

use super::holds;
use crate::common::changes::Changes;
use crate::sqlite::codec::{at, facts, id, uint};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::Fallible;
use crate::sqlite::page_size;
use crate::sqlite::writer::Tx;

const LAST_OF_CHUNK: &str = "SELECT max(begun_at) FROM (SELECT begun_at FROM attempt \
     WHERE session = ?1 AND begun_at > ?2 AND begun_at <= ?3 ORDER BY begun_at LIMIT ?4)";
const CHUNK: &str = "SELECT a.begun_at, a.message, a.n, \
     r.not_sent_at, r.rejected_at, r.accepted_at, r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, \
     r.played_at, r.failed_at, r.released_at, r.code, r.class, r.title, r.details, r.provider_id, r.charge \
     FROM attempt a \
     LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.session = ?1 AND a.begun_at > ?2 AND a.begun_at <= ?3";
const MORE: &str = "SELECT EXISTS (SELECT 1 FROM attempt \
     WHERE session = ?1 AND begun_at > ?2 AND begun_at <= ?3)";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[LAST_OF_CHUNK, CHUNK, MORE];

pub(super) fn listen(tx: &Tx<'_>, scope: &WorkerScope, limit: u32) -> Fallible<Listened> {
    let (mut changes, mut listened) = (Changes::default(), Listened::default());
    for (session, _) in scope.sessions() {
        if holds(tx.conn, scope, session, tx.now)? {
            listen_to(tx, session, limit, &mut changes, &mut listened)?;
        }
    }
    tx.write(changes)?;
    Ok(listened)
}

fn listen_to(
    tx: &Tx<'_>,
    session: SessionId,
    limit: u32,
    changes: &mut Changes,
    listened: &mut Listened,
) -> Fallible<()> {
    let tenant: TenantId = tx
        .conn
        .prepare_cached("SELECT tenant FROM session WHERE id = ?1")?
        .query_row(params![session.as_bytes()], |row| id(row, 0))?;
    let AlertSettings { silent_after_seconds, deaf_after, .. } =
        settings_of(tx.conn, tenant)?.unwrap_or_default().alerts;
    let until = micros(tx.now - TimeDelta::seconds(i64::from(silent_after_seconds)));
    let known: Option<(DateTime<Utc>, Ear)> = tx
        .conn
        .prepare_cached("SELECT upto, silent, deaf FROM listened WHERE session = ?1")?
        .query_row(params![session.as_bytes()], |row| {
            Ok((at(row, 0)?, Ear { silent: uint(row, 1)?, deaf: row.get(2)? }))
        })
        .optional()?;
    let (after, mut ear) = known.map_or((i64::MIN, Ear::default()), |(upto, ear)| (micros(upto), ear));
    let last: Option<i64> = tx
        .conn
        .prepare_cached(LAST_OF_CHUNK)?
        .query_row(params![session.as_bytes(), after, until, page_size(limit)], |row| row.get(0))?;
    let Some(last) = last else { return Ok(()) };
    let mut statement = tx.conn.prepare_cached(CHUNK)?;
    let chunk = statement.query_map(params![session.as_bytes(), after, last], |row| {
        let begun: (DateTime<Utc>, MessageId, u16) = (at(row, 0)?, id(row, 1)?, uint(row, 2)?);
        Ok((begun, hear(&facts(row, 3)?)))
    })?;
    let mut chunk = chunk.collect::<rusqlite::Result<Vec<_>>>()?;
    drop(statement);
    // Those that began together in the order of their ids.
    chunk.sort_by_key(|(begun, _)| *begun);
    let (mut silent, mut became_deaf) = (Vec::new(), false);
    for ((_, message, n), heard) in chunk {
        became_deaf |= ear.listen(heard, deaf_after);
        if heard == Heard::Silence {
            tx.conn
                .prepare_cached("INSERT OR IGNORE INTO silent (tenant, message, n) VALUES (?1, ?2, ?3)")?
                .execute(params![tenant.as_bytes(), message.as_bytes(), n])?;
            silent.push(message);
        }
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO listened (session, upto, silent, deaf) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (session) DO UPDATE SET upto = excluded.upto, silent = excluded.silent, \
             deaf = excluded.deaf",
        )?
        .execute(params![session.as_bytes(), last, ear.silent, ear.deaf])?;
    listened.more |= tx
        .conn
        .prepare_cached(MORE)?
        .query_row(params![session.as_bytes(), last, until], |row| row.get::<_, bool>(0))?;
    listened.silent.extend(silent.iter().map(|message| (tenant, *message)));
    if !silent.is_empty() {
        changes.event(tenant, EventBody::Silent { session, messages: silent });
    }
    if became_deaf {
        listened.deaf.push((tenant, session));
        changes.event(tenant, EventBody::SessionDeaf { session, silent: ear.silent });
    }
    Ok(())
}
