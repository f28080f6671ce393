//! What goes back for another attempt: asks and answers.

use chrono::{DateTime, Utc};

use crate::model::{CampaignId, MessageId, MessageState, SkipReason};
use crate::port::store::FailureFilter;

/// What became of a message that should be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryMessage {
    /// It waits for another attempt, due at this instant.
    Requeued(DateTime<Utc>),
    /// It stays as it is, in this state.
    Not(MessageState),
    /// There is no such message.
    Missing,
}

/// Which messages to put back, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// Which.
    pub of: RedriveOf,
    /// Behind this message.
    pub after: Option<MessageId>,
    /// At most this many; clamped to 1 ..= 10,000.
    pub limit: u32,
}

/// Which messages to put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedriveOf {
    /// Those that failed.
    Failed(FailureFilter),
    /// Those that were skipped.
    Skipped {
        /// For this reason.
        reason: SkipReason,
        /// Of this campaign, or of any and none.
        campaign: Option<CampaignId>,
    },
}

/// What one chunk of a redrive did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Messages that wait again.
    pub requeued: u64,
    /// Messages that fitted and stay as they are: their campaign was cancelled, or their reason is
    /// one that does not pass.
    pub refused: u64,
    /// Where the next chunk starts, or `None` when nothing is left.
    pub next: Option<MessageId>,
}
