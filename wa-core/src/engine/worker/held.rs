//! One session that is held: its planner, its gate, and the messages that were read ahead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::book::Every;
use super::share::Claim;
use super::whole;
use crate::engine::config::EngineConfig;
use crate::engine::gate::Gate;
use crate::engine::job::Job;
use crate::engine::planner::{Planner, horizon};
use crate::engine::ports::Ports;
use crate::engine::turn::{Letter, PlannedJudge, PreparedBatch};
use crate::model::{
    AttemptKey, BatchId, CampaignId, Category, Content, HoldReason, Lane, RejectClass, SkipReason, WorkerId,
};
use crate::port::store::{
    Alternative, BeginBatch, BeginItem, DueBody, DueMessage, DueQuery, Lease, RecentAttempt,
};
use crate::port::{Capabilities, SendPermit, SessionRef, Transport, WorkerScope};
use crate::rules::judge::Judge;
use crate::rules::sendable::{self, Quote};
use crate::rules::throughput::Micros;

/// One session that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) epoch: u64,
    pub(super) session: SessionRef,
    pub(super) transport: Option<Arc<dyn Transport>>,
    pub(super) planner: Planner,
    pub(super) gate: Gate,
    pub(super) lanes: [Ahead; 2],
    /// Campaigns that may not begin now.
    pub(super) skip: BTreeMap<CampaignId, Skip>,
    /// Campaigns of which enough waits at the gate for their own rate, and until when.
    paced: BTreeMap<CampaignId, Micros>,
    /// The whole session may not begin now.
    pub(super) hold: Option<(Micros, HoldReason)>,
    /// What begins should leave within this.
    lead: Duration,
    pub(super) report: Every,
    pub(super) reported: bool,
    pub(super) unsettled_deaths: u32,
    /// Its place among all that ever came to this worker.
    pub(super) came: u64,
    /// It is handed over: nothing more of it begins.
    pub(super) leaving: bool,
}

/// A campaign that may not begin now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skip {
    /// When to ask again.
    pub(super) until: Micros,
    pub(super) why: HoldReason,
    /// Whether what waits in rows of its own may.
    pub(super) feed_only: bool,
}

/// Messages of one lane that were read ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) lane: Lane,
    pub(super) messages: VecDeque<DueMessage>,
    pub(super) read: Every,
    /// Whether the last page was full, so that more may be due than was read.
    pub(super) more: bool,
    /// When the messages were read.
    pub(super) read_at: Micros,
}

impl Ahead {
    /// Since when messages of it are known to be due.
    fn due_since(&self) -> Option<Micros> {
        (!self.messages.is_empty()).then_some(self.read_at)
    }
}

impl Held {
    pub(super) fn new(
        ports: &Ports,
        config: &EngineConfig,
        lease: Lease,
        recent: &[RecentAttempt],
        quiet_until: Option<Micros>,
        now: Micros,
    ) -> Self {
        let Lease { tenant, session, epoch, until: _, quiet_until: _, state, unsettled_deaths } = lease;
        let mut planner =
            Planner::new(session.throughput, config.transactional_share, whole(config.under_way()));
        planner.take_over(state.as_ref(), recent, now, ports.clock.now());
        if let Some(until) = quiet_until {
            planner.keep_quiet_until(until);
        }
        let transport = ports.transports.get(&session.transport).cloned();
        if transport.is_none() {
            tracing::warn!(session = %session.id, transport = %session.transport, "no transport of this name is registered");
        }
        let ahead = |lane| Ahead {
            lane,
            messages: VecDeque::new(),
            read: Every::new(config.poll_every, now),
            more: false,
            read_at: now,
        };
        Self {
            epoch,
            session: SessionRef {
                tenant,
                id: session.id,
                transport: session.transport,
                number: session.number,
            },
            transport,
            planner,
            gate: Gate::default(),
            lanes: [ahead(Lane::Transactional), ahead(Lane::Bulk)],
            skip: BTreeMap::new(),
            paced: BTreeMap::new(),
            hold: None,
            // Half of the time that there is, so that a late timer makes nothing expire.
            lead: (config.start_within / 2).min(Duration::from_secs(2)),
            report: Every::new(config.health_every, now),
            reported: false,
            unsettled_deaths,
            came: 0,
            leaving: false,
        }
    }

