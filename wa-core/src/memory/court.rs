//! The judge with the facts before him: what begin and consider have in common.
//!
//! Every fact is recounted from what is stored; what the batch itself has taken lies beside it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::pricing::Pricing;
use super::state::{State, TenantRow};
use crate::model::{
    Breaker, BreakerScope, CampaignId, Consent, MessageId, Period, Recipient, Session, TransportName,
};
use crate::port::store::BeginItem;
use crate::rules::judge::{Facts, Grant, GroupFacts, Judge, QuotaFacts, Verdict, is_open};
use crate::rules::tier::{SLOT, TierFacts};
use crate::rules::touch::{self, Touch};
use crate::rules::warmup::{self, WarmUpFacts};
use crate::rules::zones;

/// The account whose messaging limit a session shares.
pub(super) fn account(session: &Session) -> (TransportName, String) {
    (session.transport.clone(), session.portfolio.clone())
}

/// What is known of a group; `None` when there is no such campaign.
pub(super) fn group(
    state: &State,
    tenant: &TenantRow,
    session: &Session,
    campaign: Option<CampaignId>,
    now: DateTime<Utc>,
) -> Option<GroupFacts> {
    let campaign = match campaign {
        Some(id) => Some(tenant.campaigns.get(&id)?.campaign.state),
        None => None,
    };
    let group = GroupFacts {
        awaits_reconcile: state.awaits.is_some() || state.held.contains_key(&tenant.tenant.id),
        tenant_paused: tenant.settings.paused,
        suspended: tenant.entitlement.suspended,
        session: session.state,
        breaker: tenant.open_breaker(&BreakerScope::Session(session.id), now),
        campaign,
    };
    #[cfg(feature = "mutants")]
    let group = super::flaws::admitted(state.flaw, group);
    Some(group)
}

impl TenantRow {
    fn open_breaker(&self, scope: &BreakerScope, now: DateTime<Utc>) -> Option<Breaker> {
        self.breakers.get(scope).filter(|it| is_open(it, now)).cloned()
    }

    /// Whether an address of a recipient is never written to.
    fn is_suppressed(&self, who: &Recipient) -> bool {
        who.addresses().any(|address| self.suppressed.contains_key(&address))
    }
}

/// The judge with the facts before him, and the meters as the batch has used them so far.
pub(super) struct Court<'a> {
    tenant: &'a TenantRow,
    session: &'a Session,
    judge: &'a dyn Judge,
    now: DateTime<Utc>,
    quota: QuotaFacts,
    warm_up: Option<WarmUpFacts>,
    /// Until when each recipient's slot of the portfolio is taken.
    slots: BTreeMap<u64, DateTime<Utc>>,
    /// The templates of this batch, oldest first.
    own: Vec<(u64, Touch)>,
    pricing: Pricing<'a>,
}

impl<'a> Court<'a> {
    pub(super) fn open(
        state: &State,
        tenant: &'a TenantRow,
        session: &'a Session,
        judge: &'a dyn Judge,
        now: DateTime<Utc>,
    ) -> Self {
        let usage = tenant.usage(Period::of(now));
        let quota = QuotaFacts { limit: usage.limit, used: usage.used, resets_at: usage.resets_at };
        let slots = match session.tier.limit() {
            Some(_) => state.slots(&account(session), now),
            None => BTreeMap::new(),
        };
        let warm_up = warmup::today(session, &tenant.settings.time_zone, now).map(|day| {
            let of_day = tenant.attempts.values().filter(|attempt| {
                attempt.session == session.id
                    && attempt.warm_up_day == Some(day.number)
                    && (attempt.counts() || flawed!(tenant, KeepsTheWarmUpOfWhatWasGivenBack))
            });
            WarmUpFacts { day, used: u64::try_from(of_day.count()).unwrap_or(u64::MAX) }
        });
        let pricing = Pricing::open(tenant, session, now);
        Self { tenant, session, judge, now, quota, warm_up, slots, own: Vec::new(), pricing }
    }

    /// The day of the warm-up that an attempt of now counts in.
    pub(super) fn warm_up_day(&self) -> Option<i32> {
        self.warm_up.map(|facts| facts.day.number)
    }

    /// The verdict on an item; what it takes is taken for the later ones.
    pub(super) fn judge(&mut self, item: &BeginItem) -> Verdict {
        let verdict = self.ask(item);
        if let Verdict::Send(grant) = &verdict {
            self.take(item, grant);
        }
        verdict
    }

    fn take(&mut self, item: &BeginItem, grant: &Grant) {
        self.pricing.take(item, &grant.price);
        self.quota.used = self.quota.used.saturating_add(1);
        if let Some(warm_up) = &mut self.warm_up
            && !flawed!(self.tenant, ForgetsTheWarmUpOfABatch)
        {
            warm_up.used = warm_up.used.saturating_add(1);
        }
        let meter = self.meter_of(item);
        if grant.tier_slot && !flawed!(self.tenant, ForgetsTheSlotsOfABatch) {
            self.slots.insert(meter, self.now + SLOT);
        }
        self.own.extend(touched(item, grant, self.now).map(|touch| (meter, touch)));
    }

