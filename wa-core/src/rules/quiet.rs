//! Quiet hours: whether somebody may be written to now, and from when on.
//!
//! It is quiet in a zone while its clocks show a time within the hours: in the hour that comes twice
//! in autumn both times, and an end that is left out in spring is the first instant after it.
//!
//! Where a recipient's zone is one of several, nobody is woken if that can be helped. An instant is
//! good enough if
//! 1. it is quiet in none of the zones; else, if the next 24 hours have no such instant,
//! 2. it is quiet in fewer than half of them; else, if the next 24 hours have no such instant either,
//! 3. it is not quiet in the first of them.
//!
//! The steps 2 and 3 matter only for hours so long that they and the distance of the zones fill a day:
//! a night of eleven hours leaves an instant for any country, and for all countries of code +1 together.

use chrono::{DateTime, TimeDelta, Utc};

use super::civil::{next_change, shown_micros};
use super::zones::ZoneSet;
use crate::model::{QuietHours, TimeZone, from_micros, micros};

/// Minutes of a day.
const MINUTES: i64 = 24 * 60;
const MINUTE: i64 = 60 * 1_000_000;
const DAY: i64 = MINUTES * MINUTE;
/// How far ahead it is looked: two weeks, so that days which are quiet as a whole do not end the search.
const HORIZON: i64 = 14;

/// How long before it gets quiet nothing begins any more: the longest time that may lie between the
/// begin of a message and its departure (`start_within` is at most as long).
pub const LEAVES_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// The first instant after `now` at which a message may begin, so that it is neither quiet when it
/// begins nor when it leaves; `None` if it may begin now.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use wa_core::{model::QuietHours, rules::{quiet, zones::ZoneSet}};
/// let night = [QuietHours::daily("21:00".parse()?, "08:00".parse()?)];
/// let utc = ZoneSet::from(wa_core::model::TimeZone::UTC);
/// let at = |text: &str| text.parse::<DateTime<Utc>>();
/// assert_eq!(quiet::begins_at(&night, &utc, at("2026-07-01T20:58:59Z")?), None);
/// assert_eq!(quiet::begins_at(&night, &utc, at("2026-07-01T20:59:00Z")?), Some(at("2026-07-02T08:00:00Z")?));
/// assert_eq!(quiet::begins_at(&night, &utc, at("2026-07-02T08:00:00Z")?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn begins_at(hours: &[QuietHours], zones: &ZoneSet, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    quiet_until(hours, zones, now).or_else(|| quiet_until(hours, zones, now + LEAVES_WITHIN))
}

/// The first instant after `now` where no message may begin any more; to the minute, looked for until
/// `latest`, over a day at most. `None` when none may begin at `now` already.
///
/// It is looked for in steps of half the shortest span, so that a stretch that a change of clocks, or
/// several zones of which it is quiet in most, cut to less than that may be overlooked.
pub(crate) fn gets_quiet_at(
    hours: &[QuietHours],
    zones: &ZoneSet,
    now: DateTime<Utc>,
    latest: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let first = now.timestamp() - now.timestamp().rem_euclid(60);
    let at = |minute: i64| DateTime::from_timestamp(first + 60 * minute, 0);
    let is_quiet = |minute: i64| at(minute).is_some_and(|at| begins_at(hours, zones, at).is_some());
    let length = |span: &QuietHours| {
        let (from, to) = (i64::from(span.from.minute_of_day()), i64::from(span.to.minute_of_day()));
        (to - from).rem_euclid(MINUTES)
    };
    if begins_at(hours, zones, now).is_some() {
        return None;
    }
    let end = (latest.timestamp() - first).div_euclid(60).min(MINUTES);
    let step = (hours.iter().map(length).filter(|length| *length > 0).min()? / 2).max(1);
    let mut free = 0;
    while free < end {
        let mut quiet = (free + step).min(end);
        if !is_quiet(quiet) {
            free = quiet;
            continue;
        }
        while quiet - free > 1 {
            let middle = free + (quiet - free) / 2;
            *(if is_quiet(middle) { &mut quiet } else { &mut free }) = middle;
        }
        return at(quiet);
    }
    None
}

/// The first instant after `now` at which it may go; `None` if it may go now.
///
/// Exact to the microsecond: right before the instant it may not go. Hours that leave no instant of
/// two weeks, which [`QuietSettings::validate`](crate::model::QuietSettings::validate) refuses, give
/// the end of these two weeks.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use wa_core::{model::QuietHours, rules::{quiet, zones::ZoneSet}};
/// let night = [QuietHours::daily("21:00".parse()?, "08:00".parse()?)];
/// let madrid = ZoneSet::from("Europe/Madrid".parse::<wa_core::model::TimeZone>()?);
/// let at = |text: &str| text.parse::<DateTime<Utc>>();
/// assert_eq!(quiet::quiet_until(&night, &madrid, at("2026-07-01T18:59:59Z")?), None);
/// assert_eq!(
///     quiet::quiet_until(&night, &madrid, at("2026-07-01T19:00:00Z")?),
///     Some(at("2026-07-02T06:00:00Z")?),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn quiet_until(hours: &[QuietHours], zones: &ZoneSet, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let start = micros(now);
    let free = first_good(hours, zones, start);
    (free > start).then(|| from_micros(free))
}

/// Whether it is quiet in a zone at an instant.
#[must_use]
pub fn is_quiet(hours: &[QuietHours], zone: &TimeZone, at: DateTime<Utc>) -> bool {
    rest(hours, *zone, micros(at)).is_some()
}

