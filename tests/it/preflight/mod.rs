//! A preflight says exactly what the campaign then does: random worlds, played by the simulator over
//! HTTP on a clock that is moved by hand.

mod play;
mod stage;
mod world;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use wa_kit::model::{Currency, SkipReason};
use wa_kit::service::Preflight;

use self::play::Played;
use self::stage::Stage;
use self::world::World;
use crate::figure;

/// How many worlds are played; `WA_PREFLIGHTS` asks for more.
const WORLDS: u64 = 6;

/// What all worlds together came to.
#[derive(Debug, Default)]
struct Sum {
    audience: u64,
    go: u64,
    held: u64,
    /// Of these, for how many the reasons were compared.
    held_for: u64,
    unpriced: u64,
    blocked: BTreeMap<SkipReason, u64>,
    waited: BTreeMap<String, u64>,
    cost: BTreeMap<Currency, i64>,
    latest: TimeDelta,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_says_what_the_campaign_then_does() {
    let worlds = figure("WA_PREFLIGHTS", WORLDS);
    let first = figure("WA_PREFLIGHT_SEED", 1);
    let mut sum = Sum::default();
    let mut differences = Vec::new();
    for seed in first..first + worlds {
        let world = World::draw(seed);
        let stage = Stage::set(&world).await;
        stage.live_before(&world).await;
        let said = stage.preflight(&world).await;
        let played = stage.play(&world).await;
        if let Some(what) = difference(&said, &played) {
            println!("seed {seed}: {what} differs: {world:?}\n{said:?}\n{played:?}");
            differences.push(format!("{what} (WA_PREFLIGHTS=1 WA_PREFLIGHT_SEED={seed})"));
        }
        sum.add(&said, &played);
    }
    println!("{}", sum.line(worlds, differences.len()));
    assert!(differences.is_empty(), "{differences:#?}");
    if worlds >= 200 {
        assert!(sum.go > 1_000 && sum.held > 100, "the worlds are too simple: {sum:?}");
        assert!(sum.blocked.len() >= 7 && sum.waited.len() >= 5, "the worlds are too alike: {sum:?}");
    }
}

/// What the preflight said otherwise than it came.
fn difference(said: &Preflight, played: &Played) -> Option<&'static str> {
    let near = |then: Option<DateTime<Utc>>, really: Option<DateTime<Utc>>| match (then, really) {
        (Some(then), Some(really)) => (then - really).abs() <= played.tolerance,
        (then, really) => then == really,
    };
    let same = [
        ("audience", said.audience == played.audience),
        ("blocked", said.blocked == played.blocked),
        ("go", said.go == played.go),
        ("by session", said.by_session == played.by_session),
        ("held", said.held.values().sum::<u64>() == played.held),
        ("why they are held", played.held_for.as_ref().is_none_or(|held_for| said.held == *held_for)),
        ("unpriced", said.unpriced == played.unpriced),
        ("cost, to the micro", said.cost == played.cost),
        ("what the provider charges", played.cost_by_provider == played.cost),
        ("start", near(said.starts_at, played.starts_at)),
        ("end", near(said.ends_at, played.ends_at)),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}
