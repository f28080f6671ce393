//! Statuses: facts, instants, tags, recipients, conversations, prices.

use serde_json::{Value, json};
use wa_core::model::{
    Bsuid, Category, ChargedCategory, Fact, FailureCode, Phone, PricingKind, Recipient, RejectClass,
    StatusUpdate, WebhookConversation, WebhookPricing, from_micros,
};

use super::{NUMBER, at, received_at, status};

fn both(phone: &str, user: &str) -> Recipient {
    let user: Bsuid = user.parse().expect("a user id");
    Recipient::new(Some(Phone::from_digits(phone).expect("a phone")), Some(user)).expect("two addresses")
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
            recipient: Some(both("15550000001", "US.1")),
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
fn a_failed_status_keeps_what_the_provider_adds() {
    let details = |error: Value| {
        status(json!({"id": "wamid.A", "status": "failed", "timestamp": "1", "errors": [error]}))
            .failure_details
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(details(json!({"code": 1, "title": "t", "error_data": {"details": "why"}})), some("why"));
    assert_eq!(details(json!({"code": 1, "title": "t", "error_data": "why"})), some("why"));
    assert_eq!(details(json!({"code": 1, "title": "t", "message": "more"})), some("more"));
    assert_eq!(details(json!({"code": 1, "title": "t", "message": "t"})), None);
    let long = "x".repeat(5_000);
    assert_eq!(details(json!({"code": 1, "error_data": {"details": long}})), some(&"x".repeat(1_024)));
    let sent = status(json!({"id": "wamid.A", "status": "sent", "errors": [{"code": 1, "details": "why"}]}));
    assert_eq!(sent.failure_details, None, "a status that is no failure");
    let title = |error: Value| {
        status(json!({"id": "wamid.A", "status": "failed", "timestamp": "1", "errors": [error]}))
            .failure_title
    };
    assert_eq!(
        title(json!({"code": 130_472, "title": "User's number is part"})),
        some("User's number is part")
    );
    assert_eq!(title(json!({"code": 130_472, "message": "part"})), some("part"));
    assert_eq!(title(json!({"code": 130_472})), None);
}

#[test]
fn a_status_names_its_recipient_by_whatever_is_known() {
    let recipient = |mut item: Value| {
        item["id"] = json!("wamid.A");
        item["status"] = json!("read");
        let update = status(item);
        (update.recipient, update.group)
    };
    let phone = Phone::from_digits("16505551234").expect("a phone");
    let user: Bsuid = "US.123456".parse().expect("a user id");
    assert_eq!(recipient(json!({})), (None, None));
    assert_eq!(recipient(json!({"recipient_id": ""})), (None, None));
    assert_eq!(recipient(json!({"recipient_id": "16505551234"})), (Some(phone.into()), None));
    assert_eq!(recipient(json!({"recipient_id": 16_505_551_234_u64})), (Some(phone.into()), None));
    assert_eq!(recipient(json!({"recipient_id": "+1 (650) 555-1234"})), (Some(phone.into()), None));
    assert_eq!(recipient(json!({"recipient_user_id": "US.123456"})), (Some(user.clone().into()), None));
    let group = Some("Y2FwaV9ncm91cA".to_owned());
    let member = json!({
        "recipient_type": "group", "recipient_id": "Y2FwaV9ncm91cA",
        "recipient_participant_id": "16505551234", "recipient_participant_user_id": "US.123456",
    });
    assert_eq!(recipient(member), (Some(both("16505551234", "US.123456")), group.clone()));
    assert_eq!(
        recipient(json!({"recipient_type": "group", "recipient_id": "Y2FwaV9ncm91cA"})),
        (None, group)
    );
}

#[test]
fn a_conversation_says_what_opened_it_and_when_it_ends() {
    let conversation =
        |value: Value| status(json!({"id": "wamid.A", "status": "sent", "conversation": value})).conversation;
    let entry_point = json!({
        "id": "7270432eae37498234f4444b35ffc5", "expiration_timestamp": "1698339900",
        "origin": {"type": "referral_conversion"},
    });
    let expected = WebhookConversation {
        id: Some("7270432eae37498234f4444b35ffc5".to_owned()),
        origin: Some(ChargedCategory::ReferralConversion),
        expires_at: Some(at(1_698_339_900)),
    };
    assert_eq!(conversation(entry_point), Some(expected));
    let bare = WebhookConversation { id: Some("7".to_owned()), ..WebhookConversation::default() };
    assert_eq!(conversation(json!({"id": 7, "expiration_timestamp": -1})), Some(bare));
    for none in [json!({}), json!(null), json!("x"), json!({"origin": "service"})] {
        assert_eq!(conversation(none), None);
    }
}

#[test]
fn pricing_is_read_in_its_old_and_new_forms() {
    let pricing = |value: Value| status(json!({"id": "wamid.A", "status": "sent", "pricing": value})).pricing;
    let check = |value: Value, expected: WebhookPricing| {
        assert_eq!(pricing(value.clone()), Some(expected), "{value}");
    };
    let none = WebhookPricing::default;
    check(
        json!({"billable": true, "pricing_model": "CBP", "category": "service"}),
        WebhookPricing {
            billable: Some(true),
            model: Some("CBP".to_owned()),
            category: Some(ChargedCategory::Service),
            ..none()
        },
    );
    for (kind, expected) in [
        ("regular", PricingKind::Regular),
        ("free_customer_service", PricingKind::FreeCustomerService),
        ("free_entry_point", PricingKind::FreeEntryPoint),
        ("free_group_customer_service", PricingKind::FreeGroupCustomerService),
        ("half_price", PricingKind::Other("half_price".to_owned())),
    ] {
        check(json!({"type": kind}), WebhookPricing { kind: Some(expected), ..none() });
    }
    for (category, expected, ours) in [
        ("marketing", ChargedCategory::Marketing, Some(Category::Marketing)),
        ("MARKETING_LITE", ChargedCategory::MarketingLite, Some(Category::Marketing)),
        ("utility", ChargedCategory::Utility, Some(Category::Utility)),
        ("authentication", ChargedCategory::Authentication, Some(Category::Authentication)),
        (
            "authentication-international",
            ChargedCategory::AuthenticationInternational,
            Some(Category::Authentication),
        ),
        ("service", ChargedCategory::Service, Some(Category::Service)),
        ("referral_conversion", ChargedCategory::ReferralConversion, None),
        ("group_marketing", ChargedCategory::Other("group_marketing".to_owned()), None),
    ] {
        assert_eq!(expected.category(), ours);
        check(json!({"category": category}), WebhookPricing { category: Some(expected), ..none() });
    }
    check(
        json!({"billable": "false", "pricing_model": "PMP", "type": "regular", "category": "utility", "subtype": "paid_exempt"}),
        WebhookPricing {
            billable: Some(false),
            model: Some("PMP".to_owned()),
            kind: Some(PricingKind::Regular),
            category: Some(ChargedCategory::Utility),
            subtype: Some("paid_exempt".to_owned()),
        },
    );
    check(json!({"billable": "yes", "category": 7, "type": {}}), none());
    assert_eq!(pricing(json!("free")), None);
    let kept = pricing(json!({"type": "free_entry_point", "category": "marketing_lite"})).expect("a price");
    let written = serde_json::to_value(&kept).expect("JSON");
    assert_eq!(written["category"], "marketing_lite");
    assert_eq!(serde_json::from_value::<WebhookPricing>(written).expect("read back"), kept);
}
