//! The library and its judge side by side: two manual clocks that move together, HTTP between them.

use std::collections::{BTreeMap, HashSet};
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use wa_kit::cloud::{CloudConfig, CloudTransport, CloudWebhooks};
use wa_kit::model::{
    CampaignId, Category, Content, LanguageCode, ListName, OutsideWindow, Phone, QuietHours, QuietSettings,
    SessionId, TemplateContent, TenantSettings,
};
use wa_kit::model::{FrequencyCap as LibraryCap, TemplateCooldown};
use wa_kit::port::Clock;
use wa_kit::service::import::CsvMapping;
use wa_kit::service::{CampaignSpec, EngineConfig, Kit, Message, Number, TenantHandle};
use wa_kit::simulator::{
    Cooldown, Fault, FrequencyCap, HouseRules, ManualClock as SimulatorClock, NumberProfile, Scope,
    Simulator, StatusTimes, Stop, TemplateCategory, TemplateStatus,
};
use wa_kit::sqlite::{SqliteOptions, SqliteStore};
use wa_kit::testing::{Driver, ManualClock, SeededEntropy};

use crate::receiver;

use super::people::{NIGHT, Person, charged, judged_quiet, prices};

const SECRET: &str = "app secret";

/// From the webhook's 200 to the last marketing message that may still leave: a tenth of a second
/// until it is applied, and what was begun before leaves within the five seconds of `start_within`.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The library counts from begin to begin, the judge from arrival to arrival; a message arrives at
/// most `start_within` after its begin.
pub(super) const SLACK: Duration = Duration::from_secs(5);
pub(super) const COOLDOWN: Duration = Duration::from_secs(12 * 3_600);

/// Every template: name, category, whether it goes with the bulk lane.
pub(super) const TEMPLATES: [(&str, Category, bool); 10] = [
    ("spring", Category::Marketing, true),
    ("loyal", Category::Marketing, true),
    ("sunday", Category::Marketing, true),
    ("small", Category::Marketing, true),
    ("night", Category::Marketing, true),
    ("notice", Category::Utility, true),
    ("autumn", Category::Utility, true),
    ("news", Category::Utility, true),
    ("code", Category::Authentication, false),
    ("receipt", Category::Utility, false),
];

/// The words by which people stop in this test.
pub(super) const STOP_WORDS: [&str; 4] = ["STOP", "abmelden", "baja", "unsubscribe"];

/// What the receiver was told: ids by status.
pub(super) type Told = Arc<Mutex<BTreeMap<String, HashSet<String>>>>;

pub(super) struct World {
    pub(super) simulator: Simulator,
    pub(super) clock: Arc<ManualClock>,
    their_clock: SimulatorClock,
    pub(super) tenant: TenantHandle,
    pub(super) driver: Driver,
    pub(super) sessions: [SessionId; 3],
    pub(super) told: Told,
    _folder: tempfile::TempDir,
}

/// The numbers: the third has a portfolio of its own, with a messaging limit.
pub(super) const NUMBERS: [&str; 3] = ["101", "102", "103"];

/// What differs between the short form and the long one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) seed: u64,
    pub(super) throughput: [u32; 3],
    pub(super) tier: u32,
}

fn simulated(category: Category) -> TemplateCategory {
    match category {
        Category::Marketing => TemplateCategory::Marketing,
        Category::Authentication => TemplateCategory::Authentication,
        Category::Utility | Category::Service => TemplateCategory::Utility,
    }
}

