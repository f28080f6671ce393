//! Bodies of webhooks, translated.
//!
//! Invariant: total. Every status and every message of a body becomes exactly one event, whatever
//! its neighbours are; what is not understood becomes `Unknown` with Meta's name for it.
//!
//! Only a message that a user wrote to the number alone becomes a `Message`, because that opens the
//! 24-hour window. System notes, edits and deletions are no messages; one written in a group opens
//! the group's window, not that of its author.
//!
//! Source: Meta, Webhooks reference, read December 2025; Business-scoped user ids, read May 2026.

use chrono::{DateTime, Utc};
use serde_json::Value;
use wa_core::model::{
    Bsuid, Fact, InboundBody, InboundEvent, InboundMessage, NumberId, Phone, Recipient, StatusUpdate,
    WebhookPricing, from_micros,
};

use crate::cloud::error::reported;

/// The year 9999; later stamps are not instants.
const LAST_SECOND: i64 = 253_402_300_799;
const LONGEST_NAME: usize = 64;

pub(super) fn events(body: &[u8], received_at: DateTime<Utc>) -> Vec<InboundEvent> {
    // serde_json gives up at 128 levels of nesting, so depth is bounded as size is by `verify`.
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let mut events = Vec::new();
    let entries = list(&body, "entry");
    if entries.is_empty() {
        events.push(unknown(text(&body, "object").unwrap_or("")));
    }
    for entry in entries {
        let changes = list(entry, "changes");
        if changes.is_empty() {
            events.push(unknown("entry"));
        }
        for change in changes {
            translate(change, received_at, &mut events);
        }
    }
    events
}

/// Translates one change by the shape of its value; its name may be of another kind.
fn translate(change: &Value, received_at: DateTime<Utc>, events: &mut Vec<InboundEvent>) {
    let field = text(change, "field").unwrap_or("");
    let Some(value) = change.get("value") else {
        events.push(unknown(field));
        return;
    };
    let before = events.len();
    let context = Context { field, value, received_at };
    events.extend(list(value, "statuses").iter().map(|item| context.status(item)));
    events.extend(list(value, "messages").iter().map(|item| context.message(item)));
    if !list(value, "errors").is_empty() {
        events.push(context.unknown("errors"));
    }
    if events.len() == before {
        events.push(unknown(field));
    }
}

/// What the events of one change share.
struct Context<'a> {
    field: &'a str,
    value: &'a Value,
    received_at: DateTime<Utc>,
}

