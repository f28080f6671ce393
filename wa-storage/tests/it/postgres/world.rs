//! A tenant on a Postgres store by the server's own clock, and a recount of everything that is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    AttemptKey, BatchId, Campaign, CampaignContent, CampaignCounts, CampaignId, Category, ContactAttributes,
    ContactId, Currency, Entitlement, Lane, ListName, MessageId, MessageView, Money, NewCampaign, NewMessage,
    NewSession, Outcome, Phone, PriceList, Recipient, Session, SessionId, SessionReport, TenantBudget,
    TenantId, TenantSettings, Tier,
};
use wa_core::port::store::{
    AcquireSessions, AddSession, AttemptFact, BeginBatch, Begun, BegunBatch, CreateCampaign, DueMessage,
    DueQuery, Enqueue, LaunchChunk, LaunchStep, Lease, Settled, Store, StoreError, UpsertContact,
};
use wa_core::port::{Clock, Entropy, Scope, SystemClock, SystemEntropy, WorkerScope};
use wa_core::rules::judge::StandardJudge;
use wa_core::testing::{ManualClock, begin_item, scope};
use wa_storage::{PostgresOptions, PostgresStore, TestDatabase};

use crate::world::{admin, template, transport, without_cooldown, worker_id};

/// A lease that outlasts every test.
pub(super) const FOR_LONG: Duration = Duration::from_secs(3_600);
/// What a message costs.
pub(super) const PRICE: i64 = 1_000;

/// A tenant and the store through which it is seen; many of them can look at one database.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) store: Arc<PostgresStore>,
    pub(super) tenant: TenantId,
    clock: Arc<dyn Clock>,
}

/// An id of nobody else, in any process.
pub(super) fn fresh() -> Uuid {
    let mut random = [0; 10];
    SystemEntropy.fill(&mut random);
    MessageId::mint(SystemClock.now(), random).as_uuid()
}

pub(super) fn eur(micros: i64) -> Money {
    Money { micros, currency: currency() }
}

pub(super) fn currency() -> Currency {
    "EUR".parse().expect("a currency")
}

/// No cooldown, a price for marketing, and a budget, if there is one.
pub(super) fn settings(total: Option<i64>) -> TenantSettings {
    let prices =
        PriceList { currency: currency(), per_message: BTreeMap::from([(Category::Marketing, PRICE)]) };
    let budget = TenantBudget { monthly: None, total: total.map(eur) };
    TenantSettings { prices: Some(prices.into()), budget, ..without_cooldown() }
}

/// A phone of nobody else in this process.
pub(super) fn fresh_phone() -> Phone {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Phone::try_from(4_915_200_000_000 + NEXT.fetch_add(1, Ordering::Relaxed)).expect("a phone")
}

impl World {
    /// A tenant of this name on a database.
    pub(super) async fn open(options: PostgresOptions, tenant: &str) -> Self {
        let store = Arc::new(PostgresStore::connect(options).await.expect("a store"));
        Self::on(store, tenant).await
    }

    /// A tenant of this name on a store.
    pub(super) async fn on(store: Arc<PostgresStore>, tenant: &str) -> Self {
        let name = tenant.parse().expect("a name");
        let made = store.directory().ensure_tenant(&admin(), &name, TenantId::from_uuid(fresh())).await;
        Self::of(store, made.expect("a tenant").id)
    }

    /// A tenant that is there.
    pub(super) fn of(store: Arc<PostgresStore>, tenant: TenantId) -> Self {
        Self { store, tenant, clock: Arc::new(SystemClock) }
    }

