//! Pauses and resumes through one process bind the others, and reach them at once.

use sqlx::PgConnection;
use wa_core::model::TenantSettings;

use super::plant::{Plant, Process, SECOND, launch, send, settings, told, until};

/// A process that sends for a campaign, and one that only gives orders.
async fn running(plant: &Plant, members: u64) -> (Process, Process, wa_core::model::CampaignId) {
    let (worker, office) = (plant.process(told()).await, plant.idle(told()).await);
    let numbers = office.numbers(1).await;
    until("the number is held", 20 * SECOND, async || worker.held() == 1).await;
    let campaign = launch(&office.tenant, numbers, members).await;
    until("it runs", 20 * SECOND, async || plant.sent().0 > 20).await;
    (worker, office, campaign)
}

/// Checks that nothing began since a pause was committed, and that the gate let go of no more than was
/// permitted before; gives how many were sent.
async fn rests(plant: &Plant, at: &str, bound: i64) -> usize {
    let sql = format!("SELECT count(*) FROM attempt WHERE begun_at > '{at}'");
    let sent = i64::try_from(plant.sent().0).expect("few");
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(plant.count(&sql).await, 0, "nothing begins after the pause");
    let after = plant.sent().0;
    let begun = plant.count("SELECT count(*) FROM attempt").await;
    let let_go = i64::try_from(after).expect("few") - sent;
    assert!(let_go <= bound, "{let_go} left after the pause");
    assert!(i64::try_from(after).expect("few") <= begun);
    tokio::time::sleep(SECOND).await;
    assert_eq!(plant.sent().0, after, "it rests");
    after
}

async fn server_time(plant: &Plant) -> String {
    let mut admin: PgConnection = plant.admin().await;
    sqlx::query_scalar("SELECT clock_timestamp()::text").fetch_one(&mut admin).await.expect("the time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaigns_pause_binds_other_processes_and_its_resume_wakes_them() {
    let plant = Plant::new(40).await;
    let (worker, office, campaign) = running(&plant, 300).await;
    office.tenant.campaigns().pause(campaign).await.expect("paused");
    let at = server_time(&plant).await;
    let sent = rests(&plant, &at, 64).await;
    assert!(sent < 300);
    office.tenant.campaigns().resume(campaign).await.expect("resumed");
    // It asks by itself once a minute.
    let took = until("it goes on", 20 * SECOND, async || plant.sent().0 > sent).await;
    assert!(took < 15 * SECOND, "{took:?}");
    until("all sent", 60 * SECOND, async || plant.sent() == (300, 300)).await;
    worker.stop().await;
    assert_eq!(plant.sent(), (300, 300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_pause_binds_other_processes_and_lifting_it_wakes_them() {
    let plant = Plant::new(40).await;
    let (worker, office, _) = running(&plant, 300).await;
    let paused = TenantSettings { paused: true, ..settings() };
    office.tenant.put_settings(&paused).await.expect("paused");
    let at = server_time(&plant).await;
    let sent = rests(&plant, &at, 64).await;
    office.tenant.put_settings(&settings()).await.expect("lifted");
    let took = until("it goes on", 20 * SECOND, async || plant.sent().0 > sent).await;
    assert!(took < 15 * SECOND, "{took:?}");
    until("all sent", 60 * SECOND, async || plant.sent() == (300, 300)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_queued_elsewhere_leaves_at_once_and_a_lost_listener_comes_back() {
    let plant = Plant::new(80).await;
    let (worker, office) = (plant.process(told()).await, plant.idle(told()).await);
    let number = office.numbers(1).await[0];
    until("the number is held", 20 * SECOND, async || worker.held() == 1).await;
    send(&office.tenant, number, 0).await;
    until("sent", 20 * SECOND, async || plant.sent().0 == 1).await;
    send(&office.tenant, number, 1).await;
    let took = until("sent", 20 * SECOND, async || plant.sent().0 == 2).await;
    assert!(took < 15 * SECOND, "it was told: {took:?}");
    for n in 2..5 {
        // What is announced while nobody listens is lost; whoever listens again asks.
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        until("it listens", 20 * SECOND, async || plant.count(ended).await > 0).await;
        send(&office.tenant, number, n).await;
        until("sent", 20 * SECOND, async || u64::try_from(plant.sent().0).expect("few") == n + 1).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_listener_polling_finds_the_work() {
    let plant = Plant::new(80).await;
    let config = wa_core::service::EngineConfig { poll_every: SECOND, ..told() };
    let (worker, office) = (plant.process(config).await, plant.idle(told()).await);
    let number = office.numbers(1).await[0];
    until("the number is held", 20 * SECOND, async || worker.held() == 1).await;
    // Nobody on this database hears anything from here on.
    let deaf = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let mut admin = plant.admin().await;
    let ended = async |admin: &mut PgConnection| -> i64 {
        sqlx::query_scalar(deaf).fetch_one(admin).await.expect("an answer")
    };
    until("it listens", 20 * SECOND, async || ended(&mut admin).await > 0).await;
    for n in 0..3 {
        ended(&mut admin).await;
        send(&office.tenant, number, n).await;
        let took = until("sent", 20 * SECOND, async || {
            ended(&mut admin).await;
            u64::try_from(plant.sent().0).expect("few") == n + 1
        })
        .await;
        assert!(took < 20 * SECOND, "{took:?}");
    }
    worker.stop().await;
}
