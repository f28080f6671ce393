//! What webhook bodies say: those of others, and those that nobody has recorded yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use wa_adapters::cloud::CloudWebhooks;
use wa_core::model::{
    Bsuid, ChargedCategory, Fact, FailureCode, InboundEvent, InboundKind, InboundMessage, Phone, Recipient,
    RejectClass, StatusUpdate, WebhookPricing, from_micros,
};
use wa_core::port::WebhookSource;

use super::support::{config, meta_data};

const NUMBER: &str = "106540352242922";

fn received_at() -> DateTime<Utc> {
    from_micros(1_790_000_000_000_000)
}

fn parse_bytes(body: &[u8]) -> Vec<InboundEvent> {
    CloudWebhooks::new(&config().build().expect("a configuration")).parse(body, received_at())
}

fn parse(body: &Value) -> Vec<InboundEvent> {
    parse_bytes(body.to_string().as_bytes())
}

fn change(field: &str, value: Value) -> Value {
    json!({"field": field, "value": value})
}

fn body(changes: Vec<Value>) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]})
}

/// A body with one change of the field `messages` for our number.
fn messages(mut value: Value) -> Value {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": NUMBER});
    body(vec![change("messages", value)])
}

fn status(item: Value) -> StatusUpdate {
    match parse(&messages(json!({"statuses": [item]}))).as_slice() {
        [InboundEvent::Status(update)] => update.clone(),
        other => panic!("{item}: {other:?}"),
    }
}

fn message(value: Value) -> InboundMessage {
    match parse(&messages(value.clone())).as_slice() {
        [InboundEvent::Message(message)] => message.clone(),
        other => panic!("{value}: {other:?}"),
    }
}

fn unknown(field: &str) -> InboundEvent {
    InboundEvent::Unknown { field: field.to_owned() }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for source in ["facebook-openapi", "pywa"] {
        for entry in fs::read_dir(folder.join(source)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            files.push((name, fs::read(path).expect("a file")));
        }
    }
    files.sort();
    files
}

#[test]
fn every_recorded_body_is_understood_or_kept() {
    let Some(data) = meta_data() else { return };
    let files = files(&data.join("webhooks"));
    let mut table: BTreeMap<String, u32> = BTreeMap::new();
    for (name, bytes) in &files {
        let events = parse_bytes(bytes);
        assert!(!events.is_empty(), "{name} says nothing");
        for event in events {
            let (row, expected) = match &event {
                InboundEvent::Status(update) => (format!("status {:?}", update.fact), "messages_status_"),
                InboundEvent::Message(message) => {
                    (format!("message {:?}", message.kind()), "messages_message_")
                }
                InboundEvent::Unknown { field } => (format!("unknown {field}"), ""),
                other => panic!("{name}: {other:?}"),
            };
            assert!(name.starts_with(expected), "{name} became {event:?}");
            *table.entry(row).or_default() += 1;
        }
        let is_user_message = name.starts_with("messages_message_")
            && !["_system_", "_edit_", "_revoke_"].iter().any(|kind| name.contains(kind));
        let is_message = |event: &InboundEvent| matches!(event, InboundEvent::Message(_));
        // Some recordings have a placeholder where the author belongs, so nobody can be told.
        let text = String::from_utf8_lossy(bytes);
        let has_author = !text.contains("\"from\": \"<") && !text.contains("\"from\":\"<");
        assert_eq!(parse_bytes(bytes).iter().any(is_message), is_user_message && has_author, "{name}");
        let is_status = |event: &InboundEvent| matches!(event, InboundEvent::Status(_));
        assert_eq!(parse_bytes(bytes).iter().any(is_status), name.starts_with("messages_status_"), "{name}");
    }
    println!("{} recorded bodies, {} events", files.len(), table.values().sum::<u32>());
    for (row, count) in &table {
        println!("{count:>4}  {row}");
    }
    assert!(files.len() >= 90, "recordings are missing");
}

#[test]
fn a_status_brings_its_fact_its_instant_and_its_tag() {
    for (name, fact) in
        [("sent", Fact::Sent), ("delivered", Fact::Delivered), ("read", Fact::Read), ("played", Fact::Played)]
    {
        let update = status(json!({
            "id": "wamid.A", "status": name, "timestamp": "1750269342", "recipient_id": "15550000001",
            "recipient_user_id": "US.1", "biz_opaque_callback_data": "wa1:x",
        }));
        let expected = StatusUpdate {
            echo: Some("wa1:x".to_owned()),
            ..StatusUpdate::new(
                NUMBER.parse().expect("a number"),
                "wamid.A",
                fact,
                from_micros(1_750_269_342_000_000),
            )
        };
        assert_eq!(update, expected);
    }
}

