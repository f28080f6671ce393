//! Conversations: what a number and a contact wrote to each other, and who looks after it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{ContactId, SessionId};
use super::message::names;
use super::value::{is_label, text_value};

/// Who looks after a conversation, in the words of the application: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Agent(String);

/// Which conversation: there is one per number and contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConversationId {
    /// The number.
    pub session: SessionId,
    /// The contact.
    pub contact: ContactId,
}

/// Whether somebody has to look after a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationState {
    /// Yes.
    Open,
    /// Not until the user writes again.
    Closed,
}

/// What is kept of a conversation beside its messages.
///
/// A round is what happens from the user's first message until somebody closes the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its state.
    pub state: ConversationState,
    /// Who looks after it.
    pub assigned: Option<Agent>,
    /// The user's messages since it was last read.
    pub unread: u64,
    /// The earliest message that was stored: of the user, or typed on the business's own phone.
    pub started_at: DateTime<Utc>,
    /// The latest such message.
    pub last_message_at: DateTime<Utc>,
    /// The user's earliest message of the present round, by the user's own clock.
    pub first_inbound_at: Option<DateTime<Utc>>,
    /// When it was closed, if it is.
    pub closed_at: Option<DateTime<Utc>>,
}

/// A conversation as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Which.
    pub id: ConversationId,
    /// Its state.
    pub state: ConversationState,
    /// Who looks after it.
    pub assigned: Option<Agent>,
    /// The user's messages since it was last read.
    pub unread: u64,
    /// The latest message of the user, or typed on the business's own phone. Messages of the library
    /// do not move it: a campaign brings no conversation to the top.
    pub last_message_at: DateTime<Utc>,
    /// When the present round began: with the user's first message, or, where the user never wrote,
    /// with the first one that was typed on the business's own phone.
    pub opened_at: DateTime<Utc>,
    /// The user's first message of the present round.
    pub first_inbound_at: Option<DateTime<Utc>>,
    /// The first business message after it: the library's own, unless it is known not to have
    /// arrived, or one that was typed on the business's own phone.
    pub first_response_at: Option<DateTime<Utc>>,
    /// When it was closed, if it is.
    pub closed_at: Option<DateTime<Utc>>,
}

/// What somebody does with a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversationAction {
    /// Gives it to somebody, or to nobody.
    Assign(Option<Agent>),
    /// Closes it.
    Close,
    /// Opens it again; its round goes on.
    Reopen,
    /// Notes that somebody has read it.
    MarkRead,
}

names!(ConversationState { Open = "open", Closed = "closed" });

text_value!(Agent, "an agent", "1 to 200 characters without control characters", is_label);

impl Thread {
    /// The conversation with this thread.
    #[must_use]
    pub fn show(self, id: ConversationId, first_response_at: Option<DateTime<Utc>>) -> Conversation {
        let Self { state, assigned, unread, started_at, last_message_at, first_inbound_at, closed_at } = self;
        Conversation {
            id,
            state,
            assigned,
            unread,
            last_message_at,
            opened_at: first_inbound_at.unwrap_or(started_at),
            first_inbound_at,
            first_response_at,
            closed_at,
        }
    }
}
