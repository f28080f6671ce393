//! The room of the send protocol.

mod begin;
mod consider;
mod court;
pub(super) mod doubt;
mod due;
pub(super) mod enqueue;
mod failures;
mod feed;
mod listen;
pub(super) mod merge;
mod redrive;
pub(super) mod reserve;
mod settle;
mod sweep;

#[cfg(test)]
pub(super) use {
    begin::HOT as BEGIN_STATEMENTS, begin::JUDGING as JUDGE_STATEMENTS, doubt::HOT as DOUBT_STATEMENTS,
    due::DUE_ROWS, due::HOT as DUE_STATEMENTS, listen::HOT as LISTEN_STATEMENTS,
    redrive::HOT as REDRIVE_STATEMENTS, sweep::HOT as SWEEP_STATEMENTS,
};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{BatchId, Lane, MessageId, Resolution, SessionId, micros};
use wa_core::port::store::{
    Abandoned, AttemptFact, BeginBatch, Begun, CancelMessage, Consider, Considered, DuePage, DueQuery,
    Enqueue, Listened, Outbox, Recover, Recovered, Redrive, Redriven, ResolveMessage, RetryMessage, Settled,
    StoreError, Swept,
};
use wa_core::port::{Scope, WorkerScope};
use wa_core::rules::judge::Judge;

use super::codec::{int, undecodable};
use super::error::Fallible;
use super::{Durability, SqliteStore};
pub(super) use crate::common::begin::KEEP_BATCHES;
pub(super) use crate::common::lane_rank;
pub(super) use sweep::give_up;

#[async_trait]
impl Outbox for SqliteStore {
    async fn enqueue(
        &self,
        scope: &Scope,
        message: &wa_core::model::NewMessage,
    ) -> Result<Enqueue, StoreError> {
        let (tenant, message) = (scope.tenant(), message.clone());
        self.write(Durability::Full, move |tx| enqueue::enqueue(tx, tenant, &message)).await
    }

    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| enqueue::cancel(tx, tenant, message)).await
    }

    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError> {
        let (scope, ask) = (scope.clone(), ask.clone());
        self.read(move |snapshot| due::due(snapshot, &scope, &ask)).await
    }

    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError> {
        let (scope, batch) = (scope.clone(), batch.clone());
        self.write(Durability::Full, move |tx| begin::begin(tx, &scope, &batch, judge.as_ref())).await
    }

    async fn consider(
        &self,
        scope: &Scope,
        ask: &Consider,
        judge: Arc<dyn Judge>,
    ) -> Result<Considered, StoreError> {
        let (tenant, ask) = (scope.tenant(), ask.clone());
        self.read(move |snapshot| consider::consider(snapshot, tenant, &ask, judge.as_ref())).await
    }

    async fn abandon(&self, _scope: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError> {
        self.write(Durability::Full, move |tx| settle::abandon(tx, batch)).await
    }

    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        let facts = facts.to_vec();
        // An outcome that a power cut takes would leave its attempt in doubt, which is safe. But the
        // begin that follows needs the disk anyway, and calls of one durability share a commit.
        self.write(Durability::Full, move |tx| settle::settle(tx, &facts)).await
    }

    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| redrive::retry(tx, tenant, message)).await
    }

    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError> {
        let (tenant, ask) = (scope.tenant(), ask.clone());
        self.write(Durability::Full, move |tx| redrive::redrive(tx, tenant, &ask)).await
    }

    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError> {
        let scope = scope.clone();
        self.write(Durability::Normal, move |tx| listen::listen(tx, &scope, limit)).await
    }

    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        let scope = scope.clone();
        self.write(Durability::Normal, move |tx| sweep::sweep(tx, &scope, grace)).await
    }

    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError> {
        let (scope, ask) = (scope.clone(), *ask);
        self.write(Durability::Normal, move |tx| doubt::recover(tx, &scope, &ask)).await
    }

    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<ResolveMessage, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| doubt::resolve(tx, tenant, message, resolution)).await
    }
}

/// The lane of a column.
pub(super) fn lane_of(row: &Row<'_>, index: usize) -> rusqlite::Result<Lane> {
    let rank: i64 = row.get(index)?;
    let lane = Lane::ALL.iter().copied().find(|lane| lane_rank(*lane) == rank);
    lane.ok_or_else(|| undecodable(index))
}

/// Whether a scope holds a session at an instant.
pub(super) fn holds(
    conn: &Connection,
    scope: &WorkerScope,
    session: SessionId,
    now: DateTime<Utc>,
) -> Fallible<bool> {
    let Some(epoch) = scope.epoch(session) else { return Ok(false) };
    let found = conn
        .prepare_cached(
            "SELECT 1 FROM session_lease WHERE session = ?1 AND worker = ?2 AND epoch = ?3 AND until > ?4",
        )?
        .query_row(
            params![session.as_bytes(), scope.worker().as_bytes(), int(epoch), micros(now)],
            |_| Ok(()),
        )
        .optional()?;
    Ok(found.is_some())
}
