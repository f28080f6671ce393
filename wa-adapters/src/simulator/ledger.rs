//! What the simulator charged: the truth that a sender's own accounts are compared with.

use std::collections::BTreeMap;

use serde::Serialize;

use super::accepted::Accepted;

/// One line of the ledger: all sends of one currency, category and type of price.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerLine {
    /// The currency; empty when the simulator has no rates.
    pub currency: String,
    /// The category in the `pricing` object.
    pub category: String,
    /// The type in the `pricing` object.
    pub pricing_type: String,
    /// Messages that are delivered, or will be: those that are charged.
    pub delivered: u64,
    /// What these cost together, in millionths of the currency.
    pub amount: i64,
    /// How many of them have to be paid although no rate is known; they are not in `amount`.
    pub unpriced: u64,
    /// Messages that were announced with a price and are never delivered: not charged.
    pub undelivered: u64,
    /// What these would have cost.
    pub undelivered_amount: i64,
}

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeMap<(String, String, String), LedgerLine>);

impl Ledger {
    /// Counts a send that was accepted.
    pub(crate) fn count(&mut self, sent: &Accepted) {
        if !sent.has_price() {
            return;
        }
        let currency = sent.currency.clone().unwrap_or_default();
        let key = (currency.clone(), sent.category.clone(), sent.pricing_type.clone());
        let line = self.0.entry(key).or_insert_with(|| LedgerLine {
            currency,
            category: sent.category.clone(),
            pricing_type: sent.pricing_type.clone(),
            ..LedgerLine::default()
        });
        match (sent.delivered_at, sent.amount) {
            (Some(_), amount) => {
                line.delivered += 1;
                line.amount = line.amount.saturating_add(amount.unwrap_or_default());
                line.unpriced += u64::from(amount.is_none());
            }
            (None, amount) => {
                line.undelivered += 1;
                line.undelivered_amount = line.undelivered_amount.saturating_add(amount.unwrap_or_default());
            }
        }
    }

    /// The lines by currency, category and type.
    pub(crate) fn lines(&self) -> Vec<LedgerLine> {
        self.0.values().cloned().collect()
    }

    /// What was charged in a currency.
    pub(crate) fn total(&self, currency: &str) -> i64 {
        let own = self.0.values().filter(|line| line.currency == currency);
        own.fold(0, |sum, line| sum.saturating_add(line.amount))
    }
}
