//! The judge with the facts before him: what begin and consider have in common, in every store.
//!
//! Invariant: what the items judged so far would take lies beside what is stored, so that nothing has
//! to be written before the last of them is judged.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use wa_core::model::{
    Breaker, BudgetOf, BudgetUse, CampaignId, CampaignState, Consent, Currency, Entitlement, Estimate,
    LanguageCode, Market, Money, Period, PriceBook, Session, TemplateName, TenantBudget, TenantId,
    TenantSettings,
};
use wa_core::port::store::BeginItem;
use wa_core::rules::budget::{BudgetFacts, BudgetLine};
use wa_core::rules::judge::{Admission, Facts, Grant, GroupFacts, Judge, QuotaFacts, Verdict};
use wa_core::rules::price::PriceFacts;
use wa_core::rules::tier::{SLOT, TierFacts};
use wa_core::rules::touch::{self, Touch};
use wa_core::rules::warmup::{self, WarmUpFacts};

/// What all messages of a session share, as it was read at one instant.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) now: DateTime<Utc>,
    /// Nothing may begin until somebody says that the store may send.
    pub(crate) awaits_reconcile: bool,
    pub(crate) tenant: TenantId,
    pub(crate) session: Session,
    pub(crate) settings: TenantSettings,
    pub(crate) entitlement: Entitlement,
    /// The session's open breaker.
    pub(crate) breaker: Option<Breaker>,
    /// The open breakers of templates.
    pub(crate) templates: HashMap<(TemplateName, LanguageCode), Breaker>,
    /// How much of the present month's quota is used.
    pub(crate) quota_used: u64,
    /// The slots of the portfolio that have not ended; 0 without a limit.
    pub(crate) slots_used: u32,
    /// The slots that end first, earliest first, and whose they are: one more than there are items.
    pub(crate) slots: Vec<SlotEnd>,
    /// What the number sent on the present day of its warm-up.
    pub(crate) warm_up_used: u64,
    /// The service messages of the number in the present month of the account.
    pub(crate) service_used: u64,
    /// The version of the present prices.
    pub(crate) book: Option<i64>,
    pub(crate) campaigns: HashMap<CampaignId, CampaignFacts>,
    pub(crate) budgets: Budgets,
}

/// What is used of each budget, and when the last attempt began that falls under it.
pub(crate) type Budgets = HashMap<(BudgetOf, Currency), (BudgetUse, Option<DateTime<Utc>>)>;

/// When a slot ends, and whose it is.
pub(crate) type SlotEnd = (DateTime<Utc>, u64);

/// What a campaign decides for its messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CampaignFacts {
    pub(crate) state: CampaignState,
    pub(crate) budget: Option<Money>,
}

/// What is known of the recipient of one message.
#[derive(Debug, Default)]
pub(crate) struct ItemFacts {
    /// Of the contact, if the recipient is one.
    pub(crate) consent: Option<Consent>,
    pub(crate) suppressed: bool,
    pub(crate) own_zone: Option<String>,
    /// When the contact last wrote to the session.
    pub(crate) wrote_at: Option<DateTime<Utc>>,
    /// Until when everything to the contact is free.
    pub(crate) free_until: Option<DateTime<Utc>>,
    /// Stored templates to the recipient within reach, newest first.
    pub(crate) touches: Vec<Touch>,
    /// Whether the recipient has a slot that has not ended.
    pub(crate) has_slot: bool,
}

/// Judges the items of one session one after the other.
#[derive(Debug)]
pub(crate) struct Court {
    pub(crate) shared: Shared,
    pub(crate) month: Period,
    pub(crate) warm_up: Option<WarmUpFacts>,
    quota: Quota,
    pub(crate) tier: Tier,
    service_used: u64,
    /// What each budget has been used so far; `None` where there is no limit.
    lines: HashMap<BudgetOf, Option<BudgetLine>>,
    /// The templates of the items judged so far, by recipient, newest first.
    own: HashMap<u64, Vec<Touch>>,
}

