//! The point of no return: a batch is judged and its attempts are written, in one transaction.
//!
//! Invariant: every item ends as exactly one fact (an attempt, a due row, a closed row) or stays
//! where it was. A feed moves only over items that continue it exactly.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    AttemptKey, Breaker, BreakerScope, CampaignId, CampaignState, Consent, ContactId, DeliveryFacts,
    Entitlement, HoldReason, IncarnationId, LanguageCode, MessageId, MessageState, Session, SkipReason,
    TemplateName, TenantId, TenantSettings, micros,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{BeginBatch, BeginItem, Begun, BegunAttempt, BegunBatch, DueSource, Stopped};
use wa_core::rules::judge::{Admission, Facts, Grant, GroupFacts, Judge, Verdict};
use wa_core::rules::tally::Standing;
use wa_core::rules::window::{self, Guard};

use super::feed::{self, FeedCheck};
use super::reserve::{QuotaMeter, TierMeter, portfolio_key};
use super::{holds, lane_rank};
use crate::sqlite::audience::contacts;
use crate::sqlite::changes::Changes;
use crate::sqlite::codec::{at, id, int, later, named, opt_named, uint};
use crate::sqlite::directory::tenant_rules;
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{Attempt, Due, PUT_DUE, Stored, delete_due, put_closed};
use crate::sqlite::numbers::{breakers, session_of_any};
use crate::sqlite::writer::Tx;

const DUE_OF: &str =
    "SELECT n, why, campaign, due_at FROM due WHERE tenant = ?1 AND message = ?2 AND session = ?3";
const WINDOW_OF: &str =
    "SELECT last_user_message_at FROM window WHERE tenant = ?1 AND session = ?2 AND contact = ?3";
const CONSENT_OF: &str = "SELECT consent FROM contact WHERE tenant = ?1 AND id = ?2";
const INSERT_ATTEMPT: &str = "INSERT INTO attempt (tenant, message, n, session, epoch, incarnation, batch, \
     begun_at, end_by, recipient, tier_slot, price, currency) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const INSERT_OPEN: &str = "INSERT INTO open_attempt (session, end_by, tenant, message, n, epoch) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MOVE_FEED: &str = "UPDATE feed SET after_id = ?4, remaining = remaining - ?5 \
     WHERE tenant = ?1 AND campaign = ?2 AND place = ?3 AND after_id < ?4";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[
    feed::FEED_AT,
    feed::FEED_NEXT,
    feed::IS_CLOSED,
    DUE_OF,
    WINDOW_OF,
    CONSENT_OF,
    MOVE_FEED,
    super::reserve::SELECT_SLOT,
    super::reserve::PURGE_SLOTS,
    super::reserve::NEXT_FREE,
    super::reserve::LATEST_USE,
];

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
    session: Session,
    tenant: TenantId,
    incarnation: Option<IncarnationId>,
    settings: TenantSettings,
    entitlement: Entitlement,
    quota: QuotaMeter,
    tier: TierMeter,
    templates: HashMap<(TemplateName, LanguageCode), Option<Breaker>>,
    feeds: BTreeMap<(CampaignId, i64), Moved>,
    stopped: BTreeSet<CampaignId>,
    changes: Changes,
    begun: BegunBatch,
}

