//! Time as people say it: an IANA time zone, a time of day, a day with its time, days of the week.
//!
//! Which instant a civil time is, and the other way round, is decided in [`rules::civil`](crate::rules::civil).

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDate, NaiveTime, Timelike, Weekday};
use serde::{Deserialize, Serialize};

use super::value::ValueError;

/// A time zone by its IANA name, such as `Europe/Berlin`.
///
/// ```
/// use wa_core::model::TimeZone;
/// let zone: TimeZone = "America/Sao_Paulo".parse()?;
/// assert_eq!(zone.name(), "America/Sao_Paulo");
/// let error = "Berlin".parse::<TimeZone>().unwrap_err();
/// assert_eq!(error.to_string(), "\"Berlin\" is not an IANA time zone such as Europe/Berlin");
/// # Ok::<(), wa_core::model::TimeZoneError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone(chrono_tz::Tz);

/// A text is not the name of a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IANA time zone such as Europe/Berlin")]
pub struct TimeZoneError(String);

/// A time of day in whole minutes, from 00:00 to 23:59.
///
/// ```
/// use wa_core::model::CivilTime;
/// let time: CivilTime = "08:30".parse()?;
/// assert_eq!((time.hour(), time.minute()), (8, 30));
/// assert_eq!(time.to_string(), "08:30");
/// assert!("24:00".parse::<CivilTime>().is_err());
/// # Ok::<(), wa_core::model::ValueError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CivilTime(u16);

/// A day and a time of day, as a calendar and a clock on the wall show them.
///
/// It becomes an instant in a zone only: [`in_zone`](Self::in_zone).
///
/// ```
/// use wa_core::model::CivilDateTime;
/// let at: CivilDateTime = "2026-12-24 18:00".parse()?;
/// assert_eq!(at.to_string(), "2026-12-24T18:00");
/// let berlin = "Europe/Berlin".parse()?;
/// assert_eq!(at.in_zone(&berlin).to_rfc3339(), "2026-12-24T17:00:00+00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CivilDateTime {
    date: NaiveDate,
    time: CivilTime,
}

/// A set of days of the week.
///
/// ```
/// use chrono::Weekday;
/// use wa_core::model::Weekdays;
/// let weekend: Weekdays = [Weekday::Sat, Weekday::Sun].into_iter().collect();
/// assert!(weekend.contains(Weekday::Sun) && !weekend.contains(Weekday::Mon));
/// assert!(Weekdays::ALL.contains(Weekday::Wed));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Weekday>", into = "Vec<Weekday>")]
pub struct Weekdays(u8);

impl TimeZone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(chrono_tz::Tz::UTC);

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Every zone of the zone database that this library was built with.
    pub fn all() -> impl Iterator<Item = Self> {
        chrono_tz::TZ_VARIANTS.iter().copied().map(Self)
    }

    pub(crate) const fn tz(self) -> chrono_tz::Tz {
        self.0
    }

    pub(crate) const fn of(tz: chrono_tz::Tz) -> Self {
        Self(tz)
    }
}

impl Default for TimeZone {
    /// UTC.
    fn default() -> Self {
        Self::UTC
    }
}

impl FromStr for TimeZone {
    type Err = TimeZoneError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let zone = text.trim().parse().map(Self);
        zone.map_err(|_| TimeZoneError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for TimeZone {
    type Error = TimeZoneError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TimeZone> for String {
    fn from(zone: TimeZone) -> Self {
        zone.name().to_owned()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({})", self.name())
    }
}

impl CivilTime {
    const RULE: ValueError = ValueError::new("a time of day", "hh:mm from 00:00 to 23:59");

    /// A time of day.
    ///
    /// # Errors
    /// When the hour is past 23 or the minute past 59.
    pub const fn new(hour: u16, minute: u16) -> Result<Self, ValueError> {
        if hour < 24 && minute < 60 { Ok(Self(hour * 60 + minute)) } else { Err(Self::RULE) }
    }

    /// The hour, 0 to 23.
    #[must_use]
    pub const fn hour(self) -> u16 {
        self.0 / 60
    }

    /// The minute of the hour, 0 to 59.
    #[must_use]
    pub const fn minute(self) -> u16 {
        self.0 % 60
    }

    /// Minutes since midnight, 0 to 1,439.
    #[must_use]
    pub const fn minute_of_day(self) -> u16 {
        self.0
    }

    /// The same for chrono.
    #[must_use]
    pub fn naive(self) -> NaiveTime {
        NaiveTime::from_hms_opt(u32::from(self.hour()), u32::from(self.minute()), 0).unwrap_or_default()
    }
}

impl FromStr for CivilTime {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (hour, minute) = text.trim().split_once(':').ok_or(Self::RULE)?;
        let number = |digits: &str| {
            let fits = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| digits.parse().ok()).flatten().ok_or(Self::RULE)
        };
        if minute.len() != 2 {
            return Err(Self::RULE);
        }
        Self::new(number(hour)?, number(minute)?)
    }
}

impl TryFrom<String> for CivilTime {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CivilTime> for String {
    fn from(time: CivilTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour(), self.minute())
    }
}

impl fmt::Debug for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl CivilDateTime {
    const RULE: ValueError = ValueError::new("a civil time", "a day and a time such as 2026-12-24T18:00");

