//! Source of the claims: the IANA zone database, `zone.tab`; libphonenumber's numbering plans.

use std::collections::{BTreeMap, BTreeSet};

use phonenumber::metadata::DATABASE;
use wa_core::model::{Phone, Region, TimeZone};
use wa_core::rules::zones::{self, ZoneSet};

use super::zone_table::changes;

/// Countries and their zones, as the zone database has them.
fn table() -> BTreeMap<&'static str, Vec<TimeZone>> {
    let mut table = BTreeMap::<_, Vec<_>>::new();
    for line in include_str!("zone.tab").lines().filter(|line| !line.starts_with('#')) {
        let (country, zone) = line.split_once(' ').expect("a country and a zone");
        table.entry(country).or_default().push(zone.parse().expect("a zone"));
    }
    assert_eq!(table.len(), 247);
    table
}

fn of_country(code: &str) -> Option<ZoneSet> {
    code.parse::<Region>().ok().and_then(zones::of_region)
}

#[test]
fn every_zone_of_a_country_is_stood_for() {
    let table = table();
    for (country, all) in &table {
        let Some(set) = of_country(country) else {
            // No telephone there: Antarctica.
            assert!(country.parse::<Region>().is_err() || *country == "AQ", "{country} has no zones");
            continue;
        };
        let kept: Vec<_> = set.iter().collect();
        assert!(kept.iter().all(|zone| all.contains(zone)), "{country} has a foreign zone");
        let times: BTreeSet<_> = kept.iter().map(|zone| changes(*zone)).collect();
        assert_eq!(times.len(), kept.len(), "{country} keeps a time twice");
        for zone in all {
            assert!(times.contains(&changes(*zone)), "{country} misses {zone}");
        }
    }
}

#[test]
fn every_country_with_a_calling_code_has_zones() {
    for country in DATABASE.iter().map(phonenumber::Metadata::id).filter(|id| *id != "001") {
        assert!(of_country(country).is_some(), "{country} has no zones");
    }
}

#[test]
fn the_example_numbers_of_each_country_are_its_own() {
    let mut checked = 0;
    for country in DATABASE.iter() {
        let kinds = country.descriptors();
        let kinds = [kinds.mobile(), kinds.fixed_line(), kinds.voip()];
        for example in kinds.into_iter().flatten().filter_map(|kind| kind.example()) {
            let text = format!("+{}{example}", country.country_code());
            let Ok(number) = phonenumber::parse(None, &text) else { continue };
            let Some(own) = number.country().id() else { continue };
            let phone = Phone::from_digits(&text).expect("an example has the shape of a number");
            let regions: Vec<_> = phone.regions().iter().map(|it| it.code().to_owned()).collect();
            assert!(
                regions.iter().any(|region| region == own.as_ref()),
                "{text} is {own:?}, not {regions:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 450, "only {checked} examples");
}

#[test]
fn area_codes_of_north_america_are_those_of_their_country() {
    let mut known = 0;
    for area in 200..1_000 {
        let numbers = (200..1_000).step_by(61).map(|office| format!("+1{area}{office}4567"));
        let own: BTreeSet<String> = numbers
            .filter_map(|number| phonenumber::parse(None, number).ok())
            .filter_map(|number| Some(number.country().id()?.as_ref().to_owned()))
            .collect();
        let phone = Phone::from_digits(&format!("1{area}2004567")).expect("a number");
        let regions: Vec<_> = phone.regions().iter().map(|it| it.code().to_owned()).collect();
        if own.is_empty() {
            assert!(regions.len() > 20, "+1 {area} is nobody's, so it may be anybody's: {regions:?}");
        } else {
            assert_eq!(regions, Vec::from_iter(own), "+1 {area}");
            known += 1;
        }
    }
    assert!(known > 450, "only {known} area codes");
}

#[test]
fn the_contact_says_where_it_lives_else_its_number_does_else_the_tenant() {
    let tenant: TimeZone = "Europe/Berlin".parse().expect("a zone");
    let phone = |digits: &str| Some(Phone::from_digits(digits).expect("a number"));
    let check = |own: Option<&str>, phone: Option<Phone>, expected: &[&str]| {
        let names: Vec<_> = zones::of(own, phone, tenant).iter().map(|zone| zone.name()).collect();
        assert_eq!(names, expected);
    };
    check(Some("Asia/Tokyo"), phone("34600000000"), &["Asia/Tokyo"]);
    check(Some(" Asia/Tokyo "), None, &["Asia/Tokyo"]);
    check(Some("Tokyo"), phone("34600000000"), &["Europe/Madrid", "Atlantic/Canary"]);
    check(Some(""), phone("351912345678"), &["Europe/Lisbon", "Atlantic/Azores"]);
    check(None, phone("77011234567"), &["Asia/Almaty", "Asia/Qyzylorda"]);
    check(None, phone("18085550123"), US);
    check(None, phone("8835100000000"), &["Europe/Berlin"]);
    check(None, None, &["Europe/Berlin"]);
    let islands = zones::of(None, phone("447911123456"), tenant);
    assert_eq!(islands.iter().count(), 4);
    let anywhere = zones::of(None, phone("12223334444"), tenant);
    assert!(anywhere.iter().count() > 30 && anywhere.first().name() == "America/New_York");
}

const US: &[&str] = &[
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Adak",
    "Pacific/Honolulu",
];
