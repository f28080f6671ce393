//! The campaign as it would stand: who waits where, and what has gone.
//!
//! Invariant: a member waits in the feed of one session or in one due row, or has an attempt that has
//! not left, or is counted in the outlook; never two of these.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::meters::{Meters, Taken};
use super::outlook::Preflight;
use crate::engine::{Ports, compose};
use crate::model::{
    AttemptKey, Campaign, CampaignState, HoldReason, IdMint, MessageId, Money, NewCampaign, Session,
    SessionId, SkipReason, TenantId, TenantSettings, values_of,
};
use crate::port::store::{
    BeginBatch, BeginItem, BegunAttempt, BegunBatch, CampaignBrief, Consider, Considered, DueBody,
    DueMessage, DuePage, DueQuery, DueSource, LaunchChunk, Member, RecentAttempt, Stopped, StoreError,
};
use crate::port::{Capabilities, Scope};
use crate::rules::judge::{Admission, Facts, GroupFacts, Judge, Verdict};
use crate::rules::owned::OwnedFacts;
use crate::rules::{pace, pair};
use crate::service::recording::RecordingJudge;

/// Members read at once.
const PAGE: u32 = 1_000;

/// A campaign on its way.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    ports: &'a Ports,
    scope: &'a Scope,
    campaign: Campaign,
    brief: Arc<CampaignBrief>,
    began_at: DateTime<Utc>,
    places: Vec<Place>,
    /// The number of the last member that was read, if more may come.
    reading: Option<u64>,
    prospects: HashMap<MessageId, Prospect>,
    meters: Meters,
    outlook: Preflight,
    /// Attempts that have begun and not left.
    under_way: u64,
    /// For what each message has waited in a due row.
    waited: BTreeSet<(MessageId, HoldReason)>,
}

/// Stands in for a judge where only the facts are wanted: whoever begins asks the worker's own.
#[derive(Debug)]
struct Unheard;

impl Judge for Unheard {
    fn admit(&self, _: &GroupFacts, _: DateTime<Utc>) -> Admission {
        Admission::Admit
    }

    /// Takes nothing of any limit, so that the facts of the next message are those of the store.
    fn judge(&self, _: &Facts<'_>, _: DateTime<Utc>) -> Verdict {
        Verdict::Skip(SkipReason::Unsupported)
    }
}

/// One of the campaign's numbers.
#[derive(Debug)]
struct Place {
    session: Session,
    abilities: Option<Capabilities>,
    recent: Vec<RecentAttempt>,
    is_leased: bool,
    group: Option<GroupFacts>,
    feed: VecDeque<MessageId>,
    /// Messages that ever were in the feed, and those that have left it.
    fed: u64,
    passed: u64,
    due: BTreeSet<(DateTime<Utc>, MessageId)>,
    /// Where the feed first stopped for each reason, and until when at the latest.
    stops: BTreeMap<HoldReason, (u64, DateTime<Utc>)>,
    last_stop: Option<HoldReason>,
    /// Why nothing goes any more, whatever time passes.
    stuck: Option<HoldReason>,
}

/// A member on the way.
#[derive(Debug)]
struct Prospect {
    message: DueMessage,
    facts: OwnedFacts,
    /// What its attempt took, once it has one.
    taken: Option<(Taken, Option<Money>)>,
    /// Until when and why it waits in a due row.
    waits: Option<(DateTime<Utc>, HoldReason)>,
}

impl<'a> Scene<'a> {
    /// The campaign as it would be launched now; `None` when a session is not the tenant's.
    pub(super) async fn open(
        ports: &'a Ports,
        scope: &'a Scope,
        new: &NewCampaign,
        now: DateTime<Utc>,
    ) -> Result<Result<Self, SessionId>, StoreError> {
        let campaign = Campaign::draft(new, now);
        let brief = CampaignBrief {
            id: campaign.id,
            content: campaign.content.clone(),
            fallback: campaign.fallback.clone(),
            columns: campaign.columns(),
            rate: campaign.rate,
        };
        let mut places = Vec::new();
        for id in &campaign.sessions {
            let Some(session) = ports.store.numbers().session(scope, *id).await? else { return Ok(Err(*id)) };
            let transport = ports.transports.get(&session.transport);
            places.push(Place {
                abilities: transport.map(|transport| transport.capabilities()),
                session,
                recent: Vec::new(),
                is_leased: false,
                group: None,
                feed: VecDeque::new(),
                fed: 0,
                passed: 0,
                due: BTreeSet::new(),
                stops: BTreeMap::new(),
                last_stop: None,
                stuck: None,
            });
        }
        let mut scene = Self {
            ports,
            scope,
            campaign,
            brief: Arc::new(brief),
            began_at: now,
            places,
            reading: Some(0),
            prospects: HashMap::new(),
            meters: Meters::new(new.budget),
            outlook: Preflight::default(),
            under_way: 0,
            waited: BTreeSet::new(),
        };
        scene.read_on(now).await?;
        Ok(Ok(scene))
    }

