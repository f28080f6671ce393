//! Everything against everything on few tenants: nobody waits for somebody who waits for him.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use wa_core::model::{
    AttemptKey, Breaker, BreakerReason, BreakerScope, CampaignAction, CampaignId, Consent, ConsentSource,
    ContactId, Fact, Fingerprint, ImportId, ImportLine, ImportRow, Outcome, Phone, Recipient, RejectClass,
    Session, SessionId, SkipReason, StatusUpdate, StreamPosition, TenantSettings, Tier,
};
use wa_core::port::store::{
    AttemptFact, Begun, FailureFilter, ImportChunk, ProjectedEvent, Redrive, RedriveOf, StartImport, Store,
    StoreError,
};
use wa_core::testing::{SeededEntropy, scope};
use wa_storage::TestDatabase;

use super::figure;
use super::tenancy::{message, status, wrote};
use super::world::{World, batch, fresh, holding, number, recount, settings, watcher};
use crate::world::{accepted, admin, failure, worker_id};

const TENANTS: usize = 2;
const PEOPLE: u64 = 40;
const LEASE: Duration = Duration::from_millis(400);
/// How long a slow machine may take longer.
const PATIENCE: Duration = Duration::from_secs(40);
const DEADLOCKS: &str = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";

/// One tenant with all that is called on it.
struct Field {
    world: World,
    sessions: Vec<Session>,
    /// The numbers of all tenants: workers and webhooks know no tenants.
    numbers: Vec<Session>,
    campaigns: Vec<CampaignId>,
    contacts: Vec<ContactId>,
    until: Instant,
    calls: AtomicU64,
    begun: AtomicU64,
    takeovers: AtomicU64,
}

/// What a caller rolls.
struct Dice(SeededEntropy);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        self.0.next() % sides
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.roll(from.len().try_into().expect("few"))).expect("few")]
    }

    fn phone(&self) -> Phone {
        Phone::try_from(4_915_300_000_000 + self.roll(PEOPLE)).expect("a phone")
    }
}

fn name(key: AttemptKey) -> String {
    format!("wamid.{}.{}", key.message, key.n)
}

impl Field {
    async fn new(database: &TestDatabase, place: usize, until: Instant) -> Self {
        let options = database.options().connections(12);
        let world = World::open(options, &format!("tenant {place}")).await;
        world.put(&settings(None)).await;
        let mut sessions = Vec::new();
        for number in 0..2 {
            // All numbers of all tenants share one portfolio.
            let session = world.session(&format!("{place}{number}"), "shared").await;
            world.tier(session.id, Tier::Limited(100_000)).await;
            sessions.push(session);
        }
        let mut contacts = Vec::new();
        for n in 0..PEOPLE {
            let phone = Phone::try_from(4_915_300_000_000 + n).expect("a phone");
            contacts.push(world.contact("all", phone).await);
        }
        let ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
        let mut campaigns = Vec::new();
        for number in 0..4 {
            campaigns.push(world.launch(&format!("campaign {number}"), "all", &ids).await.id);
        }
        let (calls, begun, takeovers) = Default::default();
        Self { world, sessions, numbers: Vec::new(), campaigns, contacts, until, calls, begun, takeovers }
    }

