//! Bodies of webhooks, translated.
//!
//! Invariant: total. Every item of a body becomes exactly one event, whatever its neighbours are;
//! what is not understood becomes `Unknown` with Meta's name for it.
//!
//! Lists of items are read wherever they stand, because the name of a change may be of another
//! kind. Only then does the name decide.
//!
//! Source: Meta, Webhooks reference, read December 2025; Business-scoped user ids, read May 2026.

mod accounts;
mod body;
mod json;
mod messages;
mod numbers;
mod statuses;
mod templates;
mod users;

use chrono::{DateTime, Utc};
use serde_json::Value;
use wa_core::model::{Bsuid, InboundEvent, JsonText, NamedEvent, NumberId, Phone, Recipient, ReportedError};

use json::{bsuid, instant, list, name, note, number, phone, shortened, text, word};

const LONGEST_FIELD: usize = 64;
/// What more than this says is found in the raw body.
const LONGEST_CONTENT: usize = 256 * 1024;

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
            translate(entry, change, received_at, &mut events);
        }
    }
    events
}

fn translate(entry: &Value, change: &Value, received_at: DateTime<Utc>, events: &mut Vec<InboundEvent>) {
    let field = text(change, "field").unwrap_or("");
    let Some(value) = change.get("value") else {
        events.push(unknown(field));
        return;
    };
    let account = name(entry, "id").unwrap_or_default();
    let at = instant(entry, "time").unwrap_or(received_at);
    let change = Change { field, account, value, contacts: Contact::all(value), at };
    match field {
        // Old messages, not news: they neither open windows nor say anything about consent.
        "history" => return events.push(InboundEvent::History(change.named())),
        "smb_app_state_sync" => return events.push(InboundEvent::AppState(change.named())),
        _ => {}
    }
    let before = events.len();
    change.items(events);
    if events.len() == before {
        events.push(change.by_name());
    }
}

/// One change: its name, and what its events share.
struct Change<'a> {
    field: &'a str,
    account: String,
    value: &'a Value,
    /// Its contacts, read once: a batch has as many of them as items.
    contacts: Vec<Contact<'a>>,
    /// When its entry was made, or else when it came in.
    at: DateTime<Utc>,
}

/// A contact that came with items, and its addresses.
struct Contact<'a> {
    phone: Option<Phone>,
    user: Option<Bsuid>,
    value: &'a Value,
}

