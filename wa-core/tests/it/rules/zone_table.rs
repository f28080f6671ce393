//! Every zone and every change of its clocks from 2020 to 2040: nothing goes out in quiet time.
//!
//! What is expected is counted out minute by minute from the offsets before and after a change.

use std::fmt::Write as _;

use chrono::{Offset, TimeDelta, TimeZone as _};
use wa_core::model::{QuietHours, TimeZone, from_micros};
use wa_core::rules::civil::CALM;
use wa_core::rules::quiet::quiet_until;
use wa_core::rules::zones::ZoneSet;

const MINUTE: i64 = 60_000_000;
/// 2020-01-01 and 2041-01-01, in minutes since 1970.
const SPAN: (i64, i64) = (26_297_280, 37_342_080);

/// How far a zone is ahead of UTC, in minutes, by chrono-tz itself.
fn offset(tz: chrono_tz::Tz, minute: i64) -> i64 {
    let at = from_micros(minute * MINUTE).naive_utc();
    let seconds = i64::from(tz.offset_from_utc_datetime(&at).fix().local_minus_utc());
    assert_eq!(seconds % 60, 0, "whole minutes");
    seconds / 60
}

/// The minutes at which a zone's clocks change, each with the offset from then on; first how it began.
pub(super) fn changes(zone: TimeZone) -> Vec<(i64, i64)> {
    let tz: chrono_tz::Tz = zone.name().parse().expect("a zone");
    let mut changes = vec![(SPAN.0, offset(tz, SPAN.0))];
    let step = 6 * 60;
    let mut from = SPAN.0;
    while from < SPAN.1 {
        let before = changes.last().expect("the first").1;
        if offset(tz, from + step) != before {
            let (mut same, mut other) = (from, from + step);
            while other - same > 1 {
                let middle = (same + other) / 2;
                *(if offset(tz, middle) == before { &mut same } else { &mut other }) = middle;
            }
            changes.push((other, offset(tz, other)));
        }
        from += step;
    }
    changes
}

/// A zone around one change of its clocks, in minutes.
#[derive(Clone, Copy)]
struct Change {
    zone: TimeZone,
    at: i64,
    before: i64,
    after: i64,
}

impl Change {
    fn shown(&self, minute: i64) -> i64 {
        minute + if minute < self.at { self.before } else { self.after }
    }

    /// The changes of a zone that have at least two days to both sides.
    fn of(zone: TimeZone) -> Vec<Self> {
        let changes = changes(zone);
        let pairs = changes.iter().zip(changes.iter().skip(1));
        pairs
            .map(|((_, before), (at, after))| Self { zone, at: *at, before: *before, after: *after })
            .collect()
    }
}

/// Hours whose ends lie before, in and after what is left out or comes twice.
fn hours(change: &Change) -> Vec<QuietHours> {
    let (low, high) = (change.before.min(change.after), change.before.max(change.after));
    let time = |shown: i64| {
        let minute = shown.rem_euclid(24 * 60);
        format!("{}:{:02}", minute / 60, minute % 60).parse().expect("a time of day")
    };
    let (first, middle, last) = (change.at + low, change.at + (low + high) / 2, change.at + high);
    vec![
        QuietHours::daily(time(first - 9 * 60), time(middle)),
        QuietHours::daily(time(middle), time(last + 7 * 60)),
        QuietHours::daily(time(first), time(last)),
        QuietHours::daily("21:00".parse().expect("a time"), "08:00".parse().expect("a time")),
    ]
}

/// What was checked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Figures {
    zones: u64,
    changes: u64,
    checks: u64,
    /// Instants that are quiet and at which it would have gone.
    sent_in_quiet: u64,
    /// Instants at which it could go and was not let, or not told the right instant.
    wrong: u64,
}

