//! Row-level security beside the queries: whoever forgets to say for whom he asks gets nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    AccountChange, AccountUpdate, CampaignContent, CampaignId, Category, CivilDateTime, Consent,
    ConsentSource, ContactId, EventId, Fact, Fingerprint, ImportId, ImportLine, ImportRow, InboundBody,
    InboundEvent, InboundMessage, IncarnationId, InstanceId, Lane, LineProblem, MissedRuns, NewSchedule,
    NewSession, Outcome, Recipient, Recurrence, RejectClass, Repeat, ScheduleId, ScheduleSpec, Session,
    SessionId, SessionReport, SessionSetting, StatusUpdate, StreamPosition, TagKey, TemplateEvent,
    TemplateRef, TemplateStatus, TenantId, Tier, UserChange, UserChangeKind, WarmUp,
};
use wa_core::port::store::{
    AddSession, CancelMessage, FailureFilter, ImportChunk, ProjectedEvent, Projection, RawBody, ReaderName,
    Redrive, RedriveOf, StartImport, Store, StoreIdentity,
};
use wa_core::port::{Notice, NoticeKind};
use wa_storage::TestDatabase;

use super::world::{World, execute, fresh, fresh_phone, number, settings, watcher};
use crate::world::{accepted, admin, failure, template, transport};

/// Tables without rows of tenants: nothing in them is anybody's.
const OPEN: [&str; 4] = ["identity", "origin", "reconcile_need", "schema_version"];

impl World {
    /// Keeps a body for these events and projects them.
    pub(super) async fn hear(&self, events: Vec<ProjectedEvent>) {
        let id = wa_core::model::RawId::from_uuid(fresh());
        let body = id.as_bytes().to_vec();
        let raw = RawBody { id, transport: transport(), body, received_at: self.now() };
        let inbox = self.store.inbox();
        inbox.keep(&admin(), std::slice::from_ref(&raw)).await.expect("it is kept");
        let projection = Projection { raw: id, transport: transport(), received_at: raw.received_at, events };
        inbox.project(&admin(), &[projection]).await.expect("it is projected");
    }
}

pub(super) fn wrote(session: &Session, from: impl Into<Recipient>, world: &World) -> InboundMessage {
    let id = format!("in.{}", fresh());
    InboundMessage::new(session.number.clone(), id, from, world.now(), InboundBody::text("hello"))
}

pub(super) fn message(message: InboundMessage, consent: Option<Consent>) -> ProjectedEvent {
    ProjectedEvent::Message { message, fresh_contact: ContactId::from_uuid(fresh()), consent }
}

pub(super) fn status(session: &Session, id: &str, fact: Fact, world: &World) -> ProjectedEvent {
    let update = StatusUpdate::new(session.number.clone(), id, fact, world.now());
    ProjectedEvent::Status { attempt: None, batch: None, update }
}

async fn account_session(world: &World, number: &str) -> Session {
    let new = NewSession {
        id: SessionId::from_uuid(fresh()),
        transport: transport(),
        number: number.parse().expect("a number id"),
        portfolio: number.to_owned(),
        account: Some(format!("waba.{number}")),
        phone: None,
    };
    let added = world.store.numbers().add_session(&world.scope(), &new).await.expect("an answer");
    let AddSession::Added(session) = added else { panic!("{added:?}") };
    let report = SessionReport { tier: Some(Tier::Limited(250)), ..SessionReport::default() };
    world.store.numbers().report_session(&world.scope(), session.id, &report).await.expect("an answer");
    let warm_up = SessionSetting::WarmUp(Some(WarmUp { since: None, caps: vec![1_000] }));
    world.store.numbers().set_session(&world.scope(), session.id, &warm_up).await.expect("an answer");
    session
}

