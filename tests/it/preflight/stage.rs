//! A world set up: the simulator with its numbers, a kit on `SQLite`, its members and what happened before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use tempfile::TempDir;
use tokio::sync::Mutex;
use wa_kit::cloud::{CloudConfig, CloudTransport, CloudWebhooks};
use wa_kit::model::{
    BeyondCap, CampaignContent, Category, Content, Entitlement, FrequencyCap, Gap, GapSetting, Market,
    MarketRates, MessageState, Money, OutsideWindow, PriceBook, PricePolicy, QuietHours, QuietSettings,
    RateCard, Rates, Recipient, SessionId, TemplateContent, TemplateCooldown, TenantSettings, UtcOffset,
    WarmUp, WhenRed,
};
use wa_kit::port::Clock;
use wa_kit::port::store::Store;
use wa_kit::service::{CampaignSpec, EngineConfig, Kit, Message, Number, Preflight, TenantHandle};
use wa_kit::simulator::{
    ManualClock as SimulatedClock, NumberProfile, Quality, Rates as SimulatedRates, Simulator,
    TemplateCategory, TemplateStatus,
};
use wa_kit::sqlite::{SqliteOptions, SqliteStore};
use wa_kit::testing::{Driver, ManualClock, SeededEntropy, scope};

use super::world::{What, World};
use crate::receiver;

const SECRET: &str = "app-secret";
const LIST: &str = "members";
/// Micros by market and category, the same for the kit and for the simulator.
const PRICES: [(Market, &str, [i64; 4]); 3] = [
    (Market::Germany, "49", [136_500, 55_000, 55_100, 12_003]),
    (Market::NorthAmerica, "1", [25_000, 4_000, 4_100, 3_001]),
    (Market::Other, "*", [60_400, 7_700, 7_800, 5_002]),
];
const CATEGORIES: [&str; 4] = ["marketing", "utility", "authentication", "service"];

