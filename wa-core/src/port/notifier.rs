//! Notices to people: what a tenant should hear about.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{CampaignCounts, CampaignId, EventId, SessionId, TenantId};

/// Tells people. Called at least once per notice; the id is stable, so a receiver can deduplicate.
///
/// # Clauses
/// - `notify_takes_every_kind`: whatever happened is passed on; a kind that is not known gets a plain form.
/// - `notify_keeps_every_word`: advice, names, reasons and figures arrive whole, however long and with any character.
/// - `notify_can_be_repeated`: the same notice twice is not an error and is shown once where the receiver can tell.
/// - `notify_at_once_is_shown_once`: also when it is passed on by several at the same time.
/// - `notify_keeps_tenants_apart`: each notice is shown to its tenant and to no other.
/// - `notify_says_when_it_failed`: a notice that could not be passed on is an error, so that it comes again.
/// - `notify_fails_for_one_tenant_alone`: where those of one tenant cannot be reached, the others hear theirs.
/// - `notify_is_shown_once_after_a_failure`: what was taken before its answer was lost is not shown again.
#[async_trait]
pub trait Notifier: Debug + Send + Sync + 'static {
    /// Passes one notice on.
    ///
    /// # Errors
    /// When it could not be passed on; the engine calls again with the same id.
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError>;
}

const _OBJECT_SAFE: fn(&dyn Notifier) = |_| {};

/// Something that a tenant should hear about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable over redelivery: the id of the event that caused it.
    pub id: EventId,
    /// Who should hear it.
    pub tenant: TenantId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: NoticeKind,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoticeKind {
    /// A campaign began to send.
    CampaignStarted {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A campaign has nothing left to begin.
    CampaignCompleted {
        /// The campaign.
        campaign: CampaignId,
        /// How many of its messages were where when the notice was made.
        #[serde(default)]
        counts: Option<Box<CampaignCounts>>,
    },
    /// More of a campaign's messages fail than the tenant tolerates.
    CampaignFailing {
        /// The campaign.
        campaign: CampaignId,
        /// Messages that failed.
        failed: u64,
        /// Messages that were taken or failed.
        answered: u64,
    },
    /// A campaign was paused: too many of its last messages failed for one reason.
    CampaignPausedForFailures {
        /// The campaign.
        campaign: CampaignId,
        /// The reason, as counted: `failed:<code>`.
        reason: String,
        /// Messages that failed for it lately.
        failed: u64,
        /// Messages that were taken or failed lately.
        answered: u64,
    },
    /// A number sends, and no status about its messages arrives.
    SessionDeaf {
        /// The session.
        session: SessionId,
        /// How many attempts in a row were taken and never heard of.
        silent: u32,
        /// What to do, in plain words.
        advice: String,
    },
    /// A campaign was stopped by a rule.
    CampaignPaused {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A budget has no room for a campaign's next message: raise it and resume the campaign.
    BudgetSpent {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A session stopped sending and needs somebody.
    SessionStopped {
        /// The session.
        session: SessionId,
        /// What to do, in plain words.
        advice: String,
    },
    /// A template was stopped, or will be.
    TemplateStopped {
        /// Its name.
        name: String,
        /// Its language.
        language: String,
        /// What happened to it.
        status: String,
        /// What to do, in plain words.
        advice: String,
    },
    /// A provider says something about an account that somebody must act on.
    AccountAlert {
        /// The provider's id of the account.
        account: String,
        /// What, by a stable name in snake case or the provider's own.
        name: String,
        /// More about it, in the provider's words.
        detail: Option<String>,
        /// What to do, in plain words.
        advice: String,
    },
}

/// A notice that could not be passed on.
#[derive(Debug, thiserror::Error)]
#[error("the notice was not passed on: {what}")]
pub struct NotifyError {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl NotifyError {
    /// Says what could not be done, and why.
    pub fn new(what: impl Into<String>, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source }
    }
}
