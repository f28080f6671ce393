//! Phone numbers in E.164, parsed by the `phonenumber` crate.
//!
//! Invariant: a `Phone` holds 7 to 15 digits with a country code. It has no `Display`, and its
//! `Debug` shows the last two digits only.

mod regions;

use std::fmt;
use std::str::FromStr;

use phonenumber::{Mode, PhoneNumber};
use serde::{Deserialize, Serialize};

/// No country has a longer prefix for calls abroad.
const LONGEST_DIAL_PREFIX: usize = 6;

/// A phone number in E.164.
///
/// ```
/// use wa_core::model::{Phone, Region};
/// let de: Region = "DE".parse()?;
/// let phone = Phone::parse("0151 1234 5678", Some(de))?;
/// assert_eq!(phone.e164(), "+4915112345678");
/// assert_eq!(format!("{phone:?}"), "Phone(..78)");
/// assert!(Phone::parse("0151 1234 5678", None).is_err());
/// # Ok::<(), wa_core::model::PhoneError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Phone(u64);

/// A country, by its two-letter ISO 3166 code, whose national number format is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(phonenumber::country::Id);

/// The countries that a number may belong to, the main one of its calling code first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regions(&'static [phonenumber::country::Id]);

/// Why a text is not a phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// Nothing was given.
    #[error("the phone number is empty")]
    Empty,
    /// There is no country code and no default region.
    #[error("the phone number has no country code; write it with + or set a default region")]
    NoCountry,
    /// The text cannot be read as a phone number.
    #[error("this is not a phone number")]
    Unreadable,
    /// The digits are not a number that exists in their country's plan.
    #[error("the phone number is not valid in its country")]
    NotValid,
    /// The region is not a two-letter country code.
    #[error("{0:?} is not a two-letter country code such as DE or US")]
    NoSuchRegion(String),
}

impl Phone {
    /// Parses a number as a person writes it; a national format needs `region`.
    ///
    /// # Errors
    /// [`PhoneError::NoCountry`] without `+` and region, [`PhoneError::NotValid`] when the
    /// number is not in its country's numbering plan, otherwise why it cannot be read.
    pub fn parse(text: &str, region: Option<Region>) -> Result<Self, PhoneError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PhoneError::Empty);
        }
        // Longer texts are never numbers, and parsing them would cost time for nothing.
        if text.len() > 64 {
            return Err(PhoneError::Unreadable);
        }
        let international = text.starts_with('+') || text.starts_with('\u{ff0b}');
        if region.is_none() && !international {
            return Err(PhoneError::NoCountry);
        }
        // The parser would strip the region's national prefix from a foreign number as well, and so
        // turn +49 176 … in a list for the US into another person's valid number.
        let number = match region {
            Some(region) if !international => parse_at_home(text, region)?,
            _ => phonenumber::parse(None, text).map_err(|_| PhoneError::Unreadable)?,
        };
        if !phonenumber::is_valid(&number) {
            return Err(PhoneError::NotValid);
        }
        let e164 = number.format().mode(Mode::E164).to_string();
        Self::from_digits(e164.trim_start_matches('+'))
    }

    /// Takes the digits of a number as a provider sends them, country code first, without `+`.
    ///
    /// Only their shape is checked: 7 to 15 digits that do not start with 0.
    ///
    /// # Errors
    /// [`PhoneError::Empty`] or [`PhoneError::Unreadable`].
    pub fn from_digits(digits: &str) -> Result<Self, PhoneError> {
        let digits = digits.strip_prefix('+').unwrap_or(digits);
        if digits.is_empty() {
            return Err(PhoneError::Empty);
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PhoneError::Unreadable);
        }
        digits.parse::<u64>().map_err(|_| PhoneError::Unreadable).and_then(Self::try_from)
    }

    /// The number with its leading `+`: personal data, so say it on purpose.
    #[must_use]
    pub fn e164(&self) -> String {
        format!("+{}", self.0)
    }

    /// The digits without `+`, as providers want them.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.to_string()
    }

    /// The countries that it may belong to, by its first digits; none for codes that no country has.
    ///
    /// Countries that share a calling code are told apart where that changes what time it is there:
    /// +1 and +7 by the digits that follow, while +44 is the United Kingdom or one of its islands.
    ///
    /// ```
    /// use wa_core::model::Phone;
    /// let regions = |digits: &str| -> Result<Vec<String>, wa_core::model::PhoneError> {
    ///     let phone = Phone::from_digits(digits)?;
    ///     Ok(phone.regions().iter().map(|region| region.code().to_owned()).collect())
    /// };
    /// assert_eq!(regions("4915112345678")?, ["DE"]);
    /// assert_eq!(regions("14165550123")?, ["CA"]);
    /// assert_eq!(regions("447911123456")?, ["GB", "GG", "IM", "JE"]);
    /// assert!(regions("8835100000000")?.is_empty());
    /// # Ok::<(), wa_core::model::PhoneError>(())
    /// ```
    #[must_use]
    pub fn regions(&self) -> Regions {
        Regions(regions::of(self.0))
    }

    /// The digits as one number, for compact storage.
    #[must_use]
    pub const fn as_u64(&self) -> u64 {
        self.0
    }
}

