//! What an owner and an administrator see: the log of a tenant, and all tenants side by side.

use chrono::{DateTime, Utc};

use super::error::KitError;
use super::failures::FailedMessage;
use super::kit::Tenants;
use super::messages::Messages;
use crate::model::{
    CampaignId, MessageId, MessageState, MessageView, SessionId, Tenant, TenantId, UtcOffset,
};
use crate::port::store::{FailureFilter, TrendBy, TrendPoint, TrendQuery};
use crate::rules::rollup;

/// Messages read with one call of the store while a filter looks for those that fit.
const PAGE: u32 = 500;

/// Which messages of a log; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// In this state.
    pub state: Option<MessageState>,
    /// Of this campaign.
    pub campaign: Option<CampaignId>,
    /// From this number.
    pub session: Option<SessionId>,
    /// Tried so often or more often.
    pub attempts: Option<usize>,
}

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Those that fit, latest first.
    pub messages: Vec<MessageView>,
    /// Where the next page starts; `None` when there is nothing before it.
    pub before: Option<MessageId>,
}

/// A tenant as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantOverview {
    /// The tenant.
    pub tenant: Tenant,
    /// What happened in the time asked for, as one sum.
    pub totals: TrendPoint,
    /// Messages that failed in that time after the last retry, in order of their ids; at most so many as
    /// were asked for.
    pub critical: Vec<FailedMessage>,
}

impl LogFilter {
    fn fits(&self, message: &MessageView) -> bool {
        let Self { state, campaign, session, attempts } = self;
        state.is_none_or(|state| message.state == state)
            && campaign.is_none_or(|campaign| message.campaign == Some(campaign))
            && session.is_none_or(|session| message.session == session)
            && attempts.is_none_or(|least| message.attempts.len() >= least)
    }
}

impl TenantOverview {
    /// Of a thousand attempts that were not the first of their message, how many were taken by the provider;
    /// `None` without any.
    #[must_use]
    pub fn retry_success_per_mille(&self) -> Option<u64> {
        let TrendPoint { retried, retries_accepted, .. } = self.totals;
        (retried > 0).then(|| retries_accepted.saturating_mul(1_000) / retried)
    }
}

impl Messages<'_> {
    /// The tenant's messages that fit, latest first; `before` is exclusive. Reads at most 10,000 messages a
    /// call, so a page can be short, or empty, and still have a next one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log(
        self,
        filter: &LogFilter,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<LogPage, KitError> {
        let tenant = self.tenant();
        let most = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        let mut page = LogPage { messages: Vec::new(), before };
        for _ in 0..20 {
            let read = tenant.kit.store().reports().messages(&tenant.scope, page.before, PAGE).await?;
            let ended = read.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for message in read {
                page.before = Some(message.id);
                if filter.fits(&message) {
                    page.messages.push(message);
                    if page.messages.len() >= most {
                        return Ok(page);
                    }
                }
            }
            if ended {
                page.before = None;
                break;
            }
        }
        Ok(page)
    }
}

impl Tenants<'_> {
    /// Tenants side by side, in order of their ids: what each sent from `from` on and before `to` (both are
    /// taken back to a quarter of an hour), and up to `critical` of the messages that failed for good
    /// meanwhile after the last retry. `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn overview(
        self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        critical: u32,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantOverview>, KitError> {
        let mut seen = Vec::new();
        for tenant in self.list(after, limit).await? {
            let handle = self.kit.tenant(tenant.id);
            let ask = TrendQuery { from, to, by: TrendBy::Day(UtcOffset::UTC), session: None };
            let mut totals = TrendPoint::new(rollup::slot(from));
            for point in handle.costs().trend(&ask).await? {
                rollup::add(&mut totals, &point);
            }
            let filter = FailureFilter {
                since: Some(from),
                before: Some(to),
                critical_only: true,
                ..FailureFilter::default()
            };
            let critical = match critical {
                0 => Vec::new(),
                most => handle.messages().failed(&filter, None, most).await?,
            };
            seen.push(TenantOverview { tenant, totals, critical });
        }
        Ok(seen)
    }
}