impl Context<'_> {
    fn status(&self, item: &Value) -> InboundEvent {
        let name = text(item, "status").unwrap_or("");
        // A call has statuses of its own.
        let of_call = text(item, "type").is_some_and(|kind| kind == "call");
        let fact = if of_call { None } else { fact(name) };
        let parts = (fact, self.number(), text(item, "id").filter(|id| !id.is_empty()));
        let (Some(fact), Some(number), Some(id)) = parts else {
            return self.unknown(&format!("status.{name}"));
        };
        let failure = (fact == Fact::Failed).then(|| reported(error_code(item)));
        InboundEvent::Status(StatusUpdate {
            echo: text(item, "biz_opaque_callback_data").map(str::to_owned),
            failure,
            pricing: item.get("pricing").and_then(pricing),
            ..StatusUpdate::new(number, id, fact, self.instant(item))
        })
    }

    fn message(&self, item: &Value) -> InboundEvent {
        let kind = text(item, "type").unwrap_or(if body_of(item).is_some() { "text" } else { "" });
        let parts = (self.number(), self.author(item), text(item, "id").filter(|id| !id.is_empty()));
        let (Some(number), Some((from, profile_name)), Some(id)) = parts else {
            return self.unknown(&format!("message.{kind}"));
        };
        let is_said_to_us = !matches!(kind, "system" | "edit" | "revoke" | "request_welcome" | "")
            && item.get("group_id").is_none_or(Value::is_null)
            && !self.is_own_number(&from);
        if !is_said_to_us {
            return self.unknown(&format!("message.{kind}"));
        }
        let body = match (kind, said(item, kind)) {
            ("button", Some(text)) => InboundBody::Button { text: text.to_owned(), payload: None },
            ("interactive", Some(title)) => {
                InboundBody::InteractiveButton { id: String::new(), title: title.to_owned() }
            }
            ("text", text) => InboundBody::text(text.unwrap_or("")),
            (name, _) => InboundBody::Other { name: name.to_owned() },
        };
        InboundEvent::Message(InboundMessage {
            profile_name,
            ..InboundMessage::new(number, id, from, self.instant(item), body)
        })
    }

    fn unknown(&self, what: &str) -> InboundEvent {
        if self.field.is_empty() { unknown(what) } else { unknown(&format!("{}.{what}", self.field)) }
    }

    fn number(&self) -> Option<NumberId> {
        text(self.value.get("metadata")?, "phone_number_id")?.parse().ok()
    }

    /// Whether an echo of our own message came under the wrong name.
    fn is_own_number(&self, from: &Recipient) -> bool {
        let own = self.value.get("metadata").and_then(|metadata| phone(metadata, "display_phone_number"));
        own.is_some() && own == from.phone()
    }

    /// Who wrote a message, by its own fields first and its contact's where they are missing.
    fn author(&self, item: &Value) -> Option<(Recipient, Option<String>)> {
        let (from, user) = (phone(item, "from"), bsuid(item, "from_user_id"));
        let contacts = list(self.value, "contacts");
        let contact = match contacts {
            [only] if from.is_none() && user.is_none() => Some(only),
            _ => contacts.iter().find(|contact| {
                (from.is_some() && phone(contact, "wa_id") == from)
                    || (user.is_some() && bsuid(contact, "user_id") == user)
            }),
        };
        let from = from.or_else(|| contact.and_then(|contact| phone(contact, "wa_id")));
        let user = user.or_else(|| contact.and_then(|contact| bsuid(contact, "user_id")));
        let profile_name = contact
            .and_then(|contact| text(contact.get("profile")?, "name"))
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        Recipient::new(from, user).ok().map(|from| (from, profile_name))
    }

    /// Unix seconds, as text or number.
    fn instant(&self, item: &Value) -> DateTime<Utc> {
        number(item, "timestamp")
            .filter(|seconds| (0..=LAST_SECOND).contains(seconds))
            .and_then(|seconds| seconds.checked_mul(1_000_000))
            .map_or(self.received_at, from_micros)
    }
}

fn unknown(field: &str) -> InboundEvent {
    let field = field.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    InboundEvent::Unknown { field }
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

/// The first code among the errors of a status.
fn error_code(item: &Value) -> Option<i64> {
    list(item, "errors").iter().find_map(|error| number(error, "code"))
}

fn pricing(value: &Value) -> Option<WebhookPricing> {
    value.is_object().then(|| WebhookPricing {
        billable: value.get("billable").and_then(Value::as_bool),
        category: text(value, "category").map(|name| name.replace('-', "_").into()),
        kind: text(value, "type").map(|kind| kind.chars().take(LONGEST_NAME).collect::<String>().into()),
        ..WebhookPricing::default()
    })
}

/// What a user said in words: a text, or the label of a button that stands for one.
fn said<'a>(item: &'a Value, kind: &str) -> Option<&'a str> {
    match kind {
        "text" => body_of(item),
        "button" => text(item.get("button")?, "text"),
        "interactive" => text(item.get("interactive")?.get("button_reply")?, "title"),
        _ => None,
    }
}

fn body_of(item: &Value) -> Option<&str> {
    text(item.get("text")?, "body")
}

fn phone(value: &Value, field: &str) -> Option<Phone> {
    text(value, field).and_then(|digits| Phone::from_digits(digits).ok())
}

fn bsuid(value: &Value, field: &str) -> Option<Bsuid> {
    text(value, field)?.parse().ok()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

fn number(value: &Value, field: &str) -> Option<i64> {
    let value = value.get(field)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
