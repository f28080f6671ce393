//! What a scripted user sends.

use std::fmt;

use serde_json::{Map, Value, json};

use super::wire::{is_user_id, phone_digits};

/// A user of `WhatsApp`, as webhooks name one.
///
/// A text makes one: a phone number with country code, or a business-scoped user id.
///
/// ```
/// use wa_adapters::simulator::User;
///
/// let hidden = User::from("US.13491208655302741918").username("ada");
/// let known = User::from("4915123456789").and_id("DE.1349").named("Ada");
/// assert!(!format!("{known:?}").contains("4915123456789"));
/// # let _ = hidden;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// As it was given.
    text: String,
    user_id: Option<String>,
    username: Option<String>,
    name: String,
}

impl From<&str> for User {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), user_id: None, username: None, name: "Simulated User".to_owned() }
    }
}

impl From<&String> for User {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl User {
    /// A phone number's user has this business-scoped user id as well.
    #[must_use]
    pub fn and_id(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// The name that the user has adopted.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The name in the user's profile.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Phone and user id; none when the text, or the id, is not one.
    pub(crate) fn names(&self) -> Option<Names> {
        let valid = self.user_id.as_deref().is_none_or(is_user_id);
        let names = if is_user_id(&self.text) {
            Names { phone: None, user_id: Some(self.text.clone()) }
        } else {
            Names { phone: Some(phone_digits(&self.text)?), user_id: self.user_id.clone() }
        };
        valid.then_some(names)
    }

    /// The name in the profile.
    pub(crate) fn display(&self) -> &str {
        &self.name
    }

    /// The element of `contacts`.
    pub(crate) fn contact(&self, names: &Names) -> Value {
        let mut profile = json!({ "name": self.name });
        if let (Some(username), Some(profile)) = (&self.username, profile.as_object_mut()) {
            profile.insert("username".to_owned(), json!(username));
        }
        let mut contact = Map::from_iter([("profile".to_owned(), profile)]);
        contact.extend(names.phone.as_ref().map(|phone| ("wa_id".to_owned(), json!(phone))));
        contact.extend(names.user_id.as_ref().map(|id| ("user_id".to_owned(), json!(id))));
        Value::Object(contact)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = self.text.get(self.text.len().saturating_sub(2)..).unwrap_or_default();
        write!(f, "User(..{ending})")
    }
}

/// What a user is called: a phone's digits, a business-scoped user id, or both.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) phone: Option<String>,
    pub(crate) user_id: Option<String>,
}

impl Names {
    /// The name by which the simulator knows the user.
    pub(crate) fn main(&self) -> &str {
        self.phone.as_deref().or(self.user_id.as_deref()).unwrap_or_default()
    }
}

/// A message of a user, of any kind.
///
/// ```
/// use wa_adapters::simulator::Incoming;
///
/// let from_advertisement = Incoming::text("Hello").referred("120226305854810726");
/// let pressed = Incoming::list_reply("express", "Express").reply_to("wamid.HBgM");
/// # let _ = (from_advertisement, pressed);
/// ```
#[derive(Clone, PartialEq)]
pub struct Incoming {
    kind: String,
    body: Option<Value>,
    context: Option<Value>,
    referral: Option<Value>,
    errors: Option<Value>,
}

impl Incoming {
    /// Any kind: `type`, and the object of that name.
    #[must_use]
    pub fn raw(kind: &str, body: Value) -> Self {
        Self { kind: kind.to_owned(), body: Some(body), context: None, referral: None, errors: None }
    }

    /// A text.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self::raw("text", json!({ "body": body }))
    }

    /// An `image`, `video`, `audio`, `document` or `sticker`, by the id under which it can be fetched.
    #[must_use]
    pub fn media(kind: &str, id: &str, mime_type: &str) -> Self {
        Self::raw(kind, json!({ "id": id, "mime_type": mime_type, "sha256": "c2ltdWxhdGVk" }))
    }

    /// A place.
    #[must_use]
    pub fn location(latitude: f64, longitude: f64, name: &str) -> Self {
        Self::raw("location", json!({ "latitude": latitude, "longitude": longitude, "name": name }))
    }

