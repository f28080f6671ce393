//! Batches to begin, and what became of their messages.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::DueSource;
use crate::model::{
    AttemptKey, BatchId, CampaignId, Category, Chosen, ContactId, HoldReason, Lane, LanguageCode, MessageId,
    Money, Recipient, SessionId, SkipReason, TemplateContent, TemplateName, TenantId,
};

/// A batch to begin: messages of one session, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginBatch {
    /// Its id, never used before.
    pub id: BatchId,
    /// The session.
    pub session: SessionId,
    /// The messages, as [`Outbox::due`](super::Outbox::due) gave them and in its order.
    pub items: Vec<BeginItem>,
    /// How long after the begin a first byte may be written.
    pub start_within: Duration,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A message to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginItem {
    /// The tenant; that of the session.
    pub tenant: TenantId,
    /// The message.
    pub message: MessageId,
    /// The number of the attempt to begin.
    pub n: u16,
    /// Where it waits.
    pub source: DueSource,
    /// Its campaign.
    pub campaign: Option<CampaignId>,
    /// Its contact.
    pub contact: Option<ContactId>,
    /// Who gets it.
    pub recipient: Recipient,
    /// Its lane.
    pub lane: Lane,
    /// What it is charged as.
    pub category: Category,
    /// Whether it needs an open window.
    pub needs_window: bool,
    /// Its template.
    pub template: Option<(TemplateName, LanguageCode)>,
    /// The template that can stand in for it outside the window.
    pub fallback: Option<Alternative>,
    /// Until when it may begin.
    pub valid_until: Option<DateTime<Utc>>,
    /// Why it cannot be sent at all, found when its content was made.
    pub unsendable: Option<SkipReason>,
}

impl BeginItem {
    /// What it is charged as when this content goes.
    #[must_use]
    pub fn category_of(&self, content: Chosen) -> Category {
        self.template_category(content).unwrap_or(self.category)
    }

    /// The category of the template that goes, if one does.
    #[must_use]
    pub fn template_category(&self, content: Chosen) -> Option<Category> {
        match (content, &self.fallback) {
            (Chosen::Fallback, Some(fallback)) => Some(fallback.category),
            (Chosen::Own, _) | (Chosen::Fallback, None) => self.template.as_ref().map(|_| self.category),
        }
    }
}

/// A template that can stand in for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// What it is charged as.
    pub category: Category,
    /// The template.
    pub template: (TemplateName, LanguageCode),
}

impl From<&TemplateContent> for Alternative {
    fn from(template: &TemplateContent) -> Self {
        Self { category: template.category, template: (template.name.clone(), template.language.clone()) }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It was judged and committed.
    Done(BegunBatch),
    /// The session is not held any more; nothing happened.
    LeaseLost,
    /// The batch id is known; nothing happened.
    UsedBatch,
}

/// A committed batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BegunBatch {
    /// The store's time at which it was judged.
    pub at: Option<DateTime<Utc>>,
    /// Attempts to send now, in the order of the items.
    pub attempts: Vec<BegunAttempt>,
    /// Messages put into due rows.
    pub waits: Vec<(MessageId, HoldReason, DateTime<Utc>)>,
    /// Messages closed.
    pub skips: Vec<(MessageId, SkipReason)>,
    /// Groups left where they were.
    pub stopped: Vec<Stopped>,
    /// Messages that were not there to begin.
    pub gone: Vec<MessageId>,
}

/// An attempt that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunAttempt {
    /// The attempt.
    pub key: AttemptKey,
    /// A first byte may be written until then, by the store's clock.
    pub start_by: DateTime<Utc>,
    /// Its request has ended by then.
    pub end_by: DateTime<Utc>,
    /// Which of the message's contents goes.
    pub content: Chosen,
    /// The estimated price, if it is known.
    pub price: Option<Money>,
}

/// A group that may not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The campaign, or `None` for messages without one.
    pub campaign: Option<CampaignId>,
    /// Whether only its feed stays where it is; rows of its own are judged one by one.
    pub feed_only: bool,
    /// Why.
    pub why: HoldReason,
    /// When it is worth asking again, if known.
    pub until: Option<DateTime<Utc>>,
}
