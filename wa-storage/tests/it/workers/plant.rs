//! A database, and processes that work on it, each with a store and a pool of its own.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use wa_core::model::{
    CampaignContent, CampaignId, Category, Content, ListName, MessageId, Phone, SessionId, SessionReport,
    TemplateContent, TenantSettings, Throughput,
};
use wa_core::port::SystemClock;
use wa_core::service::import::CsvMapping;
use wa_core::service::{CampaignSpec, EngineConfig, Kit, Message, Number, Running, TenantHandle};
use wa_core::testing::ScriptedTransport;
use wa_storage::{PostgresStore, TestDatabase};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A database, and the provider that all processes send to.
pub(super) struct Plant {
    pub(super) transport: Arc<ScriptedTransport>,
    database: TestDatabase,
}

/// A process.
pub(super) struct Process {
    pub(super) kit: Kit,
    pub(super) tenant: TenantHandle,
    running: Option<Running>,
    store: Arc<PostgresStore>,
}

/// An engine that finds nothing by asking within a test: it must be told.
pub(super) fn told() -> EngineConfig {
    EngineConfig {
        poll_every: 60 * SECOND,
        lease: 180 * SECOND,
        heartbeat: 60 * SECOND,
        ..EngineConfig::default()
    }
}

/// An engine whose leases are short.
pub(super) fn brief() -> EngineConfig {
    EngineConfig {
        lease: 6 * SECOND,
        heartbeat: SECOND,
        poll_every: SECOND / 5,
        request_timeout: SECOND,
        start_within: SECOND,
        grace: SECOND,
        max_in_doubt_per_crash: 32,
        ..EngineConfig::default()
    }
}

impl Plant {
    pub(super) async fn new(throughput: u32) -> Self {
        let transport = Arc::new(ScriptedTransport::new(Arc::new(SystemClock)));
        let throughput = Throughput::try_from(throughput).ok();
        transport.set_report(Some(SessionReport { throughput, ..SessionReport::default() }));
        Self { transport, database: TestDatabase::create().await }
    }

    /// A process whose engine does not run.
    pub(super) async fn idle(&self, config: EngineConfig) -> Process {
        let store = PostgresStore::connect(self.database.options().connections(5)).await.expect("a store");
        let store = Arc::new(store);
        let kit = Kit::builder(store.clone()).transport("cloud", self.transport.clone()).engine(config);
        let kit = kit.build().await.expect("a kit");
        let tenant = tenant(&kit, "acme").await;
        Process { kit, tenant, running: None, store }
    }

    /// A process whose engine runs.
    pub(super) async fn process(&self, config: EngineConfig) -> Process {
        let mut process = self.idle(config).await;
        process.running = Some(process.kit.start());
        process
    }

    pub(super) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.database.admin_url()).await.expect("the server answers")
    }

    /// One number out of the database.
    pub(super) async fn count(&self, sql: &str) -> i64 {
        let mut admin = self.admin().await;
        let sql = format!("SET search_path = wa_kit; {sql}");
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut admin).await.expect("an answer");
        let row = rows.last().expect("a row");
        sqlx::Row::try_get(row, 0).expect("a number")
    }

    /// How many messages the provider got, and how many of them once.
    pub(super) fn sent(&self) -> (usize, usize) {
        let sent = self.transport.sent();
        let messages: std::collections::BTreeSet<_> = sent.iter().map(|it| it.attempt.message).collect();
        (sent.len(), messages.len())
    }
}

impl Process {
    pub(super) fn held(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.status().sessions)
    }

    pub(super) async fn stop(mut self) {
        let running = self.running.take().expect("it runs");
        let report = running.stop(5 * SECOND).await;
        assert_eq!(report.open, 0);
        self.store.close().await;
    }

    /// Ends as a killed process does: nothing is settled and nothing given back.
    pub(super) async fn crash(mut self) {
        drop(self.running.take());
        self.store.close().await;
    }

    pub(super) async fn numbers(&self, count: u32) -> Vec<SessionId> {
        let mut numbers = Vec::new();
        for n in 0..count {
            numbers.push(number(&self.tenant, n).await);
        }
        numbers
    }
}

pub(super) async fn tenant(kit: &Kit, name: &str) -> TenantHandle {
    let tenant = kit.tenants().ensure(name).await.expect("a tenant");
    tenant.put_settings(&settings()).await.expect("settings");
    tenant
}

pub(super) fn settings() -> TenantSettings {
    TenantSettings { template_cooldown: None, ..TenantSettings::default() }
}

pub(super) async fn number(tenant: &TenantHandle, n: u32) -> SessionId {
    tenant.sessions().add(&Number::cloud(n.to_string())).await.expect("a session").id
}

pub(super) async fn send(tenant: &TenantHandle, session: SessionId, n: u64) -> MessageId {
    let phone = Phone::try_from(4_915_200_000_000 + n).expect("a phone");
    let content = CampaignContent::new(offer()).fill(&["Ada".to_owned()]).expect("content");
    tenant.messages().send(Message::new(session, phone, content)).await.expect("a receipt").id
}

fn offer() -> Content {
    let (name, language) = ("offer".parse().expect("a name"), "en_US".parse().expect("a language"));
    let body = ["{{name}}".to_owned()];
    let template = TemplateContent::with_body(name, language, Category::Marketing, body);
    Content::Template(template.expect("a template"))
}

/// Launches a campaign to so many people.
pub(super) async fn launch(tenant: &TenantHandle, sessions: Vec<SessionId>, members: u64) -> CampaignId {
    let list: ListName = "people".parse().expect("a list");
    let mut file = "phone,name\n".to_owned();
    for n in 0..members {
        file.push_str(&format!("+{},N{n}\n", 4_915_100_000_000 + n));
    }
    let mapping = CsvMapping::default();
    tenant.contacts().import_csv(&list, Cursor::new(file), &mapping, |_| {}).await.expect("an import");
    let spec = CampaignSpec::new("launch".parse().expect("a name"), list, offer(), sessions);
    let campaign = tenant.campaigns().create(spec).await.expect("a campaign");
    tenant.campaigns().launch(campaign.id, |_| {}).await.expect("a launch").id
}

/// Waits until something is so, and says how long that took.
pub(super) async fn until(what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let began = tokio::time::Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}
