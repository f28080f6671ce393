//! Limits that many processes share: each is reached exactly, and nobody passes it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;
use wa_core::model::{HoldReason, SessionId, TenantId, Tier};
use wa_core::port::WorkerScope;
use wa_core::port::store::Begun;
use wa_core::testing::{SeededEntropy, scope};
use wa_storage::{PostgresOptions, PostgresStore, TestDatabase};

use super::figure;
use super::world::{PRICE, World, batch, fresh_phone, number, recount, settings, watcher};
use crate::world::worker_id;

const URL: &str = "WA_RACE_URL";
const TENANT: &str = "WA_RACE_TENANT";
const SESSIONS: &str = "WA_RACE_SESSIONS";
const RACER: &str = "postgres::races::a_racer_begins_what_the_limits_leave";
const PROCESSES: usize = 4;
const TASKS: u64 = 8;
const NUMBERS: usize = 8;

/// What runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Quota,
    Tier,
    Budget,
}

impl Limit {
    const fn full(self) -> HoldReason {
        match self {
            Self::Quota => HoldReason::QuotaFull,
            Self::Tier => HoldReason::TierFull,
            Self::Budget => HoldReason::BudgetSpent,
        }
    }
}

/// A line of its own, also behind what the harness has begun to say.
fn say(line: &str) {
    writeln!(std::io::stdout(), "\n{line}").expect("somebody reads");
}

/// Begins for one session until a limit leaves nothing, and says what was begun.
async fn race(
    world: World,
    worker: WorkerScope,
    session: SessionId,
    seed: u64,
) -> (u32, BTreeSet<&'static str>) {
    let dice = SeededEntropy::new(seed);
    let (mut refusals, mut lost, mut why) = (0, 0, BTreeSet::new());
    while refusals < 3 {
        let due = world.due(&worker, session, 40).await;
        let take = usize::try_from(1 + dice.next() % 5).expect("few");
        let from = usize::try_from(dice.next()).unwrap_or(0) % due.len().max(1);
        let some: Vec<_> = due.into_iter().skip(from).take(take).collect();
        if some.is_empty() {
            break;
        }
        let begun = world.try_begin(&worker, &batch(session, &some)).await.expect("an answer");
        let Begun::Done(begun) = begun else { panic!("{begun:?}") };
        for attempt in &begun.attempts {
            say(&format!("begun {} {}", attempt.key.message, attempt.key.n));
        }
        lost += u32::from(!begun.gone.is_empty());
        // What finds no room waits in its row, or stops where it is.
        let refused = begun.waits.iter().map(|it| it.1).chain(begun.stopped.iter().map(|it| it.why));
        let refused: Vec<_> = refused.map(HoldReason::as_str).collect();
        refusals += u32::from(begun.attempts.is_empty() && !refused.is_empty());
        why.extend(refused);
    }
    (lost, why)
}

/// Alone it does nothing; started by the test below it is one of the processes that race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_racer_begins_what_the_limits_leave() {
    let Ok(url) = std::env::var(URL) else { return };
    let given = |name| std::env::var(name).expect("it is given");
    let tenant: Uuid = given(TENANT).parse().expect("an id");
    let sessions: Vec<(SessionId, u64)> = given(SESSIONS)
        .split(',')
        .map(|it| {
            let (session, epoch) = it.split_once(':').expect("a session with its epoch");
            (SessionId::from_uuid(session.parse().expect("an id")), epoch.parse().expect("an epoch"))
        })
        .collect();
    let store = PostgresStore::connect(PostgresOptions::new(url).connections(8)).await.expect("a store");
    let world = World::of(Arc::new(store), TenantId::from_uuid(tenant));
    let worker = scope::worker(worker_id(1), sessions.iter().copied());
    say("ready");
    std::io::stdin().read_line(&mut String::new()).expect("the start");
    let mut racing = JoinSet::new();
    for task in 0..TASKS {
        // Each number is everybody's: nobody is kept apart by its lease alone.
        let (session, _) = sessions[usize::try_from(task).expect("few") % sessions.len()];
        let seed = u64::from(std::process::id()) * 100 + task;
        racing.spawn(race(world.clone(), worker.clone(), session, seed));
    }
    for (lost, why) in racing.join_all().await {
        for why in why {
            say(&format!("stopped {why}"));
        }
        say(&format!("lost {lost}"));
    }
}

