//! The template object of a request: its shape, and what it fills.
//!
//! Whether the template exists and takes these parameters is for the template register to say.

use serde_json::Value;

use super::{Object, Refusal, bad, list, missing, object, only, text};

/// What a message puts into a template.
#[derive(Debug, Default)]
pub(crate) struct TemplateUse {
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) header: Vec<ParameterUse>,
    pub(crate) body: Vec<ParameterUse>,
    pub(crate) buttons: Vec<ButtonUse>,
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct ParameterUse {
    pub(crate) kind: &'static str,
    /// `parameter_name`, for templates with named parameters.
    pub(crate) name: Option<String>,
    /// Characters that it puts into the text.
    pub(crate) length: usize,
}

/// One button component.
#[derive(Debug)]
pub(crate) struct ButtonUse {
    pub(crate) index: u64,
    pub(crate) parameters: usize,
}

pub(super) fn check(content: &Object) -> Result<TemplateUse, Refusal> {
    only(content, "template", &["name", "language", "components", "namespace"])?;
    let language = object(content.get("language").ok_or_else(|| missing("language"))?, "language")?;
    only(language, "language", &["code", "policy"])?;
    if language.get("policy").is_some_and(|policy| policy.as_str() != Some("deterministic")) {
        return Err(bad("language.policy", "is \"deterministic\""));
    }
    let mut used = TemplateUse {
        name: text(content, "name", 1, 512)?.to_owned(),
        language: text(language, "code", 1, 64)?.to_owned(),
        ..TemplateUse::default()
    };
    let mut seen = Vec::new();
    let components = match content.get("components") {
        None => &[][..],
        Some(components) => components.as_array().ok_or_else(|| bad("components", "is a list"))?,
    };
    for component in components {
        component_into(object(component, "components")?, &mut used, &mut seen)?;
    }
    Ok(used)
}

fn component_into(component: &Object, used: &mut TemplateUse, seen: &mut Vec<String>) -> Result<(), Refusal> {
    let kind = text(component, "type", 1, 64)?.to_ascii_lowercase();
    let place = match kind.as_str() {
        "header" | "body" => {
            only(component, &kind, &["type", "parameters"])?;
            let parameters = parameters(component, &kind)?;
            if kind == "header" {
                used.header = parameters
            } else {
                used.body = parameters
            }
            kind
        }
        "button" => {
            only(component, "button", &["type", "sub_type", "index", "parameters"])?;
            let sub_type = text(component, "sub_type", 1, 64)?.to_ascii_lowercase();
            if !SUB_TYPES.contains(&sub_type.as_str()) {
                return Err(bad("sub_type", "is a known kind of button"));
            }
            let index = index(component)?;
            let parameters = parameters(component, "button")?.len();
            used.buttons.push(ButtonUse { index, parameters });
            format!("button {index}")
        }
        "carousel" => {
            only(component, "carousel", &["type", "cards"])?;
            list(component, "cards", 10)?;
            kind
        }
        "limited_time_offer"
        | "order_status"
        | "tap_target_configuration"
        | "call_permission_request"
        | "footer" => {
            parameters(component, &kind)?;
            kind
        }
        _ => return Err(bad("component.type", "is header, body, button or another documented kind")),
    };
    if seen.contains(&place) {
        return Err(Refusal::new(100, format!("The template has two components for {place}.")));
    }
    seen.push(place);
    Ok(())
}

const SUB_TYPES: [&str; 9] =
    ["quick_reply", "url", "copy_code", "flow", "catalog", "mpm", "order_details", "voice_call", "app"];

fn index(component: &Object) -> Result<u64, Refusal> {
    let index = match component.get("index") {
        None => return Err(missing("index")),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    index.filter(|index| *index < 100).ok_or_else(|| bad("index", "is the place of a button, \"0\" or more"))
}

fn parameters(component: &Object, place: &str) -> Result<Vec<ParameterUse>, Refusal> {
    let Some(parameters) = component.get("parameters") else { return Ok(Vec::new()) };
    let parameters = parameters.as_array().ok_or_else(|| bad("parameters", "is a list"))?;
    parameters.iter().map(|parameter| parameter_of(object(parameter, "parameters")?, place)).collect()
}

fn parameter_of(parameter: &Object, place: &str) -> Result<ParameterUse, Refusal> {
    let named = text(parameter, "type", 1, 64)?;
    let kind = PARAMETERS
        .into_iter()
        .find(|kind| *kind == named)
        .ok_or_else(|| Refusal::new(132_012, format!("{named:?} is no type of parameter ({place}).")))?;
    let part = |key: &str| object(parameter.get(key).ok_or_else(|| missing(key))?, key);
    let length = match kind {
        "text" => text(parameter, "text", 1, 32_768)?.chars().count(),
        "currency" => {
            let currency = part("currency")?;
            text(currency, "code", 3, 3)?;
            if currency.get("amount_1000").and_then(Value::as_i64).is_none() {
                return Err(bad("amount_1000", "is the amount times 1,000"));
            }
            text(currency, "fallback_value", 1, 1_024)?.chars().count()
        }
        "date_time" => text(part("date_time")?, "fallback_value", 1, 1_024)?.chars().count(),
        "image" | "video" | "document" | "gif" => {
            super::content::medium(part(kind)?, kind, &["caption", "filename"])?;
            0
        }
        "location" => {
            let location = part("location")?;
            super::content::degrees(location, "latitude", 90.0)?;
            super::content::degrees(location, "longitude", 180.0)?;
            0
        }
        "payload" => {
            text(parameter, "payload", 1, 1_024)?;
            0
        }
        "coupon_code" => {
            text(parameter, "coupon_code", 1, 15)?;
            0
        }
        // action, product and the like: only that the part is there.
        _ => {
            part(kind)?;
            0
        }
    };
    let name = match parameter.get("parameter_name") {
        None => None,
        Some(_) => Some(text(parameter, "parameter_name", 1, 512)?.to_owned()),
    };
    Ok(ParameterUse { kind, name, length })
}

const PARAMETERS: [&str; 16] = [
    "text",
    "currency",
    "date_time",
    "image",
    "video",
    "document",
    "location",
    "payload",
    "coupon_code",
    "action",
    "product",
    "limited_time_offer",
    "tap_target_configuration",
    "expiration_time_ms",
    "order_status",
    "gif",
];