/// The first instant from `start` on that is good enough.
fn first_good(hours: &[QuietHours], zones: &ZoneSet, start: i64) -> i64 {
    let end = start.saturating_add(HORIZON * DAY);
    let mut at = start;
    while at < end {
        let day_after = at.saturating_add(DAY);
        if let Some(free) = free_nowhere(hours, zones, at, day_after) {
            return free;
        }
        let free = free_in_most(hours, zones, at, day_after)
            .or_else(|| free_in(hours, zones.first(), at, day_after));
        match free {
            Some(free) if free == at => return at,
            // Nothing before it is good enough, and itself only if its own next 24 hours have nothing better.
            Some(free) => at = free,
            None => at = day_after,
        }
    }
    end
}

/// The first instant of a span at which it is quiet in no zone.
fn free_nowhere(hours: &[QuietHours], zones: &ZoneSet, from: i64, to: i64) -> Option<i64> {
    let mut at = from;
    loop {
        let mut free = at;
        for zone in zones.iter() {
            free = free.max(free_in(hours, zone, at, to)?);
        }
        if free == at {
            return Some(at);
        }
        at = free;
    }
}

/// The first instant of a span at which it is quiet in fewer than half of the zones.
fn free_in_most(hours: &[QuietHours], zones: &ZoneSet, from: i64, to: i64) -> Option<i64> {
    let mut at = from;
    while at <= to {
        let (mut all, mut quiet, mut next) = (0_u32, 0_u32, i64::MAX);
        for zone in zones.iter() {
            all += 1;
            // The count can only fall where it stops being quiet in a zone.
            if let Some(free) = next_free(hours, zone, at) {
                quiet += 1;
                next = next.min(free);
            }
        }
        if quiet * 2 < all {
            return Some(at);
        }
        at = next;
    }
    None
}

/// The first instant of a span at which it is not quiet in a zone.
fn free_in(hours: &[QuietHours], zone: TimeZone, from: i64, to: i64) -> Option<i64> {
    let mut at = from;
    while let Some(next) = next_free(hours, zone, at) {
        at = next;
        if at > to {
            return None;
        }
    }
    Some(at)
}

/// Where it may stop being quiet in a zone in which it is quiet now.
fn next_free(hours: &[QuietHours], zone: TimeZone, at: i64) -> Option<i64> {
    let end = at.saturating_add(rest(hours, zone, at)?);
    // Where the clocks change meanwhile, what they show from then on counts.
    Some(next_change(zone, at, end).unwrap_or(end))
}

/// How long it is still quiet in a zone if its clocks go on evenly; `None` if it is not quiet.
fn rest(hours: &[QuietHours], zone: TimeZone, at: i64) -> Option<i64> {
    let shown = shown_micros(zone, at);
    let (day, since_midnight) = (shown.div_euclid(DAY), shown.rem_euclid(DAY));
    let end = |span: &QuietHours| {
        let from = i64::from(span.from.minute_of_day()) * MINUTE;
        let to = i64::from(span.to.minute_of_day()) * MINUTE;
        if from <= since_midnight && (since_midnight < to || to < from) && span.days.has_day(day) {
            Some(if from < to { to } else { DAY + to })
        } else {
            (since_midnight < to && to < from && span.days.has_day(day - 1)).then_some(to)
        }
    };
    hours.iter().filter_map(end).max().map(|end| end - since_midnight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::zones;

    /// What a look at every minute gives.
    fn minute_by_minute(hours: &[QuietHours], zones: &ZoneSet, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = now.timestamp() - now.timestamp().rem_euclid(60);
        let minutes = (1..=MINUTES).filter_map(|minute| DateTime::from_timestamp(first + 60 * minute, 0));
        minutes.into_iter().find(|at| begins_at(hours, zones, *at).is_some())
    }

    #[test]
    fn the_minute_at_which_it_gets_quiet_is_found_in_few_steps() {
        let span = |from: &str, to: &str| {
            QuietHours::daily(from.parse().expect("a time"), to.parse().expect("a time"))
        };
        let sets = [
            vec![span("21:00", "08:00")],
            vec![span("12:00", "15:30")],
            vec![span("01:30", "09:00"), span("22:15", "23:00")],
            vec![span("13:00", "13:05"), span("09:00", "09:00")],
        ];
        let phone = |digits: &str| crate::model::Phone::from_digits(digits).expect("a phone");
        let utc = TimeZone::UTC;
        let mut found = 0;
        for hours in &sets {
            for digits in ["4915112345678", "12125551234", "5511998765432"] {
                let zones = zones::of(None, Some(phone(digits)), utc);
                // Over both changes of clocks of a year, at instants that are no whole minutes.
                for n in 0..400 {
                    let now = from_micros(1_790_000_000_000_000 + n * 41_234_567_890);
                    if begins_at(hours, &zones, now).is_some() {
                        assert_eq!(gets_quiet_at(hours, &zones, now, now + TimeDelta::days(1)), None);
                    } else {
                        let (far, near) = (now + TimeDelta::days(31), now + TimeDelta::minutes(90));
                        let at = gets_quiet_at(hours, &zones, now, far);
                        assert_eq!(at, minute_by_minute(hours, &zones, now), "{hours:?} {digits} {now}");
                        let soon = gets_quiet_at(hours, &zones, now, near);
                        assert_eq!(soon, at.filter(|at| *at <= near), "{hours:?} {digits} {now}");
                        found += usize::from(at.is_some());
                    }
                }
            }
        }
        assert!(found > 2_000, "{found}");
        let (never, zones) = ([span("09:00", "09:00")], ZoneSet::from(utc));
        assert_eq!(gets_quiet_at(&never, &zones, from_micros(0), from_micros(DAY)), None);
    }
}
