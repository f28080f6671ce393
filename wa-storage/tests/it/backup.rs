//! Backups that are made while everything goes on, and their way back.

use wa_core::model::{CampaignState, Lane, ReconcileCause};
use wa_core::port::store::{Store, StoreErrorKind};
use wa_core::testing::scope;
use wa_storage::SqliteStore;

use crate::world::{LEASE, World, accepted, acquire, admin, worker_id};

#[tokio::test]
async fn a_backup_made_while_messages_go_out_is_whole_and_sends_nothing_when_it_is_restored() {
    let mut world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("people", 400, &[session.id]).await;
    let backup = world.folder.path().join("backup.db");
    let (made, ()) = tokio::join!(world.store.backup(&backup), async {
        for _ in 0..40 {
            for attempt in world.begin_due(&worker, session.id, 5).await.attempts {
                world.settle(attempt.key, accepted(&format!("wamid.{}", attempt.key.message))).await;
            }
        }
    });
    let made = made.expect("a backup");
    assert_eq!(made.bytes, std::fs::metadata(&made.path).expect("the file").len());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&made.path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner reads it");
    }
    assert_eq!(world.counts(campaign.id).await.accepted, 200);

    world.store.close();
    world.store = SqliteStore::restore(world.options(), &backup).expect("the store");
    let need = world.store.archive().awaits(&admin()).await.expect("an answer").expect("it waits");
    assert_eq!((need.cause, need.since), (ReconcileCause::Restored, world.now()));
    assert_eq!(world.store.archive().examine(&admin(), 10).await.expect("findings"), []);
    let counts = world.counts(campaign.id).await;
    assert!(counts.accepted < 200, "it is of an instant while they went out: {}", counts.accepted);
    let stored = world.store.audience().campaign(&world.scope(), campaign.id).await.expect("an answer");
    assert_eq!(stored.map(|campaign| campaign.state), Some(CampaignState::NeedsReconcile));

    world.clock.advance(2 * LEASE);
    let leases = acquire(&world.store, 2).await;
    let worker = scope::worker(worker_id(2), leases.iter().map(|lease| (lease.session.id, lease.epoch)));
    world.enqueue(session.id, 9_000, Lane::Transactional).await;
    assert!(world.begin_due(&worker, session.id, 100).await.attempts.is_empty());
    world.reopen();
    assert_eq!(world.store.archive().awaits(&admin()).await.expect("an answer"), Some(need));
    assert!(world.store.archive().lift(&admin()).await.expect("an answer"));
    world.reopen();
    assert_eq!(world.store.archive().awaits(&admin()).await.expect("an answer"), None);
}

#[tokio::test]
async fn only_a_backup_is_restored_and_only_where_nobody_works() {
    let mut world = World::new().await;
    let (session, _) = world.held("1", 1).await;
    let message = world.enqueue(session.id, 1, Lane::Bulk).await;
    let backup = world.folder.path().join("backup.db");
    world.store.backup(&backup).await.expect("a backup");
    let refused = SqliteStore::restore(world.options(), &backup).expect_err("the database is in use");
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);

    world.store.close();
    let whole = std::fs::read(&backup).expect("the backup");
    let torn = whole.get(..whole.len() / 2).expect("half of it").to_vec();
    for (name, content) in
        [("torn.db", torn), ("text.db", b"no database at all".to_vec()), ("empty.db", vec![])]
    {
        let path = world.folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        let refused = SqliteStore::restore(world.options(), &path).expect_err(name);
        assert_eq!(refused.kind(), StoreErrorKind::Broken, "{name}: {refused:?}");
    }
    world.reopen();
    assert_eq!(world.store.archive().awaits(&admin()).await.expect("an answer"), None);
    assert_eq!(world.view(message).await.id, message, "what was there is there");

    // Where there was none before.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let options = crate::world::options(&elsewhere, &world.clock);
    let store = SqliteStore::restore(options, &backup).expect("a store");
    let found = store.reports().message(&world.scope(), message).await.expect("an answer");
    assert!(found.is_some());
    assert!(store.archive().awaits(&admin()).await.expect("an answer").is_some());
}
