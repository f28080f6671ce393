//! Achieved against allowed throughput.

use std::time::Duration;

use serde_json::Value;
use wa_adapters::simulator::{
    Fault, ManualClock, NumberProfile, Simulator, SimulatorClock, TemplateCategory,
};

use super::setup::{Client, NUMBER, template, user};

const STEP: Duration = Duration::from_millis(100);

async fn ten_a_second(clock: &ManualClock) -> (Simulator, Client) {
    let profile = NumberProfile { throughput: 10, ..NumberProfile::default() };
    let builder = Simulator::builder().number(NUMBER, profile).any_template(TemplateCategory::Utility);
    let builder = builder.jitter_tolerance(Duration::ZERO).clock(clock.clone());
    let simulator = builder.start().await.expect("a simulator");
    let client = Client::of(&simulator);
    (simulator, client)
}

/// One send in a step; how many were accepted.
async fn send(client: &Client, clock: &ManualClock, users: std::ops::Range<usize>, every: u32) -> usize {
    let mut accepted = 0;
    for n in users {
        accepted += usize::from(client.send(&template(&user(n), &[])).await.status == 200);
        clock.advance(STEP * every);
    }
    accepted
}

#[tokio::test]
async fn a_sender_at_the_limit_achieves_all_and_one_at_half_of_it_half() {
    let clock = ManualClock::default();
    let (simulator, client) = ten_a_second(&clock).await;
    assert_eq!(send(&client, &clock, 0..50, 1).await, 50);
    let pace = simulator.pace(NUMBER).unwrap();
    assert_eq!((pace.achieved, pace.allowed, pace.achieved_permille()), (50, 50, Some(1_000)));
    assert_eq!((pace.busiest_second, pace.mean_per_1000_seconds), (10, 10_000));
    assert_eq!(send(&client, &clock, 50..100, 2).await, 50);
    let pace = simulator.pace(NUMBER).unwrap();
    // Half speed for ten seconds after five at full speed, up to the slot of the last one.
    assert_eq!((pace.achieved, pace.allowed), (100, 149));
    assert!(simulator.pace("nobody").is_err());
    let raw = reqwest::get(format!("{}/simulator/pace", simulator.origin())).await.unwrap();
    let shown: Value = serde_json::from_str(&raw.text().await.unwrap()).unwrap();
    assert_eq!(shown[NUMBER]["busiest_second"], 10);
}

#[tokio::test]
async fn the_simulator_s_own_throttles_and_outages_are_not_held_against_the_sender() {
    let clock = ManualClock::default();
    let (simulator, client) = ten_a_second(&clock).await;
    send(&client, &clock, 0..20, 1).await;
    simulator.throttle_storm(NUMBER, Duration::from_secs(10)).unwrap();
    assert_eq!(send(&client, &clock, 20..40, 5).await, 0);
    send(&client, &clock, 40..60, 1).await;
    simulator.set_fault(Fault::Throttled, 1.0).unwrap();
    assert_eq!(send(&client, &clock, 60..61, 10).await, 0);
    simulator.set_fault(Fault::Throttled, 0.0).unwrap();
    send(&client, &clock, 61..81, 1).await;
    simulator.upgrade_throughput(NUMBER, 20, Duration::from_secs(60)).unwrap();
    clock.advance(Duration::from_secs(60));
    for n in (100..140).step_by(2) {
        for n in [n, n + 1] {
            assert_eq!(client.send(&template(&user(n), &[])).await.status, 200);
        }
        clock.advance(STEP);
    }
    let pace = simulator.pace(NUMBER).unwrap();
    assert_eq!(pace.passed, 100);
    // Six seconds at 10 and two at 20; the last pair shares its slot, so half of it is left over.
    assert_eq!((pace.achieved, pace.allowed, pace.busiest_second), (100, 99, 20));
    assert_eq!(simulator.stop().await.violations(), 0);
}

#[tokio::test]
async fn told_spans_of_demand_replace_the_measured_one() {
    let clock = ManualClock::default();
    let (simulator, client) = ten_a_second(&clock).await;
    let begin = clock.now();
    send(&client, &clock, 0..20, 1).await;
    simulator.demand(NUMBER, begin, clock.now()).unwrap();
    // Nothing to send for an hour, then again.
    clock.advance(Duration::from_secs(3_600));
    let begin = clock.now();
    send(&client, &clock, 20..39, 1).await;
    simulator.demand(NUMBER, begin, begin + Duration::from_secs(2)).unwrap();
    let pace = simulator.pace(NUMBER).unwrap();
    assert_eq!((pace.achieved, pace.allowed, pace.achieved_permille()), (39, 40, Some(975)));
    assert_eq!(pace.demand_micros, 4_000_000);
    assert_eq!(pace.busy_micros, 3_900_000);
}