/// A world as it runs.
pub(super) struct Stage {
    pub(super) simulator: Simulator,
    clock: Arc<ManualClock>,
    pub(super) tenant: TenantHandle,
    pub(super) sessions: Vec<SessionId>,
    pub(super) driver: Mutex<Driver>,
    store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl Stage {
    pub(super) async fn set(world: &World) -> Self {
        let (listener, url) = receiver::bind().await;
        let their_clock = SimulatedClock::at(world.starts);
        let simulator = simulator(world, &url, their_clock.clone()).await;
        let clock = Arc::new(ManualClock::new(world.starts));
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteOptions::new(folder.path().join("wa.db")).clock(clock.clone());
        let store = Arc::new(SqliteStore::open(options).expect("a database"));
        let kit = kit(world, store.clone(), &clock, &simulator).await;
        receiver::serve(listener, kit.clone(), |_| {});
        let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
        let driver = Driver::new(&kit, clock.clone()).moving(move |by| their_clock.advance(by));
        let mut stage = Self {
            simulator,
            clock,
            tenant,
            sessions: Vec::new(),
            driver: Mutex::new(driver),
            store,
            _folder: folder,
        };
        stage.add_numbers(world).await;
        stage.add_people(world).await;
        stage
    }

    async fn add_numbers(&mut self, world: &World) {
        let sessions = self.tenant.sessions();
        let mut added = Vec::new();
        for (n, line) in world.numbers.iter().enumerate() {
            let number = Number { portfolio: Some("portfolio".to_owned()), ..Number::cloud(id(n)) };
            let session = sessions.add(&number).await.expect("a session").id;
            sessions.check(session).await.expect("the number is looked up");
            if let Some(caps) = &line.warm_up {
                let warm_up = WarmUp { since: None, caps: caps.clone() };
                sessions.set_warm_up(session, Some(warm_up)).await.expect("a warm-up");
            }
            if let Some((millis, jitter_millis)) = line.gap {
                let gap = GapSetting::Of(Gap { millis, jitter_millis });
                sessions.set_gap(session, gap).await.expect("a gap");
            }
            added.push(session);
        }
        self.sessions = added;
    }

    async fn add_people(&self, world: &World) {
        let contacts = self.tenant.contacts();
        for (n, person) in world.people.iter().enumerate() {
            let mut attributes = BTreeMap::new();
            attributes.extend(person.named.then(|| ("name".to_owned(), format!("N{n}"))));
            attributes.extend(person.zone.map(|zone| ("time_zone".to_owned(), zone.to_owned())));
            let list = Some(LIST.parse().expect("a list"));
            let who = Recipient::from(person.phone);
            let added = contacts.upsert(who.clone(), attributes.into_iter().collect(), list).await;
            let contact = added.expect("a contact").id;
            contacts.set_consent(contact, person.consent).await.expect("a consent");
            if person.suppressed {
                contacts.suppress([who]).await.expect("suppressed");
            }
        }
    }

    /// What happened before: people wrote, people got templates, time passed.
    pub(super) async fn live_before(&self, world: &World) {
        let mut settings = TenantSettings {
            prices: world.rules.priced.then(book),
            billing_offset: UtcOffset::from_minutes(world.rules.offset).expect("an offset"),
            ..TenantSettings::default()
        };
        self.tenant.put_settings(&settings).await.expect("settings");
        for round in 0..4 {
            let mut handed_in = Vec::new();
            for (n, person) in world.people.iter().enumerate().filter(|(n, _)| n % 4 == round) {
                let line = (n / 4) % self.sessions.len();
                if person.wrote {
                    self.simulator.inbound(&id(line), &digits(person.phone), "Hello").expect("a message");
                }
                if person.got {
                    let content = template(if n % 8 < 4 { What::Marketing } else { What::Utility }, "Ada");
                    let message = Message::new(self.sessions[line], person.phone, content);
                    handed_in.push(self.tenant.messages().send(message).await.expect("taken in").id);
                }
            }
            self.run_for(world.rest / 5 + TimeDelta::seconds(60)).await;
            for id in handed_in {
                let messages = self.tenant.messages();
                if messages.get(id).await.expect("a message").state <= MessageState::Held {
                    // What a limit held up would be in the campaign's way.
                    messages.cancel(id).await.expect("cancelled");
                }
            }
        }
        apply(world, &mut settings);
        self.tenant.put_settings(&settings).await.expect("settings");
        let entitlement = Entitlement { messages_per_month: world.rules.quota, ..Entitlement::unlimited() };
        let scope = scope::tenant(self.tenant.id());
        self.store.ledger().set_entitlement(&scope, &entitlement).await.expect("an entitlement");
        self.run_for(world.rest / 5 + TimeDelta::seconds(60)).await;
    }

    /// Lets time pass; webhooks arrive within half a minute of it while messages go, and within ten
    /// minutes after nothing went.
    pub(super) async fn run_for(&self, span: TimeDelta) {
        let mut driver = self.driver.lock().await;
        let mut left = span.to_std().expect("time that passes");
        let mut quiet = false;
        while !left.is_zero() {
            let before = self.simulator.stats().requests;
            let step = left.min(Duration::from_secs(if quiet { 600 } else { 30 }));
            driver.run_for(step).await;
            assert!(self.simulator.flush(Duration::from_secs(20)).await, "every webhook is taken");
            quiet = self.simulator.stats().requests == before;
            left -= step;
        }
    }

    pub(super) async fn preflight(&self, world: &World) -> Preflight {
        let sent = self.simulator.stats().requests;
        let said = self.tenant.campaigns().preflight_within(self.spec(world), world.span()).await;
        assert_eq!(self.simulator.stats().requests, sent, "a preflight sends nothing");
        said.expect("a preflight")
    }

    pub(super) fn spec(&self, world: &World) -> CampaignSpec {
        let plan = &world.campaign;
        let now = self.clock.now();
        let (name, list) = ("spring".parse().expect("a name"), LIST.parse().expect("a list"));
        let mut spec = CampaignSpec::new(name, list, template(plan.what, "{{name}}"), self.sessions.clone());
        if plan.what == What::Text && plan.with_fallback {
            spec.fallback = Some(CampaignContent::new(template(What::Marketing, "{{name}}")));
        }
        spec.lane = plan.lane;
        spec.rate = plan.rate;
        spec.budget = plan.budget.map(usd);
        spec.start_at = plan.starts_in.map(|after| now + after);
        spec.valid_until = plan.valid_for.map(|after| now + plan.starts_in.unwrap_or_default() + after);
        spec
    }
}

fn apply(world: &World, settings: &mut TenantSettings) {
    let rules = &world.rules;
    settings.time_zone = rules.zone.parse().expect("a zone");
    settings.quiet_hours = rules.quiet.map(|(from, to)| {
        QuietSettings::new([QuietHours::daily(from.parse().expect("a time"), to.parse().expect("a time"))])
    });
    settings.template_cooldown =
        rules.cooldown.map(|hours| TemplateCooldown { hours, ..TemplateCooldown::default() });
    settings.frequency_cap = rules.cap.map(|(times, days, skip)| FrequencyCap {
        times,
        days,
        beyond: if skip { BeyondCap::Skip } else { BeyondCap::Wait },
        ..FrequencyCap::default()
    });
    settings.require_opt_in = rules.opt_in;
    settings.safe_mode = rules
        .safe_mode
        .then(|| world.people.iter().step_by(3).map(|person| Recipient::from(person.phone)).collect());
    settings.outside_window = if rules.fallback { OutsideWindow::Fallback } else { OutsideWindow::Block };
    settings.budget.monthly = rules.monthly.map(usd);
    settings.budget.total = rules.total.map(usd);
    settings.quality.red = if rules.slow_on_red { WhenRed::Slow } else { WhenRed::Hold };
}

async fn simulator(world: &World, url: &str, clock: SimulatedClock) -> Simulator {
    let mut builder = Simulator::builder()
        .seed(world.seed)
        .webhook(url, SECRET)
        .clock(clock)
        .template("offer", "en", TemplateCategory::Marketing, TemplateStatus::Approved, 1)
        .template("order", "en", TemplateCategory::Utility, TemplateStatus::Approved, 1)
        .template("code", "en", TemplateCategory::Authentication, TemplateStatus::Approved, 1);
    if world.rules.priced {
        builder =
            builder.rates(PRICES.iter().fold(SimulatedRates::new("USD"), |rates, (_, market, prices)| {
                CATEGORIES.iter().zip(prices).fold(rates, |rates, (of, price)| rates.rate(of, market, *price))
            }));
    }
    for (n, line) in world.numbers.iter().enumerate() {
        let profile = NumberProfile {
            throughput: line.throughput,
            tier: line.tier,
            quality: match line.quality {
                0..700 => Quality::Green,
                700..880 => Quality::Yellow,
                _ => Quality::Red,
            },
            display_phone_number: format!("1555010020{n}"),
            ..NumberProfile::default()
        };
        builder = builder.number(id(n), profile);
    }
    builder.start().await.expect("a simulator")
}

async fn kit(world: &World, store: Arc<SqliteStore>, clock: &Arc<ManualClock>, simulator: &Simulator) -> Kit {
    let config = CloudConfig::builder()
        .graph_url(simulator.origin())
        .access_token("token")
        .app_secret(SECRET)
        .verify_token("verify-token")
        .build()
        .expect("a configuration");
    Kit::builder(store)
        .transport("cloud", Arc::new(CloudTransport::new(&config).expect("a transport")))
        .webhooks("cloud", Arc::new(CloudWebhooks::new(&config)))
        .clock(clock.clone())
        .entropy(Arc::new(SeededEntropy::new(world.seed)))
        // Days pass here: what only guards against other workers may recur seldom.
        .engine(EngineConfig {
            lease: Duration::from_secs(600),
            heartbeat: Duration::from_secs(200),
            poll_every: Duration::from_secs(60),
            health_every: Duration::from_secs(3_600),
            ..EngineConfig::default()
        })
        .build()
        .await
        .expect("a kit")
}

/// Both of Meta's ways of charging, at prices of its own.
fn book() -> PriceBook {
    let rates = PRICES.iter().map(|(market, _, [marketing, utility, authentication, service])| {
        let rates = MarketRates {
            marketing: Some(*marketing),
            utility: Some(*utility),
            authentication: Some(*authentication),
            authentication_international: None,
            service: Some(*service),
        };
        (*market, rates)
    });
    let card = RateCard {
        currency: "USD".parse().expect("a currency"),
        effective_from: NaiveDate::from_ymd_opt(2025, 7, 1).expect("a day"),
        source: "this test".to_owned(),
        rates: rates.collect(),
    };
    let rates = Rates::Own(card);
    let mut policies = PriceBook::meta().policies().to_vec();
    for dated in &mut policies {
        match &mut dated.policy {
            PricePolicy::MetaJuly2025 { rates: own } | PricePolicy::MetaOctober2026 { rates: own } => {
                *own = rates.clone();
            }
            other => panic!("{other:?}"),
        }
    }
    PriceBook::new(policies).expect("a price book")
}

fn template(what: What, value: &str) -> Content {
    let (name, category) = match what {
        What::Marketing => ("offer", Category::Marketing),
        What::Utility => ("order", Category::Utility),
        What::Authentication => ("code", Category::Authentication),
        What::Text => return Content::text(format!("Hello {value}")).expect("a text"),
    };
    let (name, language) = (name.parse().expect("a name"), "en".parse().expect("a language"));
    let content = TemplateContent::with_body(name, language, category, [value.to_owned()]);
    Content::Template(content.expect("a template"))
}

pub(super) fn usd(micros: i64) -> Money {
    Money { micros, currency: "USD".parse().expect("a currency") }
}

fn id(n: usize) -> String {
    format!("10000000000000{n}")
}

fn digits(phone: wa_kit::model::Phone) -> String {
    u64::from(phone).to_string()
}
