//! Money: integer micros of one currency, and a flat price list.
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

/// What a tenant pays per message, by category: the flat policy of a [`PriceBook`](super::PriceBook).
///
/// A category that is not listed has no known price: it is counted as unknown, never as 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// The currency of every entry.
    pub currency: Currency,
    /// Micros per message.
    pub per_message: BTreeMap<Category, i64>,
}

/// The micros of an amount in plain decimal text such as `0.0618`; `None` for anything finer.
pub(super) fn micros_of(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let millionths: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(millionths)
}

impl PriceList {
    /// The list of the first guide to this product, in INR: utility 0.35, marketing 0.75,
    /// authentication 0.30, service 0.
    #[must_use]
    pub fn inr_defaults() -> Self {
        let per_message = BTreeMap::from([
            (Category::Utility, 350_000),
            (Category::Marketing, 750_000),
            (Category::Authentication, 300_000),
            (Category::Service, 0),
        ]);
        Self { currency: Currency(*b"INR"), per_message }
    }

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
    fn decimal_text_is_read_exactly() {
        for (text, micros) in [("0.0618", 61_800), ("1", 1_000_000), ("0.000001", 1), ("12.5", 12_500_000)] {
            assert_eq!(micros_of(text), Some(micros), "{text}");
        }
        for rubbish in ["", ".5", "1.", "-1", "0.0000001", "1e3", "99999999999999"] {
            assert_eq!(micros_of(rubbish), None, "{rubbish}");
        }
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