    pub(super) fn tenant(&self) -> TenantId {
        self.scope.tenant()
    }

    /// When the first message may begin.
    pub(super) fn starts_at(&self) -> DateTime<Utc> {
        self.campaign.start_at.map_or(self.began_at, |at| at.max(self.began_at))
    }

    /// Whether nothing can happen any more.
    pub(super) fn is_over(&self) -> bool {
        let goes_on =
            |place: &Place| place.stuck.is_none() && !(place.feed.is_empty() && place.due.is_empty());
        let all_stuck = self.places.iter().all(|place| place.stuck.is_some());
        (self.reading.is_none() || all_stuck) && self.under_way == 0 && !self.places.iter().any(goes_on)
    }

    /// Counts what still waits, with the reason for which it does.
    pub(super) async fn finish(mut self, now: DateTime<Utc>) -> Result<Preflight, StoreError> {
        while self.reading.is_some() {
            self.read_on(now).await?;
        }
        for place in &self.places {
            let rows = place.due.iter().filter_map(|(_, id)| self.prospects.get(id)?.waits);
            for (_, why) in rows {
                *self.outlook.held.entry(place.stuck.unwrap_or(why)).or_default() += 1;
            }
            // What has no reason has only not had its turn.
            let why = place.stuck.or(place.last_stop).unwrap_or(HoldReason::Throttled);
            let left = u64::try_from(place.feed.len()).unwrap_or(u64::MAX);
            if left > 0 {
                *self.outlook.held.entry(why).or_default() += left;
            }
            for (why, (passed, until)) in &place.stops {
                self.outlook.waits(*why, place.fed - passed, *until);
            }
        }
        debug_assert!(self.outlook.is_complete() || self.under_way > 0, "everybody is counted");
        Ok(self.outlook)
    }

    /// The sessions that nobody held before, with the attempts from which their meters are rebuilt.
    pub(super) fn take_leases(&mut self) -> Vec<(Session, Vec<RecentAttempt>)> {
        let mut fresh = Vec::new();
        for place in self.places.iter_mut().filter(|place| !place.is_leased) {
            place.is_leased = true;
            fresh.push((place.session.clone(), std::mem::take(&mut place.recent)));
        }
        fresh
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.places.iter().map(|place| place.session.id)
    }

