//! Inbox: webhook bodies as they came, what they say, and the windows and conversations that follow.

mod conversation;
mod window;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::model::{
    AttemptKey, BatchId, Consent, ContactId, Conversation, ConversationAction, ConversationId, Echo,
    Fingerprint, InboundEvent, InboundMessage, MessageId, MessageState, Preference, RawId, Session,
    SessionId, StatusUpdate, TenantId, TransportName, UserChange,
};
use crate::port::{AdminScope, Scope};

pub use conversation::{
    Assignment, ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Direction,
    Edited, Reacted, StoredInbound, target,
};
pub use window::{WindowEntry, WindowFilter, WindowKey, WindowView};

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
    /// read it as a stop or resume word. An event touches only sessions of the body's own transport and
    /// number; a tag that names an attempt of another one makes it foreign. A deleted session gets no
    /// messages any more, but its attempts still get their statuses. What the provider decides about an
    /// account touches only sessions of the body's transport that were added with that account, and does
    /// what [`rules::effects`](crate::rules::effects) says.
    ///
    /// Of two pieces of news about one thing the later one counts, by the provider's clock, whatever
    /// the order in which they come in.
    ///
    /// - `project_applies_statuses_in_any_order`: every permutation and repetition gives the same state.
    /// - `project_resolves_an_in_doubt_attempt`: a status with the attempt's tag.
    /// - `project_heeds_the_batch_of_a_tag`: begun in another one, the attempt is not meant: it was lost with
    ///   an earlier life of the store, and has its number by chance.
    /// - `project_keeps_an_early_status`: one whose provider id is not known yet is merged once it is.
    /// - `project_is_done_once`: a body projected twice changes nothing the second time.
    /// - `project_opens_a_window`: at the user's own instant; a later one moves it, an earlier one does not.
    /// - `project_keeps_the_chain_in_any_order`: every permutation of user messages gives the same window.
    /// - `project_clamps_a_future_stamp`: to the instant at which the body came in.
    /// - `project_stores_an_inbound_message_once`: by session and provider id.
    /// - `project_stores_every_kind`: body, context, referral and group come back as they came.
    /// - `project_attaches_what_hangs_on_a_message`: edits, deletions and reactions, in any order; the original stays.
    /// - `project_stores_an_echo`: in the conversation of its recipient, once; it opens no window.
    /// - `project_records_a_stop_word`: the consent changes in the same commit, before any later begin.
    /// - `project_orders_words_by_the_users_clock`: the latest stop or resume word counts, whichever comes in last.
    /// - `project_records_a_preference`: stop and resume of marketing; a resume lifts no stop word.
    /// - `project_notes_names`: profile and user name of the latest message are the contact's.
    /// - `project_merges_contacts_by_any_address`: a message that has both addresses of two contacts makes them one, with the lists, windows, conversations and messages of both and the stricter consent; the id that went is an alias.
    /// - `project_follows_a_changed_address`: a changed number or user id moves the contact once; the former address is nobody's, and what was sent to it stays in the conversation.
    /// - `project_takes_the_entry_point_from_a_status`: the end of a free entry point that a webhook names.
    /// - `project_opens_a_conversation`: with the user's first message, and again after it was closed.
    /// - `project_keeps_to_the_account`: an event of an account touches its sessions and no other, and is foreign without one.
    /// - `project_stops_and_resumes_an_account`: a ban, a restriction, a deletion; the latest by the provider's clock counts.
    /// - `project_changes_what_a_number_may`: throughput, quality and messaging limit of the sessions that are meant.
    /// - `project_stops_and_resumes_a_template`: on every session of the account, for as long as the provider says.
    /// - `project_leaves_foreign_numbers_alone`: an event of another transport's number changes nothing and is counted.
    /// - `project_lets_no_event_block_its_siblings`: the others of the batch are applied.
    /// - `project_names_what_the_engine_meters`: changed sessions, and the instants of messages that count to a number's throughput.
    /// - `project_writes_the_journal`: changes of state, inbound messages and consents are in the journal, in the same commit.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError>;

    /// The 24-hour window of a session and a contact, by the store's clock; `None` when the contact never
    /// wrote to it.
    ///
    /// - `window_is_of_one_session`: a message to one number opens no window of another.
    /// - `window_counts_both_ways`: user and business messages since it opened, those that did not arrive left out.
    /// - `window_knows_its_entry_point`: 72 hours from the delivery of the first business message within 24 hours of the referral.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError>;

    /// The tenant's windows, in order of their keys: those that close first come first.
    ///
    /// - `windows_are_paged_by_their_end`: pages neither repeat nor miss a window that did not move, and hold no foreign one.
    /// - `windows_lists_open_ones`: with the filter, those that are not closed by the store's clock, of one session or of all.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, StoreError>;

    /// The tenant's inbound messages and echoes, oldest first by position.
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

    /// The tenant's conversations, latest message first.
    ///
    /// - `conversations_are_paged_latest_first`: pages neither repeat nor miss one that did not move, and hold no foreign one.
    /// - `conversations_are_filtered`: by state, by who looks after them, by session.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError>;

    /// One conversation.
    ///
    /// - `a_foreign_conversation_is_missing`: another tenant's conversation is `None`.
    /// - `a_conversation_shows_its_first_response`: the earliest business message after the user's first one of the round, whatever came in first.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
    ) -> Result<Option<Conversation>, StoreError>;

    /// What was written in a conversation, oldest first: by the user, by the library, and on the
    /// business's own phone. A message of the library stands where its first attempt began.
    ///
    /// - `conversation_messages_are_in_order_of_time`: of all three kinds, paged by key.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, StoreError>;

    /// Does something with a conversation; `None` when there is none. What changed is in the journal, in the
    /// same commit.
    ///
    /// - `a_conversation_is_assigned_closed_and_reopened`: each once; an action that changes nothing tells nothing.
    /// - `a_conversation_counts_what_is_unread`: the user's messages since it was last marked as read.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Result<Option<Conversation>, StoreError>;

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
        /// The batch in which that attempt was begun, if what names it says so.
        batch: Option<BatchId>,
        /// What it says.
        update: StatusUpdate,
    },
    /// A message that a user wrote.
    Message {
        /// The message.
        message: InboundMessage,
        /// The id for its contact, if it is new.
        fresh_contact: ContactId,
        /// What the text says about consent: opted out for a stop word, allowed for a resume word.
        consent: Option<Consent>,
    },
    /// A message that a person typed on the business's own phone.
    Echo {
        /// The message.
        echo: Echo,
        /// The id for its contact, if it is new.
        fresh_contact: ContactId,
    },
    /// A user has other addresses from now on.
    UserChanged {
        /// The change.
        change: UserChange,
    },
    /// What a user wants about marketing.
    Preference {
        /// The will.
        preference: Preference,
        /// The id for its contact, if it is new.
        fresh_contact: ContactId,
    },
    /// What the provider decided about an account, its numbers or its templates.
    Decision {
        /// The event; one of another kind has no effect.
        event: InboundEvent,
    },
    /// Something that this version does not know, or that has no effect.
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
    /// Events of numbers that are not registered under the body's transport, and of accounts without one.
    pub foreign: u64,
    /// Events that this version does not know, or that have no effect.
    pub unknown: u64,
    /// Sessions whose stored values changed, or that were stopped or let go, as they are now; each once.
    pub sessions: Vec<Session>,
    /// When messages went through a number that are not the library's: inbound ones and echoes that were new.
    pub metered: Vec<(SessionId, DateTime<Utc>)>,
}
