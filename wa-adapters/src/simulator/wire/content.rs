//! The kinds of free-form content that are small: text, media, places, cards of contacts, reactions.
//!
//! Source: Meta, per-message pages (Text, Image, Document, Location, Contacts, Reaction messages),
//! read December 2025; the published contract (facebook/openapi v23.0) for the limit of five cards.

use serde_json::Value;

use super::{Object, Refusal, bad, flag, missing, object, only, text};

/// Reads everything but templates and interactive messages.
pub(super) fn check(kind: &str, content: &Object) -> Result<(), Refusal> {
    match kind {
        "text" => {
            only(content, kind, &["body", "preview_url"])?;
            text(content, "body", 1, 4_096)?;
            flag(content, "preview_url")
        }
        "image" | "video" => medium(content, kind, &["caption"]),
        "audio" => {
            medium(content, kind, &["voice"])?;
            flag(content, "voice")
        }
        "document" => medium(content, kind, &["caption", "filename"]),
        "sticker" => medium(content, kind, &[]),
        "location" => {
            only(content, kind, &["latitude", "longitude", "name", "address"])?;
            degrees(content, "latitude", 90.0)?;
            degrees(content, "longitude", 180.0)?;
            for key in ["name", "address"] {
                if content.contains_key(key) {
                    text(content, key, 0, 1_024)?;
                }
            }
            Ok(())
        }
        _ => {
            only(content, kind, &["message_id", "emoji"])?;
            text(content, "message_id", 1, 1_024)?;
            text(content, "emoji", 0, 64).map(drop)
        }
    }
}

/// Exactly one of an upload's id and a public link, and the named extras.
pub(super) fn medium(content: &Object, kind: &str, extras: &[&str]) -> Result<(), Refusal> {
    only(content, kind, &[&["id", "link"], extras].concat())?;
    match (content.contains_key("id"), content.contains_key("link")) {
        (true, false) => text(content, "id", 1, 1_024).map(drop)?,
        (false, true) => {
            let link = text(content, "link", 1, 2_048)?;
            if !link.starts_with("https://") && !link.starts_with("http://") {
                return Err(bad("link", "is an http or https address"));
            }
        }
        _ => return Err(Refusal::new(131_008, format!("{kind} has exactly one of id and link."))),
    }
    for (key, longest) in [("caption", 1_024), ("filename", 1_024)] {
        if content.contains_key(key) {
            text(content, key, 0, longest)?;
        }
    }
    Ok(())
}

/// Cards of contacts, each with a name and known fields only.
pub(super) fn contacts(content: &Value) -> Result<(), Refusal> {
    let cards = content
        .as_array()
        .filter(|cards| (1..=5).contains(&cards.len()))
        .ok_or_else(|| bad("contacts", "is a list of 1 to 5 cards"))?;
    for card in cards {
        let card = object(card, "contacts")?;
        only(card, "contacts", &["name", "phones", "emails", "addresses", "org", "urls", "birthday"])?;
        let name = object(card.get("name").ok_or_else(|| missing("name"))?, "name")?;
        let parts = ["formatted_name", "first_name", "middle_name", "last_name", "prefix", "suffix"];
        strings(name, "name", &parts)?;
        text(name, "formatted_name", 1, 1_024)?;
        if let Some(org) = card.get("org") {
            strings(object(org, "org")?, "org", &["company", "department", "title"])?;
        }
        if card.contains_key("birthday") && !is_date(text(card, "birthday", 1, 10)?) {
            return Err(bad("birthday", "is written YYYY-MM-DD"));
        }
        let address = ["street", "city", "state", "zip", "country", "country_code", "type"];
        listed(card, "phones", &["phone", "type", "wa_id"], None)?;
        listed(card, "emails", &["email", "type"], Some("email"))?;
        listed(card, "urls", &["url", "type"], Some("url"))?;
        listed(card, "addresses", &address, None)?;
    }
    Ok(())
}

fn strings(part: &Object, what: &str, known: &[&str]) -> Result<(), Refusal> {
    only(part, what, known)?;
    part.keys().try_for_each(|key| text(part, key, 0, 1_024).map(drop))
}

fn listed(card: &Object, key: &str, known: &[&str], needed: Option<&str>) -> Result<(), Refusal> {
    let Some(list) = card.get(key) else { return Ok(()) };
    for part in list.as_array().ok_or_else(|| bad(key, "is a list"))? {
        let part = object(part, key)?;
        strings(part, key, known)?;
        if let Some(needed) = needed {
            text(part, needed, 1, 2_048)?;
        }
    }
    Ok(())
}

fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts.as_slice(), [year, month, day] if year.len() == 4 && month.len() == 2 && day.len() == 2)
        && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

pub(super) fn degrees(content: &Object, key: &str, most: f64) -> Result<(), Refusal> {
    let number = match content.get(key) {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
        None => return Err(missing(key)),
    };
    match number {
        Some(number) if (-most..=most).contains(&number) => Ok(()),
        _ => Err(bad(key, "is a number of degrees")),
    }
}
