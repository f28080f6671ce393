//! Starts everything, kills and stops workers, lets everything heal, and draws the balance.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use wa_kit::cloud::CloudTransport;
use wa_kit::model::{
    CampaignId, CampaignName, ContactAttributes, InDoubtPolicy, ListName, Session, SessionReport, Throughput,
};
use wa_kit::postgres::{Disk, TestCluster, TestDatabase};
use wa_kit::prelude::*;

use crate::balance::{Balance, accepted};
use crate::place::{Counting, Place};
use crate::points::Point;
use crate::witness::Starts;
use crate::worker::{LEASE, config};
use crate::{Anyhow, Test, free_address, number};

/// How long nothing may get better while everything heals. A worker that may have one message open waits
/// for each lost answer.
const HEALING: Duration = Duration::from_secs(120);

/// What the processes work on.
struct Ground {
    place: Place,
    counting: Counting,
    cluster: Option<TestCluster>,
    _database: Option<TestDatabase>,
}

impl Ground {
    async fn of(test: &Test, folder: &Path) -> Result<Self, Anyhow> {
        match test.store.as_str() {
            "sqlite" => {
                let path = folder.join("wa.sqlite");
                let place = Place::Sqlite(path.clone());
                Ok(Self { place, counting: Counting::Sqlite(path), cluster: None, _database: None })
            }
            "postgres" if test.server_kills > 0 => {
                let cluster = TestCluster::start(Disk::Synced);
                let (url, admin) = cluster.database("crash").await;
                let (place, counting) = (Place::Postgres(url), Counting::Postgres(admin));
                Ok(Self { place, counting, cluster: Some(cluster), _database: None })
            }
            "postgres" => {
                let database = TestDatabase::create().await;
                let place = Place::Postgres(database.url().to_owned());
                let counting = Counting::Postgres(database.admin_url());
                Ok(Self { place, counting, cluster: None, _database: Some(database) })
            }
            other => Err(format!("--store {other:?} is neither sqlite nor postgres").into()),
        }
    }
}

pub(crate) async fn run(test: &Test) -> Result<bool, Anyhow> {
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let ground = Ground::of(test, folder.path()).await?;
    let workers = usize::from(test.workers.max(1));
    let numbers = test.workers.max(1) * 2;
    let mut scene = Scene::open(test, &ground, folder.path(), numbers).await?;
    let mut running = Vec::new();
    for slot in 0..workers {
        running.push(scene.start(slot, None)?);
    }
    let mut balance = Balance::default();
    let mut dice = StdRng::seed_from_u64(test.seed);
    let mut events: Vec<Event> = Vec::new();
    events.extend(
        (0..test.kills).map(|n| if n % 2 == 0 { Event::KillAt(point_of(n / 2)) } else { Event::Kill }),
    );
    let (kills, stops, servers) = (events.len().max(1), test.stops, test.server_kills);
    for n in 0..stops {
        events.insert(place_of(n, stops, kills), Event::Stop);
    }
    for n in 0..servers {
        events.insert(place_of(n, servers, kills), Event::KillServer);
    }
    for event in events {
        scene.go_on(test).await?;
        let slot = dice.random_range(0..workers);
        tokio::time::sleep(Duration::from_millis(dice.random_range(30..250))).await;
        let worker = running.get_mut(slot).ok_or("there is a worker for each slot")?;
        match event {
            Event::Kill => {
                worker.start_kill()?;
                worker.wait().await?;
                balance.kills += 1;
            }
            Event::KillAt(point) => {
                worker.start_kill()?;
                worker.wait().await?;
                *worker = scene.start(slot, Some((point, dice.random_range(0..4))))?;
                // To wait for a process closes its pipe, which would ask this one to end.
                let pipe = worker.stdin.take();
                let ended = tokio::time::timeout(Duration::from_secs(15), worker.wait()).await;
                drop(pipe);
                match ended {
                    Ok(Ok(status)) if died_of_abort(status) => {
                        *balance.points.entry(point).or_default() += 1;
                    }
                    Ok(ended) => return Err(format!("a worker ended by itself: {ended:?}").into()),
                    Err(_) => {
                        worker.start_kill()?;
                        worker.wait().await?;
                    }
                }
                balance.kills += 1;
            }
            Event::Stop => {
                signal(worker, "-STOP").await?;
                tokio::time::sleep(LEASE * 2).await;
                signal(worker, "-CONT").await?;
                balance.stops += 1;
                continue;
            }
            Event::KillServer => {
                // Only a server that answers is worth a kill.
                ground.counting.most_open().await?;
                let killed = ground.cluster.as_ref().is_some_and(TestCluster::kill_server);
                balance.server_kills += u32::from(killed);
                continue;
            }
        }
        let open = ground.counting.most_open().await?;
        balance.max_in_doubt_after_one_kill = balance.max_in_doubt_after_one_kill.max(open);
        *worker = scene.start(slot, None)?;
    }
    if matches!(
        test.policy,
        InDoubtPolicy::ResendAfterProvenSilence { .. } | InDoubtPolicy::ResendAfter { .. }
    ) {
        // Until the last message in doubt has waited for as long as its policy says.
        tokio::time::sleep(Duration::from_secs(70)).await;
    }
    scene.heal().await?;
    for mut worker in running {
        // Closing its pipe asks a worker to end.
        drop(worker.stdin.take());
        let ended = tokio::time::timeout(Duration::from_secs(20), worker.wait()).await;
        if ended.is_err() {
            worker.start_kill()?;
        }
    }
    let truth = accepted(&scene.log)?;
    balance.starts = Starts::of(&scene.starts)?;
    for campaign in &scene.campaigns {
        balance.compare(&scene.tenant, *campaign, &truth).await?;
    }
    let found = scene.kit.doctor(100).await?;
    balance.violations.extend(found.into_iter().map(|it| format!("{}: {}", it.invariant.as_str(), it.line)));
    if balance.max_in_doubt_after_one_kill > u64::try_from(test.max_in_doubt)? {
        let most = balance.max_in_doubt_after_one_kill;
        balance.violations.push(format!("{most} messages were open when a worker was killed"));
    }
    balance.seconds = started.elapsed().as_secs();
    let shown = if test.json { balance.json().to_string() } else { format!("{balance:#?}") };
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(balance.is_good(matches!(test.policy, InDoubtPolicy::AtMostOnce | InDoubtPolicy::Manual)))
}