/// Parses a text that does not start with a plus sign as it is dialled in a region.
fn parse_at_home(text: &str, region: Region) -> Result<PhoneNumber, PhoneError> {
    let number = phonenumber::parse(Some(region.0), text).map_err(|_| PhoneError::Unreadable)?;
    let code = number.code().value();
    let own = phonenumber::metadata::DATABASE.by_id(region.code()).map(phonenumber::Metadata::country_code);
    if own == Some(code) {
        return Ok(number);
    }
    // Dialled abroad, as in 011 49 …: what follows the international prefix is parsed anew, so that
    // no national prefix is taken off.
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (0..=LONGEST_DIAL_PREFIX)
        .filter_map(|skip| digits.get(skip..).filter(|rest| rest.starts_with(&code.to_string())))
        .filter_map(|rest| phonenumber::parse(None, format!("+{rest}")).ok())
        .find(|number| number.code().value() == code && phonenumber::is_valid(number))
        .ok_or(PhoneError::NotValid)
}

impl TryFrom<u64> for Phone {
    type Error = PhoneError;
    fn try_from(digits: u64) -> Result<Self, PhoneError> {
        if (1_000_000..=999_999_999_999_999).contains(&digits) {
            Ok(Self(digits))
        } else {
            Err(PhoneError::Unreadable)
        }
    }
}

impl From<Phone> for u64 {
    fn from(phone: Phone) -> Self {
        phone.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone(..{:02})", self.0 % 100)
    }
}

impl Region {
    /// The two letters.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.as_ref()
    }
}

impl Regions {
    /// The countries in order.
    pub fn iter(self) -> impl Iterator<Item = Region> {
        self.0.iter().copied().map(Region)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Region {
    type Err = PhoneError;
    fn from_str(text: &str) -> Result<Self, PhoneError> {
        text.trim()
            .to_ascii_uppercase()
            .parse()
            .map(Self)
            .map_err(|_| PhoneError::NoSuchRegion(text.chars().take(16).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, region: Option<&str>, expected: Result<&str, PhoneError>) {
        let region = region.map(|code| code.parse().expect("a region"));
        let got = Phone::parse(text, region).map(|phone| phone.e164());
        assert_eq!(got, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn national_and_international_formats_meet_in_e164() {
        check("0151 1234 5678", Some("DE"), Ok("+4915112345678"));
        check("+49 (151) 1234-5678", None, Ok("+4915112345678"));
        check("0049 151 12345678", Some("DE"), Ok("+4915112345678"));
        check("(202) 555-0123", Some("US"), Ok("+12025550123"));
    }

    #[test]
    fn a_default_region_never_changes_an_international_number() {
        let numbers = [
            "+4917604069068",
            "+33199000123",
            "+12025550123",
            "+442079460123",
            "+46701740637",
            "+61491570156",
            "+390612345678",
            "+79161234567",
            "+919876543210",
            "+5511987654321",
            "+6281234567890",
        ];
        for region in ["US", "CA", "DE", "GB", "FR", "IT", "RU", "IN", "BR", "ID", "HU", "MX"] {
            for number in numbers {
                check(number, Some(region), Ok(number));
                let spaced = format!(" {} {} ", &number[..3], &number[3..]);
                check(&spaced, Some(region), Ok(number));
            }
        }
    }

    #[test]
    fn a_number_dialled_abroad_keeps_all_its_digits() {
        check("011 49 17604069068", Some("US"), Ok("+4917604069068"));
        check("01133199000123", Some("CA"), Ok("+33199000123"));
        check("00 49 17604069068", Some("HU"), Ok("+4917604069068"));
        check("010 1 202 555 0123", Some("JP"), Ok("+12025550123"));
        check("tel:+4917604069068", Some("US"), Ok("+4917604069068"));
        check("011 49 111 11111", Some("US"), Err(PhoneError::NotValid));
    }

    #[test]
    fn what_is_not_a_number_says_why() {
        check("", None, Err(PhoneError::Empty));
        check("015112345678", None, Err(PhoneError::NoCountry));
        check("hello", Some("DE"), Err(PhoneError::Unreadable));
        check("+49 1", None, Err(PhoneError::Unreadable));
        check("+49 111 11111", None, Err(PhoneError::NotValid));
        check(&"9".repeat(65), Some("DE"), Err(PhoneError::Unreadable));
        assert!(matches!("ZZ".parse::<Region>(), Err(PhoneError::NoSuchRegion(_))));
    }

    #[test]
    fn a_provider_number_is_checked_for_shape_only() {
        assert_eq!(Phone::from_digits("15550000001").map(|phone| phone.as_u64()), Ok(15_550_000_001));
        assert_eq!(Phone::from_digits("123"), Err(PhoneError::Unreadable));
        assert_eq!(Phone::from_digits("1555000000x"), Err(PhoneError::Unreadable));
        assert_eq!(Phone::from_digits("99999999999999999999"), Err(PhoneError::Unreadable));
    }
}
