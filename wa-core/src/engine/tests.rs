//! The engine's steps, driven single-threaded on manual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::executor::block_on;

use super::intake::Intake;
use super::job::Job;
use super::worker::Worker;
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{Clock, Scope, SendOutcome, WebhookRefusal, WebhookSource, WorkerScope};
use crate::rules::judge::Judge;
use crate::service::{CampaignSpec, EngineConfig, Kit, Message, Number, TenantHandle};
use crate::testing::{ManualClock, Reply, ScriptedTransport, SeededEntropy};

/// A kit on manual time, and whoever drives its steps.
struct Stage {
    clock: Arc<ManualClock>,
    transport: Arc<ScriptedTransport>,
    kit: Kit,
    worker: Worker,
    intake: Intake,
    tenant: TenantHandle,
    session: SessionId,
    token_is_valid: Arc<AtomicBool>,
    most_open: usize,
}

impl Stage {
    fn new(throughput: u32, config: EngineConfig) -> Self {
        Self::on(throughput, config, |store| Arc::new(store))
    }

    fn on(throughput: u32, config: EngineConfig, wrap: impl FnOnce(MemoryStore) -> Arc<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let token_is_valid = Arc::new(AtomicBool::new(true));
        let valid = Arc::clone(&token_is_valid);
        let transport = Arc::new(ScriptedTransport::new(clock.clone()).answering(move |request| {
            if valid.load(Ordering::SeqCst) {
                let provider_id = format!("wamid.{}", request.attempt.message);
                Reply::Outcome(SendOutcome::Accepted { provider_id })
            } else {
                rejected(RejectClass::Credential, 190)
            }
        }));
        transport.set_report(Some(SessionReport {
            throughput: Throughput::try_from(throughput).ok(),
            ..SessionReport::default()
        }));
        let store = wrap(MemoryStore::new(clock.clone()));
        block_on(async {
            let kit = Kit::builder(store)
                .transport("cloud", transport.clone())
                .webhooks("cloud", Arc::new(TagEcho))
                .clock(clock.clone())
                .entropy(Arc::new(SeededEntropy::new(7)))
                .engine(config)
                .build()
                .await
                .expect("a kit");
            let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
            let session = tenant.sessions().add(&Number::cloud("100")).await.expect("a session").id;
            let (worker, intake) = kit.steps();
            Self { clock, transport, kit, worker, intake, tenant, session, token_is_valid, most_open: 0 }
        })
    }

    /// Does everything that can be done without time passing.
    fn settle_down(&mut self) {
        loop {
            let sending = self.worker.release();
            let jobs = self.worker.jobs();
            if sending.is_empty() && jobs.is_empty() {
                return;
            }
            for it in sending {
                let attempt = it.permit.attempt();
                // A reply that never comes leaves the attempt open.
                if let Some(outcome) = it.transport.send(it.permit).now_or_never() {
                    self.worker.record(attempt, outcome);
                }
            }
            for job in jobs {
                let ports = self.worker.ports().clone();
                let done = block_on(Job::run(job, &ports));
                self.worker.apply(done);
                self.most_open = self.most_open.max(self.worker.status().open);
            }
        }
    }

    /// Lets time pass, from one thing to do to the next.
    fn run_for(&mut self, span: Duration) {
        let end = self.clock.monotonic() + span;
        loop {
            self.settle_down();
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            let step = self.worker.next_at().max(now + Duration::from_micros(1)).min(end) - now;
            self.clock.advance(step);
        }
    }

    fn template() -> Content {
        let (name, language) = ("offer".parse().expect("a name"), "en_US".parse().expect("a language"));
        let body = ["{{name}}".to_owned()];
        Content::Template(
            TemplateContent::with_body(name, language, Category::Marketing, body).expect("a template"),
        )
    }

    fn campaign(&self, members: u64) -> CampaignId {
        let list: ListName = "all".parse().expect("a list");
        block_on(async {
            for n in 0..members {
                let phone = Phone::try_from(4_915_100_000_000 + n).expect("a phone");
                let attributes = ContactAttributes::from([("name".to_owned(), format!("N{n}"))]);
                let contacts = self.tenant.contacts();
                contacts.upsert(phone.into(), attributes, Some(list.clone())).await.expect("a contact");
            }
            let name = "launch".parse().expect("a name");
            let spec = CampaignSpec::new(name, list, Self::template(), vec![self.session]);
            let campaign = self.tenant.campaigns().create(spec).await.expect("a campaign");
            self.tenant.campaigns().launch(campaign.id, |_| {}).await.expect("a launch").id
        })
    }

