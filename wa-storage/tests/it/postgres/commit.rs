//! The way to the server breaks at the COMMIT of a begin: nobody knows whether it arrived, until somebody asks.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgConnection;
use wa_core::model::{MessageState, Tier};
use wa_core::port::Clock;
use wa_core::port::store::{Abandoned, Begun, Store, StoreErrorKind};
use wa_core::testing::SeededEntropy;
use wa_storage::{PostgresOptions, TestDatabase};

use super::figure;
use super::proxy::{Cut, Proxy};
use super::world::{FOR_LONG, World, batch, fresh_phone, number, recount, watcher};
use crate::world::accepted;

const AT_ONCE: u32 = 6;

/// What the limits have taken.
async fn taken(watcher: &mut PgConnection) -> [i64; 5] {
    [
        number(watcher, "SELECT coalesce(sum(used), 0)::bigint FROM quota_usage").await,
        number(watcher, "SELECT coalesce(sum(used), 0)::bigint FROM tier_usage").await,
        number(watcher, "SELECT count(*) FROM touch").await,
        number(watcher, "SELECT coalesce(sum(committed), 0)::bigint FROM budget_use").await,
        number(watcher, "SELECT count(*) FROM open_attempt").await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_begin_whose_commit_is_lost_is_unknown_and_is_given_back_whole() {
    let cuts: u64 = figure("WA_COMMIT_CUTS", 20);
    let database = TestDatabase::create().await;
    let (world, clock) = World::still(&database).await;
    let proxy = Proxy::to(database.url()).await;
    let by_proxy: PostgresOptions = PostgresOptions::new(proxy.url()).connections(3);
    let shared: std::sync::Arc<dyn Clock> = std::sync::Arc::<wa_core::testing::ManualClock>::clone(&clock);
    let far = world.by(by_proxy.clock(shared)).await;
    world.quota(100_000).await;
    let session = world.session("1", "portfolio").await.id;
    world.tier(session, Tier::Limited(100_000)).await;
    let campaign = world.campaign("news", 3 * cuts, &[session]).await.id;
    let worker = world.hold(1).await;
    let mut singles = Vec::new();
    let mut watcher = watcher(&database).await;
    let dice = SeededEntropy::new(17);
    let (mut came, mut attempts): (BTreeMap<String, (u32, u32)>, u32) = Default::default();
    for cut in 0..cuts {
        for _ in 0..2 {
            singles.push(world.enqueue(session, fresh_phone()).await);
        }
        // What was begun for good before stays so.
        if dice.next().is_multiple_of(2) {
            for begun in world.begin_due(&worker, session, 2).await.attempts {
                world
                    .settle(begun.key, accepted(&format!("wamid.{}.{}", begun.key.message, begun.key.n)))
                    .await;
            }
        }
        let before = taken(&mut watcher).await;
        let due = world.due(&worker, session, AT_ONCE).await;
        let batch = batch(session, &due);
        let how = match cut % 3 {
            0 => Cut::BeforeCommit,
            1 => Cut::AfterCommit,
            _ => Cut::WithCommit,
        };
        proxy.order(how);
        let lost = far.try_begin(&worker, &batch).await.expect_err("its commit is lost");
        assert_eq!(lost.kind(), StoreErrorKind::Unknown, "{how:?}: {lost:?}");
        assert_eq!(proxy.made(), [how]);

        // Whoever asks, by whatever way, learns the same.
        let first = if dice.next().is_multiple_of(2) { &world } else { &far };
        let abandoned = first.store.outbox().abandon(&worker, batch.id).await.expect("an answer");
        let size = u32::try_from(due.len()).expect("few");
        let (here, never) = came.entry(format!("{how:?}")).or_default();
        match abandoned {
            Abandoned::WasCommitted(some) => {
                assert_eq!(some, size, "all of it or nothing");
                assert_ne!(how, Cut::BeforeCommit);
                *here += 1;
                attempts += some;
            }
            Abandoned::NeverCame => {
                assert_ne!(how, Cut::AfterCommit, "the server had it");
                *never += 1;
            }
        }
        let again = far.store.outbox().abandon(&worker, batch.id).await.expect("an answer");
        let nothing_more = match abandoned {
            Abandoned::WasCommitted(_) => Abandoned::WasCommitted(0),
            Abandoned::NeverCame => Abandoned::NeverCame,
        };
        assert_eq!(again, nothing_more);
        assert_eq!(world.try_begin(&worker, &batch).await.expect("an answer"), Begun::UsedBatch);
        assert_eq!(taken(&mut watcher).await, before, "{how:?}: everything is given back");
        recount(&mut watcher).await;
        world.counts(campaign).await;
        clock.advance(Duration::from_secs(5));
    }

    // Under new ids everything begins, each message once, however long it waits now for its next try.
    while number(&mut watcher, "SELECT count(*) FROM due").await > 0
        || number(&mut watcher, "SELECT coalesce(sum(remaining), 0)::bigint FROM feed").await > 0
    {
        clock.advance(Duration::from_secs(60));
        let held = world.store.numbers().heartbeat(&worker, FOR_LONG).await.expect("an answer");
        assert_eq!(held, [session]);
        for attempt in far.begin_due(&worker, session, 100).await.attempts {
            let name = format!("wamid.{}.{}", attempt.key.message, attempt.key.n);
            world.settle(attempt.key, accepted(&name)).await;
        }
    }
    let mut views = world.recipients(campaign).await;
    for single in singles {
        views.push(world.view(single).await);
    }
    for view in &views {
        assert_eq!(view.state, MessageState::Accepted, "{view:?}");
        let kept = view.attempts.iter().filter(|it| !it.facts.is_definitely_undelivered());
        assert_eq!(kept.count(), 1, "begun once: {view:?}");
    }
    recount(&mut watcher).await;
    world.counts(campaign).await;
    println!(
        "commits cut off: {cuts}, (came, never came) by place {came:?}, {attempts} attempts given back; of {} \
         messages 0 lost, 0 begun twice",
        views.len()
    );
}
