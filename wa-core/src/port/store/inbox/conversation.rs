//! Conversations as they are asked for, and messages as they are stored.

use chrono::{DateTime, Utc};

use crate::model::{
    Agent, ContactId, Content, ConversationId, ConversationState, InboundBody, InboundContext, InboundKind,
    MessageId, MessageView, Recipient, Referral, SessionId,
};

/// Who wrote a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The user.
    Inbound,
    /// A person of the business, on the business's own phone.
    Echo,
}

/// An inbound message or an echo, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredInbound {
    /// Rises strictly within the tenant.
    pub position: u64,
    /// The session that got it, or that it was sent from.
    pub session: SessionId,
    /// Who wrote it, or whom it went to.
    pub contact: ContactId,
    /// Who wrote it.
    pub direction: Direction,
    /// The user's addresses in it.
    pub from: Recipient,
    /// The provider's message id.
    pub provider_id: String,
    /// When it was written, by the provider's clock, not later than received.
    pub at: DateTime<Utc>,
    /// What it holds, as it came.
    pub body: InboundBody,
    /// What it refers to.
    pub context: Option<InboundContext>,
    /// The advertisement that brought the user here.
    pub referral: Option<Referral>,
    /// The group that it was written in.
    pub group: Option<String>,
    /// What it holds since it was last edited.
    pub edited: Option<Edited>,
    /// When it was deleted by who wrote it; what it held is kept.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The latest reaction of each side, the user's first; one that was taken back is not there.
    pub reactions: Vec<Reacted>,
}

/// What a message holds since it was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// When.
    pub at: DateTime<Utc>,
    /// What it holds now.
    pub body: InboundBody,
}

/// A reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reacted {
    /// Who reacted.
    pub direction: Direction,
    /// When.
    pub at: DateTime<Utc>,
    /// With what.
    pub emoji: String,
}

/// Who looks after the conversations to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// This one.
    To(Agent),
    /// Nobody.
    Nobody,
}

/// Which conversations to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// In this state.
    pub state: Option<ConversationState>,
    /// Looked after by somebody or nobody.
    pub assigned: Option<Assignment>,
    /// Those of one session.
    pub session: Option<SessionId>,
}

/// Where a conversation stands in a list. A message moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationKey {
    /// Its latest message.
    pub last_message_at: DateTime<Utc>,
    /// Which it is.
    pub id: ConversationId,
}

/// Where a message stands in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConversationPlace {
    /// An inbound message or an echo, by its instant and position.
    Heard(DateTime<Utc>, u64),
    /// A message of the library, by its first attempt; behind all that were heard at the same instant.
    Sent(DateTime<Utc>, MessageId),
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversationMessage {
    /// An inbound message or an echo. Edits, deletions and reactions hang on their messages and do not
    /// stand for themselves.
    Heard(Box<StoredInbound>),
    /// A message of the library.
    Sent {
        /// When its first attempt began.
        at: DateTime<Utc>,
        /// The message and what became of it.
        view: Box<MessageView>,
        /// What it says; `None` when it could not be filled in.
        content: Option<Box<Content>>,
        /// The latest reaction of each side.
        reactions: Vec<Reacted>,
    },
}

impl StoredInbound {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> InboundKind {
        self.body.kind()
    }

    /// What was said in words, as it came.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.body.said()
    }

    /// What it holds now: the edited body where there is one; `None` where it was deleted.
    #[must_use]
    pub fn shown(&self) -> Option<&InboundBody> {
        let now = self.edited.as_ref().map_or(&self.body, |edited| &edited.body);
        Some(now).filter(|_| self.revoked_at.is_none())
    }
}

impl ConversationMessage {
    /// Where it stands: what the next page comes after.
    #[must_use]
    pub fn place(&self) -> ConversationPlace {
        match self {
            Self::Heard(heard) => ConversationPlace::Heard(heard.at, heard.position),
            Self::Sent { at, view, content: _, reactions: _ } => ConversationPlace::Sent(*at, view.id),
        }
    }
}

