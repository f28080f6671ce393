//! The world of one run: a store, a provider, processes that share the work, people who write and an
//! operator. It moves time from one thing to do to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::dice::Dice;
use super::hub::{Hub, lock};
use super::link::{at_once, flush};
use super::mark::Mark;
use super::plan::Plan;
use super::process::{Course, Process, Stepped};
use super::trace::Trace;
use super::wire::Wire;
use super::{Report, Setup};
use crate::memory::{MemoryStore, Snapshot};
use crate::model::{
    AlertSettings, AttemptKey, CampaignContent, CampaignId, Category, ContactAttributes, Content, Lane,
    ListName, MessageId, NumberId, Phone, SessionId, SessionReport, TemplateContent, TenantSettings,
    Throughput, Tier, from_micros,
};
use crate::port::Clock;
use crate::service::{CampaignSpec, Kit, Message, Number, TenantHandle};
use crate::testing::{ManualClock, SeededEntropy};

/// How often fate strikes.
const STRIKE_EVERY: Duration = Duration::from_millis(250);

/// How often everything that is stored is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long healing may take.
const HEALING: Duration = Duration::from_secs(40 * 60);

/// More steps than any run needs.
const MOST_STEPS: u64 = 400_000;

pub(super) struct World {
    pub(super) hub: Arc<Hub>,
    pub(super) store: MemoryStore,
    pub(super) kit: Kit,
    pub(super) tenant: TenantHandle,
    pub(super) sessions: Vec<(SessionId, NumberId)>,
    pub(super) campaigns: Vec<CampaignId>,
    pub(super) singles: Vec<MessageId>,
    pub(super) processes: Vec<Process>,
    pub(super) disk: Arc<Mutex<Option<Snapshot>>>,
    /// The last backup, and when it was made.
    pub(super) backup: Option<(Snapshot, DateTime<Utc>)>,
    /// The facts that were known of each attempt when it was last looked at.
    pub(super) seen: BTreeMap<AttemptKey, u16>,
    started: u32,
    restart_at: Duration,
    steps: u64,
    seed: u64,
}

/// The phone of a contact.
pub(super) fn phone(n: u64) -> Phone {
    Phone::try_from(4_915_100_000_000 + n).expect("the number is a mobile one")
}

fn template(name: &str, category: Category) -> Content {
    let (name, language) = (name.parse().expect("a name"), "en_US".parse().expect("a language"));
    let body = ["{{name}}".to_owned()];
    Content::Template(TemplateContent::with_body(name, language, category, body).expect("a template"))
}

