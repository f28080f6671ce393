//! Time as a port, so that tests can hold it still.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};

use crate::model::whole_micros;

/// Tells the time.
///
/// # Clauses
/// - `now_is_in_whole_microseconds`: `now` has no part finer than a microsecond.
/// - `monotonic_never_goes_back`: `monotonic` never falls, whatever happens to the wall clock.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock, in whole microseconds.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed instant of this process; never falls.
    fn monotonic(&self) -> Duration;
}

const _OBJECT_SAFE: fn(&dyn Clock) = |_| {};

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one room that asks the machine for the time")]
    fn now(&self) -> DateTime<Utc> {
        whole_micros(SystemTime::now().into())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one room that asks the machine for the time")]
    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}
