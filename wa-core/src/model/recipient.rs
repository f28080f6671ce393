//! Who a message goes to: a phone, a business-scoped user id, or both.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::phone::Phone;

/// The business-scoped id of a user who hides the phone number.
///
/// Source: Meta, Business-scoped user ids, read May 2026: two-letter country, a dot, optionally
/// `ENT.`, then at most 128 letters and digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bsuid(String);

/// A recipient with at least one address.
///
/// ```
/// use wa_core::model::{Phone, Recipient};
/// let phone = Phone::parse("+4915112345678", None)?;
/// let recipient = Recipient::from(phone);
/// assert_eq!(recipient.phone(), Some(phone));
/// assert!(recipient.bsuid().is_none());
/// # Ok::<(), wa_core::model::PhoneError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Recipient {
    phone: Option<Phone>,
    bsuid: Option<Bsuid>,
}

/// Why something is not a recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Neither address was given.
    #[error("a recipient needs a phone number or a business-scoped user id")]
    NoAddress,
    /// The text is not a business-scoped user id.
    #[error("a business-scoped user id looks like US.13491208655302741918")]
    NotABsuid,
}

impl Recipient {
    /// Makes a recipient from what is known.
    ///
    /// # Errors
    /// [`RecipientError::NoAddress`] when both are absent.
    pub fn new(phone: Option<Phone>, bsuid: Option<Bsuid>) -> Result<Self, RecipientError> {
        if phone.is_none() && bsuid.is_none() {
            return Err(RecipientError::NoAddress);
        }
        Ok(Self { phone, bsuid })
    }

    /// The phone, if known.
    #[must_use]
    pub const fn phone(&self) -> Option<Phone> {
        self.phone
    }

    /// The business-scoped user id, if known.
    #[must_use]
    pub const fn bsuid(&self) -> Option<&Bsuid> {
        self.bsuid.as_ref()
    }

    /// Its addresses as text, in order: the phone as `+` and its digits, then the business-scoped user id.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        let phone = self.phone.map(|phone| phone.e164());
        phone.into_iter().chain(self.bsuid.as_ref().map(|bsuid| bsuid.as_str().to_owned()))
    }

    /// The recipient with one address, as [`addresses`](Self::addresses) writes it.
    ///
    /// # Errors
    /// [`RecipientError::NotABsuid`] when it is neither a phone in that form nor such an id.
    pub fn from_address(text: &str) -> Result<Self, RecipientError> {
        match text.strip_prefix('+') {
            Some(digits) => Phone::from_digits(digits).map(Self::from).map_err(|_| RecipientError::NotABsuid),
            None => text.parse::<Bsuid>().map(Self::from),
        }
    }

    /// A stable number for limits that hang on the recipient; not a secret, not an identity.
    ///
    /// The phone decides where it is known, so that both ways to reach a person share one meter.
    #[must_use]
    pub fn key(&self) -> u64 {
        match (&self.phone, &self.bsuid) {
            (Some(phone), _) => phone.as_u64(),
            (None, Some(bsuid)) => super::Fingerprint::of(bsuid.as_str().as_bytes()).short() | (1 << 63),
            (None, None) => 0,
        }
    }
}

impl From<Phone> for Recipient {
    fn from(phone: Phone) -> Self {
        Self { phone: Some(phone), bsuid: None }
    }
}

impl From<Bsuid> for Recipient {
    fn from(bsuid: Bsuid) -> Self {
        Self { phone: None, bsuid: Some(bsuid) }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.phone, &self.bsuid) {
            (Some(phone), _) => write!(f, "Recipient({phone:?})"),
            (None, Some(bsuid)) => write!(f, "Recipient({bsuid:?})"),
            (None, None) => f.write_str("Recipient(none)"),
        }
    }
}

impl Bsuid {
    /// The id as the provider writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Bsuid {
    type Err = RecipientError;
    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let (country, rest) = text.split_once('.').ok_or(RecipientError::NotABsuid)?;
        let id = rest.strip_prefix("ENT.").unwrap_or(rest);
        let country_fits = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        let id_fits = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if country_fits && id_fits { Ok(Self(text.to_owned())) } else { Err(RecipientError::NotABsuid) }
    }
}

impl TryFrom<String> for Bsuid {
    type Error = RecipientError;
    fn try_from(text: String) -> Result<Self, RecipientError> {
        text.parse()
    }
}

impl From<Bsuid> for String {
    fn from(bsuid: Bsuid) -> Self {
        bsuid.0
    }
}

impl fmt::Debug for Bsuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.0.get(self.0.len().saturating_sub(2)..).unwrap_or("");
        write!(f, "Bsuid(..{tail})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_without_address_cannot_be_made() {
        assert_eq!(Recipient::new(None, None), Err(RecipientError::NoAddress));
    }

    #[test]
    fn business_scoped_ids_are_checked() {
        for good in ["US.13491208655302741918", "US.ENT.11815799212886844830", "IN.a1"] {
            assert!(good.parse::<Bsuid>().is_ok(), "{good}");
        }
        for bad in ["", "US", "us.1", "USA.1", "US.", "US.1 2", "+4915112345678"] {
            assert_eq!(bad.parse::<Bsuid>(), Err(RecipientError::NotABsuid), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_address_in_full() {
        let bsuid: Bsuid = "US.13491208655302741918".parse().expect("a user id");
        assert_eq!(format!("{:?}", Recipient::from(bsuid)), "Recipient(Bsuid(..18))");
    }
}
