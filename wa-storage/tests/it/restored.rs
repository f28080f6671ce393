//! A database that was copied, put back or failed over is noticed when it is opened, and sends nothing.

use std::path::{Path, PathBuf};

use wa_core::model::{CampaignState, IncarnationId, InstanceId, Lane, ReconcileCause, TagKey};
use wa_core::port::WorkerScope;
use wa_core::port::store::{Begun, Lease, Store, StoreIdentity};
use wa_core::testing::scope;
use wa_storage::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, TestDatabase};

use crate::world::{LEASE, World, acquire, admin, item, worker_id};

fn lock_of(path: &Path) -> PathBuf {
    path.with_extension("db.lock")
}

async fn cause(store: &dyn Store) -> Option<ReconcileCause> {
    let need = store.archive().awaits(&admin()).await.expect("an answer");
    need.map(|need| need.cause)
}

/// The scope of worker 2.
fn holder(leases: &[Lease]) -> WorkerScope {
    scope::worker(worker_id(2), leases.iter().map(|lease| (lease.session.id, lease.epoch)))
}

/// A file with a running campaign of which one message has begun, and the copy that was made before.
async fn copied_then_sent() -> (World, Vec<u8>) {
    let mut world = World::new().await;
    let identity = StoreIdentity {
        instance: InstanceId::from_uuid(world.uuid()),
        incarnation: IncarnationId::from_uuid(world.uuid()),
        tag_key: TagKey::new([1; 32]),
    };
    world.store.directory().identity(&admin(), &identity).await.expect("an identity");
    let (session, worker) = world.held("1", 1).await;
    world.running("people", 3, &[session.id]).await;
    assert_eq!(world.begin_due(&worker, session.id, 1).await.attempts.len(), 1);
    world.reopen();
    world.store.close();
    let copy = std::fs::read(world.path()).expect("the file is whole once it is closed");
    world.reopen();
    // Another worker, which knows by the file lock that the one before it is gone.
    let worker = holder(&acquire(&world.store, 2).await);
    assert_eq!(world.begin_due(&worker, session.id, 1).await.attempts.len(), 1);
    (world, copy)
}

fn put_back(world: &mut World, copy: &[u8]) {
    world.store.close();
    for end in ["-wal", "-shm"] {
        let mut path = world.path().into_os_string();
        path.push(end);
        drop(std::fs::remove_file(path));
    }
    std::fs::write(world.path(), copy).expect("the copy");
    world.store = SqliteStore::open(world.options()).expect("the store");
}

#[tokio::test]
async fn an_older_copy_of_the_file_sends_nothing() {
    let (mut world, copy) = copied_then_sent().await;
    assert_eq!(cause(&world.store).await, None);
    put_back(&mut world, &copy);
    assert_eq!(cause(&world.store).await, Some(ReconcileCause::OlderCopy));
    let held = world.store.archive().unreconciled(&admin(), None, 10).await.expect("a page");
    assert!(matches!(held.as_slice(), [(_, campaign)] if campaign.state == CampaignState::NeedsReconcile));

    world.clock.advance(2 * LEASE);
    let leases = acquire(&world.store, 2).await;
    let (session, worker) = (leases[0].session.id, holder(&leases));
    world.enqueue(session, 77, Lane::Transactional).await;
    let due = world.due(&worker, session, 100).await;
    assert_eq!(due.len(), 1, "what the campaign still has, the copy does not know to be sent");
    let Begun::Done(begun) = world.begin(&worker, &world.batch(session, &due)).await else {
        panic!("judged")
    };
    assert!(begun.attempts.is_empty(), "{begun:?}");

    assert!(world.store.archive().lift(&admin()).await.expect("an answer"));
    assert_eq!(world.begin_due(&worker, session, 100).await.attempts.len(), 1, "the single message");
    world.reopen();
    assert_eq!(cause(&world.store).await, None, "what was lifted stays so");
    // The same copy once more.
    put_back(&mut world, &copy);
    assert_eq!(cause(&world.store).await, Some(ReconcileCause::OlderCopy));
    world.reopen();
    assert_eq!(cause(&world.store).await, Some(ReconcileCause::OlderCopy), "it waits until it is lifted");
}

#[tokio::test]
async fn a_restored_file_begins_another_life() {
    let (mut world, copy) = copied_then_sent().await;
    let fresh = StoreIdentity {
        instance: InstanceId::from_uuid(world.uuid()),
        incarnation: IncarnationId::from_uuid(world.uuid()),
        tag_key: TagKey::new([2; 32]),
    };
    let before = world.store.directory().identity(&admin(), &fresh).await.expect("an identity");
    put_back(&mut world, &copy);
    let after = world.store.directory().identity(&admin(), &fresh).await.expect("an identity");
    assert_eq!((after.instance, after.tag_key), (before.instance, before.tag_key));
    assert_ne!(after.incarnation, before.incarnation);
}

