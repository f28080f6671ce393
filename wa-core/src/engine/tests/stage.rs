//! A kit on manual time with one worker, driven step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::executor::block_on;

use crate::engine::intake::Intake;
use crate::engine::job::Job;
use crate::engine::worker::Worker;
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{Clock, SendOutcome, WebhookRefusal, WebhookSource};
use crate::service::{CampaignSpec, EngineConfig, Kit, Message, Number, TenantHandle};
use crate::testing::{ManualClock, Reply, ScriptedTransport, SeededEntropy};

/// A kit on manual time, and whoever drives its steps.
pub(super) struct Stage {
    pub(super) clock: Arc<ManualClock>,
    pub(super) transport: Arc<ScriptedTransport>,
    pub(super) kit: Kit,
    pub(super) worker: Worker,
    pub(super) intake: Intake,
    pub(super) tenant: TenantHandle,
    pub(super) session: SessionId,
    pub(super) token_is_valid: Arc<AtomicBool>,
    pub(super) most_open: usize,
    /// How long each request takes.
    pub(super) latency: Duration,
    /// Requests under way: when each answer arrives.
    flying: Vec<(Duration, AttemptKey, SendOutcome)>,
}

impl Stage {
    pub(super) fn new(throughput: u32, config: EngineConfig) -> Self {
        Self::on(throughput, config, |store| Arc::new(store))
    }

    pub(super) fn on(
        throughput: u32,
        config: EngineConfig,
        wrap: impl FnOnce(MemoryStore) -> Arc<dyn Store>,
    ) -> Self {
        Self::on_clock(throughput, config, |store, _| wrap(store))
    }

    pub(super) fn on_clock(
        throughput: u32,
        config: EngineConfig,
        wrap: impl FnOnce(MemoryStore, Arc<ManualClock>) -> Arc<dyn Store>,
    ) -> Self {
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
        let store = wrap(MemoryStore::new(clock.clone()), clock.clone());
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
            Self {
                clock,
                transport,
                kit,
                worker,
                intake,
                tenant,
                session,
                token_is_valid,
                most_open: 0,
                latency: Duration::ZERO,
                flying: Vec::new(),
            }
        })
    }

    /// Does everything that can be done without time passing.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..10_000 {
            self.land();
            let sending = self.worker.release();
            let jobs = self.worker.jobs();
            if sending.is_empty() && jobs.is_empty() {
                return;
            }
            for it in sending {
                let attempt = it.permit.attempt();
                // A reply that never comes leaves the attempt open.
                if let Some(outcome) = it.transport.send(it.permit).now_or_never() {
                    self.flying.push((self.clock.monotonic() + self.latency, attempt, outcome));
                }
            }
            self.land();
            for job in jobs {
                self.run(job);
            }
        }
        panic!("the worker is busy although no time passes");
    }

    /// Runs one job to its end.
    pub(super) fn run(&mut self, job: Job) {
        let ports = self.worker.ports().clone();
        let done = block_on(job.run(&ports));
        self.worker.apply(done);
        self.most_open = self.most_open.max(self.worker.status().open);
    }

    /// Hands in the answers that have arrived.
    fn land(&mut self) {
        let now = self.clock.monotonic();
        for (_, attempt, outcome) in self.flying.extract_if(.., |(at, _, _)| *at <= now) {
            self.worker.record(attempt, outcome);
        }
    }

    /// Lets time pass, from one thing to do to the next.
    pub(super) fn run_for(&mut self, span: Duration) {
        let end = self.clock.monotonic() + span;
        let steps = 10_000 + 2_000 * span.as_secs();
        for _ in 0..steps {
            self.settle_down();
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            let answer = self.flying.iter().map(|(at, _, _)| *at).min().unwrap_or(end);
            let next = self.worker.next_at().min(answer);
            let step = next.max(now + Duration::from_micros(1)).min(end) - now;
            self.clock.advance(step);
        }
        panic!("more than {steps} steps in {span:?}: something is always due and never done");
    }

    pub(super) fn template() -> Content {
        let (name, language) = ("offer".parse().expect("a name"), "en_US".parse().expect("a language"));
        let body = ["{{name}}".to_owned()];
        Content::Template(
            TemplateContent::with_body(name, language, Category::Marketing, body).expect("a template"),
        )
    }

    pub(super) fn campaign(&self, members: u64) -> CampaignId {
        self.launch("launch", self.session, members, |_| {})
    }

    /// Launches a campaign to so many contacts from one number.
    pub(super) fn launch(
        &self,
        name: &str,
        session: SessionId,
        members: u64,
        change: impl FnOnce(&mut CampaignSpec),
    ) -> CampaignId {
        let list: ListName = name.parse().expect("a list");
        block_on(async {
            for n in 0..members {
                let phone = Phone::try_from(4_915_100_000_000 + n).expect("a phone");
                let attributes = ContactAttributes::from([("name".to_owned(), format!("N{n}"))]);
                let contacts = self.tenant.contacts();
                contacts.upsert(phone.into(), attributes, Some(list.clone())).await.expect("a contact");
            }
            let name = name.parse().expect("a name");
            let mut spec = CampaignSpec::new(name, list, Self::template(), vec![session]);
            change(&mut spec);
            let campaign = self.tenant.campaigns().create(spec).await.expect("a campaign");
            self.tenant.campaigns().launch(campaign.id, |_| {}).await.expect("a launch").id
        })
    }

    pub(super) fn number(&self, id: &str) -> SessionId {
        block_on(self.tenant.sessions().add(&Number::cloud(id))).expect("a session").id
    }

    /// When each request of a number left.
    pub(super) fn sent_from(&self, session: SessionId) -> Vec<DateTime<Utc>> {
        let sent = self.transport.sent().into_iter().filter(|request| request.session == session);
        sent.map(|request| request.at).collect()
    }

    pub(super) fn counts(&self, campaign: CampaignId) -> CampaignCounts {
        block_on(self.tenant.campaigns().counts(campaign)).expect("counts")
    }

    pub(super) fn send(&self, message: Message) -> MessageId {
        block_on(self.tenant.messages().send(message)).expect("a receipt").id
    }

    pub(super) fn single(&self, phone: u64) -> Message {
        let phone = Phone::try_from(phone).expect("a phone");
        let content = CampaignContent::new(Self::template()).fill(&["Ada".to_owned()]).expect("content");
        Message::new(self.session, phone, content)
    }

    pub(super) fn view(&self, id: MessageId) -> MessageView {
        block_on(self.tenant.messages().get(id)).expect("a message")
    }

    /// Takes a status in as if the provider had called back, echoing a tag.
    pub(super) fn status(&self, tag: &str, fact: Fact) {
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

    pub(super) fn wake(&mut self) {
        self.worker.wake();
    }
}