    fn counts(&self, campaign: CampaignId) -> CampaignCounts {
        block_on(self.tenant.campaigns().counts(campaign)).expect("counts")
    }

    fn send(&self, message: Message) -> MessageId {
        block_on(self.tenant.messages().send(message)).expect("a receipt").id
    }

    fn single(&self, phone: u64) -> Message {
        let phone = Phone::try_from(phone).expect("a phone");
        let content = CampaignContent::new(Self::template()).fill(&["Ada".to_owned()]).expect("content");
        Message::new(self.session, phone, content)
    }

    fn view(&self, id: MessageId) -> MessageView {
        block_on(self.tenant.messages().get(id)).expect("a message")
    }

    /// Takes a status in as if the provider had called back, echoing a tag.
    fn status(&self, tag: &str, fact: Fact) {
        let body = format!("{tag} {}", fact.bit()).into_bytes();
        let transport: TransportName = "cloud".parse().expect("a name");
        let received_at = self.clock.now();
        let id = RawId::mint(received_at, self.worker.ports().draw());
        let raw = RawBody { id, transport, body, received_at };
        block_on(async {
            self.intake.keep(std::slice::from_ref(&raw)).await.expect("kept");
            self.intake.project(&[raw]).await.expect("projected");
        });
    }

    fn wake(&mut self) {
        self.worker.wake();
    }
}

/// A provider whose webhook body is a tag and the bit of a fact.
#[derive(Debug)]
struct TagEcho;

impl WebhookSource for TagEcho {
    fn challenge(&self, _query: &str) -> Result<crate::port::Challenge, WebhookRefusal> {
        Err(WebhookRefusal::WrongChallenge)
    }

    fn verify(&self, _webhook: &crate::port::ReceivedWebhook<'_>) -> Result<(), WebhookRefusal> {
        Ok(())
    }

    fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Vec<InboundEvent> {
        let text = std::str::from_utf8(body).expect("UTF-8");
        let (tag, bit) = text.split_once(' ').expect("a tag and a bit");
        let fact = Fact::ALL.into_iter().find(|fact| fact.bit().to_string() == bit).expect("a fact");
        vec![InboundEvent::Status(StatusUpdate {
            number: "100".parse().expect("a number"),
            provider_id: "wamid.X".to_owned(),
            echo: Some(tag.to_owned()),
            fact,
            at: received_at,
            failure: None,
            pricing: None,
        })]
    }
}

fn rejected(class: RejectClass, code: i64) -> Reply {
    let failure = FailureCode { code, class, title: "refused".to_owned() };
    Reply::Outcome(SendOutcome::Rejected { failure, retry_after: None })
}

fn most_in_a_second(instants: &[DateTime<Utc>]) -> usize {
    (0..instants.len())
        .map(|first| {
            let end = instants[first] + TimeDelta::seconds(1);
            instants[first..].iter().take_while(|at| **at < end).count()
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn a_message_goes_from_the_queue_to_the_provider_and_is_accepted() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(1));
    let view = stage.view(id);
    assert_eq!(view.state, MessageState::Accepted);
    assert_eq!(view.attempts.len(), 1);
    assert_eq!(stage.transport.sent().len(), 1);
}

#[test]
fn a_campaign_keeps_its_numbers_throughput_and_reaches_everybody_once() {
    let mut stage = Stage::new(20, EngineConfig::default());
    let campaign = stage.campaign(200);
    stage.wake();
    stage.run_for(Duration::from_secs(12));
    let sent = stage.transport.sent();
    assert_eq!(sent.len(), 200);
    let instants: Vec<_> = sent.iter().map(|request| request.at).collect();
    assert!(most_in_a_second(&instants) <= 20);
    let counts = stage.counts(campaign);
    assert_eq!((counts.audience, counts.accepted, counts.pending), (200, 200, 0));
    let state = block_on(stage.tenant.campaigns().get(campaign)).expect("a campaign").state;
    assert_eq!(state, CampaignState::Completed);
}

#[test]
fn never_more_is_open_than_may_be_in_doubt() {
    for bound in [1, 2, 7, 64] {
        let config = EngineConfig { max_in_doubt_per_crash: bound, ..EngineConfig::default() };
        let mut stage = Stage::new(1_000, config);
        let campaign = stage.campaign(150);
        stage.wake();
        stage.run_for(Duration::from_secs(60));
        assert_eq!(stage.counts(campaign).accepted, 150, "bound {bound}");
        assert!(stage.most_open <= bound, "{} open at bound {bound}", stage.most_open);
        assert!(stage.most_open >= bound.min(2), "the bound {bound} is used");
    }
}

#[test]
fn a_reply_that_never_comes_leaves_the_message_in_doubt_for_good() {
    let mut stage = Stage::new(80, EngineConfig::default());
    stage.transport.then(Reply::Never);
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(40));
    assert_eq!(stage.view(id).state, MessageState::Attempting);
    stage.run_for(Duration::from_secs(20));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    assert_eq!(stage.transport.sent().len(), 1, "it is not sent again");
}