#[tokio::test]
async fn a_copy_without_its_lock_file_sends_nothing() {
    let (world, copy) = copied_then_sent().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wa.db");
    std::fs::write(&path, copy).expect("the copy");
    let clock: std::sync::Arc<dyn wa_core::port::Clock> = world.clock.clone();
    let options = SqliteOptions::new(&path).clock(clock);
    let store = SqliteStore::open(options.clone()).expect("the store");
    assert_eq!(cause(&store).await, Some(ReconcileCause::Copied));
    assert!(store.archive().lift(&admin()).await.expect("an answer"));
    store.close();
    let store = SqliteStore::open(options).expect("the store");
    assert_eq!(cause(&store).await, None, "it has its own file now");
}

#[tokio::test]
async fn a_killed_process_is_not_taken_for_a_restored_one() {
    let (mut world, _) = copied_then_sent().await;
    let noted = std::fs::read(lock_of(&world.path())).expect("the lock file");
    assert_eq!(noted.len(), 21, "{noted:?}");
    // A process that was killed between its commit and the note, and a power cut that took the note back.
    for older in ["00000000000000000001\n", ""] {
        world.store.close();
        std::fs::write(lock_of(&world.path()), older).expect("the lock file");
        world.store = SqliteStore::open(world.options()).expect("the store");
        assert_eq!(cause(&world.store).await, None);
    }
}

#[tokio::test]
async fn a_new_file_beside_an_old_lock_file_is_not_taken_for_a_restored_one() {
    let (world, _) = copied_then_sent().await;
    world.store.close();
    std::fs::remove_file(world.path()).expect("the file");
    for _ in 0..2 {
        let store = SqliteStore::open(world.options()).expect("the store");
        let name = "tenant".parse().expect("a name");
        store.directory().ensure_tenant(&admin(), &name, world.tenant).await.expect("a tenant");
        assert_eq!(cause(&store).await, None);
        store.close();
    }
}

async fn connect(options: PostgresOptions) -> PostgresStore {
    PostgresStore::connect(options).await.expect("a store")
}

async fn execute(url: &str, sql: &str) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the administrator");
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn a_database_of_another_origin_sends_nothing() {
    for change in [
        "UPDATE wa_kit.origin SET system = '1'",
        "UPDATE wa_kit.origin SET timeline = '0000000A'",
        "UPDATE wa_kit.origin SET database = '1.2'",
    ] {
        let database = TestDatabase::create().await;
        let store = connect(database.options()).await;
        store.close().await;
        let store = connect(database.options()).await;
        assert_eq!(cause(&store).await, None, "it was opened twice");
        store.close().await;
        execute(&database.admin_url(), change).await;
        let store = connect(database.options()).await;
        assert_eq!(cause(&store).await, Some(ReconcileCause::OtherDatabase), "{change}");
        assert!(store.archive().lift(&admin()).await.expect("an answer"));
        store.close().await;
        let store = connect(database.options()).await;
        assert_eq!(cause(&store).await, None, "its place is known now");
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_runs_on_after_a_failover_begins_nothing() {
    let database = TestDatabase::create().await;
    let store = connect(database.options()).await;
    let world = World::new().await;
    let tenant = store
        .directory()
        .ensure_tenant(&admin(), &"tenant".parse().expect("a name"), world.tenant)
        .await
        .expect("a tenant");
    let of = scope::tenant(tenant.id);
    let new = wa_core::model::NewSession {
        id: wa_core::model::SessionId::from_uuid(world.uuid()),
        transport: crate::world::transport(),
        number: "1".parse().expect("a number"),
        portfolio: "portfolio".to_owned(),
        account: None,
        phone: None,
    };
    store.numbers().add_session(&of, &new).await.expect("an answer");
    let ask = wa_core::port::store::AcquireSessions { worker: worker_id(1), lease: LEASE, most: 10 };
    let leases = store.numbers().acquire(&admin(), &ask).await.expect("leases");
    let worker = scope::worker(worker_id(1), [(new.id, leases[0].epoch)]);
    for to in [1, 2] {
        let mut message = world.message(new.id, to, Lane::Transactional);
        message.due_at -= chrono::TimeDelta::days(900);
        store.outbox().enqueue(&of, &message).await.expect("an answer");
    }
    let due = wa_core::port::store::DueQuery {
        session: new.id,
        lane: None,
        limit: 1,
        skip: Vec::new(),
        skip_feeds: Vec::new(),
    };
    // The replica's timeline is another one than that which is kept.
    execute(&database.admin_url(), "UPDATE wa_kit.origin SET timeline = '0000000A'").await;
    let page = store.outbox().due(&worker, &due).await.expect("a page").messages;
    assert_eq!(page.iter().map(item).count(), 1);
    let judge = || std::sync::Arc::new(wa_core::rules::judge::StandardJudge::default());
    let begun = store.outbox().begin(&worker, &world.batch(new.id, &page), judge()).await.expect("an answer");
    let Begun::Done(begun) = begun else { panic!("{begun:?}") };
    assert!(begun.attempts.is_empty(), "{begun:?}");
    assert_eq!(begun.stopped[0].why, wa_core::model::HoldReason::NeedsReconcile);
    assert_eq!(cause(&store).await, Some(ReconcileCause::OtherDatabase));
    assert!(store.archive().lift(&admin()).await.expect("an answer"));
    let begun = store.outbox().begin(&worker, &world.batch(new.id, &page), judge()).await.expect("an answer");
    assert!(matches!(begun, Begun::Done(begun) if begun.attempts.len() == 1));
    store.close().await;
}