/// Lets a tenant do a bit of everything.
async fn live(world: &World, number: &str, worker: u128) {
    let (scope, store) = (world.scope(), &world.store);
    world.put(&settings(None)).await;
    world.quota(1_000).await;
    let session = account_session(world, number).await;
    import(world).await;
    schedule(world, &session).await;

    let campaign = world.campaign("news", 12, &[session.id]).await;
    world.enqueue(session.id, fresh_phone()).await;
    let worker = world.hold(worker).await;
    let begun = world.begin_due(&worker, session.id, 9).await;
    assert_eq!(begun.attempts.len(), 9);
    let outcomes = [
        accepted("wamid.0"),
        accepted("wamid.1"),
        Outcome::Rejected(failure(131_026, RejectClass::Recipient)),
        Outcome::Rejected(failure(131_026, RejectClass::Recipient)),
        Outcome::Ambiguous,
        Outcome::NotSent,
        Outcome::Rejected(failure(132_015, RejectClass::Template)),
    ];
    for (attempt, outcome) in begun.attempts.iter().zip(outcomes) {
        let outcome = match outcome {
            Outcome::Accepted { provider_id } => accepted(&format!("{provider_id}.{number}")),
            other => other,
        };
        world.settle(attempt.key, outcome).await;
    }
    let other_name = StatusUpdate::new(session.number.clone(), "wamid.other", Fact::Sent, world.now());
    world
        .hear(vec![
            status(&session, &format!("wamid.0.{number}"), Fact::Delivered, world),
            status(&session, "wamid.of.nobody", Fact::Sent, world),
            ProjectedEvent::Status { attempt: Some(begun.attempts[1].key), batch: None, update: other_name },
        ])
        .await;
    heard(world, &session).await;
    let failed = RedriveOf::Failed(FailureFilter::default());
    let redrive = Redrive { of: failed, after: None, limit: 1 };
    store.outbox().redrive(&scope, &redrive).await.expect("an answer");
    let late = world.enqueue(session.id, fresh_phone()).await;
    let cancelled = store.outbox().cancel(&scope, late).await.expect("an answer");
    assert_eq!(cancelled, CancelMessage::Cancelled);
    store.outbox().listen(&worker, 10).await.expect("an answer");
    let who = [Recipient::from(fresh_phone())];
    store.audience().suppress(&scope, &who).await.expect("an answer");
    store.audience().advance(&admin()).await.expect("an answer");
    let notice = Notice {
        id: EventId::from_uuid(fresh()),
        tenant: world.tenant,
        at: world.now(),
        kind: NoticeKind::CampaignStarted { campaign: campaign.id },
    };
    store.journal().keep_notice(&scope, &notice).await.expect("an answer");
    let reader: ReaderName = "reader".parse().expect("a name");
    store.journal().acknowledge(&admin(), &reader, StreamPosition(1)).await.expect("an answer");
    let events = store.journal().read(&admin(), StreamPosition(0), 1_000).await.expect("events");
    assert!(!events.is_empty());
}

async fn import(world: &World) {
    let source = Fingerprint::of(b"file");
    let start =
        StartImport { id: ImportId::from_uuid(fresh()), list: "imported".parse().expect("a name"), source };
    let audience = world.store.audience();
    let begun = audience.start_import(&world.scope(), &start).await.expect("an answer").expect("an import");
    let line = ImportLine {
        contact: ContactId::from_uuid(fresh()),
        phone: fresh_phone(),
        attributes: [("name".to_owned(), "Ada".to_owned())].into(),
        opted_out: false,
    };
    let bad = LineProblem { column: None, message: "no phone".to_owned() };
    let rows = vec![ImportRow { line: 2, content: Ok(line) }, ImportRow { line: 3, content: Err(bad) }];
    let chunk = ImportChunk { import: begun.id, from_record: 0, rows, last: false };
    audience.import(&world.scope(), &chunk).await.expect("an answer");
}

async fn schedule(world: &World, session: &Session) {
    let zone = "UTC".parse().expect("a zone");
    let first = CivilDateTime::at(world.now() - TimeDelta::hours(1), &zone);
    let new = NewSchedule {
        id: ScheduleId::from_uuid(fresh()),
        name: "daily".parse().expect("a name"),
        spec: ScheduleSpec {
            in_doubt: None,
            content: CampaignContent::new(template("{{name}}")),
            fallback: None,
            list: "imported".parse().expect("a name"),
            sessions: vec![session.id],
            lane: Lane::Bulk,
            valid_for: None,
            rate: None,
            budget: None,
            recurrence: Recurrence::new(Repeat::Days { every: 1 }, first, zone),
            missed: MissedRuns::RunLatest { within: std::time::Duration::from_secs(86_400) },
        },
    };
    let schedules = world.store.schedules();
    schedules.create_schedule(&world.scope(), &new).await.expect("an answer");
    let campaign = CampaignId::from_uuid(fresh());
    schedules.run_schedule(&world.scope(), new.id, campaign).await.expect("an answer");
}

