//! Facts that a broken store gives to the judge.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Consent, Quality, SessionState, TenantSettings};
use crate::rules::judge::{Facts, GroupFacts, Judge, Verdict};
use crate::testing::Flaw;

/// What a judge is told about a group.
pub(in crate::memory) fn admitted(flaw: Option<Flaw>, group: GroupFacts) -> GroupFacts {
    let Some(flaw) = flaw else { return group };
    let mut told = group;
    match flaw {
        Flaw::BeginsForAPausedTenant => told.tenant_paused = false,
        Flaw::BeginsForASuspendedTenant => told.suspended = false,
        Flaw::BeginsOnADisconnectedNumber => told.session = SessionState::Connected,
        Flaw::BeginsSinglesAfterARestore if told.campaign.is_none() => told.awaits_reconcile = false,
        _ => {}
    }
    told
}

/// What a judge says of facts that are not those which are stored.
pub(in crate::memory) fn judged(
    flaw: Option<Flaw>,
    judge: &dyn Judge,
    facts: &Facts<'_>,
    now: DateTime<Utc>,
) -> Verdict {
    let Some(flaw) = flaw else { return judge.judge(facts, now) };
    let mut session = facts.session.clone();
    let mut settings: TenantSettings = facts.settings.clone();
    let mut told = facts.clone();
    match flaw {
        Flaw::BeginsForTheBlocked if told.consent == Consent::Blocked => told.consent = Consent::Allowed,
        Flaw::TakesAllowedForOptedIn if told.consent == Consent::Allowed => told.consent = Consent::OptedIn,
        Flaw::KeepsAWindowOpenForAMinute => {
            told.last_user_message_at = told.last_user_message_at.map(|at| at + TimeDelta::minutes(1));
        }
        Flaw::BeginsInQuietHours => settings.quiet_hours = None,
        Flaw::IgnoresTheRecipientsZone => told.own_zone = None,
        Flaw::IgnoresTheFrequencyCap => settings.frequency_cap = None,
        Flaw::IgnoresSafeMode => settings.safe_mode = None,
        Flaw::SendsMarketingOfABadNumber => session.quality = Quality::Green,
        Flaw::FallsBackToAStoppedTemplate => told.fallback_breaker = None,
        Flaw::PassesTheQuotaByOne => told.quota.used = told.quota.used.saturating_sub(1),
        Flaw::PassesTheTierByOne => told.tier.used = told.tier.used.saturating_sub(1),
        Flaw::TakesASlotForEachMessage => told.tier.has_slot = false,
        Flaw::PassesTheWarmUpByOne => {
            if let Some(warm_up) = &mut told.warm_up {
                warm_up.used = warm_up.used.saturating_sub(1);
            }
        }
        Flaw::IgnoresTheMonthsBudget => told.budget.month = None,
        Flaw::BeginsAtAnUnknownPrice if told.price.book.is_none() => {
            (told.budget.campaign, told.budget.month, told.budget.total) = (None, None, None);
        }
        _ => {}
    }
    (told.session, told.settings) = (&session, &settings);
    judge.judge(&told, now)
}
