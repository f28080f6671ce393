//! Reports: the read side. No method scans messages to draw a number.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Cost, StoreError};
use crate::model::{
    CampaignAlert, CampaignCounts, CampaignId, MessageId, MessageView, RejectClass, SessionId, UtcOffset,
};
use crate::port::Scope;
use crate::rules::failure::Failure;

/// The room of reports.
#[async_trait]
pub trait Reports: Send + Sync {
    /// How many messages of a campaign are where.
    ///
    /// - `counts_equal_a_recount`: at every moment what a recount over `recipients` gives.
    /// - `counts_add_up`: the audience is the sum of the exclusive states.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn counts(&self, scope: &Scope, campaign: CampaignId)
    -> Result<Option<CampaignCounts>, StoreError>;

    /// One message with its attempts.
    ///
    /// - `a_foreign_message_is_missing`: another tenant's message is `None`.
    /// - `a_message_shows_its_chain_of_attempts`: every attempt in order with its facts.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn message(&self, scope: &Scope, id: MessageId) -> Result<Option<MessageView>, StoreError>;

    /// The tenant's messages, latest first: those whose ids lie before `before`.
    ///
    /// - `messages_are_paged_latest_first`: with and without campaign; pages neither repeat nor miss a message, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn messages(
        &self,
        scope: &Scope,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// A campaign's messages, in order of their ids.
    ///
    /// - `recipients_are_paged_by_id`: pages neither repeat nor miss a message, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// Messages of the tenant whose last word is in doubt, in order of their ids.
    ///
    /// - `in_doubt_lists_exactly_those_in_doubt`: resolved ones leave the list.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// Messages of the tenant that failed for good and fit, in order of their ids.
    ///
    /// - `failed_lists_exactly_those_that_fit`: by each part of the filter and all together; what is put back or delivered after all leaves the list.
    /// - `failed_says_why`: the provider's code, title and details, and whether it is critical.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn failed(
        &self,
        scope: &Scope,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// Messages of the tenant that were taken and never heard of, as
    /// [`Outbox::listen`](super::Outbox::listen) found them, in order of their ids.
    ///
    /// - `silent_lists_what_was_never_heard_of`: until a status comes.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn silent(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// The last alert about a campaign, if there was any.
    ///
    /// - `alert_gives_the_last_one`: also after a reopen.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn alert(&self, scope: &Scope, campaign: CampaignId) -> Result<Option<CampaignAlert>, StoreError>;

    /// What happened from `from` on and before `to`, step by step; steps without anything are left out.
    ///
    /// Both ends are taken back to a full quarter of an hour. What became of an attempt is told in the
    /// step in which it was begun, and so is what it costs; a message from a user in that of its instant.
    ///
    /// - `trend_equals_a_recount`: at every moment, by hour and by day of any zone.
    /// - `trend_is_of_one_session_or_all`: a session that is named is told alone.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn trend(&self, scope: &Scope, ask: &TrendQuery) -> Result<Vec<TrendPoint>, StoreError>;
}

/// Which failed messages; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureFilter {
    /// Of this campaign.
    pub campaign: Option<CampaignId>,
    /// Whose last attempt was this number's.
    pub session: Option<SessionId>,
    /// With this code of the provider.
    pub code: Option<i64>,
    /// Of this class.
    pub class: Option<RejectClass>,
    /// Failed at this instant or later, as the last attempt's facts say.
    pub since: Option<DateTime<Utc>>,
    /// Failed before this instant.
    pub before: Option<DateTime<Utc>>,
    /// Only critical ones.
    pub critical_only: bool,
}

impl FailureFilter {
    /// Whether a failed message fits.
    #[must_use]
    pub fn fits(&self, campaign: Option<CampaignId>, session: SessionId, failure: &Failure) -> bool {
        let Self { campaign: of, session: by, code, class, since, before, critical_only } = self;
        of.is_none_or(|of| campaign == Some(of))
            && by.is_none_or(|by| session == by)
            && code.is_none_or(|code| failure.code == Some(code))
            && class.is_none_or(|class| failure.class == Some(class))
            && since.is_none_or(|since| failure.at >= since)
            && before.is_none_or(|before| failure.at < before)
            && (!critical_only || failure.critical)
    }
}

const _OBJECT_SAFE: fn(&dyn Reports) = |_| {};

/// What a trend is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendQuery {
    /// Included.
    pub from: DateTime<Utc>,
    /// Not included.
    pub to: DateTime<Utc>,
    /// How long a step is.
    pub by: TrendBy,
    /// One session, or `None` for all.
    pub session: Option<SessionId>,
}

/// The steps of a trend: full hours or days on a clock that is this far from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrendBy {
    /// Hour by hour.
    Hour(UtcOffset),
    /// Day by day.
    Day(UtcOffset),
}

/// One step of a trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// When the step starts.
    pub from: DateTime<Utc>,
    /// Attempts begun.
    pub begun: u64,
    /// Of these, without an outcome.
    pub attempting: u64,
    /// Of these, taken by the provider and not failed since.
    pub accepted: u64,
    /// Of the accepted: sent, delivered, read or played.
    pub sent: u64,
    /// Of the accepted: delivered, read or played.
    pub delivered: u64,
    /// Of the accepted: read or played.
    pub read: u64,
    /// Of the begun: definitely not delivered.
    pub failed: u64,
    /// Of the begun: in doubt.
    pub in_doubt: u64,
    /// Of the begun: those that were not the first of their message.
    pub retried: u64,
    /// Of these, taken by the provider and not failed since.
    pub retries_accepted: u64,
    /// Messages from users.
    pub inbound: u64,
    /// What the attempts cost.
    pub cost: Cost,
}

impl TrendPoint {
    /// A step in which nothing happened.
    #[must_use]
    pub fn new(from: DateTime<Utc>) -> Self {
        Self {
            from,
            begun: 0,
            attempting: 0,
            accepted: 0,
            sent: 0,
            delivered: 0,
            read: 0,
            failed: 0,
            in_doubt: 0,
            retried: 0,
            retries_accepted: 0,
            inbound: 0,
            cost: Cost::default(),
        }
    }
}
