//! A store on a fresh file with a clock that stands still, and short words for what tests need.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use uuid::Uuid;
use wa_core::model::{
    AttemptKey, BatchId, Campaign, CampaignContent, CampaignCounts, CampaignId, CampaignName, Category,
    ContactAttributes, ContactId, Content, FailureCode, Lane, ListName, MessageId, MessageView, NewCampaign,
    NewMessage, NewSession, Outcome, Phone, Recipient, RejectClass, Session, SessionId, TemplateContent,
    TenantId, TenantSettings, TransportName, WorkerId, from_micros,
};
use wa_core::port::store::{
    AcquireSessions, AddSession, AttemptFact, BeginBatch, BeginItem, Begun, BegunBatch, CreateCampaign,
    DueMessage, DueQuery, DueSource, Enqueue, LaunchChunk, LaunchStep, Lease, Settled, Store, UpsertContact,
};
use wa_core::port::{AdminScope, Clock, Scope, WorkerScope};
use wa_core::rules::judge::StandardJudge;
use wa_core::testing::{ManualClock, scope};
use wa_storage::{SqliteOptions, SqliteStore};

pub(crate) const LEASE: Duration = Duration::from_secs(15);

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: SqliteStore,
    pub(crate) tenant: TenantId,
    next: std::cell::Cell<u128>,
}

impl World {
    /// A store with one tenant.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let store = SqliteStore::open(options(&folder, &clock)).expect("a store");
        let tenant = TenantId::from_uuid(Uuid::from_u128(0xA));
        let name = "tenant".parse().expect("a name");
        let made = store.directory().ensure_tenant(&admin(), &name, tenant).await.expect("a tenant");
        let settings = without_cooldown();
        store.directory().put_settings(&scope::tenant(made.id), &settings).await.expect("an answer");
        Self { folder, clock, store, tenant: made.id, next: std::cell::Cell::new(1_000) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("wa.db")
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        options(&self.folder, &self.clock)
    }

    /// Another store on the same file.
    pub(crate) fn another(&self) -> SqliteStore {
        SqliteStore::open(self.options()).expect("a second store")
    }

