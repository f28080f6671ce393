//! The warm-up of a new number: how many messages it may begin on each of its first days.
//!
//! A day is a civil day in the tenant's zone, so it may have 23 or 25 hours.

use chrono::{DateTime, Datelike, Days, Utc};

use super::civil;
use crate::model::{CivilDateTime, CivilTime, Session, TimeZone, WarmUp};

/// The state of a number's warm-up on the present day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUpFacts {
    /// What the day allows.
    pub day: WarmUpDay,
    /// Messages of the day begun and not given back, this batch's included.
    pub used: u64,
}

/// One day of a warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUpDay {
    /// The civil day, counted from the year 1.
    pub number: i32,
    /// At most so many messages.
    pub cap: u32,
    /// When the next day begins.
    pub ends_at: DateTime<Utc>,
}

/// The present day of a session's warm-up; `None` without warm-up, or when it is over.
///
/// `zone` is the tenant's.
#[must_use]
pub fn today(session: &Session, zone: &TimeZone, now: DateTime<Utc>) -> Option<WarmUpDay> {
    let WarmUp { since, caps } = session.settings.warm_up.as_ref()?;
    let (first, _) = civil_day(zone, since.unwrap_or(session.created_at));
    let (number, ends_at) = civil_day(zone, now);
    // What lies before the first day, as after a change of the zone, is as the first day.
    let place = usize::try_from(number.saturating_sub(first)).unwrap_or(0);
    caps.get(place).map(|cap| WarmUpDay { number, cap: *cap, ends_at })
}

/// When a number whose share of the day is used up may go on; `None` when it may now.
#[must_use]
pub fn full_until(facts: &WarmUpFacts) -> Option<DateTime<Utc>> {
    (facts.used >= u64::from(facts.day.cap)).then_some(facts.day.ends_at)
}

/// The civil day of an instant in a zone, counted from the year 1, and the instant of its end.
#[must_use]
pub fn civil_day(zone: &TimeZone, at: DateTime<Utc>) -> (i32, DateTime<Utc>) {
    let day = civil::shown(zone, at).date();
    let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
    (day.num_days_from_ce(), civil::instant(zone, CivilDateTime::new(next, CivilTime::default())))
}
