//! The meters that begin reads and moves, as a forecast moves them.
//!
//! Each starts from what the store counted when the forecast began, and forgets by itself what time
//! makes it forget: the month of a quota, the day of a warm-up, the 24 hours of a slot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::model::{BudgetUse, Currency, Money, Period, SessionId, TransportName};
use crate::port::store::BeginItem;
use crate::rules::budget::{BudgetFacts, BudgetLine};
use crate::rules::judge::{Grant, QuotaFacts};
use crate::rules::owned::OwnedFacts;
use crate::rules::tier::{SLOT, TierFacts};
use crate::rules::touch::Touch;
use crate::rules::warmup::{self, WarmUpFacts};

/// What the store counted, and what the forecast has taken since.
#[derive(Debug, Default)]
pub(super) struct Meters {
    quota: BTreeMap<Period, u64>,
    warm_up: BTreeMap<(SessionId, i32), u64>,
    slots: BTreeMap<(TransportName, String), Slots>,
    touches: BTreeMap<u64, Vec<Touch>>,
    service: BTreeMap<(SessionId, Period), u64>,
    purse: Purse,
}

/// The taken slots of one portfolio, by recipient and in the order of their ends.
#[derive(Debug, Default)]
struct Slots {
    until: HashMap<u64, DateTime<Utc>>,
    ends: BTreeSet<(DateTime<Utc>, u64)>,
}

/// The budgets that the campaign falls under. Every price counts as settled at once.
#[derive(Debug, Default)]
struct Purse {
    campaign: Option<Money>,
    /// The tenant's, as they were when the forecast began, and the month in which that was.
    before: Option<(BudgetFacts, Period)>,
    spent: BTreeMap<(Currency, Period), i64>,
}

/// What an attempt took, to be given back if it does not leave.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    month: Period,
    day: Option<(SessionId, i32)>,
    slot: Option<TakenSlot>,
    touched: Option<u64>,
    service: Option<(SessionId, Period)>,
    price: Option<(Money, Period)>,
}

/// A recipient's slot, and until when they had one before.
#[derive(Debug, Clone)]
struct TakenSlot {
    account: (TransportName, String),
    recipient: u64,
    before: Option<DateTime<Utc>>,
}

impl Meters {
    /// The meters of a campaign that may cost so much.
    pub(super) fn new(budget: Option<Money>) -> Self {
        Self { purse: Purse { campaign: budget, ..Purse::default() }, ..Self::default() }
    }

    /// Starts from the facts of a session's first message, before anything was taken, and from the taken
    /// slots of its portfolio.
    pub(super) fn start(&mut self, facts: &OwnedFacts, slots: Vec<(DateTime<Utc>, u64)>, now: DateTime<Utc>) {
        self.quota.entry(Period::of(now)).or_insert(facts.quota.used);
        if let Some(warm_up) = &facts.warm_up {
            self.warm_up.insert((facts.session.id, warm_up.day.number), warm_up.used);
        }
        let month = Period::at(now, facts.settings.billing_offset);
        self.service.insert((facts.session.id, month), facts.price.service_used);
        self.purse.before.get_or_insert((facts.budget, month));
        self.slots.entry(account(facts)).or_insert_with(|| Slots::of(slots));
    }

    /// What begin would read now where it read `base` when the forecast began.
    pub(super) fn facts(&mut self, base: &OwnedFacts, now: DateTime<Utc>) -> OwnedFacts {
        let mut facts = base.clone();
        let month = Period::of(now);
        let used = self.quota.get(&month).copied().unwrap_or(0);
        facts.quota = QuotaFacts { limit: base.quota.limit, used, resets_at: month.end() };
        facts.warm_up = warmup::today(&base.session, &base.settings.time_zone, now).map(|day| {
            let used = self.warm_up.get(&(base.session.id, day.number)).copied().unwrap_or(0);
            WarmUpFacts { day, used }
        });
        let recipient = base.item.recipient.key();
        if let Some(slots) = self.slots.get_mut(&account(base)) {
            facts.tier = slots.facts(base.tier.limit, recipient, now);
        }
        let own = self.touches.get(&recipient).into_iter().flatten().rev().copied();
        facts.touches = own.chain(base.touches.iter().copied()).collect();
        let billed = Period::at(now, base.settings.billing_offset);
        facts.price.service_used = self.service.get(&(base.session.id, billed)).copied().unwrap_or(0);
        facts.budget = self.purse.facts(billed);
        facts
    }

