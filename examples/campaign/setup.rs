//! Puts the parts together: store, provider or simulator, kit, webhook listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use tokio::net::TcpListener;
use wa_kit::cloud::{CloudConfig, CloudTransport, CloudWebhooks};
use wa_kit::model::{Category, PriceList, SessionReport, Throughput};
use wa_kit::port::{Entropy, SystemEntropy};
use wa_kit::prelude::*;
use wa_kit::service::{LogNotifier, WebhookResponse};
use wa_kit::simulator::{NumberProfile, Simulator, TemplateCategory};

use crate::args::Args;
use crate::failure::{Failure, chain};
use crate::store::{Opened, Place};

/// The number that the built-in simulator plays.
const SIMULATED_NUMBER: &str = "100000000000001";

/// Everything that runs beside the campaign.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) store: Opened,
    pub(crate) kit: Kit,
    pub(crate) tenant: TenantHandle,
    pub(crate) number: String,
    pub(crate) simulator: Option<Simulator>,
}

/// Where to send, and with which secrets.
struct Provider {
    graph_url: String,
    number: String,
    token: String,
    app_secret: String,
    verify_token: String,
}

pub(crate) async fn stage(args: &Args) -> Result<Stage, Failure> {
    let place = match &args.store {
        Some(store) => Place::parse(store)?,
        None => fresh_place()?,
    };
    // Every secret is read before anything is opened: a missing one is a usage error.
    let secrets = match &args.graph_url {
        Some(_) => Some(Secrets::read(args)?),
        None => None,
    };
    let store = place.open().await?;
    let listen = args.webhook_listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Failure::bad_input(format!("--webhook-listen {listen}: {error}")))?;
    let address = listener.local_addr().map_err(|error| Failure::other("no webhook address", error))?;
    let webhook_url = format!("http://{address}/webhooks/meta");
    let (provider, simulator) = match secrets {
        Some(secrets) => (secrets.provider(args), None),
        None => {
            let (provider, simulator) = simulate(&place, &webhook_url).await?;
            (provider, Some(simulator))
        }
    };
    let kit = kit(args, store.store(), &provider).await?;
    serve(listener, kit.clone());
    if args.graph_url.is_none() || args.webhook_listen.is_some() {
        eprintln!("webhooks are taken in at {webhook_url}");
    } else {
        eprintln!("warning: without --webhook-listen no statuses come in");
    }
    let tenant = kit.tenants().ensure("campaign example").await?;
    let mut settings = tenant.settings().await?;
    if settings.prices.is_none() {
        settings.prices = Some(list_prices().into());
        tenant.put_settings(&settings).await?;
    }
    Ok(Stage { place, store, kit, tenant, number: provider.number, simulator })
}

/// Adds the number and asks its provider about it, with one warning if there is no answer.
pub(crate) async fn session(stage: &Stage, rate: Option<u32>) -> Result<wa_kit::model::Session, Failure> {
    let sessions = stage.tenant.sessions();
    let session = sessions.add(&Number::cloud(&stage.number)).await?;
    // Whoever starts the program again has dealt with what stopped it.
    for breaker in sessions.breakers().await? {
        sessions.reset(&breaker.scope).await?;
    }
    match sessions.check(session.id).await {
        Ok(session) => Ok(session),
        Err(error) => {
            let throughput =
                rate.and_then(|rate| Throughput::try_from(rate).ok()).unwrap_or(Throughput::DEFAULT);
            eprintln!(
                "warning: the number was not looked up ({}); going on with {} messages/s and no messaging limit",
                chain(&error),
                throughput.per_second()
            );
            let report = SessionReport { throughput: Some(throughput), ..SessionReport::default() };
            Ok(sessions.report(session.id, &report).await?)
        }
    }
}

async fn kit(args: &Args, store: Arc<dyn Store>, provider: &Provider) -> Result<Kit, Failure> {
    let config = CloudConfig::builder()
        .graph_url(provider.graph_url.as_str())
        .access_token(provider.token.as_str())
        .app_secret(provider.app_secret.as_str())
        .verify_token(provider.verify_token.as_str())
        .build()
        .map_err(|error| Failure::bad_input(error.to_string()))?;
    let transport =
        CloudTransport::new(&config).map_err(|error| Failure::other("no connection can be made", error))?;
    let mut engine = EngineConfig::default();
    if let Some(bound) = args.max_in_doubt {
        engine.max_in_doubt_per_crash = usize::try_from(bound).unwrap_or(usize::MAX);
    }
    let builder = Kit::builder(store)
        .transport("cloud", Arc::new(transport))
        .webhooks("cloud", Arc::new(CloudWebhooks::new(&config)))
        .notifier(Arc::new(LogNotifier))
        .engine(engine);
    Ok(builder.build().await?)
}

