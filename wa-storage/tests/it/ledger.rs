//! The ledger under random events: totals are the sum of what webhooks say, to the micro, and no
//! budget is passed.
//!
//! The test adds up on its own what each webhook charges and never asks a rule for a price. Statuses
//! are repeated and come in any order, some before the answer to their request; messages fail before
//! and after their price is known; categories come that nobody knows.
//!
//! `WA_LEDGER_EVENTS` sets how many events there are (a million takes some minutes in release),
//! `WA_LEDGER_SEED` the seed.

mod bench;
mod fate;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use wa_core::memory::MemoryStore;
use wa_core::model::{BudgetOf, Period, RateCategory, UtcOffset, from_micros};
use wa_core::port::Clock;
use wa_core::port::store::{Cost, CostOf, Store, TrendBy, TrendQuery};
use wa_core::testing::ManualClock;

use self::bench::{BATCH, Bench};
use self::fate::{kept, sum};
use crate::world::{World, admin};

fn told(cost: &Cost) -> (i64, u64, u64) {
    (cost.micros.values().sum(), cost.messages, cost.unpriced)
}

#[track_caller]
fn equal(name: &str, of: impl Debug, expected: (i64, u64, u64), told: (i64, u64, u64), off: &mut i64) {
    *off += (expected.0 - told.0).abs();
    assert_eq!(told, expected, "{name} {of:?}: (micros, attempts, unpriced)");
}

/// Runs so many events and compares every total.
async fn run(name: &str, store: Arc<dyn Store>, clock: Arc<ManualClock>, events: u64, seed: u64) -> String {
    let mut bench = Bench::new(store, clock, events, seed).await;
    // About five events come of each message.
    let members = (events / 60).clamp(20, 5_000);
    let campaigns = usize::try_from((events / 5 / members).max(4)).expect("few");
    bench.launch(campaigns, members).await;
    // About twenty days, over the end of a month. SQLite forgets a status of no known attempt after thirty.
    let step = Duration::from_secs(20 * 86_400 * 250 / events);
    while bench.events < events {
        let idle = match bench.roll(8) {
            0 => {
                bench.enqueue(20).await;
                false
            }
            1 | 2 => !bench.begin().await && bench.letters.is_empty(),
            _ => {
                bench.deliver(BATCH).await;
                bench.letters.is_empty()
            }
        };
        bench.clock.advance(step);
        if bench.roll(20) == 0 {
            bench.store.audience().advance(&admin()).await.expect("a step");
        }
        if idle {
            // Nobody waits for a price any more: what stands still has no money left, or nothing to send.
            bench.enqueue(BATCH / 2).await;
            bench.raise().await;
            bench.clock.advance(Duration::from_secs(61));
            bench.begin().await;
        }
    }
    while !bench.letters.is_empty() {
        bench.deliver(BATCH).await;
    }
    bench.answer_all().await;
    bench.check_budgets().await;
    let passed = bench.passed;
    bench.letters = std::mem::take(&mut bench.late);
    while !bench.letters.is_empty() {
        bench.deliver(BATCH).await;
    }

    let mut off = 0;
    let fates = &bench.fates;
    let everything = bench.cost(CostOf::Everything).await;
    equal("everything", (), sum(fates.values()), told(&everything), &mut off);
    for category in RateCategory::ALL {
        let of = fates.values().filter(|fate| fate.counted_as() == *category);
        let part = everything.by_category.get(category).cloned().unwrap_or_default();
        let part = (part.micros.values().sum(), part.messages, part.unpriced);
        equal("category", category, sum(of), part, &mut off);
    }
    for (place, (id, _)) in bench.campaigns.iter().enumerate() {
        let of = fates.values().filter(|fate| fate.campaign == Some(place));
        equal("campaign", place, sum(of), told(&bench.cost(CostOf::Campaign(*id)).await), &mut off);
    }
    let (start, end) = (from_micros(START), bench.clock.now() + TimeDelta::days(1));
    let india = UtcOffset::from_minutes(330).expect("an offset");
    let ask = TrendQuery { from: start, to: end, by: TrendBy::Day(india), session: None };
    let trend = bench.store.reports().trend(&bench.tenant, &ask).await.expect("a trend");
    let mut days = 0;
    for point in &trend {
        let (from, to) = (point.from, point.from + TimeDelta::days(1));
        let of: Vec<_> = fates.values().filter(|fate| (from..to).contains(&fate.begun_at)).collect();
        equal("day", from, sum(of), told(&point.cost), &mut off);
        equal(
            "period",
            from,
            told(&point.cost),
            told(&bench.cost(CostOf::Between { from, to }).await),
            &mut off,
        );
        days += point.begun;
    }
    assert_eq!(days, u64::try_from(fates.len()).expect("few"), "every attempt is in a day");
    let months: std::collections::BTreeSet<_> =
        fates.values().map(|fate| Period::at(fate.begun_at, india)).collect();
    for month in &months {
        let used = bench.store.ledger().budget_use(&bench.tenant, BudgetOf::Month(*month)).await;
        let used = used.expect("an answer").values().map(|used| used.committed).sum::<i64>();
        let of: Vec<_> = fates.values().filter(|fate| Period::at(fate.begun_at, india) == *month).collect();
        let kept: i64 = of.iter().map(|fate| kept(fate)).sum();
        assert_eq!(used, kept, "what is kept of {month}");
    }
    let (micros, counted, unpriced) = sum(fates.values());
    let lines = [
        format!(
            "{name}: {} events, {} attempts ({counted} count, {unpriced} unpriced), {} campaigns, {} days, {} months",
            bench.events,
            fates.len(),
            bench.campaigns.len(),
            trend.len(),
            months.len(),
        ),
        format!(
            "{name}: webhooks charge {micros} micros; totals by category, campaign, tenant, period differ by {off}"
        ),
        format!("{name}: budgets passed by {}", passed.max(0)),
    ];
    assert_eq!(off, 0);
    assert!(passed <= 0, "a budget was passed by {passed}");
    assert!(passed > -bench.budget / 100, "no budget was ever close to its limit: {passed}");
    assert!(unpriced > 0 && counted < u64::try_from(fates.len()).expect("few"));
    lines.join("\n")
}

const START: i64 = 1_792_400_000_000_000;

fn events(default: u64) -> (u64, u64) {
    let setting = |name: &str, default| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
    };
    (setting("WA_LEDGER_EVENTS", default), setting("WA_LEDGER_SEED", 7))
}

#[tokio::test]
async fn totals_are_the_sum_of_what_webhooks_charge_and_no_budget_is_passed() {
    let world = World::new().await;
    world.clock.set(from_micros(START));
    world.store.close();
    let (events, seed) = events(12_000);
    let told = run("sqlite", Arc::new(world.another()), Arc::clone(&world.clock), events, seed).await;
    println!("{told}");
}

#[tokio::test]
async fn the_reference_store_agrees() {
    let clock = Arc::new(ManualClock::new(from_micros(START)));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let (events, seed) = events(2_000);
    let told = run("memory", store, clock, events.min(2_000), seed).await;
    println!("{told}");
}
