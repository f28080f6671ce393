//! What messages cost: both price models, free entry points, and the ledger to the micro.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use wa_adapters::simulator::{
    Incoming, LedgerLine, ManualClock, PriceModel, Rates, Simulator, SimulatorBuilder, StatusTimes,
    TemplateCategory, TemplateStatus,
};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn rates() -> Rates {
    Rates::new("USD")
        .rate("marketing", "49", 136_500)
        .rate("marketing", "*", 60_400)
        .rate("utility", "49", 55_000)
        .rate("utility", "4930", 1)
        .rate("utility", "US", 3_400)
        .rate("authentication", "*", 7_701)
        .rate("authentication-international", "91", 30_400)
        .international("91")
}

fn priced() -> SimulatorBuilder {
    let approved = TemplateStatus::Approved;
    exact().rates(rates()).template("news", "en_US", TemplateCategory::Marketing, approved, 0).template(
        "code",
        "en_US",
        TemplateCategory::Authentication,
        approved,
        0,
    )
}

fn named(name: &str, to: &str) -> Value {
    let mut body = template(to, &[]);
    body["template"]["name"] = name.into();
    body
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Category, type and amount of each accepted send.
fn prices(simulator: &Simulator) -> Vec<(String, String, Option<i64>)> {
    let accepted = simulator.accepted().into_iter();
    accepted.map(|sent| (sent.category, sent.pricing_type, sent.amount)).collect()
}

fn price(category: &str, of: &str, amount: i64) -> (String, String, Option<i64>) {
    (category.to_owned(), of.to_owned(), Some(amount))
}

#[tokio::test]
async fn a_rate_is_that_of_the_longest_market_and_unknown_without_one() {
    let simulator = priced().start().await.unwrap();
    let client = Client::of(&simulator);
    for to in [USER, "4930123456", "447911123456", "919876543210"] {
        client.send(&named("greeting", to)).await.wamid();
        client.send(&named("news", to)).await.wamid();
        client.send(&named("code", to)).await.wamid();
    }
    let mut by_id = named("greeting", USER);
    by_id.as_object_mut().unwrap().remove("to");
    by_id["recipient"] = "US.1349".into();
    client.send(&by_id).await.wamid();
    let amounts: Vec<_> = prices(&simulator).into_iter().map(|(_, _, amount)| amount).collect();
    let expected = [
        [Some(55_000), Some(136_500), Some(7_701)],
        [Some(1), Some(136_500), Some(7_701)],
        [None, Some(60_400), Some(7_701)],
        [None, Some(60_400), Some(30_400)],
    ];
    assert_eq!(amounts[..12], expected.concat());
    assert_eq!(amounts[12], Some(3_400));

    let ledger = simulator.ledger();
    let line = |category: &str| ledger.iter().find(|line| line.category == category).unwrap();
    let sums = |line: &LedgerLine| (line.delivered, line.amount, line.unpriced);
    assert_eq!(sums(line("utility")), (5, 58_401, 2));
    assert_eq!(sums(line("marketing")), (4, 393_800, 0));
    assert_eq!(sums(line("authentication-international")), (1, 30_400, 0));
    let stats = simulator.stop().await;
    assert_eq!(stats.charged["USD"]["authentication"], 23_103);
    let total: i64 = stats.charged["USD"].values().sum();
    assert_eq!(total, ledger.iter().map(|line| line.amount).sum::<i64>());
}

#[tokio::test]
async fn in_the_model_of_july_2025_only_templates_are_paid_and_utility_in_windows_is_free() {
    let simulator = priced().price_model(PriceModel::July2025).start().await.unwrap();
    let client = Client::of(&simulator);
    client.send(&named("greeting", USER)).await.wamid();
    simulator.open_window(NUMBER, USER).unwrap();
    for body in [named("greeting", USER), text(USER, "hello"), named("news", USER), named("code", USER)] {
        client.send(&body).await.wamid();
    }
    let free = "free_customer_service";
    assert_eq!(
        prices(&simulator),
        [
            price("utility", "regular", 55_000),
            price("utility", free, 0),
            price("service", free, 0),
            price("marketing", "regular", 136_500),
            price("authentication", "regular", 7_701),
        ]
    );
}

#[tokio::test]
async fn in_the_model_of_october_2026_a_number_has_1000_free_service_messages_a_month_in_its_own_zone() {
    // 23:30 UTC on 31 October: with two hours more it is November already.
    let clock = ManualClock::at(at("2026-10-31T21:30:00Z"));
    let account = "200000000000001";
    let simulator = priced().price_model(PriceModel::October2026).account_offset(account, 7_200);
    let simulator = simulator.clock(clock.clone()).start().await.unwrap();
    let client = Client::of(&simulator);
    for n in 0..1_001 {
        simulator.open_window(NUMBER, &user(n)).unwrap();
        clock.advance(Duration::from_millis(2));
        client.send(&text(&user(n), "hello")).await.wamid();
    }
    client.send(&named("greeting", &user(1))).await.wamid();
    let of_service = prices(&simulator);
    assert_eq!(of_service[999], price("service", "free_customer_service", 0));
    assert_eq!(of_service[1_000], price("service", "regular", 55_000), "the rate of utility");
    assert_eq!(of_service[1_001], price("utility", "regular", 55_000), "also inside a window");
    clock.advance(Duration::from_secs(30 * 60));
    client.send(&text(&user(1), "a new month")).await.wamid();
    assert_eq!(prices(&simulator)[1_002], price("service", "free_customer_service", 0));
}

#[tokio::test]
async fn by_date_the_model_changes_at_the_account_s_own_midnight() {
    let clock = ManualClock::at(at("2026-09-30T21:59:59Z"));
    let simulator = priced().account_offset("200000000000001", 7_200).clock(clock.clone());
    let at_once = StatusTimes { delivered_after: Duration::ZERO, ..StatusTimes::default() };
    let simulator = simulator.statuses(at_once).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.open_window(NUMBER, USER).unwrap();
    client.send(&named("greeting", USER)).await.wamid();
    clock.advance(Duration::from_secs(1));
    client.send(&named("greeting", USER)).await.wamid();
    let expected = [price("utility", "free_customer_service", 0), price("utility", "regular", 55_000)];
    assert_eq!(prices(&simulator), expected);
}

#[tokio::test]
async fn a_reply_to_a_referral_opens_72_free_hours_when_it_is_delivered() {
    let clock = ManualClock::default();
    let times = StatusTimes { delivered_after: Duration::from_secs(10), ..StatusTimes::default() };
    let simulator = priced().clock(clock.clone()).statuses(times).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.receive(NUMBER, USER, &Incoming::text("from the ad").referred("ad 1")).unwrap();
    clock.advance(DAY - Duration::from_millis(1));
    client.send(&text(USER, "a reply in time")).await.wamid();
    client.send(&named("news", USER)).await.wamid();
    client.send(&named("news", &user(1))).await.wamid();
    // 72 hours from the delivery, ten seconds after the reply; a send is judged by its delivery.
    clock.advance(3 * DAY - Duration::from_millis(1));
    client.send(&named("news", USER)).await.wamid();
    clock.advance(Duration::from_millis(1));
    client.send(&named("news", USER)).await.wamid();
    let free = price("referral_conversion", "free_entry_point", 0);
    let paid = price("marketing", "regular", 136_500);
    assert_eq!(prices(&simulator), [free.clone(), free.clone(), paid.clone(), free, paid]);
}

#[tokio::test]
async fn a_late_reply_an_undelivered_one_and_a_plain_message_open_no_entry_point() {
    let clock = ManualClock::default();
    let none = StatusTimes { delivered: 0.0, ..StatusTimes::default() };
    let simulator = priced().clock(clock.clone()).statuses(none).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.receive(NUMBER, USER, &Incoming::text("from the ad").referred("ad 1")).unwrap();
    client.send(&named("news", USER)).await.wamid();
    client.send(&named("news", USER)).await.wamid();
    assert!(prices(&simulator).iter().all(|one| *one == price("marketing", "regular", 136_500)));
    let ledger = simulator.ledger();
    assert_eq!((ledger[0].delivered, ledger[0].amount), (0, 0), "what is not delivered is not charged");
    assert_eq!((ledger[0].undelivered, ledger[0].undelivered_amount), (2, 273_000));
    drop(simulator);

    let simulator = priced().clock(clock.clone()).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.receive(NUMBER, USER, &Incoming::text("from the ad").referred("ad 1")).unwrap();
    simulator.inbound(NUMBER, &user(1), "from nowhere").unwrap();
    clock.advance(DAY + Duration::from_millis(1));
    client.send(&named("news", USER)).await.wamid();
    client.send(&named("news", &user(1))).await.wamid();
    assert!(prices(&simulator).iter().all(|(_, of, _)| of == "regular"));
}

#[tokio::test]
async fn statuses_say_the_price_twice_and_the_conversation_in_entry_points_only() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let times = StatusTimes { read: 1.0, ..StatusTimes::default() };
    let simulator = priced().clock(clock.clone()).statuses(times).webhook(&receiver.url, SECRET);
    let simulator = simulator.without_billable().start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.receive(NUMBER, USER, &Incoming::text("from the ad").referred("ad 1")).unwrap();
    let free = client.send(&text(USER, "hello")).await.wamid().to_owned();
    let paid = client.send(&named("news", &user(1))).await.wamid().to_owned();
    clock.advance(HOUR);
    let statuses = receiver.collect("statuses", 6).await;
    let of = |wamid: &str, name: &str| {
        let found = |status: &&Value| status["id"] == wamid && status["status"] == name;
        statuses.iter().find(found).cloned().unwrap()
    };
    let price =
        |of: &str, category: &str| json!({ "pricing_model": "PMP", "type": of, "category": category });
    for (wamid, expected) in
        [(&free, price("free_entry_point", "referral_conversion")), (&paid, price("regular", "marketing"))]
    {
        assert_eq!(
            (&of(wamid, "sent")["pricing"], &of(wamid, "delivered")["pricing"]),
            (&expected, &expected)
        );
        assert!(of(wamid, "read").get("pricing").is_none());
    }
    let conversation = of(&free, "sent")["conversation"].clone();
    assert_eq!(conversation["origin"]["type"], "referral_conversion");
    // Delivered 50 ms after midnight, open for 72 hours.
    assert_eq!(conversation["expiration_timestamp"], (1_793_491_200 + 3 * 86_400).to_string());
    let delivered = of(&free, "delivered")["conversation"].clone();
    assert_eq!((&delivered["id"], delivered.get("expiration_timestamp")), (&conversation["id"], None));
    assert!(of(&paid, "sent").get("conversation").is_none());
}

#[tokio::test]
async fn a_restart_keeps_the_ledger_the_free_messages_and_the_entry_points() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let clock = ManualClock::default();
    let start = || async { priced().clock(clock.clone()).log(&path).start().await.unwrap() };
    let first = start().await;
    let client = Client::of(&first);
    first.receive(NUMBER, USER, &Incoming::text("from the ad").referred("ad 1")).unwrap();
    first.receive(NUMBER, user(1).as_str(), &Incoming::text("from the ad").referred("ad 1")).unwrap();
    client.send(&named("news", USER)).await.wamid();
    client.send(&named("news", &user(2))).await.wamid();
    let before = (first.ledger(), first.stats());
    drop(first);
    let second = start().await;
    assert_eq!((second.ledger(), second.stats()), before);
    let client = Client::of(&second);
    clock.advance(HOUR);
    client.send(&named("news", USER)).await.wamid();
    client.send(&named("news", &user(1))).await.wamid();
    let free = price("referral_conversion", "free_entry_point", 0);
    assert_eq!(prices(&second)[2..], [free.clone(), free]);
}
