//! A tenant with campaigns, a worker, and a provider that sends statuses as it likes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;
use wa_core::model::{
    AttemptKey, BatchId, BudgetOf, CampaignAction, CampaignContent, CampaignId, Category, ChargedCategory,
    ContactAttributes, ContactId, Content, Fact, Fingerprint, HoldReason, ImportId, ImportLine, ImportRow,
    Lane, MessageId, Money, NewCampaign, NewMessage, NewSession, Outcome, Phone, PriceBook, PricingKind,
    RawId, Recipient, RejectClass, Session, SessionId, StatusUpdate, TemplateContent, TenantBudget, TenantId,
    TenantSettings, UtcOffset, WebhookPricing,
};
use wa_core::port::store::{
    AcquireSessions, AddSession, AttemptFact, BeginBatch, Begun, Cost, CostOf, CreateCampaign, DueQuery,
    ImportChunk, LaunchChunk, LaunchStep, ProjectedEvent, Projection, RawBody, StartImport, Store,
};
use wa_core::port::{Clock, Scope, WorkerScope};
use wa_core::rules::judge::StandardJudge;
use wa_core::testing::{ManualClock, SeededEntropy, scope};

use super::fate::{Fate, Word};
use crate::world::{admin, failure, item, worker_id};

/// Meta's list prices of 1 October 2026 in micros, written down once more: by first digits of the
/// phone, for marketing and for the rest.
pub(super) const RATES: [(&str, i64, i64); 4] =
    [("91", 11_800, 1_400), ("4915", 136_500, 55_000), ("1415", 25_000, 3_400), ("25", 22_500, 4_000)];

/// Events of one batch.
pub(super) const BATCH: usize = 400;

/// A status that a provider will send, as often as it likes.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) key: AttemptKey,
    pub(super) update: StatusUpdate,
}

pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) dice: SeededEntropy,
    pub(super) tenant: Scope,
    pub(super) worker: WorkerScope,
    pub(super) session: Session,
    pub(super) campaigns: Vec<(CampaignId, Option<i64>)>,
    pub(super) contacts: Vec<Phone>,
    pub(super) fates: BTreeMap<AttemptKey, Fate>,
    pub(super) letters: Vec<Letter>,
    /// What comes after everything else.
    pub(super) late: Vec<Letter>,
    pub(super) minted: u128,
    pub(super) events: u64,
    /// The most that was ever committed beyond a budget.
    pub(super) passed: i64,
    pub(super) budget: i64,
    /// By how much it is raised.
    raise: i64,
}

pub(super) fn usd(micros: i64) -> Money {
    Money { micros, currency: "USD".parse().expect("a currency") }
}

pub(super) fn template(category: Category) -> Content {
    let name = "news".parse().expect("a name");
    let language = "en".parse().expect("a language");
    Content::Template(TemplateContent::with_body(name, language, category, []).expect("a template"))
}

pub(super) fn said(kind: &str, category: &str) -> WebhookPricing {
    WebhookPricing {
        kind: Some(PricingKind::from(kind)),
        category: Some(ChargedCategory::from(category)),
        ..WebhookPricing::default()
    }
}

impl Bench {
    pub(super) async fn new(store: Arc<dyn Store>, clock: Arc<ManualClock>, events: u64, seed: u64) -> Self {
        let tenant = TenantId::from_uuid(Uuid::from_u128(0xB));
        let name = "ledger".parse().expect("a name");
        store.directory().ensure_tenant(&admin(), &name, tenant).await.expect("a tenant");
        let tenant = scope::tenant(tenant);
        // About as much as the messages of half the events cost.
        let budget = i64::try_from(events).expect("few") * 4_000;
        let settings = TenantSettings {
            prices: Some(PriceBook::meta()),
            billing_offset: UtcOffset::from_minutes(330).expect("an offset"),
            budget: TenantBudget { monthly: None, total: Some(usd(budget)) },
            ..TenantSettings::default()
        };
        store.directory().put_settings(&tenant, &settings).await.expect("settings");
        let new = NewSession {
            id: SessionId::from_uuid(Uuid::from_u128(0xC)),
            transport: "cloud".parse().expect("a name"),
            number: "100".parse().expect("a number"),
            portfolio: "one".to_owned(),
            account: None,
            phone: None,
        };
        let added = store.numbers().add_session(&tenant, &new).await.expect("an answer");
        let AddSession::Added(session) = added else { panic!("{added:?}") };
        let ask = AcquireSessions { worker: worker_id(1), lease: Duration::from_secs(1 << 30), most: 1 };
        let leases = store.numbers().acquire(&scope::admin(worker_id(1)), &ask).await.expect("leases");
        let worker = scope::worker(worker_id(1), leases.iter().map(|it| (it.session.id, it.epoch)));
        Self {
            store,
            clock,
            dice: SeededEntropy::new(seed),
            tenant,
            worker,
            session,
            campaigns: Vec::new(),
            contacts: Vec::new(),
            fates: BTreeMap::new(),
            letters: Vec::new(),
            late: Vec::new(),
            minted: 0,
            events: 0,
            passed: i64::MIN,
            budget,
            raise: budget / 10,
        }
    }

