//! In which time zones a recipient may live.

mod regions;

use self::regions::REGIONS;
use crate::model::{Phone, Region, Regions, TimeZone};

/// The contact attribute that names a recipient's own zone.
pub const ATTRIBUTE: &str = "time_zone";

/// The zones in one of which somebody lives; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneSet(Zones);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zones {
    One(chrono_tz::Tz),
    /// Never empty.
    Country(&'static [chrono_tz::Tz]),
    /// At least one of them has zones.
    Countries(Regions),
}

/// The zones of a recipient: the contact's own [`ATTRIBUTE`] if it names a zone, else those of the
/// countries that its number may belong to, else the tenant's.
///
/// ```
/// use wa_core::{model::{Phone, TimeZone}, rules::zones};
/// let tenant: TimeZone = "Europe/Berlin".parse()?;
/// let names = |own: Option<&str>, phone: &str| -> Result<Vec<_>, Box<dyn std::error::Error>> {
///     let phone = Phone::parse(phone, None)?;
///     Ok(zones::of(own, Some(phone), tenant).iter().map(|zone| zone.name()).collect())
/// };
/// assert_eq!(names(None, "+62 812 3456 7890")?, ["Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"]);
/// assert_eq!(names(Some("Asia/Makassar"), "+62 812 3456 7890")?, ["Asia/Makassar"]);
/// assert_eq!(zones::of(None, None, tenant).first(), tenant);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn of(own: Option<&str>, phone: Option<Phone>, tenant: TimeZone) -> ZoneSet {
    let own = own.and_then(|name| name.parse::<TimeZone>().ok()).map(ZoneSet::from);
    let abroad = || phone.and_then(|phone| ZoneSet::of_regions(phone.regions()));
    own.or_else(abroad).unwrap_or_else(|| tenant.into())
}

/// The zones of a country, each time that is kept there once; none for a country without people.
#[must_use]
pub fn of_region(region: Region) -> Option<ZoneSet> {
    zones_of(region).map(|zones| ZoneSet(Zones::Country(zones)))
}

impl ZoneSet {
    /// Every zone of several countries.
    #[must_use]
    pub fn of_regions(regions: Regions) -> Option<Self> {
        let mut known = regions.iter().filter_map(of_region);
        let first = known.next()?;
        Some(if known.next().is_some() { Self(Zones::Countries(regions)) } else { first })
    }

    /// The zone where most people live.
    #[must_use]
    pub fn first(&self) -> TimeZone {
        self.iter().next().unwrap_or_default()
    }

    /// The zones.
    pub fn iter(&self) -> impl Iterator<Item = TimeZone> {
        let (one, country, countries) = match self.0 {
            Zones::One(zone) => (Some(zone), &[][..], None),
            Zones::Country(zones) => (None, zones, None),
            Zones::Countries(regions) => (None, &[][..], Some(regions)),
        };
        let countries = countries.into_iter().flat_map(|regions| regions.iter());
        let theirs = countries.filter_map(zones_of).flatten();
        one.into_iter().chain(country.iter().copied()).chain(theirs.copied()).map(TimeZone::of)
    }
}

impl From<TimeZone> for ZoneSet {
    fn from(zone: TimeZone) -> Self {
        Self(Zones::One(zone.tz()))
    }
}

fn zones_of(region: Region) -> Option<&'static [chrono_tz::Tz]> {
    let place = REGIONS.binary_search_by_key(&region.code(), |(code, _)| *code).ok()?;
    REGIONS.get(place).map(|(_, zones)| *zones)
}
