//! Interactive messages: buttons, lists, links, flows and the others.
//!
//! The limits of buttons, lists and links are checked; of the rarer kinds only that they have the
//! parts without which Meta refuses them.

use serde_json::Value;

use super::{Object, Refusal, bad, list, missing, object, only, text};

pub(super) fn check(content: &Object) -> Result<(), Refusal> {
    only(content, "interactive", &["type", "header", "body", "footer", "action"])?;
    let kind = text(content, "type", 1, 64)?;
    let action = object(content.get("action").ok_or_else(|| missing("action"))?, "action")?;
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
            text(parameters, "url", 1, 2_000).map(drop)
        }
        "flow" => {
            named(action, "flow")?;
            let parameters = parameters(action)?;
            if text(parameters, "flow_message_version", 1, 8)? != "3" {
                return Err(bad("flow_message_version", "is \"3\""));
            }
            if parameters.contains_key("flow_id") == parameters.contains_key("flow_name") {
                return Err(bad("flow", "has exactly one of flow_id and flow_name"));
            }
            text(parameters, "flow_cta", 1, 30).map(drop)
        }
        "location_request_message" => named(action, "send_location"),
        "catalog_message" => named(action, "catalog_message"),
        "call_permission_request" => named(action, "call_permission_request"),
        "voice_call" => named(action, "voice_call"),
        "request_contact_info" => named(action, "request_contact_info"),
        "address_message" => named(action, "address_message"),
        "order_details" => named(action, "review_and_pay"),
        "order_status" => named(action, "review_order"),
        "product" | "product_list" => text(action, "catalog_id", 1, 256).map(drop),
        "carousel" => list(action, "cards", 10).map(drop),
        _ => Err(bad("interactive.type", "is a known kind of interactive message")),
    }
}

fn buttons(action: &Object) -> Result<(), Refusal> {
    for button in list(action, "buttons", 3)? {
        let button = object(button, "buttons")?;
        if button.get("type").and_then(Value::as_str) != Some("reply") {
            return Err(bad("buttons.type", "is \"reply\""));
        }
        let reply = object(button.get("reply").ok_or_else(|| missing("reply"))?, "reply")?;
        text(reply, "id", 1, 256)?;
        text(reply, "title", 1, 20)?;
    }
    Ok(())
}

fn sections(action: &Object) -> Result<(), Refusal> {
    text(action, "button", 1, 20)?;
    let mut rows = 0;
    for section in list(action, "sections", 10)? {
        for row in list(object(section, "sections")?, "rows", 10)? {
            let row = object(row, "rows")?;
            text(row, "id", 1, 200)?;
            text(row, "title", 1, 24)?;
            if row.contains_key("description") {
                text(row, "description", 0, 72)?;
            }
            rows += 1;
        }
    }
    if rows > 10 { Err(bad("sections", "have at most 10 rows in all")) } else { Ok(()) }
}

fn parameters(action: &Object) -> Result<&Object, Refusal> {
    object(action.get("parameters").ok_or_else(|| missing("parameters"))?, "parameters")
}

fn named(action: &Object, name: &str) -> Result<(), Refusal> {
    if text(action, "name", 1, 64)? == name {
        Ok(())
    } else {
        Err(bad("action.name", &format!("is {name:?}")))
    }
}
