//! Kills workers again and again while they send, and counts what came of it.
//!
//! `cargo run --release --example crash_test -- --store sqlite --kills 300 --stops 50 --json` starts a provider
//! (the simulator, which writes each accepted request to a file before it answers) and workers as processes of
//! their own. Workers are killed at random and at named points, stopped past their lease and woken, and started
//! again. At the end everything heals, and the provider's file is compared with the store.
//!
//! It exits with 1 when a message went out twice under a policy that forbids it, was lost, or the books do
//! not add up, and when a request started after its time (`begun_after_start_by`, by what the transport saw
//! on the clock when it last looked before it).

mod balance;
mod driver;
mod place;
mod points;
mod provider;
mod witness;
mod worker;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use points::Point;
use wa_kit::model::InDoubtPolicy;

/// Kills workers while they send, and counts what came of it.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    test: Test,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, clap::Args)]
struct Test {
    /// The kind of store: sqlite or postgres
    #[arg(long, default_value = "sqlite")]
    store: String,
    /// How often a worker is killed with -9, every other time at a named point
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How often a worker is stopped for twice its lease and woken again
    #[arg(long, default_value_t = 2)]
    stops: u32,
    /// How often the Postgres server itself is killed with -9; it runs on a cluster of its own then
    #[arg(long, default_value_t = 0)]
    server_kills: u32,
    /// Workers that run at once
    #[arg(long, default_value_t = 1)]
    workers: u16,
    /// The bound on messages begun and not settled, of each worker
    #[arg(long, default_value_t = 16)]
    max_in_doubt: usize,
    /// What becomes of messages in doubt: at-most-once, manual, proven-silence or resend-after; the last two
    /// wait for a minute
    #[arg(long, default_value = "at-most-once", value_parser = policy)]
    policy: InDoubtPolicy,
    /// Recipients of each campaign; a new one starts whenever the last one is nearly done
    #[arg(long, default_value_t = 1_000)]
    audience: u32,
    /// The share of the provider's answers that are lost
    #[arg(long, default_value_t = 0.25)]
    replies_lost: f64,
    /// The seed of all chances
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One line of JSON at the end
    #[arg(long)]
    json: bool,
}

/// What a process of the test does; the test starts these itself.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Provider(provider::Provider),
    #[command(hide = true)]
    Worker(worker::Worker),
}

/// The secrets of a provider that is played.
const TOKEN: &str = "crash-token";
const APP_SECRET: &str = "crash-app-secret";
const VERIFY_TOKEN: &str = "crash-verify-token";

type Anyhow = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let Args { test, role } = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.map_err(Anyhow::from).and_then(|runtime| {
        runtime.block_on(async {
            match role {
                None => driver::run(&test).await,
                Some(Role::Provider(provider)) => provider.run().await.map(|()| true),
                Some(Role::Worker(worker)) => worker.run().await.map(|()| true),
            }
        })
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash_test: {error}");
            ExitCode::from(2)
        }
    }
}

/// A loopback address that nobody listens on now.
fn free_address() -> Result<SocketAddr, Anyhow> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn number(place: u16) -> String {
    format!("1000000000{place:05}")
}

fn policy(text: &str) -> Result<InDoubtPolicy, String> {
    let after = std::time::Duration::from_secs(60);
    match text {
        "at-most-once" => Ok(InDoubtPolicy::AtMostOnce),
        "manual" => Ok(InDoubtPolicy::Manual),
        "proven-silence" => Ok(InDoubtPolicy::ResendAfterProvenSilence { after }),
        "resend-after" => Ok(InDoubtPolicy::ResendAfter { after }),
        _ => Err("at-most-once, manual, proven-silence or resend-after".to_owned()),
    }
}

fn point(text: &str) -> Result<Point, String> {
    text.parse()
}
