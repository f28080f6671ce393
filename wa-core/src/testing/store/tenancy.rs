//! The tenant boundary: every case again, on a store behind which a stranger tries everything first.
//!
//! [`Trespassed`] repeats each call under the scope of another tenant, or of a worker that holds
//! nothing, checks that the answer is the one for a missing id, and only then makes the call
//! itself. A case that holds without the stranger and fails with it has found a hole. A method that is
//! added to a room does not compile until the stranger tries it too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{OpenStore, StoreFixture};
use crate::model::{
    AttemptKey, BatchId, Breaker, BreakerScope, BudgetOf, BudgetUse, Campaign, CampaignAction, CampaignAlert,
    CampaignCounts, CampaignId, CampaignName, Consent, ConsentSource, Contact, ContactId, Conversation,
    ConversationAction, ConversationId, Currency, Entitlement, Event, EventId, ImportId, ImportProgress,
    ListName, MessageId, MessageView, Money, NewCampaign, NewMessage, NewSchedule, NewSession, NumberId,
    Period, QuotaUsage, RawId, Recipient, Schedule, ScheduleAction, ScheduleId, ScheduleName, ScheduleRun,
    Session, SessionId, SessionReport, SessionSetting, StreamPosition, TemplateKey, TemplateRecord, Tenant,
    TenantId, TenantName, TenantSettings, TransportName, WorkerId, from_micros,
};
use crate::port::store::{
    Abandoned, AcquireSessions, ActOutcome, AddSession, Advanced, AttemptFact, Audience, BeginBatch, Begun,
    CancelMessage, Consider, Considered, ContactSpend, ConversationFilter, ConversationKey,
    ConversationMessage, ConversationPlace, Cost, CostOf, CreateCampaign, CreateSchedule, Directory,
    DispatchState, DuePage, DueQuery, DueSchedules, Enqueue, FailureFilter, ImportChunk, ImportStep, Inbox,
    Journal, KeptRaw, LaunchChunk, LaunchStep, Lease, Ledger, Listened, Member, Numbers, Outbox, Projected,
    Projection, RawBody, ReaderName, RecentAttempt, Redrive, Redriven, ReportedLine, Reports, RetryMessage,
    Route, RunSchedule, ScheduleOutcome, Schedules, Settled, StartImport, Store, StoreError, StoreIdentity,
    StoredInbound, SuppressedAddress, Swept, TrendPoint, TrendQuery, UpsertContact, WindowEntry,
    WindowFilter, WindowKey, WindowView,
};
use crate::port::{AdminScope, Clock, Notice, Scope, WorkerScope};
use crate::rules::judge::Judge;
use crate::testing::scope;

type Answer<T> = Result<T, StoreError>;

/// Opens stores behind which a stranger tries everything first.
pub(super) struct Trespassed<'a>(pub(super) &'a dyn StoreFixture);

struct OpenTrespassed(Box<dyn OpenStore>, Scope);

/// A store, and another tenant of it.
#[derive(Debug)]
struct Trespassing {
    store: Arc<dyn Store>,
    stranger: Scope,
}

#[async_trait]
impl StoreFixture for Trespassed<'_> {
    async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
        let opened = self.0.open(clock).await;
        let admin = scope::admin(WorkerId::mint(from_micros(0), [9; 10]));
        let fresh = TenantId::mint(from_micros(0), [9; 10]);
        let name = "stranger".parse().expect("a name");
        let made = opened.store().directory().ensure_tenant(&admin, &name, fresh).await;
        let stranger = scope::tenant(made.expect("the stranger is a tenant").id);
        Box::new(OpenTrespassed(opened, stranger))
    }
}

#[async_trait]
impl OpenStore for OpenTrespassed {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Trespassing { store: self.0.store(), stranger: self.1 })
    }

    async fn reopen(&mut self) {
        self.0.reopen().await;
    }
}

/// Checks what a stranger was told about a method's subject.
#[track_caller]
fn refused<T: std::fmt::Debug + PartialEq>(method: &str, told: Answer<T>, expected: &T) {
    match told {
        Ok(told) => assert_eq!(&told, expected, "what a stranger is told by `{method}`"),
        Err(error) => panic!("a stranger tells by `{method}` that something is there: {error:?}"),
    }
}