    /// Whether messages of this session may be begun.
    pub(super) fn is_ready(&self, now: Micros) -> bool {
        // While the number must be quiet, what begins would only use room up and expire.
        let quiet = self.planner.idle_until() > now;
        let stopped = self.hold.is_some_and(|(until, _)| until > now);
        self.reported && self.transport.is_some() && !stopped && !quiet && !self.leaving
    }

    /// Whether anything of it waits here.
    pub(super) fn has_work(&self) -> bool {
        self.gate.len() > 0 || self.lanes.iter().any(|ahead| !ahead.messages.is_empty() || ahead.more)
    }

    pub(super) fn ahead(&mut self, lane: Lane) -> Option<&mut Ahead> {
        self.lanes.iter_mut().find(|ahead| ahead.lane == lane)
    }

    fn urgent(&self) -> &VecDeque<DueMessage> {
        let [urgent, _] = &self.lanes;
        &urgent.messages
    }

    /// What this number asks for; `None` while it may begin nothing or has nothing to begin.
    pub(super) fn claim(&self, now: Micros) -> Option<Claim> {
        let read = self.lanes.iter().map(|ahead| ahead.messages.len()).sum();
        let more = self.lanes.iter().any(|ahead| ahead.more);
        let is_idle = read == 0 && !more && self.gate.len() == 0;
        if is_idle || !self.is_ready(now) {
            return None;
        }
        Some(Claim {
            session: self.session.id,
            tenant: self.session.tenant,
            due_since: self.lanes.iter().filter_map(Ahead::due_since).min().unwrap_or(now),
            waiting: self.gate.len(),
            read,
            more,
            // What may kill its worker is tried one by one.
            horizon: if self.is_careful() { 1 } else { self.planner.horizon(self.lead, now) },
            urgent: !self.urgent().is_empty() && self.gate.len_of_lane(Lane::Transactional) == 0,
            oldest: self.lanes.iter().filter_map(|ahead| ahead.messages.front()).map(|it| it.id).min(),
        })
    }

    /// Whether workers that held the session died again and again before they had settled.
    const fn is_careful(&self) -> bool {
        self.unsettled_deaths >= 3
    }

    pub(super) fn jobs(&mut self, now: Micros, limit: u32, worker: WorkerId) -> Vec<Job> {
        let mut jobs = Vec::new();
        if let Some(transport) = &self.transport
            && self.report.start(now)
        {
            jobs.push(Job::Report(self.session.clone(), Arc::clone(transport)));
        }
        let had = self.skip.len();
        self.skip.retain(|_, skip| skip.until > now);
        if self.skip.len() < had {
            self.lanes.iter_mut().for_each(|ahead| ahead.read.at_once(now));
        }
        if self.hold.is_some_and(|(until, _)| until <= now) {
            self.hold = None;
            self.lanes.iter_mut().for_each(|ahead| ahead.read.at_once(now));
        }
        if !self.is_ready(now) {
            return jobs;
        }
        let paced = self.paced.len();
        self.paced.retain(|_, until| *until > now);
        if self.paced.len() < paced {
            // Its turn again: what was read without it is read anew.
            for ahead in &mut self.lanes {
                ahead.messages.clear();
                ahead.read.at_once(now);
            }
        }
        for ahead in &mut self.lanes {
            if ahead.messages.is_empty() && ahead.read.start(now) {
                let query = DueQuery {
                    session: self.session.id,
                    lane: Some(ahead.lane),
                    limit,
                    skip: skipped(&self.skip, false).chain(self.paced.keys().copied()).collect(),
                    skip_feeds: skipped(&self.skip, true).collect(),
                };
                let scope = WorkerScope::new(worker, [(self.session.id, self.epoch)].into());
                jobs.push(Job::Read(self.session.id, ahead.lane, query, scope));
            }
        }
        jobs
    }

    pub(super) fn next_at(&mut self, now: Micros, room: bool, stopping: bool) -> Option<Micros> {
        let mut at = None::<Micros>;
        let mut sooner = |other: Option<Micros>| at = at.into_iter().chain(other).min();
        if room && let Some(gate_at) = self.gate.next_at(&mut self.planner, now) {
            sooner(Some(gate_at));
        }
        if !stopping {
            // Without a transport there is nobody to ask, now or later.
            sooner(self.report.next_at().filter(|_| self.transport.is_some()));
            sooner(self.hold.map(|(until, _)| until));
            sooner(Some(self.planner.idle_until()).filter(|until| *until > now));
            sooner(self.skip.values().map(|skip| skip.until).min());
            if self.is_ready(now) {
                sooner(self.paced.values().copied().min());
                for ahead in self.lanes.iter().filter(|ahead| ahead.messages.is_empty()) {
                    sooner(ahead.read.next_at());
                }
            }
        }
        at
    }

