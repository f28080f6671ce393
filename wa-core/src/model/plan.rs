//! What a tenant's plan allows, and how much of it is used.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use super::offset::UtcOffset;
use super::value::ValueError;

/// What a tenant may do, as its billing says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// The plan's name.
    pub plan: String,
    /// Messages that may be begun per calendar month (UTC), or `None` for no limit.
    pub messages_per_month: Option<u64>,
    /// Sessions, or `None` for no limit.
    pub sessions: Option<u32>,
    /// Whether sending is suspended, as after a failed payment.
    pub suspended: bool,
}

/// A calendar month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    year: i32,
    month: u32,
}

/// How much of a plan is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUsage {
    /// The month.
    pub period: Period,
    /// Messages begun and not given back.
    pub used: u64,
    /// The limit, or `None` for no limit.
    pub limit: Option<u64>,
    /// When the count starts anew.
    pub resets_at: DateTime<Utc>,
}

impl Entitlement {
    /// A plan without limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { plan: "unlimited".to_owned(), messages_per_month: None, sessions: None, suspended: false }
    }
}

impl Period {
    /// The month that holds an instant.
    #[must_use]
    pub fn of(at: DateTime<Utc>) -> Self {
        Self { year: at.year(), month: at.month() }
    }

    /// The month that an account's own clock shows at an instant.
    #[must_use]
    pub fn at(at: DateTime<Utc>, offset: UtcOffset) -> Self {
        Self::of(offset.local(at))
    }

    /// The first instant after the month.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        let (year, month) = if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single().unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Period {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = ValueError::new("a period", "a month such as 2026-11");
        let (year, month) = text.split_once('-').ok_or_else(|| wrong.clone())?;
        let (year, month) =
            (year.parse().map_err(|_| wrong.clone())?, month.parse().map_err(|_| wrong.clone())?);
        if (1..=12).contains(&month) { Ok(Self { year, month }) } else { Err(wrong) }
    }
}

impl TryFrom<String> for Period {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::from_micros;

    #[test]
    fn december_ends_with_the_year() {
        let december: Period = "2026-12".parse().expect("a period");
        assert_eq!(december.end().to_rfc3339(), "2027-01-01T00:00:00+00:00");
        assert_eq!(Period::of(from_micros(december.end().timestamp_micros() - 1)), december);
        assert!("2026-13".parse::<Period>().is_err());
    }
}
