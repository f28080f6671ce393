//! Civil time and instants: what a clock on the wall shows, and when it shows it.
//!
//! A civil time that a change to summer time leaves out (a *gap*) is the first instant after it; one
//! that comes twice (a *fold*) is the first of the two. Both follow from one sentence: a civil time is
//! the first instant at which the clock shows it or later.
//!
//! Only offsets at instants are asked for. They are constant for days on end: no zone changes twice
//! within [`CALM`], which a test over all zones checks.

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone as _, Utc};

use crate::model::{CivilDateTime, TimeZone, from_micros, micros};

/// The least time between two changes of one zone's clocks.
///
/// Source: the IANA zone database 2025b, transitions of 2020 to 2040.
pub const CALM: TimeDelta = TimeDelta::hours(48);

const SECOND: i64 = 1_000_000;
/// No zone is further from UTC than this.
const FURTHEST: i64 = 15 * 3_600 * SECOND;

/// What the clocks of a zone show at an instant.
///
/// ```
/// use wa_core::{model::from_micros, rules::civil};
/// let zone = "Asia/Kolkata".parse()?;
/// assert_eq!(civil::shown(&zone, from_micros(0)).to_string(), "1970-01-01 05:30:00");
/// # Ok::<(), wa_core::model::TimeZoneError>(())
/// ```
#[must_use]
pub fn shown(zone: &TimeZone, at: DateTime<Utc>) -> NaiveDateTime {
    from_micros(shown_micros(*zone, micros(at))).naive_utc()
}

/// The first instant at which the clocks of a zone show this or later.
///
/// ```
/// use wa_core::rules::civil;
/// let berlin = "Europe/Berlin".parse()?;
/// let at = |text: &str| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(civil::instant(&berlin, text.parse()?).to_rfc3339())
/// };
/// assert_eq!(at("2026-01-15 12:00")?, "2026-01-15T11:00:00+00:00");
/// assert_eq!(at("2026-03-29 02:30")?, "2026-03-29T01:00:00+00:00"); // left out: the first after
/// assert_eq!(at("2026-10-25 02:30")?, "2026-10-25T00:30:00+00:00"); // comes twice: the first
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn instant(zone: &TimeZone, civil: CivilDateTime) -> DateTime<Utc> {
    let wall = micros(civil.date().and_time(civil.time().naive()).and_utc());
    let (from, to) = (wall.saturating_sub(FURTHEST), wall.saturating_add(FURTHEST));
    let early = wall.saturating_sub(offset(*zone, from));
    let Some(change) = next_change(*zone, from, to).filter(|change| early >= *change) else {
        return from_micros(early);
    };
    // From the change on; in a gap the clock is past the civil time already.
    let late = wall.saturating_sub(offset(*zone, change));
    from_micros(late.max(change))
}

impl CivilDateTime {
    /// The first instant at which the clocks of a zone show this or later; see [`instant`].
    #[must_use]
    pub fn in_zone(self, zone: &TimeZone) -> DateTime<Utc> {
        instant(zone, self)
    }

    /// The minute that the clocks of a zone show at an instant.
    #[must_use]
    pub fn at(instant: DateTime<Utc>, zone: &TimeZone) -> Self {
        Self::of(shown(zone, instant))
    }
}

/// Microseconds since 1970-01-01 00:00 on the zone's own clocks.
pub(super) fn shown_micros(zone: TimeZone, at: i64) -> i64 {
    at.saturating_add(offset(zone, at))
}

/// How far a zone's clocks are ahead of UTC, in microseconds.
pub(super) fn offset(zone: TimeZone, at: i64) -> i64 {
    let offset = zone.tz().offset_from_utc_datetime(&from_micros(at).naive_utc());
    i64::from(offset.fix().local_minus_utc()) * SECOND
}

/// The instant in `from < at <= to` from which on the clocks go otherwise; none if they go on alike.
///
/// The span must be shorter than [`CALM`], so that it holds one change at most.
pub(super) fn next_change(zone: TimeZone, from: i64, to: i64) -> Option<i64> {
    let before = offset(zone, from);
    if offset(zone, to) == before {
        return None;
    }
    // Clocks change at whole seconds.
    let (mut same, mut other) = (from.div_euclid(SECOND), to.div_euclid(SECOND));
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset(zone, middle * SECOND) == before {
            same = middle;
        } else {
            other = middle;
        }
    }
    Some(other * SECOND)
}
