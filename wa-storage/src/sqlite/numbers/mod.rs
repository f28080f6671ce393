//! The room of sessions.

mod attend;
pub(super) mod breakers;
mod lease;

#[cfg(test)]
pub(super) use lease::RECENT;
pub(super) use lease::recent_of;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{
    Breaker, BreakerScope, NewSession, NumberId, Quality, Session, SessionId, SessionReport, SessionSetting,
    SessionState, TemplateKey, TemplateRecord, TenantId, Throughput, Tier, TransportName, micros,
};
use wa_core::port::store::{
    AcquireSessions, AddSession, Attendance, DispatchState, Lease, Numbers, Presence, RecentAttempt, Route,
    StoreError,
};
use wa_core::port::{AdminScope, Scope, WorkerScope};
use wa_core::rules::effects::Topic;

use super::codec::{
    at, id, json, named, opt_at, opt_json, opt_micros, opt_phone, opt_uint, parsed, phone_number, to_json,
    uint, undecodable,
};
use super::directory::tenant_rules;
use super::error::Fallible;
use super::writer::Tx;
use super::{Durability, SqliteStore, page_size};
use crate::common::numbers::{added, learn};

const COLUMNS: &str = "id, transport, number, portfolio, state, throughput, tier, quality, created_at, checked_at, \
     settings, account, phone";

#[async_trait]
impl Numbers for SqliteStore {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Result<AddSession, StoreError> {
        let (tenant, new) = (scope.tenant(), new.clone());
        self.write(Durability::Full, move |tx| add_session(tx, tenant, &new)).await
    }

