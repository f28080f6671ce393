//! A worker's process: a kit on the store under test, with its own entry for webhooks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use wa_kit::cloud::{CloudConfig, CloudTransport, CloudWebhooks};
use wa_kit::prelude::*;

use crate::place::Place;
use crate::points::{CrashingStore, CrashingTransport, Point, Points};
use crate::witness::{WatchedClock, Witness};
use crate::{APP_SECRET, Anyhow, TOKEN, VERIFY_TOKEN, point};

/// How long a session is held without heartbeat; a stop lasts twice as long.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Worker {
    #[arg(long)]
    place: Place,
    #[arg(long)]
    graph_url: String,
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    bound: usize,
    #[arg(long)]
    starts: PathBuf,
    #[arg(long, value_parser = point)]
    crash_at: Option<Point>,
    #[arg(long, default_value_t = 0)]
    passes: u32,
}

impl Worker {
    pub(crate) async fn run(self) -> Result<(), Anyhow> {
        let points = Points::new(self.crash_at, self.passes);
        let inner = self.place.open().await?;
        let store = Arc::new(CrashingStore { inner, points: Arc::clone(&points) });
        let config = config(&self.graph_url)?;
        let inner = CloudTransport::with_clock(&config, Arc::new(WatchedClock))?;
        let witness = Witness::open(&self.starts)?;
        let transport = CrashingTransport { inner, points, witness };
        let kit = Kit::builder(store)
            .transport("cloud", Arc::new(transport))
            .webhooks("cloud", Arc::new(CloudWebhooks::new(&config)))
            .engine(engine(self.bound))
            .build()
            .await?;
        let running = kit.start();
        let app = Router::new().route("/webhooks/meta", post(receive)).with_state(kit);
        let listener = tokio::net::TcpListener::bind(self.listen).await?;
        // Until the test closes this pipe, or is gone.
        let mut line = String::new();
        let ended = tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line));
        tokio::select! {
            served = async { axum::serve(listener, app).await } => served?,
            ended = ended => drop(ended??),
        }
        running.stop(Duration::from_secs(5)).await;
        Ok(())
    }
}

pub(crate) fn config(graph_url: &str) -> Result<CloudConfig, Anyhow> {
    let config = CloudConfig::builder()
        .graph_url(graph_url)
        .access_token(TOKEN)
        .app_secret(APP_SECRET)
        .verify_token(VERIFY_TOKEN);
    Ok(config.build()?)
}

/// Short times, so that much can happen.
fn engine(bound: usize) -> EngineConfig {
    EngineConfig {
        request_timeout: Duration::from_secs(1),
        start_within: Duration::from_secs(1),
        lease: LEASE,
        heartbeat: LEASE / 4,
        grace: Duration::from_millis(500),
        max_in_doubt_per_crash: bound,
        poll_every: Duration::from_millis(200),
        ..EngineConfig::default()
    }
}

async fn receive(State(kit): State<Kit>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match kit.webhooks().meta(&headers, &body).await {
        Ok(answer) => StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
