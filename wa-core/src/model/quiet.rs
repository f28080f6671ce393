//! Quiet hours: when recipients are left alone, and which messages that binds.

use std::collections::BTreeSet;

use chrono::Weekday;
use serde::{Deserialize, Serialize};

use super::civil::{CivilTime, Weekdays};
use super::content::Category;
use super::message::Lane;
use super::value::ValueError;

/// A span of each day, on the recipient's clock, in which nothing is sent.
///
/// `from` is quiet, `to` is not. A span whose `to` lies before its `from` crosses midnight and
/// belongs to the day on which it begins; equal ones are no span at all.
///
/// ```
/// use wa_core::model::{QuietHours, Weekdays};
/// let night = QuietHours::daily("21:00".parse()?, "08:00".parse()?);
/// assert_eq!(night.days, Weekdays::ALL);
/// # Ok::<(), wa_core::model::ValueError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// The first quiet minute.
    pub from: CivilTime,
    /// The first minute that is not quiet any more.
    pub to: CivilTime,
    /// The days on which it begins; every day unless said otherwise.
    #[serde(default)]
    pub days: Weekdays,
}

/// A tenant's quiet hours and which messages keep them.
///
/// ```
/// use wa_core::model::{Category, Lane, QuietHours, QuietSettings};
/// let night = QuietHours::daily("21:00".parse()?, "08:00".parse()?);
/// let quiet = QuietSettings::new([night]);
/// assert!(quiet.binds(Lane::Bulk, Category::Marketing));
/// assert!(!quiet.binds(Lane::Transactional, Category::Utility));
/// assert!(!quiet.binds(Lane::Bulk, Category::Authentication));
/// # Ok::<(), wa_core::model::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietSettings {
    /// The spans, 1 to 16; it is quiet in the union of them. At least one hour a week is in none, the
    /// last minute before each quiet time not counted: what began in it could leave too late.
    pub hours: Vec<QuietHours>,
    /// The lanes that keep them; bulk unless said otherwise.
    #[serde(default = "bulk_only")]
    pub lanes: BTreeSet<Lane>,
    /// Categories that go nevertheless; authentication unless said otherwise.
    #[serde(default = "one_time_codes")]
    pub except: BTreeSet<Category>,
}

impl QuietHours {
    /// The same span every day.
    #[must_use]
    pub const fn daily(from: CivilTime, to: CivilTime) -> Self {
        Self { from, to, days: Weekdays::ALL }
    }

    /// How many minutes it lasts when it begins on a day that it has.
    fn minutes(self) -> usize {
        let (from, to) = (usize::from(self.from.minute_of_day()), usize::from(self.to.minute_of_day()));
        if from <= to { to - from } else { DAY - from + to }
    }

    /// The minutes of the week, Monday 00:00 being 0, on which it begins.
    fn starts(self) -> impl Iterator<Item = usize> {
        let minute = usize::from(self.from.minute_of_day());
        self.days.iter().map(move |day: Weekday| {
            usize::try_from(day.num_days_from_monday()).unwrap_or_default() * DAY + minute
        })
    }
}

impl QuietSettings {
    /// These hours for the bulk lane, one-time codes excepted.
    pub fn new(hours: impl IntoIterator<Item = QuietHours>) -> Self {
        Self { hours: hours.into_iter().collect(), lanes: bulk_only(), except: one_time_codes() }
    }

    /// Whether messages of this lane and category keep the hours.
    #[must_use]
    pub fn binds(&self, lane: Lane, category: Category) -> bool {
        self.lanes.contains(&lane) && !self.except.contains(&category)
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// When there are no spans or more than 16, or they leave less than an hour of the week.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self { hours, lanes: _, except: _ } = self;
        if !(1..=MOST_SPANS).contains(&hours.len()) {
            return Err(ValueError::new("quiet hours", "1 to 16 spans"));
        }
        let mut quiet = vec![false; 7 * DAY];
        for span in hours {
            for start in span.starts() {
                for minute in start..start + span.minutes() {
                    if let Some(minute) = quiet.get_mut(minute % (7 * DAY)) {
                        *minute = true;
                    }
                }
            }
        }
        let next = quiet.iter().cycle().skip(1);
        if quiet.iter().zip(next).filter(|(now, next)| !**now && !**next).count() < 60 {
            return Err(ValueError::new("quiet hours", "such that at least an hour of the week is left"));
        }
        Ok(())
    }
}

const DAY: usize = 24 * 60;
const MOST_SPANS: usize = 16;

fn bulk_only() -> BTreeSet<Lane> {
    BTreeSet::from([Lane::Bulk])
}

fn one_time_codes() -> BTreeSet<Category> {
    BTreeSet::from([Category::Authentication])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str, days: Weekdays) -> QuietHours {
        QuietHours { from: from.parse().expect("a time"), to: to.parse().expect("a time"), days }
    }

    fn check(hours: &[QuietHours], fits: bool) {
        let settings = QuietSettings::new(hours.iter().copied());
        assert_eq!(settings.validate().is_ok(), fits, "{hours:?}");
    }

    #[test]
    fn quiet_hours_leave_an_hour_of_the_week() {
        let sunday: Weekdays = [Weekday::Sun].into_iter().collect();
        check(&[], false);
        check(&[span("21:00", "08:00", Weekdays::ALL)], true);
        check(&[span("08:00", "08:00", Weekdays::ALL)], true);
        check(&[span("21:00", "08:00", Weekdays::ALL), span("08:00", "21:00", sunday)], true);
        check(&[span("21:00", "08:00", Weekdays::ALL), span("08:00", "21:00", Weekdays::ALL)], false);
        check(&[span("21:00", "08:00", Weekdays::ALL), span("08:00", "20:50", Weekdays::ALL)], true);
        check(&[span("21:00", "08:00", Weekdays::ALL), span("08:00", "20:51", Weekdays::ALL)], false);
        check(&[span("21:00", "08:00", Weekdays::ALL); 17], false);
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let json = r#"{"hours":[{"from":"22:00","to":"07:00"}]}"#;
        let settings: QuietSettings = serde_json::from_str(json).expect("JSON");
        assert_eq!(settings, QuietSettings::new([span("22:00", "07:00", Weekdays::ALL)]));
    }
}
