//! The shared inbox of a tenant.

use super::error::KitError;
use super::tenant::TenantHandle;
use crate::model::{Agent, Conversation, ConversationAction, ConversationId};
use crate::port::store::{
    ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, StoredInbound,
};

/// The conversations of one tenant: one per number and contact, from the user's first message on.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::Kit, testing::ScriptedTransport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock);
/// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
/// use wa_core::model::ConversationState;
/// use wa_core::port::store::{Assignment, ConversationFilter};
///
/// let tenant = kit.tenants().ensure("acme").await?;
/// let waiting = ConversationFilter {
///     state: Some(ConversationState::Open),
///     assigned: Some(Assignment::Nobody),
///     ..ConversationFilter::default()
/// };
/// for conversation in tenant.conversations().list(&waiting, None, 50).await? {
///     tenant.conversations().assign(conversation.id, Some("ada".parse()?)).await?;
/// }
/// assert!(tenant.conversations().list(&waiting, None, 50).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Conversations<'a> {
    tenant: &'a TenantHandle,
}

impl<'a> Conversations<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// The conversations, latest message first; `after` is exclusive. One that gets a message meanwhile
    /// moves to the front.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        self,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, KitError> {
        Ok(self.tenant.kit.store().inbox().conversations(&self.tenant.scope, filter, after, limit).await?)
    }

    /// One conversation, with the first response of its present round.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn get(self, id: ConversationId) -> Result<Conversation, KitError> {
        let found = self.tenant.kit.store().inbox().conversation(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoConversation)
    }

    /// What was written, oldest first: by the user, by the library, and on the business's own phone;
    /// `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages(
        self,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, KitError> {
        let inbox = self.tenant.kit.store().inbox();
        Ok(inbox.conversation_messages(&self.tenant.scope, id, after, limit).await?)
    }

    /// The inbound messages and echoes of all conversations, by position; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn heard(self, after: Option<u64>, limit: u32) -> Result<Vec<StoredInbound>, KitError> {
        Ok(self.tenant.kit.store().inbox().inbound(&self.tenant.scope, after, limit).await?)
    }

    /// Gives a conversation to somebody, or to nobody.
    ///
    /// # Errors
    /// When the tenant has no such conversation or the store fails.
    pub async fn assign(self, id: ConversationId, agent: Option<Agent>) -> Result<Conversation, KitError> {
        self.act(id, ConversationAction::Assign(agent)).await
    }

    /// Closes a conversation; the user's next message opens it again.
    ///
    /// # Errors
    /// As [`assign`](Self::assign).
    pub async fn close(self, id: ConversationId) -> Result<Conversation, KitError> {
        self.act(id, ConversationAction::Close).await
    }

    /// Opens a closed conversation again.
    ///
    /// # Errors
    /// As [`assign`](Self::assign).
    pub async fn reopen(self, id: ConversationId) -> Result<Conversation, KitError> {
        self.act(id, ConversationAction::Reopen).await
    }

    /// Notes that somebody has read a conversation. The user is not told; see
    /// [`Messages::mark_read`](super::Messages::mark_read) for that.
    ///
    /// # Errors
    /// As [`assign`](Self::assign).
    pub async fn mark_read(self, id: ConversationId) -> Result<Conversation, KitError> {
        self.act(id, ConversationAction::MarkRead).await
    }

    async fn act(self, id: ConversationId, action: ConversationAction) -> Result<Conversation, KitError> {
        let inbox = self.tenant.kit.store().inbox();
        let changed = inbox.act_on_conversation(&self.tenant.scope, id, &action).await?;
        self.tenant.kit.inner.journal.raise();
        changed.ok_or(KitError::NoConversation)
    }
}
