use serde_json::{Value, json};

use super::*;
use crate::model::interactive::{Action, Header, ReplyButton};
use crate::model::{CampaignContent, ProviderMessageId};

fn link() -> MediaRef {
    MediaRef::link("https://example.org/a.jpg")
}

fn wamid() -> ProviderMessageId {
    "wamid.HBgLMTU1NTAwMDAwMDE=".parse().expect("an id")
}

fn one_of_each() -> Vec<Content> {
    let card = ContactCard {
        name: CardName { formatted_name: "Ada {{name}}".to_owned(), ..CardName::default() },
        ..ContactCard::default()
    };
    let buttons = Action::Buttons(vec![ReplyButton::new("{{code}}", "Yes")]);
    vec![
        Content::text("Hello {{name}}").expect("a text"),
        Media::new(MediaKind::Image, link())
            .and_then(|it| it.with_caption("For {{name}}"))
            .expect("one")
            .into(),
        Location::new("1", "2").and_then(|it| it.with_name("At {{name}}'s")).expect("a place").into(),
        ContactCards::new(vec![card]).expect("cards").into(),
        Interactive::builder(buttons)
            .header(Header::text("{{name}}"))
            .body("{{name}}?")
            .footer("to {{name}}")
            .build()
            .expect("a message")
            .into(),
        Reaction::set(wamid(), "👍").expect("a reaction").into(),
    ]
}

#[test]
fn everything_but_a_template_needs_a_window_and_is_a_service_message() {
    for content in one_of_each() {
        assert!(content.needs_window(), "{content:?}");
        assert_eq!(content.category(), Category::Service, "{content:?}");
        assert!(content.validate().is_ok(), "{content:?}");
        assert_eq!(content.may_quote(), content.kind() != ContentKind::Reaction, "{content:?}");
    }
}

#[test]
fn content_is_stored_and_read_back_the_same() {
    for content in one_of_each() {
        let json = serde_json::to_string(&content).expect("JSON");
        assert_eq!(serde_json::from_str::<Content>(&json).expect("content"), content, "{json}");
    }
}

#[test]
fn stored_content_is_checked_again() {
    let refused = [
        json!({"media": {"kind": "image", "source": {"link": "ftp://example.org"}}}),
        json!({"media": {"kind": "sticker", "source": {"id": "1"}, "caption": "no"}}),
        json!({"location": {"latitude": "91", "longitude": "0"}}),
        json!({"contacts": []}),
        json!({"contacts": [{"name": {"formatted_name": " "}}]}),
        json!({"reaction": {"message_id": "", "emoji": "👍"}}),
        json!({"reaction": {"message_id": "wamid.1", "emoji": "ok"}}),
        json!({"interactive": {"body": "b", "action": {"buttons": []}}}),
        json!({"interactive": {"action": {"buttons": [{"id": "1", "title": "Yes"}]}}}),
    ];
    for stored in refused {
        assert!(serde_json::from_value::<Content>(stored.clone()).is_err(), "{stored}");
    }
}

#[test]
fn debug_shows_the_kind_and_nothing_that_is_said() {
    for content in one_of_each() {
        let shown = format!("{content:?}");
        for said in ["Ada", "name", "example.org", "wamid", "👍"] {
            assert!(!shown.contains(said), "{shown}");
        }
    }
    let builder = Interactive::builder(Action::Buttons(Vec::new())).body("secret");
    assert!(!format!("{builder:?}").contains("secret"));
}

#[test]
fn placeholders_are_filled_in_every_kind() {
    for content in one_of_each() {
        let written = serde_json::to_string(&content).expect("JSON").matches("{{name}}").count();
        let pattern = CampaignContent::new(content);
        let values: Vec<_> = pattern.columns().iter().map(|column| format!("<{column}>")).collect();
        let filled = pattern.fill(&values).expect("content");
        let json = serde_json::to_string(&filled).expect("JSON");
        assert!(!json.contains("{{"), "{json}");
        assert_eq!(json.matches("<name>").count(), written, "{json}");
    }
}

#[test]
fn a_value_that_breaks_a_limit_is_told_with_its_place() {
    let buttons = Action::Buttons(vec![ReplyButton::new("1", "{{choice}}")]);
    let message = Interactive::builder(buttons).body("Which?").build().expect("a message");
    let pattern = CampaignContent::new(message.into());
    let refused = pattern.fill(&["x".repeat(21)]).expect_err("a title of 21 characters");
    assert_eq!(refused.to_string(), "action.buttons[0].title has 21 characters; at most 20 are allowed");
}

#[test]
fn media_take_what_their_kind_has_and_nothing_else() {
    let (caption, filename) = (|it: Media| it.with_caption("c"), |it: Media| it.with_filename("f.pdf"));
    for (kind, has_caption, has_filename, has_voice) in [
        (MediaKind::Image, true, false, false),
        (MediaKind::Video, true, false, false),
        (MediaKind::Audio, false, false, true),
        (MediaKind::Document, true, true, false),
        (MediaKind::Sticker, false, false, false),
    ] {
        let media = || Media::new(kind, link()).expect("a medium");
        assert_eq!(caption(media()).is_ok(), has_caption, "{kind:?}");
        assert_eq!(filename(media()).is_ok(), has_filename, "{kind:?}");
        assert_eq!(media().as_voice().is_ok(), has_voice, "{kind:?}");
    }
    let image = || Media::new(MediaKind::Image, link()).expect("an image");
    assert!(image().with_caption("ä".repeat(1_024)).is_ok());
    let long = image().with_caption("ä".repeat(1_025)).expect_err("too long");
    assert_eq!((long.place(), long.flaw()), ("image.caption", &Flaw::TooLong { chars: 1_025, most: 1_024 }));
    for bad in ["", "example.org/a.jpg", "https://", "https://a b"] {
        assert!(Media::new(MediaKind::Image, MediaRef::link(bad)).is_err(), "{bad}");
    }
}

#[test]
fn cards_are_refused_with_the_place_of_what_is_wrong() {
    let check = |change: fn(&mut ContactCard), place: &str| {
        let mut card = ContactCard {
            name: CardName { formatted_name: "Ada".to_owned(), ..CardName::default() },
            ..ContactCard::default()
        };
        change(&mut card);
        let refused = ContactCards::new(vec![card]).expect_err(place);
        assert_eq!(refused.place(), place);
    };
    check(|card| card.name.formatted_name.clear(), "contacts[0].name.formatted_name");
    check(|card| card.name.prefix = Some(" ".to_owned()), "contacts[0].name.prefix");
    check(|card| card.phones.push(CardPhone::default()), "contacts[0].phones[0]");
    check(
        |card| card.emails.push(CardEmail { email: "ada".to_owned(), kind: None }),
        "contacts[0].emails[0].email",
    );
    check(|card| card.addresses.push(CardAddress::default()), "contacts[0].addresses[0]");
    check(|card| card.org = Some(CardOrg::default()), "contacts[0].org");
    check(|card| card.urls.push(CardUrl::default()), "contacts[0].urls[0].url");
    assert!(ContactCards::new(Vec::new()).is_err());
}

#[test]
fn a_json_object_is_bounded_and_no_other_json() {
    assert!(JsonObject::try_from(json!({"a": "x".repeat(16_000)})).is_ok());
    for bad in [json!({"a": "x".repeat(17_000)}), json!({}), json!([1]), Value::Null] {
        assert!(JsonObject::try_from(bad).is_err());
    }
}
