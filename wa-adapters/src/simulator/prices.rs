//! What a message costs in the simulated world: the simulator's own price models and rate table.
//!
//! Written from Meta's pages and from nothing of this project. A price is decided when a send is
//! accepted, from what the simulator already knows of its delivery; only a delivered message is
//! charged.
//!
//! Source: Meta, Pricing on the `WhatsApp` Business Platform, read October 2026; free entry points
//! from Conversation-based pricing, read December 2025.

use std::collections::{BTreeMap, HashMap};

use chrono::Datelike;

use super::accepted::Accepted;
use super::clock::{DAY, Micros, SECOND, instant, micros};
use super::templates::TemplateCategory;
use super::wire::Endpoint;

/// By which model messages are charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PriceModel {
    /// That of July 2025 before 1 October 2026, that of October 2026 from then on.
    #[default]
    ByDate,
    /// Per delivered template; service messages and utility templates inside windows are free.
    July2025,
    /// Per delivered message; inside windows utility templates are charged, and service messages
    /// after the first 1,000 of a number and calendar month.
    October2026,
}

/// What a message costs by category and recipient; made for one currency.
///
/// ```
/// use wa_adapters::simulator::Rates;
///
/// let rates = Rates::new("USD")
///     .rate("marketing", "49", 136_500)
///     .rate("marketing", "*", 60_400)
///     .rate("utility", "*", 7_700);
/// assert_eq!(rates.of("marketing", "4915123456789"), Some(136_500));
/// assert_eq!(rates.of("marketing", "5215512345678"), Some(60_400));
/// assert_eq!(rates.of("service", "4915123456789"), Some(7_700), "the rate of utility");
/// assert_eq!(rates.of("authentication-international", "919876543210"), None, "unknown, not free");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    currency: String,
    by_category: BTreeMap<String, Vec<(String, i64)>>,
    international: Vec<String>,
}

impl Rates {
    /// An empty table in a currency such as `USD`.
    #[must_use]
    pub fn new(currency: impl Into<String>) -> Self {
        Self { currency: currency.into(), by_category: BTreeMap::new(), international: Vec::new() }
    }

    /// Sets what a message of a category costs in a market, in millionths of the currency.
    ///
    /// The category is one of the `pricing` object, such as `marketing_lite` or
    /// `authentication-international`. The market is the beginning of the phone numbers, digits
    /// only, such as `49`; or a country of business-scoped user ids, such as `DE`; or `*` for all
    /// others. The longest beginning holds. Without a rate of their own `marketing_lite` costs what
    /// `marketing` does, and `service` and `authentication` what `utility` does.
    #[must_use]
    pub fn rate(mut self, category: &str, market: &str, amount: i64) -> Self {
        let rates = self.by_category.entry(category.to_owned()).or_default();
        rates.retain(|(of, _)| of != market);
        rates.push((market.to_owned(), amount));
        self
    }

    /// Authentication templates to this market are charged as `authentication-international`.
    #[must_use]
    pub fn international(mut self, market: &str) -> Self {
        self.international.push(market.to_owned());
        self
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// The rate for a recipient, a phone's digits or a business-scoped user id; none is unknown.
    #[must_use]
    pub fn of(&self, category: &str, recipient: &str) -> Option<i64> {
        let own = self.by_category.get(category);
        let rates = own.or_else(|| self.by_category.get(stand_in(category)?))?;
        let fits = |market: &str| market == "*" || is_in(recipient, market);
        let length = |market: &str| if market == "*" { 0 } else { market.len() };
        let fitting = rates.iter().filter(|(market, _)| fits(market));
        fitting.max_by_key(|(market, _)| length(market)).map(|(_, amount)| *amount)
    }

    fn is_international(&self, recipient: &str) -> bool {
        self.international.iter().any(|market| is_in(recipient, market))
    }
}

fn stand_in(category: &str) -> Option<&'static str> {
    match category {
        "marketing_lite" => Some("marketing"),
        "service" | "authentication" => Some("utility"),
        _ => None,
    }
}

/// A country's user ids are written `DE.1349…`; digits begin a phone number.
fn is_in(recipient: &str, market: &str) -> bool {
    if market.bytes().all(|byte| byte.is_ascii_digit()) {
        recipient.starts_with(market)
    } else {
        recipient.split_once('.').is_some_and(|(country, _)| country == market)
    }
}

/// Since when service messages and utility templates inside windows are charged: 1 October 2026.
const CHARGED_SINCE: Micros = 1_790_812_800 * SECOND;
/// Free service messages of a number and month.
const FREE_SERVICE: u32 = 1_000;
/// How long after a referral the business may reply to open the free entry point.
const REPLY_WITHIN: Micros = DAY;

/// How prices are made.
#[derive(Debug, Clone)]
pub(crate) struct Pricing {
    pub(crate) model: PriceModel,
    pub(crate) rates: Option<Rates>,
    /// How long a free entry point is open.
    pub(crate) entry_length: Micros,
    /// What to add to UTC for an account's own time, by account.
    pub(crate) offsets: BTreeMap<String, Micros>,
    pub(crate) with_billable: bool,
}

impl Default for Pricing {
    fn default() -> Self {
        Self {
            model: PriceModel::default(),
            rates: None,
            entry_length: 3 * DAY,
            offsets: BTreeMap::new(),
            with_billable: true,
        }
    }
}

/// The facts of one send that decide its price.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale<'a> {
    pub(crate) number: &'a str,
    pub(crate) account: &'a str,
    /// The person, whatever name the message used.
    pub(crate) user: &'a str,
    pub(crate) template: Option<TemplateCategory>,
    pub(crate) endpoint: Endpoint,
    pub(crate) in_window: bool,
    pub(crate) at: Micros,
    pub(crate) delivered_at: Option<Micros>,
}

