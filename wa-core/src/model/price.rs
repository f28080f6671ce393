//! Price policies: what a message costs, by the day on which it is begun.
//!
//! Invariant: a price that is not known is `None`, never 0, and no float touches an amount.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::charge::RateCategory;
use super::content::Category;
use super::market::Market;
use super::message::names;
use super::money::{Currency, Money, PriceList, micros_of};
use super::value::ValueError;

const META_USD_OCTOBER_2026: &str = include_str!("../../data/meta-usd-2026-10-01.json");

/// Rates per delivered message, by market and category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateCard {
    /// The currency of every rate.
    pub currency: Currency,
    /// From when its provider charges by it; a [`PriceBook`] has dates of its own.
    pub effective_from: NaiveDate,
    /// Where the figures come from.
    pub source: String,
    /// The rates; a market that is missing is charged as [`Market::Other`].
    pub rates: BTreeMap<Market, MarketRates>,
}

/// The rates of one market in micros; `None` where none is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MarketRates {
    /// Marketing.
    pub marketing: Option<i64>,
    /// Utility.
    pub utility: Option<i64>,
    /// Authentication.
    pub authentication: Option<i64>,
    /// Authentication from abroad.
    pub authentication_international: Option<i64>,
    /// Free-form messages beyond the free ones.
    pub service: Option<i64>,
}

/// Where a policy takes its rates from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rates {
    /// Nobody has said them; what is free of charge is 0 in this currency, everything else is unknown.
    Unknown {
        /// The account's currency.
        currency: Currency,
    },
    /// The card that ships with this library: [`RateCard::meta_usd_october_2026`].
    MetaUsdOctober2026,
    /// A card of the tenant's own.
    Own(RateCard),
}

/// How a provider makes a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PricePolicy {
    /// A flat list: free-form messages and templates within the window cost nothing, a template
    /// outside it costs what its category costs.
    Flat(PriceList),
    /// Meta from July 2025 on: each delivered template is charged, utility ones within the window are
    /// free, and so is free-form content.
    MetaJuly2025 {
        /// Its rates.
        rates: Rates,
    },
    /// Meta from October 2026 on: each delivered message is charged, but for the first 1,000 free-form
    /// ones of each number and month, and for all within the 72 hours of a free entry point.
    MetaOctober2026 {
        /// Its rates.
        rates: Rates,
    },
}

/// A policy and the instant from which it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPolicy {
    /// The first instant at which it holds.
    pub from: DateTime<Utc>,
    /// The policy.
    pub policy: PricePolicy,
}

/// A tenant's prices: 1 to 100 policies in order of their dates, no two of one instant.
///
/// A message is priced by the policy that holds when it is begun; before the first one its price is
/// unknown.
///
/// ```
/// use chrono::{TimeZone, Utc};
/// use wa_core::model::{PriceBook, PricePolicy};
/// let book = PriceBook::meta();
/// let on = |year, month| Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single();
/// let policy = on(2026, 10).and_then(|at| book.policy_at(at));
/// assert!(matches!(policy, Some(PricePolicy::MetaOctober2026 { .. })));
/// assert_eq!(on(2025, 6).and_then(|at| book.policy_at(at)), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<DatedPolicy>", into = "Vec<DatedPolicy>")]
pub struct PriceBook(Vec<DatedPolicy>);

/// Why a message costs what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PriceReason {
    /// It is charged by its category.
    Charged,
    /// It is free within the customer-service window.
    WithinWindow,
    /// It is one of the month's free service messages.
    FreeTier,
    /// It is free within the 72 hours of an entry point.
    EntryPoint,
    /// The provider charges nothing for another reason.
    Free,
    /// It did not and will not arrive, so it costs nothing.
    GivenBack,
    /// Nobody knows what it costs.
    Unknown,
}

/// What a message is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// The price; `None` when it is not known.
    pub amount: Option<Money>,
    /// The dearest that it can become under its policy, which a budget keeps for it.
    pub reserve: Option<Money>,
    /// Why.
    pub reason: PriceReason,
    /// Whether it counts among the number's service messages of the month, of which some are free.
    pub counts_as_service: bool,
}

/// What one attempt costs, as a report shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptPrice {
    /// The category that the message was sent as.
    pub sent_as: Category,
    /// The category that it is charged in: the provider's word, until then that of the message.
    pub category: RateCategory,
    /// What was expected at the begin.
    pub estimate: Option<Money>,
    /// What it costs as far as is known: the provider's word, until then the estimate; 0 when it was
    /// given back, `None` when it is unknown.
    pub amount: Option<Money>,
    /// Why.
    pub reason: PriceReason,
    /// Whether the provider has said what it charges.
    pub settled: bool,
}

names!(PriceReason {
    Charged = "charged",
    WithinWindow = "within_window",
    FreeTier = "free_tier",
    EntryPoint = "entry_point",
    Free = "free",
    GivenBack = "given_back",
    Unknown = "unknown",
});

impl Estimate {
    /// The estimate where nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { amount: None, reserve: None, reason: PriceReason::Unknown, counts_as_service: false }
    }
}

