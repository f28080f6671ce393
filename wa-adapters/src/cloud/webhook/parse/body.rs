//! What messages hold, by their type; one that says less than its type needs is `Other`.

use serde_json::Value;
use wa_core::model::{InboundBody, InboundLocation, InboundMedia, JsonText};

use super::error_title;
use super::json::{flag, instant, json, list, name, number, shortened, text, word};

/// The types whose body stands under their own name.
const BY_SHAPE: [&str; 15] = [
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "button",
    "interactive",
    "order",
    "system",
    "edit",
    "revoke",
];
const LONGEST_NAME: usize = 64;

/// The type of a message; by its shape where it does not say, and empty where that does not tell.
pub(super) fn kind(item: &Value) -> &str {
    let by_shape = || BY_SHAPE.into_iter().find(|kind| item.get(kind).is_some_and(|body| !body.is_null()));
    let by_errors = || (!list(item, "errors").is_empty()).then_some("unsupported");
    text(item, "type").or_else(by_shape).or_else(by_errors).unwrap_or("")
}

pub(super) fn body(item: &Value, kind: &str) -> InboundBody {
    let read = match kind {
        "edit" => edit(item),
        kind => plain(item, kind),
    };
    read.unwrap_or_else(|| missing(item, kind))
}

/// A body that is not of a known shape.
fn missing(item: &Value, kind: &str) -> InboundBody {
    let error = list(item, "errors").first();
    if error.is_none() && !matches!(kind, "unsupported" | "unknown") {
        return InboundBody::Other { name: shortened(kind, LONGEST_NAME) };
    }
    let real = item.get("unsupported").and_then(|body| name(body, "type"));
    InboundBody::Unsupported {
        name: real
            .or_else(|| (!matches!(kind, "unsupported" | "unknown")).then(|| shortened(kind, LONGEST_NAME))),
        code: error.and_then(|error| number(error, "code")),
        title: error.and_then(error_title),
    }
}

/// An edit holds a message, which holds no edit.
fn edit(item: &Value) -> Option<InboundBody> {
    let edit = item.get("edit")?;
    let target = word(edit, "original_message_id")?;
    let message = edit.get("message").unwrap_or(&Value::Null);
    let kind = kind(message);
    let body = plain(message, kind).unwrap_or_else(|| missing(message, kind));
    Some(InboundBody::Edit { target, body: Box::new(body) })
}

fn plain(item: &Value, kind: &str) -> Option<InboundBody> {
    let body = item.get(kind)?;
    match kind {
        "text" => Some(InboundBody::Text { body: body.get("body")?.as_str()?.to_owned() }),
        "image" => media(body).map(InboundBody::Image),
        "video" => media(body).map(InboundBody::Video),
        "audio" if flag(body, "voice") == Some(true) => media(body).map(InboundBody::Voice),
        "audio" => media(body).map(InboundBody::Audio),
        "document" => media(body).map(InboundBody::Document),
        "sticker" => media(body).map(InboundBody::Sticker),
        "location" => location(body).map(InboundBody::Location),
        "contacts" => body.is_array().then(|| InboundBody::Contacts { cards: json(body) }),
        "reaction" => Some(InboundBody::Reaction {
            target: word(body, "message_id")?,
            emoji: text(body, "emoji").map(str::to_owned),
        }),
        "button" => Some(InboundBody::Button {
            text: text(body, "text")?.to_owned(),
            payload: text(body, "payload").map(str::to_owned),
        }),
        "interactive" => interactive(body),
        "order" => Some(InboundBody::Order {
            catalog: word(body, "catalog_id"),
            text: text(body, "text").map(str::to_owned),
            items: json(body.get("product_items").filter(|items| items.is_array())?),
        }),
        "revoke" => Some(InboundBody::Revoke { target: word(body, "original_message_id")? }),
        _ => None,
    }
}

fn media(body: &Value) -> Option<InboundMedia> {
    let some = |field: &str| text(body, field).map(str::to_owned);
    Some(InboundMedia {
        id: word(body, "id")?,
        mime_type: some("mime_type"),
        sha256: some("sha256"),
        url: some("url"),
        caption: some("caption"),
        filename: some("filename"),
        animated: flag(body, "animated").unwrap_or(false),
    })
}

fn location(body: &Value) -> Option<InboundLocation> {
    let some = |field: &str| text(body, field).map(str::to_owned);
    Some(InboundLocation {
        latitude: word(body, "latitude")?,
        longitude: word(body, "longitude")?,
        name: some("name"),
        address: some("address"),
        url: some("url"),
    })
}

/// An answer to an interactive message; its shape tells its type.
fn interactive(body: &Value) -> Option<InboundBody> {
    if let Some(reply) = body.get("button_reply") {
        return Some(InboundBody::InteractiveButton {
            id: word(reply, "id").unwrap_or_default(),
            title: text(reply, "title")?.to_owned(),
        });
    }
    if let Some(reply) = body.get("list_reply") {
        return Some(InboundBody::InteractiveList {
            id: word(reply, "id").unwrap_or_default(),
            title: text(reply, "title")?.to_owned(),
            description: text(reply, "description").map(str::to_owned),
        });
    }
    if let Some(reply) = body.get("nfm_reply") {
        // Text that holds JSON; an object where it was unpacked on the way.
        let response = match reply.get("response_json")? {
            Value::String(text) => JsonText::new(text.clone()),
            other => json(other),
        };
        return Some(InboundBody::Flow {
            name: name(reply, "name"),
            body: text(reply, "body").map(str::to_owned),
            response,
        });
    }
    let reply = body.get("call_permission_reply")?;
    Some(InboundBody::CallPermissionReply {
        granted: match text(reply, "response")? {
            "accept" => true,
            "reject" => false,
            _ => return None,
        },
        expires_at: instant(reply, "expiration_timestamp"),
        source: name(reply, "response_source"),
    })
}
