//! The file: its mode, its schema, its limits, and what is there after a reopen.

use std::num::NonZeroUsize;
use std::time::Duration;

use wa_core::model::{IncarnationId, InstanceId, StreamPosition, TagKey};
use wa_core::port::store::{RawBody, Store, StoreErrorKind, StoreIdentity};
use wa_core::port::{Clock, SystemClock};
use wa_storage::{SqliteMigrations, SqliteOptions, SqliteStore};

use crate::world::{World, acquire, admin, transport};

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    acquire(&world.store, 1).await;
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mut path = world.path().into_os_string();
        path.push(ending);
        let mode = std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path:?}");
    }
}

#[tokio::test]
async fn a_reopened_store_is_the_same_store() {
    let mut world = World::new().await;
    let identity = |n: u8| StoreIdentity {
        instance: InstanceId::from_uuid(uuid::Uuid::from_u128(n.into())),
        incarnation: IncarnationId::from_uuid(uuid::Uuid::from_u128(n.into())),
        tag_key: TagKey::new([n; 32]),
    };
    let first = world.store.directory().identity(&admin(), &identity(1)).await.expect("an identity");
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 5, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 3).await;
    let events = world.store.journal().read(&admin(), StreamPosition(0), 100).await.expect("events");
    let counts = world.counts(campaign.id).await;
    world.reopen();
    let again = world.store.directory().identity(&admin(), &identity(2)).await.expect("an identity");
    assert_eq!(again, first);
    for attempt in &begun.attempts {
        assert_eq!(world.view(attempt.key.message).await.attempts.len(), 1);
    }
    assert_eq!(world.store.journal().read(&admin(), StreamPosition(0), 100).await.expect("events"), events);
    assert_eq!(world.counts(campaign.id).await, counts);
}

#[tokio::test]
async fn a_closed_store_refuses_every_call() {
    let world = World::new().await;
    world.store.close();
    world.store.close();
    let read = world.store.directory().tenant(&world.scope()).await.expect_err("closed");
    let write = world.store.audience().advance(&admin()).await.expect_err("closed");
    assert_eq!((read.kind(), write.kind()), (StoreErrorKind::Closed, StoreErrorKind::Closed));
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_loses_nothing_that_was_answered() {
    let world = World::new().await;
    world.store.close();
    let store = SqliteStore::open(world.options().max_pages(200)).expect("a store");
    let body = |n: u128| RawBody {
        id: wa_core::model::RawId::from_uuid(uuid::Uuid::from_u128(n)),
        transport: transport(),
        body: vec![u8::try_from(n % 251).expect("small"); 20_000 + usize::try_from(n).expect("small")],
        received_at: world.now(),
    };
    let mut kept = 0;
    let error = loop {
        match store.inbox().keep(&admin(), &[body(kept + 1)]).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1_000, "the limit is never reached");
    };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let left = store.inbox().unprojected(&admin(), None, 1_000).await.expect("a page");
    assert_eq!(u128::try_from(left.len()).expect("few"), kept);
    // What frees room, or needs none, still works.
    store.inbox().prune(&admin(), world.now()).await.expect("a count");
    store.close();
    let store = SqliteStore::open(world.options()).expect("the store with room");
    store.inbox().keep(&admin(), &[body(kept + 1)]).await.expect("room again");
}

