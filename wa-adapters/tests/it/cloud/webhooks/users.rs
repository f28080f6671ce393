//! What users do besides writing: new addresses, new devices, their will about marketing.

use serde_json::{Value, json};
use wa_core::model::{
    Bsuid, IdentityChange, InboundEvent, Phone, Preference, PreferenceChoice, Recipient, UserChange,
    UserChangeKind,
};

use super::{NUMBER, at, event, messages, parse, unknown};

fn recipient(phone: Option<&str>, user: Option<&str>) -> Recipient {
    let phone = phone.map(|phone| Phone::from_digits(phone).expect("a phone"));
    let user = user.map(|user| user.parse::<Bsuid>().expect("a user id"));
    Recipient::new(phone, user).expect("an address")
}

fn note(mut item: Value) -> InboundEvent {
    item["id"] = json!("wamid.S");
    item["timestamp"] = json!("1750269342");
    item["type"] = json!("system");
    match <[InboundEvent; 1]>::try_from(parse(&messages(json!({"messages": [item]})))) {
        Ok([event]) => event,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_user_who_changes_the_number_or_the_id_is_told_from_old_to_new() {
    let check = |item: Value, change: UserChangeKind, old: Recipient, new: Recipient| {
        let expected = UserChange {
            number: NUMBER.parse().expect("a number"),
            provider_id: "wamid.S".to_owned(),
            at: at(1_750_269_342),
            change,
            old,
            new,
        };
        assert_eq!(note(item), InboundEvent::UserChanged(expected));
    };
    let (old, new) = (Some("16505551234"), Some("12195555358"));
    check(
        json!({"from": "16505551234", "system": {"type": "user_changed_number", "wa_id": "12195555358"}}),
        UserChangeKind::Number,
        recipient(old, None),
        recipient(new, None),
    );
    check(
        json!({"from": "16505551234", "from_user_id": "US.1",
            "system": {"type": "user_changed_number", "wa_id": "12195555358", "user_id": "US.2"}}),
        UserChangeKind::Number,
        recipient(old, Some("US.1")),
        recipient(new, Some("US.2")),
    );
    check(
        json!({"from_user_id": "US.2",
            "system": {"type": "user_changed_user_id", "previous_user_id": "US.1", "user_id": "US.2"}}),
        UserChangeKind::UserId,
        recipient(None, Some("US.1")),
        recipient(None, Some("US.2")),
    );
    check(
        json!({"from": "16505551234",
            "system": {"type": "user_changed_user_id", "user_id": "US.2", "wa_id": "16505551234"}}),
        UserChangeKind::UserId,
        recipient(old, None),
        recipient(old, Some("US.2")),
    );
}

#[test]
fn a_change_without_both_sides_changes_nobody() {
    for system in [
        json!({"type": "user_changed_number"}),
        json!({"type": "user_changed_number", "wa_id": "16505551234"}),
        json!({"type": "user_changed_number", "wa_id": "nobody"}),
    ] {
        let got = note(json!({"from": "16505551234", "system": system}));
        assert_eq!(got, unknown("messages.message.system.user_changed_number"), "{system}");
    }
    let got =
        note(json!({"from_user_id": "US.2", "system": {"type": "user_changed_user_id", "user_id": "US.2"}}));
    assert_eq!(got, unknown("messages.message.system.user_changed_user_id"));
    assert_eq!(
        note(json!({"from": "16505551234", "system": {"type": "new_one"}})),
        unknown("messages.message.system.new_one")
    );
}

#[test]
fn a_new_device_is_told_with_what_stands_for_it() {
    let expected = IdentityChange {
        number: NUMBER.parse().expect("a number"),
        provider_id: "wamid.S".to_owned(),
        from: recipient(Some("16505551234"), None),
        at: at(1_750_269_342),
        hash: Some("xyzxyz".to_owned()),
    };
    let item = json!({
        "from": "16505551234", "identity": {"acknowledged": true, "hash": "xyzxyz"},
        "system": {"type": "customer_identity_changed"},
    });
    assert_eq!(note(item), InboundEvent::IdentityChanged(expected));
}

fn preference(item: Value) -> InboundEvent {
    let metadata = json!({"display_phone_number": "15550783881", "phone_number_id": NUMBER});
    event("user_preferences", json!({"metadata": metadata, "user_preferences": [item]}))
}

#[test]
fn the_will_about_marketing_is_read_for_phones_and_for_user_ids() {
    let check = |item: Value, recipient: Recipient, choice: PreferenceChoice| {
        let expected = Preference {
            number: NUMBER.parse().expect("a number"),
            recipient,
            at: at(1_731_705_721),
            category: Some("marketing_messages".to_owned()),
            choice,
        };
        assert_eq!(preference(item), InboundEvent::Preference(expected));
    };
    let item = |value: &str| json!({"wa_id": "16505551234", "category": "marketing_messages", "value": value, "timestamp": 1_731_705_721});
    let phone = || recipient(Some("16505551234"), None);
    check(item("stop"), phone(), PreferenceChoice::Stop);
    check(item("resume"), phone(), PreferenceChoice::Resume);
    check(item("signup"), phone(), PreferenceChoice::Signup);
    check(item("later"), phone(), PreferenceChoice::Other("later".to_owned()));
    let mut hidden = item("stop");
    hidden["wa_id"] = json!("");
    hidden["user_id"] = json!("US.1");
    hidden["timestamp"] = json!("1731705721");
    check(hidden, recipient(None, Some("US.1")), PreferenceChoice::Stop);
}

#[test]
fn the_will_of_nobody_is_nobodys() {
    let metadata = json!({"phone_number_id": NUMBER});
    let value = json!({
        "metadata": metadata, "contacts": [{"wa_id": "16505551234"}], "user_preferences": [{"value": "stop"}],
    });
    assert_eq!(event("user_preferences", value), unknown("user_preferences.user_preference"));
}
