//! What Meta does to templates, numbers and accounts: the answers, and the webhooks.

use std::time::Duration;

use serde_json::{Value, json};
use wa_adapters::simulator::{
    ManualClock, NumberProfile, Quality, Simulator, SimulatorBuilder, SimulatorError, TemplateCategory,
    TemplateStatus,
};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

const ACCOUNT: &str = "200000000000001";
const MINUTE: Duration = Duration::from_secs(60);

struct Setting {
    clock: ManualClock,
    receiver: Receiver,
    simulator: Simulator,
    client: Client,
}

impl Setting {
    async fn of(build: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder) -> Self {
        let clock = ManualClock::default();
        let receiver = Receiver::start().await;
        let builder = exact().clock(clock.clone()).webhook(&receiver.url, SECRET);
        let approved = TemplateStatus::Approved;
        let builder = builder.template("news", "en_US", TemplateCategory::Marketing, approved, 0);
        let simulator = build(builder).start().await.expect("a simulator");
        let client = Client::of(&simulator);
        Self { clock, receiver, simulator, client }
    }

    /// The next webhook that is no message and no status: its field and value.
    async fn told(&mut self) -> (String, Value) {
        self.clock.advance(Duration::from_secs(1));
        let post = self.receiver.post().await.json();
        let change = post["entry"][0]["changes"][0].clone();
        assert_eq!(post["entry"][0]["id"], ACCOUNT);
        (change["field"].as_str().expect("a field").to_owned(), change["value"].clone())
    }

    async fn news(&self, to: &str) -> u64 {
        let mut body = template(to, &[]);
        body["template"]["name"] = "news".into();
        self.client.send(&body).await.code
    }
}

#[tokio::test]
async fn a_template_s_states_are_told_with_their_reasons() {
    let mut world = Setting::of(|builder| builder).await;
    for (status, code, event, title) in [
        (TemplateStatus::Paused, 132_015, "PAUSED", json!("FIRST_PAUSE")),
        (TemplateStatus::Approved, 0, "APPROVED", json!("UNPAUSE")),
        (TemplateStatus::Disabled, 132_016, "DISABLED", json!("DISABLED")),
        (TemplateStatus::Approved, 0, "REINSTATED", Value::Null),
        (TemplateStatus::Rejected, 132_001, "REJECTED", Value::Null),
    ] {
        world.simulator.set_template_status("news", "en_US", status).unwrap();
        let (field, value) = world.told().await;
        assert_eq!(field, "message_template_status_update");
        assert_eq!((&value["event"], &value["other_info"]["title"]), (&json!(event), &title));
        assert_eq!(
            (&value["message_template_name"], &value["message_template_category"]),
            (&json!("news"), &json!("MARKETING"))
        );
        assert_eq!(value["disable_info"].is_object(), event == "DISABLED");
        assert_eq!(value["rejection_info"].is_object(), event == "REJECTED");
        assert_eq!(world.news(USER).await, code, "{event}");
        let _ = world.receiver.rest("statuses");
        if code == 0 {
            world.clock.advance(MINUTE);
            let _ = world.receiver.collect("statuses", 2).await;
        }
    }
}

#[tokio::test]
async fn a_template_s_quality_and_category_change_with_notice() {
    let mut world = Setting::of(|builder| builder).await;
    world.simulator.set_template_quality("news", "en_US", Quality::Yellow).unwrap();
    let (field, value) = world.told().await;
    assert_eq!(field, "message_template_quality_update");
    assert_eq!(
        (&value["previous_quality_score"], &value["new_quality_score"]),
        (&json!("UNKNOWN"), &json!("YELLOW"))
    );
    let utility = TemplateCategory::Utility;
    world.simulator.announce_template_category("news", "en_US", utility).unwrap();
    let (field, value) = world.told().await;
    assert_eq!(field, "template_category_update");
    assert_eq!(
        (&value["new_category"], &value["correct_category"]),
        (&json!("MARKETING"), &json!("UTILITY"))
    );
    assert_eq!(value["category_update_timestamp"], 1_793_491_200 + 1 + 86_400);
    assert_eq!(world.news(USER).await, 0);
    assert!(world.simulator.accepted()[0].is_marketing, "the warning changes nothing");
    world.clock.advance(MINUTE);
    let _ = world.receiver.collect("statuses", 2).await;

    world.simulator.set_template_category("news", "en_US", utility).unwrap();
    let (_, value) = world.told().await;
    assert_eq!(
        (&value["previous_category"], &value["new_category"]),
        (&json!("MARKETING"), &json!("UTILITY"))
    );
    assert_eq!(value.get("correct_category"), None);
    assert_eq!(world.news(USER).await, 0);
    assert_eq!(world.simulator.accepted()[1].category, "utility");
    let unknown = world.simulator.set_template_quality("none", "en_US", Quality::Red);
    assert!(matches!(unknown, Err(SimulatorError::UnknownTemplate { .. })));
}