#[tokio::test]
async fn a_group_that_meets_a_full_disk_answers_each_of_its_calls() {
    let world = World::new().await;
    world.store.close();
    let store = SqliteStore::open(world.options().max_pages(120)).expect("a store");
    let body = |n: u8| RawBody {
        id: wa_core::model::RawId::from_uuid(uuid::Uuid::from_u128(n.into())),
        transport: transport(),
        body: vec![n; 30_000],
        received_at: world.now(),
    };
    let bodies: Vec<_> = (1..=40).map(|n| [body(n)]).collect();
    let admin = admin();
    let calls = bodies.iter().map(|body| store.inbox().keep(&admin, body));
    let answers = join_all(calls).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.iter().all(|it| it.kind() == StoreErrorKind::Unavailable));
    let left = store.inbox().unprojected(&admin, None, 100).await.expect("a page").len();
    assert_eq!(left, answers.iter().filter(|answer| answer.is_ok()).count());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wa.db");
    std::fs::write(&path, vec![b'x'; 8_192]).expect("a file");
    let error = SqliteStore::open(SqliteOptions::new(&path)).expect_err("no database");
    assert_eq!(error.kind(), StoreErrorKind::Broken);
    let missing = folder.path().join("nowhere").join("wa.db");
    let error = SqliteStore::open(SqliteOptions::new(missing)).expect_err("no folder");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn migrations_are_listed_run_and_rolled_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions::new(folder.path().join("wa.db"));
    let mut migrations = SqliteMigrations::open(options.clone()).expect("a file");
    assert!(migrations.list().expect("a list").iter().all(|status| status.applied_at.is_none()));
    assert_eq!(migrations.run().expect("runs"), [1]);
    assert_eq!(migrations.roll_back_one().expect("rolls back"), Some(1));
    drop(migrations);
    let store = SqliteStore::open(options.clone()).expect("a store migrates by itself");
    store.close();
    let migrations = SqliteMigrations::open(options).expect("a file");
    assert!(migrations.list().expect("a list").iter().all(|status| status.applied_at.is_some()));
}

#[tokio::test]
async fn a_schema_two_versions_ahead_is_refused_and_one_ahead_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wa.db");
    let options = SqliteOptions::new(&path);
    SqliteStore::open(options.clone()).expect("a store").close();
    let conn = rusqlite::Connection::open(&path).expect("the file");
    conn.execute("INSERT INTO schema_version (version, applied_at) VALUES (2, 0)", []).expect("a row");
    SqliteStore::open(options.clone()).expect("one ahead").close();
    conn.execute("INSERT INTO schema_version (version, applied_at) VALUES (3, 0)", []).expect("a row");
    let error = SqliteStore::open(options).expect_err("two ahead");
    assert_eq!(error.kind(), StoreErrorKind::Broken);
}

#[tokio::test]
async fn a_stranger_who_holds_the_database_is_waited_for_and_then_named() {
    let world = World::new().await;
    let store = SqliteStore::open(world.options().busy_patience(Duration::ZERO).readers(NonZeroUsize::MIN))
        .expect("a store");
    let stranger = rusqlite::Connection::open(world.path()).expect("the file");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let error = store.audience().advance(&admin()).await.expect_err("the lock is held");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(store.directory().tenant(&world.scope()).await.expect("readers are not held up").is_some());
    stranger.execute_batch("ROLLBACK").expect("the lock is given back");
    store.audience().advance(&admin()).await.expect("a step");
}

/// Polls all calls together, so that they wait in the writer's queue at once.
pub(crate) async fn join_all<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<F::Output>> = calls.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (call, answer) in calls.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(ready) = call.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().map(|answer| answer.expect("all are there")).collect()
}

#[test]
fn many_who_open_a_new_file_at_once_all_get_a_store() {
    for _ in 0..8 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wa.db");
        let gate = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            let open = || {
                gate.wait();
                SqliteStore::open(SqliteOptions::new(&path)).map(drop)
            };
            let all: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            for one in all {
                one.join().expect("no panic").expect("a store");
            }
        });
    }
}

#[tokio::test]
async fn a_store_that_is_dropped_while_calls_wait_ends_soon() {
    let world = World::new().await;
    let store = SqliteStore::open(world.options().group(NonZeroUsize::MIN)).expect("a store");
    let stranger = rusqlite::Connection::open(world.path()).expect("the file");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let admin = admin();
    let mut calls: Vec<_> = (0..20).map(|_| store.audience().advance(&admin)).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut context).is_pending(), "it waits in the queue");
    }
    let started = SystemClock.monotonic();
    store.close();
    for answer in join_all(calls).await {
        assert_eq!(answer.expect_err("the lock is held").kind(), StoreErrorKind::Unavailable);
    }
    drop(store);
    let took = SystemClock.monotonic() - started;
    assert!(took < Duration::from_secs(10), "{took:?}: twenty calls do not use their patience up one by one");
}
