//! What a person can do about a failure, by its class.
//!
//! A provider's adapter knows more about a single code; this is what holds for every provider.

use crate::model::RejectClass;

/// What to do about failures of a class, in plain words.
///
/// ```
/// use wa_core::{model::RejectClass, rules::advice::advice};
/// assert!(advice(RejectClass::Credential).contains("access token"));
/// ```
#[must_use]
pub const fn advice(class: RejectClass) -> &'static str {
    match class {
        RejectClass::Retry => {
            "The provider had a fault that did not pass in time. Try the message again; look at the \
             provider's status page if it stays."
        }
        RejectClass::Throttled => "Too much was sent at once. Sending slows down by itself.",
        RejectClass::PairThrottled => {
            "This person got many messages in a short time. The next one waits by itself."
        }
        RejectClass::Later => {
            "The provider did not want to deliver this to the person now. Try again a day later at the \
             earliest."
        }
        RejectClass::WindowClosed => {
            "More than 24 hours have passed since the person last wrote. Use an approved template, or wait \
             until they write."
        }
        RejectClass::Recipient => {
            "The message was sent to a number that cannot be reached on WhatsApp. Check the number, and \
             reach the person another way."
        }
        RejectClass::OptedOut => "The person does not want marketing from you. Do not send it again.",
        RejectClass::TemplatePaused => {
            "The template is paused because people disliked it. Improve it, or use another one."
        }
        RejectClass::Template => {
            "The template is not approved, does not exist in this language, or its values do not fit. \
             Compare it with the provider's template list."
        }
        RejectClass::Request => "The message itself is not valid. Check its recipient, values and links.",
        RejectClass::Credential => {
            "The access token has expired or lacks a permission. Create a new one and enter it; sending \
             goes on by itself."
        }
        RejectClass::Account => {
            "The number or its account is stopped. Open the provider's manager and follow what it asks for."
        }
        RejectClass::Spam => {
            "Too many people blocked or reported this number. Send less, to people who expect it."
        }
        RejectClass::Billing => "The provider cannot charge you. Check the payment method of the account.",
        RejectClass::Media => {
            "The file cannot be used. Check that its link is public, and its type and size."
        }
    }
}

/// What to do about a failure of which the provider gave no reason.
pub const WITHOUT_REASON: &str =
    "The provider gave no reason. Try the message again, and ask the provider if it stays.";