    /// What the worker could begin now of a session and lane.
    pub(super) async fn page(&mut self, ask: &DueQuery, now: DateTime<Utc>) -> Result<DuePage, StoreError> {
        let most = usize::try_from(ask.limit).unwrap_or(usize::MAX);
        let empty = DuePage { at: now, messages: Vec::new(), next_at: None, pace: None };
        if ask.lane.is_some_and(|lane| lane != self.campaign.lane) {
            return Ok(empty);
        }
        while self.place(ask.session).is_some_and(|place| place.feed.len() < most) && self.reading.is_some() {
            self.read_on(now).await?;
        }
        let Some(place) = self.place(ask.session) else { return Ok(empty) };
        let next_at = place.due.iter().map(|(at, _)| *at).find(|at| *at > now);
        let settings = self.settings();
        let pace = settings.map(|settings| pace::of(&place.session, &settings));
        if place.stuck.is_some() || ask.skip.contains(&self.campaign.id) {
            return Ok(DuePage { next_at, pace, ..empty });
        }
        let rows = place.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id);
        let feed = if ask.skip_feeds.contains(&self.campaign.id) { None } else { Some(&place.feed) };
        let messages = rows.chain(feed.into_iter().flatten()).take(most);
        let messages = messages.filter_map(|id| self.prospects.get(id)).map(|it| it.message.clone());
        Ok(DuePage { at: now, messages: messages.collect(), next_at, pace })
    }

    /// Judges a batch as begin does, with the meters as they are now.
    pub(super) fn begin(&mut self, batch: &BeginBatch, judge: &dyn Judge, now: DateTime<Utc>) -> BegunBatch {
        let mut begun = BegunBatch { at: Some(now), ..BegunBatch::default() };
        let campaign = Some(self.campaign.id);
        let group = self.place(batch.session).and_then(|place| place.group.clone());
        if let Some(Admission::Refuse { why, until }) = group.map(|group| judge.admit(&group, now)) {
            begun.stopped.push(Stopped { campaign, feed_only: false, why, until });
            self.stop(batch.session, why, until);
            return begun;
        }
        let mut stopped = false;
        for item in &batch.items {
            if !(stopped && item.source == DueSource::Feed) {
                stopped |= self.judge(item, batch, judge, now, &mut begun);
            }
        }
        begun
    }

    /// Judges one message; whether it and those behind it stay where they are.
    fn judge(
        &mut self,
        item: &BeginItem,
        batch: &BeginBatch,
        judge: &dyn Judge,
        now: DateTime<Utc>,
        begun: &mut BegunBatch,
    ) -> bool {
        let id = item.message;
        let Some(prospect) = self.prospects.get(&id).filter(|prospect| prospect.taken.is_none()) else {
            begun.gone.push(id);
            return false;
        };
        let mut facts = self.meters.facts(&prospect.facts, now);
        facts.item = item.clone();
        match judge.judge(&facts.as_facts(), now) {
            Verdict::Send(grant) => {
                let taken = self.meters.take(&facts, &grant, now);
                self.leave(item, batch.session);
                if let Some(prospect) = self.prospects.get_mut(&id) {
                    prospect.taken = Some((taken, grant.price.amount));
                    self.under_way += 1;
                }
                let start_by = later(now, batch.start_within);
                begun.attempts.push(BegunAttempt {
                    key: AttemptKey { tenant: item.tenant, message: id, n: item.n },
                    start_by,
                    end_by: later(start_by, batch.timeout),
                    content: grant.content,
                    price: grant.price.amount,
                });
            }
            Verdict::Skip(why) => {
                self.leave(item, batch.session);
                self.prospects.remove(&id);
                *self.outlook.blocked.entry(why).or_default() += 1;
                begun.skips.push((id, why));
            }
            Verdict::Stop { until, ask_at, why } if item.source == DueSource::Feed => {
                let campaign = Some(self.campaign.id);
                begun.stopped.push(Stopped { campaign, feed_only: true, why, until: Some(ask_at) });
                self.stop(batch.session, why, Some(until));
                return true;
            }
            Verdict::Pause { why } => {
                let campaign = Some(self.campaign.id);
                begun.stopped.push(Stopped { campaign, feed_only: false, why, until: None });
                // The whole campaign is paused, until somebody raises the budget: begins of other numbers
                // that are on their way are refused too.
                for place in &mut self.places {
                    _ = place.stuck.get_or_insert(why);
                    if let Some(group) = &mut place.group {
                        group.campaign = Some(CampaignState::Paused);
                    }
                }
                return true;
            }
            Verdict::Wait { until, why } | Verdict::Stop { until, ask_at: _, why } => {
                self.leave(item, batch.session);
                self.put_off(id, batch.session, until, why);
                begun.waits.push((id, why, until));
            }
        }
        false
    }

    /// Takes note that a request left.
    pub(super) fn sent(&mut self, attempt: AttemptKey, session: SessionId, at: DateTime<Utc>) {
        let Some((_, price)) = self.prospects.remove(&attempt.message).and_then(|it| it.taken) else {
            return;
        };
        self.under_way -= 1;
        self.outlook.go += 1;
        *self.outlook.by_session.entry(session).or_default() += 1;
        self.outlook.starts_at = Some(self.outlook.starts_at.map_or(at, |first| first.min(at)));
        self.outlook.ends_at = Some(self.outlook.ends_at.map_or(at, |last| last.max(at)));
        match price {
            Some(Money { micros: 0, .. }) => {}
            Some(price) => {
                let sum = self.outlook.cost.entry(price.currency).or_default();
                *sum = sum.saturating_add(price.micros);
            }
            None => self.outlook.unpriced += 1,
        }
    }

    /// Puts back what did not leave in time; when it is due again.
    pub(super) fn give_back(&mut self, attempt: AttemptKey, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let prospect = self.prospects.get_mut(&attempt.message)?;
        let (taken, _) = prospect.taken.take()?;
        prospect.message.n = prospect.message.n.saturating_add(1);
        let session = prospect.facts.session.id;
        self.under_way -= 1;
        self.meters.give_back(taken);
        self.put_off(attempt.message, session, now, HoldReason::NotSent);
        Some(now)
    }

    /// Takes a message out of where it waits.
    fn leave(&mut self, item: &BeginItem, session: SessionId) {
        let due_at = self.prospects.get_mut(&item.message).and_then(|prospect| prospect.waits.take());
        let Some(place) = self.place_mut(session) else { return };
        match due_at {
            Some((at, _)) => _ = place.due.remove(&(at, item.message)),
            None => {
                // They are judged in their order, so it is the first.
                if place.feed.front() == Some(&item.message) {
                    place.feed.pop_front();
                } else {
                    place.feed.retain(|id| *id != item.message);
                }
                place.passed += 1;
            }
        }
    }

    fn put_off(&mut self, id: MessageId, session: SessionId, until: DateTime<Utc>, why: HoldReason) {
        if self.waited.insert((id, why)) {
            self.outlook.waits(why, 1, until);
        }
        if let Some(prospect) = self.prospects.get_mut(&id) {
            prospect.message.source = DueSource::Row;
            prospect.waits = Some((until, why));
        }
        if let Some(place) = self.place_mut(session) {
            place.due.insert((until, id));
        }
    }

    /// What waits in a feed stays there; without an end in sight for good.
    fn stop(&mut self, session: SessionId, why: HoldReason, until: Option<DateTime<Utc>>) {
        let Some(place) = self.place_mut(session) else { return };
        match until {
            Some(until) => {
                let stop = place.stops.entry(why).or_insert((place.passed, until));
                stop.1 = stop.1.max(until);
                place.last_stop = Some(why);
            }
            None => _ = place.stuck.get_or_insert(why),
        }
    }

    fn place_mut(&mut self, session: SessionId) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.session.id == session)
    }

    fn place(&self, session: SessionId) -> Option<&Place> {
        self.places.iter().find(|place| place.session.id == session)
    }

    /// What the tenant set, as the facts say.
    fn settings(&self) -> Option<Arc<TenantSettings>> {
        self.prospects.values().next().map(|prospect| Arc::clone(&prospect.facts.settings))
    }

    /// Reads the next members, with the facts that begin would read of each.
    async fn read_on(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Some(after) = self.reading else { return Ok(()) };
        let members =
            self.ports.store.audience().members(self.scope, &self.campaign.list, after, PAGE).await?;
        self.reading = members.last().map(|member| member.number);
        let mut asked: BTreeMap<usize, Vec<DueMessage>> = BTreeMap::new();
        for member in members {
            let place = usize::try_from(self.outlook.audience).unwrap_or(0) % self.places.len().max(1);
            match self.message(member, place) {
                Some(message) => asked.entry(place).or_default().push(message),
                // A launch closes it at once.
                None => *self.outlook.blocked.entry(SkipReason::MissingParameter).or_default() += 1,
            }
            self.outlook.audience += 1;
        }
        for (place, messages) in asked {
            self.consider(place, messages, now).await?;
        }
        Ok(())
    }

    /// The message that a member would get; `None` when a value is missing.
    fn message(&self, member: Member, place: usize) -> Option<DueMessage> {
        let Member { number: _, contact } = member;
        let (values, is_complete) = values_of(&self.brief.columns, &contact.attributes);
        if !is_complete {
            return None;
        }
        let width = u64::try_from(self.places.len()).unwrap_or(1).max(1);
        let ordinal = u32::try_from(self.outlook.audience / width + 1).unwrap_or(u32::MAX);
        let mint = IdMint::new(self.began_at, u16::try_from(place).unwrap_or(u16::MAX));
        let chunk = LaunchChunk { size: PAGE, seed: [0; 16] };
        Some(DueMessage {
            tenant: self.scope.tenant(),
            id: mint.message(ordinal, chunk.chance(self.outlook.audience)),
            n: 1,
            campaign: Some(Arc::clone(&self.brief)),
            contact: Some(contact.id),
            recipient: contact.recipient,
            body: DueBody::Values(values),
            reply_to: None,
            fallback: None,
            lane: self.campaign.lane,
            valid_until: self.campaign.valid_until,
            source: DueSource::Feed,
        })
    }

    async fn consider(
        &mut self,
        place: usize,
        messages: Vec<DueMessage>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(at) = self.places.get_mut(place) else { return Ok(()) };
        let is_first = at.group.is_none();
        let items =
            messages.iter().map(|message| compose(message.clone(), at.abilities.as_ref()).0).collect();
        let span = i64::try_from(pair::INTERVAL.saturating_mul(pair::BURST)).unwrap_or(i64::MAX);
        let recent_since = is_first.then(|| self.began_at - TimeDelta::microseconds(span));
        let judge = Arc::new(RecordingJudge::new(Arc::new(Unheard)));
        let ask = Consider { session: at.session.id, items, recent_since };
        let considered = self.ports.store.outbox().consider(self.scope, &ask, judge.clone()).await?;
        let Considered::Judged(judged) = considered else { return Ok(()) };
        let facts = judge.take_facts();
        if is_first {
            at.session = judged.session;
            at.recent = judged.recent;
            // Nothing is asked before it starts.
            let running = |group: GroupFacts| GroupFacts { campaign: Some(CampaignState::Running), ..group };
            at.group = judge.take_groups().into_iter().next().map(running);
            if let Some(first) = facts.first() {
                self.meters.start(first, judged.slots, now);
            }
        }
        for (message, facts) in messages.into_iter().zip(facts) {
            at.feed.push_back(message.id);
            at.fed += 1;
            self.prospects.insert(message.id, Prospect { message, facts, taken: None, waits: None });
        }
        Ok(())
    }
}

fn later(at: DateTime<Utc>, by: std::time::Duration) -> DateTime<Utc> {
    at.checked_add_signed(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
