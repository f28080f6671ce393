//! Each thing that must hold is broken by hand, and exactly that is found; in a sound store nothing is.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use rusqlite::Connection;
use wa_core::model::Invariant::{
    self, Attempts, Budgets, Consent, Counts, File, Isolation, OneDelivery, OnePlace, Quota, Recount,
    Tier as Slots, Window,
};
use wa_core::model::{
    BatchId, Bsuid, Category, Consent as Says, ConsentSource, ContactId, Content, DatedPolicy, InboundBody,
    InboundMessage, Lane, MessageId, NewMessage, NewSession, Outcome, OutsideWindow, PriceBook, PricePolicy,
    Rates, RawId, Recipient, SessionId, SessionReport, SessionSetting, TenantSettings, Tier, WarmUp,
};
use wa_core::port::store::{
    AcquireSessions, AttemptFact, BeginBatch, Begun, BegunAttempt, CreateCampaign, DueQuery, LaunchChunk,
    LaunchStep, ProjectedEvent, Projection, RawBody, Store, UpsertContact,
};
use wa_core::port::{Clock, WorkerScope};
use wa_core::rules::judge::StandardJudge;
use wa_core::testing::scope;
use wa_storage::{PostgresOptions, PostgresStore, SqliteStore, TestDatabase};

use crate::world::{World, accepted, admin, item, phone, transport, without_cooldown, worker_id};

