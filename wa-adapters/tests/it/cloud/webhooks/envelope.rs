//! Entries, changes and batches: where names are wrong, parts are missing, or neighbours are bad.

use serde_json::{Value, json};
use wa_core::model::{InboundEvent, JsonText, NamedEvent, ReportedError};

use super::{NUMBER, body, change, entry_at, event, messages, parse, received_at, unknown};

#[test]
fn the_shape_of_a_value_decides_where_its_name_is_wrong() {
    let metadata = json!({"phone_number_id": NUMBER});
    let value = json!({
        "metadata": metadata,
        "statuses": [{"id": "wamid.A", "status": "sent", "timestamp": "1"}],
        "messages": [{"id": "wamid.B", "from": "16505551234", "type": "text", "text": {"body": "x"}}],
    });
    for field in ["messages", "standby", "statuses", "account_update", ""] {
        let events = parse(&body(vec![change(field, value.clone())]));
        assert!(
            matches!(events.as_slice(), [InboundEvent::Status(_), InboundEvent::Message(_)]),
            "{field}: {events:?}"
        );
    }
    let call =
        json!({"metadata": metadata, "statuses": [{"id": "wacid.A", "type": "call", "status": "sent"}]});
    match parse(&body(vec![change("calls", call.clone())])).as_slice() {
        [InboundEvent::Other(named)] => assert_eq!(named.field, "calls"),
        other => panic!("{other:?}"),
    }
    assert_eq!(parse(&body(vec![change("messages", call)])), [unknown("messages.status.sent")]);
}

#[test]
fn errors_of_a_whole_value_are_kept() {
    let error = json!({"code": "131000", "title": "Something went wrong", "error_data": {"details": "why"}});
    let expected = ReportedError {
        number: Some(NUMBER.parse().expect("a number")),
        account: "1".to_owned(),
        code: 131_000,
        title: Some("Something went wrong".to_owned()),
        details: Some("why".to_owned()),
        at: received_at(),
    };
    let events = parse(&messages(json!({"errors": [error, {"code": 7}, 7, {}]})));
    let second = ReportedError { code: 7, title: None, details: None, ..expected.clone() };
    let junk = || unknown("messages.error");
    assert_eq!(events, [InboundEvent::Error(expected), InboundEvent::Error(second), junk(), junk()]);
}

#[test]
fn an_event_without_number_touches_no_number() {
    let value = json!({"statuses": [{"id": "wamid.A", "status": "sent", "timestamp": "1"}]});
    assert_eq!(parse(&body(vec![change("messages", value)])), [unknown("messages.status.sent")]);
}

#[test]
fn one_bad_event_does_not_hide_its_siblings() {
    let good = |id: usize| json!({"id": format!("wamid.{id}"), "status": "delivered", "timestamp": "1"});
    let bad = [
        json!(null),
        json!(7),
        json!({}),
        json!({"status": "sent"}),
        json!({"id": {}, "status": []}),
        json!([]),
    ];
    let items: Vec<Value> = bad.iter().enumerate().flat_map(|(id, bad)| [bad.clone(), good(id)]).collect();
    let batch = messages(json!({"statuses": items}))["entry"][0].clone();
    let whole = json!({"entry": [7, {"changes": {}}, batch.clone(), {"changes": [null]}, batch]});
    let found: Vec<String> = parse(&whole)
        .into_iter()
        .filter_map(|event| match event {
            InboundEvent::Status(update) => Some(update.provider_id),
            _ => None,
        })
        .collect();
    let once: Vec<String> = (0..bad.len()).map(|id| format!("wamid.{id}")).collect();
    assert_eq!(found, [once.clone(), once].concat());
}

#[test]
fn a_full_batch_of_a_thousand_updates_is_read_in_order() {
    let items: Vec<Value> = (0..1_000)
        .map(|id| json!({"id": format!("wamid.{id}"), "status": "read", "timestamp": id}))
        .collect();
    let events = parse(&messages(json!({"statuses": items})));
    assert_eq!(events.len(), 1_000);
    for (id, event) in events.iter().enumerate() {
        let InboundEvent::Status(update) = event else { panic!("{event:?}") };
        assert_eq!(update.provider_id, format!("wamid.{id}"));
    }
}

#[test]
fn what_belongs_to_other_products_is_kept_under_its_name() {
    let value = json!({"metadata": {"phone_number_id": NUMBER}, "x": 1});
    for field in [
        "flows",
        "calls",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "partner_solutions",
        "payment_configuration_update",
        "automatic_events",
    ] {
        let expected = NamedEvent {
            field: field.to_owned(),
            number: Some(NUMBER.parse().expect("a number")),
            account: "102290129340398".to_owned(),
            content: Some(JsonText::new(value.to_string())),
            at: entry_at(),
        };
        assert_eq!(event(field, value.clone()), InboundEvent::Other(expected));
    }
    assert_eq!(event("brand_new", value), unknown("brand_new"));
}

#[test]
fn old_messages_of_the_phone_are_no_news() {
    let message = json!({"id": "wamid.A", "from": "16505551234", "type": "text", "text": {"body": "STOP"}});
    let value = json!({"metadata": {"phone_number_id": NUMBER}, "messages": [message]});
    assert!(matches!(event("history", value.clone()), InboundEvent::History(_)));
    assert!(matches!(event("smb_app_state_sync", value), InboundEvent::AppState(_)));
    let large = json!({"history": ["x".repeat(300 * 1024)]});
    let InboundEvent::History(named) = event("history", large) else { panic!("history") };
    assert_eq!(named.content, None, "what is too large is in the raw body only");
}
