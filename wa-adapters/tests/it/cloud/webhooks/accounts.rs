//! What a provider decides about templates, numbers and accounts.

use serde_json::{Value, json};
use wa_core::model::{
    AccountAlert, AccountChange, AccountReview, AccountUpdate, BanState, BusinessCapability, Category,
    ChargedCategory, Decision, InboundEvent, JsonText, NumberEvent, NumberName, NumberQuality, PartnerChange,
    Phone, PricingTier, Quality, Restriction, RestrictionKind, SecurityEvent, SecurityKind,
    TemplateCategoryChange, TemplateComponents, TemplateEvent, TemplateQuality, TemplateRef, TemplateStatus,
    Tier,
};

use super::{at, entry_at, event, unknown};

const ACCOUNT: &str = "102290129340398";

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn own_phone() -> Option<Phone> {
    Phone::from_digits("15550783881").ok()
}

fn with(mut value: Value, more: &Value) -> Value {
    for (key, inner) in more.as_object().expect("an object") {
        value[key] = inner.clone();
    }
    value
}

fn of_template(more: Value) -> Value {
    let template = json!({
        "message_template_id": 1_689_556_908_129_832_u64, "message_template_name": "order_confirmation",
        "message_template_language": "en_US",
    });
    with(template, &more)
}

fn template() -> TemplateRef {
    TemplateRef {
        id: some("1689556908129832"),
        name: "order_confirmation".parse().ok(),
        language: "en_US".parse().ok(),
    }
}

#[test]
fn every_event_of_a_template_is_named() {
    let plain = |event: TemplateEvent| TemplateStatus {
        account: ACCOUNT.to_owned(),
        template: template(),
        category: None,
        event,
        reason: None,
        title: None,
        description: None,
        recommendation: None,
        disable_date: None,
        at: entry_at(),
    };
    let check = |value: Value, expected: TemplateStatus| {
        let got = event("message_template_status_update", of_template(value));
        assert_eq!(got, InboundEvent::TemplateStatus(expected));
    };
    for known in TemplateEvent::KNOWN {
        check(json!({"event": known.as_str().to_ascii_uppercase(), "reason": "NONE"}), plain(known.clone()));
    }
    check(json!({"event": "SHINY"}), plain(TemplateEvent::Other("shiny".to_owned())));
    check(
        json!({"event": "PAUSED", "reason": null, "other_info": {"title": "FIRST_PAUSE", "description": "3 hours"}}),
        TemplateStatus {
            title: some("FIRST_PAUSE"),
            description: some("3 hours"),
            ..plain(TemplateEvent::Paused)
        },
    );
    check(
        json!({"event": "DISABLED", "disable_info": {"disable_date": "July 1, 2026"}}),
        TemplateStatus { disable_date: some("July 1, 2026"), ..plain(TemplateEvent::Disabled) },
    );
    check(
        json!({"event": "REJECTED", "reason": "INVALID_FORMAT", "message_template_category": "MARKETING",
            "rejection_info": {"reason": "side by side", "recommendation": "separate them"}}),
        TemplateStatus {
            category: Some(Category::Marketing),
            reason: some("INVALID_FORMAT"),
            description: some("side by side"),
            recommendation: some("separate them"),
            ..plain(TemplateEvent::Rejected)
        },
    );
}

