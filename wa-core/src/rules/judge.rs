//! The judge: whether one message may begin now, with every fact read under the locks.

use std::fmt::Debug;

use chrono::{DateTime, TimeDelta, Utc};

use super::budget::{self, BudgetFacts, BudgetVerdict};
use super::price::{self, PriceFacts};
use super::tier::{self, TierFacts, TierVerdict};
use super::{consent, window};
use crate::model::{
    Breaker, BreakerReason, CampaignState, Consent, Estimate, HoldReason, SessionState, SkipReason,
};
use crate::port::store::{BeginItem, DueSource};

/// Decides inside begin. Pure: the store calls it in its transaction, on a thread of its own if it has one.
pub trait Judge: Debug + Send + Sync + 'static {
    /// Whether a campaign's messages, or those without campaign, may begin at all.
    fn admit(&self, group: &GroupFacts, now: DateTime<Utc>) -> Admission;

    /// Whether one message of an admitted group may begin.
    fn judge(&self, facts: &Facts<'_>, now: DateTime<Utc>) -> Verdict;
}

const _OBJECT_SAFE: fn(&dyn Judge) = |_| {};

/// What is known of a group of messages: those of one campaign, or those without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// Whether the tenant is paused by its settings.
    pub tenant_paused: bool,
    /// Whether billing suspended the tenant.
    pub suspended: bool,
    /// The state of the session.
    pub session: SessionState,
    /// The session's open breaker.
    pub breaker: Option<Breaker>,
    /// The state of the campaign, if it is one.
    pub campaign: Option<CampaignState>,
}

/// Whether a group may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admit,
    /// It stays where it is.
    Refuse {
        /// Why.
        why: HoldReason,
        /// When it is worth asking again, if known.
        until: Option<DateTime<Utc>>,
    },
}

/// What is known of one message.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The message.
    pub item: &'a BeginItem,
    /// The consent of its contact; allowed for a recipient who is no contact.
    pub consent: Consent,
    /// When the user last wrote to the session.
    pub last_user_message_at: Option<DateTime<Utc>>,
    /// The open breaker of its template.
    pub template_breaker: Option<Breaker>,
    /// The portfolio's messaging limit, as this batch has used it so far.
    pub tier: TierFacts,
    /// The plan's quota, as this batch has used it so far.
    pub quota: QuotaFacts,
    /// What its price hangs on.
    pub price: PriceFacts<'a>,
    /// The budgets that it falls under, as this batch has used them so far.
    pub budget: BudgetFacts,
}

/// The state of a plan's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaFacts {
    /// The limit of the month, or `None` for no limit.
    pub limit: Option<u64>,
    /// How much of it is used.
    pub used: u64,
    /// When it starts anew.
    pub resets_at: DateTime<Utc>,
}

/// What becomes of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An attempt begins.
    Send(Grant),
    /// It goes into a due row.
    Wait {
        /// Not before.
        until: DateTime<Utc>,
        /// Why.
        why: HoldReason,
    },
    /// It is closed.
    Skip(SkipReason),
    /// It and all later ones of its feed stay where they are. Never given for a due row.
    Stop {
        /// When it is worth asking again.
        until: DateTime<Utc>,
        /// Why.
        why: HoldReason,
    },
    /// Its campaign is paused, and everything of it stays where it is. A message without campaign waits
    /// for a minute.
    Pause {
        /// Why.
        why: HoldReason,
    },
}

/// What an attempt takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// A slot of the portfolio's messaging limit.
    pub tier_slot: bool,
    /// What it is expected to cost.
    pub price: Estimate,
}

/// The judge that keeps WhatsApp's rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StandardJudge {
    /// How much earlier than its end a window counts as closed.
    pub guard: window::Guard,
}

