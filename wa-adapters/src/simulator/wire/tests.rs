//! What the contract lets through and what it refuses, by code.

use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({
        "messaging_product": "whatsapp", "to": "+49 151 2345-6789", "type": "text",
        "text": { "body": "hello" }, "biz_opaque_callback_data": "tag",
    })
}

/// The code of the refusal of the base body with these changes; `null` removes a key.
fn refusal(changes: Value) -> Option<u32> {
    let mut body = base();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(key);
        } else {
            body[key] = value.clone();
        }
    }
    parse(Endpoint::Messages, body.to_string().as_bytes()).err().map(|refusal| refusal.code)
}

#[test]
fn a_text_message_is_read_with_its_recipient_and_callback_data() {
    let Ok(Request::Send(message)) = parse(Endpoint::Messages, base().to_string().as_bytes()) else {
        panic!("not a message")
    };
    assert_eq!(message.to, Recipient::Phone("4915123456789".to_owned()));
    assert_eq!(message.input, "+49 151 2345-6789");
    assert_eq!((message.kind, message.callback_data.as_deref()), ("text", Some("tag")));
}

#[test]
fn the_envelope_is_read_strictly() {
    assert_eq!(refusal(json!({})), None);
    assert_eq!(refusal(json!({ "type": null })), None, "text is the default");
    assert_eq!(refusal(json!({ "messaging_product": null })), Some(100));
    assert_eq!(refusal(json!({ "messaging_product": "sms" })), Some(131_009));
    assert_eq!(refusal(json!({ "to": null })), Some(100));
    assert_eq!(refusal(json!({ "to": 4_915_123_456_789_u64 })), Some(131_009));
    assert_eq!(refusal(json!({ "to": "0151234567" })), Some(131_009));
    assert_eq!(refusal(json!({ "to": "49 abc" })), Some(131_009));
    assert_eq!(refusal(json!({ "surprise": 1 })), Some(100));
    assert_eq!(refusal(json!({ "image": {} })), Some(100), "a second content object");
    assert_eq!(refusal(json!({ "type": "fax" })), Some(131_051));
    assert_eq!(refusal(json!({ "recipient_type": "group" })), Some(131_041));
    assert_eq!(refusal(json!({ "biz_opaque_callback_data": "x".repeat(512) })), None);
    assert_eq!(refusal(json!({ "biz_opaque_callback_data": "x".repeat(513) })), Some(131_009));
    assert_eq!(refusal(json!({ "context": { "message_id": "wamid.x" } })), None);
    assert_eq!(refusal(json!({ "context": {} })), Some(131_008));
}

#[test]
fn a_business_scoped_user_id_is_taken_in_recipient_and_told_apart_in_to() {
    let id = "US.13491208655302741918";
    assert_eq!(refusal(json!({ "to": null, "recipient": id })), None);
    assert_eq!(refusal(json!({ "to": null, "recipient": "US.ENT.1349" })), None);
    let mut body = base();
    body["to"] = id.into();
    let Ok(Request::Send(message)) = parse(Endpoint::Messages, body.to_string().as_bytes()) else {
        panic!("not a message")
    };
    assert_eq!(message.to, Recipient::Misaddressed(id.to_owned()));
    assert_eq!(refusal(json!({ "recipient": id })), Some(100), "both");
    assert_eq!(refusal(json!({ "to": null, "recipient": "4915123456789" })), Some(131_009));
}

#[test]
fn a_text_has_one_to_4096_characters_whatever_their_bytes() {
    assert_eq!(refusal(json!({ "text": { "body": "ü".repeat(4_096) } })), None);
    assert_eq!(refusal(json!({ "text": { "body": "ü".repeat(4_097) } })), Some(131_009));
    assert_eq!(refusal(json!({ "text": { "body": "" } })), Some(131_008));
    assert_eq!(refusal(json!({ "text": {} })), Some(131_008));
    assert_eq!(refusal(json!({ "text": { "body": "x", "preview_url": "yes" } })), Some(131_009));
}

