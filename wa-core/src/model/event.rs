//! Events out: what happened, written in the transaction of its cause.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::alert::{CampaignAlert, Undelivered};
use super::breaker::BreakerReason;
use super::campaign::CampaignState;
use super::contact::{Consent, ConsentSource};
use super::content::Category;
use super::conversation::Agent;
use super::doubt::Resolution;
use super::ids::{CampaignId, ContactId, EventId, MessageId, ScheduleId, SessionId, TenantId};
use super::inbound::TemplateEvent;
use super::message::MessageState;
use super::recurrence::Slot;
use super::schedule::{ScheduleState, SkippedRun};
use super::session::{Quality, SessionState, Throughput, Tier};
use super::template::{LanguageCode, TemplateName};

/// Where a reader of the events stands: everything up to and including it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamPosition(pub u64);

/// One journal row: what one transaction did for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Stable over redelivery.
    pub id: EventId,
    /// Rises strictly; no reader sees a later one before an earlier one.
    pub position: StreamPosition,
    /// The tenant.
    pub tenant: TenantId,
    /// When it was written, by the store's clock.
    pub at: DateTime<Utc>,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventBody {
    /// Messages changed their state; one batch, in the order of the changes.
    Messages {
        /// Message and new state.
        changes: Vec<(MessageId, MessageState)>,
    },
    /// Messages failed for good: no attempt can deliver any more and none is scheduled. One batch.
    ///
    /// Early enough to reach their recipients another way. A report of delivery that comes later all
    /// the same is told by `Messages`.
    Undeliverable {
        /// The messages, in the order of the changes.
        failures: Vec<Undelivered>,
    },
    /// A campaign fails more than it should, or was paused for it.
    CampaignAlert {
        /// The campaign.
        campaign: CampaignId,
        /// What was seen.
        alert: CampaignAlert,
    },
    /// The provider took messages and has said nothing about them since.
    Silent {
        /// The number that sent them.
        session: SessionId,
        /// The messages, each told once per attempt.
        messages: Vec<MessageId>,
    },
    /// A number sends and its provider's statuses do not come: connected, but deaf.
    SessionDeaf {
        /// The session.
        session: SessionId,
        /// How many attempts in a row were taken and never heard of.
        silent: u32,
    },
    /// Messages that are in doubt wait for another attempt, by their policy or because somebody said so.
    Resend {
        /// The number that sends them.
        session: SessionId,
        /// The messages.
        messages: Vec<MessageId>,
    },
    /// Messages are in doubt for good: no webhook about them can come any more.
    GivenUp {
        /// The number that sent them.
        session: SessionId,
        /// The messages.
        messages: Vec<MessageId>,
    },
    /// Somebody said what became of a message that was in doubt.
    Resolved {
        /// The message.
        message: MessageId,
        /// What they said.
        resolution: Resolution,
    },
    /// A user wrote.
    Inbound {
        /// The number that got it.
        session: SessionId,
        /// Who wrote.
        contact: ContactId,
        /// The provider's message id.
        provider_id: String,
    },
    /// A campaign moved.
    Campaign {
        /// The campaign.
        campaign: CampaignId,
        /// Its new state.
        state: CampaignState,
    },
    /// A schedule was paused, resumed or ended, by its caller or because no slot is left.
    Schedule {
        /// The schedule.
        schedule: ScheduleId,
        /// Its new state.
        state: ScheduleState,
    },
    /// A slot of a schedule became a campaign.
    ScheduleRun {
        /// The schedule.
        schedule: ScheduleId,
        /// The slot.
        slot: Slot,
        /// The campaign.
        campaign: CampaignId,
    },
    /// Slots of a schedule became no campaign.
    ScheduleSkipped {
        /// The schedule.
        schedule: ScheduleId,
        /// The first of them.
        first: Slot,
        /// How many.
        slots: u64,
        /// Why.
        why: SkippedRun,
    },
    /// A budget has no room for a campaign's next message, so the campaign is paused.
    BudgetSpent {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A contact's consent changed.
    Consent {
        /// The contact.
        contact: ContactId,
        /// The new consent.
        consent: Consent,
        /// What it came from.
        source: ConsentSource,
    },
    /// A session stopped sending.
    SessionStopped {
        /// The session.
        session: SessionId,
        /// Why.
        reason: BreakerReason,
        /// The provider's code.
        code: i64,
    },
    /// A session may send again.
    SessionResumed {
        /// The session.
        session: SessionId,
    },
    /// What a provider says about a session changed; the values are the present ones.
    SessionChanged {
        /// The session.
        session: SessionId,
        /// Its state.
        state: SessionState,
        /// Messages a second.
        throughput: Throughput,
        /// People a day outside windows.
        tier: Tier,
        /// The rating.
        quality: Quality,
    },
    /// A provider said something about a template; `None` where it said nothing about it.
    TemplateChanged {
        /// The provider's id of its account.
        account: String,
        /// Its name.
        name: TemplateName,
        /// Its language.
        language: LanguageCode,
        /// What happened to it.
        status: Option<TemplateEvent>,
        /// Its rating.
        quality: Option<Quality>,
        /// Its category.
        category: Option<Category>,
        /// Whether its parts were edited.
        edited: bool,
    },
    /// A provider said something about an account.
    AccountAlert {
        /// The provider's id of the account.
        account: String,
        /// What, by a stable name in snake case or the provider's own.
        name: String,
        /// More about it, in the provider's words.
        detail: Option<String>,
        /// Whether an operator must act.
        urgent: bool,
    },
    /// A person typed a message on the business's own phone.
    Echo {
        /// The number.
        session: SessionId,
        /// Whom it went to.
        contact: ContactId,
        /// The provider's message id.
        provider_id: String,
    },
    /// Two contacts turned out to be one.
    ContactsMerged {
        /// The contact that stays.
        contact: ContactId,
        /// The id that is an alias of it from now on.
        alias: ContactId,
    },
    /// A contact is reached under another address from now on.
    ContactMoved {
        /// The contact.
        contact: ContactId,
    },
    /// A conversation was opened, for the first time or again.
    ConversationOpened {
        /// The number.
        session: SessionId,
        /// The contact.
        contact: ContactId,
    },
    /// A conversation was closed.
    ConversationClosed {
        /// The number.
        session: SessionId,
        /// The contact.
        contact: ContactId,
    },
    /// A conversation was given to somebody, or to nobody.
    ConversationAssigned {
        /// The number.
        session: SessionId,
        /// The contact.
        contact: ContactId,
        /// Who looks after it now.
        agent: Option<Agent>,
    },
}
