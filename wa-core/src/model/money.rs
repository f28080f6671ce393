//! Money: integer micros of one currency, and a tenant's price list.
//!
//! Invariant: no float ever touches an amount, and amounts of two currencies are never added.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::content::Category;

/// A currency by its three-letter ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// An amount in millionths of a currency's main unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Millionths of the main unit; negative for money given back.
    pub micros: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why an amount cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// The text is not a currency code.
    #[error("a currency is three capital letters such as EUR")]
    NotACurrency,
    /// Two currencies were mixed.
    #[error("amounts of two currencies cannot be added")]
    Mixed,
    /// The sum does not fit.
    #[error("the amount is too large")]
    Overflow,
}

impl Money {
    /// Adds two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] or [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed);
        }
        let micros = self.micros.checked_add(other.micros).ok_or(MoneyError::Overflow)?;
        Ok(Self { micros, currency: self.currency })
    }
}

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| MoneyError::NotACurrency)?;
        if bytes.iter().all(u8::is_ascii_uppercase) { Ok(Self(bytes)) } else { Err(MoneyError::NotACurrency) }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a tenant pays per sent message, by category.
///
/// A category that is not listed has no known price: it is counted as unknown, never as 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// The currency of every entry.
    pub currency: Currency,
    /// Micros per message.
    pub per_message: BTreeMap<Category, i64>,
}

impl PriceList {
    /// The price of one message of a category, if it is known.
    #[must_use]
    pub fn price(&self, category: Category) -> Option<Money> {
        let micros = *self.per_message.get(&category)?;
        Some(Money { micros, currency: self.currency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_do_not_mix() {
        let eur = Money { micros: 1, currency: "EUR".parse().expect("a currency") };
        let usd = Money { micros: 1, currency: "USD".parse().expect("a currency") };
        assert_eq!(eur.checked_add(usd), Err(MoneyError::Mixed));
        assert_eq!(eur.checked_add(Money { micros: i64::MAX, ..eur }), Err(MoneyError::Overflow));
        assert_eq!("eur".parse::<Currency>(), Err(MoneyError::NotACurrency));
    }

    #[test]
    fn an_unlisted_category_has_no_price() {
        let list = PriceList {
            currency: "USD".parse().expect("a currency"),
            per_message: BTreeMap::from([(Category::Marketing, 25_000)]),
        };
        assert_eq!(list.price(Category::Marketing).map(|money| money.micros), Some(25_000));
        assert_eq!(list.price(Category::Utility), None);
    }
}
