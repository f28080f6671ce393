//! What an attempt costs now: by its quote and by everything that was heard of it.

use chrono::{DateTime, Utc};

use crate::model::{
    AttemptPrice, Category, Charged, DeliveryFacts, Estimate, FreeReason, Market, Money, PriceBook,
    PriceReason, RateCategory,
};

/// What an attempt was begun with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// What the message was sent as.
    pub category: Category,
    /// What it was expected to cost.
    pub estimate: Estimate,
}

/// An attempt as far as its price goes.
#[derive(Debug, Clone, Copy)]
pub struct Sold<'a> {
    /// What it was begun with.
    pub quote: Quote,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// The recipient's market.
    pub market: Market,
    /// The tenant's prices as they were at the begin.
    pub book: Option<&'a PriceBook>,
    /// What is known of it.
    pub facts: &'a DeliveryFacts,
}

/// How an attempt that costs or may cost something stands in the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booking {
    /// The category that it counts in.
    pub category: RateCategory,
    /// Its price, if it is known.
    pub amount: Option<Money>,
    /// What budgets keep for it.
    pub kept: Option<Money>,
    /// Whether the provider has said what it charges.
    pub settled: bool,
}

/// How an attempt stands in the totals; `None` once it is certain that it did not and will not arrive.
#[must_use]
pub fn booking(sold: &Sold<'_>) -> Option<Booking> {
    if sold.facts.is_definitely_undelivered() {
        return None;
    }
    let Priced { category, amount, reason: _, settled } = priced(sold);
    // What the provider charges in a way that is not known may be as much as was kept for it.
    let kept = if settled { amount.or(sold.quote.estimate.reserve) } else { sold.quote.estimate.reserve };
    Some(Booking { category, amount, kept, settled })
}

/// The price of an attempt as a report shows it.
#[must_use]
pub fn shown(sold: &Sold<'_>) -> AttemptPrice {
    let Priced { category, amount, reason, settled } = priced(sold);
    let Quote { category: sent_as, estimate } = sold.quote;
    let given_back = sold.facts.is_definitely_undelivered();
    let nothing = amount.or(estimate.amount).map(|money| Money { micros: 0, ..money });
    AttemptPrice {
        sent_as,
        category,
        estimate: estimate.amount,
        amount: if given_back { nothing } else { amount },
        reason: if given_back { PriceReason::GivenBack } else { reason },
        settled,
    }
}

struct Priced {
    category: RateCategory,
    amount: Option<Money>,
    reason: PriceReason,
    settled: bool,
}

fn priced(sold: &Sold<'_>) -> Priced {
    let Quote { category: sent_as, estimate } = sold.quote;
    let sent_as = RateCategory::from(sent_as);
    let Some(charge) = sold.facts.charge else {
        return Priced {
            category: sent_as,
            amount: estimate.amount,
            reason: estimate.reason,
            settled: false,
        };
    };
    let policy = sold.book.and_then(|book| book.policy_at(sold.begun_at));
    let (category, amount, reason) = match charge.what {
        Charged::Regular(charged) => {
            let category = charged.unwrap_or(sent_as);
            let amount = policy.and_then(|policy| policy.rate(sold.market, category));
            let reason = if amount.is_some() { PriceReason::Charged } else { PriceReason::Unknown };
            (category, amount, reason)
        }
        Charged::Free(why, charged) => {
            let amount = policy.map(|policy| Money { micros: 0, currency: policy.currency() });
            let reason = match why {
                FreeReason::CustomerService => PriceReason::WithinWindow,
                FreeReason::EntryPoint => PriceReason::EntryPoint,
                FreeReason::Group | FreeReason::Exempt | FreeReason::Referral | FreeReason::Unsaid => {
                    PriceReason::Free
                }
            };
            (charged.unwrap_or(sent_as), amount, reason)
        }
        Charged::Unknown => (sent_as, None, PriceReason::Unknown),
    };
    Priced { category, amount, reason, settled: true }
}