/// What users write and the provider decides.
async fn heard(world: &World, session: &Session) {
    let account = session.account.clone().expect("an account");
    let (writer, changer, both) = (fresh_phone(), fresh_phone(), fresh_phone());
    let referred = InboundMessage { referral: Some(Default::default()), ..wrote(session, writer, world) };
    let change = |old, new| UserChange {
        number: session.number.clone(),
        provider_id: format!("system.{}", fresh()),
        at: world.now(),
        change: UserChangeKind::Number,
        old,
        new,
    };
    let paused = InboundEvent::TemplateStatus(TemplateStatus {
        account: account.clone(),
        template: TemplateRef {
            id: None,
            name: "hello".parse().ok(),
            language: Some("en_US".parse().expect("a language")),
        },
        category: Some(Category::Marketing),
        event: TemplateEvent::Paused,
        reason: None,
        title: None,
        description: None,
        recommendation: None,
        disable_date: None,
        at: world.now(),
    });
    let reconnected = InboundEvent::Account(AccountUpdate {
        account,
        display_phone_number: None,
        name: "ACCOUNT_UPDATE".to_owned(),
        change: AccountChange::Reconnected,
        at: world.now(),
    });
    world
        .hear(vec![
            message(referred, None),
            message(wrote(session, changer, world), Some(Consent::OptedOut)),
            message(wrote(session, both, world), None),
            ProjectedEvent::UserChanged { change: change(changer.into(), both.into()) },
            ProjectedEvent::Decision { event: paused },
            ProjectedEvent::Decision { event: reconnected },
        ])
        .await;
    let contact = world.contact("imported", fresh_phone()).await;
    let audience = world.store.audience();
    let by = ConsentSource::Caller;
    audience.set_consent(&world.scope(), contact, Consent::OptedIn, by).await.expect("an answer");
}

/// The tables with their tenant's column, if they have one.
async fn tables(watcher: &mut PgConnection) -> BTreeMap<String, Option<String>> {
    let tables: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT c.relname::text, CASE WHEN c.relname = 'tenant' THEN 'id' ELSE a.attname::text END \
         FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' \
         WHERE c.relnamespace = 'wa_kit'::regnamespace AND c.relkind IN ('r', 'p')",
    )
    .fetch_all(watcher)
    .await
    .expect("the tables");
    tables.into_iter().collect()
}

async fn rows(on: &mut PgConnection, table: &str) -> i64 {
    number(on, &format!("SELECT count(*) FROM {table}")).await
}

async fn says(on: &mut PgConnection, access: &str, tenant: &str) {
    execute(on, &format!("SET wa.access = '{access}'; SET wa.tenant = '{tenant}'")).await;
}