impl Trespassing {
    fn nobody(&self) -> WorkerScope {
        scope::worker(WorkerId::mint(from_micros(0), [8; 10]), [])
    }
}

impl Store for Trespassing {
    fn commits_in_order(&self) -> bool {
        self.store.commits_in_order()
    }
    fn directory(&self) -> &dyn Directory {
        self
    }
    fn numbers(&self) -> &dyn Numbers {
        self
    }
    fn audience(&self) -> &dyn Audience {
        self
    }
    fn schedules(&self) -> &dyn Schedules {
        self
    }
    fn outbox(&self) -> &dyn Outbox {
        self
    }
    fn inbox(&self) -> &dyn Inbox {
        self
    }
    fn ledger(&self) -> &dyn Ledger {
        self
    }
    fn journal(&self) -> &dyn Journal {
        self
    }
    fn reports(&self) -> &dyn Reports {
        self
    }
}

// The directory names nothing that a tenant owns but its settings, which a scope reaches alone.
#[async_trait]
impl Directory for Trespassing {
    async fn identity(&self, scope: &AdminScope, fresh: &StoreIdentity) -> Answer<StoreIdentity> {
        self.store.directory().identity(scope, fresh).await
    }

    async fn ensure_tenant(&self, scope: &AdminScope, name: &TenantName, fresh: TenantId) -> Answer<Tenant> {
        self.store.directory().ensure_tenant(scope, name, fresh).await
    }

    async fn tenants(&self, scope: &AdminScope, after: Option<TenantId>, limit: u32) -> Answer<Vec<Tenant>> {
        self.store.directory().tenants(scope, after, limit).await
    }

    async fn tenant(&self, scope: &Scope) -> Answer<Option<Tenant>> {
        self.store.directory().tenant(scope).await
    }

    async fn settings(&self, scope: &Scope) -> Answer<Option<TenantSettings>> {
        let told = self.store.directory().settings(&self.stranger).await;
        refused("settings", told, &Some(TenantSettings::default()));
        self.store.directory().settings(scope).await
    }

    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Answer<bool> {
        self.store.directory().put_settings(scope, settings).await
    }
}

#[async_trait]
impl Numbers for Trespassing {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Answer<AddSession> {
        self.store.numbers().add_session(scope, new).await
    }

    async fn session(&self, scope: &Scope, id: SessionId) -> Answer<Option<Session>> {
        refused("session", self.store.numbers().session(&self.stranger, id).await, &None);
        self.store.numbers().session(scope, id).await
    }

    async fn sessions(&self, scope: &Scope, after: Option<SessionId>, limit: u32) -> Answer<Vec<Session>> {
        refused("sessions", self.store.numbers().sessions(&self.stranger, after, limit).await, &vec![]);
        self.store.numbers().sessions(scope, after, limit).await
    }

    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Answer<Option<Session>> {
        let told = self.store.numbers().report_session(&self.stranger, id, report).await;
        refused("report_session", told, &None);
        self.store.numbers().report_session(scope, id, report).await
    }

    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Answer<Option<Session>> {
        let told = self.store.numbers().set_session(&self.stranger, id, change).await;
        refused("set_session", told, &None);
        self.store.numbers().set_session(scope, id, change).await
    }