impl<'a> Beginning<'a> {
    /// Reads what the whole batch shares.
    fn read(tx: &'a Tx<'a>, batch: &'a BeginBatch, epoch: u64) -> Fallible<Self> {
        let (tenant, session) = session_of_any(tx.conn, batch.session)?
            .ok_or(Fault::Broken("a session with a lease is not there"))?;
        let (settings, entitlement) =
            tenant_rules(tx.conn, tenant)?.ok_or(Fault::Broken("the tenant of a session is not there"))?;
        let incarnation = tx
            .conn
            .prepare_cached("SELECT incarnation FROM identity WHERE one = 1")?
            .query_row([], |row| id(row, 0))
            .optional()?;
        let quota = QuotaMeter::read(tx.conn, tenant, &entitlement, tx.now)?;
        let portfolio = portfolio_key(session.transport.as_str(), &session.portfolio);
        let tier = TierMeter::read(tx.conn, portfolio, session.tier, tx.now)?;
        Ok(Self {
            tx,
            batch,
            epoch,
            session,
            tenant,
            incarnation,
            settings,
            entitlement,
            quota,
            tier,
            templates: HashMap::new(),
            feeds: BTreeMap::new(),
            stopped: BTreeSet::new(),
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
                        params![self.tenant.as_bytes(), item.message.as_bytes(), self.session.id.as_bytes()],
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
                let found = feed::find(conn, self.tenant, campaign, self.session.id, item.message)?;
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
        let scope = BreakerScope::Session(self.session.id);
        let breaker = breakers::open_at(self.tx.conn, self.tenant, &scope, self.tx.now)?;
        for campaign in waiting.iter().map(|waiting| waiting.item.campaign) {
            if !asked.insert(campaign) {
                continue;
            }
            let facts = GroupFacts {
                tenant_paused: self.settings.paused,
                suspended: self.entitlement.suspended,
                session: self.session.state,
                breaker: breaker.clone(),
                campaign: campaign.map(|campaign| self.campaign_state(campaign)).transpose()?,
            };
            match judge.admit(&facts, self.tx.now) {
                Admission::Admit => {
                    admitted.insert(campaign);
                }
                Admission::Refuse { why, until } => self.begun.stopped.push(Stopped { campaign, why, until }),
            }
        }
        Ok(admitted)
    }

    fn campaign_state(&self, campaign: CampaignId) -> Fallible<CampaignState> {
        let state = self
            .tx
            .conn
            .prepare_cached("SELECT state FROM campaign WHERE tenant = ?1 AND id = ?2")?
            .query_row(params![self.tenant.as_bytes(), campaign.as_bytes()], |row| {
                named(row, 0, CampaignState::from_name)
            })?;
        Ok(state)
    }

    /// Reads the facts of one message, asks the judge and writes what it says.
    fn judge(&mut self, judge: &dyn Judge, waiting: Waiting<'_>) -> Fallible<()> {
        let Waiting { item, place } = waiting;
        let stays =
            |campaign: &CampaignId| matches!(place, Place::Feed(_)) && self.stopped.contains(campaign);
        if item.campaign.as_ref().is_some_and(stays) {
            return Ok(());
        }
        let (tx, now) = (self.tx, self.tx.now);
        let (contact, consent) = self.consent(item)?;
        let last_user_message_at = match contact {
            Some(contact) => self.last_user_message_at(contact)?,
            None => None,
        };
        let key = item.recipient.key();
        let tier = self.tier.facts(tx.conn, key)?;
        let template_breaker = self.template_breaker(item)?;
        let facts = Facts {
            item,
            consent,
            last_user_message_at,
            template_breaker,
            tier,
            quota: self.quota.facts(),
            prices: self.settings.prices.as_ref(),
        };
        match judge.judge(&facts, now) {
            Verdict::Send(grant) => {
                // One who has a slot needs no other, but relies on it for another day.
                let open = window::is_open(last_user_message_at, now, Guard::default().of(item.lane));
                let relies = tier.limit.is_some() && tier.has_slot && !open;
                let tier_slot = grant.tier_slot || relies;
                if tier_slot {
                    self.tier.take(tx.conn, key)?;
                }
                self.send(item, place, Grant { tier_slot, ..grant })
            }
            Verdict::Wait { until, why } => self.wait(item, place, until, why),
            Verdict::Skip(reason) => self.skip(item, place, reason),
            Verdict::Stop { until, why } => {
                match (place, item.campaign) {
                    (Place::Feed(_), Some(campaign)) => {
                        self.stopped.insert(campaign);
                        let until = Some(until);
                        self.begun.stopped.push(Stopped { campaign: Some(campaign), why, until });
                    }
                    // A due row has nothing behind it to stop; it waits on its own.
                    (Place::Feed(_), None) | (Place::Row(_), _) => self.wait(item, place, until, why)?,
                }
                Ok(())
            }
        }
    }

    fn send(&mut self, item: &BeginItem, place: Place, grant: Grant) -> Fallible<()> {
        let (tx, now) = (self.tx, self.tx.now);
        let start_by = later(now, self.batch.start_within);
        let end_by = later(start_by, self.batch.timeout);
        let Grant { tier_slot, price } = grant;
        // First, while the chain is as it was.
        let session = self.session.id;
        self.leave(item, place, |stored| {
            stored.due = None;
            stored.attempts.push(Attempt {
                n: item.n,
                session,
                begun_at: now,
                end_by,
                recipient: item.recipient.key().cast_signed(),
                tier_slot,
                price,
                facts: DeliveryFacts::default(),
            });
        })?;
        let (tenant, message) = (self.tenant.as_bytes(), item.message.as_bytes());
        tx.conn.prepare_cached(INSERT_ATTEMPT)?.execute(params![
            tenant,
            message,
            item.n,
            self.session.id.as_bytes(),
            int(self.epoch),
            self.incarnation.as_ref().map(|id| id.as_bytes()),
            self.batch.id.as_bytes(),
            micros(now),
            micros(end_by),
            item.recipient.key().cast_signed(),
            tier_slot,
            price.map(|price| price.micros),
            price.as_ref().map(|price| price.currency.as_str())
        ])?;
        tx.conn.prepare_cached(INSERT_OPEN)?.execute(params![
            self.session.id.as_bytes(),
            micros(end_by),
            tenant,
            message,
            item.n,
            int(self.epoch)
        ])?;
        self.quota.take();
        self.changes.cost(self.tenant, item.campaign, price, 1);
        if item.n > 1 {
            self.changes.retry(self.tenant, item.campaign);
        }
        let key = AttemptKey { tenant: self.tenant, message: item.message, n: item.n };
        self.begun.attempts.push(BegunAttempt { key, start_by, end_by, price });
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
            self.session.id.as_bytes(),
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

    /// The contact of a message and its consent; whoever is no contact has refused nothing.
    fn consent(&self, item: &BeginItem) -> Fallible<(Option<ContactId>, Consent)> {
        // Whom a single message's address belongs to may have changed since it was read.
        if let Some(contact) = item.contact.filter(|_| item.campaign.is_some()) {
            let consent = self
                .tx
                .conn
                .prepare_cached(CONSENT_OF)?
                .query_row(params![self.tenant.as_bytes(), contact.as_bytes()], |row| {
                    named(row, 0, Consent::from_name)
                })
                .optional()?;
            if let Some(consent) = consent {
                return Ok((Some(contact), consent));
            }
            // It may have become one with another contact since it was read.
            if let Some(stays) = contacts::by_id(self.tx.conn, self.tenant, contact)? {
                return Ok((Some(stays.id), stays.consent));
            }
        }
        // The contact may have come after the message, with its stop word.
        let contact = contacts::by_address(self.tx.conn, self.tenant, &item.recipient)?;
        Ok(contact.map_or((None, Consent::Allowed), |contact| (Some(contact.id), contact.consent)))
    }

    fn last_user_message_at(&self, contact: ContactId) -> Fallible<Option<DateTime<Utc>>> {
        let found = self
            .tx
            .conn
            .prepare_cached(WINDOW_OF)?
            .query_row(
                params![self.tenant.as_bytes(), self.session.id.as_bytes(), contact.as_bytes()],
                |row| at(row, 0),
            )
            .optional()?;
        Ok(found)
    }

    fn template_breaker(&mut self, item: &BeginItem) -> Fallible<Option<Breaker>> {
        let Some(template) = &item.template else { return Ok(None) };
        if let Some(known) = self.templates.get(template) {
            return Ok(known.clone());
        }
        let (name, language) = template.clone();
        let scope = BreakerScope::Template(self.session.id, name, language);
        let breaker = breakers::open_at(self.tx.conn, self.tenant, &scope, self.tx.now)?;
        self.templates.insert(template.clone(), breaker.clone());
        Ok(breaker)
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
        self.quota.write(conn, self.tenant)?;
        self.changes.write(self.tx)?;
        Ok(self.begun)
    }
}

/// How long batch ids are known; a commit that is still unknown by then never comes.
pub(in crate::sqlite) const KEEP_BATCHES: TimeDelta = TimeDelta::days(7);