    /// The number under which the stored recipient of an item is counted.
    fn meter_of(&self, item: &BeginItem) -> u64 {
        let stored = self.tenant.messages.get(&item.message).map(|message| &message.recipient);
        stored.unwrap_or(&item.recipient).key()
    }

    /// Templates that a recipient got within reach but for those of a message, newest first.
    fn touches(&self, recipient: u64, message: MessageId) -> Vec<Touch> {
        let Some(reach) = touch::reach(&self.tenant.settings) else { return Vec::new() };
        let since = self.now.checked_sub_signed(reach).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut stored: Vec<_> = self
            .tenant
            .attempts
            .iter()
            .filter(|((id, _), attempt)| *id != message && attempt.counts())
            .filter(|(_, attempt)| {
                let is_elsewhere = attempt.session != self.session.id;
                !(flawed!(self.tenant, CoolsDownByNumber)
                    && is_elsewhere
                    && self.tenant.settings.frequency_cap.is_none())
            })
            .filter_map(|(key, attempt)| Some((key, attempt.touch.filter(|touch| touch.at > since)?)))
            .filter(|((id, _), _)| {
                self.tenant.messages.get(id).is_some_and(|message| message.recipient.key() == recipient)
            })
            .map(|(key, touch)| (touch.at, *key, touch))
            .collect();
        stored.sort_by_key(|(at, key, _)| std::cmp::Reverse((*at, *key)));
        let own = self.own.iter().rev().filter(|(whose, _)| *whose == recipient).map(|(_, touch)| *touch);
        own.chain(stored.into_iter().map(|(.., touch)| touch)).collect()
    }

    fn ask(&mut self, item: &BeginItem) -> Verdict {
        let budget = self.pricing.budget_facts(item);
        let (tenant, now) = (self.tenant, self.now);
        let contact = match tenant.messages.get(&item.message) {
            Some(message) => tenant.contact_of(message),
            None => {
                let known = item.contact.filter(|id| tenant.contacts.get(*id).is_some());
                known.filter(|_| item.campaign.is_some()).or_else(|| tenant.contacts.find(&item.recipient))
            }
        };
        let known = contact.and_then(|contact| tenant.contacts.get(contact));
        let window = contact.and_then(|contact| tenant.window(self.session.id, contact, now));
        // Without prices nothing is dear, and so nothing free.
        let is_priced = tenant.settings.prices.is_some();
        let free_until = window.and_then(|window| window.free_until).filter(|_| is_priced);
        let who = tenant.messages.get(&item.message).map_or(&item.recipient, |it| &it.recipient);
        let breaker = |template: Option<&(_, _)>| {
            let (name, language) = template.cloned()?;
            tenant.open_breaker(&BreakerScope::Template(self.session.id, name, language), now)
        };
        let touches = self.touches(self.meter_of(item), item.message);
        let facts = Facts {
            item,
            settings: &tenant.settings,
            session: self.session,
            consent: known.map_or(Consent::Allowed, |contact| contact.consent),
            suppressed: tenant.is_suppressed(&item.recipient)
                || known.is_some_and(|contact| {
                    tenant.is_suppressed(&contact.recipient) && !flawed!(tenant, SuppressesOneAddressOnly)
                }),
            own_zone: known
                .filter(|_| tenant.settings.quiet_hours.is_some())
                .and_then(|contact| contact.attributes.get(zones::ATTRIBUTE).cloned()),
            last_user_message_at: window.map(|window| window.last_user_message_at),
            template_breaker: breaker(item.template.as_ref()),
            fallback_breaker: breaker(item.fallback.as_ref().map(|it| &it.template)),
            touches: &touches,
            warm_up: self.warm_up,
            tier: TierFacts {
                limit: self.session.tier.limit(),
                used: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
                has_slot: self.slots.contains_key(&self.meter_of(item)),
                next_free_at: self.slots.values().min().copied(),
            },
            quota: self.quota,
            price: self.pricing.price_facts(free_until, who),
            budget,
        };
        #[cfg(feature = "mutants")]
        return super::flaws::judged(tenant.flaw, self.judge, &facts, now);
        #[cfg(not(feature = "mutants"))]
        self.judge.judge(&facts, now)
    }
}

/// What a recipient gets when an item is sent, if that is a template.
pub(super) fn touched(item: &BeginItem, grant: &Grant, at: DateTime<Utc>) -> Option<Touch> {
    let category = item.template_category(grant.content)?;
    Some(Touch { at, category, lane: item.lane })
}

impl State {
    /// Until when each recipient's slot of a portfolio is taken, by attempts of any tenant that were not
    /// given back.
    pub(super) fn slots(
        &self,
        account: &(TransportName, String),
        now: DateTime<Utc>,
    ) -> BTreeMap<u64, DateTime<Utc>> {
        let mut slots = BTreeMap::new();
        for tenant in self.tenants.values() {
            for ((id, _), attempt) in &tenant.attempts {
                let until = attempt.begun_at + SLOT;
                let is_taken = attempt.counts() || flawed!(self, KeepsASlotThatWasGivenBack);
                let takes = attempt.slot_of.as_ref() == Some(account) && is_taken && until > now;
                let Some(message) = tenant.messages.get(id).filter(|_| takes) else { continue };
                let known = slots.entry(message.recipient.key()).or_insert(until);
                *known = until.max(*known);
            }
        }
        slots
    }
}
