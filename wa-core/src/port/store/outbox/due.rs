//! What is due: the question, and pages of messages that wait.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{
    CampaignContent, CampaignId, ContactId, Content, Lane, MessageId, ProviderMessageId, Recipient,
    SessionId, TemplateContent, TenantId, columns_of,
};
use crate::rules::pace::Pace;

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueQuery {
    /// Of this session.
    pub session: SessionId,
    /// Of this lane only, or of both.
    pub lane: Option<Lane>,
    /// At most this many.
    pub limit: u32,
    /// Leave these campaigns out.
    pub skip: Vec<CampaignId>,
    /// Leave the feeds of these campaigns out, but not what waits in rows of its own.
    pub skip_feeds: Vec<CampaignId>,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePage {
    /// The store's time.
    pub at: DateTime<Utc>,
    /// The messages, in the order in which they should begin.
    pub messages: Vec<DueMessage>,
    /// When the next due row of the session and lane comes due, if one waits; also one that is left out.
    pub next_at: Option<DateTime<Utc>>,
    /// How fast the number may go; `None` when the scope does not hold it.
    pub pace: Option<Pace>,
}

/// A message that could begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMessage {
    /// The tenant.
    pub tenant: TenantId,
    /// The message.
    pub id: MessageId,
    /// The number that its next attempt has: 1 + attempts so far.
    pub n: u16,
    /// Its campaign; all messages of a page share one value.
    pub campaign: Option<Arc<CampaignBrief>>,
    /// Its contact, if it belongs to one.
    pub contact: Option<ContactId>,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it says.
    pub body: DueBody,
    /// The message that it quotes.
    pub reply_to: Option<ProviderMessageId>,
    /// What a single message says instead outside the window; a campaign's is in its brief.
    pub fallback: Option<TemplateContent>,
    /// Its lane.
    pub lane: Lane,
    /// Until when it may begin.
    pub valid_until: Option<DateTime<Utc>>,
    /// Where it waits.
    pub source: DueSource,
}

/// What dispatch must know of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignBrief {
    /// The campaign.
    pub id: CampaignId,
    /// What it says.
    pub content: CampaignContent,
    /// What goes instead outside the window.
    pub fallback: Option<CampaignContent>,
    /// The columns whose values each message has, in this order.
    pub columns: Vec<String>,
    /// At most this many messages a second and session.
    pub rate: Option<u32>,
}

impl CampaignBrief {
    /// The brief of a campaign.
    #[must_use]
    pub fn new(
        id: CampaignId,
        content: CampaignContent,
        fallback: Option<CampaignContent>,
        rate: Option<u32>,
    ) -> Self {
        let columns = columns_of(&content, fallback.as_ref());
        Self { id, content, fallback, columns, rate }
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
pub enum DueBody {
    /// The campaign's content, filled with these values.
    Values(Vec<String>),
    /// Its own content.
    Own(Content),
}

impl std::fmt::Debug for DueBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Values(values) => write!(f, "Values(len={})", values.len()),
            Self::Own(content) => write!(f, "Own({content:?})"),
        }
    }
}

/// Where a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueSource {
    /// In its campaign's feed.
    Feed,
    /// In a due row.
    Row,
}
