//! Source of the claims: the documentation of the rule; several zones by hand. All zones: `zone_table`.

use chrono::{DateTime, TimeDelta, Utc, Weekday};
use proptest::prelude::*;
use wa_core::model::{Phone, QuietHours, TimeZone, Weekdays, from_micros};
use wa_core::rules::quiet::{LEAVES_WITHIN, begins_at, is_quiet, quiet_until};
use wa_core::rules::zones::{self, ZoneSet};

fn span(from: &str, to: &str) -> QuietHours {
    QuietHours::daily(from.parse().expect("a time"), to.parse().expect("a time"))
}

fn on(days: &[Weekday], from: &str, to: &str) -> QuietHours {
    QuietHours { days: days.iter().copied().collect(), ..span(from, to) }
}

fn zone(name: &str) -> ZoneSet {
    name.parse::<TimeZone>().expect("a zone").into()
}

fn country(digits: &str) -> ZoneSet {
    zones::of(None, Some(Phone::from_digits(digits).expect("a number")), TimeZone::UTC)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn check(hours: &[QuietHours], zones: &ZoneSet, now: &str, until: Option<&str>) {
    assert_eq!(quiet_until(hours, zones, at(now)), until.map(at), "{hours:?} at {now}");
}

#[test]
fn what_may_begin_may_also_leave_up_to_a_minute_later() {
    let (night, berlin) = ([span("21:00", "08:00")], zone("Europe/Berlin"));
    let micro = TimeDelta::microseconds(1);
    // In summer, and in the night in which the clocks go back.
    for (evening, morning) in
        [("2026-07-01T19:00:00Z", "2026-07-02T06:00:00Z"), ("2026-10-24T19:00:00Z", "2026-10-25T07:00:00Z")]
    {
        let (last, morning) = (at(evening) - LEAVES_WITHIN, at(morning));
        assert_eq!(begins_at(&night, &berlin, last - micro), None);
        for now in [last, at(evening) - micro, at(evening), morning - micro] {
            assert_eq!(begins_at(&night, &berlin, now), Some(morning), "{now}");
        }
        assert_eq!(begins_at(&night, &berlin, morning), None);
    }
}

#[test]
fn a_night_crosses_midnight() {
    let (night, madrid) = ([span("21:00", "08:00")], zone("Europe/Madrid"));
    check(&night, &madrid, "2026-07-01T18:59:59.999999Z", None);
    check(&night, &madrid, "2026-07-01T19:00:00Z", Some("2026-07-02T06:00:00Z"));
    check(&night, &madrid, "2026-07-02T05:59:59.999999Z", Some("2026-07-02T06:00:00Z"));
    check(&night, &madrid, "2026-07-02T06:00:00Z", None);
}

#[test]
fn equal_ends_are_no_quiet_hours_and_none_are_none() {
    check(&[span("08:00", "08:00")], &zone("Asia/Tokyo"), "2026-07-01T23:00:00Z", None);
    check(&[], &zone("Asia/Tokyo"), "2026-07-01T23:00:00Z", None);
}

#[test]
fn an_end_that_is_left_out_is_the_first_instant_after_it() {
    let hours = [span("21:00", "02:30")];
    check(&hours, &zone("Europe/Berlin"), "2026-03-29T00:59:59.999999Z", Some("2026-03-29T01:00:00Z"));
    check(&hours, &zone("Europe/Berlin"), "2026-03-29T01:00:00Z", None);
}

#[test]
fn an_hour_that_comes_twice_is_quiet_twice() {
    let (hours, berlin) = ([span("21:00", "02:30")], zone("Europe/Berlin"));
    check(&hours, &berlin, "2026-10-25T00:10:00Z", Some("2026-10-25T00:30:00Z"));
    check(&hours, &berlin, "2026-10-25T00:59:59.999999Z", None);
    check(&hours, &berlin, "2026-10-25T01:00:00Z", Some("2026-10-25T01:30:00Z"));
    // Begun at 02:30, and over when the clocks go back to 02:00; it begins anew at the second 02:30.
    let hours = [span("02:30", "06:00")];
    check(&hours, &berlin, "2026-10-25T00:30:00Z", Some("2026-10-25T01:00:00Z"));
    check(&hours, &berlin, "2026-10-25T01:30:00Z", Some("2026-10-25T05:00:00Z"));
}

#[test]
fn a_span_belongs_to_the_day_on_which_it_begins() {
    let (friday, utc) = ([on(&[Weekday::Fri], "22:00", "07:00")], zone("UTC"));
    check(&friday, &utc, "2026-11-20T22:00:00Z", Some("2026-11-21T07:00:00Z"));
    check(&friday, &utc, "2026-11-21T22:00:00Z", None);
    check(&friday, &utc, "2026-11-20T05:00:00Z", None);
}

#[test]
fn spans_that_touch_are_one_quiet_time() {
    let weekend = [Weekday::Sat, Weekday::Sun];
    let hours =
        [span("20:00", "08:00"), on(&weekend, "08:00", "20:00"), on(&[Weekday::Mon], "07:00", "10:00")];
    check(&hours, &zone("Europe/Paris"), "2026-11-20T19:00:00Z", Some("2026-11-23T09:00:00Z"));
}

#[test]
fn nobody_of_a_country_with_several_zones_is_woken() {
    let night = [span("21:00", "08:00")];
    // New York goes to bed at 01:00 UTC in summer, Honolulu gets up at 18:00.
    let us = country("12025550123");
    check(&night, &us, "2026-07-01T00:59:59Z", None);
    check(&night, &us, "2026-07-01T01:00:00Z", Some("2026-07-01T18:00:00Z"));
    // Kaliningrad still sleeps at 08:00 in Moscow, Kamchatka goes to bed at 09:00 UTC.
    let russia = country("79161234567");
    check(&night, &russia, "2026-07-01T05:30:00Z", Some("2026-07-01T06:00:00Z"));
    check(&night, &russia, "2026-07-01T08:59:59Z", None);
    check(&night, &russia, "2026-07-01T09:00:00Z", Some("2026-07-02T06:00:00Z"));
}

#[test]
fn where_it_is_always_quiet_somewhere_most_zones_decide() {
    let (hours, anywhere) = ([span("19:00", "09:30")], country("12223334444"));
    let (mut now, mut goes) = (at("2026-07-01T00:00:00Z"), 0);
    while now < at("2026-07-03T00:00:00Z") {
        let quiet = anywhere.iter().filter(|zone| is_quiet(&hours, zone, now)).count();
        assert!(quiet > 0, "the premise: it is quiet somewhere at {now}");
        let expected = quiet * 2 < anywhere.iter().count();
        assert_eq!(quiet_until(&hours, &anywhere, now).is_none(), expected, "{quiet} at {now}");
        goes += u32::from(expected);
        now += TimeDelta::minutes(5);
    }
    assert!(goes > 2 * 72, "a quarter of a day is left: {goes}");
}

#[test]
fn where_most_are_never_awake_together_the_first_zone_decides() {
    let (hours, russia) = ([span("10:00", "09:00")], country("79161234567"));
    let moscow = ZoneSet::from(russia.first());
    for quarter in 0..192 {
        let now = at("2026-07-01T00:00:00Z") + TimeDelta::minutes(15 * quarter);
        let quiet = russia.iter().filter(|zone| is_quiet(&hours, zone, now)).count();
        assert!(quiet * 2 >= russia.iter().count(), "the premise: it is quiet in most at {now}");
        assert_eq!(quiet_until(&hours, &russia, now), quiet_until(&hours, &moscow, now), "{now}");
    }
}

#[test]
fn hours_that_never_end_give_a_far_instant_instead_of_none() {
    let always = [span("08:00", "20:00"), span("20:00", "08:00")];
    let now = at("2026-07-01T00:00:00Z");
    assert_eq!(quiet_until(&always, &zone("UTC"), now), Some(now + TimeDelta::days(14)));
}

/// Whether an instant is good enough by the three steps as they are written, minute by minute.
fn is_good(hours: &[QuietHours], zones: &ZoneSet, at: DateTime<Utc>) -> bool {
    let all = zones.iter().count();
    let free = |step: usize, at: DateTime<Utc>| {
        let quiet = zones.iter().filter(|zone| is_quiet(hours, zone, at)).count();
        match step {
            0 => quiet == 0,
            1 => quiet * 2 < all,
            _ => !is_quiet(hours, &zones.first(), at),
        }
    };
    let soon = |step: usize| (0..=24 * 60).any(|minute| free(step, at + TimeDelta::minutes(minute)));
    (0..3).find(|step| soon(*step)).is_some_and(|step| free(step, at))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_first_instant_that_is_good_enough_is_found(
        spans in proptest::collection::vec((0..1_440_u16, 0..1_440_u16, 1..128_u8), 1..3),
        digits in prop_oneof![
            Just("12223334444"), Just("12025550123"), Just("79161234567"), Just("34600000000"), Just("61491570156"),
        ],
        minute in 26_297_280..37_342_080_i64,
    ) {
        let time = |minutes: u16| format!("{}:{:02}", minutes / 60, minutes % 60).parse().expect("a time");
        let hours: Vec<_> = spans
            .iter()
            .map(|(from, to, days)| {
                let days = Weekdays::ALL.iter().filter(|day| days >> day.num_days_from_monday() & 1 == 1);
                QuietHours { from: time(*from), to: time(*to), days: days.collect() }
            })
            .collect();
        let zones = country(digits);
        let now = from_micros(minute * 60_000_000);
        let until = quiet_until(&hours, &zones, now).unwrap_or(now);
        prop_assume!(until < now + TimeDelta::days(2));
        let mut at = now;
        while at < until {
            prop_assert!(!is_good(&hours, &zones, at), "{} comes before {}", at, until);
            at += TimeDelta::minutes(7);
        }
        prop_assert!(is_good(&hours, &zones, until), "{}", until);
    }
}