#[tokio::test]
async fn a_restricted_account_answers_users_only_and_a_banned_one_nobody() {
    let mut world = Setting::of(|builder| builder).await;
    world.simulator.open_window(NUMBER, USER).unwrap();
    world.simulator.restrict_account(ACCOUNT, MINUTE).unwrap();
    let (field, value) = world.told().await;
    assert_eq!((field.as_str(), &value["event"]), ("account_update", &json!("ACCOUNT_RESTRICTION")));
    assert_eq!(value["restriction_info"][0]["expiration"], 1_793_491_200 + 60);
    assert_eq!(world.client.send(&text(USER, "hello")).await.status, 200);
    let refused = world.client.send(&template(&user(1), &[])).await;
    assert_eq!((refused.status, refused.code), (403, 368));
    world.clock.advance(MINUTE);
    assert_eq!(world.client.send(&template(&user(1), &[])).await.status, 200);
    let _ = world.receiver.collect("statuses", 3).await;
    world.clock.advance(MINUTE);
    while world.simulator.stats().callbacks.pending > 0 {
        let _ = world.receiver.post().await;
        tokio::task::yield_now().await;
    }

    world.simulator.set_banned(ACCOUNT, true).unwrap();
    let (_, value) = world.told().await;
    assert_eq!(value["ban_info"]["waba_ban_state"], "DISABLE");
    let refused = world.client.send(&text(USER, "hello")).await;
    assert_eq!((refused.status, refused.code), (403, 131_031));
    let shown = world.client.get(&format!("/v26.0/{NUMBER}?fields=status")).await;
    assert_eq!(shown.body["status"], "BANNED");
    world.simulator.set_banned(ACCOUNT, false).unwrap();
    assert_eq!(world.told().await.1["ban_info"]["waba_ban_state"], "REINSTATE");
    assert_eq!(world.client.send(&text(USER, "hello")).await.status, 200);
    world.simulator.report_violation(ACCOUNT, "ADULT").unwrap();
    let violated = loop {
        let (field, value) = world.told().await;
        if field == "account_update" {
            break value;
        }
    };
    assert_eq!(violated["violation_info"]["violation_type"], "ADULT");
    assert_eq!(world.simulator.set_banned("1", true), Err(SimulatorError::UnknownAccount("1".to_owned())));
}

#[tokio::test]
async fn an_upgrade_of_the_throughput_takes_an_outage_and_is_told_at_its_end() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let profile = NumberProfile { throughput: 1, ..NumberProfile::default() };
    let builder = Simulator::builder().number(NUMBER, profile).any_template(TemplateCategory::Utility);
    let simulator = builder.clock(clock.clone()).jitter_tolerance(Duration::ZERO);
    let simulator = simulator.webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.upgrade_throughput(NUMBER, 1_000, MINUTE).unwrap();
    let refused = client.send(&template(USER, &[])).await;
    assert_eq!((refused.status, refused.code), (500, 131_057));
    clock.advance(MINUTE);
    for n in 0..20 {
        assert_eq!(client.send(&template(&user(n), &[])).await.status, 200);
    }
    clock.advance(Duration::from_secs(1));
    let change = loop {
        let post = receiver.post().await.json();
        let changes = post["entry"][0]["changes"].as_array().unwrap().clone();
        if let Some(change) = changes.into_iter().find(|change| change["field"] != "messages") {
            break change;
        }
    };
    assert_eq!(change["field"], "phone_number_quality_update");
    assert_eq!(change["value"]["event"], "THROUGHPUT_UPGRADE");
    let level = client.get(&format!("/v26.0/{NUMBER}?fields=throughput")).await;
    assert_eq!(level.body["throughput"]["level"], "HIGH");
    assert_eq!(simulator.stop().await.violations(), 0);
}