fn start(world: &World, url: &str, sessions: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut racer = Command::new(std::env::current_exe().expect("this test"))
        .args([RACER, "--exact", "--nocapture"])
        .env(URL, url)
        .env(TENANT, world.tenant.as_uuid().to_string())
        .env(SESSIONS, sessions)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(racer.stdout.take().expect("its output"));
    (racer, lines)
}

/// Reads until a line, or to the end.
fn hear(lines: &mut impl BufRead, until: Option<&str>) -> Vec<String> {
    let (mut heard, mut line) = (Vec::new(), String::new());
    while lines.read_line(&mut line).expect("a line") > 0 {
        let said = line.trim().to_owned();
        line.clear();
        if until == Some(said.as_str()) {
            break;
        }
        heard.push(said);
    }
    heard
}

async fn check(limit: Limit) {
    let size: u64 = figure("WA_RACES", 80);
    let database = TestDatabase::create().await;
    let world = World::new(&database).await;
    let most = i64::try_from(size).expect("few");
    match limit {
        Limit::Quota => world.quota(size).await,
        // Half a message is left, for which there is no room.
        Limit::Budget => world.put(&settings(Some(most * PRICE + PRICE / 2))).await,
        Limit::Tier => {}
    }
    let mut sessions = Vec::new();
    for place in 0..NUMBERS {
        let session = world.session(&place.to_string(), "one portfolio").await.id;
        if limit == Limit::Tier {
            world.tier(session, Tier::Limited(size.try_into().expect("few"))).await;
        }
        for _ in 0..size.div_ceil(4) {
            world.enqueue(session, fresh_phone()).await;
        }
        sessions.push(session);
    }
    let leases = world.acquire(1, super::world::FOR_LONG).await;
    assert_eq!(leases.len(), NUMBERS);
    let named: Vec<_> = leases.iter().map(|it| format!("{}:{}", it.session.id.as_uuid(), it.epoch)).collect();
    let mut racers: Vec<_> =
        (0..PROCESSES).map(|_| start(&world, database.url(), &named.join(","))).collect();
    for (_, lines) in &mut racers {
        hear(lines, Some("ready"));
    }
    for (racer, _) in &mut racers {
        racer.stdin.take().expect("its input").write_all(b"go\n").expect("it listens");
    }
    let (mut begun, mut told, mut lost, mut stopped) = (BTreeSet::new(), 0, 0, BTreeSet::new());
    for (mut racer, mut lines) in racers {
        for line in hear(&mut lines, None) {
            match line.split_once(' ') {
                Some(("begun", attempt)) => {
                    told += 1;
                    begun.insert(attempt.to_owned());
                }
                Some(("lost", times)) => lost += times.parse::<u64>().expect("a number"),
                Some(("stopped", why)) => _ = stopped.insert(why.to_owned()),
                _ => {}
            }
        }
        assert!(racer.wait().expect("its end").success());
    }
    assert_eq!(begun.len(), told, "each message is begun once");
    assert_eq!(stopped, BTreeSet::from([limit.full().as_str().to_owned()]));
    let taken = u64::try_from(told).expect("few");
    assert_eq!(taken, size, "{limit:?} is reached exactly and passed by 0");
    let mut watcher = watcher(&database).await;
    assert_eq!(
        number(&mut watcher, "SELECT count(*) FROM attempt").await,
        most,
        "and what was told is there"
    );
    let at_limit = match limit {
        Limit::Quota => "SELECT used FROM quota_usage",
        Limit::Tier => "SELECT used FROM tier_usage",
        Limit::Budget => "SELECT committed / 1000 FROM budget_use WHERE of = ''",
    };
    assert_eq!(number(&mut watcher, at_limit).await, most);
    recount(&mut watcher).await;
    say(&format!(
        "race for the {limit:?}: taken {taken}, limit {size}, passed by {}; {} tasks in {PROCESSES} processes on \
         {NUMBERS} numbers, {lost} batches found a message taken by another",
        taken.saturating_sub(size),
        u64::try_from(PROCESSES).expect("few") * TASKS,
    ));
}

#[tokio::test]
async fn the_plans_quota_is_reached_exactly_by_many_processes() {
    check(Limit::Quota).await;
}

#[tokio::test]
async fn the_messaging_tier_is_reached_exactly_by_many_processes() {
    check(Limit::Tier).await;
}

#[tokio::test]
async fn a_budget_is_reached_exactly_by_many_processes() {
    check(Limit::Budget).await;
}