    pub(super) fn roll(&self, sides: usize) -> usize {
        let sides = u64::try_from(sides.max(1)).expect("few");
        usize::try_from(self.dice.next() % sides).expect("few")
    }

    pub(super) fn uuid(&mut self) -> Uuid {
        self.minted += 1;
        let [_, _, _, _, _, _, tail @ ..] = self.minted.to_be_bytes();
        MessageId::mint(self.clock.now(), tail).as_uuid()
    }

    /// A list of people in four markets, and campaigns to them: every second one has a budget.
    pub(super) async fn launch(&mut self, campaigns: usize, members: u64) {
        let list: wa_core::model::ListName = "people".parse().expect("a name");
        let start = StartImport {
            id: ImportId::from_uuid(self.uuid()),
            list: list.clone(),
            source: Fingerprint::of(b"people"),
        };
        let audience = Arc::clone(&self.store);
        let import = audience.audience().start_import(&self.tenant, &start).await.expect("an import");
        let import = import.expect("a tenant").id;
        let mut rows = Vec::new();
        for n in 0..members {
            let (prefix, _, _) = RATES[usize::try_from(n).expect("few") % RATES.len()];
            let phone = Phone::from_digits(&format!("{prefix}4{n:07}")).expect("a phone");
            self.contacts.push(phone);
            rows.push(ImportRow {
                line: n + 2,
                content: Ok(ImportLine {
                    contact: ContactId::from_uuid(self.uuid()),
                    phone,
                    attributes: ContactAttributes::new(),
                    opted_out: false,
                }),
            });
        }
        let chunk = ImportChunk { import, from_record: 0, rows, last: true };
        audience.audience().import(&self.tenant, &chunk).await.expect("a step");
        for place in 0..campaigns {
            let limited = place % 2 == 1;
            let budget = limited.then(|| i64::try_from(members).expect("few") * 20_000);
            let category = if place % 4 < 2 { Category::Marketing } else { Category::Utility };
            let new = NewCampaign {
                id: CampaignId::from_uuid(self.uuid()),
                name: format!("campaign {place}").parse().expect("a name"),
                content: CampaignContent::new(template(category)),
                fallback: None,
                list: list.clone(),
                sessions: vec![self.session.id],
                lane: Lane::Bulk,
                valid_until: None,
                start_at: None,
                rate: None,
                budget: budget.map(usd),
                in_doubt: None,
            };
            let made = audience.audience().create_campaign(&self.tenant, &new).await.expect("an answer");
            let CreateCampaign::Created(campaign) = made else { panic!("{made:?}") };
            let chunk = LaunchChunk { size: 10_000, seed: [u8::try_from(place % 250).expect("few"); 16] };
            loop {
                match audience.audience().launch(&self.tenant, campaign.id, &chunk).await.expect("a step") {
                    LaunchStep::Frozen { .. } => {}
                    LaunchStep::Done(_) => break,
                    other => panic!("{other:?}"),
                }
            }
            self.campaigns.push((campaign.id, budget));
        }
    }

    /// Takes a few messages without campaign in.
    pub(super) async fn enqueue(&mut self, count: usize) {
        for _ in 0..count {
            let to = self.contacts[self.roll(self.contacts.len())];
            let message = NewMessage {
                id: MessageId::from_uuid(self.uuid()),
                session: self.session.id,
                recipient: Recipient::from(to),
                content: template(if self.roll(2) == 0 { Category::Utility } else { Category::Marketing }),
                reply_to: None,
                fallback: None,
                lane: Lane::Transactional,
                due_at: self.clock.now(),
                valid_until: None,
                key: None,
                in_doubt: None,
            };
            self.store.outbox().enqueue(&self.tenant, &message).await.expect("an answer");
        }
    }