/// What does not hold any more, how it is broken, and how it is mended.
type Damage = (&'static [Invariant], &'static str, &'static str);

/// The same words for both databases.
const DAMAGES: &[Damage] = &[
    (
        &[OneDelivery, Counts, Budgets, Recount],
        "UPDATE result SET accepted_at = not_sent_at WHERE not_sent_at IS NOT NULL",
        "UPDATE result SET accepted_at = NULL WHERE not_sent_at IS NOT NULL",
    ),
    (
        &[Attempts],
        "INSERT INTO result (tenant, message, n, facts) SELECT tenant, message, 9, 0 FROM due",
        "DELETE FROM result WHERE n = 9",
    ),
    (
        &[Attempts],
        "INSERT INTO open_attempt (session, end_by, tenant, message, n, epoch) \
         SELECT session, due_at, tenant, message, 9, 1 FROM due",
        "DELETE FROM open_attempt WHERE n = 9",
    ),
    (&[Attempts], "UPDATE open_attempt SET n = n + 8", "UPDATE open_attempt SET n = n - 8"),
    (
        &[OnePlace],
        "INSERT INTO closed (tenant, message, reason, at) SELECT tenant, message, 'expired', due_at FROM due",
        "DELETE FROM closed WHERE reason = 'expired'",
    ),
    (
        &[OnePlace],
        "INSERT INTO message (tenant, id) SELECT tenant, id FROM campaign",
        "DELETE FROM message WHERE id IN (SELECT id FROM campaign)",
    ),
    (
        &[Counts],
        "INSERT INTO delta (tenant, campaign, counter, n) SELECT tenant, id, 'pending', 1000 FROM campaign",
        "DELETE FROM delta WHERE n = 1000",
    ),
    (
        &[Counts],
        "INSERT INTO delta (tenant, campaign, counter, n) SELECT tenant, id, 'audience', 1000 FROM campaign",
        "DELETE FROM delta WHERE n = 1000",
    ),
    (&[Slots], "UPDATE tier_usage SET used = used + 1", "UPDATE tier_usage SET used = used - 1"),
    (
        &[Counts],
        "INSERT INTO delta (tenant, campaign, counter, n) SELECT tenant, id, 'read', 1000 FROM campaign",
        "DELETE FROM delta WHERE n = 1000",
    ),
    (&[Counts], "UPDATE feed SET remaining = remaining + 1", "UPDATE feed SET remaining = remaining - 1"),
    (&[Quota], "UPDATE quota_usage SET used = used - 1", "UPDATE quota_usage SET used = used + 1"),
    (&[Window, Recount], "UPDATE inbound SET opens = false", "UPDATE inbound SET opens = true"),
    (
        &[Consent],
        "UPDATE contact SET consent = 'no_marketing', consent_at = created_at",
        "UPDATE contact SET consent = 'allowed', consent_at = NULL",
    ),
    (
        &[Consent],
        "UPDATE contact SET consent = 'opted_out', consent_at = (SELECT max(at) FROM inbound) \
         WHERE id IN (SELECT contact FROM inbound)",
        "UPDATE contact SET consent = 'allowed', consent_at = NULL",
    ),
    (
        &[Consent],
        "INSERT INTO suppressed (tenant, address, at) \
         SELECT tenant, '+' || CAST(phone AS TEXT), created_at FROM contact",
        "DELETE FROM suppressed",
    ),
    (
        &[Budgets],
        "UPDATE budget_use SET committed = committed + 1",
        "UPDATE budget_use SET committed = committed - 1",
    ),
    (&[Budgets], "UPDATE budget_use SET open = open - 1", "UPDATE budget_use SET open = open + 1"),
    (
        &[Recount],
        "UPDATE rollup_delta SET n = n + 1 WHERE counter = 'begun'",
        "UPDATE rollup_delta SET n = n - 1 WHERE counter = 'begun'",
    ),
    (&[Recount], "UPDATE warm_up_usage SET used = used - 1", "UPDATE warm_up_usage SET used = used + 1"),
];

/// Where the databases speak differently of time, or name a table differently. An answer that began in the
/// last millisecond of its window is not outside; in its budgets, it was still the last to begin.
const OF_A_FILE: &[Damage] = &[
    (
        &[Window, Budgets],
        "UPDATE attempt SET begun_at = begun_at + 6000000 WHERE category = 'service'",
        "UPDATE attempt SET begun_at = begun_at - 6000000 WHERE category = 'service'",
    ),
    (
        &[Budgets],
        "UPDATE attempt SET begun_at = begun_at + 5999000 WHERE category = 'service'",
        "UPDATE attempt SET begun_at = begun_at - 5999000 WHERE category = 'service'",
    ),
    (
        &[Recount],
        "UPDATE window SET user_messages = user_messages + 1",
        "UPDATE window SET user_messages = user_messages - 1",
    ),
    (
        &[Recount],
        "INSERT INTO service_usage (session, month, used) SELECT id, '2020-09', 1 FROM session",
        "DELETE FROM service_usage WHERE month = '2020-09'",
    ),
];

const OF_A_DATABASE: &[Damage] = &[
    (
        &[Window, Budgets],
        "UPDATE attempt SET begun_at = begun_at + interval '6 seconds' WHERE category = 'service'",
        "UPDATE attempt SET begun_at = begun_at - interval '6 seconds' WHERE category = 'service'",
    ),
    (
        &[Budgets],
        "UPDATE attempt SET begun_at = begun_at + interval '5999 milliseconds' WHERE category = 'service'",
        "UPDATE attempt SET begun_at = begun_at - interval '5999 milliseconds' WHERE category = 'service'",
    ),
    (
        &[Recount],
        "UPDATE service_window SET user_messages = user_messages + 1",
        "UPDATE service_window SET user_messages = user_messages - 1",
    ),
    (
        &[Recount],
        "INSERT INTO service_usage (tenant, session, month, used) SELECT tenant, id, '2020-09', 1 FROM session",
        "DELETE FROM service_usage WHERE month = '2020-09'",
    ),
    (&[Isolation], "ALTER TABLE due NO FORCE ROW LEVEL SECURITY", "ALTER TABLE due FORCE ROW LEVEL SECURITY"),
    (
        &[Isolation],
        "ALTER TABLE contact DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE contact ENABLE ROW LEVEL SECURITY",
    ),
];

/// A number and its worker.
struct Number {
    session: SessionId,
    own: WorkerScope,
}

/// Begins the first messages that are due of a session, or the one that is asked for, as free-form content
/// that needs a window or does not.
async fn begin(
    store: &dyn Store,
    world: &World,
    number: &Number,
    only: Option<(MessageId, bool)>,
) -> Vec<BegunAttempt> {
    let Number { session, own } = number;
    let session = *session;
    let limit = if only.is_none() { 3 } else { 100 };
    let ask = DueQuery { session, lane: None, limit, skip: Vec::new(), skip_feeds: Vec::new() };
    let due = store.outbox().due(own, &ask).await.expect("a page").messages;
    let mut items: Vec<_> = due.iter().map(item).collect();
    if let Some((only, needs_window)) = only {
        items.retain(|item| item.message == only);
        for item in &mut items {
            (item.category, item.needs_window, item.template) = (Category::Service, needs_window, None);
        }
    }
    let batch = BeginBatch {
        id: BatchId::from_uuid(world.uuid()),
        session,
        items,
        start_within: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
    };
    let judge = Arc::new(StandardJudge::default());
    match store.outbox().begin(own, &batch, judge).await.expect("an answer") {
        Begun::Done(begun) => begun.attempts,
        other => panic!("{other:?}"),
    }
}

async fn settings(store: &dyn Store, world: &World, settings: TenantSettings) {
    store.directory().put_settings(&world.scope(), &settings).await.expect("an answer");
}

fn priced() -> TenantSettings {
    let policy = PricePolicy::MetaOctober2026 { rates: Rates::MetaUsdOctober2026 };
    let book = PriceBook::new(vec![DatedPolicy { from: DateTime::UNIX_EPOCH, policy }]);
    TenantSettings { prices: Some(book.expect("a book")), ..without_cooldown() }
}

/// A tenant with prices, and a number that is warmed up.
async fn tenant(store: &dyn Store, world: &World) -> Number {
    let (of, own) = (world.scope(), admin());
    let name = "tenant".parse().expect("a name");
    store.directory().ensure_tenant(&own, &name, world.tenant).await.expect("a tenant");
    settings(store, world, priced()).await;
    let session = NewSession {
        id: SessionId::from_uuid(world.uuid()),
        transport: transport(),
        number: "7".parse().expect("a number"),
        portfolio: "portfolio".to_owned(),
        account: None,
        phone: None,
    };
    store.numbers().add_session(&of, &session).await.expect("an answer");
    let tier = SessionReport { tier: Some(Tier::Limited(50)), ..SessionReport::default() };
    store.numbers().report_session(&of, session.id, &tier).await.expect("an answer");
    let warm_up = SessionSetting::WarmUp(Some(WarmUp { since: None, caps: vec![100, 100, 100] }));
    store.numbers().set_session(&of, session.id, &warm_up).await.expect("an answer");
    let ask = AcquireSessions { worker: worker_id(1), lease: Duration::from_secs(200_000), most: 10 };
    let leases = store.numbers().acquire(&own, &ask).await.expect("leases");
    let own = scope::worker(worker_id(1), leases.iter().map(|lease| (lease.session.id, lease.epoch)));
    Number { session: session.id, own }
}

async fn contact(store: &dyn Store, world: &World, recipient: Recipient) -> ContactId {
    let contact = UpsertContact {
        id: ContactId::from_uuid(world.uuid()),
        recipient,
        attributes: [("name".to_owned(), "Somebody".to_owned())].into(),
        list: Some("people".parse().expect("a list name")),
    };
    store.audience().upsert_contact(&world.scope(), &contact).await.expect("an answer").expect("a contact").id
}

/// A campaign to everybody on the list.
async fn launch(store: &dyn Store, world: &World, name: &str, number: &Number) {
    let of = world.scope();
    let new = world.definition(name, "people", &[number.session]);
    let made = store.audience().create_campaign(&of, &new).await.expect("an answer");
    assert!(matches!(made, CreateCampaign::Created(_)));
    let chunk = LaunchChunk { size: 100, seed: [7; 16] };
    let launched = store.audience().launch(&of, new.id, &chunk).await.expect("an answer");
    assert!(matches!(launched, LaunchStep::Done(_)));
}

/// A user writes.
async fn hear(store: &dyn Store, world: &World, who: Recipient) {
    let id = RawId::from_uuid(world.uuid());
    let body = RawBody { id, transport: transport(), body: id.as_bytes().to_vec(), received_at: world.now() };
    store.inbox().keep(&admin(), std::slice::from_ref(&body)).await.expect("kept");
    let number = "7".parse().expect("a number id");
    let message = InboundMessage::new(number, id.to_string(), who, world.now(), InboundBody::text("hello"));
    let fresh_contact = ContactId::from_uuid(world.uuid());
    let events = vec![ProjectedEvent::Message { message, fresh_contact, consent: None }];
    let projection = Projection { raw: id, transport: transport(), received_at: world.now(), events };
    let done = store.inbox().project(&admin(), &[projection]).await.expect("projected");
    assert_eq!(done.inbound, 1);
}

/// Answers somebody with free-form content; whether that began.
async fn answer(store: &dyn Store, world: &World, number: &Number, to: Recipient) -> bool {
    let id = enqueue(store, world, number, to).await;
    !begin(store, world, number, Some((id, true))).await.is_empty()
}

async fn enqueue(store: &dyn Store, world: &World, number: &Number, to: Recipient) -> MessageId {
    let text = Content::text("hello").expect("a text");
    let lane = Lane::Transactional;
    let new = NewMessage { recipient: to, content: text, ..world.message(number.session, 0, lane) };
    store.outbox().enqueue(&world.scope(), &new).await.expect("an answer");
    new.id
}

/// A campaign of five: one not sent and then accepted, one accepted, one open, two waiting; a single message;
/// and an answer in the last second of a window.
async fn fill(store: &dyn Store, world: &World) {
    let number = tenant(store, world).await;
    for n in 0..5 {
        contact(store, world, phone(n).into()).await;
    }
    launch(store, world, "news", &number).await;
    let begun = begin(store, world, &number, None).await;
    let outcomes = [Outcome::NotSent, accepted("wamid.1")];
    for (attempt, outcome) in begun.iter().zip(outcomes) {
        let fact = AttemptFact { attempt: attempt.key, at: world.now(), outcome, retry_after: None };
        store.outbox().settle(&[fact]).await.expect("an answer");
    }
    world.clock.advance(Duration::from_secs(60));
    // The one that was not sent goes first: it waits in a row of its own.
    let again = begin(store, world, &number, None).await;
    assert_eq!(again.first().map(|attempt| attempt.key.n), Some(2));
    let waits = world.message(number.session, 77, Lane::Bulk);
    store.outbox().enqueue(&world.scope(), &waits).await.expect("an answer");
    hear(store, world, phone(2).into()).await;
    world.clock.advance(Duration::from_secs(24 * 3_600 - 6));
    assert!(answer(store, world, &number, phone(2).into()).await);
}

async fn examine(store: &dyn Store) -> Vec<Invariant> {
    let found = store.archive().examine(&admin(), 10).await.expect("findings");
    let is_plain = |line: &str| !line.is_empty() && !line.contains("4915");
    assert!(found.iter().all(|finding| is_plain(&finding.line)), "no address is told: {found:?}");
    let mut found: Vec<_> = found.into_iter().map(|finding| finding.invariant).collect();
    assert!(found.is_sorted(), "in the order of the invariants: {found:?}");
    found.dedup();
    found
}

#[tokio::test]
async fn each_damage_of_a_file_is_found_and_nothing_else() {
    let world = World::new().await;
    fill(&world.store, &world).await;
    assert_eq!(examine(&world.store).await, []);
    let conn = Connection::open(world.path()).expect("the file");
    for (broken, damage, mend) in DAMAGES.iter().chain(OF_A_FILE) {
        assert!(conn.execute(damage, []).expect(damage) > 0, "{damage}");
        let found = examine(&world.store).await;
        assert_eq!(found, *broken, "{damage}");
        conn.execute(mend, []).expect(mend);
        assert_eq!(examine(&world.store).await, [], "{mend}");
    }
}

/// Everything here looks like a fault and was none when it began.
async fn puzzle(store: &dyn Store, world: &World) {
    let minute = || world.clock.advance(Duration::from_secs(60));
    let number = &tenant(store, world).await;
    let usual = priced();
    let says = async |id: ContactId, what: Says| {
        let done = store.audience().set_consent(&world.scope(), id, what, ConsentSource::Caller).await;
        assert!(done.expect("an answer").is_some());
        minute();
    };
    // Windows that bound nothing, and came to bind again.
    for odd in [
        TenantSettings { outside_window: OutsideWindow::Send, ..usual.clone() },
        TenantSettings { window_tracking: false, ..usual.clone() },
    ] {
        settings(store, world, odd).await;
        assert!(answer(store, world, number, phone(20).into()).await);
        minute();
        settings(store, world, usual.clone()).await;
        assert!(!answer(store, world, number, phone(20).into()).await);
        minute();
    }
    // A provider that knows no windows.
    let free = enqueue(store, world, number, phone(20).into()).await;
    assert_eq!(begin(store, world, number, Some((free, false))).await.len(), 1);
    // A window that was prolonged since, of somebody who has moved to another address.
    let user: Bsuid = "US.21".parse().expect("a user id");
    hear(store, world, user.clone().into()).await;
    assert!(answer(store, world, number, user.clone().into()).await);
    world.clock.advance(Duration::from_secs(23 * 3_600));
    let both = Recipient::new(Some(phone(21)), Some(user.clone())).expect("two addresses");
    hear(store, world, both).await;
    assert!(answer(store, world, number, phone(21).into()).await);
    minute();
    // A refusal that was taken back and given again.
    let fickle = contact(store, world, phone(22).into()).await;
    says(fickle, Says::OptedOut).await;
    says(fickle, Says::Allowed).await;
    launch(store, world, "first", number).await;
    assert_eq!(begin(store, world, number, None).await.len(), 1);
    minute();
    says(fickle, Says::OptedOut).await;
    // Somebody who had refused turns out to be one with somebody who had not, and got a message meanwhile.
    let strict = contact(store, world, phone(23).into()).await;
    says(strict, Says::NoMarketing).await;
    let other: Bsuid = "US.23".parse().expect("a user id");
    contact(store, world, other.clone().into()).await;
    launch(store, world, "second", number).await;
    assert_eq!(begin(store, world, number, None).await.len(), 1, "the others refuse it");
    let single = NewMessage {
        recipient: other.clone().into(),
        ..world.message(number.session, 0, Lane::Transactional)
    };
    store.outbox().enqueue(&world.scope(), &single).await.expect("an answer");
    assert_eq!(begin(store, world, number, None).await.len(), 1);
    minute();
    let one = Recipient::new(Some(phone(23)), Some(other)).expect("two addresses");
    assert_eq!(contact(store, world, one).await, strict);
    // An address that was suppressed, let go and suppressed again.
    let silenced = [Recipient::from(phone(24))];
    store.audience().suppress(&world.scope(), &silenced).await.expect("an answer");
    minute();
    store.audience().unsuppress(&world.scope(), &silenced).await.expect("an answer");
    let single = world.message(number.session, 24, Lane::Transactional);
    store.outbox().enqueue(&world.scope(), &single).await.expect("an answer");
    assert_eq!(begin(store, world, number, None).await.len(), 1);
    minute();
    store.audience().suppress(&world.scope(), &silenced).await.expect("an answer");
    assert_eq!(examine(store).await, []);
    store.audience().advance(&admin()).await.expect("an answer");
    assert_eq!(examine(store).await, [], "once the counts are folded");
}

#[tokio::test]
async fn what_cannot_be_told_of_a_file_is_not_found() {
    let world = World::new().await;
    puzzle(&world.store, &world).await;
}

#[tokio::test]
async fn what_cannot_be_told_of_a_database_is_not_found() {
    let (world, database) = (World::new().await, TestDatabase::create().await);
    let clock: Arc<dyn Clock> = world.clock.clone();
    let store = PostgresStore::connect(database.options().clock(clock)).await.expect("a store");
    puzzle(&store, &world).await;
    store.close().await;
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
    assert!(!found.is_empty() && found.iter().all(|it| *it == File), "{found:?}");
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
    for (broken, damage, mend) in DAMAGES.iter().chain(OF_A_DATABASE) {
        let rows = execute(&database, damage).await;
        assert!(rows > 0 || damage.starts_with("ALTER"), "{damage}");
        let found = examine(&store).await;
        execute(&database, mend).await;
        assert_eq!(found, *broken, "{damage}");
        assert_eq!(examine(&store).await, [], "{mend}");
    }
    let superuser = open(PostgresOptions::new(database.admin_url()).connections(3)).await.expect("a store");
    assert_eq!(examine(&superuser).await, [Isolation], "row-level security does not bind it");
    superuser.close().await;
    store.close().await;
}

/// Runs a statement as the administrator; how many rows it changed.
async fn execute(database: &TestDatabase, sql: &str) -> u64 {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(&database.admin_url()).await.expect("the administrator");
    let sql = format!("SET search_path = wa_kit, pg_catalog; {sql}");
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
    done.rows_affected()
}