/// A provider whose webhook body is a tag, the bit of a fact, and a number other than 100.
#[derive(Debug)]
pub(super) struct TagEcho;

impl WebhookSource for TagEcho {
    fn challenge(&self, _query: &str) -> Result<crate::port::Challenge, WebhookRefusal> {
        Err(WebhookRefusal::WrongChallenge)
    }

    fn verify(&self, _webhook: &crate::port::ReceivedWebhook<'_>) -> Result<(), WebhookRefusal> {
        Ok(())
    }

    fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Vec<InboundEvent> {
        let text = std::str::from_utf8(body).expect("UTF-8");
        let mut parts = text.split(' ');
        let (tag, bit) = (parts.next().expect("a tag"), parts.next().expect("a bit"));
        let number = parts.next().unwrap_or("100");
        let fact = Fact::ALL.into_iter().find(|fact| fact.bit().to_string() == bit).expect("a fact");
        vec![InboundEvent::Status(StatusUpdate {
            echo: Some(tag.to_owned()),
            ..StatusUpdate::new(number.parse().expect("a number"), "wamid.X", fact, received_at)
        })]
    }
}

pub(super) fn rejected(class: RejectClass, code: i64) -> Reply {
    let failure = FailureCode { code, class, title: "refused".to_owned() };
    Reply::Outcome(SendOutcome::Rejected { failure, retry_after: None })
}

pub(super) fn most_in_a_second(instants: &[DateTime<Utc>]) -> usize {
    (0..instants.len())
        .map(|first| {
            let end = instants[first] + TimeDelta::seconds(1);
            instants[first..].iter().take_while(|at| **at < end).count()
        })
        .max()
        .unwrap_or(0)
}