/// What happens to a worker, or to the server.
#[derive(Debug, Clone, Copy)]
enum Event {
    Kill,
    KillAt(Point),
    Stop,
    KillServer,
}

fn point_of(n: u32) -> Point {
    let places = u32::try_from(Point::ALL.len()).unwrap_or(u32::MAX);
    let place = usize::try_from(n % places).unwrap_or(0);
    Point::ALL.into_iter().nth(place).unwrap_or(Point::AfterBegin)
}

/// Where the n-th of so many rarer events goes among the kills.
fn place_of(n: u32, of: u32, kills: usize) -> usize {
    let spread = kills * usize::try_from(n).unwrap_or(0) / usize::try_from(of.max(1)).unwrap_or(1);
    spread.min(kills.saturating_sub(1))
}

fn died_of_abort(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const ABORTED: i32 = 6;
    status.signal() == Some(ABORTED)
}

async fn signal(child: &Child, signal: &str) -> Result<(), Anyhow> {
    let id = child.id().ok_or("the worker has ended")?.to_string();
    let done = Command::new("kill").args([signal, &id]).status().await?;
    if done.success() { Ok(()) } else { Err(format!("kill {signal} {id} failed").into()) }
}

/// Everything beside the workers.
struct Scene {
    place: Place,
    graph_url: String,
    slots: Vec<SocketAddr>,
    bound: usize,
    log: PathBuf,
    starts: PathBuf,
    kit: Kit,
    tenant: TenantHandle,
    sessions: Vec<Session>,
    campaigns: Vec<CampaignId>,
    _provider: Child,
}

impl Scene {
    async fn open(test: &Test, ground: &Ground, folder: &Path, numbers: u16) -> Result<Self, Anyhow> {
        let slots = (0..test.workers.max(1)).map(|_| free_address()).collect::<Result<Vec<_>, _>>()?;
        let webhook = forward(slots.clone()).await?;
        let listen = free_address()?;
        let (graph_url, log) = (format!("http://{listen}"), folder.join("provider.jsonl"));
        let provider = myself("provider")?
            .args(["--listen", &listen.to_string(), "--webhook", &webhook, "--log"])
            .arg(&log)
            .args(["--numbers", &numbers.to_string(), "--replies-lost", &test.replies_lost.to_string()])
            .args(["--seed", &test.seed.to_string()])
            .spawn()?;
        // A kit that only asks and plans: it runs no engine.
        let transport = CloudTransport::new(&config(&graph_url)?)?;
        let store = ground.place.open().await?;
        let kit = Kit::builder(store).transport("cloud", Arc::new(transport)).build().await?;
        let tenant = kit.tenants().ensure("crash test").await?;
        let mut settings = tenant.settings().await?;
        settings.template_cooldown = None;
        settings.in_doubt = test.policy;
        tenant.put_settings(&settings).await?;
        let mut sessions = Vec::new();
        for place in 0..numbers {
            let session = tenant.sessions().add(&Number::cloud(number(place))).await?;
            let report =
                SessionReport { throughput: Some(Throughput::try_from(500)?), ..SessionReport::default() };
            sessions.push(tenant.sessions().report(session.id, &report).await?);
        }
        let list = list()?;
        for n in 0..test.audience {
            let phone = Phone::parse(&format!("+4915112{n:06}"), None)?;
            tenant.contacts().upsert(phone.into(), ContactAttributes::new(), Some(list.clone())).await?;
        }
        let mut scene = Self {
            place: ground.place.clone(),
            graph_url,
            slots,
            bound: test.max_in_doubt,
            log,
            starts: folder.join("starts"),
            kit,
            tenant,
            sessions,
            campaigns: Vec::new(),
            _provider: provider,
        };
        scene.launch().await?;
        Ok(scene)
    }

