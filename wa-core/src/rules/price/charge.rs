//! What a webhook's `pricing` says is charged.

use crate::model::{
    Charge, ChargeSource, Charged, ChargedCategory, Fact, FreeReason, PricingKind, RateCategory,
    WebhookPricing,
};

/// What is charged by a status that brings this.
///
/// `type` and `category` decide; `billable` only where there is no `type` that is known. A category
/// that is not known makes a charged message's price unknown.
///
/// Source: Meta, Webhooks: messages, pricing object, read October 2026: type regular,
/// `free_customer_service`, `free_entry_point`, `free_group_customer_service`; subtype `paid_exempt` for
/// exempt businesses; `referral_conversion` is free.
#[must_use]
pub fn charge(pricing: &WebhookPricing, brought_by: Fact) -> Charge {
    let said_with = match brought_by {
        Fact::Delivered | Fact::Read | Fact::Played => ChargeSource::Delivery,
        Fact::NotSent
        | Fact::Rejected
        | Fact::Accepted
        | Fact::InDoubt
        | Fact::Sent
        | Fact::Failed
        | Fact::Released => ChargeSource::Sending,
    };
    Charge { said_with, what: charged(pricing) }
}

fn charged(pricing: &WebhookPricing) -> Charged {
    let WebhookPricing { billable, model: _, kind, category, subtype } = pricing;
    let known = category.as_ref().and_then(RateCategory::of);
    if category == &Some(ChargedCategory::ReferralConversion) {
        return Charged::Free(FreeReason::Referral, None);
    }
    if subtype.as_deref() == Some("paid_exempt") {
        return Charged::Free(FreeReason::Exempt, known);
    }
    let regular = match (category, known) {
        (Some(_), None) => Charged::Unknown,
        (_, known) => Charged::Regular(known),
    };
    match (kind, billable) {
        (Some(PricingKind::Regular), _) => regular,
        (Some(PricingKind::FreeCustomerService), _) => Charged::Free(FreeReason::CustomerService, known),
        (Some(PricingKind::FreeEntryPoint), _) => Charged::Free(FreeReason::EntryPoint, known),
        (Some(PricingKind::FreeGroupCustomerService), _) => Charged::Free(FreeReason::Group, known),
        (Some(PricingKind::Other(_)) | None, Some(true)) => regular,
        (Some(PricingKind::Other(_)) | None, Some(false)) => Charged::Free(FreeReason::Unsaid, known),
        (Some(PricingKind::Other(_)) | None, None) => Charged::Unknown,
    }
}