impl Change<'_> {
    /// One event for each item of a list that is known.
    fn items(&self, events: &mut Vec<InboundEvent>) {
        let of_other_product = is_other_product(self.field);
        let is_ours = |item: &&Value| !(of_other_product && text(item, "type") == Some("call"));
        let all = |list: &str| json::list(self.value, list);
        events.extend(all("statuses").iter().filter(is_ours).map(|item| self.status(item)));
        events.extend(all("messages").iter().map(|item| self.message(item)));
        events.extend(all("message_echoes").iter().map(|item| self.echo(item)));
        events.extend(all("user_preferences").iter().map(|item| self.preference(item)));
        events.extend(all("calls").iter().filter_map(|item| self.call(item)));
        if !of_other_product {
            events.extend(all("errors").iter().map(|item| self.error(item)));
        }
    }

    /// The one event of a change without items.
    fn by_name(&self) -> InboundEvent {
        let named = match self.field {
            "message_template_status_update" => self.template_status(),
            "message_template_quality_update" => self.template_quality(),
            "template_category_update" => self.template_category(),
            "message_template_components_update" => self.template_components(),
            // What names a template is about it, whatever the change is called.
            _ if self.template().is_some() => None,
            "phone_number_quality_update" => self.number_quality(),
            "phone_number_name_update" => self.number_name(),
            "business_capability_update" => self.business_capability(),
            "security" => self.security(),
            "account_update" => self.account_update(),
            "account_alerts" => self.account_alert(),
            "account_review_update" => self.account_review(),
            "standby" => Some(InboundEvent::Standby(self.named())),
            field if is_other_product(field) => Some(InboundEvent::Other(self.named())),
            _ => None,
        };
        named.or_else(|| self.by_shape()).unwrap_or_else(|| unknown(self.field))
    }

    /// What the content tells by itself, where the name is another one.
    fn by_shape(&self) -> Option<InboundEvent> {
        self.template_quality()
            .or_else(|| self.template_category())
            .or_else(|| self.template_components())
            .or_else(|| self.template_status())
            .or_else(|| self.number_name())
            .or_else(|| self.account_alert())
    }

    fn error(&self, item: &Value) -> InboundEvent {
        let (code, title) = (number(item, "code"), error_title(item));
        if code.is_none() && title.is_none() {
            return self.unknown("error");
        }
        InboundEvent::Error(ReportedError {
            number: self.number(),
            account: self.account.clone(),
            code: code.unwrap_or(0),
            title,
            details: error_details(item),
            at: self.at,
        })
    }

    fn named(&self) -> NamedEvent {
        let content = self.value.to_string();
        NamedEvent {
            field: shortened(self.field, LONGEST_FIELD),
            number: self.number(),
            account: self.account.clone(),
            content: (content.len() <= LONGEST_CONTENT).then(|| JsonText::new(content)),
            at: self.at,
        }
    }

    fn unknown(&self, what: &str) -> InboundEvent {
        if self.field.is_empty() { unknown(what) } else { unknown(&format!("{}.{what}", self.field)) }
    }

    fn number(&self) -> Option<NumberId> {
        word(self.value.get("metadata")?, "phone_number_id")?.parse().ok()
    }

    /// The parts that every item about a message has, unless it is unusable.
    fn identified(&self, item: &Value) -> Option<(NumberId, String)> {
        Some((self.number()?, word(item, "id")?))
    }

    /// The instant of an item, by its own stamp where it has a usable one.
    fn instant(&self, item: &Value) -> DateTime<Utc> {
        instant(item, "timestamp").unwrap_or(self.at)
    }

    /// Whether a recipient is the number itself.
    fn is_own_number(&self, other: &Recipient) -> bool {
        let own = self.value.get("metadata").and_then(|metadata| phone(metadata, "display_phone_number"));
        own.is_some() && own == other.phone()
    }

    /// The contact that an item is about: the one with its addresses; without any, the only one.
    fn contact(&self, from: Option<Phone>, user: Option<&Bsuid>) -> Option<&Contact<'_>> {
        match self.contacts.as_slice() {
            [only] if from.is_none() && user.is_none() => Some(only),
            contacts => contacts.iter().find(|contact| {
                (from.is_some() && contact.phone == from) || (user.is_some() && contact.user.as_ref() == user)
            }),
        }
    }

    /// Addresses with what their contact adds to them, and that contact.
    fn person(&self, from: Option<Phone>, user: Option<Bsuid>) -> (Option<Recipient>, Option<&Contact<'_>>) {
        let contact = self.contact(from, user.as_ref());
        let from = from.or_else(|| contact?.phone);
        let user = user.or_else(|| contact?.user.clone());
        (Recipient::new(from, user).ok(), contact)
    }
}

impl<'a> Contact<'a> {
    fn all(value: &'a Value) -> Vec<Self> {
        let read = |value| Self { phone: phone(value, "wa_id"), user: bsuid(value, "user_id"), value };
        list(value, "contacts").iter().map(read).collect()
    }
}

fn unknown(field: &str) -> InboundEvent {
    InboundEvent::Unknown { field: shortened(field, LONGEST_FIELD) }
}

/// Fields of products that this library does not play a part in.
fn is_other_product(field: &str) -> bool {
    field.starts_with("group_")
        || matches!(
            field,
            "flows"
                | "calls"
                | "partner_solutions"
                | "payment_configuration_update"
                | "automatic_events"
                | "account_settings_update"
        )
}

/// What the provider calls an error.
fn error_title(error: &Value) -> Option<String> {
    note(error, "title").or_else(|| note(error, "message"))
}

/// What an error adds to its title; older ones have a text where newer ones have an object.
fn error_details(error: &Value) -> Option<String> {
    let data = error.get("error_data");
    data.and_then(|data| note(data, "details"))
        .or_else(|| note(error, "error_data"))
        .or_else(|| note(error, "details"))
        .or_else(|| note(error, "message").filter(|message| Some(message.as_str()) != text(error, "title")))
}
