//! The send protocol, as a worker goes through it.

use std::sync::Arc;

use super::{START_WITHIN, TIMEOUT, World, must, only, standard};
use crate::model::{AttemptKey, BatchId, MessageId, Outcome, SessionId};
use crate::port::store::{
    AttemptFact, BeginBatch, Begun, BegunAttempt, BegunBatch, DueMessage, DuePage, DueQuery, Settled,
};
use crate::port::{Scope, WorkerScope};
use crate::rules::judge::Judge;

pub(in crate::testing::store) use crate::testing::begin_item as item;

impl World {
    pub(in crate::testing::store) async fn due(&self, own: &WorkerScope, session: SessionId) -> DuePage {
        let ask = DueQuery { session, lane: None, limit: 1_000, skip: Vec::new(), skip_feeds: Vec::new() };
        must(self.outbox().due(own, &ask).await)
    }

    pub(in crate::testing::store) async fn due_ids(
        &self,
        own: &WorkerScope,
        session: SessionId,
    ) -> Vec<MessageId> {
        self.due(own, session).await.messages.iter().map(|message| message.id).collect()
    }

    pub(in crate::testing::store) fn batch(&self, session: SessionId, messages: &[DueMessage]) -> BeginBatch {
        BeginBatch {
            id: self.mint(BatchId::mint),
            session,
            items: messages.iter().map(item).collect(),
            start_within: START_WITHIN,
            timeout: TIMEOUT,
        }
    }

    pub(in crate::testing::store) async fn try_begin(
        &self,
        own: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Begun {
        must(self.outbox().begin(own, batch, judge).await)
    }

    /// Begins a page as one batch, which must be judged.
    pub(in crate::testing::store) async fn begin(
        &self,
        own: &WorkerScope,
        session: SessionId,
        page: &[DueMessage],
        judge: Arc<dyn Judge>,
    ) -> BegunBatch {
        match self.try_begin(own, &self.batch(session, page), judge).await {
            Begun::Done(done) => done,
            other => panic!("the batch is judged: {other:?}"),
        }
    }

    /// Reads what is due and begins it under the standard rules.
    pub(in crate::testing::store) async fn begin_due(
        &self,
        own: &WorkerScope,
        session: SessionId,
    ) -> BegunBatch {
        let page = self.due(own, session).await.messages;
        self.begin(own, session, &page, standard()).await
    }

    /// Takes a message to a fresh phone in and begins it; nothing else may be due.
    pub(in crate::testing::store) async fn begun(
        &self,
        scope: &Scope,
        session: SessionId,
        own: &WorkerScope,
    ) -> BegunAttempt {
        let id = self.single(scope, session).await;
        let attempt = only(self.begin_due(own, session).await.attempts);
        assert_eq!(attempt.key.message, id, "the message that was taken in begins");
        attempt
    }

    pub(in crate::testing::store) fn fact(&self, attempt: AttemptKey, outcome: Outcome) -> AttemptFact {
        AttemptFact { attempt, at: self.now(), outcome, retry_after: None }
    }

    pub(in crate::testing::store) async fn settle(&self, attempt: AttemptKey, outcome: Outcome) -> Settled {
        must(self.outbox().settle(&[self.fact(attempt, outcome)]).await)
    }
}
