//! Who is written to, where they live, and what a message to them costs: plain data, so that the
//! judge owes nothing to the library.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use wa_kit::model::{
    DatedPolicy, Market, MarketRates, PriceBook, PricePolicy, RateCard, Rates as LibraryRates,
};
use wa_kit::simulator::{QuietHours, Rates, Scope, ZoneOffsets};

/// The first quiet hour of the evening, and the first of the morning that is not.
pub(super) const NIGHT: (u32, u32) = (21, 8);

/// A country: code and beginning of its numbers, market, rates of marketing, utility, authentication
/// and service in micros, zone of its contacts, and the zone's offset before and after its change.
struct Country {
    code: &'static str,
    beginning: &'static str,
    market: Market,
    rates: [i64; 4],
    zone: Option<&'static str>,
    hours: (i32, i32),
    changes_at: &'static str,
}

const EUROPE: &str = "2026-10-25T01:00:00Z";
const NEW_YORK: &str = "2026-11-01T06:00:00Z";

#[rustfmt::skip]
const COUNTRIES: [Country; 4] = [
    Country { code: "49", beginning: "49151", market: Market::Germany, rates: [136_500, 55_000, 76_800, 21_700],
        zone: None, hours: (2, 1), changes_at: EUROPE },
    Country { code: "44", beginning: "447400", market: Market::UnitedKingdom, rates: [52_900, 22_000, 35_800, 12_100],
        zone: None, hours: (1, 0), changes_at: EUROPE },
    Country { code: "34", beginning: "34612", market: Market::Spain, rates: [61_500, 20_000, 34_200, 11_900],
        zone: None, hours: (2, 1), changes_at: EUROPE },
    Country { code: "1", beginning: "1212555", market: Market::NorthAmerica, rates: [25_000, 3_400, 13_500, 3_100],
        zone: Some("America/New_York"), hours: (-4, -5), changes_at: NEW_YORK },
];

/// A person: digits of the phone, the zone if the contact names one.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) phone: u64,
    pub(super) digits: String,
    pub(super) zone: Option<&'static str>,
}

impl Person {
    /// The n-th person: 9 of 20 live in Germany, 4 in Britain, 3 in Spain, 4 in New York.
    pub(super) fn nth(n: usize) -> Self {
        let country = match n % 20 {
            0..9 => &COUNTRIES[0],
            9..13 => &COUNTRIES[1],
            13..16 => &COUNTRIES[2],
            _ => &COUNTRIES[3],
        };
        let digits = match country.code {
            "49" => format!("{}1{:07}", country.beginning, n),
            "44" | "34" => format!("{}{:06}", country.beginning, n),
            // Whole area codes are walked through: there are only 10,000 numbers of 212 555.
            _ => format!("1{}5{:06}", [212, 646, 917][n / 1_000_000], n % 1_000_000),
        };
        Self { phone: digits.parse().expect("digits"), digits, zone: country.zone }
    }

    pub(super) fn is_american(&self) -> bool {
        self.zone.is_some()
    }
}

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn offsets(country: &Country) -> ZoneOffsets {
    let (before, after) = country.hours;
    vec![(at("2026-04-01T00:00:00Z"), before * 3_600), (at(country.changes_at), after * 3_600)]
}

/// The quiet hours as the simulator judges them: every marketing message goes with the bulk lane.
pub(super) fn judged_quiet() -> QuietHours {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("a time");
    QuietHours {
        from: time(NIGHT.0),
        until: time(NIGHT.1),
        scope: Scope::Marketing,
        zones: COUNTRIES.iter().map(|country| (country.code.to_owned(), offsets(country))).collect(),
    }
}

/// What the clocks show where a phone belongs.
pub(super) fn local(digits: &str, now: DateTime<Utc>) -> NaiveTime {
    let country = COUNTRIES.iter().find(|country| digits.starts_with(country.code)).expect("a country");
    let (before, after) = country.hours;
    let hours = if now < at(country.changes_at) { before } else { after };
    (now + TimeDelta::hours(hours.into())).time()
}

/// What the simulator charges.
pub(super) fn charged() -> Rates {
    COUNTRIES.iter().fold(Rates::new("USD"), |rates, country| {
        let names = ["marketing", "utility", "authentication", "service"];
        let each = names.iter().zip(country.rates);
        each.fold(rates, |rates, (name, micros)| rates.rate(name, country.code, micros))
    })
}

/// The same as the tenant knows it.
pub(super) fn prices() -> PriceBook {
    let own = |country: &Country| {
        let [marketing, utility, authentication, service] = country.rates.map(Some);
        let rates =
            MarketRates { marketing, utility, authentication, authentication_international: None, service };
        (country.market, rates)
    };
    let card = RateCard {
        currency: "USD".parse().expect("a currency"),
        effective_from: at("2026-10-01T00:00:00Z").date_naive(),
        source: "this test".to_owned(),
        rates: COUNTRIES.iter().map(own).collect::<BTreeMap<_, _>>(),
    };
    let policy = PricePolicy::MetaOctober2026 { rates: LibraryRates::Own(card) };
    PriceBook::new(vec![DatedPolicy { from: at("2026-10-01T00:00:00Z"), policy }]).expect("a book")
}