    /// Begins a page; whether anything began.
    pub(super) async fn begin(&mut self) -> bool {
        let limit = u32::try_from(BATCH / 2).expect("few");
        let ask = DueQuery {
            session: self.session.id,
            lane: None,
            limit,
            skip: Vec::new(),
            skip_feeds: Vec::new(),
        };
        let page = self.store.outbox().due(&self.worker, &ask).await.expect("a page").messages;
        let batch = BeginBatch {
            id: BatchId::from_uuid(self.uuid()),
            session: self.session.id,
            items: page.iter().map(item).collect(),
            start_within: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        };
        let judge = Arc::new(StandardJudge::default());
        let begun = self.store.outbox().begin(&self.worker, &batch, judge).await.expect("an answer");
        let Begun::Done(begun) = begun else { panic!("{begun:?}") };
        let allowed = [HoldReason::BudgetSpent];
        assert!(begun.stopped.iter().all(|it| allowed.contains(&it.why)), "{:?}", begun.stopped);
        let at = begun.at.expect("an instant");
        for attempt in &begun.attempts {
            let item = batch.items.iter().find(|it| it.message == attempt.key.message).expect("an item");
            let digits = item.recipient.phone().expect("a phone").digits();
            let rates = RATES.iter().find(|(prefix, ..)| digits.starts_with(prefix)).expect("a market");
            let (marketing, rest) = (rates.1, rates.2);
            let estimate = if item.category == Category::Marketing { marketing } else { rest };
            assert_eq!(attempt.price, Some(usd(estimate)));
            let campaign = item.campaign.and_then(|id| self.campaigns.iter().position(|it| it.0 == id));
            let fate = Fate {
                campaign,
                category: item.category,
                rates: (marketing, rest),
                begun_at: at,
                word: None,
                delivered: false,
                dead: false,
                estimate,
            };
            self.fates.insert(attempt.key, fate);
            self.write(attempt.key);
        }
        self.events += u64::try_from(begun.attempts.len()).expect("few");
        self.check_budgets().await;
        !begun.attempts.is_empty()
    }

    /// Thinks of what the provider will say about an attempt.
    pub(super) fn write(&mut self, key: AttemptKey) {
        let name = format!("wamid.{}.{}", key.message, key.n);
        let pricings = [
            said("regular", "marketing"),
            said("regular", "utility"),
            said("regular", "utility"),
            said("free_entry_point", "marketing"),
            said("regular", "group_service"),
            WebhookPricing { billable: Some(true), ..said("sometimes", "marketing_lite") },
        ];
        // A budget holds whatever a message may be charged as: marketing only as marketing.
        let marketing = self.fates[&key].category == Category::Marketing;
        let any = if marketing { [0, 3, 4, 5, 0, 0] } else { [0, 1, 2, 3, 4, 5] };
        let fails = self.roll(10) == 0;
        let mut facts = vec![Fact::Sent];
        if fails {
            facts.push(Fact::Failed);
        } else {
            facts.extend([Fact::Delivered, Fact::Read].into_iter().take(self.roll(3)));
        }
        let word = any[self.roll(6)];
        for fact in facts {
            let silent = fact == Fact::Failed || self.roll(5) == 0;
            // A provider that takes its word back does so when nothing is begun any more: a dearer one
            // would be beyond what a budget can know.
            let contradicts = self.roll(8) == 0;
            let word = if contradicts { any[self.roll(6)] } else { word };
            let pricing = (!silent).then(|| pricings[word].clone());
            let at = self.clock.now() + TimeDelta::seconds(i64::try_from(self.roll(60)).expect("few"));
            let update = StatusUpdate {
                failure: (fact == Fact::Failed).then(|| failure(131_026, RejectClass::Recipient)),
                pricing,
                ..StatusUpdate::new(self.session.number.clone(), name.clone(), fact, at)
            };
            for _ in 0..1 + self.roll(2) {
                let letters = if contradicts { &mut self.late } else { &mut self.letters };
                letters.push(Letter { key, update: update.clone() });
            }
        }
    }

