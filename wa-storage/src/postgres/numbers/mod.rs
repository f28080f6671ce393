//! The room of sessions.

mod attend;
pub(super) mod breakers;
mod lease;

pub(super) use lease::recent_of;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    Breaker, BreakerScope, NewSession, NumberId, Quality, Session, SessionId, SessionReport, SessionSetting,
    SessionState, TemplateKey, TemplateRecord, TenantId, Throughput, Tier, TransportName,
};
use wa_core::port::store::{
    AcquireSessions, AddSession, Attendance, DispatchState, Lease, News, Numbers, Presence, RecentAttempt,
    Route, StoreError,
};
use wa_core::port::{AdminScope, Scope, WorkerScope};
use wa_core::rules::effects::Topic;

use super::codec::{
    at, get, id, json, named, opt_at, opt_json, opt_phone, opt_uint, parsed, phone_number, text, to_json, ts,
    uint, undecodable,
};
use super::directory::tenant_rules;
use super::error::Fallible;
use super::tx::{Access, Locks, Tx};
use super::{PostgresStore, page_size};
use crate::common::numbers::{added, learn};

/// The columns that [`session_at`] reads, in their order.
pub(super) const SESSION_COLUMNS: &str = "id, transport, number, portfolio, state, throughput, tier, quality, created_at, checked_at, \
     settings, account, phone";

#[async_trait]
impl Numbers for PostgresStore {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Result<AddSession, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = add_session(&mut tx, tenant, new).await;
        tx.end_telling(done, News::Work).await
    }

    async fn session(&self, scope: &Scope, id: SessionId) -> Result<Option<Session>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = session_of(tx.conn(), tenant, id).await;
        tx.close(found).await
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = page(tx.conn(), tenant, after, limit).await;
        tx.close(found).await
    }

    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Result<Option<Session>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = report_session(&mut tx, tenant, id, report).await;
        tx.end(done).await
    }

    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Result<Option<Session>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = set_session(&mut tx, tenant, id, change).await;
        tx.end_telling(done, News::Work).await
    }

    async fn route(
        &self,
        _scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Result<Vec<Route>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = routes(tx.conn(), transport, number).await;
        tx.close(found).await
    }

    async fn attend(&self, _scope: &AdminScope, presence: &Presence) -> Result<Attendance, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let done = attend::attend(&mut tx, presence).await;
        tx.end(done).await
    }

    async fn acquire(&self, _scope: &AdminScope, ask: &AcquireSessions) -> Result<Vec<Lease>, StoreError> {
        self.recognise().await?;
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let done = lease::acquire(&mut tx, ask).await;
        tx.end(done).await
    }

    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Result<Vec<SessionId>, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let done = lease::heartbeat(&mut tx, scope, lease).await;
        tx.end(done).await
    }

    async fn release(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        state: &DispatchState,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let done = lease::release(&mut tx, scope, session, state).await;
        tx.end_telling(done, News::Free).await
    }

    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<RecentAttempt>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = lease::recent(&mut tx, scope, session, since).await;
        tx.close(found).await
    }

    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Result<bool, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = breakers::open(&mut tx, tenant, breaker).await;
        tx.end(done).await
    }

    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Result<bool, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = breakers::reset(&mut tx, tenant, what).await;
        tx.end_telling(done, News::Work).await
    }

    async fn breakers(&self, scope: &Scope) -> Result<Vec<Breaker>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = breakers::list(&mut tx, tenant).await;
        tx.close(found).await
    }

    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = templates(tx.conn(), tenant, after, limit).await;
        tx.close(found).await
    }
}

