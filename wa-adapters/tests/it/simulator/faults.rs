//! One test per fault: what the client sees, and what the simulator knows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use wa_adapters::simulator::{Fault, ManualClock, Simulator, StatusTimes};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

async fn with(fault: Fault) -> (Simulator, Client) {
    let simulator = exact().fault(fault, 1.0).start().await.expect("a start");
    let client = Client::of(&simulator);
    (simulator, client)
}

#[tokio::test]
async fn reply_lost_accepts_and_closes_the_connection_without_an_answer() {
    let (simulator, client) = with(Fault::ReplyLost).await;
    assert!(client.try_send(&template(USER, &[])).await.is_none());
    assert_eq!(simulator.accepted().len(), 1);
    simulator.set_fault(Fault::ReplyLost, 0.0).unwrap();
    assert_eq!(client.send(&template(USER, &[])).await.status, 200, "the next connection is whole");
    let stats = simulator.stop().await;
    assert_eq!((stats.accepted, stats.repeated, stats.faults["reply-lost"]), (2, 1, 1));
}

#[tokio::test]
async fn slow_accepts_at_once_and_answers_late() {
    let clock = ManualClock::default();
    let builder = exact().fault(Fault::Slow, 1.0).clock(clock.clone()).slow_by(Duration::from_secs(30));
    let simulator = builder.start().await.unwrap();
    let client = Client::of(&simulator);
    let body = template(USER, &[]);
    let mut answer = std::pin::pin!(client.send(&body));
    // Acceptance shows, and other requests are answered, while this answer is held back.
    let mut accepted = 0;
    while accepted == 0 {
        tokio::select! {
            early = &mut answer => panic!("answered before its time: {early:?}"),
            stats = client.get("/stats") => accepted = stats.body["accepted"].as_u64().unwrap(),
        }
    }
    for _ in 0..5 {
        tokio::select! {
            early = &mut answer => panic!("answered before its time: {early:?}"),
            _ = client.get("/stats") => {}
        }
    }
    clock.advance(Duration::from_secs(30));
    assert_eq!(answer.await.status, 200);
}

#[tokio::test]
async fn error_before_answers_5xx_in_several_shapes_and_accepts_nothing() {
    let (simulator, client) = with(Fault::ErrorBefore).await;
    let mut seen = BTreeMap::new();
    for n in 0..30 {
        let answer = client.send(&template(&user(n), &[])).await;
        *seen.entry((answer.status, answer.code)).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [(500, 131_000), (502, 0), (503, 2)]);
    let stats = simulator.stop().await;
    assert_eq!((stats.requests, stats.accepted, stats.faults["error-before"]), (30, 0, 30));
}

#[tokio::test]
async fn error_after_answers_5xx_and_has_accepted() {
    let (simulator, client) = with(Fault::ErrorAfter).await;
    for n in 0..10 {
        assert!(client.send(&template(&user(n), &[])).await.status >= 500);
    }
    let stats = simulator.stop().await;
    assert_eq!((stats.requests, stats.accepted, stats.refused.len()), (10, 10, 0));
}

#[tokio::test]
async fn throttled_refuses_with_room_left_and_is_no_violation() {
    let (simulator, client) = with(Fault::Throttled).await;
    let answer = client.send(&template(USER, &[])).await;
    assert_eq!((answer.status, answer.code), (400, 130_429));
    let stats = simulator.stop().await;
    assert_eq!((stats.accepted, stats.rate_violations, stats.refused[&130_429]), (0, 0, 1));
}

#[tokio::test]
async fn the_same_seed_disturbs_the_same_requests() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let simulator = exact().fault(Fault::Throttled, 0.3).start().await.unwrap();
        let client = Client::of(&simulator);
        let mut codes = Vec::new();
        for n in 0..40 {
            codes.push(client.send(&template(&user(n), &[])).await.code);
        }
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&0) && runs[0].contains(&130_429));
}

/// Sends five templates under a fault of the statuses, lets all delays pass, and returns the
/// statuses in the order in which they arrived, by message.
async fn statuses(fault: Fault, probability: f64) -> Vec<Vec<Value>> {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .fault(fault, probability)
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .statuses(StatusTimes { read: 1.0, ..StatusTimes::default() })
        .start()
        .await
        .expect("it holds in this test");
    let client = Client::of(&simulator);
    let mut wamids = Vec::new();
    for n in 0..5 {
        wamids.push(client.send(&template(&user(n), &[])).await.wamid().to_owned());
    }
    // Time has not moved, so everything still waits; then it all comes in one request, by due time.
    let waiting = usize::try_from(simulator.stats().callbacks.pending).expect("it holds in this test");
    clock.advance(Duration::from_secs(60));
    let all = receiver.collect("statuses", waiting).await;
    assert_eq!(all.len(), waiting);
    let of = |wamid: &String| {
        all.iter().filter(|status| status.get("id") == Some(&Value::from(wamid.as_str()))).cloned().collect()
    };
    wamids.iter().map(of).collect()
}

