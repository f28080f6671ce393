//! A small world around a store under test: a clock that stands still, ids from a seed, and the
//! few moves of which the cases are made.
//!
//! The helpers check what they rely on, so that a case fails where its premise breaks. They decide
//! nothing that a case is about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub(super) use super::values::*;
use super::{OpenStore, StoreFixture};
use crate::model::{
    AccountChange, AccountUpdate, AttemptKey, BatchId, Campaign, CampaignAction, CampaignCounts, CampaignId,
    Category, Consent, Contact, ContactId, Conversation, Echo, Entitlement, Event, EventBody, Fact,
    InboundBody, InboundEvent, InboundMessage, Lane, ListName, MessageId, MessageState, MessageView,
    NewCampaign, NewMessage, NewSession, Outcome, Period, Phone, PriceList, Quality, RawId, Recipient,
    Schedule, Session, SessionId, SessionReport, SessionState, StatusUpdate, StreamPosition,
    TemplateCategoryChange, TemplateEvent, TemplateQuality, TemplateRecord, TemplateRef, TemplateStatus,
    TenantId, TenantSettings, Tier, WorkerId, from_micros,
};
use crate::port::store::{
    AcquireSessions, ActOutcome, AddSession, Alternative, AttemptFact, Audience, BeginBatch, BeginItem,
    Begun, BegunAttempt, BegunBatch, ConversationFilter, ConversationMessage, Cost, CostOf, CreateCampaign,
    Directory, DueBody, DueMessage, DuePage, DueQuery, Enqueue, Inbox, Journal, LaunchChunk, LaunchStep,
    Lease, Ledger, Numbers, Outbox, Projected, ProjectedEvent, Projection, RawBody, Reports, Schedules,
    Settled, Store, StoredInbound, SuppressedAddress, UpsertContact, WindowEntry, WindowFilter, WindowView,
};
use crate::port::{AdminScope, Clock, Entropy, Notice, Scope, WorkerScope};
use crate::rules::judge::Judge;
use crate::testing::{ManualClock, SeededEntropy, scope};

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

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) worker: WorkerId,
    entropy: SeededEntropy,
    count: AtomicU64,
    opened: Box<dyn OpenStore>,
    store: Option<Arc<dyn Store>>,
}

/// Everything that a tenant can read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) settings: Option<TenantSettings>,
    pub(super) entitlement: Option<Entitlement>,
    pub(super) used: Option<u64>,
    pub(super) cost: Cost,
    pub(super) sessions: Vec<Session>,
    pub(super) breakers: Vec<crate::model::Breaker>,
    pub(super) contacts: Vec<Contact>,
    pub(super) suppressed: Vec<SuppressedAddress>,
    pub(super) campaigns: Vec<(Campaign, Option<CampaignCounts>, Vec<MessageView>)>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) in_doubt: Vec<MessageView>,
    pub(super) inbound: Vec<StoredInbound>,
    pub(super) windows: Vec<WindowEntry>,
    pub(super) conversations: Vec<(Conversation, Vec<ConversationMessage>)>,
    pub(super) templates: Vec<TemplateRecord>,
    pub(super) notices: Vec<Notice>,
    pub(super) events: Vec<Event>,
}

/// What the engine would hand to begin for a due message.
pub(super) fn item(due: &DueMessage) -> BeginItem {
    let content = match (&due.body, &due.campaign) {
        (DueBody::Own(content), _) => content,
        (DueBody::Values(_), Some(campaign)) => campaign.content.pattern(),
        (DueBody::Values(_), None) => panic!("values without a campaign: {due:?}"),
    };
    let template = content.template().map(|template| (template.name.clone(), template.language.clone()));
    BeginItem {
        tenant: due.tenant,
        message: due.id,
        n: due.n,
        source: due.source,
        campaign: due.campaign.as_ref().map(|campaign| campaign.id),
        contact: due.contact,
        recipient: due.recipient.clone(),
        lane: due.lane,
        category: content.category(),
        needs_window: content.needs_window(),
        template,
        fallback: fallback_of(due),
        valid_until: due.valid_until,
        unsendable: None,
    }
}

