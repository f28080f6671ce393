//! Runs the engine in its simulated world, or replays one seed of it.
//!
//! ```text
//! cargo run --release -p wa-core --features engine,testing --example simulate -- --seeds 20000
//! cargo run --release -p wa-core --features engine,testing --example simulate -- --seed 17 --trace
//! cargo run --release -p wa-core --features engine,testing --example simulate -- --seeds 20 --every-crash
//! cargo run --release -p wa-core --features mutants --example simulate -- --seeds 200 --mutant M3
//! ```
//!
//! `--every-crash` makes a run of each seed for every opportunity at which a process can die, in which
//! nothing else goes wrong.
//!
//! Prints what was run, what was met and every promise that was not kept, each with the command that
//! replays its seed. Exits with 1 when a promise was not kept, or when `--seeds` is 2,000 or more and
//! something interesting was never met.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use wa_core::testing::simulation::{Report, Setup, Totals, simulate};

/// From how many runs on every mark must have been met.
const ENOUGH: u64 = 2_000;

struct Arguments {
    from: u64,
    seeds: u64,
    jobs: u64,
    every_crash: bool,
    setup: Setup,
    /// How the setup was asked for, to be repeated.
    flags: String,
}

fn arguments() -> Result<Arguments, String> {
    let mut read = Arguments {
        from: 0,
        seeds: 300,
        jobs: 2,
        every_crash: false,
        setup: Setup::default(),
        flags: String::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match word.as_str() {
            "--from" => read.from = number(value()?)?,
            "--seeds" => read.seeds = number(value()?)?,
            "--jobs" => read.jobs = number(value()?)?.max(1),
            "--seed" => (read.from, read.seeds) = (number(value()?)?, 1),
            "--trace" => read.setup.trace = true,
            "--every-crash" => read.every_crash = true,
            "--crash-at" => read.setup.crash_at = Some(number(value()?)?),
            "--mutant" => {
                let name = value()?;
                mutate(&mut read.setup, &name)?;
                read.flags.push_str(&format!(" --mutant {name}"));
            }
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(read)
}

#[cfg(feature = "mutants")]
fn mutate(setup: &mut Setup, name: &str) -> Result<(), String> {
    setup.mutant = Some(wa_core::testing::Mutant::from_name(name).ok_or("a mutant is one of M1 to M8")?);
    Ok(())
}

#[cfg(not(feature = "mutants"))]
fn mutate(_: &mut Setup, _: &str) -> Result<(), String> {
    Err("mutants need the feature `mutants`".to_owned())
}

/// The command that replays a seed.
fn replay(seed: u64, flags: &str) -> String {
    let features = if cfg!(feature = "mutants") { "mutants" } else { "engine,testing" };
    format!(
        "cargo run --release -p wa-core --features {features} --example simulate -- --seed {seed}{flags} --trace"
    )
}

fn run_all(arguments: &Arguments) -> Totals {
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.seeds;
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.min(arguments.seeds) {
            scope.spawn(|| {
                let mut own = Totals::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let setup = arguments.setup.clone();
                    if arguments.every_crash {
                        crash_everywhere(seed, setup, arguments, &mut own);
                    } else {
                        let report = simulate(seed, &setup);
                        show(&report, &setup, arguments);
                        own.add(&report);
                    }
                }
                totals.lock().expect("no run panicked").join(own);
            });
        }
    });
    totals.into_inner().expect("no run panicked")
}

/// A run for each opportunity at which a process can die, in which nothing else goes wrong.
fn crash_everywhere(seed: u64, mut setup: Setup, arguments: &Arguments, totals: &mut Totals) {
    setup.crash_at = Some(u64::MAX);
    let opportunities = simulate(seed, &setup).opportunities;
    for opportunity in 1..=opportunities {
        setup.crash_at = Some(opportunity);
        let report = simulate(seed, &setup);
        show(&report, &setup, arguments);
        totals.add(&report);
    }
}

#[expect(clippy::print_stdout, reason = "it is a program")]
fn show(report: &Report, setup: &Setup, arguments: &Arguments) {
    for line in &report.trace {
        println!("{line}");
    }
    for violation in &report.violations {
        println!(
            "seed {} at {:.3} s: {} {}",
            report.seed,
            violation.at.as_secs_f64(),
            violation.promise,
            violation.what
        );
    }
    if !report.violations.is_empty() {
        let crash = setup.crash_at.map(|at| format!(" --crash-at {at}")).unwrap_or_default();
        println!("    {}", replay(report.seed, &format!("{}{crash}", arguments.flags)));
    }
}

#[expect(clippy::print_stdout, reason = "it is a program")]
fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::from(2);
        }
    };
    let totals = run_all(&arguments);
    println!(
        "{} seeds from {}, {} steps, {:.1} hours of simulated time, {} seeds with violations",
        totals.seeds,
        arguments.from,
        totals.steps,
        totals.span.as_secs_f64() / 3_600.0,
        totals.failures.len()
    );
    for (mark, count) in totals.marks.iter() {
        println!("{count:>10}  {}", mark.name());
    }
    let missed = totals.missed();
    let incomplete = totals.seeds >= ENOUGH && !arguments.every_crash && !missed.is_empty();
    if incomplete {
        println!("never met: {missed:?}");
    }
    if totals.failures.is_empty() && !incomplete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