/// The simulator, with its log beside the store so that a resumed run finds its truth again.
async fn simulate(place: &Place, webhook_url: &str) -> Result<(Provider, Simulator), Failure> {
    let provider = |graph_url| Provider {
        graph_url,
        number: SIMULATED_NUMBER.to_owned(),
        token: "simulated-token".to_owned(),
        app_secret: "simulated-app-secret".to_owned(),
        verify_token: "simulated-verify-token".to_owned(),
    };
    let profile = NumberProfile { throughput: 1_000, ..NumberProfile::default() };
    let simulator = Simulator::builder()
        .number(SIMULATED_NUMBER, profile)
        .any_template(TemplateCategory::Marketing)
        .webhook(webhook_url, "simulated-app-secret")
        .log(place.simulator_log())
        .forget_accepted()
        .start()
        .await
        .map_err(|error| Failure::other("the simulator did not start", error))?;
    Ok((provider(simulator.origin()), simulator))
}

fn serve(listener: TcpListener, kit: Kit) {
    let app = Router::new()
        .route("/webhooks/meta", get(challenge).post(receive))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(kit);
    #[expect(clippy::disallowed_methods, reason = "a program's own listener")]
    tokio::spawn(async move { axum::serve(listener, app).await });
}

async fn challenge(State(kit): State<Kit>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    answer(kit.webhooks().meta_challenge(&query.unwrap_or_default()))
}

async fn receive(State(kit): State<Kit>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    answer(kit.webhooks().meta(&headers, &body).await)
}

fn answer(response: Result<WebhookResponse, KitError>) -> (StatusCode, String) {
    match response {
        Ok(response) => {
            if let Some(refusal) = response.refusal {
                eprintln!("a webhook was refused: {refusal}");
            }
            (
                StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                response.body,
            )
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

struct Secrets {
    token: String,
    app_secret: String,
    verify_token: String,
}

impl Secrets {
    fn read(args: &Args) -> Result<Self, Failure> {
        let read = |option: &str, variable: Option<&str>| match variable {
            Some(variable) => match std::env::var(variable) {
                Ok(value) if !value.is_empty() => Ok(value),
                Ok(_) | Err(_) => Err(Failure::bad_input(format!(
                    "{option}: the environment variable {variable} is not set"
                ))),
            },
            // Nobody knows this one, so nothing passes its check.
            None => Ok(unguessable()),
        };
        Ok(Self {
            token: read("--token-env", args.token_env.as_deref())?,
            app_secret: read("--app-secret-env", args.app_secret_env.as_deref())?,
            verify_token: read("--verify-token-env", args.verify_token_env.as_deref())?,
        })
    }

    fn provider(self, args: &Args) -> Provider {
        Provider {
            graph_url: args.graph_url.clone().unwrap_or_default(),
            number: args.phone_number_id.clone().unwrap_or_default(),
            token: self.token,
            app_secret: self.app_secret,
            verify_token: self.verify_token,
        }
    }
}

fn unguessable() -> String {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    hex::encode(bytes)
}

fn fresh_place() -> Result<Place, Failure> {
    let folder = tempfile::Builder::new().prefix("wa-kit-campaign-").tempdir();
    let folder = folder.map_err(|error| Failure::other("no temporary folder can be made", error))?;
    Ok(Place::Sqlite(folder.keep().join("campaign.sqlite")))
}

/// Meta's list prices per delivered message of 1 October 2026 for markets that are not listed.
///
/// Source: Meta's USD rate card of 1 October 2026, market "Other": marketing 0.0604, utility,
/// authentication and service 0.0077; read October 2026, second hand.
pub(crate) fn list_prices() -> PriceList {
    let currency = "USD".parse().expect("USD is a currency");
    let per_message = [
        (Category::Marketing, 60_400),
        (Category::Utility, 7_700),
        (Category::Authentication, 7_700),
        (Category::Service, 7_700),
    ];
    PriceList { currency, per_message: per_message.into() }
}
