//! Media objects, and the place on a map.

use serde::Serialize;
use serde_json::Number;
use wa_core::model::{Location, Media, MediaRef};

/// A medium in any place of a message; each place uses the fields that it has.
#[derive(Debug, Default, Serialize)]
pub(super) struct MediaBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    voice: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct LocationBody<'a> {
    latitude: Number,
    longitude: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
}

impl<'a> MediaBody<'a> {
    pub(super) fn of(source: &'a MediaRef) -> Self {
        match source {
            MediaRef::Id(id) => Self { id: Some(id), ..Self::default() },
            MediaRef::Link(link) => Self { link: Some(link), ..Self::default() },
        }
    }

    /// With the file name that a document shows.
    pub(super) fn named(source: &'a MediaRef, filename: Option<&'a str>) -> Self {
        Self { filename, ..Self::of(source) }
    }

    pub(super) fn message(media: &'a Media) -> Self {
        Self {
            caption: media.caption(),
            filename: media.filename(),
            voice: media.is_voice(),
            ..Self::of(media.source())
        }
    }
}

impl<'a> LocationBody<'a> {
    pub(super) fn of(location: &'a Location) -> Self {
        Self {
            latitude: degrees(location.latitude()),
            longitude: degrees(location.longitude()),
            name: location.name(),
            address: location.address(),
        }
    }
}

/// Degrees as the numbers of Meta's own example.
///
/// Leading zeros, which a decimal text may have and a JSON number may not, are left out.
fn degrees(text: &str) -> Number {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |unsigned| ("-", unsigned));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let number = serde_json::from_str(&format!("{sign}{whole}.{fraction}"));
    number.expect("a location holds decimal digits only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_become_the_same_number() {
        for (text, number) in [
            ("37.758056", "37.758056"),
            ("-122.425332", "-122.425332"),
            ("007", "7.0"),
            ("-0", "-0.0"),
            ("90.000", "90.0"),
        ] {
            assert_eq!(degrees(text).to_string(), number, "{text}");
        }
    }
}
