//! Recurring campaigns through the kit and its engine, on one file that is closed and opened again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{
    CampaignId, CampaignState, Category, ContactAttributes, Content, EventBody, Phone, Recurrence, Repeat,
    ScheduleId, TemplateContent, micros, whole_micros,
};
use wa_core::port::store::{RunSchedule, Store};
use wa_core::port::{Clock, SystemClock};
use wa_core::service::{Kit, NewRecurring, Number, TenantHandle};
use wa_core::testing::{ScriptedTransport, scope};
use wa_storage::{SqliteOptions, SqliteStore};

/// A clock that runs evenly from an instant on, and leaps forward when it is told to.
#[derive(Debug)]
struct LeapingClock {
    from: DateTime<Utc>,
    started: Duration,
    leaps: AtomicI64,
}

impl LeapingClock {
    fn leap_to(&self, at: &str) {
        let at: DateTime<Utc> = at.parse().expect("an instant");
        self.leaps.fetch_add(micros(at) - micros(self.now()), Ordering::SeqCst);
    }
}

impl Clock for LeapingClock {
    fn now(&self) -> DateTime<Utc> {
        let leaps = TimeDelta::microseconds(self.leaps.load(Ordering::SeqCst));
        whole_micros(self.from + leaps + TimeDelta::from_std(self.monotonic()).expect("short"))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() - self.started
    }
}

struct Process {
    kit: Kit,
    tenant: TenantHandle,
    store: Arc<SqliteStore>,
    transport: Arc<ScriptedTransport>,
}

async fn start(path: &Path, clock: &Arc<LeapingClock>) -> Process {
    let options = SqliteOptions::new(path).clock(clock.clone());
    let store = Arc::new(SqliteStore::open(options).expect("a store"));
    let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    let builder = Kit::builder(store.clone()).transport("cloud", transport.clone()).clock(clock.clone());
    let kit = builder.build().await.expect("a kit");
    let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
    Process { kit, tenant, store, transport }
}

async fn morning(process: &Process) -> ScheduleId {
    let session = process.tenant.sessions().add(&Number::cloud("100")).await.expect("a session");
    for n in 0..3 {
        let phone = Phone::try_from(4_915_100_000_000 + n).expect("a phone");
        let list = Some("people".parse().expect("a name"));
        let contacts = process.tenant.contacts();
        contacts.upsert(phone.into(), ContactAttributes::default(), list).await.expect("a contact");
    }
    let first = "2026-03-28 02:30".parse().expect("a civil time");
    let zone = "Europe/Berlin".parse().expect("a zone");
    let daily = Recurrence::new(Repeat::Days { every: 1 }, first, zone);
    let content = Content::Template(
        TemplateContent::with_body(
            "hello".parse().expect("a name"),
            "en".parse().expect("a language"),
            Category::Marketing,
            [],
        )
        .expect("a template"),
    );
    let (name, list) = ("morning".parse().expect("a name"), "people".parse().expect("a name"));
    let new = NewRecurring::new(name, list, content, vec![session.id], daily);
    process.tenant.schedules().create(new).await.expect("a schedule").id
}

/// Runs the engine until this campaign is completed, or else the next one.
async fn complete(process: &Process) -> CampaignId {
    let engine = process.kit.start();
    let mut events = process.kit.events("test").await.expect("events");
    let done = loop {
        let event = events.next().await.expect("an event");
        events.acknowledge(event.position).await.expect("an answer");
        if let EventBody::Campaign { campaign, state: CampaignState::Completed } = event.body {
            break campaign;
        }
    };
    engine.stop(Duration::from_secs(10)).await;
    done
}

#[tokio::test]
async fn a_run_that_was_made_before_a_crash_is_launched_after_it_and_sent_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wa.db");
    let from = "2026-03-27T22:00:00Z".parse().expect("an instant");
    let clock = Arc::new(LeapingClock { from, started: SystemClock.monotonic(), leaps: AtomicI64::new(0) });

    let process = start(&path, &clock).await;
    let id = morning(&process).await;
    clock.leap_to("2026-03-28T01:30:00Z");
    let fresh = CampaignId::mint(clock.now(), [5; 10]);
    let own = scope::tenant(process.tenant.id());
    let made = process.store.schedules().run_schedule(&own, id, fresh).await.expect("an answer");
    let RunSchedule::Ran(run) = made else { panic!("the slot has come: {made:?}") };
    assert_eq!(run.campaign, fresh);
    process.store.close();
    drop(process);

    let process = start(&path, &clock).await;
    assert_eq!(complete(&process).await, fresh);
    assert_eq!(process.transport.sent().len(), 3);
    // The clocks leave the next slot out: it comes with the first instant after.
    clock.leap_to("2026-03-29T01:00:00Z");
    let second = complete(&process).await;
    let runs = process.tenant.schedules().runs(id, 0, 10).await.expect("runs");
    let told: Vec<_> =
        runs.iter().map(|run| (run.slot.number, run.campaign, run.due_at.to_rfc3339())).collect();
    let expected = [
        (1, fresh, "2026-03-28T01:30:00+00:00".to_owned()),
        (2, second, "2026-03-29T01:00:00+00:00".to_owned()),
    ];
    assert_eq!(told, expected);
    assert_eq!(process.transport.sent().len(), 6, "everybody once a day");
    let campaigns = process.tenant.campaigns().list(None, 10).await.expect("campaigns");
    assert_eq!(campaigns.len(), 2);
    process.store.close();
}
