//! A process's connection to the store: calls take time, fail before or after they did what they
//! should, and land although whoever made them has died.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;

use super::hub::{Hub, lock};
use super::plan::Plan;
use crate::memory::{MemoryStore, Snapshot};
use crate::model::{
    BatchId, Breaker, BreakerScope, MessageId, NewMessage, NewSession, NumberId, Resolution, Session,
    SessionId, SessionReport, SessionSetting, TemplateKey, TemplateRecord, TransportName,
};
use crate::port::store::{
    Abandoned, AcquireSessions, AddSession, Archive, AttemptFact, Attendance, Audience, BeginBatch, Begun,
    CancelMessage, Consider, Considered, Directory, DispatchState, DuePage, DueQuery, Enqueue, Hear, Inbox,
    Journal, Lease, Ledger, Listened, Numbers, Outbox, Presence, RecentAttempt, Recover, Recovered, Redrive,
    Redriven, Reports, ResolveMessage, RetryMessage, Route, Schedules, Settled, Store, StoreError,
    StoreErrorKind, Swept,
};
use crate::port::{AdminScope, Scope, WorkerScope};
use crate::rules::judge::Judge;

/// Gives the answer of a step that needs no time.
pub(super) fn at_once<T>(step: impl Future<Output = T>) -> T {
    step.now_or_never().expect("the reference store answers at once")
}

/// A process's connection to the store.
pub(super) struct Link {
    pub(super) process: u32,
    pub(super) store: MemoryStore,
    pub(super) hub: Arc<Hub>,
    /// What outlives a loss of power; shared by all links.
    pub(super) disk: Arc<Mutex<Option<Snapshot>>>,
    /// When the latest call was made, where calls are made in order.
    last_at: Mutex<Duration>,
}

/// How a call goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// Nothing happens.
    Before(StoreErrorKind),
    /// It happens, and the answer is lost.
    After,
    /// The answer is lost, and it happens some time later.
    Late,
}

impl Link {
    pub(super) fn new(
        process: u32,
        store: MemoryStore,
        hub: Arc<Hub>,
        disk: Arc<Mutex<Option<Snapshot>>>,
    ) -> Self {
        Self { process, store, hub, disk, last_at: Mutex::default() }
    }

    fn fault(&self, may_be_late: bool) -> Option<Fault> {
        let hub = &self.hub;
        let Plan { store_before, store_after, store_late, .. } = hub.plan;
        if hub.strikes(store_before) {
            let kind = hub.dice.one_of(&[StoreErrorKind::Unavailable, StoreErrorKind::Unknown]);
            return Some(Fault::Before(kind));
        }
        if hub.strikes(store_after) {
            return Some(Fault::After);
        }
        (may_be_late && hub.strikes(store_late)).then_some(Fault::Late)
    }

    /// Makes a call that may go wrong.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        may_be_late: bool,
        work: impl FnOnce(&MemoryStore, &Hub) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let hub = &self.hub;
        hub.tempt(self.process);
        let slow = if hub.is_healed() { 1 } else { hub.plan.store_slow };
        let mut does_at = hub.now() + Duration::from_millis(1) + hub.dice.millis(slow);
        let back = Duration::from_millis(1) + hub.dice.millis(slow);
        if hub.plan.in_order {
            let mut last_at = lock(&self.last_at);
            does_at = does_at.max(*last_at);
            *last_at = does_at;
        }
        let answers_at = does_at + back;
        let fail = |kind| Err(StoreError::new(kind, "the call fails in this run", None));
        let fault = self.fault(may_be_late);
        if let Some(Fault::Before(kind)) = fault {
            hub.until(answers_at).await;
            return fail(kind);
        }
        let (store, end) = (self.store.clone(), Arc::downgrade(hub));
        let deed = move || match end.upgrade() {
            Some(hub) => work(&store, &hub),
            None => Err(StoreError::new(StoreErrorKind::Closed, "the run is over", None)),
        };
        if let Some(Fault::Late) = fault {
            let later = hub.dice.millis(8_000);
            hub.leave(does_at + later, move || _ = deed());
            hub.until(answers_at).await;
            return fail(StoreErrorKind::Unknown);
        }
        let lands = hub.dice.per_mille(500);
        let answer = hub.send_out(does_at, answers_at, lands, deed).await;
        hub.tempt(self.process);
        match fault {
            Some(Fault::After) => fail(StoreErrorKind::Unknown),
            Some(Fault::Before(_) | Fault::Late) | None => answer,
        }
    }
}

