//! How fast messages are dispatched: the whole engine (claim, judge, begin, send, settle), beside hand-written
//! queues on the same database.
//!
//! `cargo bench --bench dispatch -- --store memory|sqlite|postgres --messages N --sessions S [--tenants T]
//! [--transport null|http] [--max-in-doubt M] [--rounds R] [--json]`
//!
//! Subject and baselines alternate, `--rounds` times; the figures are medians. The baselines are
//!
//! - `lease`: a batch drain by lease, as the fastest queues do it: 1,000 rows are claimed with
//!   `UPDATE … SKIP LOCKED`, then completed with `UPDATE … FROM UNNEST`. A crash repeats them.
//! - `append`: the owner reads, and two `INSERT … UNNEST` per batch say what was begun and how it ended:
//!   what the database allows.
//! - `single`: one row claimed, one row completed, a commit for each: what a naive worker does.
//! - `reqwest` (with `--transport http`): the same requests by the same client in a bare loop.

mod counting;
#[path = "../harness/mod.rs"]
mod harness;
mod http;
mod place;
mod postgres;
mod sqlite;
mod subject;

use std::fmt::Display;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use counting::Counted;
use harness::{Anyhow, Line, median, per, rate};
use place::Place;

/// Rows of one batch of a baseline.
pub(crate) const BATCH: u64 = 1_000;

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, value_enum, default_value = "sqlite")]
    store: StoreKind,
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// Sending numbers, of all tenants together.
    #[arg(long, default_value_t = 50)]
    sessions: u64,
    #[arg(long, default_value_t = 1)]
    tenants: u64,
    #[arg(long, value_enum, default_value = "null")]
    transport: TransportKind,
    /// `max_in_doubt_per_crash` of the engine.
    #[arg(long, default_value_t = 4_096)]
    max_in_doubt: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Messages of the baseline that commits each row.
    #[arg(long, default_value_t = 2_000)]
    single: u64,
    /// Only the subject.
    #[arg(long)]
    alone: bool,
    #[arg(long)]
    json: bool,
    /// Plays the provider for another process of this bench.
    #[arg(long, hide = true)]
    serve: bool,
    /// What `cargo bench` says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    Memory,
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportKind {
    Null,
    Http,
}

/// An id as the provider gives them, and as long.
pub(crate) fn provider_id(of: impl Display) -> String {
    format!("wamid.HBgLNDkxNTExMDAwMDAxFQIAERgS{of:018}")
}

/// What one run of a baseline or of the subject's launch did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drained {
    pub(crate) rows: u64,
    pub(crate) took: Duration,
    pub(crate) commits: u64,
}

fn main() -> Result<(), Anyhow> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if args.serve {
            return http::serve().await;
        }
        run(&args).await
    })
}

/// The figures of all rounds under one name.
#[derive(Debug, Default)]
struct Series {
    name: &'static str,
    rates: Vec<f64>,
    commits: Vec<f64>,
}

impl Series {
    fn add(&mut self, drained: Drained) {
        self.rates.push(rate(drained.rows, drained.took));
        self.commits.push(per(drained.commits * 1_000, drained.rows));
    }
}

