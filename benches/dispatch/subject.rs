//! The subject: a whole kit on a fresh store, from a launched campaign to the last settled outcome.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use wa_kit::cloud::{CloudConfig, CloudTransport};
use wa_kit::model::{
    Campaign, Category, ContactAttributes, ContactId, Content, Fingerprint, ImportLine, ImportRow, Phone,
    PriceList, SessionId, SessionReport, SessionState, TemplateContent, Throughput, Tier,
};
use wa_kit::port::{
    Acknowledge, Capabilities, Clock, Entropy, SendOutcome, SendPermit, SessionRef, SystemClock,
    SystemEntropy, Transport, TransportError,
};
use wa_kit::service::{CampaignSpec, EngineConfig, Kit, Number, TenantHandle};

use crate::counting::{Counted, Counting};
use crate::harness::{Anyhow, used};
use crate::place::{Bytes, Place};
use crate::{Args, Drained, provider_id};

/// What one run did.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) took: Duration,
    pub(crate) commits: u64,
    pub(crate) cpu_micros: f64,
    pub(crate) peak_kib: u64,
    /// How fast the last tenth of the requests left, of the first.
    pub(crate) last_of_first: f64,
    pub(crate) rows_written: Option<u64>,
    pub(crate) bytes: Option<Bytes>,
    pub(crate) counted: Option<Counted>,
    pub(crate) launch: Drained,
}

/// A transport that takes everything at once, or passes it on, and notes when each tenth of it had left.
#[derive(Debug)]
struct Watched {
    to: Option<CloudTransport>,
    sent: AtomicU64,
    first: OnceLock<Instant>,
    tenth: u64,
    tenths: Mutex<Vec<Instant>>,
}

impl Watched {
    fn new(to: Option<CloudTransport>, messages: u64) -> Self {
        let tenth = (messages / 10).max(1);
        Self { to, sent: AtomicU64::new(0), first: OnceLock::new(), tenth, tenths: Mutex::new(Vec::new()) }
    }
}

#[async_trait]
impl Transport for Watched {
    fn capabilities(&self) -> Capabilities {
        self.to.as_ref().map_or(Capabilities::ALL, Transport::capabilities)
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        self.first.get_or_init(Instant::now);
        let attempt = permit.attempt();
        let outcome = match &self.to {
            Some(to) => to.send(permit).await,
            None => SendOutcome::Accepted { provider_id: provider_id(attempt.message.as_uuid().simple()) },
        };
        let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        if sent.is_multiple_of(self.tenth) {
            self.tenths.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        outcome
    }

    fn advice(&self, _: i64) -> Option<&'static str> {
        None
    }

    async fn session(&self, _: &SessionRef) -> Result<SessionReport, TransportError> {
        Ok(SessionReport {
            state: Some(SessionState::Connected),
            throughput: Some(Throughput::try_from(10_000).expect("it is in the range")),
            tier: Some(Tier::Unlimited),
            ..SessionReport::default()
        })
    }

    async fn acknowledge(&self, _: &SessionRef, _: &Acknowledge) -> Result<(), TransportError> {
        Ok(())
    }
}