    async fn session(&self, scope: &Scope, id: SessionId) -> Result<Option<Session>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| session_of(snapshot.conn, tenant, id)).await
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            let mut statement = snapshot.conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM session WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
            ))?;
            let rows = statement
                .query_map(params![tenant.as_bytes(), after, page_size(limit)], |row| session_at(row, 0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Result<Option<Session>, StoreError> {
        let (tenant, report) = (scope.tenant(), report.clone());
        self.write(Durability::Full, move |tx| report_session(tx, tenant, id, &report)).await
    }

    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Result<Option<Session>, StoreError> {
        let (tenant, change) = (scope.tenant(), change.clone());
        self.write(Durability::Full, move |tx| set_session(tx, tenant, id, &change)).await
    }

    async fn route(
        &self,
        _scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Result<Vec<Route>, StoreError> {
        let (transport, number) = (transport.clone(), number.clone());
        self.read(move |snapshot| routes(snapshot.conn, &transport, &number)).await
    }

    async fn attend(&self, _scope: &AdminScope, presence: &Presence) -> Result<Attendance, StoreError> {
        let presence = *presence;
        self.write(Durability::Normal, move |tx| attend::attend(tx, &presence)).await
    }

    async fn acquire(&self, _scope: &AdminScope, ask: &AcquireSessions) -> Result<Vec<Lease>, StoreError> {
        let ask = ask.clone();
        self.write(Durability::Full, move |tx| lease::acquire(tx, &ask)).await
    }

    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Result<Vec<SessionId>, StoreError> {
        let scope = scope.clone();
        self.write(Durability::Normal, move |tx| lease::heartbeat(tx, &scope, lease)).await
    }

    async fn release(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        state: &DispatchState,
    ) -> Result<bool, StoreError> {
        let (scope, state) = (scope.clone(), state.clone());
        self.write(Durability::Normal, move |tx| lease::release(tx, &scope, session, &state)).await
    }

    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<RecentAttempt>, StoreError> {
        let scope = scope.clone();
        self.read(move |snapshot| lease::recent(snapshot, &scope, session, since)).await
    }

    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Result<bool, StoreError> {
        let (tenant, breaker) = (scope.tenant(), breaker.clone());
        self.write(Durability::Full, move |tx| breakers::open(tx, tenant, &breaker)).await
    }

    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Result<bool, StoreError> {
        let (tenant, what) = (scope.tenant(), what.clone());
        self.write(Durability::Full, move |tx| breakers::reset(tx, tenant, &what)).await
    }

    async fn breakers(&self, scope: &Scope) -> Result<Vec<Breaker>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| breakers::list(snapshot, tenant)).await
    }

    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, StoreError> {
        let (tenant, after) = (scope.tenant(), after.cloned());
        self.read(move |snapshot| {
            let (transport, account, name, language) = match &after {
                None => ("", "", "", ""),
                Some(TemplateKey { transport, account, name, language }) => {
                    (transport.as_str(), account.as_str(), name.as_str(), language.as_str())
                }
            };
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT record FROM template WHERE tenant = ?1 \
                 AND (transport, account, name, language) > (?2, ?3, ?4, ?5) \
                 ORDER BY transport, account, name, language LIMIT ?6",
            )?;
            let rows = statement.query_map(
                params![tenant.as_bytes(), transport, account, name, language, page_size(limit)],
                |row| json(row, 0),
            )?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

fn add_session(tx: &Tx<'_>, tenant: TenantId, new: &NewSession) -> Fallible<AddSession> {
    let Some((_, entitlement)) = tenant_rules(tx.conn, tenant)? else { return Ok(AddSession::NoTenant) };
    let known = tx
        .conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM session WHERE transport = ?1 AND number = ?2 AND tenant = ?3"
        ))?
        .query_row(params![new.transport.as_str(), new.number.as_str(), tenant.as_bytes()], |row| {
            session_at(row, 0)
        })
        .optional()?;
    if let Some(mut known) = known {
        if learn(&mut known, new) {
            put_session(tx.conn, &known)?;
        }
        return Ok(AddSession::Known(known));
    }
    if let Some(limit) = entitlement.sessions {
        let has: u32 = tx
            .conn
            .prepare_cached("SELECT count(*) FROM session WHERE tenant = ?1 AND state <> 'deleted'")?
            .query_row(params![tenant.as_bytes()], |row| uint(row, 0))?;
        if has >= limit {
            return Ok(AddSession::OverPlan { limit });
        }
    }
    let session = added(new, tx.now);
    tx.conn
        .prepare_cached(&format!(
            "INSERT INTO session (tenant, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
             ?11, ?12, ?13, ?14)"
        ))?
        .execute(params![
            tenant.as_bytes(),
            session.id.as_bytes(),
            session.transport.as_str(),
            session.number.as_str(),
            session.portfolio,
            session.state.as_str(),
            session.throughput.per_second(),
            session.tier.limit(),
            session.quality.as_str(),
            micros(session.created_at),
            None::<i64>,
            None::<&str>,
            session.account,
            session.phone.map(phone_number)
        ])?;
    tx.conn
        .prepare_cached("INSERT INTO session_lease (session, created_at) VALUES (?1, ?2)")?
        .execute(params![session.id.as_bytes(), micros(tx.now)])?;
    Ok(AddSession::Added(session))
}

fn report_session(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: SessionId,
    report: &SessionReport,
) -> Fallible<Option<Session>> {
    let Some(mut session) = session_of(tx.conn, tenant, id)? else { return Ok(None) };
    session.take_over(report);
    session.checked_at = Some(tx.now);
    put_session(tx.conn, &session)?;
    for topic in Topic::of(report) {
        is_news(tx.conn, id, topic, tx.now)?;
    }
    Ok(Some(session))
}

/// Writes what can change of a session.
pub(super) fn put_session(conn: &Connection, session: &Session) -> Fallible<()> {
    conn.prepare_cached(
        "UPDATE session SET state = ?2, throughput = ?3, tier = ?4, quality = ?5, checked_at = ?6, \
         account = ?7, phone = ?8 WHERE id = ?1",
    )?
    .execute(params![
        session.id.as_bytes(),
        session.state.as_str(),
        session.throughput.per_second(),
        session.tier.limit(),
        session.quality.as_str(),
        opt_micros(session.checked_at),
        session.account,
        session.phone.map(phone_number)
    ])?;
    Ok(())
}