    /// Takes what a message takes that begins now.
    pub(super) fn take(&mut self, facts: &OwnedFacts, grant: &Grant, now: DateTime<Utc>) -> Taken {
        let (session, recipient) = (facts.session.id, facts.item.recipient.key());
        let month = Period::of(now);
        *self.quota.entry(month).or_default() += 1;
        let day = facts.warm_up.map(|warm_up| (session, warm_up.day.number));
        if let Some(day) = day {
            *self.warm_up.entry(day).or_default() += 1;
        }
        let slot = grant.tier_slot.then(|| {
            let account = account(facts);
            let before = self.slots.entry(account.clone()).or_default().set(recipient, Some(now + SLOT));
            TakenSlot { account, recipient, before }
        });
        let touch = touched(&facts.item, grant, now);
        if let Some(touch) = touch {
            self.touches.entry(recipient).or_default().push(touch);
        }
        let billed = Period::at(now, facts.settings.billing_offset);
        let service = grant.price.counts_as_service.then_some((session, billed));
        if let Some(service) = service {
            *self.service.entry(service).or_default() += 1;
        }
        let price = grant.price.amount.map(|price| (price, billed));
        if let Some((price, month)) = price {
            self.purse.spend(price.currency, month, price.micros);
        }
        Taken { month, day, slot, touched: touch.map(|_| recipient), service, price }
    }

    /// Gives back what a message took that did not leave.
    pub(super) fn give_back(&mut self, taken: Taken) {
        let Taken { month, day, slot, touched, service, price } = taken;
        let less = |count: Option<&mut u64>| count.into_iter().for_each(|it| *it = it.saturating_sub(1));
        less(self.quota.get_mut(&month));
        less(day.and_then(|day| self.warm_up.get_mut(&day)));
        less(service.and_then(|service| self.service.get_mut(&service)));
        if let Some(TakenSlot { account, recipient, before }) = slot
            && let Some(slots) = self.slots.get_mut(&account)
        {
            slots.set(recipient, before);
        }
        if let Some(touches) = touched.and_then(|recipient| self.touches.get_mut(&recipient)) {
            touches.pop();
        }
        if let Some((price, month)) = price {
            self.purse.spend(price.currency, month, price.micros.saturating_neg());
        }
    }
}

impl Purse {
    fn spend(&mut self, currency: Currency, month: Period, micros: i64) {
        let spent = self.spent.entry((currency, month)).or_default();
        *spent = spent.saturating_add(micros);
    }

    /// The budgets in a month.
    fn facts(&self, month: Period) -> BudgetFacts {
        let spent = |limit: Money, in_month: Option<Period>| {
            let matches = |(currency, month): &(Currency, Period)| {
                *currency == limit.currency && in_month.is_none_or(|it| it == *month)
            };
            let own = self.spent.iter().filter(|(key, _)| matches(key)).map(|(_, micros)| *micros);
            own.fold(0, i64::saturating_add)
        };
        let more = |line: Option<BudgetLine>, in_month: Option<Period>| {
            let mut line = line?;
            line.used.committed = line.used.committed.saturating_add(spent(line.limit, in_month));
            Some(line)
        };
        let fresh = |limit: Money| BudgetLine { limit, used: BudgetUse::default(), last_begun_at: None };
        let Some((before, of_month)) = &self.before else { return BudgetFacts::default() };
        let monthly = match *of_month == month {
            true => before.month,
            false => before.month.map(|line| fresh(line.limit)),
        };
        BudgetFacts {
            campaign: more(self.campaign.map(fresh), None),
            month: more(monthly, Some(month)),
            total: more(before.total, None),
        }
    }
}

impl Slots {
    fn of(taken: Vec<(DateTime<Utc>, u64)>) -> Self {
        Self {
            until: taken.iter().map(|(until, recipient)| (*recipient, *until)).collect(),
            ends: taken.into_iter().collect(),
        }
    }

    /// Sets until when a recipient has a slot, and returns until when they had one.
    fn set(&mut self, recipient: u64, until: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let before = match until {
            Some(until) => self.until.insert(recipient, until),
            None => self.until.remove(&recipient),
        };
        if let Some(before) = before {
            self.ends.remove(&(before, recipient));
        }
        self.ends.extend(until.map(|until| (until, recipient)));
        before
    }

    fn facts(&mut self, limit: Option<u32>, recipient: u64, now: DateTime<Utc>) -> TierFacts {
        while let Some((_, ended)) = self.ends.first().filter(|(until, _)| *until <= now).copied() {
            self.set(ended, None);
        }
        TierFacts {
            limit,
            used: u32::try_from(self.ends.len()).unwrap_or(u32::MAX),
            has_slot: self.until.contains_key(&recipient),
            next_free_at: self.ends.first().map(|(until, _)| *until),
        }
    }
}

fn account(facts: &OwnedFacts) -> (TransportName, String) {
    (facts.session.transport.clone(), facts.session.portfolio.clone())
}

fn touched(item: &BeginItem, grant: &Grant, at: DateTime<Utc>) -> Option<Touch> {
    let category = item.template_category(grant.content)?;
    Some(Touch { at, category, lane: item.lane })
}
