//! What a message is expected to cost, and the dearest that it can become.

use chrono::{DateTime, Utc};

use crate::model::{Category, Estimate, Market, Money, PriceBook, PricePolicy, PriceReason, RateCategory};

/// Free service messages of each number and calendar month.
///
/// Source: Meta, Pricing on the WhatsApp Business Platform, change of 1 October 2026, second hand.
pub const FREE_SERVICE_MESSAGES: u64 = 1_000;

/// What is known when a message is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceFacts<'a> {
    /// The tenant's prices.
    pub book: Option<&'a PriceBook>,
    /// The recipient's market.
    pub market: Market,
    /// Until when everything to this recipient is free after an advertisement led the user here.
    pub entry_point_until: Option<DateTime<Utc>>,
    /// Service messages of this number in this month that were begun and not given back.
    pub service_used: u64,
}

impl PriceFacts<'_> {
    /// The facts where nothing is known.
    #[must_use]
    pub const fn none() -> Self {
        Self { book: None, market: Market::Other, entry_point_until: None, service_used: 0 }
    }
}

/// What a message is expected to cost if it is begun now.
///
/// Source: Meta, Pricing on the WhatsApp Business Platform, read October 2026: in-window utility
/// templates are free until 30 September 2026 and charged since; free-form messages are charged since
/// then beyond the first 1,000 of a number and month; everything is free for 72 hours after an entry point.
#[must_use]
pub fn estimate(facts: &PriceFacts<'_>, category: Category, in_window: bool, now: DateTime<Utc>) -> Estimate {
    let PriceFacts { book, market, entry_point_until, service_used } = *facts;
    let Some(policy) = book.and_then(|book| book.policy_at(now)) else { return Estimate::unknown() };
    let rate = policy.rate(market, category.into());
    let free = Some(Money { micros: 0, currency: policy.currency() });
    let charged = match rate {
        Some(_) => (rate, PriceReason::Charged),
        None => (None, PriceReason::Unknown),
    };
    let by_entry_point = entry_point_until.is_some_and(|until| now < until);
    let mut counts_as_service = false;
    let (amount, reason) = match (policy, category) {
        (PricePolicy::Flat(_), Category::Service) => (free, PriceReason::WithinWindow),
        (PricePolicy::Flat(_), Category::Marketing | Category::Utility | Category::Authentication) => {
            if in_window {
                (free, PriceReason::WithinWindow)
            } else {
                charged
            }
        }
        (PricePolicy::MetaJuly2025 { .. } | PricePolicy::MetaOctober2026 { .. }, _) if by_entry_point => {
            (free, PriceReason::EntryPoint)
        }
        (PricePolicy::MetaJuly2025 { .. }, Category::Service) => (free, PriceReason::WithinWindow),
        (PricePolicy::MetaJuly2025 { .. }, Category::Utility) if in_window => {
            (free, PriceReason::WithinWindow)
        }
        (PricePolicy::MetaOctober2026 { .. }, Category::Service) => {
            counts_as_service = true;
            if service_used < FREE_SERVICE_MESSAGES { (free, PriceReason::FreeTier) } else { charged }
        }
        (
            PricePolicy::MetaJuly2025 { .. } | PricePolicy::MetaOctober2026 { .. },
            Category::Marketing | Category::Utility | Category::Authentication,
        ) => charged,
    };
    Estimate { amount, reserve: dearest(policy, market, category, amount), reason, counts_as_service }
}

/// The dearest that a message can be charged as: a window may close and a free quota may be used up on
/// the way, a template may be taken for marketing, a code may count as coming from abroad.
fn dearest(policy: &PricePolicy, market: Market, category: Category, amount: Option<Money>) -> Option<Money> {
    let may_be: &[RateCategory] = match category {
        Category::Marketing => &[RateCategory::Marketing],
        Category::Utility => &[RateCategory::Utility, RateCategory::Marketing],
        Category::Authentication => {
            &[RateCategory::Authentication, RateCategory::AuthenticationInternational]
        }
        Category::Service => &[RateCategory::Service],
    };
    let rates = may_be.iter().filter_map(|category| policy.rate(market, *category));
    // A policy has one currency, so the micros decide.
    rates.chain(amount).max_by_key(|money| money.micros)
}