    async fn route(
        &self,
        scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Answer<Vec<Route>> {
        self.store.numbers().route(scope, transport, number).await
    }

    async fn acquire(&self, scope: &AdminScope, ask: &AcquireSessions) -> Answer<Vec<Lease>> {
        self.store.numbers().acquire(scope, ask).await
    }

    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Answer<Vec<SessionId>> {
        refused("heartbeat", self.store.numbers().heartbeat(&self.nobody(), lease).await, &vec![]);
        self.store.numbers().heartbeat(scope, lease).await
    }

    async fn release(&self, scope: &WorkerScope, session: SessionId, state: &DispatchState) -> Answer<bool> {
        let told = self.store.numbers().release(&self.nobody(), session, state).await;
        refused("release", told, &false);
        self.store.numbers().release(scope, session, state).await
    }

    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Answer<Vec<RecentAttempt>> {
        let told = self.store.numbers().recent(&self.nobody(), session, since).await;
        refused("recent", told, &vec![]);
        self.store.numbers().recent(scope, session, since).await
    }

    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Answer<bool> {
        let told = self.store.numbers().open_breaker(&self.stranger, breaker).await;
        refused("open_breaker", told, &false);
        self.store.numbers().open_breaker(scope, breaker).await
    }

    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Answer<bool> {
        let told = self.store.numbers().reset_breaker(&self.stranger, what).await;
        refused("reset_breaker", told, &false);
        self.store.numbers().reset_breaker(scope, what).await
    }

    async fn breakers(&self, scope: &Scope) -> Answer<Vec<Breaker>> {
        refused("breakers", self.store.numbers().breakers(&self.stranger).await, &vec![]);
        self.store.numbers().breakers(scope).await
    }

    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Answer<Vec<TemplateRecord>> {
        let told = self.store.numbers().templates(&self.stranger, after, limit).await;
        refused("templates", told, &vec![]);
        self.store.numbers().templates(scope, after, limit).await
    }
}

#[async_trait]
impl Audience for Trespassing {
    async fn start_import(&self, scope: &Scope, start: &StartImport) -> Answer<Option<ImportProgress>> {
        // It names a list and a file of its own; the stranger would start an import of its own.
        self.store.audience().start_import(scope, start).await
    }

    async fn import(&self, scope: &Scope, chunk: &ImportChunk) -> Answer<ImportStep> {
        let told = self.store.audience().import(&self.stranger, chunk).await;
        refused("import", told, &ImportStep::Missing);
        self.store.audience().import(scope, chunk).await
    }

    async fn imports(&self, scope: &Scope, list: &ListName) -> Answer<Vec<ImportProgress>> {
        refused("imports", self.store.audience().imports(&self.stranger, list).await, &vec![]);
        self.store.audience().imports(scope, list).await
    }

