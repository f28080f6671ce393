//! When a recurrence happens next: every civil slot once, whatever the clocks do.
//!
//! Slots are found by their number, so nothing is counted up from the first one.

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc, Weekday};

use super::civil;
use crate::model::{CivilDateTime, Nth, Recurrence, RecurrenceEnd, Repeat, Slot};

/// When a slot is.
#[must_use]
pub fn instant(recurrence: &Recurrence, slot: &Slot) -> DateTime<Utc> {
    civil::instant(&recurrence.zone, slot.civil)
}

/// The first slot after an instant, and its own instant; `None` if it has ended.
///
/// Strictly later than `after`, so that a walk from each to the next never stands still.
///
/// ```
/// use wa_core::{model::{Recurrence, Repeat}, rules::recur};
/// let daily = Recurrence::new(
///     Repeat::Days { every: 1 },
///     "2026-03-28 02:30".parse()?,
///     "Europe/Berlin".parse()?,
/// );
/// let mut at = "2026-03-27T12:00:00Z".parse()?;
/// let mut next = || {
///     let (_, next) = recur::next_after(&daily, at)?;
///     at = next;
///     Some(next.to_rfc3339())
/// };
/// assert_eq!(next().as_deref(), Some("2026-03-28T01:30:00+00:00"));
/// assert_eq!(next().as_deref(), Some("2026-03-29T01:00:00+00:00")); // 02:30 is left out that day
/// assert_eq!(next().as_deref(), Some("2026-03-30T00:30:00+00:00"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn next_after(recurrence: &Recurrence, after: DateTime<Utc>) -> Option<(Slot, DateTime<Utc>)> {
    // Two days back: whatever the clocks did, the slots before are over.
    let day = civil::shown(&recurrence.zone, after).date().checked_sub_days(Days::new(2))?;
    let mut number = number_from(recurrence, day);
    loop {
        let slot = slot(recurrence, number)?;
        let at = instant(recurrence, &slot);
        if at > after {
            return Some((slot, at));
        }
        number += 1;
    }
}

/// The last slot that is not after an instant; `None` before the first one.
#[must_use]
pub fn last_until(recurrence: &Recurrence, now: DateTime<Utc>) -> Option<(Slot, DateTime<Utc>)> {
    let day = civil::shown(&recurrence.zone, now).date().checked_add_days(Days::new(2))?;
    let beyond = number_from(recurrence, day);
    // Where it has ended, the last slot of all.
    let last = match recurrence.end {
        RecurrenceEnd::Never => beyond,
        RecurrenceEnd::Until(end) => beyond.min(number_from(recurrence, end) + 1),
        RecurrenceEnd::Times(times) => beyond.min(u64::from(times)),
    };
    (1..=last).rev().find_map(|number| {
        let slot = slot(recurrence, number)?;
        Some((slot, instant(recurrence, &slot))).filter(|(_, at)| *at <= now)
    })
}

/// A slot by its number, from 1; `None` if it has ended before.
#[must_use]
pub fn slot(recurrence: &Recurrence, number: u64) -> Option<Slot> {
    let index = i64::try_from(number.checked_sub(1)?).ok()?;
    let date = date(recurrence, index.checked_add(skipped(recurrence))?)?;
    let is_over = match recurrence.end {
        RecurrenceEnd::Never => false,
        RecurrenceEnd::Until(end) => date > end,
        RecurrenceEnd::Times(times) => number > u64::from(times),
    };
    (!is_over).then(|| Slot { number, civil: CivilDateTime::new(date, recurrence.time) })
}

/// The number of the first slot on or after a day.
fn number_from(recurrence: &Recurrence, day: NaiveDate) -> u64 {
    let place = place_from(recurrence, day.max(recurrence.from)) - skipped(recurrence);
    u64::try_from(place).unwrap_or(0) + 1
}

/// How many places of the first week or month lie before the first day.
fn skipped(recurrence: &Recurrence) -> i64 {
    place_from(recurrence, recurrence.from)
}

