//! Whole microseconds: the one precision in which stores keep and compare instants.
//!
//! Invariant: an instant that went through [`whole_micros`] survives every store unchanged.

use chrono::{DateTime, Utc};

/// Cuts an instant down to whole microseconds since the Unix epoch, towards the past.
///
/// ```
/// use wa_core::model::{from_micros, micros, whole_micros};
/// let at = from_micros(1_700_000_000_000_001);
/// assert_eq!(whole_micros(at), at);
/// assert_eq!(micros(at), 1_700_000_000_000_001);
/// ```
#[must_use]
pub fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    from_micros(micros(at))
}

/// Microseconds since the Unix epoch; negative before 1970.
#[must_use]
pub fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// The instant that lies this many microseconds after the Unix epoch.
///
/// Values outside chrono's range (about ± 262,000 years) are clamped to its ends.
#[must_use]
pub fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}
