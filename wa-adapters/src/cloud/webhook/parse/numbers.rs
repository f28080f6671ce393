//! Decisions about numbers and limits.

use serde_json::Value;
use wa_core::model::{
    BusinessCapability, Decision, InboundEvent, NumberName, NumberQuality, Phone, SecurityEvent, Tier,
};

use super::Change;
use super::json::{lower, note, number, phone, word};
use crate::cloud::session::tier;

impl Change<'_> {
    pub(super) fn number_quality(&self) -> Option<InboundEvent> {
        let value = self.value;
        Some(InboundEvent::NumberQuality(NumberQuality {
            account: self.account.clone(),
            display_phone_number: self.display_phone_number(),
            event: lower(value, "event")?.into(),
            current_limit: limit(value, "current_limit"),
            old_limit: limit(value, "old_limit"),
            business_limit: limit(value, "max_daily_conversations_per_business"),
            at: self.at,
        }))
    }

    pub(super) fn business_capability(&self) -> Option<InboundEvent> {
        let value = self.value;
        let count = |field: &str| number(value, field).and_then(|count| u32::try_from(count).ok());
        // Up to v23.0 it has another name and is said of each number.
        let limit = limit(value, "max_daily_conversations_per_business")
            .or_else(|| limit(value, "max_daily_conversation_per_phone"));
        let capability = BusinessCapability {
            account: self.account.clone(),
            business_limit: limit,
            max_numbers: count("max_phone_numbers_per_business"),
            max_numbers_of_account: count("max_phone_numbers_per_waba"),
            at: self.at,
        };
        let says_something = capability.business_limit.is_some()
            || capability.max_numbers.is_some()
            || capability.max_numbers_of_account.is_some();
        says_something.then_some(InboundEvent::BusinessCapability(capability))
    }

    pub(super) fn number_name(&self) -> Option<InboundEvent> {
        let value = self.value;
        let requested_name = note(value, "requested_verified_name");
        let display_phone_number = self.display_phone_number();
        if requested_name.is_none() && display_phone_number.is_none() {
            return None;
        }
        Some(InboundEvent::NumberName(NumberName {
            account: self.account.clone(),
            display_phone_number,
            decision: decision(value, "decision")?,
            requested_name,
            reason: note(value, "rejection_reason").filter(|reason| reason != "NONE"),
            at: self.at,
        }))
    }

    pub(super) fn security(&self) -> Option<InboundEvent> {
        Some(InboundEvent::Security(SecurityEvent {
            account: self.account.clone(),
            display_phone_number: self.display_phone_number(),
            event: lower(self.value, "event")?.into(),
            requester: word(self.value, "requester"),
            at: self.at,
        }))
    }

    pub(super) fn display_phone_number(&self) -> Option<Phone> {
        phone(self.value, "display_phone_number").or_else(|| phone(self.value, "phone_number"))
    }
}

/// A decision; Meta writes a refusal in two ways.
pub(super) fn decision(value: &Value, field: &str) -> Option<Decision> {
    let name = lower(value, field)?;
    Some(if name == "declined" { Decision::Rejected } else { name.into() })
}

/// A messaging limit: a name, a number, or a number in text.
fn limit(value: &Value, field: &str) -> Option<Tier> {
    let limit = value.get(field)?;
    tier(limit).or_else(|| tier(&Value::from(number(value, field)?)))
}