/// Compares the rule with the minutes counted out, from two hours before a change to two after.
fn check_quiet(change: &Change, figures: &mut Figures) {
    let zones = ZoneSet::from(change.zone);
    let begin = change.at - 120;
    for hours in hours(change) {
        let (from, to) = (i64::from(hours.from.minute_of_day()), i64::from(hours.to.minute_of_day()));
        let is_quiet = |minute: i64| {
            let shown = change.shown(minute).rem_euclid(24 * 60);
            if from <= to { (from..to).contains(&shown) } else { shown >= from || shown < to }
        };
        // From behind, the next free minute of each minute.
        let mut next_free = vec![None; 30 * 60];
        let mut free = None;
        for (place, slot) in next_free.iter_mut().enumerate().rev() {
            let minute = begin + i64::try_from(place).expect("small");
            if !is_quiet(minute) {
                free = Some(minute * MINUTE);
            }
            *slot = free;
        }
        let mut check = |minute: usize, shift: i64| {
            let at = (begin + i64::try_from(minute).expect("small")) * MINUTE + shift;
            let place = usize::try_from(at / MINUTE - begin).expect("not before");
            let expected = next_free.get(place).copied().flatten().expect("free within a day").max(at);
            let until = quiet_until(&[hours], &zones, from_micros(at));
            figures.checks += 1;
            figures.sent_in_quiet += u64::from(until.is_none() && expected > at);
            let expected = (expected > at).then(|| from_micros(expected));
            figures.wrong += u64::from(until != expected);
        };
        for minute in 1..=240 {
            // Where it begins or ends, and where the clocks change, to the microsecond.
            let here = is_quiet(begin + i64::try_from(minute).expect("small"));
            let edge = minute == 120 || here != is_quiet(begin + i64::try_from(minute).expect("small") - 1);
            if edge {
                check(minute, -1);
                check(minute, 1);
            }
            check(minute, 0);
        }
    }
}

/// Does something for every zone, on all cores.
fn for_all_zones(check: impl Fn(TimeZone, &mut Figures) + Sync) -> Figures {
    let zones: Vec<_> = TimeZone::all().collect();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let parts: Vec<Figures> = std::thread::scope(|scope| {
        let work = |part: usize| {
            let (zones, check) = (&zones, &check);
            move || {
                let mut figures = Figures::default();
                for zone in zones.iter().skip(part).step_by(cores) {
                    figures.zones += 1;
                    check(*zone, &mut figures);
                }
                figures
            }
        };
        let threads: Vec<_> = (0..cores).map(|part| scope.spawn(work(part))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    parts.into_iter().fold(Figures::default(), |sum, part| Figures {
        zones: sum.zones + part.zones,
        changes: sum.changes + part.changes,
        checks: sum.checks + part.checks,
        sent_in_quiet: sum.sent_in_quiet + part.sent_in_quiet,
        wrong: sum.wrong + part.wrong,
    })
}

#[test]
fn no_zone_and_no_change_of_clocks_lets_anything_out_in_quiet_time() {
    let figures = for_all_zones(|zone, figures| {
        for change in Change::of(zone) {
            figures.changes += 1;
            check_quiet(&change, figures);
        }
    });
    let mut line = String::new();
    let Figures { zones, changes, checks, sent_in_quiet, wrong } = figures;
    write!(line, "quiet hours: {zones} zones, {changes} changes of clocks, {checks} checks, ")
        .expect("a string");
    write!(line, "{sent_in_quiet} sends in quiet time, {wrong} wrong instants").expect("a string");
    println!("{line}");
    assert!(zones > 590 && changes > 8_000 && checks > 8_000_000, "{line}");
    assert_eq!((sent_in_quiet, wrong), (0, 0), "{line}");
}

#[test]
fn no_zone_changes_its_clocks_twice_in_a_calm_time() {
    let least = TimeZone::all()
        .flat_map(|zone| {
            let at: Vec<_> = changes(zone).into_iter().skip(1).map(|(at, _)| at).collect();
            at.windows(2).map(|pair| pair[1] - pair[0]).min()
        })
        .min();
    let least = TimeDelta::minutes(least.expect("zones change their clocks"));
    assert!(least > CALM, "{least}");
}