#[tokio::test]
async fn a_number_turns_red_and_its_portfolio_gets_another_tier() {
    let mut world = Setting::of(|builder| builder).await;
    world.simulator.set_quality(NUMBER, Quality::Yellow).unwrap();
    world.simulator.set_quality(NUMBER, Quality::Red).unwrap();
    let (field, value) = world.told().await;
    assert_eq!((field.as_str(), &value["event"]), ("phone_number_quality_update", &json!("FLAGGED")));
    let rating = world.client.get(&format!("/v26.0/{NUMBER}?fields=quality_rating")).await;
    assert_eq!(rating.body["quality_rating"], "RED");
    world.simulator.set_tier(NUMBER, Some(1)).unwrap();
    let (field, value) = world.told().await;
    assert_eq!(field, "business_capability_update");
    assert_eq!(value["max_daily_conversations_per_business"], "TIER_1");
    assert_eq!(world.client.send(&template(&user(1), &[])).await.status, 200);
    assert_eq!(world.client.send(&template(&user(2), &[])).await.code, 131_048);
    assert_eq!(world.simulator.stats().tier_violations, 1);
}

#[tokio::test]
async fn spam_storms_and_misclassification_hold_sends_back_without_a_violation() {
    let world = Setting::of(|builder| builder).await;
    let (simulator, client) = (&world.simulator, &world.client);
    simulator.open_window(NUMBER, USER).unwrap();
    simulator.limit_spam(NUMBER, MINUTE).unwrap();
    assert_eq!(client.send(&text(USER, "inside")).await.status, 200);
    assert_eq!(client.send(&template(&user(1), &[])).await.code, 131_048);
    world.clock.advance(MINUTE);
    assert_eq!(client.send(&template(&user(1), &[])).await.status, 200);

    simulator.throttle_storm(NUMBER, MINUTE).unwrap();
    assert_eq!(client.send(&text(USER, "inside")).await.code, 130_429);
    world.clock.advance(MINUTE);
    assert_eq!(client.send(&text(USER, "inside again")).await.status, 200);

    simulator.template("receipt", "en_US", TemplateCategory::Utility, TemplateStatus::Approved, 0);
    simulator.limit_misclassified(ACCOUNT, MINUTE).unwrap();
    let mut receipt = template(USER, &[]);
    receipt["template"]["name"] = "receipt".into();
    assert_eq!(client.send(&receipt).await.code, 131_064);
    assert_eq!(world.news(&user(2)).await, 0, "marketing is what it says");
    world.clock.advance(MINUTE);
    assert_eq!(client.send(&receipt).await.status, 200);
    assert_eq!(simulator.stats().violations(), 0);
}

#[tokio::test]
async fn a_user_takes_so_many_marketing_messages_a_day_outside_windows() {
    let mut world = Setting::of(|builder| builder.marketing_cap(2)).await;
    for _ in 0..3 {
        assert_eq!(world.news(USER).await, 0, "it is always accepted");
    }
    world.clock.advance(Duration::from_secs(1));
    let statuses = world.receiver.collect("statuses", 5).await;
    let failed: Vec<_> = statuses.iter().filter(|status| status["status"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["errors"][0]["code"], 131_049);
    world.simulator.open_window(NUMBER, USER).unwrap();
    assert_eq!(world.news(USER).await, 0);
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(world.news(USER).await, 0);
    let accepted = world.simulator.accepted();
    let delivered: Vec<_> = accepted.iter().map(|sent| sent.delivered_at.is_some()).collect();
    assert_eq!(delivered, [true, true, false, true, true]);
}
