//! Each thing that must hold is broken by hand, and exactly that is found; in a sound store nothing is.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use wa_core::model::{
    BatchId, CampaignId, ContactId, Invariant, Lane, NewSession, Outcome, Recipient, SessionId,
    SessionReport, Tier,
};
use wa_core::port::store::{
    AcquireSessions, AttemptFact, BeginBatch, Begun, BegunAttempt, CreateCampaign, DueQuery, LaunchChunk,
    LaunchStep, Store, UpsertContact,
};
use wa_core::port::{Clock, WorkerScope};
use wa_core::rules::judge::StandardJudge;
use wa_core::testing::scope;
use wa_storage::{PostgresOptions, PostgresStore, SqliteStore, TestDatabase};

use crate::world::{World, accepted, admin, item, phone, template, transport, without_cooldown, worker_id};

/// What is broken, how, and how it is mended; the same words for both databases.
const DAMAGES: &[(Invariant, &str, &str)] = &[
    (
        Invariant::OneDelivery,
        "UPDATE result SET accepted_at = not_sent_at WHERE not_sent_at IS NOT NULL",
        "UPDATE result SET accepted_at = NULL WHERE not_sent_at IS NOT NULL",
    ),
    (
        Invariant::Attempts,
        "INSERT INTO result (tenant, message, n, facts) SELECT tenant, message, 9, 0 FROM due",
        "DELETE FROM result WHERE n = 9",
    ),
    (
        Invariant::Attempts,
        "INSERT INTO open_attempt (session, end_by, tenant, message, n, epoch) \
         SELECT session, due_at, tenant, message, 9, 1 FROM due",
        "DELETE FROM open_attempt WHERE n = 9",
    ),
    (Invariant::Attempts, "UPDATE open_attempt SET n = n + 8", "UPDATE open_attempt SET n = n - 8"),
    (
        Invariant::OnePlace,
        "INSERT INTO closed (tenant, message, reason, at) SELECT tenant, message, 'expired', due_at FROM due",
        "DELETE FROM closed WHERE reason = 'expired'",
    ),
    (
        Invariant::OnePlace,
        "INSERT INTO message (tenant, id) SELECT tenant, id FROM campaign",
        "DELETE FROM message WHERE id IN (SELECT id FROM campaign)",
    ),
    (
        Invariant::Counts,
        "INSERT INTO delta (tenant, campaign, counter, n) SELECT tenant, id, 'pending', 1000 FROM campaign",
        "DELETE FROM delta WHERE n = 1000",
    ),
    (
        Invariant::Counts,
        "INSERT INTO delta (tenant, campaign, counter, n) SELECT tenant, id, 'audience', 1000 FROM campaign",
        "DELETE FROM delta WHERE n = 1000",
    ),
    (Invariant::Tier, "UPDATE tier_usage SET used = used + 1", "UPDATE tier_usage SET used = used - 1"),
    (Invariant::Quota, "UPDATE quota_usage SET used = used - 1", "UPDATE quota_usage SET used = used + 1"),
];

/// Begins what is due of a session.
async fn begin(store: &dyn Store, world: &World, own: &WorkerScope, session: SessionId) -> Vec<BegunAttempt> {
    let ask = DueQuery { session, lane: None, limit: 3, skip: Vec::new(), skip_feeds: Vec::new() };
    let due = store.outbox().due(own, &ask).await.expect("a page").messages;
    let batch = BeginBatch {
        id: BatchId::from_uuid(world.uuid()),
        session,
        items: due.iter().map(item).collect(),
        start_within: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
    };
    let judge = Arc::new(StandardJudge::default());
    match store.outbox().begin(own, &batch, judge).await.expect("an answer") {
        Begun::Done(begun) => begun.attempts,
        other => panic!("{other:?}"),
    }
}