#[tokio::test]
async fn each_tenant_sees_its_own_rows_only_whatever_is_asked() {
    let database = TestDatabase::create().await;
    let (one, other) = {
        let one = World::new(&database).await;
        let other = World::on(std::sync::Arc::clone(&one.store), "other").await;
        (one, other)
    };
    let identity = StoreIdentity {
        instance: InstanceId::from_uuid(fresh()),
        incarnation: IncarnationId::from_uuid(fresh()),
        tag_key: TagKey::new([7; 32]),
    };
    one.store.directory().identity(&admin(), &identity).await.expect("an identity");
    live(&one, "1", 1).await;
    live(&other, "2", 2).await;
    let mut watcher = watcher(&database).await;
    let tables = tables(&mut watcher).await;

    let unguarded: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'wa_kit'::regnamespace \
         AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY 1",
    )
    .fetch_all(&mut watcher)
    .await
    .expect("the tables");
    assert_eq!(unguarded, OPEN, "every other table is guarded, also against its owner");
    let views = number(
        &mut watcher,
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'wa_kit'::regnamespace AND relkind IN ('v', 'm')",
    );
    assert_eq!(views.await, 0, "no view goes around it");

    // What there really is, of everybody and of this tenant.
    let (mut there, mut of_one) = (BTreeMap::new(), BTreeMap::new());
    for (table, column) in &tables {
        there.insert(table.as_str(), rows(&mut watcher, table).await);
        if let Some(column) = column {
            let own = format!("SELECT count(*) FROM {table} WHERE {column} = '{}'", one.tenant.as_uuid());
            of_one.insert(table.as_str(), number(&mut watcher, &own).await);
        }
    }
    let empty: Vec<_> = there.iter().filter(|(_, rows)| **rows == 0).map(|(table, _)| *table).collect();
    let filled = there.len() - empty.len();
    assert!(filled >= 25, "{filled} tables have rows, none {empty:?}");

    let mut plain = PgConnection::connect(database.url()).await.expect("the server answers");
    execute(&mut plain, "SET search_path = wa_kit, pg_catalog").await;
    let rights = "SELECT count(*) FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)";
    assert_eq!(number(&mut plain, rights).await, 0, "a plain role");

    let mut hidden = 0;
    let guarded: BTreeSet<&str> = tables.keys().map(String::as_str).filter(|it| !OPEN.contains(it)).collect();
    let nobody = TenantId::from_uuid(Uuid::from_u128(9)).as_uuid().to_string();
    for table in &guarded {
        // Nothing was said at all; it is not said who; and it is somebody else.
        execute(&mut plain, "RESET wa.access; RESET wa.tenant").await;
        assert_eq!(rows(&mut plain, table).await, 0, "{table}: nothing was said");
        for (access, tenant) in [("", ""), ("tenant", ""), ("tenant", nobody.as_str()), ("Engine", "")] {
            says(&mut plain, access, tenant).await;
            assert_eq!(rows(&mut plain, table).await, 0, "{table}: {access} {tenant}");
        }
        hidden += there[table];
        // A tenant sees what is its own, and of tables without tenants nothing.
        says(&mut plain, "tenant", &one.tenant.as_uuid().to_string()).await;
        let own = of_one.get(table).copied().unwrap_or(0);
        assert_eq!(rows(&mut plain, table).await, own, "{table}: its own rows");
        let Some(column) = tables[*table].as_deref() else { continue };
        let others = format!("SELECT count(*) FROM {table} WHERE {column} <> '{}'", one.tenant.as_uuid());
        assert_eq!(number(&mut plain, &others).await, 0, "{table}: none of another");
        says(&mut plain, "engine", "").await;
        assert_eq!(rows(&mut plain, table).await, there[table], "{table}: the engine sees all");
    }

    let written = write_across(&mut plain, &mut watcher, &tables, &one, &other).await;
    println!(
        "tenancy: {} tables, {} guarded, {filled} with rows, {hidden} rows hidden from whoever says nothing, \
         {} of {} rows one tenant's; {written} tables refuse rows of another; empty: {empty:?}",
        tables.len(),
        guarded.len(),
        of_one.values().sum::<i64>(),
        there.values().sum::<i64>(),
    );
}

/// Tries to write for another tenant, in each table that has rows of it; how many tables refused.
async fn write_across(
    plain: &mut PgConnection,
    watcher: &mut PgConnection,
    tables: &BTreeMap<String, Option<String>>,
    one: &World,
    other: &World,
) -> usize {
    says(plain, "tenant", &one.tenant.as_uuid().to_string()).await;
    let (own, foreign) = (one.tenant.as_uuid(), other.tenant.as_uuid());
    let mut refused = 0;
    for (table, column) in tables {
        let Some(column) = column else { continue };
        // A row of this tenant under the other's name.
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 \
             AND NOT attisdropped AND attname <> $2 AND attidentity = ''",
        )
        .bind(table)
        .bind(column)
        .fetch_all(&mut *watcher)
        .await
        .expect("the columns");
        let columns = columns.join(", ");
        let insert = format!(
            "INSERT INTO {table} ({column}, {columns}) SELECT '{foreign}', {columns} FROM {table} LIMIT 1"
        );
        let done = sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *plain).await;
        match done {
            Ok(done) => assert_eq!(done.rows_affected(), 0, "{table} took a row for another tenant"),
            Err(error) => {
                let is_policy = error.to_string().contains("row-level security policy");
                assert!(is_policy, "{table}: {error}");
                refused += 1;
            }
        }
        for change in [
            format!("UPDATE {table} SET {column} = {column} WHERE {column} = '{foreign}'"),
            format!("DELETE FROM {table} WHERE {column} = '{foreign}'"),
        ] {
            let done = sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *plain).await.expect("an answer");
            assert_eq!(done.rows_affected(), 0, "{table} changed a row of another tenant");
        }
        let given = format!("UPDATE {table} SET {column} = '{foreign}' WHERE {column} = '{own}'");
        let done = sqlx::raw_sql(AssertSqlSafe(given)).execute(&mut *plain).await;
        assert!(done.is_err() || done.is_ok_and(|it| it.rows_affected() == 0), "{table} gave a row away");
    }
    assert!(refused >= 20, "only {refused} tables could be tried");
    refused
}