#[test]
fn a_status_with_the_attempts_tag_resolves_it() {
    let mut stage = Stage::new(80, EngineConfig::default());
    stage.transport.then(Reply::Outcome(SendOutcome::Ambiguous { why: "time-out".to_owned() }));
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(1));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    let tag = stage.transport.sent()[0].tag.clone();
    stage.status(&tag.replace(".1:", ".2:"), Fact::Delivered);
    assert_eq!(stage.view(id).state, MessageState::InDoubt, "a forged tag resolves nothing");
    stage.status(&tag, Fact::Delivered);
    assert_eq!(stage.view(id).state, MessageState::Delivered);
}

#[test]
fn a_throttle_uses_up_no_retry_and_slows_the_number_down() {
    let mut stage = Stage::new(80, EngineConfig::default());
    for _ in 0..6 {
        stage.transport.then(rejected(RejectClass::Throttled, 130_429));
    }
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(300));
    let view = stage.view(id);
    assert_eq!(view.state, MessageState::Accepted);
    assert_eq!(view.attempts.len(), 7);
}

#[test]
fn a_passing_failure_is_tried_again_after_5_10_and_15_seconds_and_no_more() {
    let mut stage = Stage::new(80, EngineConfig::default());
    for _ in 0..9 {
        stage.transport.then(rejected(RejectClass::Retry, 131_000));
    }
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(600));
    assert_eq!(stage.view(id).state, MessageState::Failed);
    let at: Vec<_> = stage.transport.sent().iter().map(|request| request.at).collect();
    let gaps: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).num_seconds()).collect();
    assert_eq!(gaps, [5, 10, 15]);
}

#[test]
fn a_dead_token_stops_the_session_and_loses_nothing() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(Duration::from_millis(200));
    let before = stage.transport.sent().len();
    assert!(before > 0);
    stage.token_is_valid.store(false, Ordering::SeqCst);
    stage.run_for(Duration::from_secs(60));
    let refused = stage.transport.sent().len() - before;
    assert!((1..=64).contains(&refused), "{refused} requests although the token is dead");
    let breakers = block_on(stage.tenant.sessions().breakers()).expect("breakers");
    assert_eq!(breakers.iter().map(|it| it.reason).collect::<Vec<_>>(), [BreakerReason::Credential]);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.pending, counts.failed), (before as u64, 100 - before as u64, 0));
    stage.token_is_valid.store(true, Ordering::SeqCst);
    let scope = BreakerScope::Session(stage.session);
    assert!(block_on(stage.tenant.sessions().reset(&scope)).expect("reset"));
    stage.wake();
    stage.run_for(Duration::from_secs(60));
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100 + refused, "nobody was accepted twice");
}

#[test]
fn after_a_pause_only_what_has_begun_goes_out() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(200);
    stage.wake();
    stage.run_for(Duration::from_secs(3));
    let before = stage.transport.sent().len();
    let live = stage.worker.status().open;
    block_on(stage.tenant.campaigns().pause(campaign)).expect("paused");
    stage.run_for(Duration::from_secs(60));
    let after = stage.transport.sent().len();
    assert!(after - before <= live, "{} more although {live} were live", after - before);
    block_on(stage.tenant.campaigns().resume(campaign)).expect("resumed");
    stage.wake();
    stage.run_for(Duration::from_secs(20));
    assert_eq!(stage.counts(campaign).accepted, 200);
    assert_eq!(stage.transport.sent().len(), 200);
}