impl World {
    pub(super) async fn new(start: DateTime<Utc>, size: Size) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (listener, url) = receiver::bind().await;
        let their_clock = SimulatorClock::at(start);
        let simulator = simulator(&url, &their_clock, size).await;
        let clock = Arc::new(ManualClock::new(start));
        let entropy = Arc::new(SeededEntropy::new(size.seed));
        let options = SqliteOptions::new(folder.path().join("wa.db"));
        let options = options.clock(clock.clone()).entropy(entropy.clone());
        let store = Arc::new(SqliteStore::open(options).expect("a store"));
        let config = CloudConfig::builder()
            .graph_url(simulator.origin())
            .access_token("token")
            .app_secret(SECRET)
            .verify_token("verify")
            .build()
            .expect("a configuration");
        let transport = CloudTransport::with_clock(&config, clock.clone()).expect("a transport");
        let kit = Kit::builder(store)
            .transport("cloud", Arc::new(transport))
            .webhooks("cloud", Arc::new(CloudWebhooks::new(&config)))
            .clock(clock.clone())
            .entropy(entropy)
            // Days pass here: what only guards against other workers may recur seldom.
            .engine(EngineConfig {
                lease: Duration::from_secs(600),
                heartbeat: Duration::from_secs(200),
                poll_every: Duration::from_secs(60),
                health_every: Duration::from_secs(900),
                ..EngineConfig::default()
            })
            .build()
            .await
            .expect("a kit");
        let told = Told::default();
        let noted = told.clone();
        receiver::serve(listener, kit.clone(), move |body| {
            note(&noted, &serde_json::from_slice(body).expect("JSON"));
        });
        let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
        tenant.put_settings(&settings()).await.expect("settings");
        let mut sessions = Vec::new();
        for (place, number) in NUMBERS.iter().enumerate() {
            let (account, portfolio) = group(place);
            let number = Number { portfolio: Some(portfolio), ..Number::cloud(*number).account(account) };
            let session = tenant.sessions().add(&number).await.expect("a session").id;
            tenant.sessions().check(session).await.expect("a report");
            sessions.push(session);
        }
        let theirs = their_clock.clone();
        let driver = Driver::new(&kit, clock.clone()).moving(move |by| theirs.advance(by));
        let sessions = [sessions[0], sessions[1], sessions[2]];
        Self { simulator, clock, their_clock, tenant, driver, sessions, told, _folder: folder }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) async fn run_until(&mut self, until: DateTime<Utc>) {
        let span = (until - self.now()).to_std().expect("it lies ahead");
        self.driver.run_for(span).await;
    }

    /// Days pass while the program does not run.
    pub(super) fn sleep_until(&self, until: DateTime<Utc>) {
        let span = (until - self.now()).to_std().expect("it lies ahead");
        self.clock.advance(span);
        self.their_clock.advance(span);
    }

    /// Everything that Meta has to tell is told now, whenever it is due.
    pub(super) async fn hear(&self) {
        assert!(self.simulator.flush(Duration::from_secs(60)).await, "the webhooks are taken");
    }

    pub(super) async fn put_on(&self, people: impl Iterator<Item = &Person>, list: &str) {
        let rows = people.map(|it| format!("+{0},N{0},{1}\n", it.digits, it.zone.unwrap_or("")));
        let file = std::iter::once("phone,name,time_zone\n".to_owned()).chain(rows).collect::<String>();
        let (list, mapping): (ListName, _) = (list.parse().expect("a list"), CsvMapping::default());
        let contacts = self.tenant.contacts();
        let done = contacts.import_csv(&list, Cursor::new(file), &mapping, |_| {}).await.expect("an import");
        assert_eq!((done.invalid, done.duplicates), (0, 0), "{done:?}");
    }

    /// Launches a campaign to the list of its name, by the numbers at these places.
    pub(super) async fn launch(
        &self,
        name: &str,
        by: &[usize],
        content: Content,
        change: impl FnOnce(&mut CampaignSpec),
    ) -> CampaignId {
        let sessions = by.iter().map(|place| self.sessions[*place]).collect();
        let (list, name) = (name.parse().expect("a list"), name.parse().expect("a name"));
        let mut spec = CampaignSpec::new(name, list, content, sessions);
        change(&mut spec);
        let id = self.tenant.campaigns().create(spec).await.expect("a campaign").id;
        self.tenant.campaigns().launch(id, |_| {}).await.expect("a launch");
        id
    }

    pub(super) async fn send(&self, by: usize, to: &Person, content: Content) -> wa_kit::model::MessageId {
        let phone = Phone::try_from(to.phone).expect("a phone");
        let message = Message::new(self.sessions[by], phone, content);
        self.tenant.messages().send(message).await.expect("a message").id
    }
}

pub(super) fn template(name: &str, text: &str) -> TemplateContent {
    let (_, category, _) = TEMPLATES.iter().find(|(own, _, _)| *own == name).expect("a template");
    let language: LanguageCode = "en".parse().expect("a language");
    TemplateContent::with_body(name.parse().expect("a name"), language, *category, [text.to_owned()])
        .expect("a template")
}

/// Account and portfolio of the number at this place.
fn group(place: usize) -> (String, String) {
    let group = place / 2;
    (format!("20{group}"), format!("30{group}"))
}

async fn simulator(url: &str, clock: &SimulatorClock, size: Size) -> Simulator {
    let rules = HouseRules {
        stop: Some(Stop {
            grace: STOP_GRACE,
            words: STOP_WORDS.iter().map(|word| (*word).to_owned()).collect(),
        }),
        quiet: Some(judged_quiet()),
        // By template, since one-time codes and receipts do not wait for the others; the test itself
        // judges all bulk templates together.
        cooldown: Some(Cooldown { wait: COOLDOWN - SLACK, by_template: true }),
        frequency: Some(FrequencyCap {
            most: 2,
            within: Duration::from_secs(7 * 86_400) - SLACK,
            scope: Scope::Marketing,
        }),
        ..HouseRules::default()
    };
    let mut builder = Simulator::builder()
        .seed(size.seed)
        .clock(clock.clone())
        .webhook(url, SECRET)
        .rates(charged())
        .house_rules(rules)
        .statuses(StatusTimes { delivered: 1.0, read: 0.4, ..StatusTimes::default() })
        .fault(Fault::StatusDuplicated, 0.02)
        .fault(Fault::StatusShuffled, 0.02)
        .fault(Fault::FailedAfterSent, 0.01)
        .fault(Fault::ReplyLost, 0.002);
    for (place, id) in NUMBERS.iter().enumerate() {
        let (account, portfolio) = group(place);
        let tier = (place == 2).then_some(size.tier);
        let throughput = size.throughput[place];
        let profile = NumberProfile { throughput, tier, account, portfolio, ..NumberProfile::default() };
        builder = builder.number(*id, profile);
    }
    for (name, category, _) in TEMPLATES {
        builder = builder.template(name, "en", simulated(category), TemplateStatus::Approved, 1);
    }
    builder.start().await.expect("a simulator")
}

fn settings() -> TenantSettings {
    let hour = |hour: u32| format!("{hour:02}:00").parse().expect("a time");
    TenantSettings {
        prices: Some(prices()),
        template_cooldown: Some(TemplateCooldown { hours: 12, ..TemplateCooldown::default() }),
        outside_window: OutsideWindow::Fallback,
        frequency_cap: Some(LibraryCap { times: 2, days: 7, ..LibraryCap::default() }),
        quiet_hours: Some(QuietSettings::new([QuietHours::daily(hour(NIGHT.0), hour(NIGHT.1))])),
        ..TenantSettings::default()
    }
}

/// Notes which message has which status.
fn note(told: &Told, body: &Value) {
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut told = told.lock().expect("no holder panics");
    for change in each(&body["entry"]).iter().flat_map(|entry| each(&entry["changes"])) {
        for status in each(&change["value"]["statuses"]) {
            let text = |key: &str| status[key].as_str().expect("a text").to_owned();
            told.entry(text("status")).or_default().insert(text("id"));
        }
    }
}
