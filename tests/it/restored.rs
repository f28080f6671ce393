//! A backup that is put back in the middle of a campaign: whole systems over HTTP, on both databases.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wa_kit::cloud::{CloudConfig, CloudTransport};
use wa_kit::model::{CampaignId, Category, Content, ReconcileCause, TemplateContent, from_micros};
use wa_kit::port::store::Store;
use wa_kit::postgres::{PostgresOptions, PostgresStore, TestDatabase, sqlx};
use wa_kit::service::{CampaignSpec, EngineConfig, Kit, Number, TenantHandle};
use wa_kit::simulator::{
    ManualClock as SimulatorClock, NumberProfile, Simulator, TemplateCategory, TemplateStatus,
};
use wa_kit::sqlite::{SqliteOptions, SqliteStore};
use wa_kit::testing::{Driver, ManualClock};

/// Recipients of the campaign, at 20 a second.
const AUDIENCE: u32 = 2_000;

struct Bench {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    theirs: SimulatorClock,
}

/// The application on one store, from its start to its end.
struct Program {
    kit: Kit,
    tenant: TenantHandle,
    driver: Driver,
}

impl Bench {
    async fn new() -> Self {
        let start = from_micros(1_790_000_000_000_000);
        let theirs = SimulatorClock::at(start);
        let simulator = Simulator::builder()
            .clock(theirs.clone())
            .number("101", NumberProfile { throughput: 20, ..NumberProfile::default() })
            .template("offer", "en", TemplateCategory::Utility, TemplateStatus::Approved, 1)
            .start()
            .await
            .expect("a simulator");
        Self { simulator, clock: Arc::new(ManualClock::new(start)), theirs }
    }

    fn sqlite(&self, path: &Path) -> SqliteOptions {
        SqliteOptions::new(path).clock(self.clock.clone())
    }

    async fn start(&self, store: Arc<dyn Store>) -> Program {
        let config = CloudConfig::builder()
            .graph_url(self.simulator.origin())
            .access_token("token")
            .app_secret("secret")
            .verify_token("verify")
            .build()
            .expect("a configuration");
        let transport = CloudTransport::with_clock(&config, self.clock.clone()).expect("a transport");
        let kit = Kit::builder(store)
            .transport("cloud", Arc::new(transport))
            .clock(self.clock.clone())
            .engine(EngineConfig { poll_every: Duration::from_secs(10), ..EngineConfig::default() })
            .build()
            .await
            .expect("a kit");
        let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
        let theirs = self.theirs.clone();
        let driver = Driver::new(&kit, self.clock.clone()).moving(move |by| theirs.advance(by));
        Program { kit, tenant, driver }
    }

    fn requests(&self) -> u64 {
        self.simulator.stats().requests
    }
}

impl Program {
    async fn launch(&self) -> CampaignId {
        let session = self.tenant.sessions().add(&Number::cloud("101")).await.expect("a session").id;
        self.tenant.sessions().check(session).await.expect("a report");
        let rows: String = (0..AUDIENCE).map(|n| format!("+4915112{n:06}\n")).collect();
        let file = std::io::Cursor::new(format!("phone\n{rows}"));
        let list = "people".parse().expect("a list");
        self.tenant.contacts().import_csv(&list, file, &Default::default(), |_| {}).await.expect("an import");
        let (name, language) = ("offer".parse().expect("a name"), "en".parse().expect("a language"));
        let body = ["Welcome".to_owned()];
        let offer = TemplateContent::with_body(name, language, Category::Utility, body).expect("a template");
        let offer = Content::Template(offer);
        let spec = CampaignSpec::new("offer".parse().expect("a name"), list, offer, vec![session]);
        let id = self.tenant.campaigns().create(spec).await.expect("a campaign").id;
        self.tenant.campaigns().launch(id, |_| {}).await.expect("a launch");
        id
    }