/// Notes news on a topic; whether nothing later was heard on it.
pub(super) fn is_news(
    conn: &Connection,
    session: SessionId,
    topic: Topic,
    at: DateTime<Utc>,
) -> Fallible<bool> {
    let noted = conn
        .prepare_cached(
            "INSERT INTO session_news (session, topic, at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (session, topic) DO UPDATE SET at = excluded.at WHERE excluded.at >= at",
        )?
        .execute(params![session.as_bytes(), topic.as_str(), micros(at)])?;
    Ok(noted > 0)
}

pub(super) const OF_ACCOUNT: &str = "SELECT tenant, id, transport, number, portfolio, state, throughput, tier, \
     quality, created_at, checked_at, settings, account, phone FROM session \
     WHERE transport = ?1 AND account = ?2 AND state <> 'deleted' ORDER BY tenant, id";

/// The sessions of an account under a transport with their tenants, deleted ones left out.
pub(super) fn of_account(
    conn: &Connection,
    transport: &TransportName,
    account: &str,
) -> Fallible<Vec<(TenantId, Session)>> {
    let mut statement = conn.prepare_cached(OF_ACCOUNT)?;
    let rows = statement
        .query_map(params![transport.as_str(), account], |row| Ok((id(row, 0)?, session_at(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn set_session(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: SessionId,
    change: &SessionSetting,
) -> Fallible<Option<Session>> {
    let Some(mut session) = session_of(tx.conn, tenant, id)? else { return Ok(None) };
    session.settings.apply(change);
    tx.conn
        .prepare_cached("UPDATE session SET settings = ?2 WHERE id = ?1")?
        .execute(params![id.as_bytes(), to_json(&session.settings)?])?;
    Ok(Some(session))
}

/// The sessions that stand for a provider's number, deleted ones left out.
pub(super) fn routes(
    conn: &Connection,
    transport: &TransportName,
    number: &NumberId,
) -> Fallible<Vec<Route>> {
    let mut statement = conn.prepare_cached(
        "SELECT tenant, id FROM session WHERE transport = ?1 AND number = ?2 AND state <> 'deleted' \
         ORDER BY tenant",
    )?;
    let rows = statement.query_map(params![transport.as_str(), number.as_str()], |row| {
        Ok(Route { tenant: id(row, 0)?, session: id(row, 1)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A session of a tenant.
pub(super) fn session_of(conn: &Connection, tenant: TenantId, id: SessionId) -> Fallible<Option<Session>> {
    Ok(session_of_any(conn, id)?.filter(|(owner, _)| *owner == tenant).map(|(_, session)| session))
}

/// A session and its tenant, for the engine's reads across tenants.
pub(super) fn session_of_any(conn: &Connection, session: SessionId) -> Fallible<Option<(TenantId, Session)>> {
    let found = conn
        .prepare_cached(&format!("SELECT tenant, {COLUMNS} FROM session WHERE id = ?1"))?
        .query_row(params![session.as_bytes()], |row| Ok((id(row, 0)?, session_at(row, 1)?)))
        .optional()?;
    Ok(found)
}

fn session_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Session> {
    Ok(Session {
        id: id(row, index)?,
        transport: parsed(row, index + 1)?,
        number: parsed(row, index + 2)?,
        portfolio: row.get(index + 3)?,
        state: named(row, index + 4, SessionState::from_name)?,
        throughput: Throughput::try_from(uint::<u32>(row, index + 5)?).map_err(|_| undecodable(index + 5))?,
        tier: Tier::from_limit(opt_uint(row, index + 6)?),
        quality: named(row, index + 7, Quality::from_name)?,
        created_at: at(row, index + 8)?,
        checked_at: opt_at(row, index + 9)?,
        settings: opt_json(row, index + 10)?.unwrap_or_default(),
        account: row.get(index + 11)?,
        phone: opt_phone(row, index + 12)?,
    })
}
