//! Records on their way to a tenant of this store.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::memory::doubt::DoubtRow;
use crate::memory::state::{AttemptRow, CampaignRow, DueRow, ImportState, MessageRow, State, TenantRow};
use crate::model::{
    AttemptKey, Breaker, BreakerScope, Campaign, Category, Chosen, ConversationId, Currency, Estimate,
    Fingerprint, ImportProgress, Lane, MessageId, Money, PriceBook, Recipient, Schedule, ScheduleRun,
    Session, Slot, Tenant, Thread, Tier, from_micros,
};
use crate::port::store::{
    ArchiveHead, ArchivedAttempt, ArchivedCampaign, ArchivedInbound, ArchivedMessage, ArchivedSchedule,
    ArchivedSession, Direction, DueBody, ImportTenant, ImportTenantStep, Record, Reference, ReportedLine,
    StoredInbound,
};
use crate::rules::price::Quote;
use crate::rules::silence::Ear;
use crate::rules::touch::Touch;

/// A tenant whose import is not finished.
#[derive(Debug, Clone)]
pub(in crate::memory) struct Arriving {
    pub(in crate::memory) head: ArchiveHead,
    pub(in crate::memory) records: u64,
    pub(in crate::memory) mark: Fingerprint,
    row: TenantRow,
    books: BTreeMap<Fingerprint, Arc<PriceBook>>,
    /// Names that attempts were given besides their own.
    names: Vec<(String, AttemptKey)>,
}

/// Takes a chunk in.
pub(super) fn import(state: &mut State, chunk: &ImportTenant, now: DateTime<Utc>) -> ImportTenantStep {
    let ImportTenant { head, from_record, before, records, after, last } = chunk;
    if state.tenants.contains_key(&head.tenant) {
        return ImportTenantStep::IdTaken;
    }
    let there = state.tenants.values().map(|row| &row.tenant.name);
    let coming = state.arriving.values().filter(|it| it.head.tenant != head.tenant).map(|it| &it.head.name);
    if there.chain(coming).any(|name| *name == head.name) {
        return ImportTenantStep::NameTaken;
    }
    let known = state.arriving.get(&head.tenant);
    let mut arriving = known.cloned().unwrap_or_else(|| Arriving::new(head, *before));
    if arriving.head != *head || arriving.records != *from_record || arriving.mark != *before {
        return ImportTenantStep::Elsewhere { records: arriving.records, mark: arriving.mark };
    }
    for (place, record) in (*from_record..).zip(records) {
        if let Some(missing) = record.names().into_iter().find(|it| !arriving.has(it)) {
            return ImportTenantStep::Missing { record: place, what: missing.kind() };
        }
        arriving.take(record);
        arriving.records = place + 1;
    }
    arriving.mark = *after;
    let taken = arriving.records;
    if !last {
        state.arriving.insert(head.tenant, arriving);
        return ImportTenantStep::Taken(taken);
    }
    state.arriving.remove(&head.tenant);
    ImportTenantStep::Imported(arriving.finish(state, now))
}

impl Arriving {
    fn new(head: &ArchiveHead, mark: Fingerprint) -> Self {
        let tenant = Tenant { id: head.tenant, name: head.name.clone(), created_at: head.taken_at };
        let row = TenantRow::new(tenant);
        Self { head: head.clone(), records: 0, mark, row, books: BTreeMap::new(), names: Vec::new() }
    }

    fn finish(self, state: &mut State, now: DateTime<Utc>) -> Tenant {
        let Self { head, records: _, mark: _, row, books: _, names } = self;
        let tenant = row.tenant.clone();
        for (name, key) in names {
            state.provider_ids.entry(name).or_default().insert(key);
        }
        state.held.insert(head.tenant, now);
        state.tenants.insert(head.tenant, row);
        #[cfg(feature = "mutants")]
        crate::memory::mutants::infect(state, head.tenant);
        tenant
    }

    fn has(&self, what: &Reference) -> bool {
        let row = &self.row;
        match what {
            Reference::Prices(id) => self.books.contains_key(id),
            Reference::Session(id) => row.sessions.contains_key(id),
            Reference::Contact(id) => row.contacts.get(*id).is_some(),
            Reference::List(name) => row.lists.contains_key(name),
            Reference::Import(id) => row.imports.contains_key(id),
            Reference::Campaign(id) => row.campaigns.contains_key(id),
            Reference::Schedule(id) => row.schedules.contains_key(id),
        }
    }

