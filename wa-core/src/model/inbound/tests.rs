//! What is read can be stored and read back, and no `Debug` shows what people wrote.

use super::*;
use crate::model::{Phone, Recipient, from_micros};

const SECRET: &str = "what nobody may read in a log";

fn bodies() -> Vec<InboundBody> {
    let text = || SECRET.to_owned();
    let json = || JsonText::new(format!("[\"{SECRET}\"]"));
    let media = || InboundMedia {
        id: text(),
        mime_type: Some("image/jpeg".to_owned()),
        sha256: Some(text()),
        url: Some(text()),
        caption: Some(text()),
        filename: Some(text()),
        animated: true,
    };
    let place = InboundLocation {
        latitude: text(),
        longitude: text(),
        name: Some(text()),
        address: Some(text()),
        url: Some(text()),
    };
    vec![
        InboundBody::text(SECRET),
        InboundBody::Image(media()),
        InboundBody::Video(media()),
        InboundBody::Audio(media()),
        InboundBody::Voice(media()),
        InboundBody::Document(media()),
        InboundBody::Sticker(media()),
        InboundBody::Location(place),
        InboundBody::Contacts { cards: json() },
        InboundBody::Reaction { target: text(), emoji: Some(text()) },
        InboundBody::Button { text: text(), payload: Some(text()) },
        InboundBody::InteractiveButton { id: text(), title: text() },
        InboundBody::InteractiveList { id: text(), title: text(), description: Some(text()) },
        InboundBody::Flow { name: Some(text()), body: Some(text()), response: json() },
        InboundBody::CallPermissionReply { granted: true, expires_at: None, source: Some(text()) },
        InboundBody::Call,
        InboundBody::Order { catalog: Some(text()), text: Some(text()), items: json() },
        InboundBody::Edit { target: text(), body: Box::new(InboundBody::Image(media())) },
        InboundBody::Revoke { target: text() },
        InboundBody::Unsupported { name: Some(text()), code: Some(1), title: Some(text()) },
        InboundBody::Other { name: text() },
    ]
}

#[test]
fn every_kind_has_a_body_that_can_be_stored_and_read_back() {
    let bodies = bodies();
    let kinds: Vec<InboundKind> = bodies.iter().map(InboundBody::kind).collect();
    assert_eq!(kinds, InboundKind::ALL);
    for body in bodies {
        let written = serde_json::to_value(&body).expect("JSON");
        assert_eq!(written["kind"], body.kind().as_str());
        assert_eq!(InboundKind::from_name(body.kind().as_str()), Some(body.kind()));
        assert!(serde_json::from_value::<InboundBody>(written).expect("read back") == body);
    }
}

#[test]
fn no_debug_shows_what_people_wrote() {
    let phone = Phone::from_digits("16505551234").expect("a phone");
    let number = || "1".parse().expect("a number");
    let at = from_micros(0);
    for body in bodies() {
        let mut message = InboundMessage::new(number(), "wamid.1", phone, at, body.clone());
        message.profile_name = Some(SECRET.to_owned());
        message.username = Some(SECRET.to_owned());
        let to = Some(Recipient::from(phone));
        let echo = Echo { number: number(), provider_id: "wamid.2".to_owned(), to, at, body: body.clone() };
        for shown in [
            format!("{body:?}"),
            format!("{:?}", InboundEvent::Message(message)),
            format!("{:?}", InboundEvent::Echo(echo)),
        ] {
            assert!(!shown.contains(SECRET) && !shown.contains("16505551234"), "{shown}");
        }
    }
    let named = NamedEvent {
        field: "history".to_owned(),
        number: None,
        account: "1".to_owned(),
        content: Some(JsonText::new(format!("\"{SECRET}\""))),
        at,
    };
    assert!(!format!("{:?}", InboundEvent::History(named)).contains(SECRET));
}

#[test]
fn names_that_may_grow_keep_what_they_do_not_know() {
    for known in ChargedCategory::KNOWN {
        assert_eq!(ChargedCategory::from(known.as_str()), *known);
    }
    for known in TemplateEvent::KNOWN {
        assert_eq!(TemplateEvent::from(known.as_str()), *known);
    }
    let other = PricingKind::from("half_price");
    assert_eq!(other, PricingKind::Other("half_price".to_owned()));
    assert_eq!(serde_json::to_value(&other).expect("JSON"), "half_price");
    assert_eq!(serde_json::from_str::<PricingKind>("\"regular\"").expect("read"), PricingKind::Regular);
}

#[test]
fn only_messages_to_the_number_alone_open_a_window() {
    let phone = Phone::from_digits("16505551234").expect("a phone");
    for body in bodies() {
        let kind = body.kind();
        let number = "1".parse().expect("a number");
        let mut message = InboundMessage::new(number, "wamid.1", phone, from_micros(0), body);
        assert_eq!(message.opens_window(), !matches!(kind, InboundKind::Edit | InboundKind::Revoke));
        message.group = Some("a group".to_owned());
        assert!(!message.opens_window());
    }
}