/// The day of a place, counted from 0 at the beginning of the first week or month.
fn date(recurrence: &Recurrence, place: i64) -> Option<NaiveDate> {
    let Recurrence { repeat, from, .. } = recurrence;
    match *repeat {
        Repeat::Days { every } => day_after(*from, place.checked_mul(i64::from(every))?),
        Repeat::Weeks { every, on } => {
            let (period, rest) = split(place, i64::try_from(on.iter().count()).ok()?)?;
            let weekday = on.iter().nth(usize::try_from(rest).ok()?)?;
            let weeks = period.checked_mul(i64::from(every))?;
            day_after(monday(*from)?, weeks.checked_mul(7)?.checked_add(offset(weekday))?)
        }
        Repeat::MonthDay { every, day } => {
            let first = month_after(*from, place.checked_mul(i64::from(every))?)?;
            (1..=day).rev().find_map(|day| first.with_day(u32::from(day)))
        }
        Repeat::MonthWeekday { every, nth, weekday } => {
            let first = month_after(*from, place.checked_mul(i64::from(every))?)?;
            nth_weekday(first, nth, weekday)
        }
    }
}

/// The first place whose day is not before a day; the day is not before the first one.
fn place_from(recurrence: &Recurrence, day: NaiveDate) -> i64 {
    let Recurrence { repeat, from, .. } = recurrence;
    let guess = match *repeat {
        Repeat::Days { every } => {
            day.signed_duration_since(*from).num_days().div_euclid(i64::from(every.max(1)))
        }
        Repeat::Weeks { every, on } => {
            let Some(monday) = monday(*from) else { return 0 };
            let weeks = day.signed_duration_since(monday).num_days().div_euclid(7);
            let days = i64::try_from(on.iter().count()).unwrap_or(0);
            weeks.div_euclid(i64::from(every.max(1))).saturating_mul(days)
        }
        Repeat::MonthDay { every, .. } | Repeat::MonthWeekday { every, .. } => {
            (months(day) - months(*from)).div_euclid(i64::from(every.max(1)))
        }
    };
    // The guess is the first place of the day's own period: at most seven behind.
    let later =
        (guess..guess.saturating_add(8)).find(|place| date(recurrence, *place).is_some_and(|it| it >= day));
    later.unwrap_or(guess)
}

fn split(place: i64, by: i64) -> Option<(i64, i64)> {
    Some((place.checked_div_euclid(by)?, place.checked_rem_euclid(by)?))
}

fn monday(day: NaiveDate) -> Option<NaiveDate> {
    day_after(day, -offset(day.weekday()))
}

fn offset(weekday: Weekday) -> i64 {
    i64::from(weekday.num_days_from_monday())
}

fn day_after(day: NaiveDate, days: i64) -> Option<NaiveDate> {
    day.checked_add_signed(chrono::TimeDelta::try_days(days)?)
}

/// Months since the year 0.
fn months(day: NaiveDate) -> i64 {
    i64::from(day.year()) * 12 + i64::from(day.month0())
}

/// The first day of the month so many months later.
fn month_after(day: NaiveDate, later: i64) -> Option<NaiveDate> {
    let (year, month0) = split(months(day).checked_add(later)?, 12)?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month0).ok()? + 1, 1)
}

fn nth_weekday(first: NaiveDate, nth: Nth, weekday: Weekday) -> Option<NaiveDate> {
    let n = match nth {
        Nth::First => 1,
        Nth::Second => 2,
        Nth::Third => 3,
        Nth::Fourth => 4,
        Nth::Last => {
            let fifth = NaiveDate::from_weekday_of_month_opt(first.year(), first.month(), weekday, 5);
            return fifth.or_else(|| nth_weekday(first, Nth::Fourth, weekday));
        }
    };
    NaiveDate::from_weekday_of_month_opt(first.year(), first.month(), weekday, n)
}
