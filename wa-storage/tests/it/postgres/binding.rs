//! What is committed before a begin has its turn binds it, however long it has been waiting.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use wa_core::model::{
    Breaker, BreakerReason, BreakerScope, CampaignAction, Consent, ConsentSource, HoldReason, SkipReason,
};
use wa_core::port::store::{Begun, Store};
use wa_storage::TestDatabase;

use super::figure;
use super::world::{World, batch, execute, fresh_phone, number, recount, watcher};

/// Those who wait for a lock of a store in this database.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

async fn until_waiting(watcher: &mut PgConnection, many: i64) {
    for _ in 0..5_000 {
        if number(watcher, WAITING).await == many {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nobody waits for the gate");
}

/// Who changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Whoever holds the gate.
    Holder,
    /// A call of the store that waits for it in front of the begin.
    Store,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    OptOut,
    Pause,
    Breaker,
}

#[tokio::test]
async fn what_commits_while_a_begin_waits_binds_it() {
    let rounds: usize = figure("WA_BINDING", 30);
    let database = TestDatabase::create().await;
    let world = World::new(&database).await;
    let session = world.session("1", "portfolio").await.id;
    let worker = world.hold(1).await;
    let mut watcher = watcher(&database).await;
    let mut holder = PgConnection::connect(&database.admin_url()).await.expect("the server answers");
    execute(&mut holder, "SET search_path = wa_kit, pg_catalog").await;
    let tenant = world.tenant.as_uuid();
    let (scope, audience, numbers) = (world.scope(), world.store.audience(), world.store.numbers());
    let mut bound = [0_u32; 3];
    for round in 0..rounds {
        let change = [Change::OptOut, Change::Pause, Change::Breaker][round % 3];
        let by = [By::Holder, By::Store][round / 3 % 2];
        let list = format!("list {round}");
        let contact = world.contact(&list, fresh_phone()).await;
        let campaign = world.launch(&list, &list, &[session]).await.id;
        let due = world.due(&worker, session, 10).await;
        assert_eq!(due.len(), 1, "what other rounds left is closed");

        let gate =
            format!("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('wa_kit tenant {tenant}', 0))");
        execute(&mut holder, &gate).await;
        let breaker = Breaker {
            scope: BreakerScope::Session(session),
            reason: BreakerReason::Account,
            code: 368,
            until: None,
            since: world.now(),
        };
        let mut calls = JoinSet::new();
        let mut waiting = 0;
        if by == By::Store {
            let (store, scope, breaker) = (Arc::clone(&world.store), scope, breaker.clone());
            calls.spawn(async move {
                match change {
                    Change::OptOut => {
                        let by = ConsentSource::Caller;
                        let set = store.audience().set_consent(&scope, contact, Consent::OptedOut, by).await;
                        set.expect("an answer").expect("the contact");
                    }
                    Change::Pause => {
                        store
                            .audience()
                            .act(&scope, campaign, CampaignAction::Pause)
                            .await
                            .expect("an answer");
                    }
                    Change::Breaker => {
                        assert!(store.numbers().open_breaker(&scope, &breaker).await.expect("an answer"));
                    }
                }
            });
            waiting += 1;
            until_waiting(&mut watcher, waiting).await;
        }
        let mut begins = JoinSet::new();
        let (begin_by, begin_of, begin_batch) = (world.clone(), worker.clone(), batch(session, &due));
        begins.spawn(async move { begin_by.try_begin(&begin_of, &begin_batch).await });
        until_waiting(&mut watcher, waiting + 1).await;
        if by == By::Holder {
            let sql = match change {
                Change::OptOut => format!(
                    "UPDATE contact SET consent = 'opted_out', consent_at = clock_timestamp() \
                     WHERE tenant = '{tenant}' AND id = '{}'",
                    contact.as_uuid()
                ),
                Change::Pause => format!(
                    "UPDATE campaign SET state = 'paused' WHERE tenant = '{tenant}' AND id = '{}'",
                    campaign.as_uuid()
                ),
                Change::Breaker => format!(
                    "INSERT INTO breaker (tenant, session, template, language, reason, code, since) \
                     VALUES ('{tenant}', '{}', '', '', 'account', 368, clock_timestamp())",
                    session.as_uuid()
                ),
            };
            execute(&mut holder, &sql).await;
        }
        execute(&mut holder, "COMMIT").await;
        calls.join_all().await;
        let begun = begins.join_next().await.expect("a begin").expect("no panic").expect("an answer");
        let Begun::Done(begun) = begun else { panic!("{begun:?}") };
        let told = format!("round {round}: {change:?} by {by:?}: {begun:?}");
        assert_eq!(begun.attempts, [], "{told}");
        let stopped: Vec<_> = begun.stopped.iter().map(|it| it.why).collect();
        match change {
            Change::OptOut => {
                assert_eq!(begun.skips, [(due[0].id, SkipReason::OptedOut)], "{told}");
            }
            Change::Pause => assert_eq!(stopped, [HoldReason::CampaignPaused], "{told}"),
            Change::Breaker => {
                assert_eq!(stopped, [HoldReason::SessionStopped], "{told}");
                assert!(numbers.reset_breaker(&scope, &breaker.scope).await.expect("an answer"));
            }
        }
        bound[round % 3] += 1;
        audience.act(&scope, campaign, CampaignAction::Cancel).await.expect("an answer");
    }
    assert_eq!(number(&mut watcher, "SELECT count(*) FROM attempt").await, 0);
    recount(&mut watcher).await;
    println!(
        "binding: {rounds} begins waited, {} opt-outs, {} pauses, {} breakers before them, 0 attempts begun",
        bound[0], bound[1], bound[2]
    );
}
