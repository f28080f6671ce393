//! A stranger at the room of webhooks and conversations.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Answer, Trespassing};
use crate::model::{ContactId, Conversation, ConversationAction, ConversationId, RawId, SessionId};
use crate::port::store::{
    ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Inbox, KeptRaw, Projected,
    Projection, RawBody, StoredInbound, WindowEntry, WindowFilter, WindowKey, WindowView,
};
use crate::port::{AdminScope, Scope};

#[async_trait]
impl Inbox for Trespassing {
    async fn keep(&self, scope: &AdminScope, bodies: &[RawBody]) -> Answer<Vec<KeptRaw>> {
        self.store.inbox().keep(scope, bodies).await
    }

    async fn unprojected(
        &self,
        scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Answer<Vec<RawBody>> {
        self.store.inbox().unprojected(scope, after, limit).await
    }

    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Answer<Projected> {
        self.store.inbox().project(scope, projections).await
    }

    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Answer<Option<WindowView>> {
        let told = self.store.inbox().window(&self.stranger, session, contact).await;
        self.refused("window", told, &None);
        self.store.inbox().window(scope, session, contact).await
    }

    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Answer<Vec<WindowEntry>> {
        let told = self.store.inbox().windows(&self.stranger, filter, after, limit).await;
        self.refused("windows", told, &vec![]);
        self.store.inbox().windows(scope, filter, after, limit).await
    }

    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Answer<Vec<Conversation>> {
        let told = self.store.inbox().conversations(&self.stranger, filter, after, limit).await;
        self.refused("conversations", told, &vec![]);
        self.store.inbox().conversations(scope, filter, after, limit).await
    }

    async fn conversation(&self, scope: &Scope, id: ConversationId) -> Answer<Option<Conversation>> {
        self.refused("conversation", self.store.inbox().conversation(&self.stranger, id).await, &None);
        self.store.inbox().conversation(scope, id).await
    }

    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Answer<Vec<ConversationMessage>> {
        let told = self.store.inbox().conversation_messages(&self.stranger, id, after, limit).await;
        self.refused("conversation_messages", told, &vec![]);
        self.store.inbox().conversation_messages(scope, id, after, limit).await
    }

    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Answer<Option<Conversation>> {
        for action in [ConversationAction::Close, ConversationAction::MarkRead, ConversationAction::Reopen] {
            let told = self.store.inbox().act_on_conversation(&self.stranger, id, &action).await;
            self.refused("act_on_conversation", told, &None);
        }
        self.store.inbox().act_on_conversation(scope, id, action).await
    }

    async fn inbound(&self, scope: &Scope, after: Option<u64>, limit: u32) -> Answer<Vec<StoredInbound>> {
        self.refused("inbound", self.store.inbox().inbound(&self.stranger, after, limit).await, &vec![]);
        self.store.inbox().inbound(scope, after, limit).await
    }

    async fn prune(&self, scope: &AdminScope, before: DateTime<Utc>) -> Answer<u64> {
        self.store.inbox().prune(scope, before).await
    }
}
