//! An offset from UTC, as an account's billing clock has it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::value::ValueError;

/// How far local time is ahead of UTC: −14 to +14 hours in whole quarters of an hour, as every zone has it.
///
/// ```
/// use wa_core::model::{Period, UtcOffset, from_micros};
/// let india = UtcOffset::from_minutes(330)?;
/// let late = from_micros(1_793_475_000_000_000); // 31 October 2026, 20:50 UTC
/// assert_eq!(Period::at(late, india).to_string(), "2026-11");
/// assert!(UtcOffset::from_minutes(7).is_err());
/// # Ok::<(), wa_core::model::ValueError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// UTC itself.
    pub const UTC: Self = Self(0);

    /// Makes an offset from minutes ahead of UTC.
    ///
    /// # Errors
    /// When it is more than 14 hours or no whole quarter of an hour.
    pub fn from_minutes(minutes: i16) -> Result<Self, ValueError> {
        if (-840..=840).contains(&minutes) && minutes % 15 == 0 {
            Ok(Self(minutes))
        } else {
            Err(ValueError::new("a UTC offset", "-840 to 840 minutes in steps of 15"))
        }
    }

    /// Minutes ahead of UTC.
    #[must_use]
    pub const fn minutes(self) -> i16 {
        self.0
    }

    /// The instant whose UTC clock shows what the local clock shows at `at`.
    #[must_use]
    pub fn local(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.checked_add_signed(self.span()).unwrap_or(at)
    }

    /// The instant at which the local clock shows what the UTC clock shows at `local`.
    #[must_use]
    pub fn utc(self, local: DateTime<Utc>) -> DateTime<Utc> {
        local.checked_sub_signed(self.span()).unwrap_or(local)
    }

    fn span(self) -> TimeDelta {
        TimeDelta::minutes(self.0.into())
    }
}

impl TryFrom<i16> for UtcOffset {
    type Error = ValueError;
    fn try_from(minutes: i16) -> Result<Self, ValueError> {
        Self::from_minutes(minutes)
    }
}

impl From<UtcOffset> for i16 {
    fn from(offset: UtcOffset) -> Self {
        offset.0
    }
}
