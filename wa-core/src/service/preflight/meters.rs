//! The meters that begin reads and moves, as a forecast moves them.
//!
//! Each starts from what the store counted when the forecast began, and forgets by itself what time
//! makes it forget: the month of a quota, the day of a warm-up, the 24 hours of a slot.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use crate::model::{Period, SessionId, TransportName};
use crate::port::store::BeginItem;
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
}

/// The slots of one portfolio.
#[derive(Debug)]
struct Slots {
    /// When those end that were taken before the forecast, latest first.
    before: Vec<DateTime<Utc>>,
    /// Until when each recipient has one that the forecast took, and the same in the order of the ends.
    own: BTreeMap<u64, DateTime<Utc>>,
    ends: VecDeque<(DateTime<Utc>, u64)>,
}

/// What an attempt took, to be given back if it does not leave.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    month: Period,
    day: Option<(SessionId, i32)>,
    slot: Option<((TransportName, String), u64)>,
    touched: Option<u64>,
}

impl Meters {
    /// Starts from the facts of a session's first message, before anything was taken, and from the ends of
    /// its portfolio's slots.
    pub(super) fn start(&mut self, facts: &OwnedFacts, slots: Vec<DateTime<Utc>>, now: DateTime<Utc>) {
        self.quota.entry(Period::of(now)).or_insert(facts.quota.used);
        if let Some(warm_up) = &facts.warm_up {
            self.warm_up.insert((facts.session.id, warm_up.day.number), warm_up.used);
        }
        let mut before = slots;
        before.sort_unstable_by(|a, b| b.cmp(a));
        let fresh = || Slots { before, own: BTreeMap::new(), ends: VecDeque::new() };
        self.slots.entry(account(facts)).or_insert_with(fresh);
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
            facts.tier = slots.facts(&base.tier, recipient, now);
        }
        let own = self.touches.get(&recipient).into_iter().flatten().rev().copied();
        facts.touches = own.chain(base.touches.iter().copied()).collect();
        facts
    }

    /// Takes what a message takes that begins now.
    pub(super) fn take(&mut self, facts: &OwnedFacts, grant: &Grant, now: DateTime<Utc>) -> Taken {
        let recipient = facts.item.recipient.key();
        let month = Period::of(now);
        *self.quota.entry(month).or_default() += 1;
        let day = facts.warm_up.map(|warm_up| (facts.session.id, warm_up.day.number));
        if let Some(day) = day {
            *self.warm_up.entry(day).or_default() += 1;
        }
        let slot = grant.tier_slot.then(|| (account(facts), recipient));
        if let Some((account, recipient)) = &slot
            && let Some(slots) = self.slots.get_mut(account)
        {
            slots.own.insert(*recipient, now + SLOT);
            slots.ends.push_back((now + SLOT, *recipient));
        }
        let touch = touched(&facts.item, grant, now);
        if let Some(touch) = touch {
            self.touches.entry(recipient).or_default().push(touch);
        }
        Taken { month, day, slot, touched: touch.map(|_| recipient) }
    }

    /// Gives back what a message took that did not leave.
    pub(super) fn give_back(&mut self, taken: &Taken) {
        let less = |count: Option<&mut u64>| count.into_iter().for_each(|it| *it = it.saturating_sub(1));
        less(self.quota.get_mut(&taken.month));
        less(taken.day.and_then(|day| self.warm_up.get_mut(&day)));
        if let Some((account, recipient)) = &taken.slot
            && let Some(slots) = self.slots.get_mut(account)
        {
            slots.own.remove(recipient);
        }
        if let Some(touches) = taken.touched.and_then(|recipient| self.touches.get_mut(&recipient)) {
            touches.pop();
        }
    }
}

impl Slots {
    fn facts(&mut self, base: &TierFacts, recipient: u64, now: DateTime<Utc>) -> TierFacts {
        while self.before.last().is_some_and(|until| *until <= now) {
            self.before.pop();
        }
        // A slot that was given back or taken anew has left an end behind that means nothing.
        while let Some((until, whose)) = self.ends.front()
            && (*until <= now || self.own.get(whose) != Some(until))
        {
            if self.own.get(whose) == Some(until) {
                self.own.remove(whose);
            }
            self.ends.pop_front();
        }
        TierFacts {
            limit: base.limit,
            used: u32::try_from(self.before.len() + self.own.len()).unwrap_or(u32::MAX),
            has_slot: base.has_slot || self.own.contains_key(&recipient),
            next_free_at: self
                .before
                .last()
                .into_iter()
                .chain(self.ends.front().map(|(until, _)| until))
                .min()
                .copied(),
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
