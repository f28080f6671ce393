//! Several workers on one store, on manual time.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;

use super::stage::Stage;
use crate::engine::job::Job;
use crate::engine::worker::Worker;
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::Store;
use crate::port::{Clock, SendOutcome};
use crate::service::{EngineConfig, Kit, Message, Number, TenantHandle};
use crate::testing::{ManualClock, Reply, ScriptedTransport, SeededEntropy};

/// A store, and processes that work on it.
pub(super) struct Cluster {
    pub(super) clock: Arc<ManualClock>,
    pub(super) transport: Arc<ScriptedTransport>,
    store: Arc<dyn Store>,
    config: EngineConfig,
    kit: Kit,
    seeds: u64,
    pub(super) members: Vec<Member>,
    pub(super) latency: Duration,
}

/// A process.
pub(super) struct Member {
    pub(super) worker: Worker,
    flying: Vec<(Duration, AttemptKey, SendOutcome)>,
}

impl Cluster {
    pub(super) fn new(config: EngineConfig) -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let transport = Arc::new(ScriptedTransport::new(clock.clone()).answering(|request| {
            let provider_id = format!("wamid.{}", request.attempt.message);
            Reply::Outcome(SendOutcome::Accepted { provider_id })
        }));
        let throughput = Throughput::try_from(20).ok();
        transport.set_report(Some(SessionReport { throughput, ..SessionReport::default() }));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
        let kit = kit(&store, &transport, &clock, &config, 1);
        let (members, latency) = (Vec::new(), Duration::from_millis(80));
        Self { clock, transport, store, config, kit, seeds: 1, members, latency }
    }

    pub(super) fn tenant(&self, name: &str) -> TenantHandle {
        block_on(async {
            let tenant = self.kit.tenants().ensure(name).await.expect("a tenant");
            let settings = TenantSettings { template_cooldown: None, ..TenantSettings::default() };
            tenant.put_settings(&settings).await.expect("settings");
            tenant
        })
    }

    pub(super) fn numbers(&self, tenant: &TenantHandle, count: u32) -> Vec<SessionId> {
        let add =
            |n: u32| block_on(tenant.sessions().add(&Number::cloud(n.to_string()))).expect("a session").id;
        (0..count).map(add).collect()
    }

    /// Queues messages to people of their own.
    pub(super) fn queue(&self, tenant: &TenantHandle, session: SessionId, count: u64) -> Vec<MessageId> {
        let send = |n: u64| {
            let phone = Phone::try_from(4_915_100_000_000 + n).expect("a phone");
            let content = CampaignContent::new(Stage::template()).fill(&["Ada".to_owned()]).expect("content");
            block_on(tenant.messages().send(Message::new(session, phone, content))).expect("a receipt").id
        };
        (0..count).map(send).collect()
    }

    /// A process more.
    pub(super) fn join(&mut self) {
        self.seeds += 1;
        let (worker, _) = kit(&self.store, &self.transport, &self.clock, &self.config, self.seeds).steps();
        self.members.push(Member { worker, flying: Vec::new() });
    }

    /// Ends a process as a crash does.
    pub(super) fn crash(&mut self, member: usize) {
        self.members.remove(member);
    }

    /// Ends a process as it should end.
    pub(super) fn stop(&mut self, member: usize) {
        self.members[member].worker.stop();
        self.run_for(Duration::from_secs(2));
        let mut gone = self.members.remove(member);
        assert!(gone.worker.is_quiet(), "what it began is settled");
        let ports = gone.worker.ports().clone();
        let leave = gone.worker.leave();
        for job in std::iter::once(leave).chain(gone.worker.release_all()) {
            block_on(job.run(&ports));
        }
    }

    pub(super) fn held(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.worker.status().sessions).collect()
    }

    fn settle_down(&mut self) {
        for _ in 0..10_000 {
            let now = self.clock.monotonic();
            let mut is_idle = true;
            for member in &mut self.members {
                is_idle &= !member.step(now, self.latency);
            }
            if is_idle {
                return;
            }
        }
        panic!("the workers are busy although no time passes");
    }

    /// Lets time pass, and looks after each step.
    pub(super) fn watch(&mut self, span: Duration, mut look: impl FnMut(&Self)) {
        let end = self.clock.monotonic() + span;
        loop {
            self.settle_down();
            look(self);
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            let next = self.members.iter_mut().map(Member::next_at).min().unwrap_or(end);
            self.clock.advance(next.max(now + Duration::from_micros(1)).min(end) - now);
        }
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        self.watch(span, |_| {});
    }
}

impl Member {
    /// Does what can be done now; whether there was anything.
    fn step(&mut self, now: Duration, latency: Duration) -> bool {
        for (_, attempt, outcome) in self.flying.extract_if(.., |(at, _, _)| *at <= now) {
            self.worker.record(attempt, outcome);
        }
        let (sending, jobs) = (self.worker.release(), self.worker.jobs());
        let did = !sending.is_empty() || !jobs.is_empty();
        for it in sending {
            let attempt = it.permit.attempt();
            if let Some(outcome) = it.transport.send(it.permit).now_or_never() {
                self.flying.push((now + latency, attempt, outcome));
            }
        }
        jobs.into_iter().for_each(|job| self.run(job));
        did
    }

    fn run(&mut self, job: Job) {
        let ports = self.worker.ports().clone();
        let done = block_on(job.run(&ports));
        self.worker.apply(done);
    }

    fn next_at(&mut self) -> Duration {
        let answer = self.flying.iter().map(|(at, _, _)| *at).min();
        self.worker.next_at().min(answer.unwrap_or(Duration::MAX))
    }
}

fn kit(
    store: &Arc<dyn Store>,
    transport: &Arc<ScriptedTransport>,
    clock: &Arc<ManualClock>,
    config: &EngineConfig,
    seed: u64,
) -> Kit {
    let kit = Kit::builder(Arc::clone(store))
        .transport("cloud", transport.clone())
        .clock(clock.clone())
        .entropy(Arc::new(SeededEntropy::new(seed * 1_000)))
        .engine(config.clone());
    block_on(kit.build()).expect("a kit")
}
