//! What is asked of the user beyond a tap: an address, a call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::content::check::{Checked, Flaw, Place, hidden};
use crate::model::content::texts::texts;

/// Asks for a postal address.
///
/// Source: Meta, Address messages, read December 2025: for India, with fields such as `name`,
/// `phone_number`, `in_pin_code`, `house_number`, `building_name`, `address`, `city`, `state`. Saved
/// addresses are not shown beside validation errors.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRequest {
    /// The country, as two capital letters.
    pub country: String,
    /// What the form is filled with, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Addresses to choose from; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saved_addresses: Vec<SavedAddress>,
    /// What is wrong with an earlier answer, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validation_errors: BTreeMap<String, String>,
}

/// An address that is known already.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAddress {
    /// What comes back when it is chosen.
    pub id: String,
    /// Its fields.
    pub value: BTreeMap<String, String>,
}

/// A button that calls the business.
///
/// Source: Meta, Business Calling API, Call buttons, read May 2026.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoiceCall {
    /// The label: 1 to 20 characters; "Call Now" unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_text: Option<String>,
    /// For how long it works, 1 to 43,200 minutes; a week unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_minutes: Option<u32>,
    /// What comes back in the call's webhook: 1 to 512 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl AddressRequest {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { country, values, saved_addresses, validation_errors } = self;
        let at = at.field("parameters");
        let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        at.field("country").must(is_country, Flaw::Form("two capital letters"))?;
        check_fields(values, &at.field("values"))?;
        at.field("saved_addresses").count(saved_addresses.len(), 0, 10)?;
        for (index, SavedAddress { id, value }) in saved_addresses.iter().enumerate() {
            let at = at.item("saved_addresses", index);
            at.field("id").text(id, 1_024)?;
            at.field("value").must(!value.is_empty(), Flaw::Empty)?;
            check_fields(value, &at.field("value"))?;
        }
        check_fields(validation_errors, &at.field("validation_errors"))
    }
}

/// Fields of an address: a value may be empty, as Meta's own examples have it.
fn check_fields(fields: &BTreeMap<String, String>, at: &Place<'_>) -> Checked {
    at.count(fields.len(), 0, 20)?;
    for (name, value) in fields {
        at.field(name).must(!name.trim().is_empty() && name.len() <= 64, Flaw::Form("a field's name"))?;
        let chars = value.chars().count();
        at.field(name).must(chars <= 1_024, Flaw::TooLong { chars, most: 1_024 })?;
    }
    Ok(())
}

impl VoiceCall {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { display_text, ttl_minutes, payload } = self;
        let at = at.field("parameters");
        at.field("display_text").optional(display_text.as_ref(), 20)?;
        let lasts = ttl_minutes.is_none_or(|minutes| (1..=43_200).contains(&minutes));
        at.field("ttl_minutes").must(lasts, Flaw::Form("1 to 43200"))?;
        at.field("payload").optional(payload.as_ref(), 512)
    }
}

texts!(AddressRequest { country, values, saved_addresses, validation_errors });
texts!(SavedAddress { id, value });
texts!(VoiceCall { display_text, payload } keep { ttl_minutes });

hidden!(AddressRequest, SavedAddress, VoiceCall);