impl World {
    pub(super) fn new(seed: u64, setup: &Setup) -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let dice = Dice::new(seed);
        let plan = Plan::draw(&dice, setup);
        let mut trace = Trace::new(seed, setup.trace);
        trace.say(|| format!("{plan:?}"));
        let hub = Arc::new(Hub::new(Arc::clone(&clock), dice, plan, trace));
        let store = MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>);
        #[cfg(feature = "mutants")]
        let store = store.with_mutant(setup.mutant);
        let builder = Kit::builder(Arc::new(store.clone()))
            .transport("cloud", Arc::new(Wire { hub: Arc::clone(&hub), process: 0 }))
            .clock(clock)
            .entropy(Arc::new(SeededEntropy::new(hub.dice.seed())));
        let kit = at_once(builder.build()).expect("a kit is built of valid parts");
        let tenant = at_once(kit.tenants().ensure("acme")).expect("a tenant");
        let mut world = Self {
            hub,
            store,
            kit,
            tenant,
            sessions: Vec::new(),
            campaigns: Vec::new(),
            singles: Vec::new(),
            processes: Vec::new(),
            disk: Arc::default(),
            backup: None,
            seen: BTreeMap::new(),
            started: 0,
            restart_at: Duration::ZERO,
            steps: 0,
            seed,
        };
        world.populate();
        flush(&world.store, &world.hub, &world.disk);
        world.hub.set_healed(false);
        world
    }

    /// Two numbers of one account, two campaigns, single messages, and users who wrote a day ago.
    fn populate(&mut self) {
        let settings = TenantSettings {
            template_cooldown: None,
            alerts: AlertSettings { pause_failures: 0, ..AlertSettings::default() },
            ..TenantSettings::default()
        };
        at_once(self.tenant.put_settings(&settings)).expect("settings");
        for id in ["100", "200"] {
            let number = Number { portfolio: Some("account".to_owned()), ..Number::cloud(id) };
            let session = at_once(self.tenant.sessions().add(&number)).expect("a session");
            // Until a number was asked about, the engine knows no more than what is usual.
            let report = SessionReport {
                throughput: Throughput::try_from(self.hub.plan.rate).ok(),
                tier: Some(Tier::from_limit(self.hub.plan.tier)),
                ..SessionReport::default()
            };
            at_once(self.tenant.sessions().report(session.id, &report)).expect("a report");
            self.sessions.push((session.id, session.number));
        }
        let list: ListName = "all".parse().expect("a list");
        for n in 0..self.hub.plan.members {
            let attributes = ContactAttributes::from([("name".to_owned(), format!("N{n}"))]);
            let contacts = self.tenant.contacts();
            at_once(contacts.upsert(phone(n).into(), attributes, Some(list.clone()))).expect("a contact");
        }
        let all: Vec<_> = self.sessions.iter().map(|(id, _)| *id).collect();
        let first = all.first().copied().into_iter().collect();
        for (name, rate, sessions) in [("slow", Some(2), first), ("fast", None, all)] {
            let content = template("offer", Category::Marketing);
            let mut spec = CampaignSpec::new(name.parse().expect("a name"), list.clone(), content, sessions);
            spec.rate = rate;
            spec.lane = self.hub.dice.one_of(&[Lane::Bulk, Lane::Transactional]);
            let campaigns = self.tenant.campaigns();
            let id = at_once(campaigns.create(spec)).expect("a campaign").id;
            at_once(campaigns.launch(id, |_| {})).expect("a launch");
            self.campaigns.push(id);
        }
        for n in 0..self.hub.dice.below(5) {
            // The window closes while the run lasts.
            let hub = Arc::clone(&self.hub);
            let (session, number) = self.number();
            let ago =
                TimeDelta::hours(24) - TimeDelta::seconds(i64::try_from(5 + hub.dice.below(80)).unwrap_or(5));
            let at = hub.wall() - ago;
            let later = hub.dice.millis(6_000);
            lock(&hub.meta).user_writes(&hub, (session, &number), phone(n), at, ("hello", later));
            self.write_freely(session, phone(n));
        }
        for _ in 0..4 {
            self.enqueue();
        }
    }

    pub(super) fn number(&self) -> (SessionId, NumberId) {
        let place = self.hub.dice.place(self.sessions.len());
        self.sessions.get(place).cloned().expect("there are two numbers")
    }

    /// Queues a free-form message to somebody whose window may be open.
    fn write_freely(&mut self, session: SessionId, to: Phone) {
        let content = Content::text("Hello!").expect("a text");
        let at = self.hub.wall() + TimeDelta::seconds(i64::try_from(self.hub.dice.below(20)).unwrap_or(0));
        let lane = self.hub.dice.one_of(&[Lane::Bulk, Lane::Transactional]);
        let message = Message::new(session, to, content).lane(lane).send_at(at);
        self.singles.push(at_once(self.tenant.messages().send(message)).expect("it is taken in").id);
    }

    /// Queues a template to a contact.
    pub(super) fn enqueue(&mut self) {
        let hub = &self.hub;
        let category = hub.dice.one_of(&[Category::Marketing, Category::Utility]);
        let content =
            CampaignContent::new(template("order", category)).fill(&["Ada".to_owned()]).expect("content");
        let (session, _) = self.number();
        let at = hub.wall() + TimeDelta::from_std(hub.dice.millis(8_000)).unwrap_or_default();
        let message = Message::new(session, phone(hub.dice.below(hub.plan.members)), content).send_at(at);
        self.singles.push(at_once(self.tenant.messages().send(message)).expect("it is taken in").id);
        if let Some(process) = self.processes.first_mut().filter(|_| self.hub.dice.per_mille(500)) {
            process.worker.wake_due();
        }
    }

    /// A whole run: everything fails, then nothing does and all must come to an end.
    pub(super) fn run(mut self) -> Report {
        self.run_until(self.hub.plan.danger);
        self.look(false);
        self.heal();
        let end = self.hub.now() + HEALING;
        while self.hub.now() < end {
            self.operate();
            let next = self.hub.now() + Duration::from_secs(5);
            self.run_until(next);
            if self.is_over() {
                break;
            }
        }
        self.look(true);
        let trace = {
            let mut trace = lock(&self.hub.trace);
            std::mem::replace(&mut *trace, Trace::new(0, false))
        };
        self.hub.lose_all();
        Report {
            seed: self.seed,
            steps: self.steps,
            opportunities: self.hub.opportunities(),
            span: self.hub.now(),
            hash: trace.hash,
            violations: trace.violations,
            marks: trace.marks,
            trace: trace.lines.unwrap_or_default(),
        }
    }

    fn run_until(&mut self, end: Duration) {
        let hub = Arc::clone(&self.hub);
        let (mut strike_at, mut look_at) = (hub.now(), hub.now() + LOOK_EVERY);
        while hub.now() < end {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                lock(&hub.trace).violated("I6", hub.now(), "there is always something to do".to_owned());
                hub.clock.advance(end - hub.now());
                return;
            }
            hub.arrive();
            if !hub.is_healed() && strike_at <= hub.now() {
                self.strike();
                strike_at = hub.now() + STRIKE_EVERY;
            }
            if !hub.is_healed() && look_at <= hub.now() {
                self.look(false);
                look_at = hub.now() + LOOK_EVERY;
            }
            self.staff();
            self.deliver();
            self.step();
            let mut next = if hub.is_healed() { end } else { strike_at.min(end) };
            next = next.min(hub.next_at().unwrap_or(end));
            next = next.min(lock(&hub.meta).next_at().unwrap_or(end));
            for process in &mut self.processes {
                next = next.min(process.next_at());
            }
            hub.clock.advance(next.max(hub.now() + Duration::from_micros(100)) - hub.now());
        }
    }

    /// Lets every process do what it can do now.
    fn step(&mut self) {
        let mut place = 0;
        while let Some(process) = self.processes.get_mut(place) {
            match process.step() {
                Stepped::Dies => self.kill(place),
                Stepped::Lives if process.course == Course::Gone => {
                    let process = self.processes.remove(place);
                    self.hub.note("ends", u64::from(process.name), 0);
                    lock(&self.hub.audit).ended(&self.hub, process.name);
                }
                Stepped::Lives => place += 1,
            }
        }
    }

    /// Brings callbacks to whoever can take them.
    fn deliver(&mut self) {
        let hub = Arc::clone(&self.hub);
        let now = hub.now();
        loop {
            let Some(mail) = lock(&hub.meta).next_mail(now) else { return };
            if mail.again {
                hub.mark(Mark::WebhookTwice);
            } else if hub.strikes(hub.plan.twice) {
                lock(&hub.meta).post_again(now + hub.dice.millis(4_000), mail.clone());
            }
            let awake: Vec<_> = self
                .processes
                .iter_mut()
                .filter(|it| it.frozen_until <= now && it.course == Course::Working)
                .collect();
            let place = hub.dice.place(awake.len());
            match awake.into_iter().nth(place) {
                Some(process) => process.deliver(mail),
                None => lock(&hub.meta).post_again(now + Duration::from_secs(1), mail),
            }
        }
    }

    /// Starts processes for those that are gone.
    fn staff(&mut self) {
        let hub = Arc::clone(&self.hub);
        if self.processes.len() >= hub.plan.processes {
            return;
        }
        if self.restart_at > hub.now() {
            return;
        }
        self.started += 1;
        self.processes.push(Process::start(self.started, &hub, &self.store, &self.disk));
        // The next one comes a little later.
        self.restart_at = hub.now() + hub.dice.millis(300);
    }

    /// Kills a process; another one is started in its place after a while.
    pub(super) fn kill(&mut self, place: usize) {
        self.processes.remove(place).die();
        self.restart_at = self.hub.now() + self.hub.dice.millis(3_000);
    }

    pub(super) fn kill_all(&mut self) {
        while !self.processes.is_empty() {
            self.kill(0);
        }
    }
}
