//! Single messages of a tenant.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::check::{self, SendCheck};
use super::error::KitError;
use super::tenant::TenantHandle;
use crate::model::{
    Content, ContentError, InDoubtPolicy, Lane, MessageId, MessageView, NewMessage, ProviderMessageId,
    Recipient, SendKey, SessionId, TemplateContent,
};
use crate::port::store::{CancelMessage, Enqueue, Prepared};
use crate::port::{Acknowledge, Typing};

/// The messages of one tenant.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, Number}, testing::ScriptedTransport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock);
/// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
/// use wa_core::model::{Content, MessageState, Phone};
/// use wa_core::port::store::CancelMessage;
/// use wa_core::service::Message;
///
/// let tenant = kit.tenants().ensure("acme").await?;
/// let session = tenant.sessions().add(&Number::cloud("100")).await?;
/// let to = Phone::parse("+4915112345678", None)?;
/// let message = Message::new(session.id, to, Content::text("Your table is ready")?).key("table-4".parse()?);
/// let receipt = tenant.messages().send(message.clone()).await?;
/// assert!(tenant.messages().send(message).await?.known); // the key makes it safe to repeat
/// assert_eq!(tenant.messages().get(receipt.id).await?.state, MessageState::Pending);
/// assert_eq!(tenant.messages().cancel(receipt.id).await?, CancelMessage::Cancelled);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a> {
    tenant: &'a TenantHandle,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub(super) session: SessionId,
    pub(super) recipient: Recipient,
    pub(super) content: Content,
    pub(super) reply_to: Option<ProviderMessageId>,
    pub(super) fallback: Option<TemplateContent>,
    pub(super) lane: Lane,
    pub(super) key: Option<SendKey>,
    pub(super) send_at: Option<DateTime<Utc>>,
    pub(super) valid_until: Option<DateTime<Utc>>,
    pub(super) in_doubt: Option<InDoubtPolicy>,
}

/// What became of a message handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub id: MessageId,
    /// Whether the key had brought it in before.
    pub known: bool,
}

impl Message {
    /// A transactional message, to go as soon as the rules allow.
    pub fn new(session: SessionId, recipient: impl Into<Recipient>, content: Content) -> Self {
        Self {
            session,
            recipient: recipient.into(),
            content,
            reply_to: None,
            fallback: None,
            lane: Lane::Transactional,
            key: None,
            send_at: None,
            valid_until: None,
            in_doubt: None,
        }
    }

    /// Makes the call safe to repeat: the same key and message is sent once.
    #[must_use]
    pub fn key(mut self, key: SendKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Shows the message that is answered above this one; a reaction cannot.
    #[must_use]
    pub fn reply_to(mut self, message: ProviderMessageId) -> Self {
        self.reply_to = Some(message);
        self
    }

    /// Gives free-form content a template that goes instead outside the window, where the tenant's
    /// settings say [`OutsideWindow::Fallback`](crate::model::OutsideWindow::Fallback). It quotes nothing,
    /// also where the message is a [reply](Self::reply_to).
    #[must_use]
    pub fn fallback(mut self, template: TemplateContent) -> Self {
        self.fallback = Some(template);
        self
    }

    /// Sets the lane.
    #[must_use]
    pub const fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Not before this instant.
    #[must_use]
    pub const fn send_at(mut self, at: DateTime<Utc>) -> Self {
        self.send_at = Some(at);
        self
    }

    /// Skipped as expired from this instant on; checked when it begins and before each retry.
    #[must_use]
    pub const fn valid_until(mut self, at: DateTime<Utc>) -> Self {
        self.valid_until = Some(at);
        self
    }

    /// What becomes of it should nobody know whether it was sent, whatever the tenant set.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use wa_core::{model::{Content, InDoubtPolicy, Phone, SessionId}, service::Message};
    /// # fn offer(session: SessionId, to: Phone) -> Result<Message, Box<dyn std::error::Error>> {
    /// // Better twice than never.
    /// let after = Duration::from_secs(120);
    /// let code = Message::new(session, to, Content::text("Your code is 123456")?)
    ///     .in_doubt(InDoubtPolicy::ResendAfter { after });
    /// # Ok(code)
    /// # }
    /// # let offered = offer(SessionId::from_uuid(Default::default()), Phone::parse("+4915112345678", None)?)?;
    /// # assert_eq!(offered, offered.clone());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn in_doubt(mut self, policy: InDoubtPolicy) -> Self {
        self.in_doubt = Some(policy);
        self
    }
}