impl ConversationPlace {
    /// The order of places: by instant, what was heard first, then by position or id.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Heard(at, _) | Self::Sent(at, _) => *at,
        }
    }

    /// What places are sorted by.
    #[must_use]
    pub fn rank(&self) -> (DateTime<Utc>, Self) {
        (self.at(), *self)
    }
}

/// The key of a conversation in a list.
impl From<&crate::model::Conversation> for ConversationKey {
    fn from(conversation: &crate::model::Conversation) -> Self {
        Self { last_message_at: conversation.last_message_at, id: conversation.id }
    }
}

impl std::fmt::Debug for StoredInbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredInbound")
            .field("position", &self.position)
            .field("session", &self.session)
            .field("contact", &self.contact)
            .field("direction", &self.direction)
            .field("provider_id", &self.provider_id)
            .field("at", &self.at)
            .field("body", &self.body)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

impl StoredInbound {
    /// The message that this one hangs on, if it is an edit, a deletion or a reaction.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        target(&self.body)
    }

    /// Whether it counts for the window of its author.
    #[must_use]
    pub const fn opens_window(&self) -> bool {
        matches!(self.direction, Direction::Inbound)
            && self.group.is_none()
            && !matches!(self.kind(), InboundKind::Edit | InboundKind::Revoke)
    }

    /// Attaches what hangs on it, in any order; for stores.
    #[must_use]
    pub fn with(mut self, hanging: &[Self]) -> Self {
        let own = || hanging.iter().filter(|it| it.direction == self.direction);
        let edit = own().filter_map(|it| {
            let InboundBody::Edit { target: _, body } = &it.body else { return None };
            Some(((it.at, it.position), body))
        });
        let edited = edit.max_by_key(|(place, _)| *place);
        let edited = edited.map(|((at, _), body)| Edited { at, body: (**body).clone() });
        let revoked_at = own().filter(|it| it.kind() == InboundKind::Revoke).map(|it| it.at).min();
        self.reactions = Reacted::latest(hanging);
        self.edited = edited;
        self.revoked_at = revoked_at;
        self
    }
}

impl Reacted {
    /// The latest reaction of each side among what hangs on a message; one that was taken back is left out.
    #[must_use]
    pub fn latest(hanging: &[StoredInbound]) -> Vec<Self> {
        let of = |direction: Direction| {
            let own = hanging.iter().filter(|it| it.direction == direction);
            let reactions = own.filter_map(|it| {
                let InboundBody::Reaction { target: _, emoji } = &it.body else { return None };
                Some(((it.at, it.position), emoji))
            });
            let ((at, _), emoji) = reactions.max_by_key(|(place, _)| *place)?;
            Some(Self { direction, at, emoji: emoji.clone()? })
        };
        [Direction::Inbound, Direction::Echo].into_iter().filter_map(of).collect()
    }
}

/// The message that a body hangs on, if it is an edit, a deletion or a reaction.
#[must_use]
pub fn target(body: &InboundBody) -> Option<&str> {
    match body {
        InboundBody::Edit { target, body: _ }
        | InboundBody::Revoke { target }
        | InboundBody::Reaction { target, emoji: _ } => Some(target),
        InboundBody::Text { .. }
        | InboundBody::Image(_)
        | InboundBody::Video(_)
        | InboundBody::Audio(_)
        | InboundBody::Voice(_)
        | InboundBody::Document(_)
        | InboundBody::Sticker(_)
        | InboundBody::Location(_)
        | InboundBody::Contacts { .. }
        | InboundBody::Button { .. }
        | InboundBody::InteractiveButton { .. }
        | InboundBody::InteractiveList { .. }
        | InboundBody::Flow { .. }
        | InboundBody::CallPermissionReply { .. }
        | InboundBody::Call
        | InboundBody::Order { .. }
        | InboundBody::Unsupported { .. }
        | InboundBody::Other { .. } => None,
    }
}
