//! Bodies that nobody would send: nothing panics, and nothing hides its neighbours.

use proptest::prelude::*;
use serde_json::{Value, json};
use wa_core::model::InboundEvent;

use super::super::support::meta_data;
use super::recorded::files;
use super::{NUMBER, body, change, messages, parse};

/// Any JSON whose keys are the ones that matter.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["text", "sent", "failed", "16505551234", "US.1", "messages", NUMBER])
            .prop_map(Value::from),
    ];
    let keys = vec![
        "entry",
        "changes",
        "field",
        "value",
        "metadata",
        "phone_number_id",
        "display_phone_number",
        "statuses",
        "messages",
        "contacts",
        "errors",
        "id",
        "status",
        "timestamp",
        "type",
        "text",
        "body",
        "from",
        "from_user_id",
        "wa_id",
        "user_id",
        "profile",
        "name",
        "pricing",
        "code",
        "button",
        "interactive",
        "message_echoes",
        "user_preferences",
        "event",
        "system",
        "message_template_id",
        "alert_info",
        "group_id",
        "context",
        "image",
        "edit",
    ];
    leaf.prop_recursive(8, 256, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(keys.clone()), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_the_json_is_nothing_panics(any in any_json()) {
        let _ = parse(&any);
        let _ = parse(&body(vec![any.clone()]));
        let _ = parse(&body(vec![change("messages", any)]));
    }

    #[test]
    fn each_item_gives_one_event_whatever_it_is(items in prop::collection::vec(any_json(), 1..20)) {
        prop_assert_eq!(parse(&messages(json!({"statuses": items}))).len(), items.len());
        prop_assert_eq!(parse(&messages(json!({"messages": items}))).len(), items.len());
    }

    #[test]
    fn each_echo_preference_and_error_gives_one_event(items in prop::collection::vec(any_json(), 1..20)) {
        for list in ["message_echoes", "user_preferences", "errors"] {
            prop_assert_eq!(parse(&messages(json!({list: items}))).len(), items.len());
        }
    }

    #[test]
    fn a_broken_change_of_any_name_hides_no_sibling(
        field in prop::sample::select(FIELDS.to_vec()),
        value in any_json(),
        place in 0_usize..3,
    ) {
        let mut changes: Vec<Value> = (0..2).map(good).collect();
        changes.insert(place, change(field, value));
        let events = parse(&body(changes));
        for n in 0..2 {
            let id = format!("wamid.sibling{n}");
            let is_it = |event: &&InboundEvent| matches!(event, InboundEvent::Status(it) if it.provider_id == id);
            prop_assert_eq!(events.iter().filter(is_it).count(), 1);
        }
        prop_assert!(events.len() >= 3, "the broken change says nothing");
    }
}

/// Every field that the reference names, and one that it does not.
const FIELDS: [&str; 24] = [
    "messages",
    "standby",
    "message_template_status_update",
    "message_template_quality_update",
    "template_category_update",
    "message_template_components_update",
    "phone_number_quality_update",
    "phone_number_name_update",
    "business_capability_update",
    "account_update",
    "account_alerts",
    "account_review_update",
    "security",
    "user_preferences",
    "smb_message_echoes",
    "smb_app_state_sync",
    "history",
    "flows",
    "calls",
    "group_lifecycle_update",
    "partner_solutions",
    "payment_configuration_update",
    "automatic_events",
    "brand_new",
];

fn good(n: usize) -> Value {
    let status = json!({"id": format!("wamid.sibling{n}"), "status": "sent", "timestamp": "1"});
    messages(json!({"statuses": [status]}))["entry"][0]["changes"][0].clone()
}

/// Every place in a value: the value there is replaced by each of these.
fn mutations(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut pointers = Vec::new();
    walk(value, String::new(), &mut pointers);
    for pointer in pointers {
        for odd in [
            Value::Null,
            json!(-7),
            json!(1e300),
            json!(""),
            json!("\u{0}x"),
            json!([]),
            json!({}),
            json!(true),
        ] {
            let mut changed = value.clone();
            *changed.pointer_mut(&pointer).expect("a place") = odd;
            all.push(changed);
        }
    }
    all
}

fn walk(value: &Value, here: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                walk(inner, format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                walk(inner, format!("{here}/{place}"), pointers);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    if !here.is_empty() {
        pointers.push(here);
    }
}

#[test]
fn a_recording_with_any_part_replaced_hides_no_sibling() {
    let Some(data) = meta_data() else { return };
    let mut count = 0;
    for (name, bytes) in files(&data.join("webhooks")) {
        let whole: Value = serde_json::from_slice(&bytes).expect("JSON");
        for change in mutations(&whole["entry"][0]["changes"][0]) {
            let events = parse(&body(vec![good(0), change.clone(), good(1)]));
            let siblings = events.iter().filter(|event| {
                matches!(event, InboundEvent::Status(it) if it.provider_id.starts_with("wamid.sibling"))
            });
            assert_eq!(siblings.count(), 2, "{name}: {change}");
            assert!(events.len() >= 3, "{name} says nothing: {change}");
            count += 1;
        }
    }
    println!("{count} mutated changes beside two siblings each");
    assert!(count > 10_000, "mutations are missing");
}