impl MarketRates {
    /// The rate of a category.
    #[must_use]
    pub const fn rate(&self, category: RateCategory) -> Option<i64> {
        match category {
            RateCategory::Marketing => self.marketing,
            RateCategory::Utility => self.utility,
            RateCategory::Authentication => self.authentication,
            RateCategory::AuthenticationInternational => self.authentication_international,
            RateCategory::Service => self.service,
        }
    }

    fn has_negative(&self) -> bool {
        RateCategory::ALL.iter().any(|category| self.rate(*category).is_some_and(|micros| micros < 0))
    }
}

/// The card as the file writes it: decimal text.
#[derive(Deserialize)]
struct Written {
    currency: Currency,
    effective_from: NaiveDate,
    source: String,
    unverified: String,
    rates: Vec<WrittenRates>,
}

#[derive(Deserialize)]
struct WrittenRates {
    market: Market,
    marketing: Option<String>,
    utility: Option<String>,
    authentication: Option<String>,
    authentication_international: Option<String>,
    service: Option<String>,
}

impl RateCard {
    /// Meta's list prices in USD from 1 October 2026 on.
    ///
    /// Unconfirmed: a transcription at second hand; its [`source`](Self::source) says what was checked.
    #[must_use]
    pub fn meta_usd_october_2026() -> &'static Self {
        static READ: OnceLock<RateCard> = OnceLock::new();
        READ.get_or_init(|| Self::read(META_USD_OCTOBER_2026).expect("a test reads the card that ships"))
    }

    /// The rate of a category in a market.
    #[must_use]
    pub fn rate(&self, market: Market, category: RateCategory) -> Option<Money> {
        let rates = self.rates.get(&market).or_else(|| self.rates.get(&Market::Other))?;
        rates.rate(category).map(|micros| Money { micros, currency: self.currency })
    }

    fn read(text: &str) -> Option<Self> {
        let Written { currency, effective_from, source, unverified, rates } =
            serde_json::from_str(text).ok()?;
        let micros = |text: Option<String>| match text {
            None => Some(None),
            Some(text) => micros_of(&text).map(Some),
        };
        let rates = rates.into_iter().map(|row| {
            let rates = MarketRates {
                marketing: micros(row.marketing)?,
                utility: micros(row.utility)?,
                authentication: micros(row.authentication)?,
                authentication_international: micros(row.authentication_international)?,
                service: micros(row.service)?,
            };
            Some((row.market, rates))
        });
        let source = format!("{source} Unverified: {unverified}");
        Some(Self { currency, effective_from, source, rates: rates.collect::<Option<_>>()? })
    }
}

impl Rates {
    /// The currency of every rate.
    #[must_use]
    pub fn currency(&self) -> Currency {
        match self {
            Self::Unknown { currency } => *currency,
            Self::MetaUsdOctober2026 => RateCard::meta_usd_october_2026().currency,
            Self::Own(card) => card.currency,
        }
    }

    /// The rate of a category in a market, if it is known.
    #[must_use]
    pub fn rate(&self, market: Market, category: RateCategory) -> Option<Money> {
        match self {
            Self::Unknown { currency: _ } => None,
            Self::MetaUsdOctober2026 => RateCard::meta_usd_october_2026().rate(market, category),
            Self::Own(card) => card.rate(market, category),
        }
    }
}

impl PricePolicy {
    /// The currency of every price.
    #[must_use]
    pub fn currency(&self) -> Currency {
        match self {
            Self::Flat(list) => list.currency,
            Self::MetaJuly2025 { rates } | Self::MetaOctober2026 { rates } => rates.currency(),
        }
    }

    /// What a charged message of a category costs in a market, if it is known.
    #[must_use]
    pub fn rate(&self, market: Market, category: RateCategory) -> Option<Money> {
        match self {
            Self::Flat(list) => list.price(match category {
                RateCategory::Marketing => Category::Marketing,
                RateCategory::Utility => Category::Utility,
                RateCategory::Authentication | RateCategory::AuthenticationInternational => {
                    Category::Authentication
                }
                RateCategory::Service => Category::Service,
            }),
            Self::MetaJuly2025 { rates } | Self::MetaOctober2026 { rates } => rates.rate(market, category),
        }
    }

    fn has_negative(&self) -> bool {
        match self {
            Self::Flat(list) => list.per_message.values().any(|micros| *micros < 0),
            Self::MetaJuly2025 { rates } | Self::MetaOctober2026 { rates } => match rates {
                Rates::Unknown { .. } | Rates::MetaUsdOctober2026 => false,
                Rates::Own(card) => card.rates.values().any(MarketRates::has_negative),
            },
        }
    }
}

impl PriceBook {
    /// The most policies of one book.
    pub const MAX_POLICIES: usize = 100;