#[test]
fn the_quality_and_the_parts_of_a_template_are_read() {
    let value = of_template(json!({"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"}));
    let expected = TemplateQuality {
        account: ACCOUNT.to_owned(),
        template: template(),
        previous: Some(Quality::Green),
        new: Quality::Yellow,
        at: entry_at(),
    };
    assert_eq!(event("message_template_quality_update", value), InboundEvent::TemplateQuality(expected));
    let value = of_template(json!({
        "message_template_title": "Hi", "message_template_element": "Hi {{1}}", "message_template_footer": "Bye",
        "message_template_buttons": [{"message_template_button_type": "URL"}],
    }));
    let expected = TemplateComponents {
        account: ACCOUNT.to_owned(),
        template: template(),
        title: some("Hi"),
        body: some("Hi {{1}}"),
        footer: some("Bye"),
        buttons: Some(JsonText::new(r#"[{"message_template_button_type":"URL"}]"#.to_owned())),
        at: entry_at(),
    };
    assert_eq!(
        event("message_template_components_update", value),
        InboundEvent::TemplateComponents(expected)
    );
}

#[test]
fn an_announced_category_is_told_from_one_that_holds() {
    let check = |value: Value, from: Option<Category>, to: Category, is_final: bool, effective_at| {
        let (account, template, at) = (ACCOUNT.to_owned(), template(), entry_at());
        let expected = TemplateCategoryChange { account, template, from, to, is_final, effective_at, at };
        let got = event("template_category_update", of_template(value));
        assert_eq!(got, InboundEvent::TemplateCategory(expected));
    };
    check(
        json!({"correct_category": "MARKETING", "new_category": "UTILITY", "category_update_timestamp": 1_746_169_200}),
        Some(Category::Utility),
        Category::Marketing,
        false,
        Some(at(1_746_169_200)),
    );
    check(
        json!({"previous_category": "UTILITY", "new_category": "MARKETING"}),
        Some(Category::Utility),
        Category::Marketing,
        true,
        None,
    );
    check(json!({"new_category": "MARKETING"}), None, Category::Marketing, true, None);
    let odd = of_template(json!({"new_category": "SHINY"}));
    assert_eq!(event("template_category_update", odd), unknown("template_category_update"));
}

#[test]
fn a_template_is_known_under_any_name_of_the_change() {
    let value = || of_template(json!({"event": "PAUSED"}));
    let expected = event("message_template_status_update", value());
    for field in ["account_update", "phone_number_quality_update", "security", "brand_new"] {
        assert_eq!(event(field, value()), expected, "{field}");
    }
}

#[test]
fn limits_are_read_as_names_and_as_numbers() {
    let limit = |value: Value| match event(
        "business_capability_update",
        json!({"max_daily_conversations_per_business": value, "max_phone_numbers_per_business": 20}),
    ) {
        InboundEvent::BusinessCapability(it) => it.business_limit,
        other => panic!("{other:?}"),
    };
    for (value, expected) in [
        (json!("TIER_50"), Some(Tier::Limited(50))),
        (json!("TIER_250"), Some(Tier::Limited(250))),
        (json!("TIER_1K"), Some(Tier::Limited(1_000))),
        (json!("TIER_2K"), Some(Tier::Limited(2_000))),
        (json!("TIER_10K"), Some(Tier::Limited(10_000))),
        (json!("TIER_100K"), Some(Tier::Limited(100_000))),
        (json!("TIER_UNLIMITED"), Some(Tier::Unlimited)),
        (json!("TIER_NOT_SET"), None),
        (json!(2_000), Some(Tier::Limited(2_000))),
        (json!("2000"), Some(Tier::Limited(2_000))),
        (json!(-1), Some(Tier::Unlimited)),
        (json!("-1"), Some(Tier::Unlimited)),
        (json!(0), None),
        (json!(-2), None),
        (json!(1e99), None),
        (Value::Null, None),
    ] {
        assert_eq!(limit(value.clone()), expected, "{value}");
    }
    let value = json!({"max_daily_conversation_per_phone": 1_000, "max_phone_numbers_per_waba": "25"});
    let expected = BusinessCapability {
        account: ACCOUNT.to_owned(),
        business_limit: Some(Tier::Limited(1_000)),
        max_numbers: None,
        max_numbers_of_account: Some(25),
        at: entry_at(),
    };
    assert_eq!(event("business_capability_update", value), InboundEvent::BusinessCapability(expected));
    assert_eq!(event("business_capability_update", json!({})), unknown("business_capability_update"));
}

#[test]
fn what_happens_to_a_number_is_read() {
    let plain = |event: NumberEvent| NumberQuality {
        account: ACCOUNT.to_owned(),
        display_phone_number: own_phone(),
        event,
        current_limit: None,
        old_limit: None,
        business_limit: None,
        at: entry_at(),
    };
    for known in NumberEvent::KNOWN {
        let name = known.as_str().to_ascii_uppercase();
        let value = json!({"display_phone_number": "+1 555-078-3881", "event": name, "current_limit": "TIER_NOT_SET"});
        let got = event("phone_number_quality_update", value);
        assert_eq!(got, InboundEvent::NumberQuality(plain(known.clone())));
    }
    let value = json!({
        "display_phone_number": "15550783881", "event": "DOWNGRADE", "current_limit": "TIER_250",
        "old_limit": "TIER_2K", "max_daily_conversations_per_business": 250,
    });
    let expected = NumberQuality {
        current_limit: Some(Tier::Limited(250)),
        old_limit: Some(Tier::Limited(2_000)),
        business_limit: Some(Tier::Limited(250)),
        ..plain(NumberEvent::Downgrade)
    };
    assert_eq!(event("phone_number_quality_update", value), InboundEvent::NumberQuality(expected));

    let value = json!({
        "display_phone_number": "15550783881", "decision": "DECLINED",
        "requested_verified_name": "Lucky Shrub", "rejection_reason": "NAME_VIOLATES",
    });
    let expected = NumberName {
        account: ACCOUNT.to_owned(),
        display_phone_number: own_phone(),
        decision: Decision::Rejected,
        requested_name: some("Lucky Shrub"),
        reason: some("NAME_VIOLATES"),
        at: entry_at(),
    };
    assert_eq!(event("phone_number_name_update", value), InboundEvent::NumberName(expected));

    let value =
        json!({"display_phone_number": "15550783881", "event": "PIN_RESET_REQUEST", "requester": "6145"});
    let expected = SecurityEvent {
        account: ACCOUNT.to_owned(),
        display_phone_number: own_phone(),
        event: SecurityKind::PinResetRequest,
        requester: some("6145"),
        at: entry_at(),
    };
    assert_eq!(event("security", value), InboundEvent::Security(expected));
}

#[test]
fn everything_that_happens_to_an_account_is_read() {
    let check = |value: Value, change: AccountChange| {
        let expected = AccountUpdate {
            account: ACCOUNT.to_owned(),
            display_phone_number: None,
            name: value["event"].as_str().expect("a name").to_owned(),
            change,
            at: entry_at(),
        };
        assert_eq!(event("account_update", value), InboundEvent::Account(expected));
    };
    check(
        json!({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}}),
        AccountChange::Violation { policy: some("ADULT") },
    );
    let restriction = |kind, until| Restriction { kind, until };
    check(
        json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [
            {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1_641_330_498},
            {"restriction_type": "RESTRICTED_CUSTOMER_INITIATED_MESSAGING", "expiration": "1641330498"},
            {"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"},
            7,
        ]}),
        AccountChange::Restriction {
            restrictions: vec![
                restriction(RestrictionKind::BusinessInitiated, Some(at(1_641_330_498))),
                restriction(RestrictionKind::CustomerInitiated, Some(at(1_641_330_498))),
                restriction(RestrictionKind::AddNumbers, None),
            ],
        },
    );
    for (state, expected) in [
        (json!("DISABLE"), BanState::Disable),
        (json!("REINSTATE"), BanState::Reinstate),
        (json!(["SCHEDULE_FOR_DISABLE"]), BanState::ScheduleForDisable),
    ] {
        check(
            json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state, "waba_ban_date": "April 17, 2025"}}),
            AccountChange::Ban { state: expected, date: some("April 17, 2025") },
        );
    }
    check(json!({"event": "ACCOUNT_DELETED"}), AccountChange::Deleted);
    check(json!({"event": "ACCOUNT_OFFBOARDED"}), AccountChange::Offboarded);
    check(json!({"event": "ACCOUNT_RECONNECTED"}), AccountChange::Reconnected);
    check(
        json!({"event": "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE", "partner_client_certification_info":
            {"client_business_id": "27", "status": "APPROVED", "rejection_reasons": ["NONE"]}}),
        AccountChange::Certification {
            business: some("27"),
            decision: Some(Decision::Approved),
            reasons: Vec::new(),
        },
    );
    check(
        json!({"event": "VOLUME_BASED_PRICING_TIER_UPDATE", "volume_tier_info": {
            "tier_update_time": 1_743_451_903, "pricing_category": "UTILITY", "tier": "25000001:50000000",
            "effective_month": "2025-11", "region": "India"}}),
        AccountChange::PricingTier(PricingTier {
            category: Some(ChargedCategory::Utility),
            from: Some(25_000_001),
            to: Some(50_000_000),
            region: some("India"),
            month: some("2025-11"),
            at: Some(at(1_743_451_903)),
        }),
    );
    check(
        json!({"event": "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE", "auth_international_rate_eligibility": {
            "start_time": 1_748_780_624, "exception_countries": [{"country_code": "ID", "start_time": 1_751_347_424}]}}),
        AccountChange::AuthenticationInternational {
            starts_at: Some(at(1_748_780_624)),
            exceptions: vec![("ID".to_owned(), Some(at(1_751_347_424)))],
        },
    );
    check(
        json!({"event": "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE", "country": "IN"}),
        AccountChange::Country { code: some("IN") },
    );
    check(json!({"event": "MM_LITE_TERMS_SIGNED"}), AccountChange::MarketingTermsSigned);
    check(
        json!({"event": "AD_ACCOUNT_LINKED", "waba_info": {"ad_account_linked": "980"}}),
        AccountChange::AdAccountLinked { ad_account: some("980") },
    );
    check(json!({"event": "SHINY"}), AccountChange::Other);
    check(json!({"event": "DISABLED_UPDATE"}), AccountChange::Other);
}