    fn take(&mut self, record: &Record) {
        let row = &mut self.row;
        match record {
            Record::Prices(it) => _ = self.books.insert(it.id, Arc::new(it.book.clone())),
            Record::Tenant(it) => {
                row.tenant.created_at = it.created_at;
                row.settings = it.settings.clone();
                row.entitlement = it.entitlement.clone();
            }
            Record::Session(it) => self.session(it),
            Record::Template(it) => _ = row.templates.insert(it.record.key.clone(), it.record.clone()),
            Record::Suppressed(it) => _ = row.suppressed.insert(it.address.clone(), it.at),
            Record::Contact(it) => row.contacts.restore(it),
            Record::List(it) => _ = row.lists.entry(it.name.clone()).or_default(),
            Record::Member(it) => {
                let list = row.lists.entry(it.list.clone()).or_default();
                list.last = list.last.max(it.seq);
                list.members.insert(it.seq, it.contact);
                list.numbers.insert(it.contact, it.seq);
            }
            Record::Import(it) => {
                let progress = ImportProgress {
                    id: it.id,
                    source: it.source,
                    records: it.records,
                    added: it.added,
                    duplicates: it.duplicates,
                    invalid: it.invalid,
                    finished: it.finished,
                };
                let state = ImportState {
                    list: it.list.clone(),
                    progress,
                    phones: Default::default(),
                    report: Default::default(),
                };
                row.imports.insert(it.id, state);
            }
            Record::ImportLine(it) => {
                if let Some(import) = row.imports.get_mut(&it.import) {
                    let (line, outcome, problem) = (it.line, it.outcome, it.problem.clone());
                    import.report.insert(line, ReportedLine { line, outcome, problem });
                }
            }
            Record::ImportPhone(it) => {
                if let Some(import) = row.imports.get_mut(&it.import) {
                    import.phones.insert(it.phone);
                }
            }
            Record::Campaign(it) => self.campaign(it),
            Record::Schedule(it) => _ = row.schedules.insert(it.id, schedule(it)),
            Record::Run(it) => {
                let slot = Slot { number: it.number, civil: it.civil };
                let run = ScheduleRun { slot, due_at: it.due_at, campaign: it.campaign, made_at: it.made_at };
                row.schedule_runs.insert((it.schedule, it.number), run);
            }
            Record::Message(it) => self.message(it),
            Record::Inbound(it) => row.inbound.extend(inbound(it).map(|heard| (it.position, heard))),
            Record::EntryPoint(it) => _ = row.entries_told.insert((it.session, it.contact), it.until),
            Record::Conversation(it) => {
                let thread = Thread {
                    state: it.state,
                    assigned: it.assigned.clone(),
                    unread: it.unread,
                    started_at: it.started_at,
                    last_message_at: it.last_message_at,
                    first_inbound_at: it.first_inbound_at,
                    closed_at: it.closed_at,
                };
                row.threads.insert(ConversationId { session: it.session, contact: it.contact }, thread);
            }
            Record::Notice(it) => _ = row.notices.insert(it.body.id, it.body.clone()),
        }
    }

    fn session(&mut self, it: &ArchivedSession) {
        let session = Session {
            id: it.id,
            transport: it.transport.clone(),
            number: it.number.clone(),
            portfolio: it.portfolio.clone(),
            account: it.account.clone(),
            phone: it.phone,
            state: it.state,
            throughput: it.throughput,
            tier: Tier::from_limit(it.tier),
            quality: it.quality,
            created_at: it.created_at,
            checked_at: it.checked_at,
            settings: it.settings.clone(),
        };
        let row = &mut self.row;
        row.news.extend(it.news.iter().map(|news| ((it.id, news.topic), news.at)));
        for breaker in &it.breakers {
            let scope = match (&breaker.template, &breaker.language) {
                (Some(name), Some(language)) => BreakerScope::Template(it.id, name.clone(), language.clone()),
                _ => BreakerScope::Session(it.id),
            };
            let open = Breaker {
                scope: scope.clone(),
                reason: breaker.reason,
                code: breaker.code,
                until: breaker.until,
                since: breaker.since,
            };
            row.breakers.insert(scope, open);
        }
        if let Some(listened) = &it.listened {
            row.listened.insert(it.id, (listened.upto, Ear { silent: listened.silent, deaf: listened.deaf }));
        }
        row.sessions.insert(it.id, session);
    }

    fn campaign(&mut self, it: &ArchivedCampaign) {
        let campaign = Campaign {
            id: it.id,
            name: it.name.clone(),
            content: it.content.clone(),
            fallback: it.fallback.clone(),
            list: it.list.clone(),
            sessions: it.sessions.clone(),
            lane: it.lane,
            valid_until: it.valid_until,
            start_at: it.start_at,
            rate: it.rate,
            budget: money(it.budget, it.budget_currency),
            in_doubt: it.in_doubt,
            definition: it.definition,
            state: it.state,
            paused_for: it.paused_for,
            created_at: it.created_at,
            launched_at: it.launched_at,
            completed_at: it.completed_at,
        };
        let row = CampaignRow {
            campaign,
            minted_at: it.minted_ms.map(|ms| from_micros(ms.saturating_mul(1_000))),
            last_member: it.bound,
            frozen_to: it.cursor,
            audience: it.audience,
            is_frozen: it.frozen,
            feeds: Default::default(),
        };
        if let Some(list) = self.row.lists.get_mut(&it.list) {
            list.last = list.last.max(it.bound);
        }
        self.row.meters.extend(it.meter.clone().map(|meter| (it.id, meter)));
        self.row.campaigns.insert(it.id, row);
    }