#[test]
fn a_timestamp_may_be_text_or_number_and_a_senseless_one_is_replaced() {
    for (stamp, micros) in [
        (json!("1750269342"), 1_750_269_342_000_000),
        (json!(1_750_269_342), 1_750_269_342_000_000),
        (json!("soon"), 1_790_000_000_000_000),
        (json!(-1), 1_790_000_000_000_000),
        (json!(i64::MAX), 1_790_000_000_000_000),
        (json!(1.5), 1_790_000_000_000_000),
        (Value::Null, 1_790_000_000_000_000),
    ] {
        let update = status(json!({"id": "wamid.A", "status": "sent", "timestamp": stamp}));
        assert_eq!(update.at, from_micros(micros), "{stamp}");
    }
    let update = status(json!({"id": "wamid.A", "status": "sent"}));
    assert_eq!(update.at, received_at());
}

#[test]
fn a_failed_status_always_says_why_and_never_asks_for_an_unfounded_retry() {
    let failure = |errors: Value| {
        status(json!({"id": "wamid.A", "status": "failed", "timestamp": "1", "errors": errors})).failure
    };
    let expect = |errors: Value, code: i64, class: RejectClass| {
        let FailureCode { code: got, class: is, title } = failure(errors).expect("a failure");
        assert_eq!((got, is), (code, class), "{title}");
    };
    expect(json!([{"code": 131_026, "title": "no"}]), 131_026, RejectClass::Recipient);
    expect(json!([{"code": "131049"}]), 131_049, RejectClass::Later);
    // Definite in a status, though it would prove nothing as an answer.
    expect(json!([{"code": 131_000}]), 131_000, RejectClass::Retry);
    expect(json!([{"title": "no code"}, {"code": 131_053}]), 131_053, RejectClass::Media);
    expect(json!([{"code": 999_999, "title": "new"}]), 999_999, RejectClass::Request);
    for none in [json!([]), json!(null), json!([{}]), json!("x")] {
        expect(none, 0, RejectClass::Request);
    }
    let sent = status(json!({"id": "wamid.A", "status": "sent", "errors": [{"code": 131_026}]}));
    assert_eq!(sent.failure, None);
}

