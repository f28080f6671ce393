//! The judge: whether one message may begin now, with every fact read under the locks.

use std::fmt::Debug;

use chrono::{DateTime, TimeDelta, Utc};

use super::budget::{self, BudgetFacts, BudgetVerdict};
use super::price::{self, PriceFacts};
use super::tier::{self, TierFacts, TierVerdict};
use super::touch::Touch;
use super::warmup::{self, WarmUpFacts};
use super::zones::ZoneSet;
use super::{address, consent, cooldown, fallback, frequency, quality, quiet, retry, window, zones};
use crate::model::{
    AttemptKey, BeyondCap, Breaker, BreakerReason, CampaignState, Category, Chosen, Consent, Estimate,
    HoldReason, Lane, Session, SessionState, SkipReason, TenantSettings,
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
    /// Whether the store was restored and nobody has said yet that it may send.
    pub awaits_reconcile: bool,
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
    /// What its tenant set.
    pub settings: &'a TenantSettings,
    /// The number that it goes from.
    pub session: &'a Session,
    /// The consent of its contact; allowed for a recipient who is no contact.
    pub consent: Consent,
    /// Whether one of the recipient's addresses is on the tenant's suppression list.
    pub suppressed: bool,
    /// The contact's attribute [`time_zone`](super::zones::ATTRIBUTE), where the tenant has quiet hours.
    pub own_zone: Option<String>,
    /// When the user last wrote to the session.
    pub last_user_message_at: Option<DateTime<Utc>>,
    /// The open breaker of its template.
    pub template_breaker: Option<Breaker>,
    /// The open breaker of its fallback's template.
    pub fallback_breaker: Option<Breaker>,
    /// Templates that the recipient got within [`reach`](super::touch::reach), newest first, this batch's included.
    pub touches: &'a [Touch],
    /// The number's warm-up, as this batch has used it so far; `None` without one, or when it is over.
    pub warm_up: Option<WarmUpFacts>,
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
        /// When the reason ends, or may.
        until: DateTime<Utc>,
        /// When it is worth asking again: then, or when something else would be said of the first of
        /// them, so that those behind it have their turn.
        ask_at: DateTime<Utc>,
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
    /// A slot of the portfolio's messaging limit, a new one or a share in the one that its recipient has.
    pub tier_slot: bool,
    /// Which of the message's contents goes.
    pub content: Chosen,
    /// What it is expected to cost.
    pub price: Estimate,
}

/// The judge that keeps WhatsApp's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardJudge {
    /// How much earlier than its end a window counts as closed.
    pub guard: window::Guard,
    /// After how long at the latest a message that is held up by more than itself is looked at again, so
    /// that an upgrade or a lifted pause takes effect soon. Messages of the bulk lane that wait in rows of
    /// their own, of which there may be very many, wait five to ten times as long, each for another time.
    pub recheck: TimeDelta,
}

impl Default for StandardJudge {
    /// The usual guard; held messages are looked at again after a minute.
    fn default() -> Self {
        Self { guard: window::Guard::default(), recheck: TimeDelta::minutes(1) }
    }
}

impl Judge for StandardJudge {
    fn admit(&self, group: &GroupFacts, now: DateTime<Utc>) -> Admission {
        let GroupFacts { awaits_reconcile, tenant_paused, suspended, session, breaker, campaign } = group;
        if *awaits_reconcile {
            return Admission::Refuse { why: HoldReason::NeedsReconcile, until: None };
        }
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
        match self.decide(facts, now) {
            Ok(grant) => Verdict::Send(grant),
            Err(verdict) => verdict,
        }
    }
}

impl StandardJudge {
    /// This judge in a world in which nothing changes but the time: what is held is looked at again when
    /// the reason ends.
    #[cfg(feature = "engine")]
    #[must_use]
    pub(crate) const fn patient(self) -> Self {
        Self { recheck: TimeDelta::days(400), ..self }
    }