async fn run(args: &Args) -> Result<(), Anyhow> {
    let provider = match args.transport {
        TransportKind::Null => None,
        TransportKind::Http => Some(http::Provider::start().await?),
    };
    let origin = provider.as_ref().map(|it| it.origin.as_str());
    let mut runs = Vec::new();
    let mut launch = Series { name: "launch", ..Series::default() };
    let mut baselines = [
        Series { name: "lease", ..Series::default() },
        Series { name: "append", ..Series::default() },
        Series { name: "single", ..Series::default() },
        Series { name: "insert", ..Series::default() },
        Series { name: "reqwest", ..Series::default() },
    ];
    let mut bare_cpu = Vec::new();
    for round in 0..args.rounds {
        let place = Place::fresh(args.store).await?;
        // Statements are counted in the first round and not in the others: to count them takes time.
        let measured = subject::run(args, &place, origin, round == 0 && args.rounds > 1).await?;
        launch.add(measured.launch);
        runs.push(measured);
        drop(place);
        if args.alone {
            continue;
        }
        let [lease, append, single, insert, bare] = &mut baselines;
        match args.store {
            StoreKind::Memory => {}
            StoreKind::Sqlite => {
                lease.add(sqlite::lease(args.messages)?);
                append.add(sqlite::append(args.messages)?);
                single.add(sqlite::single(args.single)?);
                insert.add(sqlite::insert(args.messages)?);
            }
            StoreKind::Postgres => {
                lease.add(postgres::lease(args.messages).await?);
                append.add(postgres::append(args.messages).await?);
                single.add(postgres::single(args.single).await?);
                insert.add(postgres::insert(args.messages).await?);
            }
        }
        if let Some(origin) = origin {
            let (drained, cpu) = http::bare(origin, args.messages, args.concurrency).await?;
            bare.add(drained);
            bare_cpu.extend(cpu);
        }
    }
    report(args, &runs, &launch, &baselines, &bare_cpu);
    Ok(())
}

fn report(args: &Args, runs: &[subject::Measured], launch: &Series, baselines: &[Series], bare_cpu: &[f64]) {
    // Where there is more than one round, the one that counts statements is not timed.
    let timed = runs.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(runs);
    let all =
        |figure: &dyn Fn(&subject::Measured) -> f64| median(&timed.iter().map(figure).collect::<Vec<_>>());
    let own = all(&|run| rate(args.messages, run.took));
    let cpu = all(&|run| run.cpu_micros);
    let mut line = Line::new("dispatch")
        .with("store", format!("{:?}", args.store).to_lowercase())
        .with("transport", format!("{:?}", args.transport).to_lowercase())
        .with("messages", args.messages)
        .with("sessions", args.sessions)
        .with("tenants", args.tenants)
        .with("max_in_doubt", args.max_in_doubt)
        .with("rounds", timed.len())
        .figure("messages_per_s", own)
        .figure("slowest", timed.iter().map(|run| rate(args.messages, run.took)).fold(f64::MAX, f64::min))
        .figure("fastest", timed.iter().map(|run| rate(args.messages, run.took)).fold(0.0, f64::max))
        .figure("cpu_us_per_message", cpu)
        .figure("last_tenth_of_first", all(&|run| run.last_of_first))
        .with("peak_kib", timed.iter().map(|run| run.peak_kib).max().unwrap_or_default())
        .figure("commits_per_1000", all(&|run| per(run.commits * 1_000, args.messages)));
    if let Some(Counted(statements)) = runs.first().and_then(|run| run.counted) {
        line = line.figure("statements_per_1000", per(statements * 1_000, args.messages));
    }
    if let Some(rows) = timed.last().and_then(|run| run.rows_written) {
        line = line.figure("rows_written_per_message", per(rows, args.messages));
    }
    if let Some(bytes) = timed.last().and_then(|run| run.bytes) {
        line = line
            .figure("bytes_per_message", per(bytes.hot, args.messages))
            .figure("all_bytes_per_message", per(bytes.all, args.messages));
    }
    for series in baselines.iter().filter(|series| !series.rates.is_empty()) {
        let base = median(&series.rates);
        let (base_name, subject) = if series.name == "insert" {
            ("launch_ratio_to_insert".to_owned(), median(&launch.rates))
        } else {
            (format!("ratio_to_{}", series.name), own)
        };
        line = line
            .figure(&format!("{}_per_s", series.name), base)
            .figure(&format!("{}_commits_per_1000", series.name), median(&series.commits))
            .figure(&base_name, subject / base);
    }
    line = line.figure("launch_per_s", median(&launch.rates));
    if !bare_cpu.is_empty() {
        let bare = median(bare_cpu);
        line = line.figure("reqwest_cpu_us", bare).figure("cpu_us_on_top", cpu - bare);
    }
    line.print(args.json);
}
