//! A campaign from a CSV file to its delivery report.
//!
//! Without arguments everything happens on this machine: the bundled contacts, a new SQLite file,
//! and a simulator of the Cloud API over HTTP. `--help` lists what else it can do.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod args;
mod dry_run;
mod failure;
mod progress;
mod report;
mod run;
mod setup;
mod store;

use std::process::ExitCode;

use args::Args;
use failure::Failure;

fn main() -> ExitCode {
    let wants_json = std::env::args().any(|arg| arg == "--json");
    let outcome = match Args::from_command_line(wants_json) {
        Ok(args) => start(args),
        Err(code) => return code,
    };
    match outcome {
        Ok(done) => {
            if wants_json {
                println!("{}", done.report.to_json());
            } else {
                println!("{}", done.report.to_text());
            }
            if let Some(blocked) = &done.blocked {
                eprintln!("{blocked}");
            }
            ExitCode::from(done.blocked.as_ref().map_or(0, |_| Failure::BLOCKED))
        }
        Err(failure) => failure.tell(wants_json),
    }
}

fn start(args: Args) -> Result<run::Done, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::other("the runtime did not start", error))?;
    let outcome = runtime.block_on(run::campaign(args));
    // Nothing that is left over is worth waiting for.
    runtime.shutdown_background();
    outcome
}
