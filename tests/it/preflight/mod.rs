//! A preflight says exactly what the campaign then does: random worlds, played by the simulator over
//! HTTP on a clock that is moved by hand.

mod play;
mod stage;
mod world;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use wa_kit::model::{Currency, SkipReason};
use wa_kit::service::Preflight;

use self::play::Played;
use self::stage::Stage;
use self::world::World;

/// How many worlds are played; `WA_PREFLIGHTS` asks for more.
const WORLDS: u64 = 6;

/// What all worlds together came to.
#[derive(Debug, Default)]
struct Sum {
    audience: u64,
    go: u64,
    held: u64,
    unpriced: u64,
    blocked: BTreeMap<SkipReason, u64>,
    waited: BTreeMap<String, u64>,
    cost: BTreeMap<Currency, i64>,
    latest: TimeDelta,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_says_what_the_campaign_then_does() {
    let worlds = std::env::var("WA_PREFLIGHTS").map_or(WORLDS, |n| n.parse().expect("a number of worlds"));
    let first = std::env::var("WA_PREFLIGHT_SEED").map_or(1, |seed| seed.parse().expect("a seed"));
    let mut sum = Sum::default();
    for seed in first..first + worlds {
        let world = World::draw(seed);
        let stage = Stage::set(&world).await;
        stage.live_before(&world).await;
        let said = stage.preflight(&world).await;
        let played = stage.play(&world).await;
        let context = format!("WA_PREFLIGHT_SEED={seed} WA_PREFLIGHTS=1\n{world:?}\n{said:#?}\n{played:#?}");
        compare(&said, &played, &context);
        sum.add(&said, &played);
    }
    println!("{}", sum.line(worlds));
    if worlds >= 200 {
        assert!(sum.go > 1_000 && sum.held > 100, "the worlds are too simple: {sum:?}");
        assert!(sum.blocked.len() >= 7 && sum.waited.len() >= 5, "the worlds are too alike: {sum:?}");
    }
}

fn compare(said: &Preflight, played: &Played, context: &str) {
    assert_eq!(said.audience, played.audience, "audience: {context}");
    assert_eq!(said.blocked, played.blocked, "blocked: {context}");
    assert_eq!(said.go, played.go, "go: {context}");
    assert_eq!(said.by_session, played.by_session, "by session: {context}");
    assert_eq!(said.held.values().sum::<u64>(), played.held, "held: {context}");
    assert_eq!(said.unpriced, played.unpriced, "unpriced: {context}");
    assert_eq!(said.cost, played.cost, "cost, to the micro: {context}");
    assert_eq!(played.cost_by_provider, played.cost, "what the provider charges: {context}");
    for (then, really) in [(said.starts_at, played.starts_at), (said.ends_at, played.ends_at)] {
        assert_eq!(then.is_some(), really.is_some(), "{context}");
        let away = then.zip(really).map_or(TimeDelta::zero(), |(then, really)| (then - really).abs());
        assert!(away <= played.tolerance, "{then:?} {really:?}: {context}");
    }
}
