//! Statuses of messages that were sent.

use serde_json::Value;
use wa_core::model::{Fact, InboundEvent, Recipient, StatusUpdate, WebhookConversation, WebhookPricing};

use super::json::{bsuid, flag, instant, list, lower, name, number, phone, text, word};
use super::{Change, error_details, error_title};
use crate::cloud::error::reported;

impl Change<'_> {
    pub(super) fn status(&self, item: &Value) -> InboundEvent {
        let name = text(item, "status").unwrap_or("");
        // A call has statuses of its own.
        let fact = if text(item, "type") == Some("call") { None } else { fact(name) };
        let (Some(fact), Some((number, id))) = (fact, self.identified(item)) else {
            return self.unknown(&format!("status.{name}"));
        };
        let group = group(item);
        let recipient = match &group {
            Some(_) => participant(item),
            None => self.person(phone(item, "recipient_id"), bsuid(item, "recipient_user_id")).0,
        };
        let failed = fact == Fact::Failed;
        InboundEvent::Status(StatusUpdate {
            number,
            provider_id: id,
            echo: text(item, "biz_opaque_callback_data").map(str::to_owned),
            recipient,
            group,
            fact,
            at: self.instant(item),
            failure: failed.then(|| reported(error_code(item))),
            failure_title: error(item).filter(|_| failed).and_then(error_title),
            failure_details: error(item).filter(|_| failed).and_then(error_details),
            conversation: item.get("conversation").and_then(conversation),
            pricing: item.get("pricing").and_then(pricing),
        })
    }
}

fn fact(status: &str) -> Option<Fact> {
    match status {
        "sent" => Some(Fact::Sent),
        "delivered" => Some(Fact::Delivered),
        "read" => Some(Fact::Read),
        "played" => Some(Fact::Played),
        "failed" => Some(Fact::Failed),
        _ => None,
    }
}

fn group(item: &Value) -> Option<String> {
    let is_group = text(item, "recipient_type") == Some("group");
    let has_participant =
        item.get("recipient_participant_id").is_some() || item.get("recipient_participant_user_id").is_some();
    if is_group || has_participant { word(item, "recipient_id") } else { None }
}

fn participant(item: &Value) -> Option<Recipient> {
    let phone = phone(item, "recipient_participant_id");
    Recipient::new(phone, bsuid(item, "recipient_participant_user_id")).ok()
}

/// The error that says why: the first one with a code.
fn error(item: &Value) -> Option<&Value> {
    let errors = list(item, "errors");
    errors.iter().find(|error| number(error, "code").is_some()).or_else(|| errors.first())
}

fn error_code(item: &Value) -> Option<i64> {
    number(error(item)?, "code")
}

fn conversation(value: &Value) -> Option<WebhookConversation> {
    let conversation = WebhookConversation {
        id: word(value, "id"),
        origin: value.get("origin").and_then(|origin| lower(origin, "type")).map(Into::into),
        expires_at: instant(value, "expiration_timestamp"),
    };
    (conversation != WebhookConversation::default()).then_some(conversation)
}

fn pricing(value: &Value) -> Option<WebhookPricing> {
    value.is_object().then(|| WebhookPricing {
        billable: flag(value, "billable"),
        model: text(value, "pricing_model").and_then(|_| name(value, "pricing_model")),
        kind: text(value, "type").and_then(|_| lower(value, "type")).map(Into::into),
        category: text(value, "category").and_then(|_| lower(value, "category")).map(Into::into),
        subtype: text(value, "subtype").and_then(|_| name(value, "subtype")),
    })
}
