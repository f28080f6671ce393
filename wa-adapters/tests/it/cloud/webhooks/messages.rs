//! Messages of users: who wrote them, what they hold, what they refer to; and echoes.

use serde_json::{Value, json};
use wa_core::model::{
    Bsuid, Echo, InboundBody, InboundContext, InboundEvent, InboundKind, InboundLocation, InboundMedia,
    JsonText, Phone, Recipient, Referral, ReferredProduct, from_micros,
};

use super::{NUMBER, at, body, change, event, message, messages, parse, unknown};

fn phone() -> Phone {
    Phone::from_digits("16505551234").expect("a phone")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The body of a message of one type.
fn held(kind: &str, value: Value) -> InboundBody {
    let item = json!({"from": "16505551234", "id": "wamid.A", "type": kind, kind: value});
    message(json!({"messages": [item]})).body
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
fn every_kind_of_message_brings_what_it_holds() {
    let media = || InboundMedia {
        id: "1003383421387256".to_owned(),
        mime_type: some("image/jpeg"),
        sha256: some("SfInY0gGKTs="),
        url: some("https://lookaside.fbsbx.com/1"),
        caption: some("Taj Mahal"),
        filename: some("taj.jpg"),
        animated: true,
    };
    let file = json!({
        "id": "1003383421387256", "mime_type": "image/jpeg", "sha256": "SfInY0gGKTs=", "animated": true,
        "url": "https://lookaside.fbsbx.com/1", "caption": "Taj Mahal", "filename": "taj.jpg",
    });
    let voice = {
        let mut voice = file.clone();
        voice["voice"] = json!(true);
        voice
    };
    let check = |kind: &str, value: Value, expected: InboundBody, name: InboundKind| {
        let got = held(kind, value);
        assert!(got == expected, "{kind}: {}", serde_json::to_string(&got).expect("JSON"));
        assert_eq!(got.kind(), name);
    };
    check("text", json!({"body": "hello"}), InboundBody::text("hello"), InboundKind::Text);
    check("image", file.clone(), InboundBody::Image(media()), InboundKind::Image);
    check("video", file.clone(), InboundBody::Video(media()), InboundKind::Video);
    check("audio", file.clone(), InboundBody::Audio(media()), InboundKind::Audio);
    check("audio", voice, InboundBody::Voice(media()), InboundKind::Voice);
    check("document", file.clone(), InboundBody::Document(media()), InboundKind::Document);
    check("sticker", file, InboundBody::Sticker(media()), InboundKind::Sticker);
    check(
        "image",
        json!({"id": 65_463_453}),
        InboundBody::Image(InboundMedia { id: "65463453".to_owned(), ..InboundMedia::default() }),
        InboundKind::Image,
    );
    let place = |latitude: &str, longitude: &str| InboundLocation {
        latitude: latitude.to_owned(),
        longitude: longitude.to_owned(),
        ..InboundLocation::default()
    };
    check(
        "location",
        json!({"latitude": 37.44221496582, "longitude": "-122.16", "name": "Philz", "address": "101 Forest Ave", "url": "https://philz"}),
        InboundBody::Location(InboundLocation {
            name: some("Philz"),
            address: some("101 Forest Ave"),
            url: some("https://philz"),
            ..place("37.44221496582", "-122.16")
        }),
        InboundKind::Location,
    );
    check(
        "contacts",
        json!([{"name": {"formatted_name": "Ada"}}]),
        InboundBody::Contacts { cards: JsonText::new(r#"[{"name":{"formatted_name":"Ada"}}]"#.to_owned()) },
        InboundKind::Contacts,
    );
    for (emoji, expected) in [(json!("\u{1f44d}"), some("\u{1f44d}")), (json!(""), None), (Value::Null, None)]
    {
        check(
            "reaction",
            json!({"message_id": "wamid.B", "emoji": emoji}),
            InboundBody::Reaction { target: "wamid.B".to_owned(), emoji: expected },
            InboundKind::Reaction,
        );
    }
    check(
        "button",
        json!({"text": "Yes", "payload": "yes-1"}),
        InboundBody::Button { text: "Yes".to_owned(), payload: some("yes-1") },
        InboundKind::Button,
    );
    check(
        "order",
        json!({"catalog_id": 194, "text": "", "product_items": [{"quantity": 2}]}),
        InboundBody::Order {
            catalog: some("194"),
            text: None,
            items: JsonText::new(r#"[{"quantity":2}]"#.to_owned()),
        },
        InboundKind::Order,
    );
}

#[test]
fn every_answer_to_an_interactive_message_brings_what_it_holds() {
    let check = |value: Value, expected: InboundBody, name: InboundKind| {
        let got = held("interactive", value);
        assert!(got == expected, "{}", serde_json::to_string(&got).expect("JSON"));
        assert_eq!(got.kind(), name);
    };
    check(
        json!({"type": "button_reply", "button_reply": {"id": "cancel-button", "title": "Cancel"}}),
        InboundBody::InteractiveButton { id: "cancel-button".to_owned(), title: "Cancel".to_owned() },
        InboundKind::InteractiveButton,
    );
    check(
        json!({"type": "list_reply", "list_reply": {"id": "express", "title": "Express", "description": "Next day"}}),
        InboundBody::InteractiveList {
            id: "express".to_owned(),
            title: "Express".to_owned(),
            description: some("Next day"),
        },
        InboundKind::InteractiveList,
    );
    for response in [json!("{\"a\":1}"), json!({"a": 1})] {
        check(
            json!({"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": response}}),
            InboundBody::Flow {
                name: some("flow"),
                body: some("Sent"),
                response: JsonText::new(r#"{"a":1}"#.to_owned()),
            },
            InboundKind::Flow,
        );
    }
    check(
        json!({"call_permission_reply": {"response": "accept", "expiration_timestamp": 1_753_186_982, "response_source": "user_action"}}),
        InboundBody::CallPermissionReply {
            granted: true,
            expires_at: Some(at(1_753_186_982)),
            source: some("user_action"),
        },
        InboundKind::CallPermissionReply,
    );
    check(
        json!({"call_permission_reply": {"response": "reject"}}),
        InboundBody::CallPermissionReply { granted: false, expires_at: None, source: None },
        InboundKind::CallPermissionReply,
    );
    check(
        json!({"type": "new_reply", "new_reply": {}}),
        InboundBody::Other { name: "interactive".to_owned() },
        InboundKind::Other,
    );
}

#[test]
fn what_the_provider_does_not_pass_on_says_why() {
    let errors = json!([{"code": 131_051, "title": "Message type unknown"}]);
    for (item, name) in [
        (json!({"type": "unsupported", "errors": errors}), None),
        (json!({"type": "unknown", "errors": errors}), None),
        (json!({"errors": errors}), None),
        (json!({"type": "unsupported", "unsupported": {"type": "pool"}, "errors": errors}), some("pool")),
        (json!({"type": "video_note", "errors": errors}), some("video_note")),
    ] {
        let mut item = item;
        item["from"] = json!("16505551234");
        item["id"] = json!("wamid.A");
        let got = message(json!({"messages": [item]}));
        let expected =
            InboundBody::Unsupported { name, code: Some(131_051), title: some("Message type unknown") };
        assert!(got.body == expected, "{}", serde_json::to_string(&got.body).expect("JSON"));
        assert!(got.opens_window());
    }
    let bare = InboundBody::Unsupported { name: None, code: None, title: None };
    assert_eq!(held("unsupported", Value::Null), bare);
}

#[test]
fn a_call_of_a_user_is_heard_once_and_opens_the_window() {
    let call = |direction: &str, happened: &str| {
        let mut value = json!({
            "metadata": {"phone_number_id": NUMBER, "display_phone_number": "16315553601"},
            "contacts": [{"wa_id": "16505551234", "user_id": "US.9", "profile": {"name": "Ada"}}],
        });
        value["calls"] = json!([{
            "id": "wacid.A", "from": "16505551234", "to": "16315553601", "timestamp": "1752583107",
            "direction": direction, "event": happened,
        }]);
        parse(&body(vec![change("calls", value)]))
    };
    let events = call("USER_INITIATED", "connect");
    let [InboundEvent::Message(called)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((called.kind(), &called.body, called.text()), (InboundKind::Call, &InboundBody::Call, None));
    assert_eq!((called.provider_id.as_str(), called.at), ("wacid.A", at(1_752_583_107)));
    assert_eq!((called.from.phone(), called.profile_name.as_deref()), (Some(phone()), Some("Ada")));
    assert!(called.opens_window());
    for (direction, happened) in [("USER_INITIATED", "terminate"), ("BUSINESS_INITIATED", "connect")] {
        let events = call(direction, happened);
        assert!(matches!(events.as_slice(), [InboundEvent::Other(_)]), "{direction} {happened}: {events:?}");
    }
}

#[test]
fn an_edit_and_a_deletion_name_the_message_and_open_no_window() {
    let edited =
        json!({"original_message_id": "wamid.B", "message": {"type": "text", "text": {"body": "new"}}});
    let revoked = json!({"original_message_id": "wamid.B"});
    let target = "wamid.B".to_owned();
    for (kind, value, expected) in [
        (
            "edit",
            edited,
            InboundBody::Edit { target: target.clone(), body: Box::new(InboundBody::text("new")) },
        ),
        ("revoke", revoked, InboundBody::Revoke { target }),
    ] {
        let item = json!({"from": "16505551234", "id": "wamid.A", "type": kind, kind: value});
        let got = message(json!({"messages": [item]}));
        assert!(got.body == expected, "{}", serde_json::to_string(&got.body).expect("JSON"));
        assert!(!got.opens_window());
        assert_eq!(got.text(), None, "a stop word in an edit is not said anew");
    }
    let nested = json!({"original_message_id": "wamid.B", "message": {"type": "edit", "edit": {}}});
    let InboundBody::Edit { body, .. } = held("edit", nested) else { panic!("an edit") };
    assert_eq!(body.kind(), InboundKind::Other);
}

#[test]
fn a_message_brings_what_it_refers_to() {
    let item = json!({
        "from": "16505551234", "id": "wamid.A", "type": "text", "text": {"body": "x"},
        "context": {
            "from": "15550783881", "id": "wamid.Q", "forwarded": true, "frequently_forwarded": true,
            "referred_product": {"catalog_id": "194836987003835", "product_retailer_id": "di9ozbzfi4"},
        },
        "referral": {
            "source_url": "https://fb.me/3cr4Wqqkv", "source_id": 120_226, "source_type": "ad",
            "body": "Succulents", "headline": "Chat with us", "ctwa_clid": "Aff-n8",
        },
    });
    let got = message(json!({"messages": [item]}));
    let context = InboundContext {
        quoted: some("wamid.Q"),
        forwarded: true,
        frequently_forwarded: true,
        product: Some(ReferredProduct { catalog: some("194836987003835"), product: some("di9ozbzfi4") }),
    };
    assert_eq!(got.context, Some(context));
    let referral = Referral {
        source_id: some("120226"),
        source_type: some("ad"),
        source_url: some("https://fb.me/3cr4Wqqkv"),
        headline: some("Chat with us"),
        body: some("Succulents"),
        ctwa_clid: some("Aff-n8"),
    };
    assert_eq!(got.referral, Some(referral));
    let plain =
        json!({"from": "16505551234", "id": "wamid.A", "type": "text", "text": {"body": "x"}, "context": {}});
    let plain = message(json!({"messages": [plain]}));
    assert_eq!((plain.context, plain.referral), (None, None));
}

#[test]
fn only_what_a_user_wrote_to_the_number_alone_opens_a_window() {
    let item = |kind: &str| json!({"from": "16505551234", "id": "wamid.A", "timestamp": "1", "type": kind});
    for kind in ["image", "reaction", "button", "interactive", "order", "text", "something_new"] {
        let got = message(json!({"messages": [item(kind)]}));
        assert_eq!((got.body.clone(), got.text()), (InboundBody::Other { name: kind.to_owned() }, None));
        assert!(got.opens_window(), "{kind} without body");
    }
    for kind in ["system", "request_welcome"] {
        let events = parse(&messages(json!({"messages": [item(kind)]})));
        assert_eq!(events, [unknown(&format!("messages.message.{kind}"))], "{kind}");
    }
    let mut in_group = item("text");
    in_group["group_id"] = json!("Y2FwaV9ncm91cA");
    let got = message(json!({"messages": [in_group]}));
    assert_eq!((got.group.as_deref(), got.opens_window()), (Some("Y2FwaV9ncm91cA"), false));
    let nobody = json!({"id": "wamid.A", "type": "text", "text": {"body": "hello"}});
    assert_eq!(parse(&messages(json!({"messages": [nobody]}))), [unknown("messages.message.text")]);
}

#[test]
fn a_message_says_by_which_names_its_author_goes() {
    let contact = json!({
        "wa_id": "", "user_id": "US.1", "parent_user_id": "US.ENT.2",
        "profile": {"name": "Ada", "username": "ada.l"},
    });
    let item = json!({"from_user_id": "US.1", "id": "wamid.A", "type": "text", "text": {"body": "x"}});
    let got = message(json!({"contacts": [contact], "messages": [item]}));
    let user: Bsuid = "US.1".parse().expect("a user id");
    assert_eq!(got.from, user.into());
    assert_eq!(got.parent.as_ref().map(Bsuid::as_str), Some("US.ENT.2"));
    assert_eq!((got.profile_name.as_deref(), got.username.as_deref()), (Some("Ada"), Some("ada.l")));
}

#[test]
fn a_message_without_type_is_read_by_its_shape() {
    let text = json!({"from": "16505551234", "id": "wamid.A", "text": {"body": "STOP"}});
    let got = message(json!({"messages": [text]}));
    assert_eq!((got.kind(), got.text()), (InboundKind::Text, Some("STOP")));
}

#[test]
fn a_pressed_button_says_its_label() {
    let press = |kind: &str, value: Value| {
        let item = json!({"from": "16505551234", "id": "wamid.A", "type": kind, kind: value});
        message(json!({"messages": [item]})).text().map(str::to_owned)
    };
    assert_eq!(press("button", json!({"text": "STOP", "payload": "p"})), some("STOP"));
    assert_eq!(press("interactive", json!({"button_reply": {"id": "1", "title": "Stop"}})), some("Stop"));
    assert_eq!(press("interactive", json!({"list_reply": {"id": "1", "title": "Stop"}})), None);
    assert_eq!(press("interactive", json!({"nfm_reply": {"body": "Stop", "response_json": "{}"}})), None);
    assert_eq!(press("image", json!({"id": "1", "caption": "Stop"})), None);
}

fn echo(mut item: Value, contacts: Value) -> Echo {
    item["id"] = json!("wamid.E");
    item["timestamp"] = json!("1697043223");
    let metadata = json!({"display_phone_number": "+1 555-078-3881", "phone_number_id": NUMBER});
    let value = json!({"metadata": metadata, "contacts": contacts, "message_echoes": [item]});
    match event("smb_message_echoes", value) {
        InboundEvent::Echo(echo) => echo,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_echo_says_to_whom_a_person_wrote_what() {
    let text = json!({"from": "15550783881", "to": "16505551234", "type": "text", "text": {"body": "hi"}});
    let expected = Echo {
        number: NUMBER.parse().expect("a number"),
        provider_id: "wamid.E".to_owned(),
        to: Some(phone().into()),
        at: at(1_697_043_223),
        body: InboundBody::text("hi"),
    };
    assert_eq!(echo(text.clone(), json!([])), expected);
    let user: Bsuid = "US.1".parse().expect("a user id");
    let both = Recipient::new(Some(phone()), Some(user)).expect("two addresses");
    let contacts = json!([{"wa_id": "16505551234", "user_id": "US.1"}]);
    assert_eq!(echo(text, contacts.clone()).to, Some(both.clone()));
    // Both sides swapped, as in edits and deletions.
    let revoke = json!({
        "from": "16505551234", "to": "15550783881", "type": "revoke", "revoke": {"original_message_id": "wamid.B"},
    });
    let got = echo(revoke, contacts.clone());
    assert_eq!(
        (got.to, got.body),
        (Some(both.clone()), InboundBody::Revoke { target: "wamid.B".to_owned() })
    );
    let hidden = json!({"from": "15550783881", "type": "text", "text": {"body": "hi"}});
    assert_eq!(echo(hidden.clone(), contacts).to, Some(both));
    assert_eq!(echo(hidden, json!([])).to, None);
}

#[test]
fn a_message_of_the_number_itself_is_an_echo() {
    let own = json!({"from": "15550783881", "to": "16505551234", "id": "wamid.A", "type": "text", "text": {"body": "x"}});
    match parse(&messages(json!({"messages": [own]}))).as_slice() {
        [InboundEvent::Echo(echo)] => assert_eq!(echo.to, Some(phone().into())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_came_while_another_program_answers_says_so() {
    let value = |of: &str| {
        let metadata = json!({"phone_number_id": NUMBER});
        let item = json!({"id": "wamid.A", "from": "16505551234", "type": "text", "text": {"body": "STOP"}});
        parse(&body(vec![change(of, json!({"metadata": metadata, "messages": [item]}))]))
    };
    for (field, expected) in [("standby", true), ("messages", false)] {
        match value(field).as_slice() {
            [InboundEvent::Message(message)] => {
                assert_eq!((message.standby, message.text()), (expected, Some("STOP")));
            }
            other => panic!("{other:?}"),
        }
    }
    match event("standby", json!({"handover": true})) {
        InboundEvent::Standby(named) => assert_eq!(named.field, "standby"),
        other => panic!("{other:?}"),
    }
}
