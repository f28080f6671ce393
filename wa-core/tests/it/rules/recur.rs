//! Source of the claims: the documentation of the recurrence; days counted out one by one.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};
use proptest::prelude::*;
use wa_core::model::{Nth, Recurrence, RecurrenceEnd, Repeat, TimeZone, Weekdays};
use wa_core::rules::recur::{instant, last_until, next_after, slot};

fn recurrence(repeat: Repeat, first: &str) -> Recurrence {
    Recurrence::new(repeat, first.parse().expect("a civil time"), TimeZone::UTC)
}

/// The days of the first slots.
fn check(recurrence: &Recurrence, days: &[&str]) {
    recurrence.validate().expect("in range");
    let mut at = DateTime::<Utc>::UNIX_EPOCH;
    for (number, day) in (1..).zip(days) {
        let (slot, next) = next_after(recurrence, at).expect("a slot");
        assert_eq!((slot.number, slot.civil.date().to_string().as_str()), (number, *day));
        at = next;
    }
}

#[test]
fn weeks_are_counted_from_the_first_day() {
    let on: Weekdays = [Weekday::Mon, Weekday::Thu].into_iter().collect();
    let every_other = recurrence(Repeat::Weeks { every: 2, on }, "2026-11-18 09:00");
    check(&every_other, &["2026-11-19", "2026-11-30", "2026-12-03", "2026-12-14"]);
}