async fn add_session(tx: &mut Tx, tenant: TenantId, new: &NewSession) -> Fallible<AddSession> {
    let Some((_, entitlement)) = tenant_rules(tx.conn(), tenant).await? else {
        return Ok(AddSession::NoTenant);
    };
    // What is answered is what is stored.
    let portfolio = text(&new.portfolio).into_owned();
    let account = new.account.as_deref().map(|account| text(account).into_owned());
    let new = &NewSession { portfolio, account, ..new.clone() };
    let known = sqlx::query(AssertSqlSafe(format!(
        "SELECT {SESSION_COLUMNS} FROM session WHERE transport = $1 AND number = $2 AND tenant = $3"
    )))
    .bind(new.transport.as_str())
    .bind(new.number.as_str())
    .bind(tenant.as_uuid())
    .try_map(|row: PgRow| session_at(&row, 0))
    .fetch_optional(tx.conn())
    .await?;
    if let Some(mut known) = known {
        if learn(&mut known, new) {
            put_session(tx.conn(), &known).await?;
        }
        return Ok(AddSession::Known(known));
    }
    if let Some(limit) = entitlement.sessions {
        let has: i64 =
            sqlx::query_scalar("SELECT count(*) FROM session WHERE tenant = $1 AND state <> 'deleted'")
                .bind(tenant.as_uuid())
                .fetch_one(tx.conn())
                .await?;
        if has >= i64::from(limit) {
            return Ok(AddSession::OverPlan { limit });
        }
    }
    let session = added(new, tx.now);
    insert(tx.conn(), tenant, &session).await?;
    Ok(AddSession::Added(session))
}

/// Writes a new session, which nobody owns yet.
async fn insert(conn: &mut PgConnection, tenant: TenantId, session: &Session) -> Fallible<()> {
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO session (tenant, {SESSION_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, $14)"
    )))
    .bind(tenant.as_uuid())
    .bind(session.id.as_uuid())
    .bind(session.transport.as_str())
    .bind(session.number.as_str())
    .bind(&session.portfolio)
    .bind(session.state.as_str())
    .bind(i64::from(session.throughput.per_second()))
    .bind(session.tier.limit().map(i64::from))
    .bind(session.quality.as_str())
    .bind(session.created_at)
    .bind(None::<DateTime<Utc>>)
    .bind(None::<&str>)
    .bind(&session.account)
    .bind(session.phone.map(phone_number))
    .execute(&mut *conn)
    .await?;
    sqlx::query("INSERT INTO session_lease (session, tenant, created_at) VALUES ($1, $2, $3)")
        .bind(session.id.as_uuid())
        .bind(tenant.as_uuid())
        .bind(session.created_at)
        .execute(conn)
        .await?;
    Ok(())
}

async fn page(
    conn: &mut PgConnection,
    tenant: TenantId,
    after: Option<SessionId>,
    limit: u32,
) -> Fallible<Vec<Session>> {
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {SESSION_COLUMNS} FROM session WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3"
    )))
    .bind(tenant.as_uuid())
    .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
    .bind(page_size(limit))
    .try_map(|row: PgRow| session_at(&row, 0))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

async fn report_session(
    tx: &mut Tx,
    tenant: TenantId,
    id: SessionId,
    report: &SessionReport,
) -> Fallible<Option<Session>> {
    let now = tx.now;
    let Some(mut session) = session_of(tx.conn(), tenant, id).await? else { return Ok(None) };
    session.take_over(report);
    session.checked_at = Some(now);
    put_session(tx.conn(), &session).await?;
    for topic in Topic::of(report) {
        is_news(tx.conn(), id, topic, now).await?;
    }
    Ok(Some(session))
}

/// Writes what can change of a session.
pub(super) async fn put_session(conn: &mut PgConnection, session: &Session) -> Fallible<()> {
    sqlx::query(
        "UPDATE session SET state = $2, throughput = $3, tier = $4, quality = $5, checked_at = $6, \
         account = $7, phone = $8 WHERE id = $1",
    )
    .bind(session.id.as_uuid())
    .bind(session.state.as_str())
    .bind(i64::from(session.throughput.per_second()))
    .bind(session.tier.limit().map(i64::from))
    .bind(session.quality.as_str())
    .bind(session.checked_at)
    .bind(session.account.as_deref().map(text))
    .bind(session.phone.map(phone_number))
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes news on a topic; whether nothing later was heard on it.
pub(super) async fn is_news(
    conn: &mut PgConnection,
    session: SessionId,
    topic: Topic,
    at: DateTime<Utc>,
) -> Fallible<bool> {
    let noted = sqlx::query(
        "INSERT INTO session_news AS n (tenant, session, topic, at) \
         SELECT tenant, id, $2, $3 FROM session WHERE id = $1 \
         ON CONFLICT (session, topic) DO UPDATE SET at = excluded.at WHERE excluded.at >= n.at",
    )
    .bind(session.as_uuid())
    .bind(topic.as_str())
    .bind(ts(at))
    .execute(conn)
    .await?;
    Ok(noted.rows_affected() > 0)
}

/// The sessions of an account under a transport with their tenants, deleted ones left out.
pub(super) async fn of_account(
    conn: &mut PgConnection,
    transport: &TransportName,
    account: &str,
) -> Fallible<Vec<(TenantId, Session)>> {
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT tenant, {SESSION_COLUMNS} FROM session WHERE transport = $1 AND account = $2 AND state <> 'deleted' \
         ORDER BY tenant, id"
    )))
    .bind(transport.as_str())
    .bind(text(account))
    .try_map(|row: PgRow| Ok((id(&row, 0)?, session_at(&row, 1)?)))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