    fn message(&mut self, it: &ArchivedMessage) {
        let Some(recipient) = it.recipient() else { return };
        let campaign = it.campaign.and_then(|id| self.row.campaigns.get(&id)).map(|row| &row.campaign);
        let lane = it.single.as_ref().map(|single| single.lane).or(campaign.map(|it| it.lane));
        let valid_until =
            it.single.as_ref().map_or(campaign.and_then(|it| it.valid_until), |it| it.valid_until);
        let body = match &it.single {
            Some(single) => DueBody::Own(single.content.clone()),
            None => DueBody::Values(it.values.clone().unwrap_or_default()),
        };
        let single = it.single.as_ref();
        let message = MessageRow {
            campaign: it.campaign,
            session: it.session,
            contact: it.contact,
            recipient,
            body,
            reply_to: single.and_then(|single| single.reply_to.clone()),
            fallback: single.and_then(|single| single.fallback.clone()),
            lane: lane.unwrap_or(Lane::Bulk),
            valid_until,
            in_doubt: single.and_then(|single| single.in_doubt),
        };
        let row = &mut self.row;
        row.keys.extend(single.and_then(|single| single.key.clone()).map(|key| (key, it.id)));
        if let Some(campaign) = it.campaign.and_then(|id| row.campaigns.get_mut(&id)) {
            let feed = campaign.feeds.entry(it.session).or_default();
            // What waits in a feed lies behind everything that was passed over.
            if !it.in_feed && feed.ids.last().copied() == feed.next_id {
                feed.next_id = Some(it.id);
            }
            feed.ids.insert(it.id);
        }
        row.due.extend(it.due.as_ref().map(|due| (it.id, DueRow { due_at: due.at, why: due.why })));
        row.closed.extend(it.closed.map(|why| (it.id, why)));
        row.redriven.extend(it.redriven.map(|attempts| (it.id, attempts)));
        let doubt = it.doubt.as_ref();
        row.doubts.extend(
            doubt.map(|row| (it.id, DoubtRow { look_at: row.look_at, given_up_at: row.given_up_at })),
        );
        let lane = message.lane;
        row.messages.insert(it.id, message);
        for attempt in &it.attempts {
            self.attempt(it.id, lane, attempt);
        }
    }

    fn attempt(&mut self, message: MessageId, lane: Lane, it: &ArchivedAttempt) {
        let row = &mut self.row;
        let category = it.category.sent_as().unwrap_or(Category::Authentication);
        let estimate = Estimate {
            amount: money(it.price, it.currency),
            reserve: money(it.reserve, it.currency),
            reason: it.price_reason,
            counts_as_service: it.counts_as_service,
        };
        let facts = it.result.as_ref().map(|result| result.facts()).unwrap_or_default();
        let key = AttemptKey { tenant: row.tenant.id, message, n: it.n };
        let names = facts.provider_id.iter().chain(&it.other_ids).filter(|name| !name.is_empty());
        self.names.extend(names.map(|name| (name.clone(), key)));
        let session = row.sessions.get(&it.session);
        let attempt = AttemptRow {
            session: it.session,
            epoch: it.epoch,
            batch: it.batch,
            begun_at: it.begun_at,
            end_by: it.end_by,
            former: true,
            content: if it.fallback { Chosen::Fallback } else { Chosen::Own },
            touch: (category != Category::Service).then_some(Touch { at: it.begun_at, category, lane }),
            warm_up_day: it.warm_up_day,
            quote: Quote { category, estimate },
            book: it.book.and_then(|id| self.books.get(&id)).cloned(),
            month: it.month,
            slot_of: session
                .filter(|_| it.tier_slot)
                .map(|session| (session.transport.clone(), session.portfolio.clone())),
            facts,
        };
        row.silent.extend(it.silent.then_some((message, it.n)));
        row.attempts.insert((message, it.n), attempt);
    }
}

fn money(micros: Option<i64>, currency: Option<Currency>) -> Option<Money> {
    let (micros, currency) = micros.zip(currency)?;
    Some(Money { micros, currency })
}

fn schedule(it: &ArchivedSchedule) -> Schedule {
    Schedule {
        id: it.id,
        name: it.name.clone(),
        spec: it.spec.clone(),
        state: it.state,
        next: it.next_number.zip(it.next_civil).map(|(number, civil)| Slot { number, civil }),
        next_at: it.next_at,
        runs: it.runs,
        skipped: it.skipped,
        created_at: it.created_at,
    }
}

fn inbound(it: &ArchivedInbound) -> Option<StoredInbound> {
    Some(StoredInbound {
        position: it.position,
        session: it.session,
        contact: it.contact,
        direction: if it.echo { Direction::Echo } else { Direction::Inbound },
        from: Recipient::new(it.phone, it.bsuid.clone()).ok()?,
        provider_id: it.provider_id.clone(),
        at: it.at,
        body: it.body.clone(),
        context: it.context.clone(),
        referral: it.referral.clone(),
        group: it.chat.clone(),
        edited: None,
        revoked_at: None,
        reactions: Vec::new(),
    })
}
