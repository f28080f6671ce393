//! What a request to `/messages` may say: the documented contract, read strictly.
//!
//! Anything that Meta documents as an error is refused here before a meter is touched, and two
//! things that Meta might let pass are refused too, because a client that relies on them relies on
//! luck: unknown keys, and both `to` and `recipient`.
//! Facts about templates, windows and limits are not looked at here.
//!
//! Source: Meta, Send messages and its per-message pages, read December 2025; business-scoped user
//! ids, read August 2026.

mod content;
mod interactive;
mod template;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::Refusal;

pub(crate) use template::{ParameterUse, TemplateUse};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// What a valid body asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Send(Box<Message>),
    /// A read receipt, with or without a typing indicator.
    Read {
        message_id: String,
    },
}

/// Where a request to send arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/messages`.
    Messages,
    /// `/marketing_messages`.
    Marketing,
}

/// A message to send.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) to: Recipient,
    /// `to` or `recipient` as the client wrote it.
    pub(crate) input: String,
    pub(crate) kind: &'static str,
    pub(crate) template: Option<TemplateUse>,
    pub(crate) callback_data: Option<String>,
    /// The message that a reaction is for.
    pub(crate) reacts_to: Option<String>,
    /// A voice message, which may be played.
    pub(crate) is_voice: bool,
    content: Value,
    context: Option<Value>,
}

/// Whom a message goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Recipient {
    /// Digits only.
    Phone(String),
    UserId(String),
    /// A user id in `to`: answered as if all were well, and dropped.
    Misaddressed(String),
}

impl Recipient {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Phone(text) | Self::UserId(text) | Self::Misaddressed(text) => text,
        }
    }
}

impl Message {
    /// Names number, recipient and content; equal for two sends exactly when these are equal as
    /// JSON values. The callback data is left out: it is how a client tells its attempts apart.
    pub(crate) fn fingerprint(&self, number: &str) -> [u8; 16] {
        let mut hash = Sha256::new();
        for part in [number, self.to.as_str(), self.kind] {
            hash.update(part);
            hash.update([0]);
        }
        digest(&self.content, &mut hash);
        if let Some(context) = &self.context {
            digest(context, &mut hash);
        }
        let mut short = [0; 16];
        short.copy_from_slice(hash.finalize().split_at(16).0);
        short
    }
}

/// Feeds a JSON value with its keys in order.
fn digest(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<_> = object.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            hash.update("{");
            for (key, value) in keys {
                hash.update(Value::from(key.as_str()).to_string());
                digest(value, hash);
            }
            hash.update("}");
        }
        Value::Array(items) => {
            hash.update("[");
            for item in items {
                digest(item, hash);
                hash.update(",");
            }
            hash.update("]");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => hash.update(value.to_string()),
    }
}

/// Reads a body.
pub(crate) fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Request, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(100, format!("The request body is not valid JSON: {error}")))?;
    let Value::Object(mut envelope) = value else {
        return Err(Refusal::new(100, "The request body is not a JSON object."));
    };
    match envelope.get("messaging_product").map(Value::as_str) {
        Some(Some("whatsapp")) => {}
        Some(_) => return Err(bad("messaging_product", "is \"whatsapp\"")),
        None => return Err(Refusal::new(100, "The parameter messaging_product is required.")),
    }
    if endpoint == Endpoint::Messages && envelope.contains_key("status") {
        read_receipt(&envelope)
    } else {
        message(endpoint, &mut envelope)
    }
}

fn read_receipt(envelope: &Object) -> Result<Request, Refusal> {
    only(envelope, "the request", &["messaging_product", "status", "message_id", "typing_indicator"])?;
    if envelope.get("status").and_then(Value::as_str) != Some("read") {
        return Err(bad("status", "is \"read\""));
    }
    if let Some(typing) = envelope.get("typing_indicator") {
        let typing = object(typing, "typing_indicator")?;
        only(typing, "typing_indicator", &["type"])?;
        if typing.get("type").and_then(Value::as_str) != Some("text") {
            return Err(bad("typing_indicator.type", "is \"text\""));
        }
    }
    Ok(Request::Read { message_id: text(envelope, "message_id", 1, 1_024)?.to_owned() })
}