    /// Counts a call, which must be answered.
    async fn call<T>(&self, what: &str, call: impl Future<Output = Result<T, StoreError>>) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match call.await {
            Ok(answer) => answer,
            Err(error) => panic!("{what}: {:?}: {error:?}", error.kind()),
        }
    }

    /// Until the time is over, and on a slow machine until enough has happened.
    fn goes_on(&self) -> bool {
        let is_enough =
            self.begun.load(Ordering::Relaxed) >= 30 && self.takeovers.load(Ordering::Relaxed) >= 2;
        let left = self.until.saturating_duration_since(Instant::now());
        !left.is_zero() || (!is_enough && Instant::now() < self.until + PATIENCE)
    }

    fn session(&self, dice: &Dice) -> &Session {
        dice.pick(&self.sessions)
    }

    /// A worker that takes over what is free, begins, settles, sweeps, and is often too slow for its lease.
    async fn work(self: Arc<Self>, worker: u128) {
        let dice = Dice(SeededEntropy::new(u64::try_from(worker).expect("few")));
        let (world, outbox) = (&self.world, self.world.store.outbox());
        let own = scope::admin(worker_id(worker));
        while self.goes_on() {
            let ask =
                wa_core::port::store::AcquireSessions { worker: worker_id(worker), lease: LEASE, most: 3 };
            let leases = self.call("acquire", world.store.numbers().acquire(&own, &ask)).await;
            let taken_over = leases.iter().filter(|it| it.epoch > 1).count();
            self.takeovers.fetch_add(taken_over.try_into().expect("few"), Ordering::Relaxed);
            let holding = holding(worker, &leases);
            let mut left = leases.is_empty();
            if left {
                tokio::time::sleep(LEASE / 5).await;
            }
            while !left && self.goes_on() {
                for lease in &leases {
                    self.send(&dice, &holding, lease.session.id).await;
                }
                self.call("sweep", outbox.sweep(&holding, Duration::ZERO)).await;
                self.call("listen", outbox.listen(&holding, 10)).await;
                left = match dice.roll(4) {
                    0 => true,
                    _ => self
                        .call("heartbeat", world.store.numbers().heartbeat(&holding, LEASE))
                        .await
                        .is_empty(),
                };
            }
            if dice.roll(2) == 0 {
                for lease in &leases {
                    let state = Default::default();
                    let release = world.store.numbers().release(&holding, lease.session.id, &state);
                    self.call("release", release).await;
                }
            }
        }
    }

    async fn send(&self, dice: &Dice, worker: &wa_core::port::WorkerScope, session: SessionId) {
        let (world, outbox) = (&self.world, self.world.store.outbox());
        let due = world.due(worker, session, 6).await;
        let mut batch = batch(session, &due);
        // Requests end at once, so that sweeps find some.
        batch.timeout = Duration::ZERO;
        batch.start_within = Duration::from_millis(1);
        let Begun::Done(begun) = self.call("begin", world.try_begin(worker, &batch)).await else { return };
        self.begun.fetch_add(begun.attempts.len().try_into().expect("few"), Ordering::Relaxed);
        if dice.roll(10) == 0 {
            self.call("abandon", outbox.abandon(worker, batch.id)).await;
            return;
        }
        let mut facts = Vec::new();
        for attempt in &begun.attempts {
            let outcome = match dice.roll(8) {
                0 => Outcome::NotSent,
                1 => Outcome::Ambiguous,
                2 => Outcome::Rejected(failure(131_000, RejectClass::Retry)),
                3 => Outcome::Rejected(failure(131_026, RejectClass::Recipient)),
                4 if dice.roll(6) == 0 => Outcome::Rejected(failure(131_050, RejectClass::OptedOut)),
                5 => continue,
                _ => accepted(&name(attempt.key)),
            };
            facts.push(AttemptFact { attempt: attempt.key, at: world.now(), outcome, retry_after: None });
        }
        // Statuses overtake the answer.
        let heard: Vec<_> = begun.attempts.iter().filter(|_| dice.roll(2) == 0).map(|it| it.key).collect();
        if dice.roll(2) == 0 {
            self.statuses(dice, session, &heard).await;
            self.call("settle", outbox.settle(&facts)).await;
        } else {
            self.call("settle", outbox.settle(&facts)).await;
            self.statuses(dice, session, &heard).await;
        }
    }

    async fn statuses(&self, dice: &Dice, session: SessionId, of: &[AttemptKey]) {
        let session = self.numbers.iter().find(|it| it.id == session).expect("it is known");
        let mut events = Vec::new();
        for key in of {
            let fact = *dice.pick(&[Fact::Sent, Fact::Delivered, Fact::Read]);
            events.push(match dice.roll(2) {
                0 => status(session, &name(*key), fact, &self.world),
                _ => ProjectedEvent::Status {
                    attempt: Some(*key),
                    batch: None,
                    update: StatusUpdate::new(session.number.clone(), name(*key), fact, self.world.now()),
                },
            });
        }
        self.calls.fetch_add(2, Ordering::Relaxed);
        self.world.hear(events).await;
    }

    /// Users write, stop, and come back; bodies hold several numbers of several people.
    async fn hear(self: Arc<Self>, seed: u64) {
        let dice = Dice(SeededEntropy::new(seed));
        while self.goes_on() {
            let mut events = Vec::new();
            for _ in 0..1 + dice.roll(4) {
                let consent = *dice.pick(&[None, None, Some(Consent::OptedOut), Some(Consent::Allowed)]);
                let session = dice.pick(&self.numbers);
                events.push(message(wrote(session, dice.phone(), &self.world), consent));
            }
            self.calls.fetch_add(2, Ordering::Relaxed);
            self.world.hear(events).await;
        }
    }

    /// What a person at a desk does.
    async fn operate(self: Arc<Self>, seed: u64) {
        let dice = Dice(SeededEntropy::new(seed));
        let (world, scope, store) = (&self.world, self.world.scope(), &self.world.store);
        while self.goes_on() {
            let session = self.session(&dice).id;
            match dice.roll(13) {
                0 | 1 => {
                    let action =
                        *dice.pick(&[CampaignAction::Pause, CampaignAction::Resume, CampaignAction::Resume]);
                    self.call("act", store.audience().act(&scope, *dice.pick(&self.campaigns), action)).await;
                }
                2 | 3 => {
                    let consent = *dice.pick(&[Consent::OptedOut, Consent::Allowed, Consent::OptedIn]);
                    let contact = *dice.pick(&self.contacts);
                    let set = store.audience().set_consent(&scope, contact, consent, ConsentSource::Caller);
                    self.call("set_consent", set).await;
                }
                4 => {
                    let budget = (dice.roll(2) == 0).then_some(100_000_000);
                    let paused = dice.roll(6) == 0;
                    let settings = TenantSettings { paused, ..settings(budget) };
                    self.call("put_settings", store.directory().put_settings(&scope, &settings)).await;
                }
                5 => {
                    let of = if dice.roll(2) == 0 {
                        RedriveOf::Failed(FailureFilter::default())
                    } else {
                        RedriveOf::Skipped { reason: SkipReason::OptedOut, campaign: None }
                    };
                    let redrive = Redrive { of, after: None, limit: 20 };
                    self.call("redrive", store.outbox().redrive(&scope, &redrive)).await;
                }
                6 => {
                    let breaker = Breaker {
                        scope: BreakerScope::Session(session),
                        reason: BreakerReason::Spam,
                        code: 131_048,
                        until: None,
                        since: world.now(),
                    };
                    self.call("open_breaker", store.numbers().open_breaker(&scope, &breaker)).await;
                    self.call("reset_breaker", store.numbers().reset_breaker(&scope, &breaker.scope)).await;
                }
                7..=9 => {
                    for _ in 0..3 {
                        let single = world.message(session, dice.phone());
                        self.call("enqueue", store.outbox().enqueue(&scope, &single)).await;
                    }
                    let single = world.message(session, dice.phone());
                    self.call("enqueue", store.outbox().enqueue(&scope, &single)).await;
                    if dice.roll(2) == 0 {
                        self.call("cancel", store.outbox().cancel(&scope, single.id)).await;
                    }
                }
                10 => {
                    let who = [Recipient::from(dice.phone())];
                    self.call("suppress", store.audience().suppress(&scope, &who)).await;
                    self.call("unsuppress", store.audience().unsuppress(&scope, &who)).await;
                }
                11 => {
                    let campaign = *dice.pick(&self.campaigns);
                    self.call("counts", store.reports().counts(&scope, campaign)).await;
                    self.call("advance", store.audience().advance(&admin())).await;
                }
                _ => {
                    self.call("read", store.journal().read(&admin(), StreamPosition(0), 50)).await;
                    world.tier(session, Tier::Limited(100_000)).await;
                }
            }
        }
    }

    /// Files that bring people who are there already, and new ones.
    async fn import(self: Arc<Self>, seed: u64) {
        let dice = Dice(SeededEntropy::new(seed));
        let (scope, audience) = (self.world.scope(), self.world.store.audience());
        while self.goes_on() {
            let list = "all".parse().expect("a name");
            let source = Fingerprint::of(fresh().as_bytes());
            let start = StartImport { id: ImportId::from_uuid(fresh()), list, source };
            let import = self.call("start_import", audience.start_import(&scope, &start)).await;
            let import = import.expect("the tenant is there").id;
            for chunk in 0..3_u64 {
                let rows = (0..5).map(|n| {
                    let line = ImportLine {
                        contact: ContactId::from_uuid(fresh()),
                        phone: dice.phone(),
                        attributes: [("name".to_owned(), "Ada".to_owned())].into(),
                        opted_out: dice.roll(9) == 0,
                    };
                    ImportRow { line: chunk * 5 + n + 2, content: Ok(line) }
                });
                let (rows, last) = (rows.collect(), chunk == 2);
                let chunk = ImportChunk { import, from_record: chunk * 5, rows, last };
                self.call("import", audience.import(&scope, &chunk)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_all_that_happens_at_once_ends_in_a_deadlock() {
    let seconds: u64 = figure("WA_DEADLOCK_SECONDS", 2);
    let database = TestDatabase::create().await;
    let mut watcher = watcher(&database).await;
    let before = number(&mut watcher, DEADLOCKS).await;
    let mut fields = Vec::new();
    for place in 0..TENANTS {
        fields.push(Field::new(&database, place, Instant::now()).await);
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let numbers: Vec<_> = fields.iter().flat_map(|field| field.sessions.clone()).collect();
    let at_work = |field| Arc::new(Field { until, numbers: numbers.clone(), ..field });
    let fields: Vec<_> = fields.into_iter().map(at_work).collect();
    let mut all = JoinSet::new();
    for (place, field) in (0_u64..).zip(&fields) {
        let seed = 1_000 * (place + 1);
        // Each tenant's handle begins for sessions of both tenants, as workers do.
        for worker in 0..2 {
            all.spawn(Arc::clone(field).work(u128::from(seed + worker)));
        }
        for caller in 0..2 {
            all.spawn(Arc::clone(field).operate(seed + 10 + caller));
        }
        for caller in 0..2 {
            all.spawn(Arc::clone(field).hear(seed + 20 + caller));
        }
        all.spawn(Arc::clone(field).import(seed + 30));
    }
    let tasks = all.len();
    all.join_all().await;

    recount(&mut watcher).await;
    for field in &fields {
        for campaign in &field.campaigns {
            field.world.counts(*campaign).await;
        }
    }
    let sum = |of: fn(&Field) -> &AtomicU64| -> u64 {
        fields.iter().map(|field| of(field).load(Ordering::Relaxed)).sum()
    };
    let (calls, begun, takeovers) = (sum(|it| &it.calls), sum(|it| &it.begun), sum(|it| &it.takeovers));
    // A connection that ends has said all that it knows.
    for field in &fields {
        field.world.store.close().await;
    }
    while number(
        &mut watcher,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND backend_type = 'client backend'",
    )
    .await
        > 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let deadlocks = number(&mut watcher, DEADLOCKS).await - before;
    assert_eq!(deadlocks, 0);
    assert!(
        begun > 50 && takeovers > 0,
        "{begun} begun and {takeovers} takeovers are too few to prove anything"
    );
    println!(
        "deadlocks: {deadlocks} in {seconds} s, {calls} calls by {tasks} tasks on {TENANTS} tenants, {begun} \
         attempts begun, {takeovers} takeovers; every count equals a recount"
    );
}