    pub(super) fn prepare(
        &mut self,
        ports: &Ports,
        config: &EngineConfig,
        rules: &Arc<dyn Judge>,
        most: usize,
        now: Micros,
    ) -> Option<PreparedBatch> {
        let can = self.transport.as_ref().map(|it| it.capabilities());
        // What waits at the gate beyond marketing's share would only expire there.
        let marketing_room = self.planner.marketing_horizon(self.lead);
        let mut marketing = self.gate.marketing();
        let mut items = Vec::new();
        let mut letters = BTreeMap::new();
        let mut waits = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        for ahead in &mut self.lanes {
            let had = ahead.messages.len();
            while items.len() < most {
                let Some(message) = ahead.messages.pop_front() else { break };
                if let Some((campaign, rate)) = own_rate(&message) {
                    let waiting = waiting.entry(campaign).or_insert_with(|| self.gate.len_of(campaign));
                    if *waiting >= horizon(rate, self.lead) {
                        // Left where it is, so that it holds up no other campaign.
                        let pause = (whole(self.lead) / 2).max(1_000_000 / u64::from(rate.max(1)));
                        self.paced.insert(campaign, now.saturating_add(pause));
                        ahead.messages.retain(|it| own_rate(it).is_none_or(|(other, _)| other != campaign));
                        continue;
                    }
                    *waiting += 1;
                }
                let campaign = message.campaign.as_ref().map(|campaign| campaign.id);
                if marketing_room.is_some_and(|room| marketing >= room) && is_marketing(&message) {
                    let pause = whole(self.lead) / 2;
                    if let Some(campaign) = campaign {
                        self.paced.insert(campaign, now.saturating_add(pause));
                        let is_other =
                            |it: &DueMessage| it.campaign.as_ref().map(|it| it.id) != Some(campaign);
                        ahead.messages.retain(is_other);
                        continue;
                    }
                    let pause = TimeDelta::microseconds(i64::try_from(pause).unwrap_or(i64::MAX));
                    waits.insert(message.id, (pause, HoldReason::QualityLow));
                } else if is_marketing(&message) {
                    marketing += 1;
                }
                let (item, mut letter) = compose(message, can.as_ref());
                if letter.content.is_some() && !waits.contains_key(&item.message) {
                    match self.planner.take_pair(letter.recipient.key(), now) {
                        Ok(()) => letter.pair_taken = true,
                        Err(at) => {
                            let wait = i64::try_from(at.saturating_sub(now)).unwrap_or(i64::MAX);
                            waits.insert(
                                item.message,
                                (TimeDelta::microseconds(wait), HoldReason::PairThrottled),
                            );
                        }
                    }
                }
                letters.insert(item.message, letter);
                items.push(item);
            }
            // A page that is used up is followed by the next one while this batch is sent.
            if ahead.messages.is_empty() && had > 0 {
                ahead.read.at_once(now);
            }
        }
        if items.is_empty() {
            return None;
        }
        let batch = BeginBatch {
            id: BatchId::mint(ports.clock.now(), ports.draw()),
            session: self.session.id,
            items,
            start_within: config.start_within,
            timeout: config.request_timeout,
        };
        let judge = Arc::new(PlannedJudge { rules: Arc::clone(rules), waits });
        Some(PreparedBatch {
            batch,
            epoch: self.epoch,
            letters,
            judge,
            #[cfg(feature = "mutants")]
            to: self.session.clone(),
        })
    }

    /// Takes out of the gate what can no longer start in time.
    pub(super) fn expired(&mut self, now: Duration) -> Vec<AttemptKey> {
        let late = self.gate.expired(now);
        self.unsent(late)
    }

    /// Takes everything out of the gate, unsent.
    pub(super) fn drain(&mut self) -> Vec<AttemptKey> {
        let all = self.gate.drain();
        self.unsent(all)
    }

    /// What never leaves takes no place of its recipient.
    fn unsent(&mut self, permits: Vec<SendPermit>) -> Vec<AttemptKey> {
        for permit in &permits {
            self.planner.give_pair_back(permit.recipient().key());
        }
        permits.iter().map(SendPermit::attempt).collect()
    }