/// A price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) category: &'static str,
    pub(crate) pricing_type: &'static str,
    /// None when the rate is not known.
    pub(crate) amount: Option<i64>,
    /// The end of the free entry point that the message is in.
    pub(crate) entry_until: Option<Micros>,
}

/// What prices depend on and what changes by sending.
#[derive(Debug)]
pub(crate) struct Till {
    pub(crate) pricing: Pricing,
    /// By number and user.
    entries: HashMap<(Box<str>, Box<str>), Entry>,
    /// By number: year and month, and how many service messages were delivered in it.
    service: HashMap<Box<str>, ((i32, u32), u32)>,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    /// A reply until then opens it.
    Awaiting {
        until: Micros,
    },
    Open {
        from: Micros,
        until: Micros,
    },
}

pub(crate) const REGULAR: &str = "regular";
const FREE: &str = "free_customer_service";
const FREE_ENTRY: &str = "free_entry_point";

impl Till {
    pub(crate) fn new(pricing: Pricing) -> Self {
        Self { pricing, entries: HashMap::new(), service: HashMap::new() }
    }

    /// The price of a send that is about to be accepted.
    pub(crate) fn price(&self, sale: &Sale<'_>) -> Price {
        if let Some(until) = self.entry(sale) {
            return Price {
                category: "referral_conversion",
                pricing_type: FREE_ENTRY,
                amount: Some(0),
                entry_until: Some(until),
            };
        }
        let international =
            self.pricing.rates.as_ref().is_some_and(|rates| rates.is_international(sale.user));
        let local = self.local(sale.account, sale.delivered_at.unwrap_or(sale.at));
        let charged = match self.pricing.model {
            PriceModel::ByDate => local >= CHARGED_SINCE,
            PriceModel::July2025 => false,
            PriceModel::October2026 => true,
        };
        let (category, pricing_type) = match sale.template {
            Some(TemplateCategory::Marketing) if sale.endpoint == Endpoint::Marketing => {
                ("marketing_lite", REGULAR)
            }
            Some(TemplateCategory::Marketing) => ("marketing", REGULAR),
            Some(TemplateCategory::Authentication) if international => {
                ("authentication-international", REGULAR)
            }
            Some(TemplateCategory::Authentication) => ("authentication", REGULAR),
            Some(TemplateCategory::Utility) if sale.in_window && !charged => ("utility", FREE),
            Some(TemplateCategory::Utility) => ("utility", REGULAR),
            None if charged && self.services(sale.number, month(local)) >= FREE_SERVICE => {
                ("service", REGULAR)
            }
            None => ("service", FREE),
        };
        let rate = || self.pricing.rates.as_ref().and_then(|rates| rates.of(category, sale.user));
        let amount = if pricing_type == REGULAR { rate() } else { Some(0) };
        Price { category, pricing_type, amount, entry_until: None }
    }

    /// The end of the free entry point that a delivery falls in, or opens.
    fn entry(&self, sale: &Sale<'_>) -> Option<Micros> {
        let at = sale.delivered_at.unwrap_or(sale.at);
        match self.entries.get(&(sale.number.into(), sale.user.into()))? {
            Entry::Awaiting { until } if sale.at <= *until => {
                sale.delivered_at.map(|from| from + self.pricing.entry_length)
            }
            Entry::Open { from, until } if (*from..*until).contains(&at) => Some(*until),
            Entry::Awaiting { .. } | Entry::Open { .. } => None,
        }
    }

    /// Counts a send that was accepted, or is read from a log.
    pub(crate) fn count(&mut self, sent: &Accepted, account: &str, user: &str) {
        let Some(delivered_at) = sent.delivered_at.map(micros) else { return };
        if sent.pricing_type == FREE_ENTRY {
            let key = (sent.number.as_str().into(), user.into());
            let open =
                matches!(self.entries.get(&key), Some(Entry::Open { until, .. }) if delivered_at < *until);
            if !open {
                let until = delivered_at + self.pricing.entry_length;
                self.entries.insert(key, Entry::Open { from: delivered_at, until });
            }
        } else if sent.category == "service" {
            let month = month(self.local(account, delivered_at));
            let count = self.services(&sent.number, month) + 1;
            self.service.insert(sent.number.as_str().into(), (month, count));
        }
    }

    /// A user wrote from an advertisement: the business's reply may open a free entry point.
    pub(crate) fn refer(&mut self, number: &str, user: &str, at: Micros) {
        let key = (number.into(), user.into());
        let open = matches!(self.entries.get(&key), Some(Entry::Open { until, .. }) if at < *until);
        if !open {
            self.entries.insert(key, Entry::Awaiting { until: at + REPLY_WITHIN });
        }
    }

    /// A person has another name from now on.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let keys: Vec<_> = self.entries.keys().filter(|(_, user)| **user == *from).cloned().collect();
        for (number, user) in keys {
            if let Some(entry) = self.entries.remove(&(number.clone(), user)) {
                self.entries.insert((number, to.into()), entry);
            }
        }
    }

    fn services(&self, number: &str, in_month: (i32, u32)) -> u32 {
        self.service.get(number).filter(|(month, _)| *month == in_month).map_or(0, |(_, count)| *count)
    }

    fn local(&self, account: &str, at: Micros) -> Micros {
        at + self.pricing.offsets.get(account).copied().unwrap_or_default()
    }
}

fn month(local: Micros) -> (i32, u32) {
    let local = instant(local);
    (local.year(), local.month())
}
