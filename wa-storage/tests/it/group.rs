//! Group commit, and several writers on one file.

use std::num::NonZeroUsize;
use std::sync::Arc;

use wa_core::model::{Lane, NewMessage, RawId, SessionId, TenantId};
use wa_core::port::store::{Enqueue, Projection, RawBody, Store, StoreErrorKind};
use wa_core::testing::scope;
use wa_storage::{SqliteOptions, SqliteStore};

use crate::file::join_all;
use crate::world::{World, admin, transport};

fn messages(world: &World, session: SessionId, count: u64) -> Vec<NewMessage> {
    (0..count).map(|to| world.message(session, to, Lane::Bulk)).collect()
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let world = World::new().await;
    let session = world.add_session("1").await;
    let messages = messages(&world, session.id, 200);
    let before = world.store.stats();
    let scope = world.scope();
    let answers = join_all(messages.iter().map(|it| world.store.outbox().enqueue(&scope, it))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Enqueue::Queued(_)))));
    let after = world.store.stats();
    assert_eq!(after.jobs - before.jobs, 200);
    let commits = after.commits - before.commits;
    assert!((4..=40).contains(&commits), "{commits} commits for 200 calls, at most 64 in each");
    assert_eq!(
        after.synced_commits - before.synced_commits,
        commits,
        "a queued message survives a power cut"
    );
}

#[tokio::test]
async fn a_group_of_one_commits_each_call() {
    let world = World::new().await;
    let session = world.add_session("1").await;
    let single = SqliteStore::open(world.options().group(NonZeroUsize::MIN)).expect("a store");
    let messages = messages(&world, session.id, 20);
    let scope = world.scope();
    join_all(messages.iter().map(|it| single.outbox().enqueue(&scope, it))).await;
    assert_eq!(single.stats().commits, 20);
}

#[tokio::test]
async fn a_call_that_fails_takes_nothing_of_its_group_with_it() {
    let world = World::new().await;
    let session = world.add_session("1").await;
    let messages = messages(&world, session.id, 10);
    let scope = world.scope();
    let enqueue = join_all(messages.iter().map(|it| world.store.outbox().enqueue(&scope, it)));
    // Another name under a known id breaks the key, alone.
    let (admin, name) = (admin(), "another".parse().expect("a name"));
    let (failed, queued) =
        tokio::join!(world.store.directory().ensure_tenant(&admin, &name, world.tenant), enqueue);
    assert_eq!(failed.expect_err("the id is taken").kind(), StoreErrorKind::Broken);
    assert!(queued.iter().all(Result::is_ok));
    for message in &messages {
        world.view(message.id).await;
    }
}

#[tokio::test]
async fn calls_that_change_nothing_are_no_commits() {
    let world = World::new().await;
    let before = world.store.stats();
    for _ in 0..3 {
        world.store.audience().advance(&admin()).await.expect("a step");
    }
    let after = world.store.stats();
    assert_eq!((after.jobs - before.jobs, after.commits - before.commits), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn busy_never_surfaces_under_four_writers() {
    let world = World::new().await;
    let session = world.add_session("1").await.id;
    let tenant = world.tenant;
    let path = world.path();
    let stores: Vec<Arc<SqliteStore>> =
        (0..4).map(|_| Arc::new(SqliteStore::open(SqliteOptions::new(&path)).expect("a store"))).collect();
    let mut writers = tokio::task::JoinSet::new();
    for (n, store) in (0_u64..).zip(&stores) {
        let messages: Vec<_> = messages(&world, session, 150);
        writers.spawn(write_all(Arc::clone(store), tenant, messages, n));
    }
    while let Some(done) = writers.join_next().await {
        assert_eq!(done.expect("a writer"), 150);
    }
    let conn = rusqlite::Connection::open(&path).expect("the file");
    let stored: u32 = conn.query_row("SELECT count(*) FROM due", [], |row| row.get(0)).expect("a count");
    assert_eq!(stored, 600);
    let fine: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(fine, "ok");
}

async fn write_all(store: Arc<SqliteStore>, tenant: TenantId, messages: Vec<NewMessage>, n: u64) -> usize {
    let scope = scope::tenant(tenant);
    let mut done = 0;
    for message in &messages {
        let answer = store.outbox().enqueue(&scope, message).await;
        assert!(matches!(answer, Ok(Enqueue::Queued(_))), "writer {n}: {answer:?}");
        done += 1;
    }
    done
}

#[tokio::test]
async fn a_long_deletion_lets_others_in_between() {
    let world = World::new().await;
    let body = |n: u128| RawBody {
        id: RawId::from_uuid(uuid::Uuid::from_u128(n)),
        transport: transport(),
        body: n.to_be_bytes().to_vec(),
        received_at: world.now(),
    };
    let bodies: Vec<_> = (0..2_500).map(body).collect();
    world.store.inbox().keep(&admin(), &bodies).await.expect("kept");
    let projection = |raw: &RawBody| Projection {
        raw: raw.id,
        transport: transport(),
        received_at: raw.received_at,
        events: Vec::new(),
    };
    let projections: Vec<_> = bodies.iter().map(projection).collect();
    world.store.inbox().project(&admin(), &projections).await.expect("projected");
    let before = world.store.stats();
    let later = world.now() + chrono::TimeDelta::seconds(1);
    assert_eq!(world.store.inbox().prune(&admin(), later).await.expect("a count"), 2_500);
    assert_eq!(world.store.stats().commits - before.commits, 3, "a thousand at a time");
}
