//! Limits that belong to a number, whoever sends: its throughput, and its rate to one person. Many processes share
//! the numbers, most of them are killed, and the simulator counts what arrives.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wa_kit::cloud::{CloudConfig, CloudTransport};
use wa_kit::model::{Category, Content, Phone, SessionId, TemplateContent};
use wa_kit::postgres::{PostgresOptions, PostgresStore, TestDatabase};
use wa_kit::rules::pair;
use wa_kit::service::{EngineConfig, Kit, Message, Number, TenantHandle};
use wa_kit::simulator::{NumberProfile, Simulator, TemplateCategory, TemplateStatus};

use crate::figure;

const URL: &str = "WA_LIMITS_URL";
const ORIGIN: &str = "WA_LIMITS_ORIGIN";
const PLACE: &str = "WA_LIMITS_PLACE";
const SENDER: &str = "limits::a_sender_sends_what_the_limits_leave";
const PROCESSES: u64 = 4;
const TASKS: u64 = 8;
const NUMBERS: [&str; 2] = ["101", "102"];
/// What each number may send in a second.
const RATE: u32 = 80;
/// How many messages of each task are for one person.
const TALK: u64 = 2;
const LEASE: Duration = Duration::from_secs(2);
/// How long a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// The one person whom everybody writes to.
const PERSON: &str = "4915119999999";

fn person() -> Phone {
    Phone::parse(&format!("+{PERSON}"), None).expect("a phone")
}

/// A line of its own, also behind what the harness has begun to say.
fn say(line: &str) {
    writeln!(std::io::stdout(), "\n{line}").expect("somebody reads");
}

async fn kit(url: &str, origin: &str) -> (Kit, TenantHandle) {
    let store = PostgresStore::connect(PostgresOptions::new(url).connections(6)).await.expect("a store");
    let config = CloudConfig::builder()
        .graph_url(origin)
        .access_token("token")
        .app_secret("secret")
        .verify_token("verify")
        .build()
        .expect("a configuration");
    let transport = CloudTransport::new(&config).expect("a transport");
    let engine = EngineConfig {
        request_timeout: Duration::from_secs(2),
        start_within: Duration::from_secs(2),
        lease: LEASE,
        heartbeat: LEASE / 4,
        grace: Duration::from_millis(500),
        ..EngineConfig::default()
    };
    let kit = Kit::builder(Arc::new(store)).transport("cloud", Arc::new(transport)).engine(engine);
    let kit = kit.build().await.expect("a kit");
    let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
    (kit, tenant)
}

async fn sessions(tenant: &TenantHandle) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for number in NUMBERS {
        sessions.push(tenant.sessions().add(&Number::cloud(number)).await.expect("a session").id);
    }
    sessions
}

/// Alone it does nothing; started by the test below it is one of the processes that send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_sends_what_the_limits_leave() {
    let Ok(url) = std::env::var(URL) else { return };
    let given = |name| std::env::var(name).expect("it is given");
    let place: u64 = given(PLACE).parse().expect("a place");
    let (kit, tenant) = kit(&url, &given(ORIGIN)).await;
    let sessions = sessions(&tenant).await;
    say("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the start");
    let each: u64 = line.trim().parse().expect("how many");
    let mut sending = JoinSet::new();
    for task in 0..TASKS {
        let (tenant, sessions) = (tenant.clone(), sessions.clone());
        let first = (place * TASKS + task) * each;
        sending.spawn(async move {
            let body = [String::from("Thursday")];
            let content = TemplateContent::with_body(
                "receipt".parse().expect("a name"),
                "en".parse().expect("a language"),
                Category::Utility,
                body,
            );
            let content = Content::Template(content.expect("a template"));
            let one =
                |session, phone: Phone| tenant.messages().send(Message::new(session, phone, content.clone()));
            for _ in 0..TALK {
                one(sessions[0], person()).await.expect("it is taken in");
            }
            for n in first..first + each {
                let phone = Phone::parse(&format!("+4915112{n:06}"), None).expect("a phone");
                let session = sessions[usize::try_from(n).expect("few") % sessions.len()];
                one(session, phone).await.expect("it is taken in");
            }
        });
    }
    sending.join_all().await;
    say("queued");
    std::io::stdin().read_line(&mut line).expect("the word to send");
    let running = kit.start();
    // Until the test closes this pipe, or is gone.
    std::io::stdin().read_line(&mut line).expect("the end");
    running.stop(Duration::from_secs(5)).await;
}

struct Sender {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Sender {
    fn start(url: &str, origin: &str, place: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([SENDER, "--exact", "--nocapture"])
            .env(URL, url)
            .env(ORIGIN, origin)
            .env(PLACE, place.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, lines }
    }

