//! Source of the claims: the brief of recurring sends: a gap goes to the first instant after, a fold to the first.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use wa_core::model::{CivilDateTime, TimeZone, from_micros};
use wa_core::rules::civil;

fn check(zone: &str, civil: &str, expected: &str) {
    let zone: TimeZone = zone.parse().expect("a zone");
    let civil: CivilDateTime = civil.parse().expect("a civil time");
    let expected: DateTime<Utc> = expected.parse().expect("an instant");
    assert_eq!(civil.in_zone(&zone), expected, "{civil} in {zone}");
}

#[test]
fn a_gap_goes_to_the_first_instant_after_and_a_fold_to_the_first() {
    check("Europe/Berlin", "2026-03-29 01:59", "2026-03-29T00:59:00Z");
    check("Europe/Berlin", "2026-03-29 02:00", "2026-03-29T01:00:00Z");
    check("Europe/Berlin", "2026-03-29 02:59", "2026-03-29T01:00:00Z");
    check("Europe/Berlin", "2026-03-29 03:00", "2026-03-29T01:00:00Z");
    check("Europe/Berlin", "2026-03-29 03:01", "2026-03-29T01:01:00Z");
    check("Europe/Berlin", "2026-10-25 01:59", "2026-10-24T23:59:00Z");
    check("Europe/Berlin", "2026-10-25 02:00", "2026-10-25T00:00:00Z");
    check("Europe/Berlin", "2026-10-25 02:59", "2026-10-25T00:59:00Z");
    check("Europe/Berlin", "2026-10-25 03:00", "2026-10-25T02:00:00Z");
    // Half an hour only, at Lord Howe.
    check("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30:00Z");
    check("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45:00Z");
    // At midnight, so that a day begins at 01:00.
    check("Africa/Cairo", "2026-04-24 00:00", "2026-04-23T22:00:00Z");
    check("UTC", "2026-03-29 02:30", "2026-03-29T02:30:00Z");
    check("Pacific/Kiritimati", "2026-03-29 02:30", "2026-03-28T12:30:00Z");
    check("Etc/GMT+12", "2026-03-29 02:30", "2026-03-29T14:30:00Z");
}

#[test]
fn times_out_of_range_neither_panic_nor_wrap() {
    let zones = ["Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago"];
    for zone in zones.map(|zone| zone.parse::<TimeZone>().expect("a zone")) {
        for date in [chrono::NaiveDate::MIN, chrono::NaiveDate::MAX] {
            let civil = CivilDateTime::new(date, "12:00".parse().expect("a time"));
            let _ = civil::instant(&zone, civil);
        }
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let _ = civil::shown(&zone, at);
        }
    }
}

proptest! {
    #[test]
    fn what_a_clock_shows_was_shown_first_then(
        place in 0..597_usize,
        micros in 1_577_836_800_000_000..2_240_524_800_000_000_i64,
    ) {
        let zone = TimeZone::all().nth(place).expect("a zone");
        let at = from_micros(micros);
        let minute = CivilDateTime::at(at, &zone);
        let first = minute.in_zone(&zone);
        prop_assert!(first <= at, "{zone}");
        prop_assert_eq!(CivilDateTime::at(first, &zone), minute);
        let before = first - chrono::TimeDelta::microseconds(1);
        prop_assert!(CivilDateTime::at(before, &zone) < minute, "{}", zone);
    }
}
