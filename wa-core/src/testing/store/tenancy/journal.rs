//! A stranger at the room of events and notices.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Answer, Trespassing};
use crate::model::{Event, EventId, StreamPosition};
use crate::port::store::{Journal, ReaderName};
use crate::port::{AdminScope, Notice, Scope};

#[async_trait]
impl Journal for Trespassing {
    async fn read(&self, scope: &AdminScope, after: StreamPosition, limit: u32) -> Answer<Vec<Event>> {
        self.store.journal().read(scope, after, limit).await
    }

    async fn position(&self, scope: &AdminScope, reader: &ReaderName) -> Answer<StreamPosition> {
        self.store.journal().position(scope, reader).await
    }

    async fn acknowledge(
        &self,
        scope: &AdminScope,
        reader: &ReaderName,
        position: StreamPosition,
    ) -> Answer<()> {
        self.store.journal().acknowledge(scope, reader, position).await
    }

    async fn prune_events(&self, scope: &AdminScope, before: DateTime<Utc>) -> Answer<u64> {
        self.store.journal().prune_events(scope, before).await
    }

    async fn keep_notice(&self, scope: &Scope, notice: &Notice) -> Answer<bool> {
        // It brings a notice of the caller's own; there is nothing foreign to name.
        self.store.journal().keep_notice(scope, notice).await
    }

    async fn notices(&self, scope: &Scope, after: Option<EventId>, limit: u32) -> Answer<Vec<Notice>> {
        self.refused("notices", self.store.journal().notices(&self.stranger, after, limit).await, &vec![]);
        self.store.journal().notices(scope, after, limit).await
    }
}
