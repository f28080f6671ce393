//! Seeded runs of several processes on one store, with everything going wrong that may go wrong.
//!
//! The provider keeps its own truth: what it was asked and what it took. Each seed draws its own
//! faults. A run has two phases: everything fails, then nothing does and all must come to an end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::executor::block_on;

use super::faults::{Call, Fault, FaultyStore};
use super::provider::{Dice, Plan, Provider, RATE, Truth};
use super::stage::{Stage, TagEcho, most_in_a_second};
use crate::engine::intake::Intake;
use crate::engine::job::{Done, Job};
use crate::engine::worker::{Sending, Worker};
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{Clock, SendOutcome, Transport};
use crate::service::{CampaignSpec, EngineConfig, Kit, Message, Number, TenantHandle};
use crate::testing::{ManualClock, SeededEntropy};

/// Contacts, and so messages of each campaign.
const MEMBERS: u64 = 30;

/// From when until when a campaign was paused; open while it is.
type Pause = (DateTime<Utc>, Option<DateTime<Utc>>);

/// One process: a worker, and what it has under way.
struct Process {
    worker: Worker,
    intake: Intake,
    bound: usize,
    frozen_until: Duration,
    stopping: bool,
    jobs: Vec<(Duration, Job)>,
    done: Vec<(Duration, Done)>,
    leaving: Vec<(Duration, Sending)>,
    answers: Vec<(Duration, AttemptKey, SendOutcome)>,
}

struct World {
    seed: u64,
    clock: Arc<ManualClock>,
    dice: Dice,
    plan: Plan,
    store: Arc<FaultyStore>,
    healthy: Arc<Mutex<bool>>,
    truth: Arc<Mutex<Truth>>,
    provider: Arc<Provider>,
    tenant: TenantHandle,
    campaigns: Vec<CampaignId>,
    singles: Vec<MessageId>,
    processes: Vec<Process>,
    /// The bounds of the processes that were killed.
    killed: usize,
    /// When each number released something.
    released: BTreeMap<SessionId, Vec<DateTime<Utc>>>,
    opted_out: BTreeMap<Phone, DateTime<Utc>>,
    paused: BTreeMap<CampaignId, Vec<Pause>>,
    config: EngineConfig,
}