    /// A day with a time of day.
    #[must_use]
    pub const fn new(date: NaiveDate, time: CivilTime) -> Self {
        Self { date, time }
    }

    /// The day.
    #[must_use]
    pub const fn date(self) -> NaiveDate {
        self.date
    }

    /// The time of day.
    #[must_use]
    pub const fn time(self) -> CivilTime {
        self.time
    }

    /// The minute that a clock shows; seconds are cut off.
    #[must_use]
    pub fn of(shown: chrono::NaiveDateTime) -> Self {
        let minute = u16::try_from(shown.hour() * 60 + shown.minute()).unwrap_or_default();
        Self { date: shown.date(), time: CivilTime(minute) }
    }
}

impl FromStr for CivilDateTime {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (date, time) = text.trim().split_once(['T', ' ']).ok_or(Self::RULE)?;
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| Self::RULE)?;
        Ok(Self { date, time: time.parse().map_err(|_| Self::RULE)? })
    }
}

impl TryFrom<String> for CivilDateTime {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CivilDateTime> for String {
    fn from(at: CivilDateTime) -> Self {
        at.to_string()
    }
}

impl fmt::Display for CivilDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)
    }
}

impl fmt::Debug for CivilDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);
    /// No day.
    pub const NONE: Self = Self(0);

    /// Whether a day is in it.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & Self::bit(day) != 0
    }

    /// Whether no day is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its days from Monday on.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        const DAYS: [Weekday; 7] = [
            Weekday::Mon,
            Weekday::Tue,
            Weekday::Wed,
            Weekday::Thu,
            Weekday::Fri,
            Weekday::Sat,
            Weekday::Sun,
        ];
        DAYS.into_iter().filter(move |day| self.contains(*day))
    }

    /// Whether the weekday of a day is in it; days are counted from 1970-01-01, a Thursday.
    pub(crate) fn has_day(self, day: i64) -> bool {
        let from_monday = day.saturating_add(3).rem_euclid(7);
        (i64::from(self.0) >> from_monday) & 1 == 1
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.num_days_from_monday()
    }
}

impl Default for Weekdays {
    /// Every day.
    fn default() -> Self {
        Self::ALL
    }
}

impl FromIterator<Weekday> for Weekdays {
    fn from_iter<I: IntoIterator<Item = Weekday>>(days: I) -> Self {
        Self(days.into_iter().fold(0, |set, day| set | Self::bit(day)))
    }
}

impl From<Vec<Weekday>> for Weekdays {
    fn from(days: Vec<Weekday>) -> Self {
        days.into_iter().collect()
    }
}

impl From<Weekdays> for Vec<Weekday> {
    fn from(days: Weekdays) -> Self {
        days.iter().collect()
    }
}

impl fmt::Debug for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_hours_and_minutes() {
        for (text, minutes) in [("00:00", Some(0)), ("7:05", Some(425)), (" 23:59 ", Some(1_439))] {
            assert_eq!(text.parse::<CivilTime>().ok().map(CivilTime::minute_of_day), minutes, "{text}");
        }
        for text in ["", "24:00", "12:60", "12", "12:5", "-1:00", "+1:00", "1:00:00", "ab:cd"] {
            assert!(text.parse::<CivilTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn civil_values_come_back_from_json() {
        let json = r#"["Europe/Berlin","21:00","2026-03-29T02:30",["Mon","Sun"]]"#;
        let value: (TimeZone, CivilTime, CivilDateTime, Weekdays) = serde_json::from_str(json).expect("JSON");
        assert_eq!(serde_json::to_string(&value).expect("JSON"), json);
        assert!(serde_json::from_str::<TimeZone>("\"Mars/Olympus\"").is_err());
    }
}