    pub(crate) fn reopen(&mut self) {
        self.store.close();
        self.store = SqliteStore::open(self.options()).expect("the store again");
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn scope(&self) -> Scope {
        scope::tenant(self.tenant)
    }

    pub(crate) fn uuid(&self) -> Uuid {
        self.next.set(self.next.get() + 1);
        Uuid::from_u128(self.next.get())
    }

    pub(crate) async fn add_session(&self, number: &str) -> Session {
        let new = NewSession {
            id: SessionId::from_uuid(self.uuid()),
            transport: transport(),
            number: number.parse().expect("a number id"),
            portfolio: "portfolio".to_owned(),
            account: None,
            phone: None,
        };
        match self.store.numbers().add_session(&self.scope(), &new).await.expect("an answer") {
            AddSession::Added(session) => session,
            other => panic!("{other:?}"),
        }
    }

    /// A session that this worker holds.
    pub(crate) async fn held(&self, number: &str, worker: u128) -> (Session, WorkerScope) {
        let session = self.add_session(number).await;
        let leases = acquire(&self.store, worker).await;
        let epochs = leases.iter().map(|lease| (lease.session.id, lease.epoch));
        (session, scope::worker(worker_id(worker), epochs))
    }

    /// Puts so many contacts with the attribute `name` on a list.
    pub(crate) async fn contacts(&self, list: &str, count: u64) -> Vec<ContactId> {
        let mut ids = Vec::new();
        for n in 0..count {
            let contact = UpsertContact {
                id: ContactId::from_uuid(self.uuid()),
                recipient: Recipient::from(phone(n)),
                attributes: ContactAttributes::from([("name".to_owned(), format!("Person {n}"))]),
                list: Some(list.parse::<ListName>().expect("a list name")),
            };
            let made =
                self.store.audience().upsert_contact(&self.scope(), &contact).await.expect("an answer");
            ids.push(made.expect("a contact").id);
        }
        ids
    }

    pub(crate) async fn draft(&self, name: &str, list: &str, sessions: &[SessionId]) -> Campaign {
        let new = self.definition(name, list, sessions);
        match self.store.audience().create_campaign(&self.scope(), &new).await.expect("an answer") {
            CreateCampaign::Created(campaign) => campaign,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn definition(&self, name: &str, list: &str, sessions: &[SessionId]) -> NewCampaign {
        NewCampaign {
            id: CampaignId::from_uuid(self.uuid()),
            name: name.parse::<CampaignName>().expect("a name"),
            content: CampaignContent::new(template("{{name}}")),
            fallback: None,
            list: list.parse().expect("a list name"),
            sessions: sessions.to_vec(),
            lane: Lane::Bulk,
            valid_until: None,
            start_at: None,
            rate: None,
            budget: None,
            in_doubt: None,
        }
    }

    pub(crate) async fn launch(&self, campaign: CampaignId, size: u32) -> Campaign {
        loop {
            let chunk = LaunchChunk { size, seed: [7; 16] };
            let step =
                self.store.audience().launch(&self.scope(), campaign, &chunk).await.expect("an answer");
            match step {
                LaunchStep::Frozen { .. } => {}
                LaunchStep::Done(campaign) => return campaign,
                other => panic!("{other:?}"),
            }
        }
    }

    /// A launched campaign over so many new contacts.
    pub(crate) async fn running(&self, name: &str, count: u64, sessions: &[SessionId]) -> Campaign {
        self.contacts(name, count).await;
        let campaign = self.draft(name, name, sessions).await;
        self.launch(campaign.id, 1_000).await
    }

    pub(crate) async fn enqueue(&self, session: SessionId, to: u64, lane: Lane) -> MessageId {
        let message = self.message(session, to, lane);
        let answer = self.store.outbox().enqueue(&self.scope(), &message).await.expect("an answer");
        assert_eq!(answer, Enqueue::Queued(message.id));
        message.id
    }

    pub(crate) fn message(&self, session: SessionId, to: u64, lane: Lane) -> NewMessage {
        NewMessage {
            id: MessageId::from_uuid(self.uuid()),
            session,
            recipient: Recipient::from(phone(to)),
            content: template("now"),
            reply_to: None,
            fallback: None,
            lane,
            due_at: self.now(),
            valid_until: None,
            key: None,
            in_doubt: None,
        }
    }

    pub(crate) async fn due(&self, worker: &WorkerScope, session: SessionId, limit: u32) -> Vec<DueMessage> {
        let ask = DueQuery { session, lane: None, limit, skip: Vec::new(), skip_feeds: Vec::new() };
        self.store.outbox().due(worker, &ask).await.expect("a page").messages
    }

    pub(crate) fn batch(&self, session: SessionId, due: &[DueMessage]) -> BeginBatch {
        BeginBatch {
            id: BatchId::from_uuid(self.uuid()),
            session,
            items: due.iter().map(item).collect(),
            start_within: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }

    pub(crate) async fn begin(&self, worker: &WorkerScope, batch: &BeginBatch) -> Begun {
        let judge = Arc::new(StandardJudge::default());
        self.store.outbox().begin(worker, batch, judge).await.expect("an answer")
    }

    /// Begins what is due, and expects that it is done.
    pub(crate) async fn begin_due(&self, worker: &WorkerScope, session: SessionId, limit: u32) -> BegunBatch {
        let due = self.due(worker, session, limit).await;
        match self.begin(worker, &self.batch(session, &due)).await {
            Begun::Done(begun) => begun,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn settle(&self, attempt: AttemptKey, outcome: Outcome) -> Settled {
        let fact = AttemptFact { attempt, at: self.now(), outcome, retry_after: None };
        self.store.outbox().settle(&[fact]).await.expect("an answer")
    }

    pub(crate) async fn view(&self, message: MessageId) -> MessageView {
        self.store.reports().message(&self.scope(), message).await.expect("an answer").expect("the message")
    }

    /// The counts, after comparing them with a recount over all messages.
    pub(crate) async fn counts(&self, campaign: CampaignId) -> CampaignCounts {
        let reports = self.store.reports();
        let counts = reports.counts(&self.scope(), campaign).await.expect("an answer").expect("the campaign");
        let mut recount = CampaignCounts::default();
        let mut after = None;
        loop {
            let page = reports.recipients(&self.scope(), campaign, after, 7).await.expect("a page");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for view in &page {
                recount_one(&mut recount, view);
            }
        }
        recount.cost.clone_from(&counts.cost);
        recount.unpriced = counts.unpriced;
        assert_eq!(counts, recount, "the counts are what a recount gives");
        counts
    }
}

pub(crate) fn recount_one(counts: &mut CampaignCounts, view: &MessageView) {
    use wa_core::rules::tally::{Counter, Standing, apply, counted_in};
    let facts: Vec<_> = view.attempts.iter().map(|attempt| &attempt.facts).collect();
    apply(counts, &Counter::Audience, 1);
    let standing = Standing::new(view.state, view.skipped, &facts).waiting(view.held.is_some());
    for counter in counted_in(&standing) {
        apply(counts, &counter, 1);
    }
    let retries = i64::try_from(view.attempts.len().saturating_sub(1)).expect("few");
    apply(counts, &Counter::Retries, retries);
}

pub(crate) fn options(folder: &TempDir, clock: &Arc<ManualClock>) -> SqliteOptions {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    SqliteOptions::new(folder.path().join("wa.db")).clock(clock).readers(NonZeroUsize::MIN)
}

pub(crate) fn admin() -> AdminScope {
    scope::admin(worker_id(1))
}

pub(crate) fn worker_id(n: u128) -> WorkerId {
    WorkerId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn transport() -> TransportName {
    "cloud".parse().expect("a transport name")
}

pub(crate) fn phone(n: u64) -> Phone {
    Phone::try_from(4_915_100_000_000 + n).expect("a phone")
}

pub(crate) fn template(parameter: &str) -> Content {
    let template = TemplateContent::with_body(
        "hello".parse().expect("a template name"),
        "en_US".parse().expect("a language"),
        Category::Marketing,
        [parameter.to_owned()],
    );
    Content::Template(template.expect("a template"))
}

pub(crate) fn failure(code: i64, class: RejectClass) -> FailureCode {
    FailureCode { code, class, title: format!("failure {code}"), details: None }
}

pub(crate) fn accepted(id: &str) -> Outcome {
    Outcome::Accepted { provider_id: id.to_owned() }
}

pub(crate) fn item(due: &DueMessage) -> BeginItem {
    BeginItem {
        tenant: due.tenant,
        message: due.id,
        n: due.n,
        source: due.source,
        campaign: due.campaign.as_ref().map(|campaign| campaign.id),
        contact: due.contact,
        recipient: due.recipient.clone(),
        lane: due.lane,
        category: Category::Marketing,
        needs_window: false,
        template: Some(("hello".parse().expect("a name"), "en_US".parse().expect("a language"))),
        fallback: None,
        valid_until: due.valid_until,
        unsendable: None,
    }
}

pub(crate) async fn acquire(store: &SqliteStore, worker: u128) -> Vec<Lease> {
    let ask = AcquireSessions { worker: worker_id(worker), lease: LEASE, most: 100 };
    store.numbers().acquire(&scope::admin(worker_id(worker)), &ask).await.expect("leases")
}

pub(crate) fn is_feed(due: &[DueMessage]) -> bool {
    due.iter().all(|message| message.source == DueSource::Feed)
}

/// For tests that write to the same few people again and again.
pub(crate) fn without_cooldown() -> TenantSettings {
    TenantSettings { template_cooldown: None, ..TenantSettings::default() }
}