    /// A card with a name and a phone number.
    #[must_use]
    pub fn contact(name: &str, phone: &str) -> Self {
        let card =
            json!({ "name": { "formatted_name": name }, "phones": [{ "phone": phone, "type": "CELL" }] });
        Self::raw("contacts", json!([card]))
    }

    /// A reaction; without an emoji it is taken back.
    #[must_use]
    pub fn reaction(message_id: &str, emoji: Option<&str>) -> Self {
        let mut body = json!({ "message_id": message_id });
        if let (Some(emoji), Some(body)) = (emoji, body.as_object_mut()) {
            body.insert("emoji".to_owned(), json!(emoji));
        }
        Self::raw("reaction", body)
    }

    /// A press on a template's quick reply.
    #[must_use]
    pub fn button(text: &str, payload: &str) -> Self {
        Self::raw("button", json!({ "text": text, "payload": payload }))
    }

    /// A press on a reply button.
    #[must_use]
    pub fn button_reply(id: &str, title: &str) -> Self {
        Self::interactive("button_reply", json!({ "id": id, "title": title }))
    }

    /// A choice from a list.
    #[must_use]
    pub fn list_reply(id: &str, title: &str) -> Self {
        Self::interactive("list_reply", json!({ "id": id, "title": title }))
    }

    /// A flow that the user has finished.
    #[must_use]
    pub fn flow_reply(response: &Value) -> Self {
        let body = json!({ "name": "flow", "body": "Sent", "response_json": response.to_string() });
        Self::interactive("nfm_reply", body)
    }

    /// An order from a catalogue.
    #[must_use]
    pub fn order(catalog_id: &str, product_items: Value) -> Self {
        Self::raw("order", json!({ "catalog_id": catalog_id, "text": "", "product_items": product_items }))
    }

    /// Something that the Cloud API does not carry.
    #[must_use]
    pub fn unsupported() -> Self {
        let error = json!({
            "code": 131_051, "title": "Message type unknown", "message": "Message type unknown",
            "error_data": { "details": "Message type is currently not supported." },
        });
        let empty = Self::raw("unsupported", Value::Null);
        Self { body: None, errors: Some(json!([error])), ..empty }
    }

    /// It answers a message of either side.
    #[must_use]
    pub fn reply_to(mut self, message_id: &str) -> Self {
        self.context = Some(json!({ "id": message_id }));
        self
    }

    /// The user has forwarded it.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        self.context = Some(json!({ "forwarded": true }));
        self
    }

    /// The user came by an advertisement with this id: a reply within 24 hours opens a free entry
    /// point.
    #[must_use]
    pub fn referred(mut self, source_id: &str) -> Self {
        self.referral = Some(json!({
            "source_url": "https://fb.me/simulated", "source_id": source_id, "source_type": "ad",
            "headline": "Chat with us", "body": "Simulated advertisement", "media_type": "image",
            "ctwa_clid": "AffSimulated",
        }));
        self
    }

    fn interactive(kind: &str, body: Value) -> Self {
        Self::raw("interactive", json!({ "type": kind, (kind): body }))
    }

    pub(crate) fn is_referred(&self) -> bool {
        self.referral.is_some()
    }

    /// The words of a text.
    pub(crate) fn words(&self) -> Option<&str> {
        self.body.as_ref().filter(|_| self.kind == "text")?.get("body")?.as_str()
    }

    /// The message object of a webhook, without its sender.
    pub(crate) fn message(&self, id: &str, seconds: i64) -> Map<String, Value> {
        let mut message = Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("timestamp".to_owned(), json!(seconds.to_string())),
            ("type".to_owned(), json!(self.kind)),
        ]);
        message.extend(self.body.clone().map(|body| (self.kind.clone(), body)));
        for (key, part) in
            [("context", &self.context), ("referral", &self.referral), ("errors", &self.errors)]
        {
            message.extend(part.clone().map(|part| (key.to_owned(), part)));
        }
        message
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("kind", &self.kind).finish_non_exhaustive()
    }
}