    async fn import_report(
        &self,
        scope: &Scope,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Answer<Vec<ReportedLine>> {
        let told = self.store.audience().import_report(&self.stranger, import, after_line, limit).await;
        refused("import_report", told, &vec![]);
        self.store.audience().import_report(scope, import, after_line, limit).await
    }

    async fn upsert_contact(&self, scope: &Scope, contact: &UpsertContact) -> Answer<Option<Contact>> {
        // It names a person, not a row; the stranger would make a contact of its own.
        self.store.audience().upsert_contact(scope, contact).await
    }

    async fn contact(&self, scope: &Scope, id: ContactId) -> Answer<Option<Contact>> {
        refused("contact", self.store.audience().contact(&self.stranger, id).await, &None);
        self.store.audience().contact(scope, id).await
    }

    async fn find_contact(&self, scope: &Scope, who: &Recipient) -> Answer<Option<Contact>> {
        refused("find_contact", self.store.audience().find_contact(&self.stranger, who).await, &None);
        self.store.audience().find_contact(scope, who).await
    }

    async fn contacts(
        &self,
        scope: &Scope,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Answer<Vec<Contact>> {
        let told = self.store.audience().contacts(&self.stranger, list, after, limit).await;
        refused("contacts", told, &vec![]);
        self.store.audience().contacts(scope, list, after, limit).await
    }

    async fn members(&self, scope: &Scope, list: &ListName, after: u64, limit: u32) -> Answer<Vec<Member>> {
        let told = self.store.audience().members(&self.stranger, list, after, limit).await;
        refused("members", told, &vec![]);
        self.store.audience().members(scope, list, after, limit).await
    }

    async fn set_consent(
        &self,
        scope: &Scope,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) -> Answer<Option<Contact>> {
        let told = self.store.audience().set_consent(&self.stranger, contact, Consent::Blocked, source).await;
        refused("set_consent", told, &None);
        self.store.audience().set_consent(scope, contact, consent, source).await
    }

    async fn suppress(&self, scope: &Scope, who: &[Recipient]) -> Answer<Option<u64>> {
        // It names people, not rows; the stranger would fill a list of its own.
        self.store.audience().suppress(scope, who).await
    }

    async fn unsuppress(&self, scope: &Scope, who: &[Recipient]) -> Answer<u64> {
        refused("unsuppress", self.store.audience().unsuppress(&self.stranger, who).await, &0);
        self.store.audience().unsuppress(scope, who).await
    }

    async fn suppressed(
        &self,
        scope: &Scope,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Answer<Vec<SuppressedAddress>> {
        let told = self.store.audience().suppressed(&self.stranger, after, limit).await;
        refused("suppressed", told, &vec![]);
        self.store.audience().suppressed(scope, after, limit).await
    }

    async fn create_campaign(&self, scope: &Scope, new: &NewCampaign) -> Answer<CreateCampaign> {
        let told = self.store.audience().create_campaign(&self.stranger, new).await;
        let first = new.sessions.first().copied();
        refused("create_campaign", told, &CreateCampaign::UnknownSession(first));
        self.store.audience().create_campaign(scope, new).await
    }

    async fn set_budget(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        budget: Option<Money>,
    ) -> Answer<Option<Campaign>> {
        let told = self.store.audience().set_budget(&self.stranger, campaign, None).await;
        refused("set_budget", told, &None);
        self.store.audience().set_budget(scope, campaign, budget).await
    }

    async fn launch(&self, scope: &Scope, campaign: CampaignId, chunk: &LaunchChunk) -> Answer<LaunchStep> {
        let told = self.store.audience().launch(&self.stranger, campaign, chunk).await;
        refused("launch", told, &LaunchStep::Missing);
        self.store.audience().launch(scope, campaign, chunk).await
    }

    async fn act(&self, scope: &Scope, campaign: CampaignId, action: CampaignAction) -> Answer<ActOutcome> {
        for action in [CampaignAction::Cancel, CampaignAction::Pause, CampaignAction::Resume] {
            let told = self.store.audience().act(&self.stranger, campaign, action).await;
            refused("act", told, &ActOutcome::Missing);
        }
        self.store.audience().act(scope, campaign, action).await
    }

    async fn campaign(&self, scope: &Scope, id: CampaignId) -> Answer<Option<Campaign>> {
        refused("campaign", self.store.audience().campaign(&self.stranger, id).await, &None);
        self.store.audience().campaign(scope, id).await
    }

    async fn campaign_named(&self, scope: &Scope, name: &CampaignName) -> Answer<Option<Campaign>> {
        let told = self.store.audience().campaign_named(&self.stranger, name).await;
        refused("campaign_named", told, &None);
        self.store.audience().campaign_named(scope, name).await
    }

    async fn campaigns(&self, scope: &Scope, after: Option<CampaignId>, limit: u32) -> Answer<Vec<Campaign>> {
        let told = self.store.audience().campaigns(&self.stranger, after, limit).await;
        refused("campaigns", told, &vec![]);
        self.store.audience().campaigns(scope, after, limit).await
    }

    async fn advance(&self, scope: &AdminScope) -> Answer<Advanced> {
        self.store.audience().advance(scope).await
    }
}

#[async_trait]
impl Schedules for Trespassing {
    async fn create_schedule(&self, scope: &Scope, new: &NewSchedule) -> Answer<CreateSchedule> {
        let told = self.store.schedules().create_schedule(&self.stranger, new).await;
        let first = new.spec.sessions.first().copied();
        refused("create_schedule", told, &CreateSchedule::UnknownSession(first));
        self.store.schedules().create_schedule(scope, new).await
    }

    async fn schedule(&self, scope: &Scope, id: ScheduleId) -> Answer<Option<Schedule>> {
        refused("schedule", self.store.schedules().schedule(&self.stranger, id).await, &None);
        self.store.schedules().schedule(scope, id).await
    }

    async fn schedule_named(&self, scope: &Scope, name: &ScheduleName) -> Answer<Option<Schedule>> {
        refused("schedule_named", self.store.schedules().schedule_named(&self.stranger, name).await, &None);
        self.store.schedules().schedule_named(scope, name).await
    }

    async fn all_schedules(
        &self,
        scope: &Scope,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Answer<Vec<Schedule>> {
        let told = self.store.schedules().all_schedules(&self.stranger, after, limit).await;
        refused("all_schedules", told, &vec![]);
        self.store.schedules().all_schedules(scope, after, limit).await
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduleId,
        after: u64,
        limit: u32,
    ) -> Answer<Vec<ScheduleRun>> {
        let told = self.store.schedules().schedule_runs(&self.stranger, id, after, limit).await;
        refused("schedule_runs", told, &vec![]);
        self.store.schedules().schedule_runs(scope, id, after, limit).await
    }

    async fn act_on_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        action: ScheduleAction,
    ) -> Answer<ScheduleOutcome> {
        for action in [ScheduleAction::End, ScheduleAction::Pause, ScheduleAction::Resume] {
            let told = self.store.schedules().act_on_schedule(&self.stranger, id, action).await;
            refused("act_on_schedule", told, &ScheduleOutcome::Missing);
        }
        self.store.schedules().act_on_schedule(scope, id, action).await
    }

    async fn due_schedules(&self, scope: &AdminScope, limit: u32) -> Answer<DueSchedules> {
        self.store.schedules().due_schedules(scope, limit).await
    }

    async fn run_schedule(&self, scope: &Scope, id: ScheduleId, fresh: CampaignId) -> Answer<RunSchedule> {
        let told = self.store.schedules().run_schedule(&self.stranger, id, fresh).await;
        refused("run_schedule", told, &RunSchedule::Missing);
        self.store.schedules().run_schedule(scope, id, fresh).await
    }
}

#[async_trait]
impl Outbox for Trespassing {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Answer<Enqueue> {
        let told = self.store.outbox().enqueue(&self.stranger, message).await;
        refused("enqueue", told, &Enqueue::NoSession);
        self.store.outbox().enqueue(scope, message).await
    }

    async fn cancel(&self, scope: &Scope, message: MessageId) -> Answer<CancelMessage> {
        let told = self.store.outbox().cancel(&self.stranger, message).await;
        refused("cancel", told, &CancelMessage::Missing);
        self.store.outbox().cancel(scope, message).await
    }

    async fn retry(&self, scope: &Scope, message: MessageId) -> Answer<RetryMessage> {
        let told = self.store.outbox().retry(&self.stranger, message).await;
        refused("retry", told, &RetryMessage::Missing);
        self.store.outbox().retry(scope, message).await
    }

    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Answer<Redriven> {
        let told = self.store.outbox().redrive(&self.stranger, ask).await;
        refused("redrive", told, &Redriven::default());
        self.store.outbox().redrive(scope, ask).await
    }

    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Answer<Listened> {
        let told = self.store.outbox().listen(&self.nobody(), limit).await;
        refused("listen", told, &Listened::default());
        self.store.outbox().listen(scope, limit).await
    }

    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Answer<DuePage> {
        let told = self.store.outbox().due(&self.nobody(), ask).await;
        refused("due", told.map(|page| (page.messages, page.next_at, page.pace)), &(vec![], None, None));
        self.store.outbox().due(scope, ask).await
    }

    async fn begin(&self, scope: &WorkerScope, batch: &BeginBatch, judge: Arc<dyn Judge>) -> Answer<Begun> {
        let told = self.store.outbox().begin(&self.nobody(), batch, judge.clone()).await;
        // A batch id that is known is known to all workers, as abandon needs it.
        if !matches!(told, Ok(Begun::UsedBatch)) {
            refused("begin", told, &Begun::LeaseLost);
        }
        self.store.outbox().begin(scope, batch, judge).await
    }

    async fn consider(&self, scope: &Scope, ask: &Consider, judge: Arc<dyn Judge>) -> Answer<Considered> {
        let told = self.store.outbox().consider(&self.stranger, ask, judge.clone()).await;
        refused("consider", told, &Considered::NoSession);
        self.store.outbox().consider(scope, ask, judge).await
    }

    async fn abandon(&self, scope: &WorkerScope, batch: BatchId) -> Answer<Abandoned> {
        // Barring a batch id is not a tenant's business, and any worker may do it.
        self.store.outbox().abandon(scope, batch).await
    }

    async fn settle(&self, facts: &[AttemptFact]) -> Answer<Settled> {
        let tenant = self.stranger.tenant();
        let moved: Vec<AttemptFact> = facts
            .iter()
            .map(|fact| AttemptFact { attempt: AttemptKey { tenant, ..fact.attempt }, ..fact.clone() })
            .collect();
        let told = self.store.outbox().settle(&moved).await.map(|settled| {
            let Settled { changed, unknown, opened, due_at } = settled;
            let all_unknown = moved.iter().all(|fact| unknown.contains(&fact.attempt));
            (changed, all_unknown, opened, due_at)
        });
        refused("settle", told, &(vec![], true, vec![], None));
        self.store.outbox().settle(facts).await
    }

    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Answer<Swept> {
        refused("sweep", self.store.outbox().sweep(&self.nobody(), Duration::ZERO).await, &Swept::default());
        self.store.outbox().sweep(scope, grace).await
    }
}

#[async_trait]
impl Inbox for Trespassing {
    async fn keep(&self, scope: &AdminScope, bodies: &[RawBody]) -> Answer<Vec<KeptRaw>> {
        self.store.inbox().keep(scope, bodies).await
    }

    async fn unprojected(
        &self,
        scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Answer<Vec<RawBody>> {
        self.store.inbox().unprojected(scope, after, limit).await
    }

    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Answer<Projected> {
        self.store.inbox().project(scope, projections).await
    }

    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Answer<Option<WindowView>> {
        let told = self.store.inbox().window(&self.stranger, session, contact).await;
        refused("window", told, &None);
        self.store.inbox().window(scope, session, contact).await
    }

    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Answer<Vec<WindowEntry>> {
        let told = self.store.inbox().windows(&self.stranger, filter, after, limit).await;
        refused("windows", told, &vec![]);
        self.store.inbox().windows(scope, filter, after, limit).await
    }

    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Answer<Vec<Conversation>> {
        let told = self.store.inbox().conversations(&self.stranger, filter, after, limit).await;
        refused("conversations", told, &vec![]);
        self.store.inbox().conversations(scope, filter, after, limit).await
    }

    async fn conversation(&self, scope: &Scope, id: ConversationId) -> Answer<Option<Conversation>> {
        refused("conversation", self.store.inbox().conversation(&self.stranger, id).await, &None);
        self.store.inbox().conversation(scope, id).await
    }

    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Answer<Vec<ConversationMessage>> {
        let told = self.store.inbox().conversation_messages(&self.stranger, id, after, limit).await;
        refused("conversation_messages", told, &vec![]);
        self.store.inbox().conversation_messages(scope, id, after, limit).await
    }

    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Answer<Option<Conversation>> {
        for action in [ConversationAction::Close, ConversationAction::MarkRead, ConversationAction::Reopen] {
            let told = self.store.inbox().act_on_conversation(&self.stranger, id, &action).await;
            refused("act_on_conversation", told, &None);
        }
        self.store.inbox().act_on_conversation(scope, id, action).await
    }

    async fn inbound(&self, scope: &Scope, after: Option<u64>, limit: u32) -> Answer<Vec<StoredInbound>> {
        refused("inbound", self.store.inbox().inbound(&self.stranger, after, limit).await, &vec![]);
        self.store.inbox().inbound(scope, after, limit).await
    }

    async fn prune(&self, scope: &AdminScope, before: DateTime<Utc>) -> Answer<u64> {
        self.store.inbox().prune(scope, before).await
    }
}

#[async_trait]
impl Ledger for Trespassing {
    async fn set_entitlement(&self, scope: &Scope, entitlement: &Entitlement) -> Answer<bool> {
        self.store.ledger().set_entitlement(scope, entitlement).await
    }

    async fn entitlement(&self, scope: &Scope) -> Answer<Option<Entitlement>> {
        let told = self.store.ledger().entitlement(&self.stranger).await;
        refused("entitlement", told, &Some(Entitlement::unlimited()));
        self.store.ledger().entitlement(scope).await
    }

    async fn usage(&self, scope: &Scope, period: Period) -> Answer<Option<QuotaUsage>> {
        let told = self.store.ledger().usage(&self.stranger, period).await;
        refused("usage", told.map(|usage| usage.map(|usage| (usage.used, usage.limit))), &Some((0, None)));
        self.store.ledger().usage(scope, period).await
    }

    async fn cost(&self, scope: &Scope, of: &CostOf) -> Answer<Cost> {
        refused("cost", self.store.ledger().cost(&self.stranger, of).await, &Cost::default());
        self.store.ledger().cost(scope, of).await
    }

    async fn contact_spend(&self, scope: &Scope, contact: ContactId) -> Answer<Option<ContactSpend>> {
        refused("contact_spend", self.store.ledger().contact_spend(&self.stranger, contact).await, &None);
        self.store.ledger().contact_spend(scope, contact).await
    }

    async fn budget_use(&self, scope: &Scope, of: BudgetOf) -> Answer<BTreeMap<Currency, BudgetUse>> {
        refused("budget_use", self.store.ledger().budget_use(&self.stranger, of).await, &BTreeMap::new());
        self.store.ledger().budget_use(scope, of).await
    }
}

#[async_trait]
impl Journal for Trespassing {
    async fn read(&self, scope: &AdminScope, after: StreamPosition, limit: u32) -> Answer<Vec<Event>> {
        self.store.journal().read(scope, after, limit).await
    }

    async fn position(&self, scope: &AdminScope, reader: &ReaderName) -> Answer<StreamPosition> {
        self.store.journal().position(scope, reader).await
    }

    async fn acknowledge(
        &self,
        scope: &AdminScope,
        reader: &ReaderName,
        position: StreamPosition,
    ) -> Answer<()> {
        self.store.journal().acknowledge(scope, reader, position).await
    }

    async fn prune_events(&self, scope: &AdminScope, before: DateTime<Utc>) -> Answer<u64> {
        self.store.journal().prune_events(scope, before).await
    }

    async fn keep_notice(&self, scope: &Scope, notice: &Notice) -> Answer<bool> {
        // It brings a notice of the caller's own; there is nothing foreign to name.
        self.store.journal().keep_notice(scope, notice).await
    }

    async fn notices(&self, scope: &Scope, after: Option<EventId>, limit: u32) -> Answer<Vec<Notice>> {
        refused("notices", self.store.journal().notices(&self.stranger, after, limit).await, &vec![]);
        self.store.journal().notices(scope, after, limit).await
    }
}

#[async_trait]
impl Reports for Trespassing {
    async fn counts(&self, scope: &Scope, campaign: CampaignId) -> Answer<Option<CampaignCounts>> {
        refused("counts", self.store.reports().counts(&self.stranger, campaign).await, &None);
        self.store.reports().counts(scope, campaign).await
    }

    async fn message(&self, scope: &Scope, id: MessageId) -> Answer<Option<MessageView>> {
        refused("message", self.store.reports().message(&self.stranger, id).await, &None);
        self.store.reports().message(scope, id).await
    }

    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        let told = self.store.reports().recipients(&self.stranger, campaign, after, limit).await;
        refused("recipients", told, &vec![]);
        self.store.reports().recipients(scope, campaign, after, limit).await
    }

    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        refused("in_doubt", self.store.reports().in_doubt(&self.stranger, after, limit).await, &vec![]);
        self.store.reports().in_doubt(scope, after, limit).await
    }

    async fn failed(
        &self,
        scope: &Scope,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        refused("failed", self.store.reports().failed(&self.stranger, filter, after, limit).await, &vec![]);
        self.store.reports().failed(scope, filter, after, limit).await
    }

    async fn silent(&self, scope: &Scope, after: Option<MessageId>, limit: u32) -> Answer<Vec<MessageView>> {
        refused("silent", self.store.reports().silent(&self.stranger, after, limit).await, &vec![]);
        self.store.reports().silent(scope, after, limit).await
    }

    async fn alert(&self, scope: &Scope, campaign: CampaignId) -> Answer<Option<CampaignAlert>> {
        refused("alert", self.store.reports().alert(&self.stranger, campaign).await, &None);
        self.store.reports().alert(scope, campaign).await
    }

    async fn trend(&self, scope: &Scope, ask: &TrendQuery) -> Answer<Vec<TrendPoint>> {
        refused("trend", self.store.reports().trend(&self.stranger, ask).await, &vec![]);
        self.store.reports().trend(scope, ask).await
    }
}
