//! Inbox: webhook bodies as they came, and what they say.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::model::{
    AttemptKey, Consent, ContactId, Fingerprint, InboundKind, InboundMessage, MessageId, MessageState, RawId,
    Recipient, SessionId, StatusUpdate, TenantId, TransportName,
};
use crate::port::{AdminScope, Scope};

/// The room of webhooks.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Keeps verified bodies durably; only then may their sender be told 200.
    ///
    /// - `keep_is_durable`: what was kept is there after a reopen, byte for byte.
    /// - `keep_knows_a_repeated_body`: the same transport and bytes give the first id; it is not projected again.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn keep(&self, scope: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError>;

    /// Bodies that were kept and not projected, in order of their ids.
    ///
    /// - `unprojected_gives_what_is_left`: everything kept and not projected, nothing else.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn unprojected(
        &self,
        scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError>;

    /// Applies what bodies say, and marks them projected, in one commit.
    ///
    /// A status is a fact about an attempt, merged as by [`Outbox::settle`](super::Outbox::settle)
    /// with the same consequences. It finds its attempt by the verified tag, else by the provider's
    /// id; one that finds none waits for a settle that brings the id. An inbound message makes or
    /// finds its contact, is stored once, opens the window, and changes the consent if the engine
    /// read it as a stop word. An event touches only sessions of the body's own transport and number;
    /// a tag that names an attempt of another one makes it foreign. A deleted session gets no messages
    /// any more, but its attempts still get their statuses.
    ///
    /// - `project_applies_statuses_in_any_order`: every permutation and repetition gives the same state.
    /// - `project_resolves_an_in_doubt_attempt`: a status with the attempt's tag.
    /// - `project_keeps_an_early_status`: one whose provider id is not known yet is merged once it is.
    /// - `project_is_done_once`: a body projected twice changes nothing the second time.
    /// - `project_opens_a_window`: at the user's own instant; a later one moves it, an earlier one does not.
    /// - `project_clamps_a_future_stamp`: to the instant at which the body came in.
    /// - `project_stores_an_inbound_message_once`: by session and provider id.
    /// - `project_records_a_stop_word`: the consent changes in the same commit, before any later begin.
    /// - `project_leaves_foreign_numbers_alone`: an event of another transport's number changes nothing and is counted.
    /// - `project_lets_no_event_block_its_siblings`: the others of the batch are applied.
    /// - `project_writes_the_journal`: changes of state, inbound messages and consents are in the journal, in the same commit.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError>;

    /// The 24-hour window of a session and a contact; `None` when the contact never wrote to it.
    ///
    /// - `window_is_of_one_session`: a message to one number opens no window of another.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError>;

    /// The tenant's inbound messages, oldest first by position.
    ///
    /// - `inbound_is_paged_by_position`: pages neither repeat nor miss a message, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError>;

    /// Deletes projected bodies received before an instant; returns how many. May take several commits:
    /// what an interruption leaves is deleted by the next call.
    ///
    /// - `prune_keeps_what_is_not_projected`: however old it is.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn prune(&self, scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Inbox) = |_| {};

/// A webhook body as it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct RawBody {
    /// Its id, minted by the kit.
    pub id: RawId,
    /// The transport whose secret verified it.
    pub transport: TransportName,
    /// The bytes.
    pub body: Vec<u8>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
}

impl RawBody {
    /// The digest by which a repeated body is known.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.body)
    }
}

impl std::fmt::Debug for RawBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawBody")
            .field("id", &self.id)
            .field("transport", &self.transport)
            .field("len", &self.body.len())
            .field("received_at", &self.received_at)
            .finish()
    }
}

/// A body that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRaw {
    /// The id under which it is kept.
    pub id: RawId,
    /// Whether it had been kept before.
    pub known: bool,
}

/// What one body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The body.
    pub raw: RawId,
    /// The transport whose secret verified it.
    pub transport: TransportName,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// Its events, in order.
    pub events: Vec<ProjectedEvent>,
}

/// One event, with what the engine found out about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectedEvent {
    /// A status.
    Status {
        /// The attempt that its echoed tag names, if the tag is ours and its signature right.
        attempt: Option<AttemptKey>,
        /// What it says.
        update: StatusUpdate,
    },
    /// A message that a user wrote.
    Message {
        /// The message.
        message: InboundMessage,
        /// The id for its contact, if it is new.
        fresh_contact: ContactId,
        /// What the text says about consent, if it is a stop word.
        consent: Option<Consent>,
    },
    /// Something that this version does not know.
    Unknown {
        /// The provider's name for it.
        field: String,
    },
}

/// What a projection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projected {
    /// Messages whose state changed, with the new one.
    pub changed: Vec<(TenantId, MessageId, MessageState)>,
    /// Inbound messages that were new.
    pub inbound: u64,
    /// Statuses that found no attempt yet.
    pub waiting: u64,
    /// Events of numbers that are not registered under the body's transport.
    pub foreign: u64,
    /// Events that this version does not know.
    pub unknown: u64,
}

/// The 24-hour window of a session and a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowView {
    /// When the user last wrote.
    pub last_user_message_at: DateTime<Utc>,
}

/// An inbound message as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredInbound {
    /// Rises strictly within the tenant.
    pub position: u64,
    /// The session that got it.
    pub session: SessionId,
    /// Who wrote it.
    pub contact: ContactId,
    /// The addresses it came from.
    pub from: Recipient,
    /// The provider's message id.
    pub provider_id: String,
    /// When it was written, by the provider's clock, not later than received.
    pub at: DateTime<Utc>,
    /// What it is.
    pub kind: InboundKind,
    /// The text of a text message.
    pub text: Option<String>,
}

impl std::fmt::Debug for StoredInbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredInbound")
            .field("position", &self.position)
            .field("session", &self.session)
            .field("contact", &self.contact)
            .field("provider_id", &self.provider_id)
            .field("at", &self.at)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