/// Launches campaigns for all messages, and then times the engine from its first request until each message has
/// its outcome stored.
pub(crate) async fn run(
    args: &Args,
    place: &Place,
    origin: Option<&str>,
    is_counted: bool,
) -> Result<Measured, Anyhow> {
    let cloud = match origin {
        Some(origin) => Some(CloudTransport::new(
            &CloudConfig::builder()
                .graph_url(origin)
                .access_token("token")
                .app_secret("secret")
                .verify_token("verify")
                .build()?,
        )?),
        None => None,
    };
    let transport = Arc::new(Watched::new(cloud, args.messages));
    let engine = EngineConfig {
        max_in_doubt_per_crash: args.max_in_doubt,
        concurrency: args.concurrency,
        ..EngineConfig::default()
    };
    let kit = Kit::builder(place.store()).transport("cloud", Arc::clone(&transport) as Arc<dyn Transport>);
    let kit = kit.engine(engine).build().await?;
    let mut launched = Vec::new();
    let mut launch = Drained { rows: args.messages, took: Duration::ZERO, commits: 0 };
    for n in 0..args.tenants {
        let tenant = kit.tenants().ensure(&format!("tenant {n}")).await?;
        let share = share(args.messages, args.tenants, n);
        let campaign = prepare(&tenant, n, share, self::share(args.sessions, args.tenants, n)).await?;
        let (before, begun) = (place.commits(), Instant::now());
        let campaign = tenant.campaigns().launch(campaign.id, |_| {}).await?;
        launch.took += begun.elapsed();
        launch.commits += place.commits() - before;
        launched.push((tenant, campaign));
    }

    let counting = is_counted.then(Counting::start);
    let (rows, commits) = (place.rows_written().await?, place.commits());
    used::forget_peak();
    let (begun, cpu) = (Instant::now(), used::cpu());
    let running = kit.start();
    while transport.sent.load(Ordering::Relaxed) < args.messages {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if begun.elapsed() > Duration::from_secs(600) {
            return Err(format!("stuck: {:?}", running.status()).into());
        }
    }
    for (tenant, campaign) in &launched {
        complete(tenant, campaign).await?;
    }
    // A number that was taken anew is quiet for a second: nobody knows what it sent in the last one.
    let begun = transport.first.get().copied().unwrap_or(begun);
    let took = begun.elapsed();
    let cpu_micros = used::cpu_each(cpu, args.messages).unwrap_or_default();
    let peak_kib = used::peak_kib().unwrap_or_default();
    let counted = counting.map(Counting::stop);
    let commits = place.commits() - commits;
    running.stop(Duration::from_secs(10)).await;
    let rows_written = match (place.rows_written().await?, rows) {
        (Some(after), Some(before)) => Some(after - before),
        _ => None,
    };
    let tenths = transport.tenths.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let last_of_first = match (tenths.first(), tenths.as_slice()) {
        (Some(first), [.., before, last]) => {
            (*first - begun).as_secs_f64() / (*last - *before).as_secs_f64().max(1e-6)
        }
        _ => 1.0,
    };
    Ok(Measured {
        took,
        commits,
        cpu_micros,
        peak_kib,
        last_of_first,
        rows_written,
        bytes: place.bytes().await?,
        counted,
        launch,
    })
}

fn share(all: u64, parts: u64, n: u64) -> u64 {
    all / parts + u64::from(n < all % parts)
}

/// A tenant with prices, numbers and contacts, and its campaign as a draft.
async fn prepare(tenant: &TenantHandle, n: u64, messages: u64, numbers: u64) -> Result<Campaign, Anyhow> {
    let mut settings = tenant.settings().await?;
    let per_message = [(Category::Marketing, 60_400), (Category::Utility, 7_700)];
    settings.prices = Some(PriceList { currency: "USD".parse()?, per_message: per_message.into() }.into());
    tenant.put_settings(&settings).await?;
    let mut sessions: Vec<SessionId> = Vec::new();
    for number in 0..numbers {
        let number = Number {
            portfolio: Some(format!("portfolio {n}")),
            ..Number::cloud((1_000_000 * (n + 1) + number).to_string())
        };
        let session = tenant.sessions().add(&number).await?;
        sessions.push(tenant.sessions().check(session.id).await?.id);
    }
    let list = "everybody".parse()?;
    let clock = SystemClock;
    let rows = (0..messages).map(|row| {
        let mut random = [0; 10];
        SystemEntropy.fill(&mut random);
        let named = [("name".to_owned(), format!("Ada {row}"))];
        let line = ImportLine {
            contact: ContactId::mint(clock.now(), random),
            phone: Phone::try_from(4_915_100_000_000 + n * 10_000_000 + row).expect("a phone"),
            attributes: named.into_iter().collect::<ContactAttributes>(),
            opted_out: false,
        };
        Ok(ImportRow { line: row + 2, content: Ok(line) })
    });
    tenant.contacts().import(&list, Fingerprint::of(b"everybody"), rows, |_| {}).await?;
    let body = ["{{name}}".to_owned()];
    let content = TemplateContent::with_body("offer".parse()?, "en".parse()?, Category::Marketing, body)?;
    let spec = CampaignSpec::new("bench".parse()?, list, Content::Template(content), sessions);
    Ok(tenant.campaigns().create(spec).await?)
}

async fn complete(tenant: &TenantHandle, campaign: &Campaign) -> Result<(), Anyhow> {
    for _ in 0..6_000 {
        let counts = tenant.campaigns().counts(campaign.id).await?;
        if counts.accepted == counts.audience {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let counts = tenant.campaigns().counts(campaign.id).await?;
    Err(format!("a campaign did not end: {counts:?}").into())
}