impl Judge for StandardJudge {
    fn admit(&self, group: &GroupFacts, now: DateTime<Utc>) -> Admission {
        let GroupFacts { tenant_paused, suspended, session, breaker, campaign } = group;
        if *tenant_paused || *suspended {
            return Admission::Refuse { why: HoldReason::TenantPaused, until: None };
        }
        match session {
            SessionState::Connected => {}
            SessionState::Disconnected | SessionState::Banned | SessionState::Deleted => {
                return Admission::Refuse { why: HoldReason::SessionStopped, until: None };
            }
        }
        if let Some(breaker) = breaker.as_ref().filter(|breaker| is_open(breaker, now)) {
            return Admission::Refuse { why: HoldReason::SessionStopped, until: breaker.until };
        }
        match campaign {
            None | Some(CampaignState::Running) => Admission::Admit,
            Some(
                CampaignState::Draft
                | CampaignState::Launching
                | CampaignState::Scheduled
                | CampaignState::Paused
                | CampaignState::NeedsReconcile
                | CampaignState::Completed
                | CampaignState::Cancelled,
            ) => Admission::Refuse { why: HoldReason::CampaignPaused, until: None },
        }
    }

    fn judge(&self, facts: &Facts<'_>, now: DateTime<Utc>) -> Verdict {
        let item = facts.item;
        if let Some(why) = item.unsendable {
            return Verdict::Skip(why);
        }
        if item.valid_until.is_some_and(|until| now >= until) {
            return Verdict::Skip(SkipReason::Expired);
        }
        if let Some(why) = consent::refusal(facts.consent, item.category) {
            return Verdict::Skip(why);
        }
        let open = window::is_open(facts.last_user_message_at, now, self.guard.of(item.lane));
        if item.needs_window && !open {
            return Verdict::Skip(SkipReason::WindowClosed);
        }
        if let Some(breaker) = facts.template_breaker.as_ref().filter(|breaker| is_open(breaker, now)) {
            return hold(item, HoldReason::TemplateStopped, breaker.until, now);
        }
        if facts.quota.limit.is_some_and(|limit| facts.quota.used >= limit) {
            return hold(item, HoldReason::QuotaFull, Some(facts.quota.resets_at), now);
        }
        let tier_slot = match tier::check(&facts.tier, open, now) {
            TierVerdict::Free => false,
            TierVerdict::Take => true,
            TierVerdict::Full { until } => return hold(item, HoldReason::TierFull, Some(until), now),
        };
        let price = price::estimate(&facts.price, item.category, open, now);
        match budget::check(&facts.budget, &price, now) {
            BudgetVerdict::Fits => Verdict::Send(Grant { tier_slot, price }),
            BudgetVerdict::PriceUnknown => hold(item, HoldReason::PriceUnknown, None, now),
            BudgetVerdict::MayFitLater => hold(item, HoldReason::BudgetSpent, None, now),
            BudgetVerdict::Spent if item.campaign.is_some() => {
                Verdict::Pause { why: HoldReason::BudgetSpent }
            }
            BudgetVerdict::Spent => hold(item, HoldReason::BudgetSpent, None, now),
        }
    }
}

/// Holds a message back: a feed stays where it is, a due row waits on its own.
///
/// A due row is asked again after a minute at the latest, so that an upgrade or a lifted pause
/// takes effect soon.
fn hold(item: &BeginItem, why: HoldReason, until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Verdict {
    let soon = now + TimeDelta::minutes(1);
    match item.source {
        DueSource::Feed => Verdict::Stop { until: until.unwrap_or(soon), why },
        DueSource::Row => Verdict::Wait { until: until.map_or(soon, |until| until.min(soon)), why },
    }
}

/// Whether a breaker holds at an instant.
#[must_use]
pub fn is_open(breaker: &Breaker, now: DateTime<Utc>) -> bool {
    breaker.until.is_none_or(|until| now < until)
}

/// What to do about a stopped session, in plain words.
#[must_use]
pub const fn advice(reason: BreakerReason) -> &'static str {
    match reason {
        BreakerReason::Credential => {
            "Give the session a valid access token with the messaging permission, then reset it."
        }
        BreakerReason::Account => {
            "Open the WhatsApp Manager, settle what it asks for, then reset the session."
        }
        BreakerReason::Billing => {
            "Add a valid payment method to the WhatsApp account, then reset the session."
        }
        BreakerReason::TemplatePaused => "Wait until the template is active again, or improve it.",
        BreakerReason::Spam => {
            "People blocked or reported this number: stop marketing, check the audience, wait."
        }
    }
}