    /// Notes what a status says, by the test's own reading of it.
    pub(super) fn note(&mut self, letter: &Letter) {
        let fate = self.fates.get_mut(&letter.key).expect("a fate");
        let StatusUpdate { fact, pricing, .. } = &letter.update;
        fate.dead |= *fact == Fact::Failed;
        fate.delivered |= matches!(fact, Fact::Delivered | Fact::Read);
        let Some(pricing) = pricing else { return };
        let word = match (pricing.kind.as_ref().map(PricingKind::as_str), pricing.category.as_ref()) {
            (Some("free_entry_point"), _) => Word::Free,
            (_, Some(ChargedCategory::Utility)) => Word::Utility,
            (_, Some(ChargedCategory::Marketing | ChargedCategory::MarketingLite)) => Word::Marketing,
            _ => Word::Strange,
        };
        let word = (*fact == Fact::Sent, word);
        fate.word = Some(fate.word.map_or(word, |known| known.min(word)));
    }

    /// Sends some letters and answers, in any order, each as often as it was written.
    pub(super) async fn deliver(&mut self, count: usize) {
        let (mut events, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..count.min(self.letters.len()) {
            let place = self.roll(self.letters.len());
            let letter = self.letters.swap_remove(place);
            self.note(&letter);
            // Half of them by the tag of their attempt, the others by the provider's id, which may come later.
            let tag = (self.roll(2) == 0).then_some(letter.key);
            if self.roll(3) == 0 {
                let provider_id = letter.update.provider_id.clone();
                answers.push(AttemptFact {
                    attempt: letter.key,
                    at: self.clock.now(),
                    outcome: Outcome::Accepted { provider_id },
                    retry_after: None,
                });
            }
            events.push(ProjectedEvent::Status { attempt: tag, batch: None, update: letter.update });
        }
        self.events += u64::try_from(events.len() + answers.len()).expect("few");
        let first = self.roll(2) == 0;
        if first {
            self.store.outbox().settle(&answers).await.expect("an answer");
        }
        let raw = RawBody {
            id: RawId::from_uuid(self.uuid()),
            transport: self.session.transport.clone(),
            body: self.minted.to_string().into_bytes(),
            received_at: self.clock.now(),
        };
        let bodies = [raw];
        self.store.inbox().keep(&admin(), &bodies).await.expect("kept");
        let [RawBody { id, transport, received_at, .. }] = bodies;
        let projection = Projection { raw: id, transport, received_at, events };
        self.store.inbox().project(&admin(), &[projection]).await.expect("projected");
        if !first {
            self.store.outbox().settle(&answers).await.expect("an answer");
        }
        self.check_budgets().await;
    }

    /// Gives every attempt its provider id, so that nothing waits any more.
    pub(super) async fn answer_all(&mut self) {
        let keys: Vec<_> = self.fates.keys().copied().collect();
        for keys in keys.chunks(BATCH) {
            let facts: Vec<_> = keys
                .iter()
                .map(|key| AttemptFact {
                    attempt: *key,
                    at: self.clock.now(),
                    outcome: Outcome::Accepted { provider_id: format!("wamid.{}.{}", key.message, key.n) },
                    retry_after: None,
                })
                .collect();
            self.events += u64::try_from(facts.len()).expect("few");
            self.store.outbox().settle(&facts).await.expect("an answer");
        }
    }

    /// Raises the tenant's budget a little and resumes what was paused for it.
    pub(super) async fn raise(&mut self) {
        self.budget += self.raise;
        let mut settings =
            self.store.directory().settings(&self.tenant).await.expect("an answer").expect("the tenant");
        settings.budget.total = Some(usd(self.budget));
        self.store.directory().put_settings(&self.tenant, &settings).await.expect("an answer");
        for (id, _) in &self.campaigns {
            let resume = CampaignAction::Resume;
            self.store.audience().act(&self.tenant, *id, resume).await.expect("an answer");
        }
    }

    pub(super) async fn check_budgets(&mut self) {
        let mut of = vec![(BudgetOf::Total, self.budget)];
        let limited =
            self.campaigns.iter().filter_map(|(id, limit)| Some((BudgetOf::Campaign(*id), (*limit)?)));
        of.extend(limited);
        for (of, limit) in of {
            let used = self.store.ledger().budget_use(&self.tenant, of).await.expect("an answer");
            for (_, used) in used {
                self.passed = self.passed.max(used.committed - limit);
            }
        }
    }

    pub(super) async fn cost(&self, of: CostOf) -> Cost {
        self.store.ledger().cost(&self.tenant, &of).await.expect("a cost")
    }
}
