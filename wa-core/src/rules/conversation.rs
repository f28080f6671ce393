//! Conversations: what a message or an agent's action changes.
//!
//! Between two actions the order in which messages become known does not matter: everything that
//! they change is a minimum, a maximum, a sum, or a fact. Only an action and a message depend on
//! each other's order: what comes to be known after a conversation was closed opens it again, however
//! old it is, for nobody has seen it.

use chrono::{DateTime, Utc};

use crate::model::{ConversationAction, ConversationState, InboundKind, Thread};

/// Who wrote a message that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The user.
    User,
    /// A person of the business, on the business's own phone.
    Business,
}

/// What a change of a thread is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was opened, for the first time or again.
    Opened,
    /// It was closed.
    Closed,
    /// Somebody else, or nobody, looks after it.
    Assigned,
}

/// Whether a message asks for somebody's attention: it opens a conversation and counts as unread.
///
/// A reaction, an edit and a deletion hang on another message and ask for none.
#[must_use]
pub const fn asks(kind: InboundKind) -> bool {
    match kind {
        InboundKind::Reaction | InboundKind::Edit | InboundKind::Revoke => false,
        InboundKind::Text
        | InboundKind::Image
        | InboundKind::Video
        | InboundKind::Audio
        | InboundKind::Voice
        | InboundKind::Document
        | InboundKind::Sticker
        | InboundKind::Location
        | InboundKind::Contacts
        | InboundKind::Button
        | InboundKind::InteractiveButton
        | InboundKind::InteractiveList
        | InboundKind::Flow
        | InboundKind::CallPermissionReply
        | InboundKind::Call
        | InboundKind::Order
        | InboundKind::Unsupported
        | InboundKind::Other => true,
    }
}

/// The thread after one more message that asks for attention, and what to tell.
#[must_use]
pub fn heard(known: Option<Thread>, writer: Writer, at: DateTime<Utc>) -> (Thread, Option<Told>) {
    let is_new = known.is_none();
    let mut thread = known.unwrap_or(Thread {
        state: ConversationState::Open,
        assigned: None,
        unread: 0,
        started_at: at,
        last_message_at: at,
        first_inbound_at: None,
        closed_at: None,
    });
    thread.started_at = thread.started_at.min(at);
    thread.last_message_at = thread.last_message_at.max(at);
    let mut opened = is_new;
    match writer {
        Writer::Business => {}
        Writer::User => {
            thread.unread = thread.unread.saturating_add(1);
            if thread.state == ConversationState::Closed {
                thread.state = ConversationState::Open;
                thread.closed_at = None;
                thread.first_inbound_at = None;
                opened = true;
            }
            thread.first_inbound_at = Some(thread.first_inbound_at.map_or(at, |first| first.min(at)));
        }
    }
    (thread, opened.then_some(Told::Opened))
}

/// The thread after an action, and what to tell; an action that changes nothing tells nothing.
#[must_use]
pub fn act(mut thread: Thread, action: &ConversationAction, now: DateTime<Utc>) -> (Thread, Option<Told>) {
    let told = match action {
        ConversationAction::Assign(agent) => {
            let changes = thread.assigned != *agent;
            thread.assigned.clone_from(agent);
            changes.then_some(Told::Assigned)
        }
        ConversationAction::Close => {
            let changes = thread.state != ConversationState::Closed;
            if changes {
                thread.state = ConversationState::Closed;
                thread.closed_at = Some(now);
            }
            changes.then_some(Told::Closed)
        }
        ConversationAction::Reopen => {
            let changes = thread.state != ConversationState::Open;
            thread.state = ConversationState::Open;
            thread.closed_at = None;
            changes.then_some(Told::Opened)
        }
        ConversationAction::MarkRead => {
            thread.unread = 0;
            None
        }
    };
    (thread, told)
}

/// The one thread of two contacts that turned out to be one person; `kept` is that of the contact that stays.
///
/// It is open if one of them is, and its round is the earlier one of those that are open.
#[must_use]
pub fn joined(kept: Thread, other: Thread) -> Thread {
    let open = |thread: &Thread| thread.state == ConversationState::Open;
    let first = |thread: &Thread| thread.first_inbound_at;
    let first_inbound_at = match (open(&kept), open(&other)) {
        (true, true) | (false, false) => first(&kept).into_iter().chain(first(&other)).min(),
        (true, false) => first(&kept),
        (false, true) => first(&other),
    };
    let is_open = open(&kept) || open(&other);
    Thread {
        state: if is_open { ConversationState::Open } else { ConversationState::Closed },
        unread: kept.unread.saturating_add(other.unread),
        started_at: kept.started_at.min(other.started_at),
        last_message_at: kept.last_message_at.max(other.last_message_at),
        first_inbound_at,
        closed_at: if is_open { None } else { kept.closed_at.max(other.closed_at) },
        assigned: kept.assigned.or(other.assigned),
    }
}
