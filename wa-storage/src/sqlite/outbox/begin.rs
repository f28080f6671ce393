//! The point of no return: a batch is judged and its attempts are written, in one transaction.
//!
//! Invariant: every item ends as exactly one fact (an attempt, a due row, a closed row) or stays
//! where it was. A feed moves only over items that continue it exactly.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    AttemptKey, CampaignId, CampaignState, Chosen, DeliveryFacts, EventBody, HoldReason, IncarnationId,
    MessageId, MessageState, RateCategory, SessionId, SkipReason, TenantId, micros,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{BeginBatch, BeginItem, Begun, BegunAttempt, BegunBatch, DueSource, Stopped};
use wa_core::rules::judge::{Admission, Grant, Judge, Verdict};
use wa_core::rules::price::{Quote, booking};
use wa_core::rules::rollup::Counted;
use wa_core::rules::tally::Standing;

use super::court::Court;
use super::feed::{self, FeedCheck};
use super::{holds, lane_rank, reserve};
use crate::sqlite::changes::Changes;
use crate::sqlite::codec::{at, id, int, later, opt_named, uint};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{Attempt, Due, PUT_DUE, Stored, delete_due, put_closed};
use crate::sqlite::prices::sold;
use crate::sqlite::writer::Tx;

const DUE_OF: &str =
    "SELECT n, why, campaign, due_at FROM due WHERE tenant = ?1 AND message = ?2 AND session = ?3";
const INSERT_ATTEMPT: &str = "INSERT INTO attempt (tenant, message, n, session, epoch, incarnation, batch, \
     begun_at, end_by, recipient, tier_slot, category, price, reserve, currency, price_reason, \
     counts_as_service, month, book, fallback, warm_up_day) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";
const INSERT_OPEN: &str = "INSERT INTO open_attempt (session, end_by, tenant, message, n, epoch) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const PAUSE: &str = "UPDATE campaign SET state = ?3, paused_for = ?4 WHERE tenant = ?1 AND id = ?2";
const MOVE_FEED: &str = "UPDATE feed SET after_id = ?4, remaining = remaining - ?5 \
     WHERE tenant = ?1 AND campaign = ?2 AND place = ?3 AND after_id < ?4";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[
    feed::FEED_AT,
    feed::FEED_NEXT,
    feed::IS_CLOSED,
    DUE_OF,
    MOVE_FEED,
    reserve::ENDED_SLOTS,
    reserve::LATEST_USE,
    reserve::NEXT_FREE,
    reserve::PURGE_SLOTS,
    reserve::SELECT_SLOT,
    super::pricing::SERVICE_USED,
    super::pricing::USED_OF,
];

/// The statements of the judging.
#[cfg(test)]
pub(in crate::sqlite) const JUDGING: &[&str] = super::court::HOT;

pub(super) fn begin(
    tx: &Tx<'_>,
    scope: &WorkerScope,
    batch: &BeginBatch,
    judge: &dyn Judge,
) -> Fallible<Begun> {
    let used = tx
        .conn
        .prepare_cached("SELECT 1 FROM batch WHERE id = ?1")?
        .query_row(params![batch.id.as_bytes()], |_| Ok(()))
        .optional()?;
    if used.is_some() {
        return Ok(Begun::UsedBatch);
    }
    let (Some(epoch), true) = (scope.epoch(batch.session), holds(tx.conn, scope, batch.session, tx.now)?)
    else {
        return Ok(Begun::LeaseLost);
    };
    tx.conn.prepare_cached("INSERT INTO batch (id, session, at) VALUES (?1, ?2, ?3)")?.execute(params![
        batch.id.as_bytes(),
        batch.session.as_bytes(),
        micros(tx.now)
    ])?;
    let mut beginning = Beginning::read(tx, batch, epoch)?;
    let waiting = beginning.still_waiting()?;
    let admitted = beginning.admit(judge, &waiting)?;
    for item in waiting {
        if admitted.contains(&item.item.campaign) {
            beginning.judge(judge, item)?;
        }
    }
    beginning.write().map(Begun::Done)
}

/// An item that still waits where the batch found it.
struct Waiting<'a> {
    item: &'a BeginItem,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the feed with this place among its campaign's.
    Feed(i64),
    /// In a due row.
    Row(Due),
}

/// How far a feed was moved by the batch.
#[derive(Debug, Clone, Copy)]
struct Moved {
    to: MessageId,
    count: u64,
}