#[derive(Debug)]
struct Quota {
    period: Period,
    used: u64,
}

/// The slots of a portfolio while a batch takes from them.
#[derive(Debug)]
pub(crate) struct Tier {
    limit: Option<u32>,
    used: u32,
    slots: Vec<SlotEnd>,
    /// Whose slots the batch took or shares, one entry per attempt.
    pub(crate) taken: Vec<u64>,
    own: HashSet<u64>,
}

impl Court {
    pub(crate) fn new(shared: Shared) -> Self {
        let now = shared.now;
        let limit = shared.session.tier.limit();
        let warm_up = warmup::today(&shared.session, &shared.settings.time_zone, now)
            .map(|day| WarmUpFacts { day, used: shared.warm_up_used });
        Self {
            month: Period::at(now, shared.settings.billing_offset),
            warm_up,
            quota: Quota { period: Period::of(now), used: shared.quota_used },
            tier: Tier {
                limit,
                used: if limit.is_some() { shared.slots_used } else { 0 },
                slots: shared.slots.clone(),
                taken: Vec::new(),
                own: HashSet::new(),
            },
            service_used: shared.service_used,
            lines: HashMap::new(),
            own: HashMap::new(),
            shared,
        }
    }

    /// The tenant's prices.
    pub(crate) fn book(&self) -> Option<&PriceBook> {
        self.shared.settings.prices.as_ref()
    }

    /// Whether a campaign, or what has none, may begin.
    pub(crate) fn admit(&self, judge: &dyn Judge, campaign: Option<CampaignId>) -> Admission {
        let campaign = campaign.and_then(|campaign| self.shared.campaigns.get(&campaign));
        let facts = GroupFacts {
            awaits_reconcile: self.shared.awaits_reconcile,
            tenant_paused: self.shared.settings.paused,
            suspended: self.shared.entitlement.suspended,
            session: self.shared.session.state,
            breaker: self.shared.breaker.clone(),
            campaign: campaign.map(|campaign| campaign.state),
        };
        judge.admit(&facts, self.shared.now)
    }

    /// The verdict on an item; what it takes is taken for the later ones.
    pub(crate) fn judge(&mut self, judge: &dyn Judge, item: &BeginItem, known: &ItemFacts) -> Verdict {
        let key = item.recipient.key();
        let touches = self.touches(key, known);
        let budget = self.budget(item.campaign);
        let Shared { now, session, settings, templates, .. } = &self.shared;
        let open = |template: Option<&(TemplateName, LanguageCode)>| {
            template.and_then(|template| templates.get(template)).cloned()
        };
        let quiet = settings.quiet_hours.is_some();
        let facts = Facts {
            item,
            settings,
            session,
            consent: known.consent.unwrap_or(Consent::Allowed),
            suppressed: known.suppressed,
            own_zone: known.own_zone.clone().filter(|_| quiet),
            last_user_message_at: known.wrote_at,
            template_breaker: open(item.template.as_ref()),
            fallback_breaker: open(item.fallback.as_ref().map(|it| &it.template)),
            touches: &touches,
            warm_up: self.warm_up,
            tier: self.tier.facts(*now, key, known.has_slot),
            quota: QuotaFacts {
                limit: self.shared.entitlement.messages_per_month,
                used: self.quota.used,
                resets_at: self.quota.period.end(),
            },
            price: PriceFacts {
                book: settings.prices.as_ref(),
                market: Market::of(&item.recipient),
                entry_point_until: known.free_until,
                service_used: self.service_used,
            },
            budget,
        };
        let verdict = judge.judge(&facts, *now);
        if let Verdict::Send(grant) = &verdict {
            self.take(item, grant, known.has_slot);
        }
        verdict
    }

