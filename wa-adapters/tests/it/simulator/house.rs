//! The rules of the house: a sender that keeps one passes, one that breaks it is counted and noted.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::{Value, json};
use wa_adapters::simulator::{
    Budget, Cooldown, FrequencyCap, HouseRules, ManualClock, QuietHours, Rates, Scope, Simulator, Stop,
    TemplateCategory, TemplateStatus, WarmUpStage,
};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

async fn world(rules: HouseRules, clock: &ManualClock) -> (Simulator, Client) {
    let approved = TemplateStatus::Approved;
    let simulator = exact()
        .template("news", "en_US", TemplateCategory::Marketing, approved, 0)
        .rates(Rates::new("USD").rate("marketing", "*", 60).rate("utility", "*", 10))
        .house_rules(rules)
        .clock(clock.clone())
        .start()
        .await
        .expect("a simulator");
    let client = Client::of(&simulator);
    (simulator, client)
}

fn news(to: &str) -> Value {
    let mut body = template(to, &[]);
    body["template"]["name"] = "news".into();
    body
}

/// How often each rule was broken, by the statistics and by the notes alike.
fn broken(simulator: &Simulator) -> BTreeMap<String, u64> {
    let mut noted = BTreeMap::new();
    for violation in simulator.violations() {
        assert!(violation.request.is_object() && violation.wamid.is_some());
        *noted.entry(violation.rule).or_default() += 1;
    }
    assert_eq!(noted.values().sum::<u64>(), simulator.stats().violations());
    noted
}

fn only(rule: &str, times: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(rule.to_owned(), times)])
}

#[tokio::test]
async fn quiet_hours_are_judged_in_the_recipient_s_own_time_over_a_change_of_the_clocks() {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("a time");
    let berlin = vec![(at("2026-03-29T01:00:00Z"), 7_200), (at("2026-10-25T01:00:00Z"), 3_600)];
    let zones = BTreeMap::from([
        ("49".to_owned(), berlin),
        ("81".to_owned(), vec![(at("2026-01-01T00:00:00Z"), 32_400)]),
    ]);
    let quiet = QuietHours { from: time(21), until: time(8), scope: Scope::Marketing, zones };
    let clock = ManualClock::at(at("2026-10-25T06:59:59Z"));
    let (simulator, client) = world(HouseRules { quiet: Some(quiet), ..HouseRules::default() }, &clock).await;
    client.send(&news(USER)).await.wamid();
    client.send(&template(USER, &[])).await.wamid();
    client.send(&news("81312345678")).await.wamid();
    client.send(&news("447911123456")).await.wamid();
    assert_eq!(broken(&simulator), only("quiet_hours", 1), "07:59:59 in Berlin, 15:59:59 in Tokyo");
    clock.advance(Duration::from_secs(1));
    client.send(&news(&user(1))).await.wamid();
    assert_eq!(broken(&simulator), only("quiet_hours", 1));
    assert_eq!(simulator.stats().accepted, 5, "WhatsApp has no quiet hours");
}

#[tokio::test]
async fn a_cooldown_counts_from_one_accepted_template_to_the_next() {
    for by_template in [false, true] {
        let clock = ManualClock::default();
        let rules =
            HouseRules { cooldown: Some(Cooldown { wait: 12 * HOUR, by_template }), ..HouseRules::default() };
        let (simulator, client) = world(rules, &clock).await;
        simulator.open_window(NUMBER, USER).unwrap();
        client.send(&news(USER)).await.wamid();
        client.send(&text(USER, "no template")).await.wamid();
        clock.advance(12 * HOUR - Duration::from_millis(1));
        client.send(&template(USER, &[])).await.wamid();
        assert_eq!(simulator.stats().violations(), u64::from(!by_template), "another template");
        clock.advance(Duration::from_millis(1));
        client.send(&news(USER)).await.wamid();
        assert_eq!(simulator.stats().violations(), 2 * u64::from(!by_template), "12 hours after the first");
        client.send(&news(USER)).await.wamid();
        assert_eq!(broken(&simulator), only("cooldown", if by_template { 1 } else { 3 }));
    }
}

#[tokio::test]
async fn a_frequency_cap_counts_in_any_span_of_its_length() {
    let clock = ManualClock::default();
    let cap = FrequencyCap { most: 2, within: 24 * HOUR, scope: Scope::Marketing };
    let (simulator, client) =
        world(HouseRules { frequency: Some(cap), ..HouseRules::default() }, &clock).await;
    client.send(&news(USER)).await.wamid();
    clock.advance(HOUR);
    client.send(&news(USER)).await.wamid();
    client.send(&template(USER, &[])).await.wamid();
    clock.advance(23 * HOUR - Duration::from_millis(1));
    client.send(&news(USER)).await.wamid();
    assert_eq!(broken(&simulator), only("frequency", 1));
    clock.advance(24 * HOUR);
    client.send(&news(USER)).await.wamid();
    assert_eq!(broken(&simulator), only("frequency", 1));
}