struct Beginning<'a> {
    tx: &'a Tx<'a>,
    batch: &'a BeginBatch,
    epoch: u64,
    court: Court<'a>,
    session: SessionId,
    tenant: TenantId,
    incarnation: Option<IncarnationId>,
    feeds: BTreeMap<(CampaignId, i64), Moved>,
    stopped: BTreeSet<CampaignId>,
    touched: Vec<(&'a BeginItem, Grant)>,
    /// Campaigns that this batch paused; nothing more of them begins.
    paused: BTreeSet<CampaignId>,
    changes: Changes,
    begun: BegunBatch,
}

impl<'a> Beginning<'a> {
    /// Reads what the whole batch shares.
    fn read(tx: &'a Tx<'a>, batch: &'a BeginBatch, epoch: u64) -> Fallible<Self> {
        let incarnation = tx
            .conn
            .prepare_cached("SELECT incarnation FROM identity WHERE one = 1")?
            .query_row([], |row| id(row, 0))
            .optional()?;
        reserve::purge_slots(tx.conn, batch.session, tx.now)?;
        let court = Court::open(tx.conn, tx.now, batch.session)?
            .ok_or(Fault::Broken("a session with a lease is not there"))?;
        Ok(Self {
            tx,
            batch,
            epoch,
            session: batch.session,
            tenant: court.tenant,
            court,
            incarnation,
            feeds: BTreeMap::new(),
            stopped: BTreeSet::new(),
            touched: Vec::new(),
            paused: BTreeSet::new(),
            changes: Changes::default(),
            begun: BegunBatch { at: Some(tx.now), ..BegunBatch::default() },
        })
    }