fn names(statuses: &[Value]) -> Vec<&str> {
    statuses.iter().map(|status| status.get("status").and_then(Value::as_str).expect("a name")).collect()
}

#[tokio::test]
async fn status_duplicated_posts_each_twice() {
    for of_one in statuses(Fault::StatusDuplicated, 1.0).await {
        let mut names = names(&of_one);
        names.sort_unstable();
        assert_eq!(names, ["delivered", "delivered", "read", "read", "sent", "sent"]);
    }
}

#[tokio::test]
async fn status_shuffled_changes_the_order_of_arrival_but_no_time_stamp() {
    for of_one in statuses(Fault::StatusShuffled, 1.0).await {
        let names = names(&of_one);
        assert_ne!(names, ["sent", "delivered", "read"]);
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["delivered", "read", "sent"]);
    }
}

#[tokio::test]
async fn status_delayed_comes_after_what_happened_later() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .fault(Fault::StatusDelayed, 1.0)
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .statuses(StatusTimes { delivered: 0.0, ..StatusTimes::default() })
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    let late = client.send(&template(&user(0), &[])).await.wamid().to_owned();
    simulator.set_fault(Fault::StatusDelayed, 0.0).unwrap();
    clock.advance(Duration::from_secs(4));
    let prompt = client.send(&template(&user(1), &[])).await.wamid().to_owned();
    clock.advance(Duration::from_secs(2));
    let arrived = receiver.collect("statuses", 2).await;
    assert_eq!([&arrived[0]["id"], &arrived[1]["id"]], [&Value::from(prompt), &Value::from(late)]);
    let second = |status: &Value| status["timestamp"].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(second(&arrived[0]) - second(&arrived[1]), 4, "the time stamps stay true");
}

#[tokio::test]
async fn status_missing_loses_some_and_leaves_the_others() {
    assert!(statuses(Fault::StatusMissing, 1.0).await.concat().is_empty());
    let some = statuses(Fault::StatusMissing, 0.5).await.concat().len();
    assert!((1..15).contains(&some), "{some}");
}

#[tokio::test]
async fn failed_after_sent_fails_with_a_reason_in_place_of_delivery() {
    for of_one in statuses(Fault::FailedAfterSent, 1.0).await {
        assert_eq!(names(&of_one), ["sent", "failed"]);
        let error = &of_one[1]["errors"][0];
        assert!([131_026, 131_049, 131_000].contains(&error["code"].as_u64().unwrap()));
        assert!(error["title"].is_string() && error["error_data"]["details"].is_string());
    }
}

#[tokio::test]
async fn throttle_storm_refuses_for_a_while_and_is_no_violation() {
    let clock = ManualClock::default();
    let builder = exact().clock(clock.clone()).storms_last(Duration::from_secs(10));
    let simulator = builder.fault(Fault::ThrottleStorm, 1.0).start().await.unwrap();
    let client = Client::of(&simulator);
    assert_eq!(client.send(&template(&user(0), &[])).await.code, 130_429);
    simulator.set_fault(Fault::ThrottleStorm, 0.0).unwrap();
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(client.send(&template(&user(0), &[])).await.code, 130_429);
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.send(&template(&user(0), &[])).await.status, 200);
    let stats = simulator.stop().await;
    assert_eq!((stats.violations(), stats.refused[&130_429], stats.faults["throttle-storm"]), (0, 2, 1));
}

#[tokio::test]
async fn held_for_quality_answers_so_and_sends_later() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let hold = Duration::from_secs(60);
    let builder = exact().clock(clock.clone()).held_for(hold).fault(Fault::HeldForQuality, 1.0);
    let simulator = builder.webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    let answer = client.send(&template(USER, &[])).await;
    assert_eq!(answer.body["messages"][0]["message_status"], "held_for_quality_assessment");
    simulator.open_window(NUMBER, USER).unwrap();
    let prompt = client.send(&text(USER, "no template")).await;
    assert!(prompt.body["messages"][0].get("message_status").is_none());
    clock.advance(Duration::from_secs(1));
    let first = receiver.collect("statuses", 2).await;
    assert!(first.iter().all(|status| status["id"] == prompt.wamid()));
    clock.advance(hold);
    let held = &receiver.collect("statuses", 1).await[0];
    assert_eq!((held["id"].as_str(), &held["status"]), (Some(answer.wamid()), &Value::from("sent")));
    assert_eq!(held["timestamp"], (1_793_491_200 + 60).to_string());
}