    /// A tenant with a price and without cooldown on a database of its own, by a clock that stands still.
    pub(super) async fn still(database: &TestDatabase) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let options = database.options().clock(Arc::<ManualClock>::clone(&clock));
        let world = Self { clock: Arc::<ManualClock>::clone(&clock), ..Self::open(options, "tenant").await };
        world.put(&settings(None)).await;
        (world, clock)
    }

    /// A tenant with a price and without cooldown on a database of its own.
    pub(super) async fn new(database: &TestDatabase) -> Self {
        let world = Self::open(database.options(), "tenant").await;
        world.put(&settings(None)).await;
        world
    }

    /// The same tenant by another way.
    pub(super) async fn by(&self, options: PostgresOptions) -> Self {
        let store = Arc::new(PostgresStore::connect(options).await.expect("a store"));
        Self { store, ..self.clone() }
    }

    pub(super) fn scope(&self) -> Scope {
        scope::tenant(self.tenant)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) async fn put(&self, settings: &TenantSettings) {
        assert!(self.store.directory().put_settings(&self.scope(), settings).await.expect("an answer"));
    }

    pub(super) async fn quota(&self, messages: u64) {
        let plan = Entitlement { messages_per_month: Some(messages), ..Entitlement::unlimited() };
        assert!(self.store.ledger().set_entitlement(&self.scope(), &plan).await.expect("an answer"));
    }

    pub(super) async fn session(&self, number: &str, portfolio: &str) -> Session {
        let new = NewSession {
            id: SessionId::from_uuid(fresh()),
            transport: transport(),
            number: number.parse().expect("a number id"),
            portfolio: portfolio.to_owned(),
            account: None,
            phone: None,
        };
        match self.store.numbers().add_session(&self.scope(), &new).await.expect("an answer") {
            AddSession::Added(session) => session,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn tier(&self, session: SessionId, tier: Tier) {
        let report = SessionReport { tier: Some(tier), ..SessionReport::default() };
        let known = self.store.numbers().report_session(&self.scope(), session, &report).await;
        assert!(known.expect("an answer").is_some());
    }

    pub(super) async fn acquire(&self, worker: u128, lease: Duration) -> Vec<Lease> {
        let ask = AcquireSessions { worker: worker_id(worker), lease, most: 100 };
        let leases = self.store.numbers().acquire(&scope::admin(worker_id(worker)), &ask).await;
        leases.expect("leases")
    }

    /// Takes everything that is free for long.
    pub(super) async fn hold(&self, worker: u128) -> WorkerScope {
        holding(worker, &self.acquire(worker, FOR_LONG).await)
    }

    pub(super) async fn contact(&self, list: &str, phone: Phone) -> ContactId {
        let contact = UpsertContact {
            id: ContactId::from_uuid(fresh()),
            recipient: Recipient::from(phone),
            attributes: ContactAttributes::from([("name".to_owned(), "Ada".to_owned())]),
            list: Some(list.parse::<ListName>().expect("a list name")),
        };
        let made = self.store.audience().upsert_contact(&self.scope(), &contact).await.expect("an answer");
        made.expect("a contact").id
    }

    /// A running campaign of marketing over so many new people, on a list of its name.
    pub(super) async fn campaign(&self, name: &str, people: u64, sessions: &[SessionId]) -> Campaign {
        for _ in 0..people {
            self.contact(name, fresh_phone()).await;
        }
        self.launch(name, name, sessions).await
    }

    pub(super) async fn launch(&self, name: &str, list: &str, sessions: &[SessionId]) -> Campaign {
        let new = NewCampaign {
            in_doubt: None,
            id: CampaignId::from_uuid(fresh()),
            name: name.parse().expect("a name"),
            content: CampaignContent::new(template("{{name}}")),
            fallback: None,
            list: list.parse().expect("a list name"),
            sessions: sessions.to_vec(),
            lane: Lane::Bulk,
            valid_until: None,
            start_at: None,
            rate: None,
            budget: None,
        };
        let made = self.store.audience().create_campaign(&self.scope(), &new).await.expect("an answer");
        assert!(matches!(made, CreateCampaign::Created(_)), "{made:?}");
        loop {
            let chunk = LaunchChunk { size: 1_000, seed: *fresh().as_bytes() };
            match self.store.audience().launch(&self.scope(), new.id, &chunk).await.expect("an answer") {
                LaunchStep::Frozen { .. } => {}
                LaunchStep::Done(campaign) => return campaign,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn message(&self, session: SessionId, to: Phone) -> NewMessage {
        NewMessage {
            in_doubt: None,
            id: MessageId::from_uuid(fresh()),
            session,
            recipient: Recipient::from(to),
            content: template("now"),
            reply_to: None,
            fallback: None,
            lane: Lane::Bulk,
            due_at: self.now(),
            valid_until: None,
            key: None,
        }
    }

    pub(super) async fn enqueue(&self, session: SessionId, to: Phone) -> MessageId {
        let message = self.message(session, to);
        let answer = self.store.outbox().enqueue(&self.scope(), &message).await.expect("an answer");
        assert_eq!(answer, Enqueue::Queued(message.id));
        message.id
    }

    pub(super) async fn due(&self, worker: &WorkerScope, session: SessionId, limit: u32) -> Vec<DueMessage> {
        let ask = DueQuery { session, lane: None, limit, skip: Vec::new(), skip_feeds: Vec::new() };
        self.store.outbox().due(worker, &ask).await.expect("a page").messages
    }

    pub(super) async fn try_begin(
        &self,
        worker: &WorkerScope,
        batch: &BeginBatch,
    ) -> Result<Begun, StoreError> {
        self.store.outbox().begin(worker, batch, Arc::new(StandardJudge::default())).await
    }

    /// Begins what is due, and expects that it is judged.
    pub(super) async fn begin_due(&self, worker: &WorkerScope, session: SessionId, limit: u32) -> BegunBatch {
        let due = self.due(worker, session, limit).await;
        match self.try_begin(worker, &batch(session, &due)).await.expect("an answer") {
            Begun::Done(begun) => begun,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn settle(&self, attempt: AttemptKey, outcome: Outcome) -> Settled {
        let fact = AttemptFact { attempt, at: self.now(), outcome, retry_after: None };
        self.store.outbox().settle(&[fact]).await.expect("an answer")
    }

    pub(super) async fn view(&self, message: MessageId) -> MessageView {
        self.store.reports().message(&self.scope(), message).await.expect("an answer").expect("the message")
    }

    /// All messages of a campaign.
    pub(super) async fn recipients(&self, campaign: CampaignId) -> Vec<MessageView> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.reports().recipients(&self.scope(), campaign, after, 1_000).await;
            let page = page.expect("a page");
            let Some(last) = page.last() else { return all };
            after = Some(last.id);
            all.extend(page);
        }
    }

    /// The counts of a campaign, compared with a recount over all its messages.
    pub(super) async fn counts(&self, campaign: CampaignId) -> CampaignCounts {
        let counts = self.store.reports().counts(&self.scope(), campaign).await;
        let counts = counts.expect("an answer").expect("the campaign");
        let mut recount = CampaignCounts::default();
        let (mut cost, mut unpriced) = (0, 0);
        for view in self.recipients(campaign).await {
            crate::world::recount_one(&mut recount, &view);
            for attempt in &view.attempts {
                match attempt.price.amount {
                    Some(money) => cost += money.micros,
                    None => unpriced += 1,
                }
            }
        }
        assert_eq!(counts.cost.values().sum::<i64>(), cost, "the cost is that of the attempts");
        assert_eq!(counts.unpriced, unpriced);
        recount.cost.clone_from(&counts.cost);
        recount.unpriced = counts.unpriced;
        assert_eq!(counts, recount, "the counts are what a recount gives");
        counts
    }
}

pub(super) fn holding(worker: u128, leases: &[Lease]) -> WorkerScope {
    scope::worker(worker_id(worker), leases.iter().map(|lease| (lease.session.id, lease.epoch)))
}

pub(super) fn batch(session: SessionId, due: &[DueMessage]) -> BeginBatch {
    BeginBatch {
        id: BatchId::from_uuid(fresh()),
        session,
        items: due.iter().map(begin_item).collect(),
        start_within: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
    }
}

/// The server's administrator, who sees everything.
pub(super) async fn watcher(database: &TestDatabase) -> PgConnection {
    let mut watcher = PgConnection::connect(&database.admin_url()).await.expect("the server answers");
    execute(&mut watcher, "SET search_path = wa_kit, pg_catalog").await;
    watcher
}

pub(super) async fn execute(on: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(on)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(super) async fn number(on: &mut PgConnection, sql: &str) -> i64 {
    let asked = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(on).await;
    asked.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Attempts with what is known of them; `kept` are those that were not given back, `charged` those that may
/// have arrived, of which a status can tell after all.
const ATTEMPTS: &str = "WITH every AS (SELECT a.*, r.facts, r.released_at, \
     num_nonnulls(r.delivered_at, r.read_at, r.played_at) > 0 AS delivered, \
     num_nonnulls(r.accepted_at, r.sent_at, r.delivered_at, r.read_at, r.played_at) > 0 AS taken, \
     r.failed_at IS NOT NULL AS failed, num_nonnulls(r.not_sent_at, r.rejected_at) > 0 AS refused \
     FROM attempt a LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n), \
     kept AS (SELECT * FROM every WHERE released_at IS NULL), \
     charged AS (SELECT * FROM every WHERE delivered OR NOT (failed OR (refused AND NOT taken))) ";

/// Counts what limits have taken anew, from the attempts, and compares; every message is a template and has
/// the price of [`settings`].
pub(super) async fn recount(on: &mut PgConnection) {
    let differ = [
        (
            "quota",
            "SELECT tenant FROM kept GROUP BY tenant HAVING count(*) <> \
             (SELECT coalesce(sum(used), 0) FROM quota_usage q WHERE q.tenant = kept.tenant)",
        ),
        (
            "no quota without attempts",
            "SELECT q.tenant FROM quota_usage q WHERE used <> \
             (SELECT count(*) FROM kept k WHERE k.tenant = q.tenant)",
        ),
        (
            "slots of a tier",
            "SELECT portfolio FROM tier_slot s GROUP BY portfolio HAVING count(*) <> \
             (SELECT used FROM tier_usage u WHERE u.portfolio = s.portfolio)",
        ),
        (
            "uses of slots",
            "SELECT x.of FROM (SELECT 'all' AS of) x WHERE \
             (SELECT coalesce(sum(uses), 0) FROM tier_slot) <> (SELECT count(*) FROM kept WHERE tier_slot)",
        ),
        (
            "touches without attempts",
            "SELECT t.message FROM touch t LEFT JOIN kept k ON k.tenant = t.tenant \
             AND k.recipient = t.recipient AND k.begun_at = t.at AND k.message = t.message AND k.n = t.n \
             WHERE k.message IS NULL",
        ),
        (
            "attempts without touches",
            "SELECT k.message FROM kept k LEFT JOIN touch t ON k.tenant = t.tenant \
             AND k.recipient = t.recipient AND k.begun_at = t.at AND k.message = t.message AND k.n = t.n \
             WHERE t.message IS NULL",
        ),
        (
            "open attempts",
            "SELECT coalesce(e.message, o.message) FROM (SELECT * FROM every WHERE facts IS NULL) e \
             FULL JOIN open_attempt o ON o.tenant = e.tenant AND o.message = e.message AND o.n = e.n \
             WHERE e.message IS NULL OR o.message IS NULL",
        ),
        (
            "the budget of a tenant",
            "SELECT b.tenant FROM budget_use b WHERE b.of = '' AND b.committed <> \
             (SELECT coalesce(sum(reserve), 0) FROM charged k WHERE k.tenant = b.tenant)",
        ),
        (
            "the budget of a campaign",
            "SELECT b.of FROM budget_use b WHERE length(b.of) = 16 AND b.committed <> \
             (SELECT coalesce(sum(reserve), 0) FROM charged k JOIN message m ON m.tenant = k.tenant \
             AND m.id = k.message WHERE k.tenant = b.tenant AND uuid_send(m.campaign) = b.of)",
        ),
        ("both due and closed", "SELECT d.message FROM due d JOIN closed c USING (tenant, message)"),
        (
            "both due and open",
            "SELECT d.message FROM due d JOIN every e ON e.tenant = d.tenant AND e.message = d.message \
             AND e.facts IS NULL",
        ),
        (
            "more than one open attempt",
            "SELECT message FROM every WHERE facts IS NULL GROUP BY tenant, message HAVING count(*) > 1",
        ),
    ];
    for (what, sql) in differ {
        let wrong = number(on, &format!("{ATTEMPTS} SELECT count(*) FROM ({sql}) AS wrong")).await;
        assert_eq!(wrong, 0, "{what}: {wrong} differ from a recount");
    }
}