    /// The items that still wait where the batch found them, in its order; the others are gone.
    fn still_waiting(&mut self) -> Fallible<Vec<Waiting<'a>>> {
        let items = &self.batch.items;
        let mut seen = BTreeSet::new();
        let mut feeds: BTreeMap<(CampaignId, i64), FeedCheck> = BTreeMap::new();
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            let fresh = item.tenant == self.tenant && !seen.contains(&item.message);
            let place = if fresh { self.place(item, &mut feeds)? } else { None };
            seen.extend(place.map(|_| item.message));
            places.push(place);
        }
        for ((campaign, _), feed) in &mut feeds {
            feed.check(self.tx.conn, self.tenant, *campaign)?;
        }
        let mut waiting = Vec::with_capacity(items.len());
        for (item, place) in items.iter().zip(places) {
            let place = place.filter(|place| match (place, item.campaign) {
                (Place::Feed(place), Some(campaign)) => {
                    feeds.get(&(campaign, *place)).is_some_and(|feed| feed.continues(item.message))
                }
                (Place::Feed(_), None) => false,
                (Place::Row(_), _) => true,
            });
            if let Some(place) = place {
                waiting.push(Waiting { item, place });
            }
        }
        // An item that stands twice in the batch is there once.
        let mut named: BTreeSet<_> = waiting.iter().map(|waiting| waiting.item.message).collect();
        let all = items.iter().map(|item| item.message);
        self.begun.gone = all.filter(|message| named.insert(*message)).collect();
        Ok(waiting)
    }

    fn place(
        &self,
        item: &BeginItem,
        feeds: &mut BTreeMap<(CampaignId, i64), FeedCheck>,
    ) -> Fallible<Option<Place>> {
        let conn = self.tx.conn;
        match (item.source, item.campaign) {
            (DueSource::Row, campaign) => {
                let row = conn
                    .prepare_cached(DUE_OF)?
                    .query_row(
                        params![self.tenant.as_bytes(), item.message.as_bytes(), self.session.as_bytes()],
                        |row| {
                            let why = opt_named(row, 1, HoldReason::from_name)?;
                            let due = Due { n: uint(row, 0)?, why, at: at(row, 3)? };
                            Ok((due, crate::sqlite::codec::opt_id::<CampaignId>(row, 2)?))
                        },
                    )
                    .optional()?;
                let fits = row.filter(|(due, stored)| due.n == item.n && *stored == campaign);
                Ok(fits.map(|(due, _)| Place::Row(due)))
            }
            (DueSource::Feed, Some(campaign)) if item.n == 1 => {
                let found = feed::find(conn, self.tenant, campaign, self.session, item.message)?;
                let Some((place, fresh)) = found else { return Ok(None) };
                feeds.entry((campaign, place)).or_insert(fresh).ask(item.message);
                Ok(Some(Place::Feed(place)))
            }
            (DueSource::Feed, _) => Ok(None),
        }
    }

    /// Asks the judge for each campaign, and for the messages without one, in the order of the batch.
    fn admit(
        &mut self,
        judge: &dyn Judge,
        waiting: &[Waiting<'_>],
    ) -> Fallible<BTreeSet<Option<CampaignId>>> {
        let (mut asked, mut admitted) = (BTreeSet::new(), BTreeSet::new());
        for campaign in waiting.iter().map(|waiting| waiting.item.campaign) {
            if !asked.insert(campaign) {
                continue;
            }
            match self.court.admit(judge, campaign)? {
                Admission::Admit => {
                    admitted.insert(campaign);
                }
                Admission::Refuse { why, until } => {
                    self.begun.stopped.push(Stopped { campaign, feed_only: false, why, until });
                }
            }
        }
        Ok(admitted)
    }

    /// Reads the facts of one message, asks the judge and writes what it says.
    fn judge(&mut self, judge: &dyn Judge, waiting: Waiting<'a>) -> Fallible<()> {
        let Waiting { item, place } = waiting;
        let stays = |campaign: &CampaignId| {
            self.paused.contains(campaign)
                || (matches!(place, Place::Feed(_)) && self.stopped.contains(campaign))
        };
        if item.campaign.as_ref().is_some_and(stays) {
            return Ok(());
        }
        match self.court.judge(judge, item)? {
            Verdict::Send(grant) => self.send(item, place, grant),
            Verdict::Wait { until, why } => self.wait(item, place, until, why),
            Verdict::Skip(reason) => self.skip(item, place, reason),
            Verdict::Stop { until, ask_at, why } => {
                match (place, item.campaign) {
                    (Place::Feed(_), Some(campaign)) => {
                        self.stopped.insert(campaign);
                        let until = Some(ask_at);
                        let campaign = Some(campaign);
                        self.begun.stopped.push(Stopped { campaign, feed_only: true, why, until });
                    }
                    // A due row has nothing behind it to stop; it waits on its own.
                    (Place::Feed(_), None) | (Place::Row(_), _) => self.wait(item, place, until, why)?,
                }
                Ok(())
            }
            Verdict::Pause { why } => match item.campaign {
                Some(campaign) => self.pause(campaign, why),
                None => self.wait(item, place, self.tx.now + TimeDelta::minutes(1), why),
            },
        }
    }

    /// Pauses a campaign whose next message has no room in a budget; everything of it stays where it is.
    fn pause(&mut self, campaign: CampaignId, why: HoldReason) -> Fallible<()> {
        let state = CampaignState::Paused;
        self.tx.conn.prepare_cached(PAUSE)?.execute(params![
            self.tenant.as_bytes(),
            campaign.as_bytes(),
            state.as_str(),
            why.as_str()
        ])?;
        if why == HoldReason::BudgetSpent {
            self.changes.event(self.tenant, EventBody::BudgetSpent { campaign });
        }
        self.changes.event(self.tenant, EventBody::Campaign { campaign, state });
        self.paused.insert(campaign);
        let campaign = Some(campaign);
        self.begun.stopped.push(Stopped { campaign, feed_only: false, why, until: None });
        Ok(())
    }

    fn send(&mut self, item: &'a BeginItem, place: Place, grant: Grant) -> Fallible<()> {
        let (tx, now) = (self.tx, self.tx.now);
        let start_by = later(now, self.batch.start_within);
        let end_by = later(start_by, self.batch.timeout);
        let Grant { tier_slot, content, price } = grant;
        let category = item.category_of(content);
        let attempt = Attempt {
            n: item.n,
            session: self.session,
            begun_at: now,
            end_by,
            recipient: item.recipient.key().cast_signed(),
            tier_slot,
            content,
            warm_up_day: self.court.warm_up.map(|facts| facts.day.number),
            quote: Quote { category, estimate: price },
            book: self.court.pricing.book(),
            month: self.court.pricing.month(),
            facts: DeliveryFacts::default(),
        };
        // First, while the chain is as it was.
        self.leave(item, place, |stored| {
            stored.due = None;
            stored.attempts.push(attempt.clone());
        })?;
        let (tenant, message) = (self.tenant.as_bytes(), item.message.as_bytes());
        tx.conn.prepare_cached(INSERT_ATTEMPT)?.execute(params![
            tenant,
            message,
            item.n,
            self.session.as_bytes(),
            int(self.epoch),
            self.incarnation.as_ref().map(|id| id.as_bytes()),
            self.batch.id.as_bytes(),
            micros(now),
            micros(end_by),
            item.recipient.key().cast_signed(),
            tier_slot,
            RateCategory::from(category).as_str(),
            price.amount.map(|price| price.micros),
            price.reserve.map(|reserve| reserve.micros),
            price.amount.or(price.reserve).as_ref().map(|price| price.currency.as_str()),
            price.reason.as_str(),
            price.counts_as_service,
            attempt.month.to_string(),
            attempt.book,
            content == Chosen::Fallback,
            attempt.warm_up_day
        ])?;
        tx.conn.prepare_cached(INSERT_OPEN)?.execute(params![
            self.session.as_bytes(),
            micros(end_by),
            tenant,
            message,
            item.n,
            int(self.epoch)
        ])?;
        self.touched.push((item, grant));
        let booking = booking(&sold(&attempt, &item.recipient, self.court.book()));
        let counted = Counted { facts: &attempt.facts, booking: booking.as_ref() };
        self.changes.attempt(self.tenant, item.campaign, &attempt, None, &counted);
        if item.n > 1 {
            self.changes.retry(self.tenant, item.campaign);
        }
        let key = AttemptKey { tenant: self.tenant, message: item.message, n: item.n };
        let price = price.amount;
        self.begun.attempts.push(BegunAttempt { key, start_by, end_by, content, price });
        Ok(())
    }

    fn wait(
        &mut self,
        item: &BeginItem,
        place: Place,
        until: DateTime<Utc>,
        why: HoldReason,
    ) -> Fallible<()> {
        let until = wa_core::model::whole_micros(until);
        self.leave(item, place, |stored| stored.due = Some(Due { n: item.n, why: Some(why), at: until }))?;
        self.tx.conn.prepare_cached(PUT_DUE)?.execute(params![
            self.tenant.as_bytes(),
            item.message.as_bytes(),
            self.session.as_bytes(),
            lane_rank(item.lane),
            micros(until),
            item.n,
            item.campaign.as_ref().map(|id| id.as_bytes()),
            why.as_str()
        ])?;
        self.begun.waits.push((item.message, why, until));
        Ok(())
    }

    fn skip(&mut self, item: &BeginItem, place: Place, reason: SkipReason) -> Fallible<()> {
        self.leave(item, place, |stored| {
            stored.due = None;
            stored.closed = Some(reason);
        })?;
        put_closed(self.tx.conn, self.tenant, item.message, reason, self.tx.now)?;
        self.begun.skips.push((item.message, reason));
        Ok(())
    }

    /// Takes a message out of where it waits and counts its change of state.
    fn leave(&mut self, item: &BeginItem, place: Place, change: impl FnOnce(&mut Stored)) -> Fallible<()> {
        let mut stored = match place {
            Place::Row(due) if item.n > 1 => {
                let stored = Stored::load(self.tx.conn, self.tenant, item.message)?;
                let mut stored = stored
                    .filter(|stored| stored.due == Some(due))
                    .ok_or(Fault::Broken("a due row has no message"))?;
                // The attempt that begins now may be written already; what was before it counts.
                stored.attempts.retain(|attempt| attempt.n < item.n);
                stored
            }
            // Nothing was attempted yet, so nothing needs to be read.
            Place::Row(due) => self.unattempted(item, Some(due)),
            Place::Feed(_) => self.unattempted(item, None),
        };
        let old = stored.standing();
        change(&mut stored);
        let new = stored.standing();
        match (place, item.campaign) {
            (Place::Row(_), _) => delete_due(self.tx.conn, self.tenant, item.message)?,
            (Place::Feed(place), Some(campaign)) => {
                let start = Moved { to: item.message, count: 0 };
                let moved = self.feeds.entry((campaign, place)).or_insert(start);
                *moved = Moved { to: item.message, count: moved.count + 1 };
            }
            (Place::Feed(_), None) => {}
        }
        let Standing { state: before, .. } = old;
        let after: MessageState = new.state;
        self.changes.standing(self.tenant, item.campaign, Some(&old), &new);
        self.changes.state(self.tx.conn, self.tenant, item.message, before, after)
    }

    fn unattempted(&self, item: &BeginItem, due: Option<Due>) -> Stored {
        Stored {
            tenant: self.tenant,
            id: item.message,
            campaign: item.campaign,
            contact: item.contact,
            recipient: item.recipient.clone(),
            attempts: Vec::new(),
            closed: None,
            due,
        }
    }

    /// Moves the feeds and writes what the batch took and changed.
    fn write(self) -> Fallible<BegunBatch> {
        let conn = self.tx.conn;
        for ((campaign, place), Moved { to, count }) in &self.feeds {
            let moved = conn.prepare_cached(MOVE_FEED)?.execute(params![
                self.tenant.as_bytes(),
                campaign.as_bytes(),
                place,
                to.as_bytes(),
                int(*count)
            ])?;
            if moved != 1 {
                return Err(Fault::Broken("a feed moved under its own batch"));
            }
        }
        for (item, grant) in &self.touched {
            self.court.write_touch(item, grant)?;
        }
        self.court.write_limits(u64::try_from(self.touched.len()).unwrap_or(u64::MAX))?;
        self.changes.write(self.tx)?;
        Ok(self.begun)
    }
}

/// How long batch ids are known; a commit that is still unknown by then never comes.
pub(in crate::sqlite) const KEEP_BATCHES: TimeDelta = TimeDelta::days(7);
