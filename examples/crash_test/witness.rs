//! When requests start: what the transport saw on the clock when it last looked before one.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use wa_kit::port::{Clock, SendOutcome, SystemClock};

tokio::task_local! {
    static SEEN: Cell<Option<Duration>>;
}

/// The machine's clock, which remembers what it last said during a send.
#[derive(Debug)]
pub(crate) struct WatchedClock;

impl Clock for WatchedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        let at = SystemClock.monotonic();
        // Whoever asks outside a send is not watched.
        let _ = SEEN.try_with(|seen| seen.set(Some(at)));
        at
    }
}

/// What was seen of a request.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Start {
    InTime = b'.',
    /// It was not made: its time was over.
    Refused = b'x',
    Late = b'L',
}

/// Writes a byte for each request to a file, which outlives the process.
#[derive(Debug)]
pub(crate) struct Witness(File);

/// How many requests started in time, were refused at the check, and started too late.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Starts {
    pub(crate) in_time: u64,
    pub(crate) refused: u64,
    pub(crate) late: u64,
}

impl Witness {
    pub(crate) fn open(file: &Path) -> std::io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(file).map(Self)
    }

    /// Makes a request that may start until `start_by`, and notes whether it did.
    pub(crate) async fn watch(
        &self,
        start_by: Duration,
        send: impl Future<Output = SendOutcome>,
    ) -> SendOutcome {
        let send = async {
            let outcome = send.await;
            (outcome, SEEN.with(Cell::get))
        };
        let (outcome, seen) = SEEN.scope(Cell::new(None), send).await;
        let is_over = seen.is_none_or(|at| at >= start_by);
        let start = match (&outcome, is_over) {
            (SendOutcome::NotSent { .. }, true) => Start::Refused,
            (_, true) => Start::Late,
            (_, false) => Start::InTime,
        };
        let byte = [start as u8];
        (&self.0).write_all(&byte).expect("what was seen can be written");
        outcome
    }
}

impl Starts {
    /// What all processes saw.
    pub(crate) fn of(file: &Path) -> std::io::Result<Self> {
        let seen = std::fs::read(file)?;
        let count = |start: Start| {
            let found = seen.iter().filter(|byte| **byte == start as u8).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        Ok(Self { in_time: count(Start::InTime), refused: count(Start::Refused), late: count(Start::Late) })
    }
}