/// Notes that everything up to now outlives a loss of power.
pub(super) fn flush(store: &MemoryStore, hub: &Hub, disk: &Mutex<Option<Snapshot>>) {
    if hub.plan.power_loss > 0 {
        *lock(disk) = Some(store.snapshot());
        lock(&hub.audit).durable();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("process", &self.process).finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for Link {
    fn commits_in_order(&self) -> bool {
        self.hub.plan.in_order
    }
    fn subscribe(&self, _hear: Hear) {
        // Nobody tells a process of this world anything; it asks.
    }
    fn directory(&self) -> &dyn Directory {
        self.store.directory()
    }
    fn numbers(&self) -> &dyn Numbers {
        self
    }
    fn audience(&self) -> &dyn Audience {
        self.store.audience()
    }
    fn schedules(&self) -> &dyn Schedules {
        self.store.schedules()
    }
    fn outbox(&self) -> &dyn Outbox {
        self
    }
    fn inbox(&self) -> &dyn Inbox {
        self
    }
    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
    fn journal(&self) -> &dyn Journal {
        self.store.journal()
    }
    fn archive(&self) -> &dyn Archive {
        self.store.archive()
    }
    fn reports(&self) -> &dyn Reports {
        self.store.reports()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Outbox for Link {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError> {
        self.store.outbox().enqueue(scope, message).await
    }
    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError> {
        self.store.outbox().cancel(scope, message).await
    }
    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError> {
        let (scope, ask) = (scope.clone(), ask.clone());
        self.call(false, move |store, _| at_once(store.outbox().due(&scope, &ask))).await
    }
    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError> {
        let (scope, batch, process) = (scope.clone(), batch.clone(), self.process);
        let disk = Arc::clone(&self.disk);
        self.call(true, move |store, hub| {
            let begun = at_once(store.outbox().begin(&scope, &batch, judge))?;
            lock(&hub.audit).begun(hub, process, &batch, &begun);
            flush(store, hub, &disk);
            Ok(begun)
        })
        .await
    }
    async fn consider(
        &self,
        scope: &Scope,
        ask: &Consider,
        judge: Arc<dyn Judge>,
    ) -> Result<Considered, StoreError> {
        self.store.outbox().consider(scope, ask, judge).await
    }
    async fn abandon(&self, scope: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError> {
        let (scope, disk) = (scope.clone(), Arc::clone(&self.disk));
        self.call(false, move |store, hub| {
            let abandoned = at_once(store.outbox().abandon(&scope, batch))?;
            lock(&hub.audit).abandoned(hub, batch, abandoned);
            flush(store, hub, &disk);
            Ok(abandoned)
        })
        .await
    }
    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        let (facts, process) = (facts.to_vec(), self.process);
        self.call(true, move |store, hub| {
            let settled = at_once(store.outbox().settle(&facts))?;
            lock(&hub.audit).settled(hub, process, &facts, &settled);
            Ok(settled)
        })
        .await
    }
    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError> {
        self.store.outbox().retry(scope, message).await
    }
    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError> {
        self.store.outbox().redrive(scope, ask).await
    }
    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError> {
        let scope = scope.clone();
        self.call(false, move |store, _| at_once(store.outbox().listen(&scope, limit))).await
    }
    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        let scope = scope.clone();
        self.call(false, move |store, hub| {
            let swept = at_once(store.outbox().sweep(&scope, grace))?;
            lock(&hub.audit).swept(hub, &swept);
            Ok(swept)
        })
        .await
    }
    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError> {
        let (scope, ask) = (scope.clone(), *ask);
        self.call(false, move |store, _| at_once(store.outbox().recover(&scope, &ask))).await
    }
    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<ResolveMessage, StoreError> {
        self.store.outbox().resolve(scope, message, resolution).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Numbers for Link {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Result<AddSession, StoreError> {
        self.store.numbers().add_session(scope, new).await
    }
    async fn session(&self, scope: &Scope, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.store.numbers().session(scope, id).await
    }
    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.numbers().sessions(scope, after, limit).await
    }
    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Result<Option<Session>, StoreError> {
        let (scope, report) = (*scope, report.clone());
        self.call(false, move |store, _| at_once(store.numbers().report_session(&scope, id, &report))).await
    }
    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Result<Option<Session>, StoreError> {
        self.store.numbers().set_session(scope, id, change).await
    }
    async fn route(
        &self,
        scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Result<Vec<Route>, StoreError> {
        self.store.numbers().route(scope, transport, number).await
    }
    async fn attend(&self, scope: &AdminScope, presence: &Presence) -> Result<Attendance, StoreError> {
        let (scope, presence) = (*scope, *presence);
        self.call(false, move |store, _| at_once(store.numbers().attend(&scope, &presence))).await
    }
    async fn acquire(&self, scope: &AdminScope, ask: &AcquireSessions) -> Result<Vec<Lease>, StoreError> {
        let (scope, ask, process) = (*scope, ask.clone(), self.process);
        self.call(false, move |store, hub| {
            let leases = at_once(store.numbers().acquire(&scope, &ask))?;
            lock(&hub.audit).acquired(hub, process, &leases);
            Ok(leases)
        })
        .await
    }
    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Result<Vec<SessionId>, StoreError> {
        let (scope, process) = (scope.clone(), self.process);
        self.call(false, move |store, hub| {
            let kept = at_once(store.numbers().heartbeat(&scope, lease))?;
            let until = hub.wall() + TimeDelta::from_std(lease).unwrap_or_default();
            lock(&hub.audit).kept(hub, process, &kept, until);
            Ok(kept)
        })
        .await
    }
    async fn release(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        state: &DispatchState,
    ) -> Result<bool, StoreError> {
        let (scope, state) = (scope.clone(), state.clone());
        self.call(false, move |store, hub| {
            let released = at_once(store.numbers().release(&scope, session, &state))?;
            if released {
                lock(&hub.audit).gave_back(session, hub.wall());
            }
            Ok(released)
        })
        .await
    }
    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<RecentAttempt>, StoreError> {
        let scope = scope.clone();
        self.call(false, move |store, _| at_once(store.numbers().recent(&scope, session, since))).await
    }
    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Result<bool, StoreError> {
        self.store.numbers().open_breaker(scope, breaker).await
    }
    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Result<bool, StoreError> {
        self.store.numbers().reset_breaker(scope, what).await
    }
    async fn breakers(&self, scope: &Scope) -> Result<Vec<Breaker>, StoreError> {
        self.store.numbers().breakers(scope).await
    }
    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, StoreError> {
        self.store.numbers().templates(scope, after, limit).await
    }
}