impl<'a> Messages<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    pub(super) const fn tenant(self) -> &'a TenantHandle {
        self.tenant
    }

    /// Takes a message in; it is sent by a running engine.
    ///
    /// # Errors
    /// When the content cannot be sent or a reaction quotes, the key was used for another message, the
    /// session is unknown, or the store fails. When
    /// the store's answer is lost, repeat the call with the same key.
    pub async fn send(self, message: Message) -> Result<Receipt, KitError> {
        let prepared = self.prepare(message)?;
        let outbox = self.tenant.kit.inner.ports.store.outbox();
        match outbox.enqueue(&self.tenant.scope, prepared.message()).await? {
            Enqueue::Queued(id) => {
                prepared.announce();
                Ok(Receipt { id, known: false })
            }
            Enqueue::Known(id) => Ok(Receipt { id, known: true }),
            Enqueue::Different(message) => Err(KitError::KeyTaken { message }),
            Enqueue::NoSession => Err(KitError::NoSession(Some(prepared.message().session))),
        }
    }

    /// Checks a message, so that it can be queued in a transaction of the caller's own: rolled back,
    /// nothing is queued. On `SQLite` by `SqliteStore::transaction`.
    ///
    /// Nothing is stored. Whether the session is the tenant's and the key is free is found out when it
    /// is queued.
    ///
    /// # Errors
    /// When the content cannot be sent, a reaction quotes or its policy's wait is out of range.
    pub fn prepare(self, message: Message) -> Result<Prepared, KitError> {
        let inner = &self.tenant.kit.inner;
        let now = inner.ports.clock.now();
        let Message {
            session,
            recipient,
            content,
            reply_to,
            fallback,
            lane,
            key,
            send_at,
            valid_until,
            in_doubt,
        } = message;
        in_doubt.map_or(Ok(()), InDoubtPolicy::validate)?;
        content.validate()?;
        if reply_to.is_some() && !content.may_quote() {
            return Err(ContentError::ReactionQuotes.into());
        }
        if let Some(template) = &fallback {
            template.validate()?;
        }
        let new = NewMessage {
            id: MessageId::mint(now, inner.ports.draw()),
            session,
            recipient,
            content,
            fallback,
            reply_to,
            lane,
            due_at: send_at.map_or(now, crate::model::whole_micros),
            valid_until: valid_until.map(crate::model::whole_micros),
            key,
            in_doubt,
        };
        let due = inner.due.clone();
        Ok(Prepared::new(self.tenant.id(), new, Arc::new(move || due.raise())))
    }

    /// Whether a message could go now; if not why and until when, and everything that this hangs on.
    ///
    /// Nothing is taken in and nothing is used up. It asks as of now, whatever `send_at` says; what
    /// waits already is not counted.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, Number}, testing::ScriptedTransport};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let clock = Arc::new(SystemClock);
    /// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    /// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
    /// # let tenant = kit.tenants().ensure("acme").await?;
    /// # let session = tenant.sessions().add(&Number::cloud("100")).await?;
    /// use wa_core::model::{Content, Phone};
    /// use wa_core::service::Message;
    /// let to = Phone::parse("+919876543210", None)?;
    /// let check = tenant.messages().check(Message::new(session.id, to, Content::text("Hello")?)).await?;
    /// assert!(!check.can_send());
    /// assert_eq!(check.blocked_reason(), Some("window_closed"));
    /// assert_eq!(check.to_check_send_json()["session"]["isActive"], false);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the session or its transport is unknown, a template is not valid, or the store fails.
    pub async fn check(self, message: Message) -> Result<SendCheck, KitError> {
        if let Content::Template(template) = &message.content {
            template.validate()?;
        }
        if let Some(template) = &message.fallback {
            template.validate()?;
        }
        check::check(self.tenant, &message).await
    }

    /// One message with its attempts.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn get(self, id: MessageId) -> Result<MessageView, KitError> {
        let found = self.tenant.kit.store().reports().message(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoMessage)
    }

    /// Messages of which nobody knows whether they were sent, in order of their ids; `after` is exclusive.
    /// Those that were given up on stay among them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn in_doubt(self, after: Option<MessageId>, limit: u32) -> Result<Vec<MessageView>, KitError> {
        Ok(self.tenant.kit.store().reports().in_doubt(&self.tenant.scope, after, limit).await?)
    }

    /// Cancels a message that has not begun; otherwise says where it is. One in doubt is not sent again by
    /// itself from then on.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn cancel(self, id: MessageId) -> Result<CancelMessage, KitError> {
        match self.tenant.kit.store().outbox().cancel(&self.tenant.scope, id).await? {
            CancelMessage::Missing => Err(KitError::NoMessage),
            outcome @ (CancelMessage::Cancelled | CancelMessage::TooLate(_)) => Ok(outcome),
        }
    }

    /// Marks an inbound message as read, and shows that an answer is being typed if asked to.
    ///
    /// # Errors
    /// When the session is unknown or the provider does not do it.
    pub async fn mark_read(
        self,
        session: SessionId,
        provider_id: impl Into<String>,
        typing: Typing,
    ) -> Result<(), KitError> {
        let (session, transport) = self.tenant.sessions().reach(session).await?;
        let read = Acknowledge { provider_id: provider_id.into(), typing };
        Ok(transport.acknowledge(&session, &read).await?)
    }
}
