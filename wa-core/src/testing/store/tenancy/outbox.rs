//! A stranger at the room of the send protocol.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{AttemptKey, BatchId, MessageId, NewMessage, Resolution};
use crate::port::store::{
    Abandoned, AttemptFact, BeginBatch, Begun, CancelMessage, Consider, Considered, DuePage, DueQuery,
    Enqueue, Listened, Outbox, Recover, Recovered, Redrive, Redriven, ResolveMessage, RetryMessage, Settled,
    Swept,
};
use crate::port::{Scope, WorkerScope};
use crate::rules::judge::Judge;

#[async_trait]
impl Outbox for Trespassing {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Answer<Enqueue> {
        let told = self.store.outbox().enqueue(&self.stranger, message).await;
        self.refused("enqueue", told, &Enqueue::NoSession);
        self.store.outbox().enqueue(scope, message).await
    }

    async fn cancel(&self, scope: &Scope, message: MessageId) -> Answer<CancelMessage> {
        let told = self.store.outbox().cancel(&self.stranger, message).await;
        self.refused("cancel", told, &CancelMessage::Missing);
        self.store.outbox().cancel(scope, message).await
    }

    async fn retry(&self, scope: &Scope, message: MessageId) -> Answer<RetryMessage> {
        let told = self.store.outbox().retry(&self.stranger, message).await;
        self.refused("retry", told, &RetryMessage::Missing);
        self.store.outbox().retry(scope, message).await
    }

    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Answer<Redriven> {
        let told = self.store.outbox().redrive(&self.stranger, ask).await;
        self.refused("redrive", told, &Redriven::default());
        self.store.outbox().redrive(scope, ask).await
    }

    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Answer<Listened> {
        let told = self.store.outbox().listen(&self.nobody(), limit).await;
        self.refused("listen", told, &Listened::default());
        self.store.outbox().listen(scope, limit).await
    }

    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Answer<Recovered> {
        let told = self.store.outbox().recover(&self.nobody(), ask).await;
        self.refused("recover", told, &Recovered::default());
        self.store.outbox().recover(scope, ask).await
    }

    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Answer<ResolveMessage> {
        let told = self.store.outbox().resolve(&self.stranger, message, resolution).await;
        self.refused("resolve", told, &ResolveMessage::Missing);
        self.store.outbox().resolve(scope, message, resolution).await
    }

    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Answer<DuePage> {
        let told = self.store.outbox().due(&self.nobody(), ask).await;
        self.refused("due", told.map(|page| (page.messages, page.next_at, page.pace)), &(vec![], None, None));
        self.store.outbox().due(scope, ask).await
    }

    async fn begin(&self, scope: &WorkerScope, batch: &BeginBatch, judge: Arc<dyn Judge>) -> Answer<Begun> {
        let told = self.store.outbox().begin(&self.nobody(), batch, judge.clone()).await;
        // A batch id that is known is known to all workers, as abandon needs it.
        if !matches!(told, Ok(Begun::UsedBatch)) {
            self.refused("begin", told, &Begun::LeaseLost);
        }
        self.store.outbox().begin(scope, batch, judge).await
    }

    async fn consider(&self, scope: &Scope, ask: &Consider, judge: Arc<dyn Judge>) -> Answer<Considered> {
        let told = self.store.outbox().consider(&self.stranger, ask, judge.clone()).await;
        self.refused("consider", told, &Considered::NoSession);
        self.store.outbox().consider(scope, ask, judge).await
    }

    async fn abandon(&self, scope: &WorkerScope, batch: BatchId) -> Answer<Abandoned> {
        // Barring a batch id is not a tenant's business, and any worker may do it.
        self.store.outbox().abandon(scope, batch).await
    }

    async fn settle(&self, facts: &[AttemptFact]) -> Answer<Settled> {
        let tenant = self.stranger.tenant();
        let moved: Vec<AttemptFact> = facts
            .iter()
            .map(|fact| AttemptFact { attempt: AttemptKey { tenant, ..fact.attempt }, ..fact.clone() })
            .collect();
        let told = self.store.outbox().settle(&moved).await.map(|settled| {
            let Settled { changed, unknown, opened, due_at } = settled;
            let all_unknown = moved.iter().all(|fact| unknown.contains(&fact.attempt));
            (changed, all_unknown, opened, due_at)
        });
        self.refused("settle", told, &(vec![], true, vec![], None));
        self.store.outbox().settle(facts).await
    }

    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Answer<Swept> {
        self.refused(
            "sweep",
            self.store.outbox().sweep(&self.nobody(), Duration::ZERO).await,
            &Swept::default(),
        );
        self.store.outbox().sweep(scope, grace).await
    }
}