impl World {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let dice = Dice(Arc::new(SeededEntropy::new(seed)));
        let plan = Plan::draw(&dice);
        let healthy = Arc::new(Mutex::new(true));
        let (ok, fate) = (Arc::clone(&healthy), dice.clone());
        let store = FaultyStore::new(MemoryStore::new(clock.clone()), move |_: Call| {
            let fails = !*ok.lock().expect("no test panicked here") && fate.per_mille(plan.store);
            fails.then(|| {
                fate.one_of(&[
                    Fault::Before(StoreErrorKind::Unavailable),
                    Fault::Before(StoreErrorKind::Unknown),
                    Fault::After(StoreErrorKind::Unknown),
                ])
            })
        });
        let store = Arc::new(if dice.per_mille(500) { store.in_order() } else { store });
        let truth = Arc::new(Mutex::new(Truth::default()));
        let provider =
            Arc::new(Provider { clock: clock.clone(), dice: dice.clone(), plan, truth: Arc::clone(&truth) });
        let config = EngineConfig {
            request_timeout: Duration::from_secs(5),
            start_within: Duration::from_millis(dice.one_of(&[300, 1_000, 5_000, 12_000])),
            lease: Duration::from_secs(6),
            heartbeat: Duration::from_secs(2),
            grace: Duration::from_secs(2),
            concurrency: dice.one_of(&[1, 3, 64]),
            max_in_doubt_per_crash: dice.one_of(&[1, 3, 16, 64]),
            settle_batch: dice.one_of(&[2, 500]),
            begin_batch: dice.one_of(&[3, 1_000]),
            ..EngineConfig::default()
        };
        let kit = Self::kit(&clock, &store, &provider, &config, seed);
        let tenant = block_on(kit.tenants().ensure("acme")).expect("a tenant");
        let settings = TenantSettings { template_cooldown: None, ..TenantSettings::default() };
        block_on(tenant.put_settings(&settings)).expect("settings");
        let mut world = Self {
            seed,
            clock,
            dice,
            plan,
            store,
            healthy,
            truth,
            provider,
            tenant,
            campaigns: Vec::new(),
            singles: Vec::new(),
            processes: Vec::new(),
            killed: 0,
            released: BTreeMap::new(),
            opted_out: BTreeMap::new(),
            paused: BTreeMap::new(),
            config,
        };
        world.populate();
        *world.healthy.lock().expect("no test panicked here") = false;
        world
    }

    fn kit(
        clock: &Arc<ManualClock>,
        store: &Arc<FaultyStore>,
        provider: &Arc<Provider>,
        config: &EngineConfig,
        seed: u64,
    ) -> Kit {
        let builder = Kit::builder(Arc::clone(store) as Arc<dyn Store>)
            .transport("cloud", Arc::clone(provider) as Arc<dyn Transport>)
            .webhooks("cloud", Arc::new(TagEcho))
            .clock(Arc::clone(clock) as Arc<dyn Clock>)
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .engine(config.clone());
        block_on(builder.build()).expect("a kit")
    }

    /// Two numbers, two campaigns over both, one of them slow, and single messages.
    fn populate(&mut self) {
        let list: ListName = "all".parse().expect("a list");
        block_on(async {
            let first = self.tenant.sessions().add(&Number::cloud("100")).await.expect("a session").id;
            let second = self.tenant.sessions().add(&Number::cloud("200")).await.expect("a session").id;
            // Known from earlier days: where the provider does not answer at first, a number that nobody knows
            // may go at Meta's default, which is more.
            for session in [first, second] {
                let throughput = Throughput::try_from(RATE).ok();
                let report = SessionReport { throughput, ..SessionReport::default() };
                self.tenant.sessions().report(session, &report).await.expect("a report");
            }
            for n in 0..MEMBERS {
                let attributes = ContactAttributes::from([("name".to_owned(), format!("N{n}"))]);
                let contacts = self.tenant.contacts();
                contacts.upsert(phone(n).into(), attributes, Some(list.clone())).await.expect("a contact");
            }
            for (name, rate, sessions) in
                [("slow", Some(3), vec![first]), ("fast", None, vec![first, second])]
            {
                let name = name.parse().expect("a name");
                let mut spec = CampaignSpec::new(name, list.clone(), Stage::template(), sessions);
                spec.rate = rate;
                spec.lane = self.dice.one_of(&[Lane::Bulk, Lane::Transactional]);
                let campaigns = self.tenant.campaigns();
                let id = campaigns.create(spec).await.expect("a campaign").id;
                campaigns.launch(id, |_| {}).await.expect("a launch");
                self.campaigns.push(id);
            }
            for n in 0..20 {
                let content =
                    CampaignContent::new(Stage::template()).fill(&["Ada".to_owned()]).expect("content");
                let message = Message::new(self.dice.one_of(&[first, second]), phone(n % 3), content);
                let at = self.clock.now() + TimeDelta::from_std(self.dice.millis(20_000)).expect("short");
                self.singles
                    .push(self.tenant.messages().send(message.send_at(at)).await.expect("taken in").id);
            }
        });
    }

    fn start_process(&mut self) {
        let seed = self.dice.0.next();
        let kit = Self::kit(&self.clock, &self.store, &self.provider, &self.config, seed);
        let (worker, intake) = kit.steps();
        self.processes.push(Process {
            worker,
            intake,
            bound: self.config.max_in_doubt_per_crash,
            frozen_until: Duration::ZERO,
            stopping: false,
            jobs: Vec::new(),
            done: Vec::new(),
            leaving: Vec::new(),
            answers: Vec::new(),
        });
    }

    fn is_healed(&self) -> bool {
        *self.healthy.lock().expect("no test panicked here")
    }

    /// One event of the outside world.
    fn strike(&mut self) {
        let Plan { crashes, freezes, hand_overs, pauses, opt_outs, .. } = self.plan;
        let now = self.clock.monotonic();
        let victim = usize::try_from(self.dice.below(2)).expect("small");
        if self.dice.per_mille(crashes) && victim < self.processes.len() {
            self.killed += self.processes.remove(victim).bound;
        } else if self.dice.per_mille(hand_overs) && victim < self.processes.len() {
            let process = &mut self.processes[victim];
            process.stopping = true;
            process.worker.stop();
            process.worker.give_up_waiting();
        }
        if self.dice.per_mille(freezes) && victim < self.processes.len() {
            self.processes[victim].frozen_until = now + self.dice.millis(20_000);
        }
        while self.processes.len() < 2 {
            self.start_process();
        }
        if self.dice.per_mille(pauses) {
            let campaign = self.dice.one_of(&self.campaigns);
            let spans = self.paused.entry(campaign).or_default();
            let campaigns = self.tenant.campaigns();
            match spans.last_mut() {
                Some((_, end @ None)) => {
                    // What follows the resume may leave at once, so the span ends before it.
                    *end = Some(self.clock.now());
                    block_on(campaigns.resume(campaign)).expect("resumed");
                }
                _ => {
                    if block_on(campaigns.pause(campaign)).is_ok() {
                        spans.push((self.clock.now(), None));
                    }
                }
            }
        }
        if self.dice.per_mille(opt_outs) {
            let phone = phone(self.dice.below(MEMBERS));
            block_on(async {
                let contacts = self.tenant.contacts();
                let contact = contacts.find(&phone.into()).await.expect("found").expect("a contact");
                contacts.set_consent(contact.id, Consent::OptedOut).await.expect("opted out");
            });
            self.opted_out.entry(phone).or_insert(self.clock.now());
        }
        self.call_back();
    }

    /// Some of the provider's callbacks come in, in any order, some twice.
    fn call_back(&mut self) {
        let Some(process) = self.processes.first() else { return };
        let mut truth = self.truth.lock().expect("no test panicked here");
        for _ in 0..self.dice.below(6) {
            if truth.callbacks.is_empty() {
                break;
            }
            let place = usize::try_from(self.dice.below(truth.callbacks.len() as u64)).expect("small");
            let again = self.dice.per_mille(200);
            let body =
                if again { truth.callbacks[place].clone() } else { truth.callbacks.swap_remove(place) };
            let received_at = self.clock.now();
            let raw = RawBody {
                id: RawId::mint(received_at, process.worker.ports().draw()),
                transport: "cloud".parse().expect("a name"),
                body: body.into_bytes(),
                received_at,
            };
            // What the store refuses comes again, or is found by the next look.
            if block_on(process.intake.keep(std::slice::from_ref(&raw))).is_err() {
                truth.callbacks.push(String::from_utf8(raw.body.clone()).expect("UTF-8"));
            }
            let _ = block_on(process.intake.project(&[raw]));
        }
        if self.dice.per_mille(100) {
            let _ = block_on(process.intake.catch_up(None, 100));
        }
    }

    /// Lets every process do what it can do now.
    fn step(&mut self) {
        let now = self.clock.monotonic();
        let slow = if self.is_healed() { 0 } else { self.plan.slow_jobs };
        let lag = |dice: &Dice| {
            if dice.per_mille(slow) { now + dice.millis(9_000) } else { now + dice.millis(5) }
        };
        for process in &mut self.processes {
            if process.frozen_until > now {
                continue;
            }
            for (_, done) in process.done.extract_if(.., |(at, _)| *at <= now) {
                process.worker.apply(done);
            }
            for (_, attempt, outcome) in process.answers.extract_if(.., |(at, _, _)| *at <= now) {
                process.worker.record(attempt, outcome);
            }
            for sending in process.worker.release() {
                let session = sending.permit.session().id;
                self.released.entry(session).or_default().push(self.clock.now());
                let late = self.dice.per_mille(self.plan.slow_sends);
                let pause = if late { self.dice.millis(8_000) } else { Duration::ZERO };
                process.leaving.push((now + pause, sending));
            }
            for (_, Sending { permit, transport }) in process.leaving.extract_if(.., |(at, _)| *at <= now) {
                let attempt = permit.attempt();
                let outcome = transport.send(permit).now_or_never().expect("it answers");
                let hangs =
                    !matches!(outcome, SendOutcome::NotSent { .. }) && self.dice.per_mille(self.plan.hanging);
                let answer = if hangs {
                    let mut truth = self.truth.lock().expect("no test panicked here");
                    if matches!(outcome, SendOutcome::Rejected { .. }) {
                        *truth.may_have_taken.entry(attempt.message).or_default() += 1;
                    }
                    (
                        now + Duration::from_secs(6),
                        attempt,
                        SendOutcome::Ambiguous { why: "time-out".to_owned() },
                    )
                } else {
                    (now + self.dice.millis(200), attempt, outcome)
                };
                process.answers.push(answer);
            }
            for job in process.worker.jobs() {
                process.jobs.push((lag(&self.dice), job));
            }
            let ports = process.worker.ports().clone();
            for (_, job) in process.jobs.extract_if(.., |(at, _)| *at <= now) {
                process.done.push((lag(&self.dice), block_on(job.run(&ports))));
            }
            let open = process.worker.status().open;
            // A store that is handed both at once may fail a settle and take the begin behind it.
            let most = if self.store.commits_in_order() { 2 * process.bound } else { process.bound };
            assert!(open <= most, "seed {}: {open} open at a bound of {}", self.seed, process.bound);
            if process.stopping && process.worker.is_quiet() {
                for job in process.worker.release_all() {
                    block_on(job.run(&ports));
                }
                process.bound = 0;
            }
        }
        self.processes.retain(|process| process.bound > 0);
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.clock.monotonic() + span;
        let mut strike_at = Duration::ZERO;
        let mut steps = 0_u64;
        while self.clock.monotonic() < end {
            steps += 1;
            assert!(steps < 2_000 * span.as_secs(), "seed {}: somebody is always busy", self.seed);
            let now = self.clock.monotonic();
            if !self.is_healed() && strike_at <= now {
                self.strike();
                strike_at = now + Duration::from_millis(250);
            }
            self.step();
            let mut next = if self.is_healed() { end } else { strike_at };
            for process in &mut self.processes {
                let own = [process.worker.next_at()]
                    .into_iter()
                    .chain(process.jobs.iter().map(|(at, _)| *at))
                    .chain(process.done.iter().map(|(at, _)| *at))
                    .chain(process.leaving.iter().map(|(at, _)| *at))
                    .chain(process.answers.iter().map(|(at, _, _)| *at))
                    .min();
                next = next.min(own.unwrap_or(end).max(process.frozen_until));
            }
            self.clock.advance(
                next.max(now + Duration::from_millis(1)).min(end.max(now + Duration::from_millis(1))) - now,
            );
        }
    }

    fn heal(&mut self) {
        *self.healthy.lock().expect("no test panicked here") = true;
        self.truth.lock().expect("no test panicked here").healed = true;
        for process in &mut self.processes {
            process.frozen_until = Duration::ZERO;
        }
        for (campaign, spans) in &mut self.paused {
            if let Some((_, end @ None)) = spans.last_mut() {
                *end = Some(self.clock.now());
                block_on(self.tenant.campaigns().resume(*campaign)).expect("resumed");
            }
        }
        if self.processes.iter().all(|process| process.stopping) {
            self.start_process();
        }
    }

    /// Whether every message has come to an end.
    fn is_over(&self) -> bool {
        let campaigns = self.tenant.campaigns();
        let mut states =
            self.campaigns.iter().map(|id| block_on(campaigns.get(*id)).expect("a campaign").state);
        let is_final = |id: &MessageId| {
            let state = block_on(self.tenant.messages().get(*id)).expect("a message").state;
            !matches!(state, MessageState::Pending | MessageState::Held | MessageState::Attempting)
        };
        states.all(|state| state == CampaignState::Completed) && self.singles.iter().all(is_final)
    }

    /// What must hold, by the provider's truth and the store's report.
    fn check(&self) {
        let seed = self.seed;
        let truth = self.truth.lock().expect("no test panicked here");
        for (message, times) in &truth.may_have_taken {
            assert!(*times <= 1, "seed {seed}: {message} may have been taken {times} times");
        }
        let mut views: Vec<_> = self
            .singles
            .iter()
            .map(|id| block_on(self.tenant.messages().get(*id)).expect("a message"))
            .collect();
        for campaign in &self.campaigns {
            let found =
                block_on(self.tenant.campaigns().recipients(*campaign, None, 1_000)).expect("messages");
            assert_eq!(found.len() as u64, MEMBERS, "seed {seed}");
            views.extend(found);
            let counts = block_on(self.tenant.campaigns().counts(*campaign)).expect("counts");
            assert_eq!(counts.pending, 0, "seed {seed}: {counts:?}");
            let state = block_on(self.tenant.campaigns().get(*campaign)).expect("a campaign").state;
            assert_eq!(state, CampaignState::Completed, "seed {seed}: {counts:?}");
        }
        let mut in_doubt = 0_usize;
        for view in &views {
            let taken = truth.taken.contains(&view.id);
            match view.state {
                MessageState::Accepted
                | MessageState::Sent
                | MessageState::Delivered
                | MessageState::Read => {
                    assert!(
                        taken,
                        "seed {seed}: {} is accepted, and the provider knows nothing of it",
                        view.id
                    );
                }
                // Without a request only a killed process leaves a doubt.
                MessageState::InDoubt => {
                    in_doubt += usize::from(!truth.may_have_taken.contains_key(&view.id));
                }
                MessageState::Failed | MessageState::Skipped => {
                    assert!(!taken, "seed {seed}: {} is {:?}, and the provider took it", view.id, view.state);
                }
                other => panic!("seed {seed}: {} is {other:?} in the end", view.id),
            }
            let most = view.attempts.len();
            assert!(most <= 40, "seed {seed}: {most} attempts for one message");
        }
        assert!(in_doubt <= self.killed, "seed {seed}: {in_doubt} in doubt, {} by kills", self.killed);
        for (key, recipient, at) in &truth.requests {
            let view = block_on(self.tenant.messages().get(key.message)).expect("a message");
            assert!(view.attempts.iter().any(|it| it.n == key.n), "seed {seed}: a request without attempt");
            let latest = TimeDelta::from_std(self.config.start_within).expect("short");
            let binds_from = recipient.phone().and_then(|phone| self.opted_out.get(&phone));
            assert!(
                binds_from.is_none_or(|from| *at < *from + latest),
                "seed {seed}: a request after the opt-out could have left no more"
            );
            let spans = view.campaign.and_then(|campaign| self.paused.get(&campaign));
            for (from, until) in spans.into_iter().flatten() {
                let within = *at >= *from + latest && until.is_none_or(|until| *at < until);
                assert!(!within, "seed {seed}: a request in a pause");
            }
        }
        for instants in self.released.values() {
            let most = most_in_a_second(instants);
            assert!(most <= RATE as usize, "seed {seed}: {most} in one second");
        }
    }
}

fn phone(n: u64) -> Phone {
    Phone::try_from(4_915_100_000_000 + n).expect("a phone")
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    world.run_for(Duration::from_secs(40));
    world.heal();
    for _ in 0..40 {
        world.run_for(Duration::from_secs(15));
        if world.is_over() {
            break;
        }
    }
    world.check();
}

#[test]
fn whatever_goes_wrong_nobody_is_sent_to_twice_nobody_is_lost_and_all_ends() {
    for seed in 0..300 {
        run(seed);
    }
}