#[test]
fn pricing_is_read_in_its_old_and_new_forms() {
    let pricing = |value: Value| status(json!({"id": "wamid.A", "status": "sent", "pricing": value})).pricing;
    let expect = |value: Value, billable, category, kind: Option<&str>| {
        let expected =
            WebhookPricing { billable, category, kind: kind.map(Into::into), ..WebhookPricing::default() };
        assert_eq!(pricing(value.clone()), Some(expected), "{value}");
    };
    expect(
        json!({"billable": true, "pricing_model": "CBP", "category": "service"}),
        Some(true),
        Some(ChargedCategory::Service),
        None,
    );
    expect(
        json!({"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "utility"}),
        Some(false),
        Some(ChargedCategory::Utility),
        Some("free_customer_service"),
    );
    expect(
        json!({"pricing_model": "PMP", "type": "regular", "category": "marketing_lite", "subtype": "paid_exempt"}),
        None,
        Some(ChargedCategory::MarketingLite),
        Some("regular"),
    );
    expect(
        json!({"type": "free_entry_point", "category": "authentication-international"}),
        None,
        Some(ChargedCategory::AuthenticationInternational),
        Some("free_entry_point"),
    );
    expect(json!({"category": "referral_conversion"}), None, Some(ChargedCategory::ReferralConversion), None);
    expect(json!({"billable": "yes", "category": 7, "type": {}}), None, None, None);
    assert_eq!(pricing(json!("free")), None);
}

#[test]
fn a_text_message_brings_its_author_by_whatever_is_known() {
    let phone: Phone = Phone::from_digits("16505551234").expect("a phone");
    let user: Bsuid = "US.13491208655302741918".parse().expect("a user id");
    let both = Recipient::new(Some(phone), Some(user.clone())).expect("two addresses");
    let text = |mut item: Value, contacts: Value| {
        item["id"] = json!("wamid.A");
        item["type"] = json!("text");
        item["timestamp"] = json!("1750269342");
        item["text"] = json!({"body": "hello"});
        message(json!({"contacts": contacts, "messages": [item]}))
    };
    let contact = json!({"wa_id": "16505551234", "user_id": user.as_str(), "profile": {"name": "Sheena"}});
    let foreign = json!({"wa_id": "4915112345678", "user_id": "US.9", "profile": {"name": "Other"}});
    for (item, contacts, from, name) in [
        (json!({"from": "16505551234"}), json!([]), phone.into(), None),
        (json!({"from": "16505551234"}), json!([foreign.clone()]), phone.into(), None),
        (
            json!({"from": "16505551234"}),
            json!([foreign.clone(), contact.clone()]),
            both.clone(),
            Some("Sheena"),
        ),
        (
            json!({"from_user_id": user.as_str()}),
            json!([foreign, contact.clone()]),
            both.clone(),
            Some("Sheena"),
        ),
        (json!({"from": "", "from_user_id": user.as_str()}), json!(null), user.clone().into(), None),
        (
            json!({"from_user_id": user.as_str()}),
            json!([{"wa_id": "", "user_id": user.as_str(), "profile": {}}]),
            user.clone().into(),
            None,
        ),
        (json!({}), json!([contact]), both.clone(), Some("Sheena")),
        (json!({"from": "16505551234", "from_user_id": user.as_str()}), json!([7, {}]), both.clone(), None),
    ] {
        let got = text(item.clone(), contacts.clone());
        assert_eq!((got.from.clone(), got.profile_name.as_deref()), (from, name), "{item} {contacts}");
        assert_eq!((got.kind(), got.text()), (InboundKind::Text, Some("hello")));
        assert_eq!(got.at, from_micros(1_750_269_342_000_000));
    }
}

#[test]
fn only_what_a_user_wrote_to_the_number_alone_is_a_message() {
    let item = |kind: &str| json!({"from": "16505551234", "id": "wamid.A", "timestamp": "1", "type": kind});
    for kind in [
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
        "unsupported",
        "something_new",
    ] {
        let got = message(json!({"messages": [item(kind)]}));
        assert_eq!((got.kind(), got.text()), (InboundKind::Other, None), "{kind}");
    }
    for kind in ["system", "edit", "revoke", "request_welcome"] {
        let events = parse(&messages(json!({"messages": [item(kind)]})));
        assert_eq!(events, [unknown(&format!("messages.message.{kind}"))], "{kind}");
    }
    let mut in_group = item("text");
    in_group["group_id"] = json!("Y2FwaV9ncm91cA");
    assert_eq!(parse(&messages(json!({"messages": [in_group]}))), [unknown("messages.message.text")]);
    let mut own = item("text");
    own["from"] = json!("15550783881");
    assert_eq!(parse(&messages(json!({"messages": [own]}))), [unknown("messages.message.text")]);
    let nobody = json!({"id": "wamid.A", "type": "text", "text": {"body": "hello"}});
    assert_eq!(parse(&messages(json!({"messages": [nobody]}))), [unknown("messages.message.text")]);
}

#[test]
fn a_message_without_type_is_read_by_its_shape() {
    let text = json!({"from": "16505551234", "id": "wamid.A", "text": {"body": "STOP"}});
    let got = message(json!({"messages": [text]}));
    assert_eq!((got.kind(), got.text()), (InboundKind::Text, Some("STOP")));
}

#[test]
fn a_pressed_button_says_its_label() {
    let item =
        |kind: &str, value: Value| json!({"from": "16505551234", "id": "wamid.A", "type": kind, kind: value});
    for (item, said) in [
        (item("button", json!({"text": "STOP", "payload": "p"})), Some("STOP")),
        (
            item(
                "interactive",
                json!({"type": "button_reply", "button_reply": {"id": "1", "title": "Stop"}}),
            ),
            Some("Stop"),
        ),
        (item("interactive", json!({"type": "nfm_reply", "nfm_reply": {"body": "Sent"}})), None),
    ] {
        let got = message(json!({"messages": [item]}));
        assert_eq!(
            (got.kind(), got.text()),
            (
                if said == Some("STOP") {
                    InboundKind::Button
                } else if said.is_some() {
                    InboundKind::InteractiveButton
                } else {
                    InboundKind::Other
                },
                said
            )
        );
    }
}

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
    assert_eq!(parse(&body(vec![change("calls", call)])), [unknown("calls.status.sent")]);
}

#[test]
fn errors_of_a_whole_value_are_kept() {
    let events = parse(&messages(json!({"errors": [{"code": 131_000, "title": "Something went wrong"}]})));
    assert_eq!(events, [unknown("messages.errors")]);
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
}