/// A campaign of five: one not sent and then accepted, one accepted, one open, two waiting; and a single message.
async fn fill(store: &dyn Store, world: &World) {
    let (of, own) = (world.scope(), admin());
    let name = "tenant".parse().expect("a name");
    store.directory().ensure_tenant(&own, &name, world.tenant).await.expect("a tenant");
    store.directory().put_settings(&of, &without_cooldown()).await.expect("an answer");
    let session = NewSession {
        id: SessionId::from_uuid(world.uuid()),
        transport: transport(),
        number: "7".parse().expect("a number"),
        portfolio: "portfolio".to_owned(),
        account: None,
        phone: None,
    };
    store.numbers().add_session(&of, &session).await.expect("an answer");
    let session = session.id;
    let tier = SessionReport { tier: Some(Tier::Limited(50)), ..SessionReport::default() };
    store.numbers().report_session(&of, session, &tier).await.expect("an answer");
    let ask = AcquireSessions { worker: worker_id(1), lease: Duration::from_secs(900), most: 10 };
    let leases = store.numbers().acquire(&own, &ask).await.expect("leases");
    let worker = scope::worker(worker_id(1), leases.iter().map(|lease| (lease.session.id, lease.epoch)));
    for n in 0..5 {
        let contact = UpsertContact {
            id: ContactId::from_uuid(world.uuid()),
            recipient: Recipient::from(phone(n)),
            attributes: [("name".to_owned(), format!("Person {n}"))].into(),
            list: Some("people".parse().expect("a list name")),
        };
        store.audience().upsert_contact(&of, &contact).await.expect("an answer");
    }
    let mut new = world.definition("news", "people", &[session]);
    new.id = CampaignId::from_uuid(world.uuid());
    new.content = wa_core::model::CampaignContent::new(template("{{name}}"));
    let made = store.audience().create_campaign(&of, &new).await.expect("an answer");
    assert!(matches!(made, CreateCampaign::Created(_)));
    let chunk = LaunchChunk { size: 100, seed: [7; 16] };
    let launched = store.audience().launch(&of, new.id, &chunk).await.expect("an answer");
    assert!(matches!(launched, LaunchStep::Done(_)));
    let begun = begin(store, world, &worker, session).await;
    let outcomes = [Outcome::NotSent, accepted("wamid.1")];
    for (attempt, outcome) in begun.iter().zip(outcomes) {
        let fact = AttemptFact { attempt: attempt.key, at: world.now(), outcome, retry_after: None };
        store.outbox().settle(&[fact]).await.expect("an answer");
    }
    world.clock.advance(Duration::from_secs(60));
    // The one that was not sent goes first: it waits in a row of its own.
    let again = begin(store, world, &worker, session).await;
    assert_eq!(again.first().map(|attempt| attempt.key.n), Some(2));
    store.outbox().enqueue(&of, &world.message(session, 77, Lane::Bulk)).await.expect("an answer");
}

async fn examine(store: &dyn Store) -> Vec<Invariant> {
    let found = store.archive().examine(&admin(), 10).await.expect("findings");
    let is_plain = |line: &str| !line.is_empty() && !line.contains("4915");
    assert!(found.iter().all(|finding| is_plain(&finding.line)), "no address is told: {found:?}");
    found.into_iter().map(|finding| finding.invariant).collect()
}

#[tokio::test]
async fn each_damage_of_a_file_is_found_and_nothing_else() {
    let world = World::new().await;
    fill(&world.store, &world).await;
    assert_eq!(examine(&world.store).await, []);
    let conn = Connection::open(world.path()).expect("the file");
    for (invariant, damage, mend) in DAMAGES {
        assert!(conn.execute(damage, []).expect(damage) > 0, "{damage}");
        let found = examine(&world.store).await;
        assert!(!found.is_empty() && found.iter().all(|it| it == invariant), "{damage}: {found:?}");
        conn.execute(mend, []).expect(mend);
        assert_eq!(examine(&world.store).await, [], "{mend}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_found() {
    let mut world = World::new().await;
    fill(&world.store, &world).await;
    world.store.close();
    let conn = Connection::open(world.path()).expect("the file");
    let other = "CREATE INDEX due_by_campaign ON due (message)";
    conn.pragma_update(None, "writable_schema", true).expect("it can be written");
    conn.execute("UPDATE sqlite_schema SET sql = ?1 WHERE name = 'due_by_campaign'", [other]).expect("it is");
    drop(conn);
    world.store = SqliteStore::open(world.options()).expect("it opens");
    let found = examine(&world.store).await;
    assert!(!found.is_empty() && found.iter().all(|it| *it == Invariant::File), "{found:?}");
    let refused = world.store.backup(world.folder.path().join("backup.db")).await;
    assert!(refused.is_err(), "what is not whole is no backup");
    assert!(!world.folder.path().join("backup.db").exists());
}

#[tokio::test]
async fn each_damage_of_a_database_is_found_and_nothing_else() {
    let (world, database) = (World::new().await, TestDatabase::create().await);
    let clock: Arc<dyn Clock> = world.clock.clone();
    let open = |options: PostgresOptions| PostgresStore::connect(options.clock(Arc::clone(&clock)));
    let store = open(database.options()).await.expect("a store");
    fill(&store, &world).await;
    assert_eq!(examine(&store).await, []);
    let force = "ALTER TABLE due FORCE ROW LEVEL SECURITY";
    let isolation = [
        (Invariant::Isolation, "ALTER TABLE due NO FORCE ROW LEVEL SECURITY", force),
        (
            Invariant::Isolation,
            "ALTER TABLE contact DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE contact ENABLE ROW LEVEL SECURITY",
        ),
    ];
    for (invariant, damage, mend) in DAMAGES.iter().chain(&isolation) {
        execute(&database, damage).await;
        let found = examine(&store).await;
        execute(&database, mend).await;
        assert!(!found.is_empty() && found.iter().all(|it| it == invariant), "{damage}: {found:?}");
        assert_eq!(examine(&store).await, [], "{mend}");
    }
    let superuser = open(PostgresOptions::new(database.admin_url()).connections(3)).await.expect("a store");
    assert_eq!(examine(&superuser).await, [Invariant::Isolation], "row-level security does not bind it");
    superuser.close().await;
    store.close().await;
}

async fn execute(database: &TestDatabase, sql: &str) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(&database.admin_url()).await.expect("the administrator");
    let sql = format!("SET search_path = wa_kit, pg_catalog; {sql}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
}
