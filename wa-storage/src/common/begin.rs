//! A batch while it is begun, in every store: what is still there, what is judged, what is to be written.
//!
//! Invariant: every item ends as exactly one fact (an attempt, a due row, a closed row) or stays
//! where it was. A feed moves only over items that continue it exactly.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{
    AttemptKey, CampaignId, CampaignState, Category, Chosen, DeliveryFacts, EventBody, HoldReason, Lane,
    MessageId, SkipReason, whole_micros,
};
use wa_core::port::store::{BeginBatch, BeginItem, BegunAttempt, BegunBatch, DueSource, Stopped};
use wa_core::rules::fallback;
use wa_core::rules::judge::{Admission, Grant, Judge, Verdict};
use wa_core::rules::price::{Quote, Sold, booking};
use wa_core::rules::rollup::Counted;

use super::changes::Changes;
use super::court::{Court, ItemFacts};
use super::later;
use super::message::{Attempt, Due, Stored};

/// How long batch ids are known; a commit that is still unknown by then never comes.
pub(crate) const KEEP_BATCHES: TimeDelta = TimeDelta::days(7);

/// An item that still waits where the batch found it.
pub(crate) struct Waiting<'a> {
    pub(crate) item: &'a BeginItem,
    pub(crate) place: Place,
}

/// Where an item waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// In the feed with this place among its campaign's.
    Feed(i64),
    /// In a due row.
    Row(Due),
}

/// A feed in which items of a batch wait, and what comes next in it.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) first: MessageId,
    pub(crate) last: MessageId,
    pub(crate) after: MessageId,
    /// Its next messages that are not closed, in order; as many as the batch asks for.
    pub(crate) next: VecDeque<MessageId>,
}

/// How far a feed is moved by the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) to: MessageId,
    pub(crate) count: u64,
}

/// A message that goes into a due row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deferred {
    pub(crate) message: MessageId,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) lane: Lane,
    pub(crate) n: u16,
    pub(crate) until: DateTime<Utc>,
    pub(crate) why: HoldReason,
}

/// A template that a recipient gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touched {
    pub(crate) recipient: i64,
    pub(crate) message: MessageId,
    pub(crate) n: u16,
    pub(crate) category: Category,
    pub(crate) lane: Lane,
}

/// What is to be written of a batch.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) court: Court,
    /// In the order of the items.
    pub(crate) attempts: Vec<(MessageId, Attempt)>,
    /// Those of them whose content goes only because its window is open.
    pub(crate) in_window: BTreeSet<MessageId>,
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) skipped: Vec<(MessageId, SkipReason)>,
    /// Messages whose due rows go.
    pub(crate) left: Vec<MessageId>,
    pub(crate) feeds: BTreeMap<(CampaignId, i64), Moved>,
    pub(crate) paused: BTreeMap<CampaignId, HoldReason>,
    pub(crate) touched: Vec<Touched>,
    pub(crate) changes: Changes,
    pub(crate) begun: BegunBatch,
}

/// A batch that is being judged.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    batch: &'a BeginBatch,
    stopped: BTreeSet<CampaignId>,
    plan: Plan,
}

impl<'a> Beginning<'a> {
    pub(crate) fn new(batch: &'a BeginBatch, court: Court) -> Self {
        let begun = BegunBatch { at: Some(court.shared.now), ..BegunBatch::default() };
        let plan = Plan {
            court,
            attempts: Vec::new(),
            in_window: BTreeSet::new(),
            deferred: Vec::new(),
            skipped: Vec::new(),
            left: Vec::new(),
            feeds: BTreeMap::new(),
            paused: BTreeMap::new(),
            touched: Vec::new(),
            changes: Changes::default(),
            begun,
        };
        Self { batch, stopped: BTreeSet::new(), plan }
    }

