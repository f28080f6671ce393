//! A script in the making: what it knows, what it rolls, and what it did so far.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use wa_core::model::{
    AttemptKey, BatchId, Bsuid, CampaignId, Category, ContactId, Content, ImportId, MessageId, Phone,
    Recipient, ScheduleId, SessionId, TemplateContent, TenantId, TransportName, from_micros,
};
use wa_core::port::store::{BeginBatch, Lease, RawBody};
use wa_core::port::{Clock, Scope, WorkerScope};
use wa_core::testing::{SeededEntropy, scope};

use super::arrivals::Arrival;
use super::stores::Stores;
use super::{Mismatch, Score};
use crate::world::{phone, worker_id};

pub(super) type Step = Result<(), Mismatch>;

pub(super) const TENANTS: u64 = 3;
pub(super) const WORKERS: u64 = 3;

pub(super) struct Script {
    pub(super) stores: Stores,
    pub(super) dice: SeededEntropy,
    told: Vec<String>,
    score: Score,
    minted: u128,
    pub(super) sessions: BTreeMap<SessionId, Known>,
    /// The latest lease of each session, with the worker that it was given to.
    pub(super) leases: BTreeMap<SessionId, (u64, Lease)>,
    pub(super) contacts: Vec<(TenantId, ContactId)>,
    pub(super) campaigns: Vec<(TenantId, CampaignId)>,
    pub(super) schedules: Vec<(TenantId, ScheduleId)>,
    pub(super) messages: Vec<(TenantId, MessageId)>,
    pub(super) attempts: Vec<(AttemptKey, SessionId)>,
    /// The places of attempts of which something was said.
    pub(super) settled: BTreeSet<usize>,
    pub(super) batches: Vec<(BatchId, DateTime<Utc>)>,
    pub(super) last_batch: Option<BeginBatch>,
    pub(super) bodies: Vec<RawBody>,
    pub(super) imports: Vec<(TenantId, ImportId, u64)>,
    /// Nothing may begin until it is lifted.
    pub(super) suspended: bool,
    /// The tenant that is on its way in.
    pub(super) arrival: Option<Arrival>,
    /// The tenants that came, and those of them that nobody has let go on yet.
    pub(super) moved: Vec<TenantId>,
    pub(super) held: Vec<TenantId>,
    /// The tenants that have got messages.
    pub(super) heard: Vec<TenantId>,
}

/// Where a session is.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) tenant: TenantId,
    pub(super) transport: TransportName,
    pub(super) number: u64,
}

