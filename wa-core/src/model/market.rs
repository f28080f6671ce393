//! Markets: which of a provider's prices holds for a recipient.
//!
//! Invariant: every recipient has a market; whoever is in none of the listed ones is in
//! [`Market::Other`]. The table is `data/meta-markets.json`, read once.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::recipient::Recipient;

const TABLE: &str = include_str!("../../data/meta-markets.json");

/// The longest prefix in the table.
const LONGEST: usize = 4;

macro_rules! markets {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A market of Meta's rate card, by the recipient's calling code.
        ///
        /// ```
        /// use wa_core::model::{Market, Phone, Recipient};
        /// let market = |text| Phone::parse(text, None).map(|phone| Market::of(&Recipient::from(phone)));
        /// assert_eq!(market("+4915112345678")?, Market::Germany);
        /// assert_eq!(market("+14155550123")?, Market::NorthAmerica);
        /// # Ok::<(), wa_core::model::PhoneError>(())
        /// ```
        ///
        /// Source: Meta, Pricing on the WhatsApp Business Platform, rate card of 1 October 2026, second hand.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Market {
            $(#[doc = $name] #[serde(rename = $name)] $variant),*
        }

        impl Market {
            /// Every market.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, as in the rate card.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

markets! {
    Argentina = "Argentina",
    Bangladesh = "Bangladesh",
    Brazil = "Brazil",
    Chile = "Chile",
    Colombia = "Colombia",
    Egypt = "Egypt",
    France = "France",
    Germany = "Germany",
    HongKong = "Hong Kong",
    Hungary = "Hungary",
    India = "India",
    Indonesia = "Indonesia",
    Iraq = "Iraq",
    Israel = "Israel",
    Italy = "Italy",
    Kazakhstan = "Kazakhstan",
    Kuwait = "Kuwait",
    Malaysia = "Malaysia",
    Mexico = "Mexico",
    Morocco = "Morocco",
    Netherlands = "Netherlands",
    Nepal = "Nepal",
    Nigeria = "Nigeria",
    Oman = "Oman",
    Pakistan = "Pakistan",
    Peru = "Peru",
    Poland = "Poland",
    Qatar = "Qatar",
    Romania = "Romania",
    Russia = "Russia",
    SaudiArabia = "Saudi Arabia",
    Singapore = "Singapore",
    SouthAfrica = "South Africa",
    Spain = "Spain",
    SriLanka = "Sri Lanka",
    Turkey = "Turkey",
    Ukraine = "Ukraine",
    UnitedArabEmirates = "United Arab Emirates",
    UnitedKingdom = "United Kingdom",
    NorthAmerica = "North America",
    RestOfAfrica = "Rest of Africa",
    RestOfAsiaPacific = "Rest of Asia Pacific",
    RestOfCentralEasternEurope = "Rest of Central & Eastern Europe",
    RestOfLatinAmerica = "Rest of Latin America",
    RestOfMiddleEast = "Rest of Middle East",
    RestOfWesternEurope = "Rest of Western Europe",
    Other = "Other",
}

#[derive(Deserialize)]
struct Listed {
    markets: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    market: Market,
    codes: Vec<String>,
    regions: Vec<String>,
}

struct Table {
    codes: HashMap<String, Market>,
    regions: BTreeMap<String, Market>,
}

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    READ.get_or_init(|| {
        let listed: Listed = serde_json::from_str(TABLE).expect("a test reads the table that ships");
        let mut table = Table { codes: HashMap::new(), regions: BTreeMap::new() };
        for Row { market, codes, regions } in listed.markets {
            table.codes.extend(codes.into_iter().map(|code| (code, market)));
            table.regions.extend(regions.into_iter().map(|region| (region, market)));
        }
        table
    })
}

impl Market {
    /// The market of a recipient: by the phone's calling code, else by the country of the
    /// business-scoped user id.
    #[must_use]
    pub fn of(recipient: &Recipient) -> Self {
        let found = match (recipient.phone(), recipient.bsuid()) {
            (Some(phone), _) => {
                let digits = phone.digits();
                let prefixes = (1..=LONGEST).rev().filter_map(|length| digits.get(..length));
                prefixes.filter_map(|prefix| table().codes.get(prefix)).copied().next()
            }
            (None, Some(bsuid)) => {
                bsuid.as_str().get(..2).and_then(|region| table().regions.get(region)).copied()
            }
            (None, None) => None,
        };
        found.unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bsuid, Phone};

    fn of(digits: &str) -> Market {
        Market::of(&Recipient::from(Phone::from_digits(digits).expect("a phone")))
    }

    #[test]
    fn the_table_that_ships_names_each_market_and_no_code_twice() {
        let listed: Listed = serde_json::from_str(TABLE).expect("the table");
        let named: Vec<_> = listed.markets.iter().map(|row| row.market).collect();
        assert_eq!(named, Market::ALL);
        let codes: Vec<_> = listed.markets.iter().flat_map(|row| &row.codes).collect();
        assert_eq!(codes.len(), table().codes.len(), "a code stands twice");
        assert!(codes.iter().all(|code| (1..=LONGEST).contains(&code.len())));
    }

    #[test]
    fn the_longest_code_counts_and_what_is_not_listed_is_other() {
        for (digits, market) in [
            ("919812345678", Market::India),
            ("79161234567", Market::Russia),
            ("77011234567", Market::Kazakhstan),
            ("18095551234", Market::RestOfLatinAmerica),
            ("12425551234", Market::Other),
            ("14155550123", Market::NorthAmerica),
            ("2348031234567", Market::Nigeria),
            ("254712345678", Market::RestOfAfrica),
            ("35312345678", Market::RestOfWesternEurope),
            ("88212345678", Market::Other),
        ] {
            assert_eq!(of(digits), market, "{digits}");
        }
        let hidden = |text: &str| Market::of(&Recipient::from(text.parse::<Bsuid>().expect("a user id")));
        assert_eq!(hidden("IN.a1"), Market::India);
        assert_eq!(hidden("DO.a1"), Market::RestOfLatinAmerica);
        assert_eq!(hidden("ZZ.a1"), Market::Other);
    }
}