    async fn run_for(&mut self, seconds: u64) {
        self.driver.run_for(Duration::from_secs(seconds)).await;
    }
}

/// What an operator sees of a store that was put back, and what the provider got meanwhile.
async fn goes_on_when_told(
    bench: &Bench,
    program: &mut Program,
    campaign: CampaignId,
    (store, cause): (&str, ReconcileCause),
) {
    let need = program.kit.reconcile().need().await.expect("an answer").expect("it waits");
    assert_eq!(need.cause, cause);
    let before = bench.requests();
    assert!((100..u64::from(AUDIENCE)).contains(&before), "{before} requests");
    program.run_for(600).await;
    let waited = bench.requests() - before;
    assert_eq!(waited, 0, "nothing leaves before somebody says so");

    assert!(program.kit.reconcile().resume().await.expect("an answer"));
    program.run_for(60).await;
    let held = bench.requests() - before;
    assert_eq!(held, 0, "a campaign waits until it is resumed itself");
    program.tenant.campaigns().resume(campaign).await.expect("it goes on");
    program.run_for(200).await;
    let after = bench.requests() - before;
    println!(
        "{store}: backup restored ({cause:?}) after {before} requests of {AUDIENCE}; \
         {waited} in ten minutes until resume, {held} until the campaign was resumed, {after} then"
    );
    let counts = program.tenant.campaigns().counts(campaign).await.expect("counts");
    assert_eq!(counts.accepted + counts.in_doubt, u64::from(AUDIENCE), "{counts:?}");
    // What the backup knows as open may have been sent: nobody sends it again.
    assert!(counts.in_doubt <= 64, "{counts:?}");
}

#[tokio::test]
async fn a_sqlite_backup_that_is_put_back_sends_nothing_until_it_is_told_to() {
    let bench = Bench::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("wa.db"), folder.path().join("backup.db"));
    let store = Arc::new(SqliteStore::open(bench.sqlite(&path)).expect("a store"));
    let mut program = bench.start(store.clone()).await;
    let campaign = program.launch().await;
    program.run_for(10).await;
    store.backup(&copy).await.expect("a backup while it sends");
    program.run_for(10).await;
    drop(program);
    store.close();

    let store = SqliteStore::restore(bench.sqlite(&path), &copy).expect("the backup is put back");
    let mut program = bench.start(Arc::new(store)).await;
    goes_on_when_told(&bench, &mut program, campaign, ("sqlite", ReconcileCause::Restored)).await;
}

async fn execute(url: &str, sql: String) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the administrator");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn a_postgres_copy_that_takes_over_sends_nothing_until_it_is_told_to() {
    let bench = Bench::new().await;
    let database = TestDatabase::create().await;
    let (url, admin) = (database.url().to_owned(), database.admin_url());
    let name = admin.rsplit('/').next().and_then(|it| it.split('?').next()).expect("a name").to_owned();
    let open = async |url: &str| {
        let options = PostgresOptions::new(url).clock(bench.clock.clone()).connections(6);
        Arc::new(PostgresStore::connect(options).await.expect("a store"))
    };
    let store = open(&url).await;
    let mut program = bench.start(store.clone()).await;
    let campaign = program.launch().await;
    program.run_for(10).await;
    drop(program);
    store.close().await;
    let copy = format!("{name}_copy");
    let server = admin.replacen(&format!("/{name}"), "/postgres", 1);
    execute(&server, format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
    let store = open(&url).await;
    let mut program = bench.start(store.clone()).await;
    program.run_for(60).await;
    drop(program);
    store.close().await;

    let store = open(&url.replacen(&format!("/{name}"), &format!("/{copy}"), 1)).await;
    let mut program = bench.start(store.clone()).await;
    goes_on_when_told(&bench, &mut program, campaign, ("postgres", ReconcileCause::OtherDatabase)).await;
    drop(program);
    store.close().await;
    execute(&server, format!("DROP DATABASE {copy}")).await;
}
