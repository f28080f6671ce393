//! A place on the map.

use serde::{Deserialize, Serialize};

use super::check::{Checked, Flaw, InvalidContent, Place, hidden};
use super::texts::texts;

/// A place, with its name and address if they are known.
///
/// Source: Meta, Location messages, read December 2025. Degrees are kept as they are written, so
/// that no digit is lost.
///
/// ```
/// use wa_core::model::Location;
/// let place = Location::new("52.516275", "13.377704")?.with_name("Brandenburger Tor")?;
/// assert_eq!(place.latitude(), "52.516275");
/// assert!(Location::new("91", "0").is_err());
/// # Ok::<(), wa_core::model::InvalidContent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLocation", into = "RawLocation")]
pub struct Location {
    latitude: String,
    longitude: String,
    name: Option<String>,
    address: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RawLocation {
    latitude: String,
    longitude: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

impl Location {
    /// The most characters of a name or an address. Unconfirmed: Meta names no limit.
    pub const MAX_CHARS: usize = 1_024;

    /// A place by its decimal degrees: latitude from -90 to 90, longitude from -180 to 180.
    ///
    /// # Errors
    /// When either is not a decimal number in its range; exponents are not taken.
    pub fn new(latitude: &str, longitude: &str) -> Result<Self, InvalidContent> {
        let tidy = |text: &str| text.strip_prefix('+').unwrap_or(text).to_owned();
        Self { latitude: tidy(latitude), longitude: tidy(longitude), name: None, address: None }.checked()
    }

    /// Names the place.
    ///
    /// # Errors
    /// When the name is blank or has over 1,024 characters.
    pub fn with_name(mut self, name: impl Into<String>) -> Result<Self, InvalidContent> {
        self.name = Some(name.into());
        self.checked()
    }

    /// Adds its address.
    ///
    /// # Errors
    /// When the address is blank or has over 1,024 characters.
    pub fn with_address(mut self, address: impl Into<String>) -> Result<Self, InvalidContent> {
        self.address = Some(address.into());
        self.checked()
    }

    /// Decimal degrees north, as they were written.
    #[must_use]
    pub fn latitude(&self) -> &str {
        &self.latitude
    }

    /// Decimal degrees east, as they were written.
    #[must_use]
    pub fn longitude(&self) -> &str {
        &self.longitude
    }

    /// The name of the place.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address of the place.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    fn checked(self) -> Result<Self, InvalidContent> {
        self.check().map(|()| self)
    }

    pub(super) fn check(&self) -> Checked {
        let Self { latitude, longitude, name, address } = self;
        let at = Place::root("location");
        let is_plain = |text: &str, most| text.len() <= 32 && is_degrees(text, most);
        at.field("latitude").must(is_plain(latitude, 90), Flaw::NotDegrees)?;
        at.field("longitude").must(is_plain(longitude, 180), Flaw::NotDegrees)?;
        at.field("name").optional(name.as_ref(), Self::MAX_CHARS)?;
        at.field("address").optional(address.as_ref(), Self::MAX_CHARS)
    }
}

texts!(Location { name, address } keep { latitude, longitude });

impl TryFrom<RawLocation> for Location {
    type Error = InvalidContent;
    fn try_from(raw: RawLocation) -> Result<Self, InvalidContent> {
        let RawLocation { latitude, longitude, name, address } = raw;
        Self { latitude, longitude, name, address }.checked()
    }
}

impl From<Location> for RawLocation {
    fn from(location: Location) -> Self {
        let Location { latitude, longitude, name, address } = location;
        Self { latitude, longitude, name, address }
    }
}

/// Whether a decimal text lies within ± `most` degrees, without using floats.
pub(crate) fn is_degrees(text: &str, most: u32) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return false;
    }
    match whole.parse::<u32>() {
        Ok(whole) if whole < most => true,
        Ok(whole) => whole == most && fraction.bytes().all(|byte| byte == b'0'),
        Err(_) => false,
    }
}

hidden!(Location);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_checked_without_floats() {
        for (text, most, fits) in [
            ("52.5", 90, true),
            ("-90.000", 90, true),
            ("90.1", 90, false),
            ("181", 180, false),
            ("1e3", 90, false),
            (".5", 90, false),
        ] {
            assert_eq!(is_degrees(text, most), fits, "{text}");
        }
    }

    #[test]
    fn a_plus_sign_is_left_out_as_metas_contract_knows_none() {
        let place = Location::new("+1.5", "-0").expect("a place");
        assert_eq!((place.latitude(), place.longitude()), ("1.5", "-0"));
    }
}
