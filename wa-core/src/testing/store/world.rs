//! A small world around a store under test: a clock that stands still, ids from a seed, and the
//! few moves of which the cases are made.
//!
//! The helpers check what they rely on, so that a case fails where its premise breaks. They decide
//! nothing that a case is about.

mod hearing;
mod reading;
mod sending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{OpenStore, StoreFixture};
use crate::model::{
    Campaign, CampaignAction, CampaignId, Category, Contact, ContactId, Entitlement, IncarnationId,
    InstanceId, Lane, ListName, MessageId, NewCampaign, NewMessage, NewSession, Phone, PriceList, Recipient,
    Session, SessionId, SessionReport, SessionState, TagKey, TenantId, TenantSettings, Tier, WorkerId,
    from_micros,
};
use crate::port::store::{
    AcquireSessions, ActOutcome, AddSession, Archive, Audience, CreateCampaign, Directory, Enqueue, Inbox,
    Journal, LaunchChunk, LaunchStep, Lease, Ledger, Numbers, Outbox, Reports, Schedules, Store,
    StoreIdentity, UpsertContact,
};
use crate::port::{AdminScope, Clock, Entropy, Scope, WorkerScope};
use crate::testing::{ManualClock, SeededEntropy, scope};

pub(super) use self::reading::Snapshot;
pub(super) use self::sending::item;
pub(super) use super::values::*;

/// The middle of a month, with microseconds that a store must keep.
const START: i64 = 1_794_320_000_123_457;
/// How long after a begin a first byte may be written.
pub(super) const START_WITHIN: Duration = Duration::from_secs(5);
/// How long a request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// A lease that outlasts every case that is not about leases.
const FOR_LONG: Duration = Duration::from_secs(60 * 86_400);
/// The transport of every session, unless a case says otherwise.
pub(super) const TRANSPORT: &str = "suite";

/// What a case starts from.
pub(super) trait Premise: Sized {
    async fn open(fixture: &dyn StoreFixture) -> Self;
}

/// Two stores of a kind on one clock.
pub(super) struct Worlds {
    pub(super) from: World,
    pub(super) to: World,
}

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) worker: WorkerId,
    entropy: SeededEntropy,
    count: AtomicU64,
    opened: Box<dyn OpenStore>,
    store: Option<Arc<dyn Store>>,
}

/// The scope that a worker has by its leases.
pub(super) fn holding(worker: WorkerId, leases: &[Lease]) -> WorkerScope {
    scope::worker(worker, leases.iter().map(|lease| (lease.session.id, lease.epoch)))
}

impl Premise for World {
    async fn open(fixture: &dyn StoreFixture) -> Self {
        Self::of(fixture, Arc::new(ManualClock::new(from_micros(START))), 42).await
    }
}

impl Premise for Worlds {
    async fn open(fixture: &dyn StoreFixture) -> Self {
        let from = World::open(fixture).await;
        let to = World::of(fixture, Arc::clone(&from.clock), 43).await;
        // So that nothing has the same name or phone in both by chance.
        to.count.store(1_000_000, Ordering::Relaxed);
        Self { from, to }
    }
}

impl World {
    async fn of(fixture: &dyn StoreFixture, clock: Arc<ManualClock>, seed: u64) -> Self {
        let opened = fixture.open(clock.clone()).await;
        let entropy = SeededEntropy::new(seed);
        let store = Some(opened.store());
        let worker = WorkerId::mint(from_micros(START), [7; 10]);
        Self { clock, worker, entropy, count: AtomicU64::new(0), opened, store }
    }

    // ---- the store and its surroundings ----

    #[track_caller]
    fn store(&self) -> &dyn Store {
        self.store.as_deref().expect("the store is open")
    }

    pub(super) fn directory(&self) -> &dyn Directory {
        self.store().directory()
    }

    pub(super) fn numbers(&self) -> &dyn Numbers {
        self.store().numbers()
    }

    pub(super) fn audience(&self) -> &dyn Audience {
        self.store().audience()
    }

    pub(super) fn schedules(&self) -> &dyn Schedules {
        self.store().schedules()
    }

    pub(super) fn outbox(&self) -> &dyn Outbox {
        self.store().outbox()
    }

    pub(super) fn inbox(&self) -> &dyn Inbox {
        self.store().inbox()
    }

    pub(super) fn ledger(&self) -> &dyn Ledger {
        self.store().ledger()
    }

    pub(super) fn journal(&self) -> &dyn Journal {
        self.store().journal()
    }

    pub(super) fn archive(&self) -> &dyn Archive {
        self.store().archive()
    }

    pub(super) fn reports(&self) -> &dyn Reports {
        self.store().reports()
    }

