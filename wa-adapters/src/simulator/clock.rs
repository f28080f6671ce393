//! The simulator's own time: real, or moved by hand.
//!
//! Invariant: a clock never goes back, so that meters need no case for it. Everything in the
//! simulator that waits (slow answers, status delays, back-off of the callbacks) waits on this
//! clock, which is why a test on manual time needs no sleeping.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

/// Microseconds since the Unix epoch.
pub(crate) type Micros = i64;

/// One second.
pub(crate) const SECOND: Micros = 1_000_000;
/// Twenty-four hours.
pub(crate) const DAY: Micros = 24 * 60 * 60 * SECOND;

/// A wait that ends when a clock has reached an instant.
pub type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Tells the simulator the time and lets it wait.
pub trait SimulatorClock: Debug + Send + Sync + 'static {
    /// The time; never falls.
    fn now(&self) -> DateTime<Utc>;

    /// Ends when `now` has reached `until`; at once when it already has.
    fn wait_until(&self, until: DateTime<Utc>) -> Wait<'_>;
}

const _OBJECT_SAFE: fn(&dyn SimulatorClock) = |_| {};

/// Real time: the wall clock as it was at the start, moved on by the monotonic one.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    wall: DateTime<Utc>,
    start: Instant,
}

impl RealClock {
    /// Reads the machine's clocks once.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one room of the simulator that asks the machine for time"
    )]
    pub fn new() -> Self {
        Self { wall: std::time::SystemTime::now().into(), start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatorClock for RealClock {
    fn now(&self) -> DateTime<Utc> {
        self.wall + self.start.elapsed()
    }

    fn wait_until(&self, until: DateTime<Utc>) -> Wait<'_> {
        let wait = (until - self.now()).to_std().unwrap_or_default();
        Box::pin(tokio::time::sleep(wait))
    }
}

/// Time that stands still until it is moved.
///
/// ```
/// use std::time::Duration;
/// use wa_adapters::simulator::{ManualClock, SimulatorClock};
///
/// let clock = ManualClock::default();
/// let before = clock.now();
/// clock.clone().advance(Duration::from_secs(6));
/// assert_eq!((clock.now() - before).num_seconds(), 6);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<watch::Sender<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(watch::Sender::new(now)))
    }

    /// Moves time on and wakes everything whose instant has come.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by);
    }
}

impl Default for ManualClock {
    /// Stands at 2026-11-01 00:00 UTC.
    fn default() -> Self {
        Self::at(DateTime::from_timestamp(1_793_491_200, 0).unwrap_or_default())
    }
}

impl SimulatorClock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    fn wait_until(&self, until: DateTime<Utc>) -> Wait<'_> {
        let mut moves = self.0.subscribe();
        Box::pin(async move {
            // The sender lives as long as `self`, so the wait cannot fail.
            let _ = moves.wait_for(|now| *now >= until).await;
        })
    }
}

/// An instant as the meters count it.
pub(crate) fn micros(at: DateTime<Utc>) -> Micros {
    at.timestamp_micros()
}

/// An instant as people read it.
pub(crate) fn instant(at: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at).unwrap_or_default()
}

/// A length of time as the meters count it; what does not fit is for ever.
pub(crate) fn length(of: Duration) -> Micros {
    Micros::try_from(of.as_micros()).unwrap_or(Micros::MAX / 4)
}