fn message(endpoint: Endpoint, envelope: &mut Object) -> Result<Request, Refusal> {
    let kind = match envelope.get("type") {
        None => "text",
        Some(Value::String(name)) => KINDS.into_iter().find(|kind| kind == name).ok_or_else(|| {
            Refusal::new(131_051, format!("{name:?} is not a message type of this platform."))
        })?,
        Some(_) => return Err(bad("type", "is a string")),
    };
    match endpoint {
        Endpoint::Messages => only(envelope, "the request", &[ENVELOPE, &[kind]].concat())?,
        Endpoint::Marketing => {
            if kind != "template" {
                return Err(Refusal::new(131_055, "This endpoint takes marketing templates only."));
            }
            only(envelope, "the request", MARKETING)?;
            let policy = envelope.get("product_policy").map(Value::as_str);
            if policy.is_some_and(|policy| !matches!(policy, Some("CLOUD_API_FALLBACK" | "STRICT"))) {
                return Err(bad("product_policy", "is CLOUD_API_FALLBACK or STRICT"));
            }
            flag(envelope, "message_activity_sharing")?;
        }
    }
    match envelope.get("recipient_type").map(Value::as_str) {
        None | Some(Some("individual")) => {}
        Some(Some("group")) => return Err(Refusal::new(131_041, "The simulator has no groups.")),
        Some(_) => return Err(bad("recipient_type", "is \"individual\" or \"group\"")),
    }
    let (to, input) = recipient(envelope)?;
    let callback_data = match envelope.get("biz_opaque_callback_data") {
        None => None,
        Some(_) => Some(text(envelope, "biz_opaque_callback_data", 0, 512)?.to_owned()),
    };
    if envelope.contains_key("recipient_identity_key_hash") {
        text(envelope, "recipient_identity_key_hash", 1, 512)?;
    }
    let context = envelope.remove("context");
    if let Some(context) = &context {
        if kind == "reaction" {
            return Err(bad("context", "is not allowed for a reaction"));
        }
        let context = object(context, "context")?;
        only(context, "context", &["message_id"])?;
        text(context, "message_id", 1, 1_024)?;
    }
    let content = envelope.remove(kind).ok_or_else(|| missing(kind))?;
    let template = check_content(kind, &content)?;
    let part = |key: &str| content.get(key).filter(|_| kind == "reaction").and_then(Value::as_str);
    let reacts_to = part("message_id").map(str::to_owned);
    let is_voice = kind == "audio" && content.get("voice") == Some(&Value::Bool(true));
    let message = Message { to, input, kind, template, callback_data, reacts_to, is_voice, content, context };
    Ok(Request::Send(Box::new(message)))
}

const KINDS: [&str; 11] = [
    "text",
    "template",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
];

const ENVELOPE: &[&str] = &[
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "context",
    "biz_opaque_callback_data",
    "recipient_identity_key_hash",
];

/// What `/marketing_messages` takes: no reply to a message.
const MARKETING: &[&str] = &[
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "template",
    "biz_opaque_callback_data",
    "product_policy",
    "message_activity_sharing",
];

fn recipient(envelope: &Object) -> Result<(Recipient, String), Refusal> {
    match (envelope.get("to"), envelope.get("recipient")) {
        (Some(_), Some(_)) => Err(Refusal::new(100, "A message has either `to` or `recipient`, not both.")),
        (None, None) => Err(Refusal::new(100, "The parameter to is required.")),
        (Some(Value::String(to)), None) => {
            if is_user_id(to) {
                return Ok((Recipient::Misaddressed(to.clone()), to.clone()));
            }
            let phone = phone_digits(to).ok_or_else(|| bad("to", "is a phone number with country code"))?;
            Ok((Recipient::Phone(phone), to.clone()))
        }
        (None, Some(Value::String(id))) if is_user_id(id) => Ok((Recipient::UserId(id.clone()), id.clone())),
        (Some(_), None) => Err(bad("to", "is a string")),
        (None, Some(_)) => {
            Err(bad("recipient", "is a business-scoped user id such as US.13491208655302741918"))
        }
    }
}

/// The digits of a phone number written as Meta tolerates it.
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let rest = text.strip_prefix('+').unwrap_or(text);
    let digits: String = rest.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    let plausible = (7..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    plausible.then_some(digits)
}

/// `US.1349…`, or `US.ENT.1349…` for the parent form.
pub(crate) fn is_user_id(text: &str) -> bool {
    let Some((country, id)) = text.split_once('.') else { return false };
    let id = id.strip_prefix("ENT.").unwrap_or(id);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn check_content(kind: &'static str, content: &Value) -> Result<Option<TemplateUse>, Refusal> {
    if kind == "contacts" {
        content::contacts(content)?;
        return Ok(None);
    }
    let content = object(content, kind)?;
    match kind {
        "template" => return template::check(content).map(Some),
        "interactive" => interactive::check(content)?,
        _ => content::check(kind, content)?,
    }
    Ok(None)
}

// The small readers that every kind shares.

pub(crate) fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Object, Refusal> {
    value.as_object().ok_or_else(|| bad(what, "is an object"))
}

pub(crate) fn only(object: &Object, what: &str, known: &[&str]) -> Result<(), Refusal> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refusal::new(100, format!("Unexpected key {key:?} in {what}."))),
        None => Ok(()),
    }
}

/// A string of so many characters.
pub(crate) fn text<'a>(object: &'a Object, key: &str, least: usize, most: usize) -> Result<&'a str, Refusal> {
    let value = object.get(key).ok_or_else(|| missing(key))?;
    let text = value.as_str().ok_or_else(|| bad(key, "is a string"))?;
    let length = text.chars().count();
    if length > most {
        return Err(bad(key, &format!("has at most {most} characters, not {length}")));
    }
    if length < least {
        return Err(missing(key));
    }
    Ok(text)
}

pub(crate) fn list<'a>(object: &'a Object, key: &str, most: usize) -> Result<&'a [Value], Refusal> {
    let items =
        object.get(key).ok_or_else(|| missing(key))?.as_array().ok_or_else(|| bad(key, "is a list"))?;
    if items.is_empty() || items.len() > most {
        return Err(bad(key, &format!("has 1 to {most} elements")));
    }
    Ok(items)
}

pub(crate) fn flag(object: &Object, key: &str) -> Result<(), Refusal> {
    match object.get(key) {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(_) => Err(bad(key, "is true or false")),
    }
}

pub(crate) fn missing(key: &str) -> Refusal {
    Refusal::new(131_008, format!("Required parameter is missing: {key}."))
}

pub(crate) fn bad(key: &str, rule: &str) -> Refusal {
    Refusal::new(131_009, format!("{key} {rule}."))
}

#[cfg(test)]
mod tests;
