//! A worker that sleeps past its lease and wakes: it begins nothing, and its outcomes are facts all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use wa_core::model::{AttemptKey, Fact, MessageState, Outcome, RejectClass, Tier};
use wa_core::port::Clock;
use wa_core::port::store::{AttemptFact, Begun, Store};
use wa_core::testing::SeededEntropy;
use wa_storage::TestDatabase;

use super::figure;
use super::world::{World, batch, fresh_phone, holding, number, recount, watcher};
use crate::world::{accepted, failure};

const LEASE: Duration = Duration::from_secs(15);

type Dump = BTreeMap<String, BTreeSet<String>>;

/// Every row of every table.
async fn dump(watcher: &mut PgConnection) -> Dump {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'wa_kit'::regnamespace AND relkind = 'r'",
    )
    .fetch_all(&mut *watcher)
    .await
    .expect("the tables");
    let mut all = Dump::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM {table} t")))
            .fetch_all(&mut *watcher)
            .await
            .expect("the rows");
        all.insert(table, rows.into_iter().collect());
    }
    all
}

/// The rows that came and went, by table.
fn changes(before: &Dump, after: &Dump) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for (table, old) in before {
        let changed: Vec<String> = after[table].symmetric_difference(old).cloned().collect();
        if !changed.is_empty() {
            all.insert(table.clone(), changed);
        }
    }
    all
}

/// Tables to which a merge appends what it did, and which no row of leaves.
const APPENDED: [&str; 3] = ["delta", "rollup_delta", "journal"];

/// What happens late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Late {
    Accepted,
    Refused,
    NotSent,
    Unknown,
}

/// Brings a frozen worker's outcome in, and looks at every row of the database before and after.
async fn settle_late(world: &World, watcher: &mut PgConnection, key: AttemptKey, late: Late) {
    let outcome = match late {
        Late::Accepted => accepted(&format!("wamid.{}.{}", key.message, key.n)),
        Late::Refused => Outcome::Rejected(failure(131_026, RejectClass::Recipient)),
        Late::NotSent => Outcome::NotSent,
        Late::Unknown => Outcome::Ambiguous,
    };
    let fact = AttemptFact { attempt: key, at: world.now(), outcome, retry_after: None };
    let before = dump(watcher).await;
    let settled = world.store.outbox().settle(std::slice::from_ref(&fact)).await.expect("an answer");
    assert_eq!(settled.unknown, [], "its attempt is there");
    let after = dump(watcher).await;
    let changed = changes(&before, &after);
    let (message, tenant) = (key.message.as_uuid().to_string(), key.tenant.as_uuid().to_string());
    for (table, rows) in &changed {
        for row in rows {
            let is_allowed = match table.as_str() {
                // Of this message, and what it gives back.
                "result" | "open_attempt" | "doubt" | "due" | "failure" | "touch" => row.contains(&message),
                "quota_usage" | "budget_use" => row.contains(&tenant) && late != Late::Accepted,
                "tier_slot" | "tier_usage" => matches!(late, Late::Refused | Late::NotSent),
                "campaign_meter" => late == Late::Refused,
                table if APPENDED.contains(&table) => after[table].contains(row),
                _ => false,
            };
            assert!(is_allowed, "{late:?} changed {table}: {row}");
        }
    }
    if matches!(late, Late::Accepted | Late::Unknown) {
        let given_back = ["quota_usage", "budget_use", "tier_slot", "tier_usage", "touch", "due", "failure"];
        assert!(given_back.iter().all(|table| !changed.contains_key(*table)), "{late:?}: {changed:?}");
    }
    // Again, it changes nothing at all.
    for _ in 0..2 {
        world.store.outbox().settle(std::slice::from_ref(&fact)).await.expect("an answer");
    }
    let again = changes(&after, &dump(watcher).await);
    assert!(again.is_empty(), "{late:?} a second time: {again:?}");
    recount(watcher).await;
}