    fn wait_for(&mut self, line: &str) {
        let mut said = String::new();
        while said.trim() != line {
            said.clear();
            assert!(self.lines.read_line(&mut said).expect("a line") > 0, "it ended before {line:?}");
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("its input"), "{line}").expect("it listens");
    }
}

/// When the messages to the one person arrived, in order.
fn arrivals(simulator: &Simulator) -> Vec<DateTime<Utc>> {
    let own = simulator.accepted().into_iter().filter(|it| it.recipient == PERSON);
    let mut at: Vec<_> = own.map(|it| it.at).collect();
    at.sort();
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_and_pair_rate_are_reached_and_never_passed_by_many_processes() {
    let seconds = figure("WA_LIMITS_SECONDS", 12);
    let database = TestDatabase::create().await;
    let mut simulator = Simulator::builder().token("token").template(
        "receipt",
        "en",
        TemplateCategory::Utility,
        TemplateStatus::Approved,
        1,
    );
    for number in NUMBERS {
        simulator = simulator.number(number, NumberProfile { throughput: RATE, ..NumberProfile::default() });
    }
    let simulator = simulator.start().await.expect("a simulator");
    let (_kit, tenant) = kit(database.url(), &simulator.origin()).await;
    let mut settings = tenant.settings().await.expect("settings");
    settings.template_cooldown = None;
    tenant.put_settings(&settings).await.expect("settings");
    sessions(&tenant).await;

    let each = u64::from(RATE) * seconds * NUMBERS.len() as u64 / (PROCESSES * TASKS);
    let mut senders: Vec<_> =
        (0..PROCESSES).map(|place| Sender::start(database.url(), &simulator.origin(), place)).collect();
    for sender in &mut senders {
        sender.wait_for("ready");
    }
    for sender in &mut senders {
        sender.tell(&each.to_string());
    }
    let all = PROCESSES * TASKS * (each + TALK);
    for sender in &mut senders {
        sender.wait_for("queued");
    }
    for sender in &mut senders {
        sender.tell("go");
    }
    let started = Instant::now();
    // All but the last die one after the other, among them whoever had a number; another takes it.
    for (sender, killed) in senders.iter_mut().zip(1..PROCESSES) {
        while simulator.stats().accepted * PROCESSES < all * killed {
            assert!(started.elapsed() < PATIENCE, "{:?}", simulator.stats());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        sender.child.kill().expect("killed");
        sender.child.wait().expect("ended");
    }

    // The rest is done when the one person alone is still written to.
    let rest = all - PROCESSES * TASKS * TALK;
    let (mut most, mut grown) = (0, Instant::now());
    loop {
        let talk = arrivals(&simulator).len() as u64;
        let others = simulator.stats().accepted - talk;
        if others > most {
            (most, grown) = (others, Instant::now());
        }
        // What those that died had begun is in doubt, and is not sent again.
        let is_done =
            others == rest || (others + 64 * (PROCESSES - 1) >= rest && grown.elapsed() > 3 * LEASE);
        if is_done && talk > pair::BURST {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{others} of {rest}, and {talk}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let last = &mut senders.pop().expect("the last one").child;
    drop(last.stdin.take());
    assert!(last.wait().expect("its end").success());

    let stats = simulator.stats();
    for number in NUMBERS {
        let pace = simulator.pace(number).expect("a number");
        let mean = pace.mean_per_1000_seconds / 1_000;
        say(&format!(
            "number {number}: busiest second {} of {RATE}, {mean} a second while busy",
            pace.busiest_second
        ));
        // Reached to the last where the machine keeps up; one that is busy with others may not.
        assert!(pace.busiest_second * 4 >= u64::from(RATE) * 3, "it is not used: {pace:?}");
    }
    let talk = arrivals(&simulator);
    let first = talk[0];
    let late = talk.iter().zip(1_i64..).map(|(at, nth)| {
        // In six seconds one, after a burst.
        let beyond = (nth - i64::try_from(pair::BURST).expect("few")).max(0);
        *at - (first + TimeDelta::seconds(6 * beyond))
    });
    let (least, latest) = (late.clone().min().expect("some"), late.last().expect("some"));
    say(&format!(
        "throughput: passed by {} of {}; pair: {} in {} ms, passed by {}, the nearest {} ms after its time, the last {} ms; \
         {} tasks in {PROCESSES} processes on {} numbers, {} killed",
        stats.throughput_violations,
        stats.accepted,
        talk.len(),
        (talk[talk.len() - 1] - first).num_milliseconds(),
        stats.pair_violations,
        least.num_milliseconds(),
        latest.num_milliseconds(),
        PROCESSES * TASKS,
        NUMBERS.len(),
        PROCESSES - 1,
    ));
    assert_eq!((stats.throughput_violations, stats.pair_violations), (0, 0));
    assert_eq!((stats.repeated_tags, stats.refused.len()), (0, 0), "{stats:?}");
}