#[test]
fn a_template_is_checked_down_to_its_parameters() {
    let template = |components: Value| {
        refusal(json!({ "type": "template", "text": null, "template": {
            "name": "hello", "language": { "code": "en_US" }, "components": components } }))
    };
    let body = |parameter: Value| template(json!([{ "type": "body", "parameters": [parameter] }]));
    assert_eq!(template(json!([])), None);
    assert_eq!(body(json!({ "type": "text", "text": "Ada" })), None);
    assert_eq!(body(json!({ "type": "text", "text": "" })), Some(131_008));
    assert_eq!(body(json!({ "type": "text", "text": true })), Some(131_009));
    assert_eq!(body(json!({ "type": "emoji", "emoji": "x" })), Some(132_012));
    assert_eq!(body(json!({ "type": "image", "image": { "id": "1", "link": "https://x" } })), Some(131_008));
    assert_eq!(template(json!([{ "type": "button", "sub_type": "URL", "index": 0 }])), None);
    assert_eq!(template(json!([{ "type": "button", "sub_type": "url" }])), Some(131_008));
    assert_eq!(template(json!([{ "type": "button", "sub_type": "bell", "index": "0" }])), Some(131_009));
    assert_eq!(template(json!([{ "type": "body" }, { "type": "body" }])), Some(100));
    assert_eq!(refusal(json!({ "type": "template", "text": null })), Some(131_008));
}

#[test]
fn media_locations_reactions_and_buttons_are_checked() {
    let of = |kind: &str, content: Value| refusal(json!({ "type": kind, "text": null, (kind): content }));
    assert_eq!(of("image", json!({ "link": "https://x", "caption": "c" })), None);
    assert_eq!(of("image", json!({})), Some(131_008));
    assert_eq!(of("image", json!({ "link": "ftp://x" })), Some(131_009));
    assert_eq!(of("sticker", json!({ "id": "1", "caption": "c" })), Some(100));
    assert_eq!(of("location", json!({ "latitude": "48.1", "longitude": 11.5 })), None);
    assert_eq!(of("location", json!({ "latitude": 48.1 })), Some(131_008));
    assert_eq!(of("reaction", json!({ "message_id": "wamid.x", "emoji": "" })), None);
    assert_eq!(of("contacts", json!([{ "name": { "formatted_name": "Ada" } }])), None);
    assert_eq!(of("contacts", json!([{ "name": {} }])), Some(131_008));
    let button = |n: usize| {
        let one =
            |n: usize| json!({ "type": "reply", "reply": { "id": n.to_string(), "title": n.to_string() } });
        let buttons: Vec<_> = (0..n).map(one).collect();
        of(
            "interactive",
            json!({ "type": "button", "body": { "text": "?" }, "action": { "buttons": buttons } }),
        )
    };
    assert_eq!((button(3), button(4), button(0)), (None, Some(131_009), Some(131_009)));
}

#[test]
fn a_read_receipt_is_told_apart_from_a_message() {
    let receipt = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x",
        "typing_indicator": { "type": "text" } });
    assert!(
        matches!(parse(Endpoint::Messages, receipt.to_string().as_bytes()), Ok(Request::Read { message_id }) if message_id == "wamid.x")
    );
    let wrong = json!({ "messaging_product": "whatsapp", "status": "seen", "message_id": "wamid.x" });
    assert_eq!(
        parse(Endpoint::Messages, wrong.to_string().as_bytes()).err().map(|refusal| refusal.code),
        Some(131_009)
    );
}

#[test]
fn bytes_that_are_no_object_are_refused() {
    for body in [&b""[..], b"{", b"[]", b"null", b"\xff"] {
        assert_eq!(parse(Endpoint::Messages, body).err().map(|refusal| refusal.code), Some(100));
    }
}

#[test]
fn a_fingerprint_sees_content_and_recipient_but_no_callback_data_and_no_key_order() {
    let print = |body: &str| match parse(Endpoint::Messages, body.as_bytes()) {
        Ok(Request::Send(message)) => message.fingerprint("1"),
        other => panic!("{other:?}"),
    };
    let one =
        r#"{"messaging_product":"whatsapp","to":"4915123456789","text":{"body":"a","preview_url":true}}"#;
    let same = r#"{"text":{"preview_url":true,"body":"a"},"to":"+49 15123456789","messaging_product":"whatsapp","biz_opaque_callback_data":"2"}"#;
    let other_text = one.replace("\"a\"", "\"b\"");
    let other_user = one.replace("6789", "6788");
    assert_eq!(print(one), print(same));
    assert_ne!(print(one), print(&other_text));
    assert_ne!(print(one), print(&other_user));
}