#[tokio::test]
async fn a_worker_that_wakes_after_its_lease_begins_nothing_and_its_outcomes_count() {
    let rounds: u64 = figure("WA_FROZEN", 3);
    let database = TestDatabase::create().await;
    let (world, clock) = World::still(&database).await;
    world.quota(1_000_000).await;
    let session = world.session("1", "portfolio").await.id;
    world.tier(session, Tier::Limited(1_000_000)).await;
    let campaign = world.campaign("news", rounds * 8, &[session]).await.id;
    let mut watcher = watcher(&database).await;
    let dice = SeededEntropy::new(7);
    let (mut refused, mut late) = (0, BTreeMap::<Late, u32>::new());
    let mut epoch = 0;
    for round in 0..rounds {
        for _ in 0..4 {
            world.enqueue(session, fresh_phone()).await;
        }
        let asleep = world.acquire(1, LEASE).await;
        assert_eq!(asleep.len(), 1, "it is free");
        let frozen = holding(1, &asleep);
        let page = world.due(&frozen, session, 12).await;
        let begun = world.begin_due(&frozen, session, 8).await.attempts;
        assert_eq!(begun.len(), 8);

        // It sleeps; another one takes over, begins the rest and finds what the first left open.
        clock.advance(LEASE);
        assert!(asleep[0].until <= clock.now());
        let leases = world.acquire(2, LEASE * 20).await;
        assert!(leases[0].epoch > asleep[0].epoch && asleep[0].epoch > epoch, "epochs only grow");
        epoch = leases[0].epoch;
        assert_eq!(leases[0].quiet_until, Some(begun[0].end_by), "it waits for what may still be sent");
        let second = holding(2, &leases);
        let theirs = world.begin_due(&second, session, 2).await.attempts;
        assert_eq!(theirs.len(), 2);
        if round % 2 == 1 {
            clock.advance(Duration::from_secs(60));
            let swept =
                world.store.outbox().sweep(&second, Duration::from_secs(10)).await.expect("an answer");
            assert_eq!(swept.in_doubt.len(), 10, "theirs too");
        }

        // It wakes and goes on as if nothing had happened.
        let before = dump(&mut watcher).await;
        for size in [1, 4, 12] {
            let again = batch(session, &page[..size.min(page.len())]);
            assert_eq!(world.try_begin(&frozen, &again).await.expect("an answer"), Begun::LeaseLost);
            refused += 1;
        }
        let rest = batch(session, &world.due(&second, session, 100).await);
        assert_eq!(world.try_begin(&frozen, &rest).await.expect("an answer"), Begun::LeaseLost);
        refused += 1;
        assert_eq!(world.due(&frozen, session, 100).await, [], "nothing is shown to it");
        let (numbers, outbox) = (world.store.numbers(), world.store.outbox());
        assert_eq!(numbers.heartbeat(&frozen, LEASE).await.expect("an answer"), []);
        assert!(!numbers.release(&frozen, session, &Default::default()).await.expect("an answer"));
        assert_eq!(outbox.sweep(&frozen, Duration::ZERO).await.expect("an answer").in_doubt, []);
        assert_eq!(changes(&before, &dump(&mut watcher).await), BTreeMap::new(), "not a row has changed");

        // What it learnt of its own attempts are facts.
        let mut how = [Late::Accepted, Late::Refused, Late::NotSent, Late::Unknown].repeat(2);
        for place in 1..how.len() {
            how.swap(place, usize::try_from(dice.next() % 8).expect("few"));
        }
        for (attempt, how) in begun.iter().zip(how) {
            settle_late(&world, &mut watcher, attempt.key, how).await;
            *late.entry(how).or_default() += 1;
            let view = world.view(attempt.key.message).await;
            let (state, known) = match how {
                Late::Accepted => (MessageState::Accepted, Fact::Accepted),
                Late::Refused => (MessageState::Failed, Fact::Rejected),
                Late::NotSent => (MessageState::Held, Fact::NotSent),
                Late::Unknown => (MessageState::InDoubt, Fact::InDoubt),
            };
            let own = view.attempts.iter().find(|it| it.n == attempt.key.n).expect("its attempt");
            assert!(own.facts.has(known), "{how:?}: {view:?}");
            assert_eq!(view.state, state, "{how:?}: {view:?}");
        }
        for attempt in theirs {
            let view = world.view(attempt.key.message).await;
            let last = view.attempts.last().expect("an attempt");
            assert_eq!(last.n, attempt.key.n, "what the second began is its own");
            assert!(!last.facts.is_taken(), "and nobody has settled it: {view:?}");
            world.settle(attempt.key, accepted(&format!("wamid.{}", attempt.key.message))).await;
        }
        world.counts(campaign).await;
        assert!(numbers.release(&second, session, &Default::default()).await.expect("an answer"));
        clock.advance(Duration::from_secs(60));
    }
    let twice = "SELECT count(*) FROM (SELECT 1 FROM attempt a LEFT JOIN result r USING (tenant, message, n) \
         WHERE r.released_at IS NULL GROUP BY tenant, message HAVING count(*) > 1) x";
    assert_eq!(number(&mut watcher, twice).await, 0, "nothing is begun twice");
    println!(
        "frozen: {rounds} times past its lease, {refused} begins tried, 0 accepted; late outcomes {late:?}, each \
         brought 3 times and counted once"
    );
}
