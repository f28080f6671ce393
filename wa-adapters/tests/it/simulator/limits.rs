//! For each meter: a client that keeps the rule passes, one that breaks it is refused and counted.

use std::time::Duration;

use wa_adapters::simulator::{
    Fault, ManualClock, NumberProfile, Simulator, TemplateCategory, TemplateStatus,
};

use super::setup::{Client, NUMBER, USER, exact, template, text, user};

#[tokio::test]
async fn free_form_is_refused_outside_the_window_and_taken_inside_to_the_millisecond() {
    let clock = ManualClock::default();
    let simulator = exact().clock(clock.clone()).start().await.unwrap();
    let client = Client::of(&simulator);
    assert_eq!(client.send(&text(USER, "before")).await.code, 131_047);

    simulator.inbound(NUMBER, USER, "hi").unwrap();
    clock.advance(Duration::from_secs(24 * 60 * 60) - Duration::from_millis(1));
    assert_eq!(client.send(&text(USER, "at -1 ms")).await.status, 200);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&text(USER, "at 0 ms")).await.code, 131_047);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&text(USER, "at +1 ms")).await.code, 131_047);
    assert_eq!(client.send(&template(USER, &[])).await.status, 200, "templates need no window");

    let stats = simulator.stop().await;
    assert_eq!((stats.requests, stats.accepted, stats.window_violations), (5, 2, 3));
}

#[tokio::test]
async fn a_window_belongs_to_one_number_and_one_user() {
    let simulator = exact().number("101", NumberProfile::default()).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.open_window(NUMBER, USER).unwrap();
    assert_eq!(client.send(&text(&user(1), "x")).await.code, 131_047);
    assert_eq!(client.post("/v26.0/101/messages", &text(USER, "x")).await.code, 131_047);
    assert_eq!(client.send(&text(USER, "x")).await.status, 200);
}

#[tokio::test]
async fn a_number_sends_its_throughput_in_a_sliding_second_and_no_more() {
    let clock = ManualClock::default();
    let profile = NumberProfile { throughput: 20, ..NumberProfile::default() };
    let simulator = Simulator::builder()
        .number(NUMBER, profile)
        .any_template(TemplateCategory::Utility)
        .jitter_tolerance(Duration::ZERO)
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    let mut codes = Vec::new();
    for n in 0..40 {
        codes.push(client.send(&template(&user(n), &[])).await.code);
        clock.advance(Duration::from_millis(25));
    }
    // Twenty in half a second; then nothing until the first has left the second, then one in 25 ms.
    assert_eq!(codes[..20], [0; 20]);
    assert_eq!(codes[20..], [130_429; 20]);
    for n in 40..60 {
        assert_eq!(client.send(&template(&user(n), &[])).await.status, 200);
        clock.advance(Duration::from_millis(25));
    }
    let stats = simulator.stop().await;
    assert_eq!((stats.accepted, stats.rate_violations, stats.throughput_violations), (40, 20, 20));
}

#[tokio::test]
async fn the_jitter_tolerance_forgives_a_second_pressed_together_and_no_more() {
    let clock = ManualClock::default();
    let profile = NumberProfile { throughput: 1, ..NumberProfile::default() };
    let start = Simulator::builder().number(NUMBER, profile).any_template(TemplateCategory::Utility);
    let simulator = start.clock(clock.clone()).start().await.unwrap();
    let client = Client::of(&simulator);
    assert_eq!(client.send(&template(&user(0), &[])).await.status, 200);
    clock.advance(Duration::from_millis(949));
    assert_eq!(client.send(&template(&user(1), &[])).await.code, 130_429);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&template(&user(2), &[])).await.status, 200);
}

#[tokio::test]
async fn a_pair_takes_forty_five_at_once_and_then_one_in_six_seconds() {
    let clock = ManualClock::default();
    let simulator = exact().clock(clock.clone()).start().await.unwrap();
    let client = Client::of(&simulator);
    for n in 0..45 {
        assert_eq!(client.send(&template(USER, &[&n.to_string()])).await.status, 200, "{n}");
    }
    assert_eq!(client.send(&template(USER, &["45"])).await.code, 131_056);
    assert_eq!(client.send(&template(&user(1), &["another user"])).await.status, 200);
    clock.advance(Duration::from_millis(5_999));
    assert_eq!(client.send(&template(USER, &["45"])).await.code, 131_056);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&template(USER, &["45"])).await.status, 200);
    assert_eq!(client.send(&template(USER, &["46"])).await.code, 131_056);

    let stats = simulator.stop().await;
    assert_eq!((stats.rate_violations, stats.pair_violations, stats.repeated), (3, 3, 0));
}

#[tokio::test]
async fn one_person_has_one_pair_meter_and_one_window_under_both_names() {
    let id = "US.13491208655302741918";
    let simulator = exact().clock(ManualClock::default()).person(id, USER).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.open_window(NUMBER, id).unwrap();
    for n in 0..45 {
        assert_eq!(client.send(&text(USER, &n.to_string())).await.status, 200);
    }
    let mut by_id = text(USER, "45");
    by_id["recipient"] = id.into();
    by_id.as_object_mut().unwrap().remove("to");
    assert_eq!(client.send(&by_id).await.code, 131_056);
}

