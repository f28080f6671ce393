//! The runner on tokio's paused time: stopping, panics, and webhooks that must not be forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::faults::{Call, Fault, FaultyStore};
use super::stage::{Stage, TagEcho};
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{
    Acknowledge, Capabilities, Clock, Notice, Notifier, NotifyError, SendOutcome, SendPermit, SessionRef,
    Transport, TransportError,
};
use crate::service::{EngineConfig, Kit, Message, Number, TenantHandle};
use crate::testing::{Reply, ScriptedTransport, SeededEntropy};

const SECOND: Duration = Duration::from_secs(1);

/// The clock of a runtime whose time is paused.
#[derive(Debug)]
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> DateTime<Utc> {
        whole_micros(
            from_micros(1_790_000_000_000_000) + TimeDelta::from_std(self.monotonic()).expect("short"),
        )
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

pub(super) struct Setting {
    clock: Arc<PausedClock>,
    pub(super) transport: Arc<ScriptedTransport>,
    pub(super) kit: Kit,
    pub(super) tenant: TenantHandle,
    session: SessionId,
}

async fn setting(
    plan: impl FnMut(Call) -> Option<Fault> + Send + 'static,
    transport: Option<Arc<dyn Transport>>,
    notifier: Option<Arc<dyn Notifier>>,
) -> Setting {
    let clock = Arc::new(PausedClock(tokio::time::Instant::now()));
    let scripted = Arc::new(ScriptedTransport::new(clock.clone()));
    let store = FaultyStore::new(MemoryStore::new(clock.clone()), plan);
    let mut builder = Kit::builder(Arc::new(store))
        .transport("cloud", transport.unwrap_or_else(|| scripted.clone()))
        .webhooks("cloud", Arc::new(TagEcho))
        .clock(clock.clone())
        .entropy(Arc::new(SeededEntropy::new(7)))
        .engine(EngineConfig { grace: SECOND, ..EngineConfig::default() });
    if let Some(notifier) = notifier {
        builder = builder.notifier(notifier);
    }
    let kit = builder.build().await.expect("a kit");
    let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
    let session = tenant.sessions().add(&Number::cloud("100")).await.expect("a session").id;
    Setting { clock, transport: scripted, kit, tenant, session }
}

/// A kit on the tokio's own time, with nothing that goes wrong.
pub(super) async fn plain() -> Setting {
    setting(|_| None, None, None).await
}

impl Setting {
    pub(super) async fn send(&self, phone: u64) -> MessageId {
        let phone = Phone::try_from(phone).expect("a phone");
        let content = CampaignContent::new(Stage::template()).fill(&["Ada".to_owned()]).expect("content");
        self.tenant.messages().send(Message::new(self.session, phone, content)).await.expect("taken in").id
    }

    async fn state(&self, id: MessageId) -> MessageState {
        self.tenant.messages().get(id).await.expect("a message").state
    }

    /// Sends a message, waits for its acceptance, and makes the webhook that says it was delivered.
    async fn delivered(&self, phone: u64) -> (MessageId, String) {
        let id = self.send(phone).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(self.state(id).await, MessageState::Accepted);
        let sent = self.transport.sent();
        let sent = sent.iter().find(|sent| sent.attempt.message == id).expect("it was sent");
        (id, format!("{} {}", sent.tag, Fact::Delivered.bit()))
    }

    pub(super) async fn call_back(&self, body: &str) -> u16 {
        let none: [(&str, &[u8]); 0] = [];
        self.kit.webhooks().meta(none, body.as_bytes()).await.expect("an answer").status
    }
}

fn nth(call: Call, n: usize, fault: Fault) -> impl FnMut(Call) -> Option<Fault> + Send + 'static {
    let mut count = 0;
    move |made| {
        count += usize::from(made == call);
        (made == call && count == n).then_some(fault)
    }
}