impl Script {
    pub(super) async fn new(seed: u64) -> Self {
        // Every third script starts shortly before a month ends, as quotas do.
        let ahead =
            if seed.is_multiple_of(3) { TimeDelta::minutes(9 * 1_440 + 586) } else { TimeDelta::zero() };
        Self {
            stores: Stores::new(from_micros(1_790_000_000_000_000) + ahead).await,
            dice: SeededEntropy::new(seed),
            told: Vec::new(),
            score: Score::default(),
            minted: 0,
            sessions: BTreeMap::new(),
            leases: BTreeMap::new(),
            contacts: Vec::new(),
            campaigns: Vec::new(),
            schedules: Vec::new(),
            messages: Vec::new(),
            attempts: Vec::new(),
            settled: BTreeSet::new(),
            batches: Vec::new(),
            last_batch: None,
            bodies: Vec::new(),
            imports: Vec::new(),
            suspended: false,
            arrival: None,
            moved: Vec::new(),
            held: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// The first step: what most scripts need, so that few calls come to nothing.
    pub(super) async fn start(&mut self) -> Step {
        for place in 0..TENANTS - 1 {
            self.ensure_tenant(place, Self::tenant_at(place)).await?;
        }
        for _ in 0..4 {
            self.add_session().await?;
        }
        for _ in 0..8 {
            self.upsert_contact().await?;
        }
        self.acquire().await?;
        self.create_campaign().await?;
        self.launch().await
    }

    pub(super) async fn step(&mut self) -> Step {
        if self.suspended && self.percent(25) {
            return self.lift().await;
        }
        if !self.held.is_empty() && self.percent(25) {
            return self.release_tenant().await;
        }
        if self.percent(4) {
            return self.archive().await;
        }
        match self.roll(100) {
            0..=7 => self.time().await,
            8..=18 => self.reopen().await,
            19..=22 => self.directory().await,
            23..=33 => self.numbers().await,
            34..=45 => self.audience().await,
            46..=48 => self.schedules().await,
            49..=76 => self.outbox().await,
            77..=88 => self.inbox().await,
            89..=91 => self.ledger().await,
            92..=95 => self.journal().await,
            _ => self.reports().await,
        }
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.told.clone()
    }

    pub(super) fn score(self) -> Score {
        self.score
    }

    /// Notes what a call was and whether it did what it is for.
    pub(super) fn tell(&mut self, operation: &'static str, good: bool, what: impl std::fmt::Debug) {
        self.score.mark(operation, good);
        let place = self.told.len();
        self.told.push(format!("{place}: {} {operation} {good} {what:?}", self.now()));
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.stores.clock.now()
    }

    pub(super) fn roll(&self, sides: u64) -> u64 {
        self.dice.next() % sides.max(1)
    }

    /// Whether something happens that happens so many times in a hundred.
    pub(super) fn percent(&self, chance: u64) -> bool {
        self.roll(100) < chance
    }

    pub(super) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// One of the last few, mostly.
    pub(super) fn pick_late<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let late = from.len().saturating_sub(6);
        if self.percent(75) { self.pick(from.get(late..).unwrap_or_default()) } else { self.pick(from) }
    }

    pub(super) fn index(&self, len: usize) -> usize {
        let len = u64::try_from(len).expect("few");
        usize::try_from(self.roll(len)).expect("few")
    }

    pub(super) fn limit(&self) -> u32 {
        u32::try_from([1, 2, 3, 100][self.index(4)]).expect("small")
    }

    /// A new id, in order of time like the real ones.
    pub(super) fn uuid(&mut self) -> Uuid {
        self.minted += 1;
        let [_, _, _, _, _, _, tail @ ..] = self.minted.to_be_bytes();
        MessageId::mint(self.now(), tail).as_uuid()
    }

    pub(super) fn tenant_at(place: u64) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(0xA0 + u128::from(place)))
    }

    /// All tenants that may be there.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        (0..TENANTS).map(Self::tenant_at).chain(self.moved.iter().copied()).collect()
    }

    /// A tenant, mostly one of those that are there; never one that is on its way in, of which nobody has a scope.
    pub(super) fn tenant(&self) -> TenantId {
        if self.percent(92) {
            let moved = self.pick(&self.moved).filter(|_| self.percent(25));
            return moved.copied().unwrap_or_else(|| Self::tenant_at(self.roll(TENANTS - 1)));
        }
        Self::tenant_at(self.roll(TENANTS + 1))
    }

    pub(super) fn scope(&self) -> Scope {
        scope::tenant(self.tenant())
    }

    /// The scope of whose thing this is, mostly.
    pub(super) fn scope_of(&self, owner: TenantId) -> Scope {
        scope::tenant(if self.percent(94) { owner } else { self.tenant() })
    }

    pub(super) fn phone(&self) -> Phone {
        phone(self.roll(7))
    }

    pub(super) fn recipient(&self) -> Recipient {
        let bsuid = |n: u64| -> Bsuid { format!("US.{n}").parse().expect("a user id") };
        match self.roll(10) {
            0 => Recipient::from(bsuid(self.roll(4))),
            1 => Recipient::new(Some(self.phone()), Some(bsuid(self.roll(4)))).expect("two addresses"),
            _ => Recipient::from(self.phone()),
        }
    }

    pub(super) fn content(&self, text: &str) -> Content {
        let (name, category) = match self.roll(6) {
            0 => return Content::text(text).expect("a text"),
            1 | 2 => ("receipt", Category::Utility),
            _ => ("hello", Category::Marketing),
        };
        let template = TemplateContent::with_body(
            name.parse().expect("a template name"),
            "en_US".parse().expect("a language"),
            category,
            [text.to_owned()],
        );
        Content::Template(template.expect("a template"))
    }

    /// A template that stands in outside the window, sometimes.
    pub(super) fn fallback(&self) -> Option<TemplateContent> {
        match self.content("instead") {
            Content::Template(template) if self.percent(40) => Some(template),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> wa_core::model::ListName {
        ["people", "friends"][self.index(2)].parse().expect("a list name")
    }

    /// A session, mostly one of those that are there, and its tenant.
    pub(super) fn session(&self) -> (SessionId, TenantId) {
        let all: Vec<_> = self.sessions.iter().map(|(id, known)| (*id, known.tenant)).collect();
        let known = self.pick(&all).copied().filter(|_| self.percent(96));
        known.unwrap_or((SessionId::from_uuid(Uuid::from_u128(7)), self.tenant()))
    }

    pub(super) fn campaign(&self) -> (TenantId, CampaignId) {
        let known = self.pick_late(&self.campaigns).copied().filter(|_| self.percent(96));
        known.unwrap_or((self.tenant(), CampaignId::from_uuid(Uuid::from_u128(7))))
    }

    pub(super) fn contact(&self) -> (TenantId, ContactId) {
        let known = self.pick(&self.contacts).copied().filter(|_| self.percent(96));
        known.unwrap_or((self.tenant(), ContactId::from_uuid(Uuid::from_u128(7))))
    }

    /// Everything that a worker was ever given and nobody after it.
    pub(super) fn holder(&self, worker: u64) -> WorkerScope {
        let held = self.leases.iter().filter(|(_, (owner, _))| *owner == worker);
        scope::worker(
            worker_id(u128::from(worker)),
            held.map(|(session, (_, lease))| (*session, lease.epoch)),
        )
    }

    pub(super) fn is_alive(&self, session: SessionId) -> bool {
        self.leases.get(&session).is_some_and(|(_, lease)| lease.until > self.now())
    }

    /// A worker with a lease that still lives.
    pub(super) fn owner(&self) -> Option<u64> {
        let alive: Vec<_> = self.leases.keys().filter(|session| self.is_alive(**session)).collect();
        self.pick(&alive).map(|session| self.leases[session].0)
    }

    /// A session with the scope of its owner, mostly one whose lease still lives.
    pub(super) fn held(&self) -> Option<(SessionId, WorkerScope)> {
        let alive: Vec<_> = self.leases.iter().filter(|(session, _)| self.is_alive(**session)).collect();
        let all: Vec<_> = self.leases.iter().collect();
        let from = if alive.is_empty() || self.percent(5) { &all } else { &alive };
        let (session, (worker, lease)) = self.pick(from)?;
        let epoch = if self.percent(4) { lease.epoch.saturating_sub(1) } else { lease.epoch };
        Some((**session, scope::worker(worker_id(u128::from(*worker)), [(**session, epoch)])))
    }
}