#[test]
fn a_short_month_has_its_last_day() {
    let last = recurrence(Repeat::MonthDay { every: 1, day: 31 }, "2026-01-31 09:00");
    check(&last, &["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
    let leap = recurrence(Repeat::MonthDay { every: 12, day: 30 }, "2027-02-28 09:00");
    check(&leap, &["2027-02-28", "2028-02-29", "2029-02-28"]);
    let passed = recurrence(Repeat::MonthDay { every: 3, day: 5 }, "2026-01-06 09:00");
    check(&passed, &["2026-04-05", "2026-07-05", "2026-10-05", "2027-01-05"]);
}

#[test]
fn a_weekday_of_a_month_is_counted_from_its_end_too() {
    let repeat = |nth| Repeat::MonthWeekday { every: 1, nth, weekday: Weekday::Fri };
    check(&recurrence(repeat(Nth::Last), "2026-10-01 09:00"), &["2026-10-30", "2026-11-27", "2026-12-25"]);
    check(&recurrence(repeat(Nth::Second), "2026-11-14 09:00"), &["2026-12-11", "2027-01-08"]);
}

#[test]
fn it_ends_after_a_day_or_so_many_times() {
    let daily = recurrence(Repeat::Days { every: 3 }, "2026-11-20 09:00");
    let until = daily.until("2026-11-26".parse().expect("a day"));
    check(&until, &["2026-11-20", "2026-11-23", "2026-11-26"]);
    assert_eq!(slot(&until, 4), None);
    let twice = daily.times(2);
    let end = slot(&twice, 2).expect("the last slot");
    let at = instant(&twice, &end);
    assert_eq!(next_after(&twice, at), None);
    assert_eq!(last_until(&twice, at + TimeDelta::days(900)), Some((end, at)));
    assert_eq!(last_until(&twice, at - TimeDelta::days(900)), None);
}

#[test]
fn what_is_out_of_range_is_refused() {
    let day = recurrence(Repeat::Days { every: 0 }, "2026-11-20 09:00");
    let week = Repeat::Weeks { every: 1, on: Weekdays::NONE };
    let refused = [
        day,
        Recurrence { repeat: Repeat::Days { every: 1_001 }, ..day },
        Recurrence { repeat: week, ..day },
        Recurrence { repeat: Repeat::MonthDay { every: 1, day: 0 }, ..day },
        Recurrence { repeat: Repeat::MonthDay { every: 1, day: 32 }, ..day },
        recurrence(Repeat::Days { every: 1 }, "1969-11-20 09:00"),
        recurrence(Repeat::Days { every: 1 }, "2026-11-20 09:00").times(0),
        recurrence(Repeat::Days { every: 1 }, "2026-11-20 09:00").until("2026-11-19".parse().expect("a day")),
    ];
    for it in refused {
        assert!(it.validate().is_err(), "{it:?}");
    }
}

/// Whether a day is a slot, by the words of the documentation.
fn is_slot(recurrence: &Recurrence, day: NaiveDate) -> bool {
    let Recurrence { repeat, from, .. } = *recurrence;
    let monday = |day: NaiveDate| day - Days::new(day.weekday().num_days_from_monday().into());
    let months = i64::from(day.year() - from.year()) * 12 + i64::from(day.month()) - i64::from(from.month());
    let length = day.num_days_in_month();
    day >= from
        && match repeat {
            Repeat::Days { every } => (day - from).num_days() % i64::from(every) == 0,
            Repeat::Weeks { every, on } => {
                on.contains(day.weekday()) && (monday(day) - monday(from)).num_weeks() % i64::from(every) == 0
            }
            Repeat::MonthDay { every, day: wanted } => {
                months % i64::from(every) == 0 && day.day() == u32::from(wanted).min(length.into())
            }
            Repeat::MonthWeekday { every, nth, weekday } => {
                let place = (day.day() - 1) / 7;
                let fits = match nth {
                    Nth::First => place == 0,
                    Nth::Second => place == 1,
                    Nth::Third => place == 2,
                    Nth::Fourth => place == 3,
                    Nth::Last => day.day() + 7 > length.into(),
                };
                months % i64::from(every) == 0 && day.weekday() == weekday && fits
            }
        }
}

fn any_weekday() -> impl Strategy<Value = Weekday> {
    (0..7_u8).prop_map(|day| Weekday::try_from(day).expect("a weekday"))
}

fn any_repeat() -> impl Strategy<Value = Repeat> {
    let nth = prop_oneof![
        Just(Nth::First),
        Just(Nth::Second),
        Just(Nth::Third),
        Just(Nth::Fourth),
        Just(Nth::Last),
    ];
    prop_oneof![
        (1..40_u16).prop_map(|every| Repeat::Days { every }),
        (1..6_u16, proptest::collection::vec(any_weekday(), 1..5))
            .prop_map(|(every, on)| Repeat::Weeks { every, on: on.into_iter().collect() }),
        (1..15_u16, 1..32_u8).prop_map(|(every, day)| Repeat::MonthDay { every, day }),
        (1..15_u16, nth, any_weekday()).prop_map(|(every, nth, weekday)| Repeat::MonthWeekday {
            every,
            nth,
            weekday
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn slots_are_exactly_the_days_that_fit(repeat in any_repeat(), shift in 0..800_u64, ahead in 0..900_u64) {
        let from = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day") + Days::new(shift);
        let time = "09:00".parse().expect("a time");
        let recurrence =
            Recurrence { repeat, time, zone: TimeZone::UTC, from, end: RecurrenceEnd::Never };
        // From an instant somewhere, not from the first slot.
        let start = from + Days::new(ahead);
        let mut at = (start.and_time(time.naive()) - TimeDelta::microseconds(1)).and_utc();
        let mut expected = start.iter_days().filter(|day| is_slot(&recurrence, *day));
        for _ in 0..6 {
            let (next, when) = next_after(&recurrence, at).expect("it never ends");
            let day = expected.next().expect("days never end");
            prop_assert_eq!(next.civil.date(), day);
            prop_assert_eq!(slot(&recurrence, next.number), Some(next));
            prop_assert_eq!(last_until(&recurrence, when), Some((next, when)));
            let before = last_until(&recurrence, when - TimeDelta::microseconds(1));
            prop_assert_eq!(before.map_or(0, |(slot, _)| slot.number), next.number - 1);
            at = when;
        }
    }
}
