//! The trickiest walks through the reference store; the clauses have their own suite.

mod campaigns;
mod protocol;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{AdminScope, Scope, WorkerScope};
use crate::rules::judge::StandardJudge;
use crate::testing::{ManualClock, begin_item, scope};

const START: i64 = 1_790_000_000_000_000;

/// A store with one tenant and one held session.
struct Bench {
    clock: Arc<ManualClock>,
    store: MemoryStore,
    tenant: TenantId,
    session: SessionId,
    scope: Scope,
    admin: AdminScope,
    worker: WorkerScope,
}

impl Bench {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(START)));
        let store = MemoryStore::new(clock.clone());
        let admin = scope::admin(worker(1));
        let tenant = store.ensure_tenant(&admin, &parsed("acme"), TenantId::from_uuid(id(1))).await;
        let tenant = tenant.expect("a tenant").id;
        let mut bench = Self {
            clock,
            store,
            tenant,
            session: SessionId::from_uuid(id(2)),
            scope: scope::tenant(tenant),
            admin,
            worker: scope::worker(worker(1), []),
        };
        bench.add_session(2).await;
        bench.worker = bench.acquire(worker(1)).await;
        bench
    }

    async fn add_session(&self, n: u128) -> SessionId {
        let new = NewSession {
            id: SessionId::from_uuid(id(n)),
            transport: parsed("cloud"),
            number: parsed(&n.to_string()),
            portfolio: "portfolio".to_owned(),
            account: None,
            phone: None,
        };
        let added = self.store.add_session(&self.scope, &new).await.expect("an addition");
        assert!(matches!(added, AddSession::Added(_)), "{added:?}");
        new.id
    }

    async fn acquire(&self, worker: WorkerId) -> WorkerScope {
        let leases = self.leases(worker).await;
        scope::worker(worker, leases.iter().map(|lease| (lease.session.id, lease.epoch)))
    }

    async fn leases(&self, worker: WorkerId) -> Vec<Lease> {
        let ask = AcquireSessions { worker, lease: Duration::from_secs(3_600), most: 10 };
        self.store.acquire(&self.admin, &ask).await.expect("leases")
    }

    fn now(&self) -> DateTime<Utc> {
        crate::port::Clock::now(self.clock.as_ref())
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn enqueue(&self, n: u128, phone: &str) -> MessageId {
        let template = TemplateContent::with_body(parsed("hello"), parsed("en"), Category::Marketing, []);
        let message = NewMessage {
            id: MessageId::from_uuid(id(n)),
            session: self.session,
            recipient: Phone::parse(phone, None).expect("a phone").into(),
            content: Content::Template(template.expect("a template")),
            reply_to: None,
            fallback: None,
            lane: Lane::Bulk,
            due_at: self.now(),
            valid_until: None,
            key: None,
            in_doubt: None,
        };
        let queued = self.store.enqueue(&self.scope, &message).await.expect("an answer");
        assert_eq!(queued, Enqueue::Queued(message.id));
        message.id
    }

    async fn due(&self) -> Vec<DueMessage> {
        let ask = DueQuery {
            session: self.session,
            lane: None,
            limit: 1_000,
            skip: Vec::new(),
            skip_feeds: Vec::new(),
        };
        self.store.due(&self.worker, &ask).await.expect("a page").messages
    }

    fn batch(&self, n: u128, due: &[DueMessage]) -> BeginBatch {
        BeginBatch {
            id: BatchId::from_uuid(id(n)),
            session: self.session,
            items: due.iter().map(begin_item).collect(),
            start_within: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }

    async fn begin(&self, batch: &BeginBatch) -> Begun {
        let judge = Arc::new(StandardJudge::default());
        self.store.begin(&self.worker, batch, judge).await.expect("an answer")
    }

    /// Begins a batch that must be committed.
    async fn begun(&self, n: u128, due: &[DueMessage]) -> BegunBatch {
        match self.begin(&self.batch(n, due)).await {
            Begun::Done(begun) => begun,
            other => panic!("{other:?}"),
        }
    }

    async fn settle(&self, message: MessageId, n: u16, outcome: Outcome) -> Settled {
        let fact = self.fact(message, n, outcome);
        self.store.settle(&[fact]).await.expect("a merge")
    }

    fn fact(&self, message: MessageId, n: u16, outcome: Outcome) -> AttemptFact {
        AttemptFact { attempt: self.key(message, n), at: self.now(), outcome, retry_after: None }
    }

    fn key(&self, message: MessageId, n: u16) -> AttemptKey {
        AttemptKey { tenant: self.tenant, message, n }
    }

    /// Keeps and projects a body that holds these events.
    async fn project(&self, n: u128, events: Vec<ProjectedEvent>) -> Projected {
        let raw = RawBody {
            id: RawId::from_uuid(id(n)),
            transport: parsed("cloud"),
            body: n.to_be_bytes().to_vec(),
            received_at: self.now(),
        };
        let RawBody { id, transport, body: _, received_at } = raw.clone();
        self.store.keep(&self.admin, &[raw]).await.expect("a body");
        let projection = Projection { raw: id, transport, received_at, events };
        self.store.project(&self.admin, &[projection]).await.expect("a projection")
    }

    async fn view(&self, message: MessageId) -> MessageView {
        self.store.message(&self.scope, message).await.expect("an answer").expect("a message")
    }

    async fn state(&self, message: MessageId) -> MessageState {
        self.view(message).await.state
    }

    async fn used(&self) -> u64 {
        let usage = self.store.usage(&self.scope, Period::of(self.now())).await.expect("an answer");
        usage.expect("a tenant").used
    }
}

fn accepted(provider_id: &str) -> Outcome {
    Outcome::Accepted { provider_id: provider_id.to_owned() }
}

fn refused(class: RejectClass) -> Outcome {
    Outcome::Rejected(FailureCode { code: 17, class, title: class.as_str().to_owned(), details: None })
}

fn status(attempt: Option<AttemptKey>, provider_id: &str, fact: Fact, at: DateTime<Utc>) -> ProjectedEvent {
    let update = StatusUpdate::new(parsed("2"), provider_id, fact, at);
    ProjectedEvent::Status { attempt, batch: None, update }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn worker(n: u128) -> WorkerId {
    WorkerId::from_uuid(id(n))
}

fn phone(n: usize) -> String {
    format!("+491511234{n:04}")
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a value")
}