#[test]
fn a_partner_is_told_about_the_account_of_its_client() {
    let value = json!({
        "event": "PARTNER_REMOVED", "waba_info": {"waba_id": "980", "owner_business_id": "232", "solution_id": "17"},
        "disconnection_info": {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"},
    });
    let InboundEvent::Account(got) = event("account_update", value) else { panic!("an account") };
    assert_eq!(got.account, "980");
    let expected = PartnerChange {
        owner: some("232"),
        app: None,
        solution: some("17"),
        reason: some("PRIMARY_INACTIVITY"),
        initiated_by: some("SYSTEM"),
    };
    assert_eq!(got.change, AccountChange::Partner(expected));
}

#[test]
fn alerts_and_reviews_are_read() {
    let info = json!({
        "alert_severity": "WARNING", "alert_status": "ACTIVE",
        "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED", "alert_description": "not yet",
    });
    let expected = InboundEvent::AccountAlert(AccountAlert {
        account: ACCOUNT.to_owned(),
        entity_kind: some("BUSINESS"),
        entity: some("506914307656634"),
        name: some("INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED"),
        severity: some("WARNING"),
        status: some("ACTIVE"),
        description: some("not yet"),
        at: entry_at(),
    });
    let entity = json!({"entity_type": "BUSINESS", "entity_id": 506_914_307_656_634_u64});
    assert_eq!(event("account_alerts", with(entity.clone(), &json!({"alert_info": info.clone()}))), expected);
    assert_eq!(event("account_alerts", with(entity, &info)), expected, "in the older form");
    for (decision, expected) in [("APPROVED", Decision::Approved), ("REJECTED", Decision::Rejected)] {
        let expected = AccountReview { account: ACCOUNT.to_owned(), decision: expected, at: entry_at() };
        assert_eq!(
            event("account_review_update", json!({"decision": decision})),
            InboundEvent::AccountReview(expected)
        );
    }
    for field in
        ["account_update", "account_alerts", "account_review_update", "security", "phone_number_name_update"]
    {
        assert_eq!(event(field, json!({})), unknown(field), "nothing is said");
    }
}