#[tokio::test]
async fn a_portfolio_reaches_its_tier_of_unique_users_outside_windows_in_24_hours() {
    let clock = ManualClock::default();
    let limited = NumberProfile { throughput: 1_000, tier: Some(2), ..NumberProfile::default() };
    let simulator = Simulator::builder()
        .number(NUMBER, limited)
        .number("101", NumberProfile::default())
        .any_template(TemplateCategory::Utility)
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    simulator.open_window(NUMBER, &user(9)).unwrap();
    assert_eq!(client.send(&template(&user(1), &["a"])).await.status, 200);
    assert_eq!(client.send(&template(&user(1), &["b"])).await.status, 200, "the same user is one user");
    assert_eq!(
        client.send(&template(&user(9), &["a"])).await.status,
        200,
        "inside a window nobody is counted"
    );
    assert_eq!(client.post("/v26.0/101/messages", &template(&user(2), &["a"])).await.status, 200);
    assert_eq!(
        client.send(&template(&user(3), &["a"])).await.code,
        131_048,
        "the other number shares the limit"
    );
    clock.advance(Duration::from_secs(24 * 60 * 60) - Duration::from_millis(1));
    assert_eq!(client.send(&template(&user(3), &["a"])).await.code, 131_048);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&template(&user(3), &["a"])).await.status, 200);

    let stats = simulator.stop().await;
    assert_eq!((stats.accepted, stats.tier_violations, stats.rate_violations), (5, 2, 0));
}

#[tokio::test]
async fn marketing_to_a_user_who_stopped_it_is_refused_until_it_is_resumed() {
    let marketing = TemplateCategory::Marketing;
    let builder = exact().template("news", "en_US", marketing, TemplateStatus::Approved, 0);
    let simulator = builder.start().await.unwrap();
    let client = Client::of(&simulator);
    let mut news = template(USER, &[]);
    news["template"]["name"] = "news".into();
    simulator.opt_out(NUMBER, USER).unwrap();
    assert_eq!(client.send(&news).await.code, 131_050);
    assert_eq!(client.send(&template(USER, &[])).await.status, 200, "utility is not marketing");
    let resumed = serde_json::json!({ "from": USER, "value": "resume" });
    assert_eq!(client.post("/simulator/preference", &resumed).await.status, 200);
    assert_eq!(client.send(&news).await.status, 200);
    assert_eq!(simulator.stop().await.opt_out_violations, 1);
}

#[tokio::test]
async fn a_send_that_was_reported_as_failed_may_be_tried_again_but_not_before() {
    let clock = ManualClock::default();
    let simulator = exact().clock(clock.clone()).fault(Fault::FailedAfterSent, 1.0).start().await.unwrap();
    let client = Client::of(&simulator);
    let body = template(USER, &["Ada"]);
    client.send(&body).await.wamid();
    clock.advance(Duration::from_secs(1));
    client.send(&body).await.wamid();
    assert_eq!(simulator.stats().repeated, 0, "its failure was due");
    client.send(&body).await.wamid();
    assert_eq!(simulator.stop().await.repeated, 1, "nobody can know yet that the second one failed");
}

#[tokio::test]
async fn a_send_repeats_when_number_recipient_and_content_are_equal_whatever_its_callback_data() {
    let simulator = exact().number("101", NumberProfile::default()).start().await.unwrap();
    let client = Client::of(&simulator);
    let mut first = template(USER, &["Ada"]);
    first["biz_opaque_callback_data"] = "attempt 1".into();
    let mut again = template("+49 1512 3456789", &["Ada"]);
    again["biz_opaque_callback_data"] = "attempt 2".into();
    client.send(&first).await.wamid();
    client.send(&template(USER, &["Eve"])).await.wamid();
    client.send(&template(&user(1), &["Ada"])).await.wamid();
    client.post("/v26.0/101/messages", &first).await.wamid();
    assert_eq!(simulator.stats().repeated, 0);
    client.send(&again).await.wamid();
    client.send(&again).await.wamid();
    let accepted = simulator.accepted();
    assert_eq!(accepted[0].fingerprint, accepted[4].fingerprint);
    assert_eq!(simulator.stop().await.repeated, 2);
}

#[tokio::test]
async fn refused_messages_cost_nothing_of_pair_and_tier() {
    let clock = ManualClock::default();
    let profile = NumberProfile { throughput: 1_000, tier: Some(1), ..NumberProfile::default() };
    let simulator = Simulator::builder()
        .number(NUMBER, profile)
        .any_template(TemplateCategory::Utility)
        .clock(clock)
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    for _ in 0..60 {
        assert_eq!(client.send(&text(USER, "no window")).await.code, 131_047);
    }
    assert_eq!(client.send(&template(&user(1), &[])).await.status, 200);
    simulator.open_window(NUMBER, USER).unwrap();
    for n in 0..45 {
        assert_eq!(client.send(&text(USER, &n.to_string())).await.status, 200);
    }
}
