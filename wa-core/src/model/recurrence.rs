//! Recurrence: on which days something happens, at which time of day, in which zone.
//!
//! A recurrence is a list of *slots*: days with one time of day, in order, numbered from 1. Which
//! instant a slot is, is decided in [`rules::recur`](crate::rules::recur).

use chrono::{NaiveDate, Weekday};
use serde::{Deserialize, Serialize};

use super::civil::{CivilDateTime, CivilTime, TimeZone, Weekdays};
use super::value::ValueError;

/// Something that happens again and again at a civil time.
///
/// ```
/// use chrono::Weekday;
/// use wa_core::model::{Recurrence, Repeat};
/// let mondays = Recurrence::new(
///     Repeat::Weeks { every: 2, on: [Weekday::Mon].into_iter().collect() },
///     "2026-03-02 09:00".parse()?,
///     "Europe/Berlin".parse()?,
/// )
/// .times(26);
/// mondays.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// On which days.
    pub repeat: Repeat,
    /// The time of day. On a day that leaves it out it is the first instant after it; where it
    /// comes twice it is the first of the two.
    pub time: CivilTime,
    /// On whose clocks.
    pub zone: TimeZone,
    /// The first day on which it may happen; intervals are counted from it.
    pub from: NaiveDate,
    /// When it ends.
    #[serde(default)]
    pub end: RecurrenceEnd,
}

/// On which days something happens. All that there is; every match names each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Every so many days.
    Days {
        /// 1 to 1,000.
        every: u16,
    },
    /// On days of every so many weeks; weeks begin on Monday.
    Weeks {
        /// 1 to 1,000.
        every: u16,
        /// At least one day.
        on: Weekdays,
    },
    /// On a day of every so many months; on the last day of a month that is shorter.
    MonthDay {
        /// 1 to 1,000.
        every: u16,
        /// 1 to 31.
        day: u8,
    },
    /// On the first, second, third, fourth or last such weekday of every so many months.
    MonthWeekday {
        /// 1 to 1,000.
        every: u16,
        /// Which of them.
        nth: Nth,
        /// The weekday.
        weekday: Weekday,
    },
}

/// Which of the weekdays of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nth {
    /// The first.
    First,
    /// The second.
    Second,
    /// The third.
    Third,
    /// The fourth.
    Fourth,
    /// The last, which is the fourth or the fifth.
    Last,
}

/// When a recurrence ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecurrenceEnd {
    /// Never.
    #[default]
    Never,
    /// After this day, which may still have a slot.
    Until(NaiveDate),
    /// After so many slots, at least one.
    Times(u32),
}

/// One of the days and times of a recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its number, from 1.
    pub number: u64,
    /// What the clocks show then.
    pub civil: CivilDateTime,
}

impl Recurrence {
    /// From a day on, at its time of day, without end.
    #[must_use]
    pub const fn new(repeat: Repeat, first: CivilDateTime, zone: TimeZone) -> Self {
        Self { repeat, time: first.time(), zone, from: first.date(), end: RecurrenceEnd::Never }
    }

    /// Ends after a day.
    #[must_use]
    pub const fn until(mut self, day: NaiveDate) -> Self {
        self.end = RecurrenceEnd::Until(day);
        self
    }

    /// Ends after so many slots.
    #[must_use]
    pub const fn times(mut self, slots: u32) -> Self {
        self.end = RecurrenceEnd::Times(slots);
        self
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Which part is out of range.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self { repeat, time: _, zone: _, from, end } = self;
        let every = match repeat {
            Repeat::Days { every } | Repeat::MonthWeekday { every, nth: _, weekday: _ } => *every,
            Repeat::Weeks { every, on } => {
                if on.is_empty() {
                    return Err(ValueError::new("a weekly recurrence", "on at least one day"));
                }
                *every
            }
            Repeat::MonthDay { every, day } => {
                if !(1..=31).contains(day) {
                    return Err(ValueError::new("a day of the month", "1 to 31"));
                }
                *every
            }
        };
        if !(1..=1_000).contains(&every) {
            return Err(ValueError::new("the interval of a recurrence", "1 to 1,000"));
        }
        let years = NaiveDate::from_ymd_opt(1970, 1, 1)..NaiveDate::from_ymd_opt(3000, 1, 1);
        if !years.contains(&Some(*from)) {
            return Err(ValueError::new("the first day of a recurrence", "between 1970 and 2999"));
        }
        match end {
            RecurrenceEnd::Never => Ok(()),
            RecurrenceEnd::Until(day) if day >= from => Ok(()),
            RecurrenceEnd::Until(_) => {
                Err(ValueError::new("the last day of a recurrence", "on or after its first"))
            }
            RecurrenceEnd::Times(times) if *times > 0 => Ok(()),
            RecurrenceEnd::Times(_) => Err(ValueError::new("the number of slots", "at least 1")),
        }
    }
}