    /// Closes the store and opens the same data again. Leases may be lost by it.
    pub(super) async fn reopen(&mut self) {
        self.store = None;
        self.opened.reopen().await;
        self.store = Some(self.opened.store());
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The instant this many seconds from now; negative for the past.
    pub(super) fn after(&self, seconds: i64) -> DateTime<Utc> {
        self.now() + TimeDelta::seconds(seconds)
    }

    /// A fresh id, as in `mint(TenantId::mint)`.
    pub(super) fn mint<T>(&self, mint: fn(DateTime<Utc>, [u8; 10]) -> T) -> T {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        mint(self.now(), random)
    }

    /// What a store may be known by, with a key of tags of such bytes.
    pub(super) fn identity(&self, byte: u8) -> StoreIdentity {
        StoreIdentity {
            instance: self.mint(InstanceId::mint),
            incarnation: self.mint(IncarnationId::mint),
            tag_key: TagKey::new([byte; 32]),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn admin(&self) -> AdminScope {
        scope::admin(self.worker)
    }

    // ---- tenants, sessions, leases ----

    pub(super) async fn tenant(&self, name: &str) -> Scope {
        let fresh = self.mint(TenantId::mint);
        let tenant = must(self.directory().ensure_tenant(&self.admin(), &value(name), fresh).await);
        scope::tenant(tenant.id)
    }

    /// The scope of a tenant that does not exist.
    pub(super) fn nobody(&self) -> Scope {
        scope::tenant(self.mint(TenantId::mint))
    }

    pub(super) fn new_session(&self) -> NewSession {
        let number = format!("number.{}", self.count());
        NewSession {
            id: self.mint(SessionId::mint),
            transport: value(TRANSPORT),
            portfolio: number.clone(),
            account: None,
            phone: None,
            number: value(&number),
        }
    }

    /// A connected session without a messaging limit.
    pub(super) async fn session(&self, scope: &Scope) -> Session {
        let new = self.new_session();
        self.session_of(scope, &new, Tier::Unlimited).await
    }

    pub(super) async fn session_of(&self, scope: &Scope, new: &NewSession, tier: Tier) -> Session {
        let added = must(self.numbers().add_session(scope, new).await);
        assert!(matches!(added, AddSession::Added(_)), "the session is new: {added:?}");
        let report = SessionReport {
            state: Some(SessionState::Connected),
            tier: Some(tier),
            ..SessionReport::default()
        };
        found(self.numbers().report_session(scope, new.id, &report).await)
    }

    pub(super) async fn acquire(&self, worker: WorkerId, lease: Duration, most: u32) -> Vec<Lease> {
        let ask = AcquireSessions { worker, lease, most };
        must(self.numbers().acquire(&scope::admin(worker), &ask).await)
    }

    /// Acquires everything that is free for the world's own worker, for long.
    pub(super) async fn own(&self) -> WorkerScope {
        holding(self.worker, &self.acquire(self.worker, FOR_LONG, 1_000).await)
    }

    pub(super) fn another_worker(&self) -> WorkerId {
        self.mint(WorkerId::mint)
    }

    /// One tenant with one session, owned for long.
    pub(super) async fn one(&self) -> (Scope, Session, WorkerScope) {
        let scope = self.tenant("one").await;
        let session = self.session(&scope).await;
        let own = self.own().await;
        assert!(own.epoch(session.id).is_some(), "a session that nobody holds is given");
        (scope, session, own)
    }

    // ---- contacts and campaigns ----

    pub(super) fn fresh_phone(&self) -> Phone {
        phone(&format!("1555{:07}", self.count()))
    }

    pub(super) fn upsert(&self, recipient: impl Into<Recipient>) -> UpsertContact {
        UpsertContact {
            id: self.mint(ContactId::mint),
            recipient: recipient.into(),
            attributes: BTreeMap::new(),
            list: None,
        }
    }

    /// A contact with a fresh phone.
    pub(super) async fn contact(&self, scope: &Scope) -> Contact {
        found(self.audience().upsert_contact(scope, &self.upsert(self.fresh_phone())).await)
    }

    /// A contact with a fresh phone and a `name`, on a list.
    pub(super) async fn member(&self, scope: &Scope, list: &ListName) -> Contact {
        let upsert = UpsertContact {
            attributes: BTreeMap::from([("name".to_owned(), format!("Ada {}", self.count()))]),
            list: Some(list.clone()),
            ..self.upsert(self.fresh_phone())
        };
        found(self.audience().upsert_contact(scope, &upsert).await)
    }

    /// A list of so many members.
    pub(super) async fn list(&self, scope: &Scope, members: usize) -> (ListName, Vec<Contact>) {
        let list: ListName = value(&format!("list {}", self.count()));
        let mut contacts = Vec::new();
        for _ in 0..members {
            contacts.push(self.member(scope, &list).await);
        }
        (list, contacts)
    }

    pub(super) fn new_campaign(&self, list: &ListName, sessions: &[SessionId]) -> NewCampaign {
        NewCampaign {
            id: self.mint(CampaignId::mint),
            name: value(&format!("campaign {}", self.count())),
            content: greeting(Category::Marketing),
            fallback: None,
            list: list.clone(),
            sessions: sessions.to_vec(),
            lane: Lane::Bulk,
            valid_until: None,
            start_at: None,
            rate: None,
            budget: None,
            in_doubt: None,
        }
    }

    pub(super) async fn draft(&self, scope: &Scope, new: &NewCampaign) -> Campaign {
        match must(self.audience().create_campaign(scope, new).await) {
            CreateCampaign::Created(campaign) => campaign,
            other => panic!("the campaign is new: {other:?}"),
        }
    }

    pub(super) fn chunk(&self, size: u32) -> LaunchChunk {
        let mut seed = [0; 16];
        self.entropy.fill(&mut seed);
        LaunchChunk { size, seed }
    }

    pub(super) async fn launch_step(&self, scope: &Scope, id: CampaignId, size: u32) -> LaunchStep {
        must(self.audience().launch(scope, id, &self.chunk(size)).await)
    }

    /// Launches in chunks of a size until nobody is left.
    pub(super) async fn launch(&self, scope: &Scope, id: CampaignId, size: u32) -> Campaign {
        for _ in 0..1_000 {
            match self.launch_step(scope, id, size).await {
                LaunchStep::Frozen { .. } => {}
                LaunchStep::Done(campaign) => return campaign,
                other => panic!("the campaign can be launched: {other:?}"),
            }
        }
        panic!("the launch does not end");
    }

    /// A running campaign over so many fresh contacts.
    pub(super) async fn campaign(&self, scope: &Scope, session: SessionId, members: usize) -> Campaign {
        let (list, _) = self.list(scope, members).await;
        let draft = self.draft(scope, &self.new_campaign(&list, &[session])).await;
        self.launch(scope, draft.id, 1_000).await
    }

    pub(super) async fn act(&self, scope: &Scope, id: CampaignId, action: CampaignAction) -> Campaign {
        match must(self.audience().act(scope, id, action).await) {
            ActOutcome::Moved(campaign) => campaign,
            other => panic!("{action:?} moves the campaign: {other:?}"),
        }
    }

    // ---- single messages ----

    /// A utility template to a recipient, due now.
    pub(super) fn message(&self, session: SessionId, recipient: impl Into<Recipient>) -> NewMessage {
        NewMessage {
            id: self.mint(MessageId::mint),
            session,
            recipient: recipient.into(),
            content: template("notice", Category::Utility),
            reply_to: None,
            fallback: None,
            lane: Lane::Bulk,
            due_at: self.now(),
            valid_until: None,
            key: None,
            in_doubt: None,
        }
    }

    pub(super) async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> MessageId {
        match must(self.outbox().enqueue(scope, message).await) {
            Enqueue::Queued(id) => {
                assert_eq!(id, message.id, "a new message keeps the id that it came with");
                id
            }
            other => panic!("the message is taken in: {other:?}"),
        }
    }

    /// A single message to a fresh phone, taken in.
    pub(super) async fn single(&self, scope: &Scope, session: SessionId) -> MessageId {
        self.enqueue(scope, &self.message(session, self.fresh_phone())).await
    }

    // ---- settings that cases share ----

    pub(super) async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) {
        assert!(must(self.directory().put_settings(scope, settings).await), "the tenant is there");
    }

    /// Lets a recipient get one template after the other.
    pub(super) async fn without_cooldown(&self, scope: &Scope) {
        let settings = found(self.directory().settings(scope).await);
        self.put_settings(scope, &TenantSettings { template_cooldown: None, ..settings }).await;
    }

    /// A price for marketing, none for anything else.
    pub(super) async fn put_price(&self, scope: &Scope, micros: i64) {
        let prices = PriceList {
            currency: value("EUR"),
            per_message: BTreeMap::from([(Category::Marketing, micros)]),
        };
        let settings = TenantSettings { prices: Some(prices.into()), ..TenantSettings::default() };
        self.put_settings(scope, &settings).await;
    }

    pub(super) async fn put_quota(&self, scope: &Scope, messages_per_month: Option<u64>) {
        let entitlement = Entitlement { messages_per_month, ..Entitlement::unlimited() };
        assert!(must(self.ledger().set_entitlement(scope, &entitlement).await), "the tenant is there");
    }
}
