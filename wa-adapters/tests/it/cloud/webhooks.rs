//! What webhook bodies say: those of others, and those that nobody has recorded yet.

mod accounts;
mod envelope;
mod messages;
mod recorded;
mod robust;
mod statuses;
mod users;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use wa_adapters::cloud::CloudWebhooks;
use wa_core::model::{InboundEvent, InboundMessage, StatusUpdate, from_micros};
use wa_core::port::WebhookSource;

use super::support::config;

pub(super) const NUMBER: &str = "106540352242922";

pub(super) fn received_at() -> DateTime<Utc> {
    from_micros(1_790_000_000_000_000)
}

pub(super) fn parse_bytes(body: &[u8]) -> Vec<InboundEvent> {
    CloudWebhooks::new(&config().build().expect("a configuration")).parse(body, received_at())
}

pub(super) fn parse(body: &Value) -> Vec<InboundEvent> {
    parse_bytes(body.to_string().as_bytes())
}

pub(super) fn change(field: &str, value: Value) -> Value {
    json!({"field": field, "value": value})
}

pub(super) fn body(changes: Vec<Value>) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]})
}

/// A body with one change of the field `messages` for our number.
pub(super) fn messages(mut value: Value) -> Value {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": NUMBER});
    body(vec![change("messages", value)])
}

pub(super) fn status(item: Value) -> StatusUpdate {
    match parse(&messages(json!({"statuses": [item]}))).as_slice() {
        [InboundEvent::Status(update)] => update.clone(),
        other => panic!("{item}: {other:?}"),
    }
}

pub(super) fn message(value: Value) -> InboundMessage {
    match parse(&messages(value.clone())).as_slice() {
        [InboundEvent::Message(message)] => message.clone(),
        other => panic!("{value}: {other:?}"),
    }
}

pub(super) fn unknown(field: &str) -> InboundEvent {
    InboundEvent::Unknown { field: field.to_owned() }
}

/// The one event of a change.
pub(super) fn event(field: &str, value: Value) -> InboundEvent {
    match <[InboundEvent; 1]>::try_from(parse(&timed(vec![change(field, value)]))) {
        Ok([event]) => event,
        Err(other) => panic!("{field}: {other:?}"),
    }
}

/// A body whose entry has a time of its own, as those of account events have.
pub(super) fn timed(changes: Vec<Value>) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "time": 1_751_247_548, "changes": changes}]})
}

/// The instant of such an entry.
pub(super) fn entry_at() -> DateTime<Utc> {
    at(1_751_247_548)
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    from_micros(seconds * 1_000_000)
}