    pub(super) fn rejected(
        &mut self,
        class: RejectClass,
        recipient: u64,
        retry_after: Option<Duration>,
        now: Micros,
    ) {
        match class {
            RejectClass::Throttled => self.planner.throttled(now, retry_after),
            RejectClass::PairThrottled => {
                let wait = retry_after.unwrap_or(Duration::from_secs(1));
                self.planner.hold_pair(recipient, now.saturating_add(whole(wait)));
            }
            RejectClass::Retry
            | RejectClass::Later
            | RejectClass::WindowClosed
            | RejectClass::Recipient
            | RejectClass::OptedOut
            | RejectClass::TemplatePaused
            | RejectClass::Template
            | RejectClass::Request
            | RejectClass::Credential
            | RejectClass::Account
            | RejectClass::Spam
            | RejectClass::Billing
            | RejectClass::Media => {}
        }
    }
}

/// Campaigns that are skipped as a whole, or of which only the feed is.
fn skipped(skip: &BTreeMap<CampaignId, Skip>, feed_only: bool) -> impl Iterator<Item = CampaignId> {
    skip.iter().filter(move |(_, skip)| skip.feed_only == feed_only).map(|(campaign, _)| *campaign)
}

/// The campaign of a message, if it has a rate of its own.
fn own_rate(message: &DueMessage) -> Option<(CampaignId, u32)> {
    message.campaign.as_ref().and_then(|campaign| campaign.rate.map(|rate| (campaign.id, rate)))
}

/// Whether a message is marketing as it stands.
fn is_marketing(message: &DueMessage) -> bool {
    let pattern = message.campaign.as_ref().map(|campaign| campaign.content.pattern());
    let content = match &message.body {
        DueBody::Own(content) => Some(content),
        DueBody::Values(_) => pattern,
    };
    content.is_some_and(|content| content.category() == Category::Marketing)
}

/// Makes what begin judges and what a permit carries from a due message.
pub(crate) fn compose(message: DueMessage, can: Option<&Capabilities>) -> (BeginItem, Letter) {
    let rate = own_rate(&message).map(|(_, rate)| rate);
    let DueMessage {
        tenant,
        id,
        n,
        campaign,
        contact,
        recipient,
        body,
        reply_to,
        fallback,
        lane,
        valid_until,
        source,
    } = message;
    let windows = can.is_some_and(|can| can.windows);
    let substitute = match (&body, &campaign, fallback) {
        (DueBody::Own(_), _, fallback) => fallback.map(Content::Template),
        (DueBody::Values(values), Some(campaign), _) => {
            let fallback = campaign.fallback.as_ref();
            fallback.and_then(|fallback| fallback.fill_from(&campaign.columns, values).ok())
        }
        (DueBody::Values(_), None, _) => None,
    };
    let unsendable = |content: &Content, quote| match can {
        Some(can) => sendable::unsendable(content, &recipient, quote, can),
        None => Some(SkipReason::Unsupported),
    };
    // The fallback quotes nothing.
    let substitute = substitute.filter(|content| unsendable(content, Quote::Plain).is_none());
    let content = match (body, &campaign) {
        (DueBody::Own(content), _) => Ok(content),
        (DueBody::Values(values), Some(campaign)) => {
            let filled = campaign.content.fill_from(&campaign.columns, &values);
            filled.map_err(|_| SkipReason::MissingParameter)
        }
        (DueBody::Values(_), None) => Err(SkipReason::Unsupported),
    };
    let quote = if reply_to.is_some() { Quote::Quotes } else { Quote::Plain };
    let content = content.and_then(|content| unsendable(&content, quote).map_or(Ok(content), Err));
    // What cannot be filled is judged by its pattern.
    let shown =
        content.as_ref().ok().or_else(|| campaign.as_ref().map(|campaign| campaign.content.pattern()));
    let template = |content: &Content| content.template().map(Alternative::from);
    let item = BeginItem {
        tenant,
        message: id,
        n,
        source,
        campaign: campaign.as_ref().map(|campaign| campaign.id),
        contact,
        recipient: recipient.clone(),
        lane,
        category: shown.map_or(Category::Service, Content::category),
        needs_window: windows && shown.is_some_and(Content::needs_window),
        template: shown.and_then(template).map(|it| it.template),
        fallback: substitute.as_ref().and_then(template),
        valid_until,
        unsendable: content.as_ref().err().copied(),
    };
    let campaign = campaign.map(|campaign| campaign.id);
    let letter = Letter {
        content: content.ok(),
        reply_to,
        fallback: substitute,
        recipient,
        lane,
        campaign,
        rate,
        pair_taken: false,
    };
    (item, letter)
}
