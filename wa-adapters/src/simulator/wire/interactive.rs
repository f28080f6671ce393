//! Interactive messages: buttons, lists, links, flows, products and the others.
//!
//! Of payments, addresses and calls only the parts are checked without which Meta refuses them.
//!
//! Source: Meta, Interactive messages and its pages per kind, read December 2025; the published
//! contract (facebook/openapi v23.0).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Object, Refusal, bad, list, missing, object, only, text};

pub(super) fn check(content: &Object) -> Result<(), Refusal> {
    only(content, "interactive", &["type", "header", "body", "footer", "action"])?;
    let kind = text(content, "type", 1, 64)?;
    let action = object(content.get("action").ok_or_else(|| missing("action"))?, "action")?;
    header(kind, content.get("header"))?;
    let longest_body = if kind == "list" { 4_096 } else { 1_024 };
    match content.get("body") {
        Some(body) => drop(text(object(body, "body")?, "text", 1, longest_body)?),
        None if kind == "product" => {}
        None => return Err(missing("body")),
    }
    if let Some(footer) = content.get("footer") {
        text(object(footer, "footer")?, "text", 1, 60)?;
    }
    match kind {
        "button" => buttons(action),
        "list" => sections(action),
        "cta_url" => {
            named(action, "cta_url")?;
            let parameters = parameters(action)?;
            text(parameters, "display_text", 1, 20)?;
            link(parameters, "url")
        }
        "flow" => flow(action),
        "location_request_message" => named(action, "send_location"),
        "catalog_message" => {
            named(action, "catalog_message")?;
            text(parameters(action)?, "thumbnail_product_retailer_id", 1, 256).map(drop)
        }
        "call_permission_request" => named(action, "call_permission_request"),
        "voice_call" => named(action, "voice_call"),
        "request_contact_info" => named(action, "request_contact_info"),
        "address_message" => {
            named(action, "address_message")?;
            text(parameters(action)?, "country", 2, 2).map(drop)
        }
        "order_details" | "order_status" => {
            named(action, if kind == "order_details" { "review_and_pay" } else { "review_order" })?;
            let parameters = parameters(action)?;
            text(parameters, "reference_id", 1, 64)?;
            object(parameters.get("order").ok_or_else(|| missing("order"))?, "order").map(drop)
        }
        "product" => {
            text(action, "catalog_id", 1, 256)?;
            text(action, "product_retailer_id", 1, 256).map(drop)
        }
        "product_list" => {
            text(action, "catalog_id", 1, 256)?;
            products(action)
        }
        "carousel" => {
            let cards = list(action, "cards", 10)?;
            if cards.len() < 2 {
                return Err(bad("cards", "has 2 to 10 elements"));
            }
            cards.iter().try_for_each(|card| object(card, "cards").map(drop))
        }
        _ => Err(bad("interactive.type", "is a known kind of interactive message")),
    }
}

/// A header: text for lists, none for single products, and one for lists of products.
fn header(kind: &str, header: Option<&Value>) -> Result<(), Refusal> {
    let Some(header) = header else {
        return if kind == "product_list" { Err(missing("header")) } else { Ok(()) };
    };
    let header = object(header, "header")?;
    only(header, "header", &["type", "text", "sub_text", "image", "video", "document"])?;
    let of = text(header, "type", 1, 32)?;
    match of {
        _ if kind == "product" => return Err(bad("header", "is not allowed for a single product")),
        "text" => drop(text(header, "text", 1, 60)?),
        _ if matches!(kind, "list" | "product_list") => return Err(bad("header.type", "is \"text\" here")),
        "image" | "video" | "document" => {
            let part = object(header.get(of).ok_or_else(|| missing(of))?, of)?;
            super::content::medium(part, of, if of == "document" { &["filename"] } else { &[] })?;
        }
        _ => return Err(bad("header.type", "is text, image, video or document")),
    }
    if header.contains_key("sub_text") {
        text(header, "sub_text", 0, 60)?;
    }
    Ok(())
}