    /// Makes a book of dated policies, in any order.
    ///
    /// # Errors
    /// When there is none or too many, two are of one instant, or a price is below 0.
    pub fn new(mut policies: Vec<DatedPolicy>) -> Result<Self, ValueError> {
        policies.sort_by_key(|dated| dated.from);
        let dates_differ =
            policies.iter().zip(policies.iter().skip(1)).all(|(one, next)| one.from != next.from);
        if !(1..=Self::MAX_POLICIES).contains(&policies.len()) || !dates_differ {
            return Err(ValueError::new("a price book", "1 to 100 policies, each with a date of its own"));
        }
        if policies.iter().any(|dated| dated.policy.has_negative()) {
            return Err(ValueError::new("a price", "0 or more"));
        }
        Ok(Self(policies))
    }

    /// Meta's list prices in USD: from 1 July 2025 on without rates, from 1 October 2026 on with the
    /// card that ships.
    ///
    /// An account that is billed in another currency needs a book of its own.
    #[must_use]
    pub fn meta() -> Self {
        let from = |text: &str| text.parse().expect("an instant");
        let rates = Rates::MetaUsdOctober2026;
        let unknown = Rates::Unknown { currency: rates.currency() };
        Self(vec![
            DatedPolicy {
                from: from("2025-07-01T00:00:00Z"),
                policy: PricePolicy::MetaJuly2025 { rates: unknown },
            },
            DatedPolicy {
                from: from("2026-10-01T00:00:00Z"),
                policy: PricePolicy::MetaOctober2026 { rates },
            },
        ])
    }

    /// The policies in order of their dates.
    #[must_use]
    pub fn policies(&self) -> &[DatedPolicy] {
        &self.0
    }

    /// The policy that holds at an instant.
    #[must_use]
    pub fn policy_at(&self, at: DateTime<Utc>) -> Option<&PricePolicy> {
        self.0.iter().rev().find(|dated| dated.from <= at).map(|dated| &dated.policy)
    }
}

impl From<PriceList> for PriceBook {
    /// One flat list for all times. Negative prices count as 0.
    fn from(mut list: PriceList) -> Self {
        list.per_message.values_mut().for_each(|micros| *micros = (*micros).max(0));
        Self(vec![DatedPolicy { from: DateTime::<Utc>::UNIX_EPOCH, policy: PricePolicy::Flat(list) }])
    }
}

impl TryFrom<Vec<DatedPolicy>> for PriceBook {
    type Error = ValueError;
    fn try_from(policies: Vec<DatedPolicy>) -> Result<Self, ValueError> {
        Self::new(policies)
    }
}

impl From<PriceBook> for Vec<DatedPolicy> {
    fn from(book: PriceBook) -> Self {
        book.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_that_ships_has_every_market_and_the_figures_of_its_source() {
        let card = RateCard::meta_usd_october_2026();
        assert_eq!((card.currency.as_str(), card.rates.len()), ("USD", Market::ALL.len()));
        assert!(card.source.contains("Not checked against a live page"));
        let rate = |market, category| card.rate(market, category).map(|money| money.micros);
        use RateCategory::{Authentication, AuthenticationInternational, Marketing, Service, Utility};
        for (market, marketing, utility) in [
            (Market::India, 11_800, 1_400),
            (Market::NorthAmerica, 25_000, 3_400),
            (Market::Brazil, 62_500, 6_800),
            (Market::UnitedKingdom, 63_500, 22_000),
            (Market::Germany, 136_500, 55_000),
            (Market::Mexico, 39_700, 8_500),
            (Market::Indonesia, 41_100, 25_000),
            (Market::Other, 60_400, 7_700),
        ] {
            assert_eq!(rate(market, Marketing), Some(marketing), "{market:?}");
            for category in [Utility, Authentication, Service] {
                assert_eq!(rate(market, category), Some(utility), "{market:?} {category:?}");
            }
        }
        assert_eq!(rate(Market::India, AuthenticationInternational), Some(30_400));
        assert_eq!(rate(Market::Germany, AuthenticationInternational), None, "not known, so not 0");
    }

    #[test]
    fn a_market_that_a_card_lacks_is_charged_as_other() {
        let rates = |micros| MarketRates { utility: Some(micros), ..MarketRates::default() };
        let card = RateCard {
            rates: [(Market::Other, rates(7)), (Market::India, rates(1))].into(),
            ..RateCard::meta_usd_october_2026().clone()
        };
        let rate = |market| card.rate(market, RateCategory::Utility).map(|money| money.micros);
        assert_eq!((rate(Market::India), rate(Market::Peru)), (Some(1), Some(7)));
        assert_eq!(card.rate(Market::India, RateCategory::Service), None);
    }

    #[test]
    fn books_are_sorted_and_checked() {
        let book = PriceBook::meta();
        let mut turned = book.policies().to_vec();
        turned.reverse();
        assert_eq!(PriceBook::new(turned).as_ref(), Ok(&book));
        assert!(PriceBook::new(Vec::new()).is_err());
        let twice = [book.policies(), book.policies()].concat();
        assert!(PriceBook::new(twice).is_err());
        let json = serde_json::to_string(&book).expect("JSON");
        assert_eq!(serde_json::from_str::<PriceBook>(&json).ok(), Some(book));
        assert!(serde_json::from_str::<PriceBook>("[]").is_err());
    }
}