    /// Starts a worker in a slot.
    fn start(&self, slot: usize, crash: Option<(Point, u32)>) -> Result<Child, Anyhow> {
        let address = self.slots.get(slot).ok_or("there is an address for each slot")?;
        let mut command = myself("worker")?;
        command.args(["--place", &self.place.text(), "--graph-url", &self.graph_url]).args([
            "--listen",
            &address.to_string(),
            "--bound",
            &self.bound.to_string(),
        ]);
        command.arg("--starts").arg(&self.starts);
        if let Some((point, passes)) = crash {
            command.args(["--crash-at", point.name(), "--passes", &passes.to_string()]);
        }
        Ok(command.spawn()?)
    }

    /// Starts another campaign when the last one is nearly done.
    async fn go_on(&mut self, test: &Test) -> Result<(), Anyhow> {
        let Some(last) = self.campaigns.last() else { return Ok(()) };
        // While the server is away nothing is known, and nothing is done.
        let Ok(counts) = self.tenant.campaigns().counts(*last).await else { return Ok(()) };
        if counts.pending * 3 < u64::from(test.audience) {
            for _ in 0..100 {
                if self.launch().await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    async fn launch(&mut self) -> Result<(), Anyhow> {
        let name: CampaignName = format!("wave {}", self.campaigns.len()).parse()?;
        let content = Content::Template(TemplateContent::with_body(
            "hello".parse()?,
            "en_US".parse()?,
            Category::Utility,
            Vec::<String>::new(),
        )?);
        let sessions = self.sessions.iter().map(|session| session.id).collect();
        let campaign =
            self.tenant.campaigns().create(CampaignSpec::new(name, list()?, content, sessions)).await?;
        self.tenant.campaigns().launch(campaign.id, |_| {}).await?;
        self.campaigns.push(campaign.id);
        Ok(())
    }

    /// Waits until nothing waits and nothing is under way.
    async fn heal(&self) -> Result<(), Anyhow> {
        let (mut fewest, mut better_at) = (u64::MAX, Instant::now());
        loop {
            let mut left = 0;
            for campaign in &self.campaigns {
                // A server that was killed a moment ago comes back.
                let counts = self.tenant.campaigns().counts(*campaign).await;
                left += counts.map_or(1, |counts| counts.pending + counts.attempting);
            }
            if left == 0 {
                break;
            }
            if left < fewest {
                (fewest, better_at) = (left, Instant::now());
            }
            if better_at.elapsed() > HEALING {
                eprintln!("{left} messages do not heal, and nothing got better for {} s", HEALING.as_secs());
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The provider's last statuses, which it repeats until they are taken.
        tokio::time::sleep(Duration::from_secs(4)).await;
        Ok(())
    }
}

fn list() -> Result<ListName, Anyhow> {
    Ok("everybody".parse()?)
}

/// This program in another role; it ends with this process.
fn myself(role: &str) -> Result<Command, Anyhow> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// A balancer in front of the workers, as in production: a webhook goes to one that is alive.
async fn forward(slots: Vec<SocketAddr>) -> Result<String, Anyhow> {
    #[derive(Debug)]
    struct Front {
        slots: Vec<SocketAddr>,
        next: AtomicUsize,
        client: reqwest::Client,
        failed: Mutex<u64>,
    }
    async fn pass_on(State(front): State<Arc<Front>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        for _ in 0..front.slots.len() {
            let place = front.next.fetch_add(1, Ordering::Relaxed) % front.slots.len().max(1);
            let Some(slot) = front.slots.get(place) else { continue };
            let request = front.client.post(format!("http://{slot}/webhooks/meta"));
            let sent = request.headers(headers.clone()).body(body.clone()).send().await;
            if let Ok(answer) = sent
                && let Ok(status) = StatusCode::from_u16(answer.status().as_u16())
                && status.is_success()
            {
                return status;
            }
        }
        if let Ok(mut failed) = front.failed.lock() {
            *failed += 1;
        }
        StatusCode::SERVICE_UNAVAILABLE
    }
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build()?;
    let front = Front { slots, next: AtomicUsize::new(0), client, failed: Mutex::new(0) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/webhooks/meta", post(pass_on)).with_state(Arc::new(front));
    #[expect(clippy::disallowed_methods, reason = "a program's own listener")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(format!("http://{address}/webhooks/meta"))
}