    /// Holds a message back: a feed stays where it is, a due row waits on its own. Either is asked again
    /// when the reason ends, and before if something else would then be said of the message; `sent` is
    /// what would go, where quiet hours come before the reason.
    fn hold(
        &self,
        facts: &Facts<'_>,
        sent: Option<Sent>,
        why: HoldReason,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Verdict {
        let item = facts.item;
        match item.source {
            DueSource::Feed => {
                let until = until.unwrap_or(now + self.recheck);
                Verdict::Stop { until, ask_at: self.turns_at(facts, sent, now, until), why }
            }
            DueSource::Row => {
                let latest = now + self.patience_with(item);
                let until = until.map_or(latest, |until| until.min(latest));
                Verdict::Wait { until: self.turns_at(facts, sent, now, until), why }
            }
        }
    }

    /// When the verdict on a message that is held back may change by itself: `until`, or before that when
    /// it gets quiet, its window closes, or its time is over.
    fn turns_at(
        &self,
        facts: &Facts<'_>,
        sent: Option<Sent>,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let item = facts.item;
        let closes = facts.last_user_message_at.map(|at| at + window::LENGTH - self.guard.of(item.lane));
        let ends = closes.into_iter().chain(item.valid_until).filter(|at| *at > now).fold(until, Ord::min);
        let quiet = facts.settings.quiet_hours.as_ref();
        let binding = quiet.zip(sent).filter(|(quiet, sent)| quiet.binds(item.lane, sent.category));
        let gets_quiet =
            binding.and_then(|(quiet, _)| quiet::gets_quiet_at(&quiet.hours, &zones_of(facts), now, ends));
        gets_quiet.map_or(ends, |at| at.min(ends))
    }

    /// How long a message in a row of its own waits at most: asking a crowd again is a write for each of it.
    fn patience_with(&self, item: &BeginItem) -> TimeDelta {
        match item.lane {
            Lane::Transactional => self.recheck,
            Lane::Bulk => {
                let key = AttemptKey { tenant: item.tenant, message: item.message, n: item.n };
                let [spread, ..] = retry::word(key).to_be_bytes();
                self.recheck * 5 + self.recheck * 5 * i32::from(spread) / 256
            }
        }
    }

    /// The rules in their order: what can never go, what may not go to this person, what may not go
    /// now, and last what takes of a limit that others want too.
    fn decide(&self, facts: &Facts<'_>, now: DateTime<Utc>) -> Result<Grant, Verdict> {
        let (item, settings) = (facts.item, facts.settings);
        let open = settings.window_tracking
            && window::is_open(facts.last_user_message_at, now, self.guard.of(item.lane));
        let choice = fallback::choose(item, settings, open);
        let sent = Sent::of(item, choice.unwrap_or_default());
        may_ever_go(facts, sent.category, now).map_err(Verdict::Skip)?;
        let content = choice.map_err(Verdict::Skip)?;
        let breaker = match content {
            Chosen::Own => &facts.template_breaker,
            Chosen::Fallback => &facts.fallback_breaker,
        };
        if let Some(breaker) = breaker.as_ref().filter(|breaker| is_open(breaker, now)) {
            return Err(self.hold(facts, None, HoldReason::TemplateStopped, breaker.until, now));
        }
        if quality::holds(&settings.quality, facts.session.quality, sent.category) {
            return Err(self.hold(facts, None, HoldReason::QualityLow, None, now));
        }
        for_the_recipient(facts, sent, now)?;
        if facts.quota.limit.is_some_and(|limit| facts.quota.used >= limit) {
            return Err(self.hold(
                facts,
                Some(sent),
                HoldReason::QuotaFull,
                Some(facts.quota.resets_at),
                now,
            ));
        }
        if let Some(until) = facts.warm_up.as_ref().and_then(warmup::full_until) {
            return Err(self.hold(facts, Some(sent), HoldReason::WarmUpFull, Some(until), now));
        }
        let tier_slot = match tier::check(&facts.tier, open, now) {
            TierVerdict::Free => tier::relies(&facts.tier, open),
            TierVerdict::Take => true,
            TierVerdict::Full { until } => {
                return Err(self.hold(facts, Some(sent), HoldReason::TierFull, Some(until), now));
            }
        };
        let price = match settings.cost_tracking {
            true => price::estimate(&facts.price, sent.category, open, now),
            false => Estimate::unknown(),
        };
        match budget::check(&facts.budget, &price, now) {
            BudgetVerdict::Fits => Ok(Grant { tier_slot, content, price }),
            BudgetVerdict::PriceUnknown => {
                Err(self.hold(facts, Some(sent), HoldReason::PriceUnknown, None, now))
            }
            BudgetVerdict::Spent if item.campaign.is_some() => {
                Err(Verdict::Pause { why: HoldReason::BudgetSpent })
            }
            BudgetVerdict::MayFitLater | BudgetVerdict::Spent => {
                Err(self.hold(facts, Some(sent), HoldReason::BudgetSpent, None, now))
            }
        }
    }
}

/// What a message is when one of its contents goes.
#[derive(Debug, Clone, Copy)]
struct Sent {
    category: Category,
    template: bool,
}

impl Sent {
    fn of(item: &BeginItem, content: Chosen) -> Self {
        match (content, &item.fallback) {
            (Chosen::Fallback, Some(fallback)) => Self { category: fallback.category, template: true },
            (Chosen::Own, _) | (Chosen::Fallback, None) => {
                Self { category: item.category, template: item.template.is_some() }
            }
        }
    }
}

/// Why a message will not go, now or later.
fn may_ever_go(facts: &Facts<'_>, category: Category, now: DateTime<Utc>) -> Result<(), SkipReason> {
    let (item, settings) = (facts.item, facts.settings);
    if let Some(why) = item.unsendable {
        return Err(why);
    }
    if item.valid_until.is_some_and(|until| now >= until) {
        return Err(SkipReason::Expired);
    }
    if settings.safe_mode.as_ref().is_some_and(|allowed| !address::is_allowed(allowed, &item.recipient)) {
        return Err(SkipReason::NotAllowed);
    }
    if facts.suppressed {
        return Err(SkipReason::Suppressed);
    }
    if let Some(why) = consent::refusal(facts.consent, category) {
        return Err(why);
    }
    if settings.require_opt_in && consent::lacks_opt_in(facts.consent, category) {
        return Err(SkipReason::NotOptedIn);
    }
    Ok(())
}

/// What the recipient got lately, and whether it is a time to write to them.
fn for_the_recipient(facts: &Facts<'_>, sent: Sent, now: DateTime<Utc>) -> Result<(), Verdict> {
    let (item, settings) = (facts.item, facts.settings);
    if let Some(until) = quiet_until(facts, sent.category, now) {
        return Err(wait(item, until, HoldReason::QuietHours, SkipReason::QuietHours));
    }
    if !sent.template {
        return Ok(());
    }
    let cooldown = settings.template_cooldown.as_ref();
    let ends_at = cooldown.and_then(|it| cooldown::ends_at(it, sent.category, item.lane, facts.touches, now));
    if let Some(until) = ends_at {
        return Err(wait(item, until, HoldReason::Cooldown, SkipReason::Cooldown));
    }
    if let Some(cap) = &settings.frequency_cap
        && let Some(until) = frequency::frees_up_at(cap, sent.category, facts.touches, now)
    {
        return Err(match cap.beyond {
            BeyondCap::Skip => Verdict::Skip(SkipReason::FrequencyCap),
            BeyondCap::Wait => wait(item, until, HoldReason::FrequencyCap, SkipReason::FrequencyCap),
        });
    }
    Ok(())
}

/// When the recipient's quiet hours end, if they bind this message and it is quiet now, or would be
/// by the time that it leaves.
#[must_use]
pub fn quiet_until(facts: &Facts<'_>, category: Category, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let quiet = facts.settings.quiet_hours.as_ref()?;
    if !quiet.binds(facts.item.lane, category) {
        return None;
    }
    quiet::begins_at(&quiet.hours, &zones_of(facts), now)
}

/// The zones in which the recipient may be.
fn zones_of(facts: &Facts<'_>) -> ZoneSet {
    zones::of(facts.own_zone.as_deref(), facts.item.recipient.phone(), facts.settings.time_zone)
}

/// Makes one message wait on its own, or closes it when it would be too late by then.
fn wait(item: &BeginItem, until: DateTime<Utc>, why: HoldReason, too_late: SkipReason) -> Verdict {
    if item.valid_until.is_some_and(|end| end <= until) {
        Verdict::Skip(too_late)
    } else {
        Verdict::Wait { until, why }
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
