//! Places at which a worker ends as if it were killed: before and after each step that matters.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use wa_kit::model::*;
use wa_kit::port::store::*;
use wa_kit::port::{
    Acknowledge, AdminScope, Capabilities, Scope, SendOutcome, SendPermit, SessionRef, Transport,
    TransportError, WorkerScope,
};
use wa_kit::rules::judge::Judge;

use crate::witness::Witness;

/// A named place in the life of a message or of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    BeforeBegin,
    /// The attempt is committed, and no request has left.
    AfterBegin,
    BeforeSend,
    /// The provider has the request, and nothing of its answer is stored.
    AfterSend,
    BeforeSettle,
    AfterSettle,
    BeforeKeep,
    /// The webhook is stored, and not answered.
    AfterKeep,
    BeforeProject,
    AfterProject,
}

impl Point {
    pub(crate) const ALL: [Self; 10] = [
        Self::BeforeBegin,
        Self::AfterBegin,
        Self::BeforeSend,
        Self::AfterSend,
        Self::BeforeSettle,
        Self::AfterSettle,
        Self::BeforeKeep,
        Self::AfterKeep,
        Self::BeforeProject,
        Self::AfterProject,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BeforeBegin => "before_begin",
            Self::AfterBegin => "after_begin",
            Self::BeforeSend => "before_send",
            Self::AfterSend => "after_send",
            Self::BeforeSettle => "before_settle",
            Self::AfterSettle => "after_settle",
            Self::BeforeKeep => "before_keep",
            Self::AfterKeep => "after_keep",
            Self::BeforeProject => "before_project",
            Self::AfterProject => "after_project",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|point| point.name() == text);
        found.ok_or_else(|| format!("there is no point {text}"))
    }
}

/// Where this process ends, and how often it passes there before.
#[derive(Debug)]
pub(crate) struct Points {
    at: Option<Point>,
    left: AtomicU32,
}

impl Points {
    pub(crate) fn new(at: Option<Point>, passes: u32) -> Arc<Self> {
        Arc::new(Self { at, left: AtomicU32::new(passes) })
    }

    /// Ends the process here, if this is the place: no destructor runs, as with `kill -9`.
    fn pass(&self, point: Point) {
        if self.at == Some(point) && self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::process::abort();
        }
    }
}

/// A store around whose calls the process ends.
#[derive(Debug)]
pub(crate) struct CrashingStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) points: Arc<Points>,
}

#[deny(clippy::missing_trait_methods)]
impl Store for CrashingStore {
    fn commits_in_order(&self) -> bool {
        self.inner.commits_in_order()
    }
    fn subscribe(&self, hear: Hear) {
        self.inner.subscribe(hear);
    }
    fn directory(&self) -> &dyn Directory {
        self.inner.directory()
    }
    fn numbers(&self) -> &dyn Numbers {
        self.inner.numbers()
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
#[deny(clippy::missing_trait_methods)]
impl Outbox for CrashingStore {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError> {
        self.inner.outbox().enqueue(scope, message).await
    }
    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError> {
        self.inner.outbox().cancel(scope, message).await
    }
    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError> {
        self.inner.outbox().due(scope, ask).await
    }
    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError> {
        self.points.pass(Point::BeforeBegin);
        let done = self.inner.outbox().begin(scope, batch, judge).await;
        self.points.pass(Point::AfterBegin);
        done
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
        self.inner.outbox().abandon(scope, batch).await
    }
    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        self.points.pass(Point::BeforeSettle);
        let done = self.inner.outbox().settle(facts).await;
        self.points.pass(Point::AfterSettle);
        done
    }
    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError> {
        self.inner.outbox().retry(scope, message).await
    }
    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError> {
        self.inner.outbox().redrive(scope, ask).await
    }
    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError> {
        self.inner.outbox().listen(scope, limit).await
    }
    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        self.inner.outbox().sweep(scope, grace).await
    }
    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError> {
        self.inner.outbox().recover(scope, ask).await
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
#[deny(clippy::missing_trait_methods)]
impl Inbox for CrashingStore {
    async fn keep(&self, scope: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        self.points.pass(Point::BeforeKeep);
        let done = self.inner.inbox().keep(scope, bodies).await;
        self.points.pass(Point::AfterKeep);
        done
    }
    async fn unprojected(
        &self,
        scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError> {
        self.inner.inbox().unprojected(scope, after, limit).await
    }
    async fn project(&self, scope: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError> {
        self.points.pass(Point::BeforeProject);
        let done = self.inner.inbox().project(scope, projections).await;
        self.points.pass(Point::AfterProject);
        done
    }
    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        self.inner.inbox().window(scope, session, contact).await
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
    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        self.inner.inbox().inbound(scope, after, limit).await
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

/// A transport around whose requests the process ends.
#[derive(Debug)]
pub(crate) struct CrashingTransport<T> {
    pub(crate) inner: T,
    pub(crate) points: Arc<Points>,
    pub(crate) witness: Witness,
}

#[async_trait]
impl<T: Transport> Transport for CrashingTransport<T> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn send(&self, permit: SendPermit) -> SendOutcome {
        self.points.pass(Point::BeforeSend);
        let outcome = self.witness.watch(permit.start_by(), self.inner.send(permit)).await;
        self.points.pass(Point::AfterSend);
        outcome
    }
    async fn session(&self, session: &SessionRef) -> Result<SessionReport, TransportError> {
        self.inner.session(session).await
    }
    fn advice(&self, code: i64) -> Option<&'static str> {
        self.inner.advice(code)
    }
    async fn acknowledge(&self, session: &SessionRef, read: &Acknowledge) -> Result<(), TransportError> {
        self.inner.acknowledge(session, read).await
    }
}
