//! A stranger at the room of sessions and leases.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Answer, Trespassing};
use crate::model::{
    Breaker, BreakerScope, NewSession, NumberId, Session, SessionId, SessionReport, SessionSetting,
    TemplateKey, TemplateRecord, TransportName,
};
use crate::port::store::{
    AcquireSessions, AddSession, Attendance, DispatchState, Lease, Numbers, Presence, RecentAttempt, Route,
};
use crate::port::{AdminScope, Scope, WorkerScope};

#[async_trait]
impl Numbers for Trespassing {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Answer<AddSession> {
        self.store.numbers().add_session(scope, new).await
    }

    async fn session(&self, scope: &Scope, id: SessionId) -> Answer<Option<Session>> {
        self.refused("session", self.store.numbers().session(&self.stranger, id).await, &None);
        self.store.numbers().session(scope, id).await
    }

    async fn sessions(&self, scope: &Scope, after: Option<SessionId>, limit: u32) -> Answer<Vec<Session>> {
        self.refused("sessions", self.store.numbers().sessions(&self.stranger, after, limit).await, &vec![]);
        self.store.numbers().sessions(scope, after, limit).await
    }

    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Answer<Option<Session>> {
        let told = self.store.numbers().report_session(&self.stranger, id, report).await;
        self.refused("report_session", told, &None);
        self.store.numbers().report_session(scope, id, report).await
    }

    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Answer<Option<Session>> {
        let told = self.store.numbers().set_session(&self.stranger, id, change).await;
        self.refused("set_session", told, &None);
        self.store.numbers().set_session(scope, id, change).await
    }

    async fn route(
        &self,
        scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Answer<Vec<Route>> {
        self.store.numbers().route(scope, transport, number).await
    }

    async fn attend(&self, scope: &AdminScope, presence: &Presence) -> Answer<Attendance> {
        self.store.numbers().attend(scope, presence).await
    }

    async fn acquire(&self, scope: &AdminScope, ask: &AcquireSessions) -> Answer<Vec<Lease>> {
        self.store.numbers().acquire(scope, ask).await
    }

    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Answer<Vec<SessionId>> {
        self.refused("heartbeat", self.store.numbers().heartbeat(&self.nobody(), lease).await, &vec![]);
        self.store.numbers().heartbeat(scope, lease).await
    }

    async fn release(&self, scope: &WorkerScope, session: SessionId, state: &DispatchState) -> Answer<bool> {
        let told = self.store.numbers().release(&self.nobody(), session, state).await;
        self.refused("release", told, &false);
        self.store.numbers().release(scope, session, state).await
    }

    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Answer<Vec<RecentAttempt>> {
        let told = self.store.numbers().recent(&self.nobody(), session, since).await;
        self.refused("recent", told, &vec![]);
        self.store.numbers().recent(scope, session, since).await
    }

    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Answer<bool> {
        let told = self.store.numbers().open_breaker(&self.stranger, breaker).await;
        self.refused("open_breaker", told, &false);
        self.store.numbers().open_breaker(scope, breaker).await
    }

    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Answer<bool> {
        let told = self.store.numbers().reset_breaker(&self.stranger, what).await;
        self.refused("reset_breaker", told, &false);
        self.store.numbers().reset_breaker(scope, what).await
    }

    async fn breakers(&self, scope: &Scope) -> Answer<Vec<Breaker>> {
        self.refused("breakers", self.store.numbers().breakers(&self.stranger).await, &vec![]);
        self.store.numbers().breakers(scope).await
    }

    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Answer<Vec<TemplateRecord>> {
        let told = self.store.numbers().templates(&self.stranger, after, limit).await;
        self.refused("templates", told, &vec![]);
        self.store.numbers().templates(scope, after, limit).await
    }
}