#[tokio::test]
async fn a_budget_is_passed_by_the_first_charged_message_beyond_it() {
    let clock = ManualClock::default();
    let budget = Budget { currency: "USD".to_owned(), most: 130 };
    let (simulator, client) =
        world(HouseRules { budget: Some(budget), ..HouseRules::default() }, &clock).await;
    for n in 0..2 {
        client.send(&news(&user(n))).await.wamid();
    }
    client.send(&template(&user(3), &[])).await.wamid();
    assert_eq!(
        simulator.stats().charged["USD"],
        BTreeMap::from([("marketing".to_owned(), 120), ("utility".to_owned(), 10)])
    );
    assert!(broken(&simulator).is_empty(), "130 is not more than 130");
    client.send(&template(&user(4), &[])).await.wamid();
    simulator.open_window(NUMBER, USER).unwrap();
    client.send(&text(USER, "free")).await.wamid();
    assert_eq!(broken(&simulator), only("budget", 1));
}

#[tokio::test]
async fn safe_mode_and_warm_up_are_judged() {
    let clock = ManualClock::default();
    let day = 24 * HOUR;
    let stage = |days: u32, most| WarmUpStage { from: at("2026-11-01T00:00:00Z") + day * days, most };
    let rules = HouseRules {
        only_to: Some([USER.to_owned(), user(1), user(2)].into()),
        warm_up: [(NUMBER.to_owned(), vec![stage(0, Some(2)), stage(1, Some(3)), stage(2, None)])].into(),
        ..HouseRules::default()
    };
    let (simulator, client) = world(rules, &clock).await;
    client.send(&news(&user(3))).await.wamid();
    assert_eq!(broken(&simulator), only("not_allowed", 1));
    client.send(&news(USER)).await.wamid();
    client.send(&news(USER)).await.wamid();
    clock.advance(day);
    for _ in 0..3 {
        client.send(&news(USER)).await.wamid();
    }
    clock.advance(day);
    for _ in 0..5 {
        client.send(&news(USER)).await.wamid();
    }
    let expected = BTreeMap::from([("not_allowed".to_owned(), 1), ("warm_up".to_owned(), 1)]);
    assert_eq!(broken(&simulator), expected, "two on the first day, three on the second, then any number");
}

#[tokio::test]
async fn a_stop_binds_after_its_webhook_was_taken_and_the_grace_has_passed() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let stop = Stop { grace: Duration::from_secs(5), words: ["stop".to_owned()].into() };
    let simulator = exact()
        .any_template(TemplateCategory::Marketing)
        .house_rules(HouseRules { stop: Some(stop), ..HouseRules::default() })
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    simulator.opt_out(NUMBER, USER).unwrap();
    simulator.inbound(NUMBER, &user(1), " Stop ").unwrap();
    clock.advance(Duration::from_secs(0));
    assert_eq!(client.send(&template(USER, &["0"])).await.code, 131_050);
    assert_eq!(client.send(&template(&user(1), &["0"])).await.status, 200);
    assert_eq!(simulator.stats().opt_out_violations, 0, "the sender cannot know yet");
    clock.advance(Duration::from_secs(1));
    let _ = receiver.collect("user_preferences", 1).await;
    while simulator.stats().callbacks.events < 2 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(client.send(&template(USER, &["1"])).await.code, 131_050);
    assert_eq!(client.send(&template(&user(1), &["1"])).await.status, 200);
    assert_eq!(simulator.stats().opt_out_violations, 0, "the grace lasts");
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&template(USER, &["2"])).await.code, 131_050);
    assert_eq!(client.send(&template(&user(1), &["2"])).await.status, 200);
    assert_eq!(simulator.stats().opt_out_violations, 2);
    let rules: Vec<_> = simulator.violations().into_iter().map(|one| (one.rule, one.code)).collect();
    assert_eq!(rules, [("opt_out".to_owned(), Some(131_050)), ("opt_out".to_owned(), None)]);

    simulator.opt_in(NUMBER, USER).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.send(&template(USER, &["3"])).await.status, 200);
}

#[tokio::test]
async fn callback_data_that_comes_twice_is_an_attempt_made_twice() {
    let clock = ManualClock::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let rules = || HouseRules { only_to: Some([USER.to_owned()].into()), ..HouseRules::default() };
    let start =
        || async { exact().house_rules(rules()).log(&path).clock(clock.clone()).start().await.unwrap() };
    let simulator = start().await;
    let client = Client::of(&simulator);
    let tagged = |to: &str, words: &str| {
        let mut body = template(to, &[words]);
        body["biz_opaque_callback_data"] = "attempt 1".into();
        body
    };
    client.send(&tagged(USER, "a")).await.wamid();
    client.send(&template(USER, &["b"])).await.wamid();
    client.send(&template(USER, &["c"])).await.wamid();
    client.send(&tagged(USER, "other content")).await.wamid();
    client.send(&tagged(&user(1), "a stranger")).await.wamid();
    let expected = BTreeMap::from([("repeated_tag".to_owned(), 2), ("not_allowed".to_owned(), 1)]);
    assert_eq!(broken(&simulator), expected);
    let before = (simulator.stats(), simulator.violations());
    assert_eq!((before.0.repeated_tags, before.0.repeated), (2, 0));
    drop(simulator);
    let again = start().await;
    assert_eq!((again.stats(), again.violations()), before, "a restart keeps the verdicts");
    Client::of(&again).send(&tagged(USER, "d")).await.wamid();
    assert_eq!(again.stats().repeated_tags, 3);
    let raw = reqwest::get(format!("{}/simulator/violations", again.origin())).await.unwrap();
    let shown: Value = serde_json::from_str(&raw.text().await.unwrap()).unwrap();
    assert_eq!(shown[0]["rule"], json!("repeated_tag"));
    assert!(!format!("{:?}", again.violations()).contains(USER), "debug output names nobody");
}