    fn take(&mut self, item: &BeginItem, grant: &Grant, has_slot: bool) {
        let (key, now) = (item.recipient.key(), self.shared.now);
        self.quota.used += 1;
        self.spend(item.campaign, &grant.price);
        if let Some(warm_up) = &mut self.warm_up {
            warm_up.used = warm_up.used.saturating_add(1);
        }
        if grant.tier_slot {
            self.tier.take(key, has_slot);
        }
        if let Some(category) = item.template_category(grant.content) {
            let touch = Touch { at: now, category, lane: item.lane };
            self.own.entry(key).or_default().insert(0, touch);
        }
    }

    fn touches(&self, key: u64, known: &ItemFacts) -> Vec<Touch> {
        let Some(reach) = touch::reach(&self.shared.settings) else { return Vec::new() };
        let since = self.shared.now.checked_sub_signed(reach).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let own = self.own.get(&key).into_iter().flatten();
        own.chain(known.touches.iter().filter(|touch| touch.at > since)).copied().collect()
    }

    fn budget(&mut self, campaign: Option<CampaignId>) -> BudgetFacts {
        let TenantBudget { monthly, total } = self.shared.settings.budget;
        let own = campaign.and_then(|campaign| self.shared.campaigns.get(&campaign)?.budget);
        BudgetFacts {
            campaign: campaign.and_then(|campaign| self.line(BudgetOf::Campaign(campaign), own)),
            month: self.line(BudgetOf::Month(self.month), monthly),
            total: self.line(BudgetOf::Total, total),
        }
    }

    fn line(&mut self, of: BudgetOf, limit: Option<Money>) -> Option<BudgetLine> {
        let budgets = &self.shared.budgets;
        *self.lines.entry(of).or_insert_with(|| {
            let limit = limit?;
            let (used, last_begun_at) = budgets.get(&(of, limit.currency)).copied().unwrap_or_default();
            Some(BudgetLine { limit, used, last_begun_at })
        })
    }

    /// Keeps what an attempt may cost.
    fn spend(&mut self, campaign: Option<CampaignId>, estimate: &Estimate) {
        self.service_used += u64::from(estimate.counts_as_service);
        let Some(reserve) = estimate.reserve else { return };
        let under =
            [campaign.map(BudgetOf::Campaign), Some(BudgetOf::Month(self.month)), Some(BudgetOf::Total)];
        for of in under.iter().flatten() {
            if let Some(Some(line)) = self.lines.get_mut(of)
                && line.limit.currency == reserve.currency
            {
                line.used.committed = line.used.committed.saturating_add(reserve.micros);
                line.used.open = line.used.open.saturating_add(reserve.micros);
                line.last_begun_at = Some(self.shared.now);
            }
        }
    }
}

impl Tier {
    fn facts(&self, now: DateTime<Utc>, recipient: u64, stored: bool) -> TierFacts {
        let has_slot = self.limit.is_some() && (stored || self.own.contains(&recipient));
        // One that the batch prolonged ends with the batch's own.
        let next = self.slots.iter().find(|(_, whose)| !self.own.contains(whose)).map(|(until, _)| *until);
        let own =
            (!self.own.is_empty()).then(|| now.checked_add_signed(SLOT).unwrap_or(DateTime::<Utc>::MAX_UTC));
        TierFacts { limit: self.limit, used: self.used, has_slot, next_free_at: next.or(own) }
    }

    /// Takes a slot, or prolongs and shares the one that the recipient has.
    fn take(&mut self, recipient: u64, stored: bool) {
        if self.limit.is_some() && !stored && !self.own.contains(&recipient) {
            self.used = self.used.saturating_add(1);
        }
        self.taken.push(recipient);
        self.own.insert(recipient);
    }
}

/// Whether the recipient of an item is looked up by the contact that it names. A single message's
/// address may have passed to another contact since it was read.
pub(crate) fn goes_by_contact(item: &BeginItem) -> bool {
    item.contact.is_some() && item.campaign.is_some()
}