/// The template that can stand in for a due message.
fn fallback_of(due: &DueMessage) -> Option<Alternative> {
    if let Some(template) = &due.fallback {
        return Some(template.into());
    }
    due.campaign.as_ref()?.fallback.as_ref()?.pattern().template().map(Alternative::from)
}

/// The scope that a worker has by its leases.
pub(super) fn holding(worker: WorkerId, leases: &[Lease]) -> WorkerScope {
    scope::worker(worker, leases.iter().map(|lease| (lease.session.id, lease.epoch)))
}

impl World {
    pub(super) async fn open(fixture: &dyn StoreFixture) -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(START)));
        let opened = fixture.open(clock.clone()).await;
        let entropy = SeededEntropy::new(42);
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

    // ---- the send protocol ----

    pub(super) async fn due(&self, own: &WorkerScope, session: SessionId) -> DuePage {
        let ask = DueQuery { session, lane: None, limit: 1_000, skip: Vec::new() };
        must(self.outbox().due(own, &ask).await)
    }

    pub(super) async fn due_ids(&self, own: &WorkerScope, session: SessionId) -> Vec<MessageId> {
        self.due(own, session).await.messages.iter().map(|message| message.id).collect()
    }

    pub(super) fn batch(&self, session: SessionId, messages: &[DueMessage]) -> BeginBatch {
        BeginBatch {
            id: self.mint(BatchId::mint),
            session,
            items: messages.iter().map(item).collect(),
            start_within: START_WITHIN,
            timeout: TIMEOUT,
        }
    }

    pub(super) async fn try_begin(
        &self,
        own: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Begun {
        must(self.outbox().begin(own, batch, judge).await)
    }

    /// Begins a page as one batch, which must be judged.
    pub(super) async fn begin(
        &self,
        own: &WorkerScope,
        session: SessionId,
        page: &[DueMessage],
        judge: Arc<dyn Judge>,
    ) -> BegunBatch {
        match self.try_begin(own, &self.batch(session, page), judge).await {
            Begun::Done(done) => done,
            other => panic!("the batch is judged: {other:?}"),
        }
    }

    /// Reads what is due and begins it under the standard rules.
    pub(super) async fn begin_due(&self, own: &WorkerScope, session: SessionId) -> BegunBatch {
        let page = self.due(own, session).await.messages;
        self.begin(own, session, &page, standard()).await
    }

    /// Takes a message to a fresh phone in and begins it; nothing else may be due.
    pub(super) async fn begun(&self, scope: &Scope, session: SessionId, own: &WorkerScope) -> BegunAttempt {
        let id = self.single(scope, session).await;
        let attempt = only(self.begin_due(own, session).await.attempts);
        assert_eq!(attempt.key.message, id, "the message that was taken in begins");
        attempt
    }

    pub(super) fn fact(&self, attempt: AttemptKey, outcome: Outcome) -> AttemptFact {
        AttemptFact { attempt, at: self.now(), outcome, retry_after: None }
    }

    pub(super) async fn settle(&self, attempt: AttemptKey, outcome: Outcome) -> Settled {
        must(self.outbox().settle(&[self.fact(attempt, outcome)]).await)
    }

    // ---- webhooks ----

    pub(super) fn raw(&self, bytes: &[u8]) -> RawBody {
        RawBody {
            id: self.mint(RawId::mint),
            transport: value(TRANSPORT),
            body: bytes.to_vec(),
            received_at: self.now(),
        }
    }

    /// Keeps a body of its own for these events and gives their projection.
    pub(super) async fn kept(&self, events: Vec<ProjectedEvent>) -> Projection {
        let raw = self.raw(format!("body {}", self.count()).as_bytes());
        let kept = only(must(self.inbox().keep(&self.admin(), std::slice::from_ref(&raw)).await));
        assert!(!kept.known, "the body is new");
        Projection { raw: kept.id, transport: raw.transport, received_at: raw.received_at, events }
    }

    /// Receives a webhook that says this.
    pub(super) async fn hear(&self, events: Vec<ProjectedEvent>) -> Projected {
        let projection = self.kept(events).await;
        must(self.inbox().project(&self.admin(), &[projection]).await)
    }

    pub(super) fn status(&self, session: &Session, provider_id: &str, fact: Fact) -> StatusUpdate {
        StatusUpdate::new(session.number.clone(), provider_id, fact, self.now())
    }

    pub(super) fn wrote(&self, session: &Session, from: impl Into<Recipient>) -> InboundMessage {
        let id = format!("inbound.{}", self.count());
        InboundMessage::new(session.number.clone(), id, from, self.now(), InboundBody::text("hello"))
    }

    pub(super) fn inbound(&self, message: InboundMessage, consent: Option<Consent>) -> ProjectedEvent {
        ProjectedEvent::Message { message, fresh_contact: self.mint(ContactId::mint), consent }
    }

    /// A user writes to a session now, which opens the window.
    pub(super) async fn user_writes(&self, session: &Session, from: impl Into<Recipient>) {
        let projected = self.hear(vec![self.inbound(self.wrote(session, from), None)]).await;
        assert_eq!(projected.inbound, 1, "an inbound message is new");
    }

    /// A session of an account that others are decided about.
    pub(super) async fn of_account(&self, scope: &Scope, account: &str) -> Session {
        let new = NewSession { account: Some(account.to_owned()), ..self.new_session() };
        self.session_of(scope, &new, Tier::Unlimited).await
    }

    /// Receives what the provider decided.
    pub(super) async fn decide(&self, event: InboundEvent) -> Projected {
        self.hear(vec![ProjectedEvent::Decision { event }]).await
    }

    pub(super) fn template_status(
        &self,
        name: &str,
        event: TemplateEvent,
        at: DateTime<Utc>,
    ) -> InboundEvent {
        InboundEvent::TemplateStatus(TemplateStatus {
            account: "waba.1".to_owned(),
            template: self.template_ref(name),
            category: None,
            event,
            reason: None,
            title: None,
            description: None,
            recommendation: None,
            disable_date: None,
            at,
        })
    }

    pub(super) fn template_quality(&self, name: &str, new: Quality, at: DateTime<Utc>) -> InboundEvent {
        let (account, template) = ("waba.1".to_owned(), self.template_ref(name));
        InboundEvent::TemplateQuality(TemplateQuality { account, template, previous: None, new, at })
    }

    pub(super) fn template_category(
        &self,
        name: &str,
        to: Category,
        is_final: bool,
        at: DateTime<Utc>,
    ) -> InboundEvent {
        let (account, template) = ("waba.1".to_owned(), self.template_ref(name));
        let change =
            TemplateCategoryChange { account, template, from: None, to, is_final, effective_at: None, at };
        InboundEvent::TemplateCategory(change)
    }

    fn template_ref(&self, name: &str) -> TemplateRef {
        TemplateRef { id: None, name: Some(value(name)), language: Some(value("en_US")) }
    }

    pub(super) fn account_update(&self, change: AccountChange, at: DateTime<Utc>) -> InboundEvent {
        InboundEvent::Account(AccountUpdate {
            account: "waba.1".to_owned(),
            display_phone_number: None,
            name: "ACCOUNT_UPDATE".to_owned(),
            change,
            at,
        })
    }

    pub(super) fn typed(&self, session: &Session, to: impl Into<Recipient>, text: &str) -> Echo {
        Echo {
            number: session.number.clone(),
            provider_id: format!("echo.{}", self.count()),
            to: Some(to.into()),
            at: self.now(),
            body: InboundBody::text(text),
        }
    }

    pub(super) fn echo(&self, echo: Echo) -> ProjectedEvent {
        ProjectedEvent::Echo { echo, fresh_contact: self.mint(ContactId::mint) }
    }

    // ---- the read side ----

    pub(super) async fn view(&self, scope: &Scope, id: MessageId) -> MessageView {
        found(self.reports().message(scope, id).await)
    }

    pub(super) async fn state(&self, scope: &Scope, id: MessageId) -> MessageState {
        self.view(scope, id).await.state
    }

    pub(super) async fn counts(&self, scope: &Scope, id: CampaignId) -> CampaignCounts {
        found(self.reports().counts(scope, id).await)
    }

    pub(super) async fn recipients(&self, scope: &Scope, id: CampaignId) -> Vec<MessageView> {
        must(self.reports().recipients(scope, id, None, 10_000).await)
    }

    pub(super) async fn used(&self, scope: &Scope) -> u64 {
        found(self.ledger().usage(scope, Period::of(self.now())).await).used
    }

    pub(super) async fn events(&self) -> Vec<Event> {
        must(self.journal().read(&self.admin(), StreamPosition::default(), 10_000).await)
    }

    /// The state of each message of a tenant as a reader of the journal knows it.
    pub(super) async fn told(&self, scope: &Scope) -> BTreeMap<MessageId, MessageState> {
        let mut told = BTreeMap::new();
        for event in self.events().await.into_iter().filter(|event| event.tenant == scope.tenant()) {
            if let EventBody::Messages { changes } = event.body {
                told.extend(changes);
            }
        }
        told
    }

    pub(super) async fn snapshot(&self, scope: &Scope) -> Snapshot {
        let mut campaigns = Vec::new();
        for campaign in must(self.audience().campaigns(scope, None, 10_000).await) {
            let counts = must(self.reports().counts(scope, campaign.id).await);
            let views = self.recipients(scope, campaign.id).await;
            campaigns.push((campaign, counts, views));
        }
        let usage = must(self.ledger().usage(scope, Period::of(self.now())).await);
        let mut events = self.events().await;
        events.retain(|event| event.tenant == scope.tenant());
        Snapshot {
            settings: must(self.directory().settings(scope).await),
            entitlement: must(self.ledger().entitlement(scope).await),
            used: usage.map(|usage| usage.used),
            cost: must(self.ledger().cost(scope, &CostOf::Everything).await),
            sessions: must(self.numbers().sessions(scope, None, 10_000).await),
            breakers: must(self.numbers().breakers(scope).await),
            contacts: must(self.audience().contacts(scope, None, None, 10_000).await),
            suppressed: must(self.audience().suppressed(scope, None, 10_000).await),
            campaigns,
            schedules: must(self.schedules().all_schedules(scope, None, 10_000).await),
            in_doubt: must(self.reports().in_doubt(scope, None, 10_000).await),
            inbound: must(self.inbox().inbound(scope, None, 10_000).await),
            windows: self.windows(scope).await,
            conversations: self.conversations(scope).await,
            templates: must(self.numbers().templates(scope, None, 10_000).await),
            notices: must(self.journal().notices(scope, None, 10_000).await),
            events,
        }
    }

    /// Every window, without what changes with the clock alone.
    async fn windows(&self, scope: &Scope) -> Vec<WindowEntry> {
        let page = must(self.inbox().windows(scope, &WindowFilter::default(), None, 10_000).await);
        let still = |entry: WindowEntry| WindowEntry {
            window: WindowView { remaining: TimeDelta::zero(), ..entry.window },
            ..entry
        };
        page.into_iter().map(still).collect()
    }

    pub(super) async fn conversations(&self, scope: &Scope) -> Vec<(Conversation, Vec<ConversationMessage>)> {
        let mut all = Vec::new();
        let every = ConversationFilter::default();
        for conversation in must(self.inbox().conversations(scope, &every, None, 10_000).await) {
            let id = conversation.id;
            let messages = must(self.inbox().conversation_messages(scope, id, None, 10_000).await);
            all.push((conversation, messages));
        }
        all
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
