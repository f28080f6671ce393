//! Messages in doubt: what is sent again by policy, and what somebody says about them.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{MessageId, MessageState, SkipReason, TenantId};

/// Which messages in doubt to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recover {
    /// So long after its end a request may still have been under way.
    pub grace: Duration,
    /// At most this many, those first whose time came first; clamped to 1 ..= 10,000.
    pub limit: u32,
}

/// What became of messages in doubt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Those that wait for another attempt, due at once.
    pub resent: Vec<(TenantId, MessageId)>,
    /// Those that are in doubt for good.
    pub given_up: Vec<(TenantId, MessageId)>,
    /// When the next one is to be looked at; not later than the store's now where some are left.
    pub next_at: Option<DateTime<Utc>>,
}

/// What became of a message about which somebody said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveMessage {
    /// It is not in doubt any more, but in this state.
    Resolved(MessageState),
    /// It waits for another attempt, due at this instant, and stays in doubt until that is decided.
    Requeued(DateTime<Utc>),
    /// It stays in doubt and is not sent again, for this reason.
    Barred(SkipReason),
    /// It is not in doubt: nothing changed. Its state.
    Not(MessageState),
    /// There is no such message.
    Missing,
}
