//! A process's connection to the store, for what the provider calls back.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::hub::lock;
use super::link::{Link, at_once, flush};
use super::mark::Mark;
use crate::model::{Consent, ContactId, Conversation, ConversationAction, ConversationId, RawId, SessionId};
use crate::port::store::{
    ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Inbox, KeptRaw, Projected,
    ProjectedEvent, Projection, RawBody, Store, StoreError, StoredInbound, WindowEntry, WindowFilter,
    WindowKey, WindowView,
};
use crate::port::{AdminScope, Scope};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Inbox for Link {
    async fn keep(&self, scope: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        let (scope, bodies, disk) = (*scope, bodies.to_vec(), Arc::clone(&self.disk));
        self.call(false, move |store, hub| {
            let kept = at_once(store.inbox().keep(&scope, &bodies))?;
            flush(store, hub, &disk);
            Ok(kept)
        })
        .await
    }
    async fn unprojected(
        &self,
        scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError> {
        let scope = *scope;
        self.call(false, move |store, _| at_once(store.inbox().unprojected(&scope, after, limit))).await
    }
    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError> {
        let (scope, projections, disk) = (*scope, projections.to_vec(), Arc::clone(&self.disk));
        self.call(false, move |store, hub| {
            let left = at_once(store.inbox().unprojected(&scope, None, u32::MAX))?;
            let fresh = |it: &&Projection| left.iter().any(|body| body.id == it.raw);
            let events: Vec<_> = projections.iter().filter(fresh).flat_map(|it| &it.events).collect();
            let projected = at_once(store.inbox().project(&scope, &projections))?;
            for event in events {
                if let ProjectedEvent::Status { attempt: Some(key), batch, update } = event {
                    lock(&hub.audit).heard(hub, *key, *batch, update.fact);
                } else if let ProjectedEvent::Message { message, consent: Some(Consent::OptedOut), .. } =
                    event
                {
                    hub.mark(Mark::StopWord);
                    if let Some(phone) = message.from.phone() {
                        lock(&hub.audit).opts_out(phone);
                    }
                } else if let ProjectedEvent::Status { attempt: None, batch: _, update } = event {
                    let key = lock(&hub.meta).sent_as(&update.provider_id);
                    if let Some(key) = key {
                        lock(&hub.audit).heard(hub, key, None, update.fact);
                    }
                }
            }
            // Inbox transactions outlive a loss of power as begins do.
            flush(store, hub, &disk);
            Ok(projected)
        })
        .await
    }
    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        self.store.inbox().window(scope, session, contact).await
    }
    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        self.store.inbox().inbound(scope, after, limit).await
    }
    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, StoreError> {
        self.store.inbox().windows(scope, filter, after, limit).await
    }
    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.store.inbox().conversations(scope, filter, after, limit).await
    }
    async fn conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        self.store.inbox().conversation(scope, id).await
    }
    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, StoreError> {
        self.store.inbox().conversation_messages(scope, id, after, limit).await
    }
    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Result<Option<Conversation>, StoreError> {
        self.store.inbox().act_on_conversation(scope, id, action).await
    }
    async fn prune(&self, scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.store.inbox().prune(scope, before).await
    }
}