const DOWN: Fault = Fault::Before(StoreErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn what_was_stored_is_applied_although_the_next_body_cannot_be_stored() {
    let setting = setting(nth(Call::Keep, 3, DOWN), None, None).await;
    let running = setting.kit.start();
    let (id, body) = setting.delivered(4_915_100_000_001).await;
    let other = |n: u32| format!("nobody{n} {}", Fact::Sent.bit());
    let millis = |n| tokio::time::sleep(Duration::from_millis(n));
    // The first is applied at once; the second is stored and waits for 100 ms to pass; the third
    // comes just before that and would be applied together with the second.
    assert_eq!(setting.call_back(&other(1)).await, 200);
    millis(50).await;
    assert_eq!(setting.call_back(&body).await, 200);
    millis(36).await;
    assert_eq!(setting.call_back(&other(2)).await, 503);
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(setting.state(id).await, MessageState::Delivered);
    running.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_stored_although_the_answer_was_lost_is_applied() {
    let setting = setting(nth(Call::Keep, 1, Fault::After(StoreErrorKind::Unknown)), None, None).await;
    let running = setting.kit.start();
    let (id, body) = setting.delivered(4_915_100_000_001).await;
    assert_eq!(setting.call_back(&body).await, 503);
    assert_eq!(setting.call_back(&body).await, 200, "the provider comes again");
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(setting.state(id).await, MessageState::Delivered);
    running.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_stored_by_another_process_is_applied() {
    let setting = setting(|_| None, None, None).await;
    let running = setting.kit.start();
    let (id, body) = setting.delivered(4_915_100_000_001).await;
    let inner = &setting.kit.inner;
    let raw = RawBody {
        id: RawId::mint(setting.clock.now(), [3; 10]),
        transport: "cloud".parse().expect("a name"),
        body: body.into_bytes(),
        received_at: setting.clock.now(),
    };
    inner.ports.store.inbox().keep(&inner.ports.admin(), &[raw]).await.expect("kept");
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(setting.state(id).await, MessageState::Delivered);
    running.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_in_time_although_stored_webhooks_cannot_be_read() {
    let setting = setting(|call| (call == Call::Unprojected).then_some(DOWN), None, None).await;
    let running = setting.kit.start();
    tokio::time::sleep(SECOND).await;
    let report = tokio::time::timeout(20 * SECOND, running.stop(5 * SECOND)).await.expect("it ends");
    assert_eq!(report.open, 0);
}

#[derive(Debug)]
struct Hangs;

#[async_trait]
impl Notifier for Hangs {
    async fn notify(&self, _: &Notice) -> Result<(), NotifyError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_in_time_although_a_notifier_hangs() {
    let setting = setting(|_| None, None, Some(Arc::new(Hangs))).await;
    let breaker = Breaker {
        scope: BreakerScope::Session(setting.session),
        reason: BreakerReason::Account,
        code: 368,
        until: None,
        since: setting.clock.now(),
    };
    let inner = &setting.kit.inner;
    inner.ports.store.numbers().open_breaker(&setting.tenant.scope, &breaker).await.expect("opened");
    let running = setting.kit.start();
    tokio::time::sleep(10 * SECOND).await;
    let report = tokio::time::timeout(20 * SECOND, running.stop(5 * SECOND)).await.expect("it ends");
    assert_eq!(report.open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_and_settles_what_has_begun() {
    let setting = setting(|_| None, None, None).await;
    let running = setting.kit.start();
    tokio::time::sleep(SECOND).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(setting.send(4_915_100_000_000 + n).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let report = running.stop(10 * SECOND).await;
    assert_eq!(report.open, 0);
    let mut accepted = 0;
    for id in ids {
        let state = setting.state(id).await;
        assert!(
            matches!(state, MessageState::Accepted | MessageState::Pending | MessageState::Held),
            "{state:?}"
        );
        accepted += usize::from(state == MessageState::Accepted);
    }
    assert_eq!(accepted, setting.transport.sent().len());
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_time_is_short_leaves_only_what_is_under_way() {
    let setting = setting(|_| None, None, None).await;
    for _ in 0..3 {
        setting.transport.then(Reply::Never);
    }
    let running = setting.kit.start();
    tokio::time::sleep(SECOND).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(setting.send(4_915_100_000_000 + n).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let report = running.stop(SECOND / 2).await;
    assert_eq!(report.open, 3, "the three requests that hang");
}

/// A transport that panics whenever it can.
#[derive(Debug, Default)]
struct Panics {
    asked: AtomicUsize,
}

#[async_trait]
impl Transport for Panics {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn advice(&self, _: i64) -> Option<&'static str> {
        None
    }

    async fn send(&self, _: SendPermit) -> SendOutcome {
        panic!("a defect in send")
    }

    async fn session(&self, _: &SessionRef) -> Result<SessionReport, TransportError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        panic!("a defect in session")
    }

    async fn acknowledge(&self, _: &SessionRef, _: &Acknowledge) -> Result<(), TransportError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_leaves_the_message_in_doubt_and_the_engine_running() {
    let panics = Arc::new(Panics::default());
    let setting = setting(|_| None, Some(panics.clone()), None).await;
    let running = setting.kit.start();
    let first = setting.send(4_915_100_000_001).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(setting.state(first).await, MessageState::InDoubt);
    let second = setting.send(4_915_100_000_002).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(setting.state(second).await, MessageState::InDoubt, "the engine goes on");
    assert_eq!(panics.asked.load(Ordering::SeqCst), 1);
    assert_eq!(running.stop(SECOND).await.open, 0);
}