    /// The items that still wait where the batch found them, in its order; the others are gone.
    ///
    /// `row` gives the due row of a message and its campaign, `feeds` every feed of the batch's campaigns,
    /// `closed` the messages of feeds that are closed.
    pub(crate) fn still_waiting(
        &mut self,
        row: impl Fn(MessageId) -> Option<(Due, Option<CampaignId>)>,
        feeds: &BTreeMap<(CampaignId, i64), Feed>,
        closed: &HashSet<MessageId>,
    ) -> Vec<Waiting<'a>> {
        let tenant = self.plan.court.shared.tenant;
        let items = &self.batch.items;
        let mut seen = BTreeSet::new();
        let mut asked: BTreeMap<(CampaignId, i64), Vec<MessageId>> = BTreeMap::new();
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            let fresh = item.tenant == tenant && !seen.contains(&item.message);
            let place = match (item.source, item.campaign) {
                (DueSource::Row, campaign) if fresh => row(item.message)
                    .filter(|(due, stored)| due.n == item.n && *stored == campaign)
                    .map(|(due, _)| Place::Row(due)),
                (DueSource::Feed, Some(campaign)) if fresh && item.n == 1 => {
                    let found =
                        feeds.iter().find(|((of, _), feed)| *of == campaign && feed.holds(item.message));
                    found.map(|(key, _)| {
                        asked.entry(*key).or_default().push(item.message);
                        Place::Feed(key.1)
                    })
                }
                (DueSource::Row | DueSource::Feed, _) => None,
            };
            seen.extend(place.map(|_| item.message));
            places.push(place);
        }
        let mut continues = HashSet::new();
        for (key, asked) in &asked {
            continues.extend(feeds.get(key).map(|feed| feed.check(asked, closed)).unwrap_or_default());
        }
        let mut waiting = Vec::with_capacity(items.len());
        for (item, place) in items.iter().zip(places) {
            let place = place.filter(|place| match place {
                Place::Feed(_) => continues.contains(&item.message),
                Place::Row(_) => true,
            });
            waiting.extend(place.map(|place| Waiting { item, place }));
        }
        // An item that stands twice in the batch is there once.
        let mut named: BTreeSet<_> = waiting.iter().map(|waiting| waiting.item.message).collect();
        let all = items.iter().map(|item| item.message);
        self.plan.begun.gone = all.filter(|message| named.insert(*message)).collect();
        waiting
    }

    /// Asks the judge for each campaign, and for the messages without one, in the order of the batch.
    pub(crate) fn admit(
        &mut self,
        judge: &dyn Judge,
        waiting: &[Waiting<'_>],
    ) -> BTreeSet<Option<CampaignId>> {
        let (mut asked, mut admitted) = (BTreeSet::new(), BTreeSet::new());
        for campaign in waiting.iter().map(|waiting| waiting.item.campaign) {
            if !asked.insert(campaign) {
                continue;
            }
            match self.plan.court.admit(judge, campaign) {
                Admission::Admit => {
                    admitted.insert(campaign);
                }
                Admission::Refuse { why, until } => {
                    self.plan.begun.stopped.push(Stopped { campaign, feed_only: false, why, until });
                }
            }
        }
        admitted
    }

    /// Whether an item stays where it is because of an earlier one of its campaign.
    pub(crate) fn stays(&self, waiting: &Waiting<'_>) -> bool {
        waiting.item.campaign.is_some_and(|campaign| {
            self.plan.paused.contains_key(&campaign)
                || (matches!(waiting.place, Place::Feed(_)) && self.stopped.contains(&campaign))
        })
    }

    /// Judges an item of an admitted group. `chain` is the message with the attempts before this one, where
    /// there are any.
    pub(crate) fn judge(
        &mut self,
        judge: &dyn Judge,
        waiting: &Waiting<'a>,
        known: &ItemFacts,
        chain: Option<Stored>,
    ) {
        if self.stays(waiting) {
            return;
        }
        let Waiting { item, place } = *waiting;
        match self.plan.court.judge(judge, item, known) {
            Verdict::Send(grant) => self.send(item, place, chain, grant),
            Verdict::Wait { until, why } => self.wait(item, place, chain, until, why),
            Verdict::Skip(reason) => {
                self.leave(item, place, chain, |stored| {
                    stored.due = None;
                    stored.closed = Some(reason);
                });
                self.plan.skipped.push((item.message, reason));
                self.plan.begun.skips.push((item.message, reason));
            }
            Verdict::Stop { until, ask_at, why } => match (place, item.campaign) {
                (Place::Feed(_), Some(campaign)) => {
                    self.stopped.insert(campaign);
                    let (until, campaign) = (Some(ask_at), Some(campaign));
                    self.plan.begun.stopped.push(Stopped { campaign, feed_only: true, why, until });
                }
                // A due row has nothing behind it to stop; it waits on its own.
                (Place::Feed(_), None) | (Place::Row(_), _) => self.wait(item, place, chain, until, why),
            },
            Verdict::Pause { why } => match item.campaign {
                Some(campaign) => self.pause(campaign, why),
                None => {
                    let until = self.plan.court.shared.now + TimeDelta::minutes(1);
                    self.wait(item, place, chain, until, why);
                }
            },
        }
    }

    /// What is to be written.
    pub(crate) fn finish(self) -> Plan {
        self.plan
    }

    /// Pauses a campaign whose next message has no room in a budget; everything of it stays where it is.
    fn pause(&mut self, campaign: CampaignId, why: HoldReason) {
        let tenant = self.plan.court.shared.tenant;
        if why == HoldReason::BudgetSpent {
            self.plan.changes.event(tenant, EventBody::BudgetSpent { campaign });
        }
        let state = CampaignState::Paused;
        self.plan.changes.event(tenant, EventBody::Campaign { campaign, state });
        self.plan.paused.insert(campaign, why);
        let campaign = Some(campaign);
        self.plan.begun.stopped.push(Stopped { campaign, feed_only: false, why, until: None });
    }

    fn send(&mut self, item: &BeginItem, place: Place, chain: Option<Stored>, grant: Grant) {
        let court = &self.plan.court;
        let (tenant, now) = (court.shared.tenant, court.shared.now);
        let start_by = later(now, self.batch.start_within);
        let end_by = later(start_by, self.batch.timeout);
        let Grant { tier_slot, content, price } = grant;
        let recipient = item.recipient.key().cast_signed();
        let attempt = Attempt {
            n: item.n,
            session: self.batch.session,
            begun_at: now,
            end_by,
            former: false,
            recipient,
            tier_slot,
            content,
            warm_up_day: court.warm_up.map(|facts| facts.day.number),
            quote: Quote { category: item.category_of(content), estimate: price },
            book: court.shared.book,
            month: court.month,
            facts: DeliveryFacts::default(),
        };
        let sold = Sold {
            quote: attempt.quote,
            begun_at: now,
            market: wa_core::model::Market::of(&item.recipient),
            book: court.book(),
            facts: &attempt.facts,
        };
        let booking = booking(&sold);
        self.leave(item, place, chain, |stored| {
            stored.due = None;
            stored.attempts.push(attempt.clone());
        });
        let counted = Counted { n: attempt.n, facts: &attempt.facts, booking: booking.as_ref() };
        self.plan.changes.attempt(tenant, item.campaign, &attempt, None, &counted);
        if item.n > 1 {
            self.plan.changes.retry(tenant, item.campaign);
        }
        if let Some(category) = item.template_category(content) {
            let touched = Touched { recipient, message: item.message, n: item.n, category, lane: item.lane };
            self.plan.touched.push(touched);
        }
        if content == Chosen::Own && item.needs_window && fallback::binds(&self.plan.court.shared.settings) {
            self.plan.in_window.insert(item.message);
        }
        let key = AttemptKey { tenant, message: item.message, n: item.n };
        let begun = BegunAttempt { key, start_by, end_by, content, price: price.amount };
        self.plan.begun.attempts.push(begun);
        self.plan.attempts.push((item.message, attempt));
    }

    fn wait(
        &mut self,
        item: &BeginItem,
        place: Place,
        chain: Option<Stored>,
        until: DateTime<Utc>,
        why: HoldReason,
    ) {
        let until = whole_micros(until);
        self.leave(item, place, chain, |stored| {
            stored.due = Some(Due { n: item.n, why: Some(why), at: until });
        });
        let BeginItem { message, campaign, lane, n, .. } = *item;
        self.plan.deferred.push(Deferred { message, campaign, lane, n, until, why });
        self.plan.begun.waits.push((message, why, until));
    }

    /// Takes a message out of where it waits and counts its change of state.
    fn leave(
        &mut self,
        item: &BeginItem,
        place: Place,
        chain: Option<Stored>,
        change: impl FnOnce(&mut Stored),
    ) {
        let tenant = self.plan.court.shared.tenant;
        let due = match place {
            Place::Row(due) => Some(due),
            Place::Feed(_) => None,
        };
        let mut stored = match chain {
            Some(mut stored) => {
                stored.attempts.retain(|attempt| attempt.n < item.n);
                stored
            }
            // Nothing was attempted yet, so nothing needs to be read.
            None => Stored {
                tenant,
                id: item.message,
                campaign: item.campaign,
                contact: item.contact,
                recipient: item.recipient.clone(),
                attempts: Vec::new(),
                closed: None,
                due: None,
            },
        };
        stored.due = due;
        let old = stored.standing();
        change(&mut stored);
        let new = stored.standing();
        match (place, item.campaign) {
            (Place::Row(_), _) => self.plan.left.push(item.message),
            (Place::Feed(place), Some(campaign)) => {
                let start = Moved { to: item.message, count: 0 };
                let moved = self.plan.feeds.entry((campaign, place)).or_insert(start);
                *moved = Moved { to: item.message, count: moved.count + 1 };
            }
            (Place::Feed(_), None) => {}
        }
        self.plan.changes.standing(tenant, item.campaign, Some(&old), &new);
        self.plan.changes.state(tenant, item.message, old.state, new.state);
    }
}

impl Feed {
    fn holds(&self, message: MessageId) -> bool {
        message >= self.first && message <= self.last && message > self.after
    }

    /// Those of the messages asked for that continue the feed: none, where they are not what comes next.
    /// Items that were closed meanwhile are passed over.
    fn check(&self, asked: &[MessageId], closed: &HashSet<MessageId>) -> HashSet<MessageId> {
        let mut next = self.next.iter();
        let mut upcoming = next.next();
        let mut open = HashSet::new();
        for message in asked {
            if upcoming == Some(message) {
                upcoming = next.next();
                open.insert(*message);
            } else if !closed.contains(message) {
                // Not the next one: the batch was made of another state of the feed, as a whole.
                return HashSet::new();
            }
        }
        open
    }
}