fn buttons(action: &Object) -> Result<(), Refusal> {
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for button in list(action, "buttons", 3)? {
        let button = object(button, "buttons")?;
        if button.get("type").and_then(Value::as_str) != Some("reply") {
            return Err(bad("buttons.type", "is \"reply\""));
        }
        let reply = object(button.get("reply").ok_or_else(|| missing("reply"))?, "reply")?;
        let (id, title) = (text(reply, "id", 1, 256)?, text(reply, "title", 1, 20)?);
        if !ids.insert(id) || !titles.insert(title) {
            return Err(bad("buttons", "have an id and a title of their own each"));
        }
    }
    Ok(())
}

fn sections(action: &Object) -> Result<(), Refusal> {
    text(action, "button", 1, 20)?;
    let mut ids = BTreeSet::new();
    let sections = list(action, "sections", 10)?;
    for section in sections {
        let section = object(section, "sections")?;
        section_title(section, sections.len())?;
        for row in list(section, "rows", 10)? {
            let row = object(row, "rows")?;
            let id = text(row, "id", 1, 200)?;
            text(row, "title", 1, 24)?;
            if row.contains_key("description") {
                text(row, "description", 0, 72)?;
            }
            if !ids.insert(id) {
                return Err(bad("rows", "have an id of their own each"));
            }
        }
    }
    if ids.len() > 10 { Err(bad("sections", "have at most 10 rows in all")) } else { Ok(()) }
}

/// Source: Meta, Multi-product messages, read December 2025: 30 products, 10 sections.
fn products(action: &Object) -> Result<(), Refusal> {
    let mut products = 0;
    let sections = list(action, "sections", 10)?;
    for section in sections {
        let section = object(section, "sections")?;
        section_title(section, sections.len())?;
        for item in list(section, "product_items", 30)? {
            text(object(item, "product_items")?, "product_retailer_id", 1, 256)?;
            products += 1;
        }
    }
    if products > 30 { Err(bad("sections", "have at most 30 products in all")) } else { Ok(()) }
}

fn section_title(section: &Object, sections: usize) -> Result<(), Refusal> {
    if sections > 1 || section.contains_key("title") {
        text(section, "title", if sections > 1 { 1 } else { 0 }, 24)?;
    }
    Ok(())
}

fn flow(action: &Object) -> Result<(), Refusal> {
    named(action, "flow")?;
    let parameters = parameters(action)?;
    if text(parameters, "flow_message_version", 1, 8)? != "3" {
        return Err(bad("flow_message_version", "is \"3\""));
    }
    if parameters.contains_key("flow_id") == parameters.contains_key("flow_name") {
        return Err(bad("flow", "has exactly one of flow_id and flow_name"));
    }
    for (key, known) in [("mode", ["draft", "published"]), ("flow_action", ["navigate", "data_exchange"])] {
        let given = parameters.get(key);
        if given.is_some_and(|given| !given.as_str().is_some_and(|given| known.contains(&given))) {
            return Err(bad(key, &format!("is {}", known.join(" or "))));
        }
    }
    for key in ["flow_id", "flow_name", "flow_token"] {
        if parameters.contains_key(key) {
            text(parameters, key, 1, 4_096)?;
        }
    }
    if let Some(payload) = parameters.get("flow_action_payload") {
        let payload = object(payload, "flow_action_payload")?;
        if payload.contains_key("screen") {
            text(payload, "screen", 1, 1_024)?;
        }
        if let Some(data) = payload.get("data") {
            object(data, "data")?;
        }
    }
    text(parameters, "flow_cta", 1, 30).map(drop)
}

fn parameters(action: &Object) -> Result<&Object, Refusal> {
    object(action.get("parameters").ok_or_else(|| missing("parameters"))?, "parameters")
}

fn link(parameters: &Object, key: &str) -> Result<(), Refusal> {
    let url = text(parameters, key, 1, 2_000)?;
    if url.starts_with("https://") || url.starts_with("http://") {
        Ok(())
    } else {
        Err(bad(key, "is an http or https address"))
    }
}

fn named(action: &Object, name: &str) -> Result<(), Refusal> {
    if text(action, "name", 1, 64)? == name {
        Ok(())
    } else {
        Err(bad("action.name", &format!("is {name:?}")))
    }
}
