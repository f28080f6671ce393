//! A store that fails as a test says, before or after it did what it was asked.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{AdminScope, Scope, WorkerScope};
use crate::rules::judge::Judge;

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Begin,
    Settle,
    Abandon,
    Due,
    Sweep,
    Listen,
    Recover,
    Heartbeat,
    Attend,
    Acquire,
    Recent,
    Keep,
    Project,
    Unprojected,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing happens.
    Before(StoreErrorKind),
    /// It happens, and the answer is lost.
    After(StoreErrorKind),
}

type Plan = Box<dyn FnMut(Call) -> Option<Fault> + Send>;

pub(super) struct FaultyStore {
    inner: MemoryStore,
    plan: Mutex<Plan>,
    in_order: bool,
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

impl FaultyStore {
    /// An outcome with this provider id is never taken.
    pub(super) const POISON: &str = "poison";

    pub(super) fn new(inner: MemoryStore, plan: impl FnMut(Call) -> Option<Fault> + Send + 'static) -> Self {
        Self { inner, plan: Mutex::new(Box::new(plan)), in_order: false }
    }

    pub(super) fn in_order(self) -> Self {
        Self { in_order: true, ..self }
    }

    async fn run<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = self.plan.lock().expect("no test panicked here")(call);
        let fail = |kind| Err(StoreError::new(kind, format!("{call:?} fails in this test"), None));
        match fault {
            None => work.await,
            Some(Fault::Before(kind)) => fail(kind),
            Some(Fault::After(kind)) => {
                work.await?;
                fail(kind)
            }
        }
    }
}

impl Store for FaultyStore {
    fn commits_in_order(&self) -> bool {
        self.in_order
    }
    fn subscribe(&self, hear: Hear) {
        self.inner.subscribe(hear);
    }
    fn directory(&self) -> &dyn Directory {
        self.inner.directory()
    }
    fn numbers(&self) -> &dyn Numbers {
        self
    }
    fn audience(&self) -> &dyn Audience {
        self.inner.audience()
    }
    fn schedules(&self) -> &dyn Schedules {
        self.inner.schedules()
    }
    fn outbox(&self) -> &dyn Outbox {
        self
    }
    fn inbox(&self) -> &dyn Inbox {
        self
    }
    fn ledger(&self) -> &dyn Ledger {
        self.inner.ledger()
    }
    fn journal(&self) -> &dyn Journal {
        self.inner.journal()
    }
    fn reports(&self) -> &dyn Reports {
        self.inner.reports()
    }
    fn archive(&self) -> &dyn Archive {
        self.inner.archive()
    }
}

#[async_trait]
impl Outbox for FaultyStore {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError> {
        self.inner.outbox().enqueue(scope, message).await
    }
    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError> {
        self.inner.outbox().cancel(scope, message).await
    }
    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError> {
        self.inner.outbox().retry(scope, message).await
    }
    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError> {
        self.inner.outbox().redrive(scope, ask).await
    }
    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError> {
        self.run(Call::Listen, self.inner.outbox().listen(scope, limit)).await
    }
    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError> {
        self.run(Call::Due, self.inner.outbox().due(scope, ask)).await
    }
    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError> {
        self.run(Call::Begin, self.inner.outbox().begin(scope, batch, judge)).await
    }
    async fn consider(
        &self,
        scope: &Scope,
        ask: &Consider,
        judge: Arc<dyn Judge>,
    ) -> Result<Considered, StoreError> {
        self.inner.outbox().consider(scope, ask, judge).await
    }
    async fn abandon(&self, scope: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError> {
        self.run(Call::Abandon, self.inner.outbox().abandon(scope, batch)).await
    }
    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        let is_poison = |fact: &AttemptFact| match &fact.outcome {
            Outcome::Accepted { provider_id } => provider_id == Self::POISON,
            Outcome::NotSent | Outcome::Rejected(_) | Outcome::Ambiguous => false,
        };
        if facts.iter().any(is_poison) {
            return Err(StoreError::new(StoreErrorKind::Broken, "it breaks an invariant", None));
        }
        self.run(Call::Settle, self.inner.outbox().settle(facts)).await
    }
    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        self.run(Call::Sweep, self.inner.outbox().sweep(scope, grace)).await
    }
    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError> {
        self.run(Call::Recover, self.inner.outbox().recover(scope, ask)).await
    }
    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<ResolveMessage, StoreError> {
        self.inner.outbox().resolve(scope, message, resolution).await
    }
}

#[async_trait]
impl Numbers for FaultyStore {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Result<AddSession, StoreError> {
        self.inner.numbers().add_session(scope, new).await
    }
    async fn session(&self, scope: &Scope, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.inner.numbers().session(scope, id).await
    }
    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.inner.numbers().sessions(scope, after, limit).await
    }
    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Result<Option<Session>, StoreError> {
        self.inner.numbers().report_session(scope, id, report).await
    }
    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Result<Option<Session>, StoreError> {
        self.inner.numbers().set_session(scope, id, change).await
    }
    async fn route(
        &self,
        scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Result<Vec<Route>, StoreError> {
        self.inner.numbers().route(scope, transport, number).await
    }
    async fn attend(&self, scope: &AdminScope, presence: &Presence) -> Result<Attendance, StoreError> {
        self.run(Call::Attend, self.inner.numbers().attend(scope, presence)).await
    }
    async fn acquire(&self, scope: &AdminScope, ask: &AcquireSessions) -> Result<Vec<Lease>, StoreError> {
        self.run(Call::Acquire, self.inner.numbers().acquire(scope, ask)).await
    }
    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Result<Vec<SessionId>, StoreError> {
        self.run(Call::Heartbeat, self.inner.numbers().heartbeat(scope, lease)).await
    }
    async fn release(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        state: &DispatchState,
    ) -> Result<bool, StoreError> {
        self.inner.numbers().release(scope, session, state).await
    }
    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<RecentAttempt>, StoreError> {
        self.run(Call::Recent, self.inner.numbers().recent(scope, session, since)).await
    }
    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Result<bool, StoreError> {
        self.inner.numbers().open_breaker(scope, breaker).await
    }
    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Result<bool, StoreError> {
        self.inner.numbers().reset_breaker(scope, what).await
    }
    async fn breakers(&self, scope: &Scope) -> Result<Vec<Breaker>, StoreError> {
        self.inner.numbers().breakers(scope).await
    }
    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, StoreError> {
        self.inner.numbers().templates(scope, after, limit).await
    }
}

#[async_trait]
impl Inbox for FaultyStore {
    async fn keep(&self, scope: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        self.run(Call::Keep, self.inner.inbox().keep(scope, bodies)).await
    }
    async fn unprojected(
        &self,
        scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError> {
        self.run(Call::Unprojected, self.inner.inbox().unprojected(scope, after, limit)).await
    }
    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError> {
        self.run(Call::Project, self.inner.inbox().project(scope, projections)).await
    }
    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        self.inner.inbox().window(scope, session, contact).await
    }
    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        self.inner.inbox().inbound(scope, after, limit).await
    }
    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, StoreError> {
        self.inner.inbox().windows(scope, filter, after, limit).await
    }
    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.inner.inbox().conversations(scope, filter, after, limit).await
    }
    async fn conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        self.inner.inbox().conversation(scope, id).await
    }
    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, StoreError> {
        self.inner.inbox().conversation_messages(scope, id, after, limit).await
    }
    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Result<Option<Conversation>, StoreError> {
        self.inner.inbox().act_on_conversation(scope, id, action).await
    }
    async fn prune(&self, scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.inner.inbox().prune(scope, before).await
    }
}