#[test]
fn a_one_time_code_does_not_wait_behind_a_campaign() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    stage.campaign(400);
    stage.wake();
    stage.run_for(Duration::from_secs(3));
    let id = stage.send(stage.single(4_915_199_999_999));
    let asked_at = stage.clock.now();
    stage.wake();
    stage.run_for(Duration::from_secs(5));
    let sent = stage.transport.sent();
    let sent = sent.iter().find(|request| request.attempt.message == id).expect("it was sent");
    let waited = sent.at - asked_at;
    assert!(waited < TimeDelta::seconds(1), "it waited {waited}");
}

#[test]
fn an_opt_out_in_mid_campaign_is_obeyed() {
    let config = EngineConfig { max_in_doubt_per_crash: 1, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(50);
    stage.wake();
    stage.run_for(Duration::from_millis(500));
    let last = Phone::try_from(4_915_100_000_049).expect("a phone");
    block_on(async {
        let contacts = stage.tenant.contacts();
        let contact = contacts.find(&last.into()).await.expect("found").expect("a contact");
        contacts.set_consent(contact.id, Consent::OptedOut).await.expect("opted out");
    });
    stage.run_for(Duration::from_secs(20));
    assert!(stage.transport.sent().iter().all(|request| request.recipient.phone() != Some(last)));
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.skipped), (49, 1));
    assert_eq!(counts.reasons.get("skipped:opted_out"), Some(&1));
}

#[test]
fn a_stopped_worker_gives_what_has_not_left_back_and_another_goes_on() {
    let mut stage = Stage::new(20, EngineConfig::default());
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(Duration::from_secs(1));
    stage.worker.stop();
    stage.worker.give_up_waiting();
    stage.run_for(Duration::from_millis(100));
    assert!(stage.worker.is_quiet());
    let ports = stage.worker.ports().clone();
    for job in stage.worker.release_all() {
        block_on(job.run(&ports));
    }
    let first = stage.transport.sent().len();
    assert!(first < 100);
    let (worker, intake) = stage.kit.steps();
    (stage.worker, stage.intake) = (worker, intake);
    stage.run_for(Duration::from_secs(30));
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100, "nobody twice");
    let instants: Vec<_> = stage.transport.sent().iter().map(|request| request.at).collect();
    assert!(most_in_a_second(&instants) <= 20, "the ring was handed over");
}

/// A store whose begin loses its answer: before the commit, after it, or not at all.
#[derive(Debug)]
struct LosesBegin {
    inner: MemoryStore,
    /// 0: honest; 1: nothing happened; 2: it was committed.
    mode: AtomicU8,
}

impl Store for LosesBegin {
    fn commits_in_order(&self) -> bool {
        false
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
    fn outbox(&self) -> &dyn Outbox {
        self
    }
    fn inbox(&self) -> &dyn Inbox {
        self.inner.inbox()
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
}

#[async_trait]
impl Outbox for LosesBegin {
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
        let lost = || StoreError::new(StoreErrorKind::Unknown, "the connection died at commit", None);
        match self.mode.swap(0, Ordering::SeqCst) {
            1 => Err(lost()),
            2 => {
                self.inner.outbox().begin(scope, batch, judge).await?;
                Err(lost())
            }
            _ => self.inner.outbox().begin(scope, batch, judge).await,
        }
    }
    async fn abandon(&self, scope: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError> {
        self.inner.outbox().abandon(scope, batch).await
    }
    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        self.inner.outbox().settle(facts).await
    }
    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        self.inner.outbox().sweep(scope, grace).await
    }
}

#[test]
fn a_begin_of_unknown_fate_is_abandoned_and_everybody_is_reached_once() {
    for mode in [1, 2] {
        let mut stage = Stage::on(80, EngineConfig::default(), |inner| {
            Arc::new(LosesBegin { inner, mode: AtomicU8::new(mode) })
        });
        let campaign = stage.campaign(100);
        stage.wake();
        stage.run_for(Duration::from_secs(30));
        let counts = stage.counts(campaign);
        assert_eq!((counts.accepted, counts.in_doubt, counts.pending), (100, 0, 0), "mode {mode}");
        assert_eq!(stage.transport.sent().len(), 100, "mode {mode}");
    }
}
