//! The room of the send protocol.

mod begin;
mod consider;
mod court;
pub(super) mod doubt;
mod due;
pub(super) mod enqueue;
mod failures;
pub(super) mod give_back;
mod listen;
pub(super) mod merge;
mod redrive;
mod settle;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use wa_core::model::{BatchId, MessageId, NewMessage, Resolution, SessionId};
use wa_core::port::store::{
    Abandoned, AttemptFact, BeginBatch, Begun, CancelMessage, Consider, Considered, DuePage, DueQuery,
    Enqueue, Listened, Outbox, Recover, Recovered, Redrive, Redriven, ResolveMessage, RetryMessage, Settled,
    StoreError, Swept,
};
use wa_core::port::{Scope, WorkerScope};
use wa_core::rules::judge::Judge;

use super::PostgresStore;
use super::error::Fallible;
use super::tx::{Access, Locks};
use crate::common::int;

#[async_trait]
impl Outbox for PostgresStore {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.open(Access::Tenant(tenant)).await?;
        let queued = enqueue::enqueue(tx.conn(), &self.shared.schema, tenant, message).await;
        tx.end(queued).await
    }

    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let cancelled = enqueue::cancel(&mut tx, tenant, message).await;
        tx.end(cancelled).await
    }

    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let page = due::due(&mut tx, scope, ask).await;
        tx.close(page).await
    }

    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError> {
        begin::begin(self, scope, batch, judge).await
    }

    async fn consider(
        &self,
        scope: &Scope,
        ask: &Consider,
        judge: Arc<dyn Judge>,
    ) -> Result<Considered, StoreError> {
        // The slots of a messaging limit are those of every tenant that shares it.
        let mut tx = self.read(Access::Engine).await?;
        let considered = consider::consider(&mut tx, scope.tenant(), ask, judge.as_ref()).await;
        tx.close(considered).await
    }

    async fn abandon(&self, _scope: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError> {
        settle::abandon(self, batch).await
    }

    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        settle::settle(self, facts).await
    }

    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError> {
        redrive::retry(self, scope.tenant(), message).await
    }

    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError> {
        redrive::redrive(self, scope.tenant(), ask).await
    }

    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError> {
        listen::listen(self, scope, limit).await
    }

    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        sweep::sweep(self, scope, grace).await
    }

    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError> {
        doubt::recover(self, scope, ask).await
    }

    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<ResolveMessage, StoreError> {
        doubt::resolve(self, scope.tenant(), message, resolution).await
    }
}

/// Whether a scope holds a session at an instant.
pub(in crate::postgres) async fn holds(
    conn: &mut PgConnection,
    scope: &WorkerScope,
    session: SessionId,
    now: DateTime<Utc>,
) -> Fallible<bool> {
    let Some(epoch) = scope.epoch(session) else { return Ok(false) };
    let found = sqlx::query(
        "SELECT 1 FROM session_lease WHERE session = $1 AND worker = $2 AND epoch = $3 AND until > $4",
    )
    .bind(session.as_uuid())
    .bind(scope.worker().as_uuid())
    .bind(int(epoch))
    .bind(now)
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}