async fn set_session(
    tx: &mut Tx,
    tenant: TenantId,
    id: SessionId,
    change: &SessionSetting,
) -> Fallible<Option<Session>> {
    let Some(mut session) = session_of(tx.conn(), tenant, id).await? else { return Ok(None) };
    session.settings.apply(change);
    sqlx::query("UPDATE session SET settings = $3 WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .bind(to_json(&session.settings)?)
        .execute(tx.conn())
        .await?;
    Ok(Some(session))
}

/// The sessions that stand for a provider's number, deleted ones left out.
pub(super) async fn routes(
    conn: &mut PgConnection,
    transport: &TransportName,
    number: &NumberId,
) -> Fallible<Vec<Route>> {
    let found = sqlx::query(
        "SELECT tenant, id FROM session WHERE transport = $1 AND number = $2 AND state <> 'deleted' \
         ORDER BY tenant",
    )
    .bind(transport.as_str())
    .bind(number.as_str())
    .try_map(|row: PgRow| Ok(Route { tenant: id(&row, 0)?, session: id(&row, 1)? }))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// A session of a tenant.
pub(super) async fn session_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: SessionId,
) -> Fallible<Option<Session>> {
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {SESSION_COLUMNS} FROM session WHERE tenant = $1 AND id = $2"
    )))
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .try_map(|row: PgRow| session_at(&row, 0))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// A session and its tenant, for the engine's reads across tenants.
pub(super) async fn session_of_any(
    conn: &mut PgConnection,
    session: SessionId,
) -> Fallible<Option<(TenantId, Session)>> {
    let found =
        sqlx::query(AssertSqlSafe(format!("SELECT tenant, {SESSION_COLUMNS} FROM session WHERE id = $1")))
            .bind(session.as_uuid())
            .try_map(|row: PgRow| Ok((id(&row, 0)?, session_at(&row, 1)?)))
            .fetch_optional(conn)
            .await?;
    Ok(found)
}

/// The templates after a key, in order.
async fn templates(
    conn: &mut PgConnection,
    tenant: TenantId,
    after: Option<&TemplateKey>,
    limit: u32,
) -> Fallible<Vec<TemplateRecord>> {
    let (transport, account, name, language) = match after {
        None => ("", "", "", ""),
        Some(TemplateKey { transport, account, name, language }) => {
            (transport.as_str(), account.as_str(), name.as_str(), language.as_str())
        }
    };
    let found = sqlx::query(
        "SELECT record FROM template WHERE tenant = $1 \
         AND (transport, account, name, language) > ($2, $3, $4, $5) \
         ORDER BY transport, account, name, language LIMIT $6",
    )
    .bind(tenant.as_uuid())
    .bind(transport)
    .bind(text(account))
    .bind(name)
    .bind(language)
    .bind(page_size(limit))
    .try_map(|row: PgRow| json(&row, 0))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// Reads [`SESSION_COLUMNS`], from a column on.
pub(super) fn session_at(row: &PgRow, index: usize) -> Result<Session, Error> {
    Ok(Session {
        id: id(row, index)?,
        transport: parsed(row, index + 1)?,
        number: parsed(row, index + 2)?,
        portfolio: get(row, index + 3)?,
        state: named(row, index + 4, SessionState::from_name)?,
        throughput: Throughput::try_from(uint::<u32>(row, index + 5)?).map_err(|_| undecodable(index + 5))?,
        tier: Tier::from_limit(opt_uint(row, index + 6)?),
        quality: named(row, index + 7, Quality::from_name)?,
        created_at: at(row, index + 8)?,
        checked_at: opt_at(row, index + 9)?,
        settings: opt_json(row, index + 10)?.unwrap_or_default(),
        account: get(row, index + 11)?,
        phone: opt_phone(row, index + 12)?,
    })
}
