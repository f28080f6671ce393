//! How bookings add up: by category, currency and what is not known.
//!
//! Invariant: whatever the order of changes, a total is the sum of the bookings of its attempts.

use std::collections::BTreeMap;

use super::price::Booking;
use crate::model::{Currency, RateCategory};
use crate::port::store::{CategoryCost, Cost};

/// One number of a total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostCounter {
    /// Micros of a currency.
    Micros(RateCategory, Currency),
    /// Attempts with a price in a currency, so that a total of 0 can be told from none.
    Priced(RateCategory, Currency),
    /// Attempts without a known price.
    Unpriced(RateCategory),
    /// Attempts of which the provider has said what it charges.
    Settled(RateCategory),
}

/// The counters of a booking, each with its number.
#[must_use]
pub fn counted_in(booking: &Booking) -> Vec<(CostCounter, i64)> {
    let Booking { category, amount, kept: _, settled } = *booking;
    let mut counters = match amount {
        Some(money) => vec![
            (CostCounter::Micros(category, money.currency), money.micros),
            (CostCounter::Priced(category, money.currency), 1),
        ],
        None => vec![(CostCounter::Unpriced(category), 1)],
    };
    if settled {
        counters.push((CostCounter::Settled(category), 1));
    }
    counters
}

/// What changes when an attempt goes from one booking to another.
#[must_use]
pub fn delta(old: Option<&Booking>, new: Option<&Booking>) -> Vec<(CostCounter, i64)> {
    if old == new {
        return Vec::new();
    }
    let mut changes = new.map(counted_in).unwrap_or_default();
    changes.extend(old.map(counted_in).unwrap_or_default().into_iter().map(|(counter, n)| (counter, -n)));
    changes
}

/// Adds one total to another.
pub fn add(sum: &mut Cost, other: &Cost) {
    let Cost { messages, micros, unpriced, settled, by_category } = other;
    sum.messages = sum.messages.saturating_add(*messages);
    sum.unpriced = sum.unpriced.saturating_add(*unpriced);
    sum.settled = sum.settled.saturating_add(*settled);
    add_micros(&mut sum.micros, micros);
    for (category, part) in by_category {
        let CategoryCost { messages, micros, unpriced, settled } = part;
        let sum = sum.by_category.entry(*category).or_default();
        sum.messages = sum.messages.saturating_add(*messages);
        sum.unpriced = sum.unpriced.saturating_add(*unpriced);
        sum.settled = sum.settled.saturating_add(*settled);
        add_micros(&mut sum.micros, micros);
    }
}

fn add_micros(sum: &mut BTreeMap<Currency, i64>, other: &BTreeMap<Currency, i64>) {
    for (currency, micros) in other {
        let total = sum.entry(*currency).or_default();
        *total = total.saturating_add(*micros);
    }
}

/// Adds a number to a total. A total whose attempts are gone leaves nothing behind once all changes are in.
pub fn apply(cost: &mut Cost, counter: &CostCounter, n: i64) {
    let add = |count: &mut u64| *count = count.saturating_add_signed(n);
    match *counter {
        CostCounter::Micros(category, currency) => {
            let whole = cost.micros.entry(currency).or_default();
            *whole = whole.saturating_add(n);
            let part = cost.of(category).micros.entry(currency).or_default();
            *part = part.saturating_add(n);
        }
        CostCounter::Priced(category, currency) => {
            add(&mut cost.messages);
            add(&mut cost.of(category).messages);
            cost.micros.entry(currency).or_default();
            cost.of(category).micros.entry(currency).or_default();
        }
        CostCounter::Unpriced(category) => {
            add(&mut cost.messages);
            add(&mut cost.unpriced);
            add(&mut cost.of(category).messages);
            add(&mut cost.of(category).unpriced);
        }
        CostCounter::Settled(category) => {
            add(&mut cost.settled);
            add(&mut cost.of(category).settled);
        }
    }
}

/// A total from its counters, each of which stands there once; those of 0 are left out.
#[must_use]
pub fn total(counters: impl IntoIterator<Item = (CostCounter, i64)>) -> Cost {
    let mut cost = Cost::default();
    for (counter, n) in counters.into_iter().filter(|(_, n)| *n != 0) {
        apply(&mut cost, &counter, n);
    }
    cost
}

impl CostCounter {
    /// A text form for stores; [`CostCounter::from_key`] reads it back.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Micros(category, currency) => format!("cost.micros.{}.{currency}", category.as_str()),
            Self::Priced(category, currency) => format!("cost.priced.{}.{currency}", category.as_str()),
            Self::Unpriced(category) => format!("cost.unpriced.{}", category.as_str()),
            Self::Settled(category) => format!("cost.settled.{}", category.as_str()),
        }
    }

    /// The counter of a text form.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let (kind, rest) = key.strip_prefix("cost.")?.split_once('.')?;
        let (category, currency) = match rest.split_once('.') {
            Some((category, currency)) => (category, Some(currency.parse().ok()?)),
            None => (rest, None),
        };
        let category = RateCategory::from_name(category)?;
        match (kind, currency) {
            ("micros", Some(currency)) => Some(Self::Micros(category, currency)),
            ("priced", Some(currency)) => Some(Self::Priced(category, currency)),
            ("unpriced", None) => Some(Self::Unpriced(category)),
            ("settled", None) => Some(Self::Settled(category)),
            _ => None,
        }
    }
}
