//! One tenant as records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::memory::contacts::Contacts;
use crate::memory::state::{AttemptRow, CampaignRow, State, TenantRow};
use crate::model::{
    AttemptKey, BreakerScope, Fingerprint, MessageId, PriceBook, RateCategory, Session, SessionId, micros,
};
use crate::port::store::{
    ArchivedAttempt, ArchivedBreaker, ArchivedCampaign, ArchivedConversation, ArchivedDoubt, ArchivedDue,
    ArchivedEntryPoint, ArchivedImport, ArchivedImportLine, ArchivedImportPhone, ArchivedInbound,
    ArchivedList, ArchivedListened, ArchivedMember, ArchivedMessage, ArchivedNews, ArchivedNotice,
    ArchivedPrices, ArchivedResult, ArchivedRun, ArchivedSchedule, ArchivedSession, ArchivedSingle,
    ArchivedSuppressed, ArchivedTemplate, ArchivedTenant, Direction, DueBody, Record,
};
use crate::rules::alert::Meter;
use crate::rules::effects::Topic;
use crate::rules::silence::{Heard, hear};

/// Everything of a tenant, in order.
pub(super) fn records(state: &State, tenant: &TenantRow) -> Vec<Record> {
    let mut all = prices(tenant);
    all.push(Record::Tenant(Box::new(ArchivedTenant {
        created_at: tenant.tenant.created_at,
        settings: tenant.settings.clone(),
        entitlement: tenant.entitlement.clone(),
    })));
    all.extend(tenant.sessions.values().map(|it| Record::Session(Box::new(session(tenant, it)))));
    let templates = tenant.templates.values().cloned();
    all.extend(templates.map(|record| Record::Template(Box::new(ArchivedTemplate { record }))));
    let suppressed = tenant.suppressed.iter();
    all.extend(
        suppressed.map(|(address, at)| {
            Record::Suppressed(ArchivedSuppressed { address: address.clone(), at: *at })
        }),
    );
    all.extend(Contacts::archived(&tenant.contacts).into_iter().map(|it| Record::Contact(Box::new(it))));
    lists(tenant, &mut all);
    imports(tenant, &mut all);
    all.extend(tenant.campaigns.values().map(|row| Record::Campaign(Box::new(campaign(tenant, row)))));
    schedules(tenant, &mut all);
    let names = names(state, tenant);
    let messages = tenant.messages.keys().filter_map(|id| message(tenant, *id, &names));
    all.extend(messages.map(|it| Record::Message(Box::new(it))));
    heard(tenant, &mut all);
    let notices = tenant.notices.values().cloned();
    all.extend(notices.map(|body| Record::Notice(Box::new(ArchivedNotice { body }))));
    all
}

/// The prices of attempts, by their digests.
fn prices(tenant: &TenantRow) -> Vec<Record> {
    let books: BTreeMap<Fingerprint, &PriceBook> = tenant
        .attempts
        .values()
        .filter_map(|it| it.book.as_deref())
        .filter_map(|it| Some((digest(it)?, it)))
        .collect();
    books.into_iter().map(|(id, book)| Record::Prices(ArchivedPrices { id, book: book.clone() })).collect()
}

fn digest(book: &PriceBook) -> Option<Fingerprint> {
    Fingerprint::of_json(book)
}

fn session(tenant: &TenantRow, session: &Session) -> ArchivedSession {
    let Session {
        id,
        transport,
        number,
        portfolio,
        account,
        phone,
        state,
        throughput,
        tier,
        quality,
        created_at,
        checked_at,
        settings,
    } = session.clone();
    let news = tenant.news.iter().filter(|((of, _), _)| *of == id);
    let mut news: Vec<_> = news.map(|((_, topic), at)| ArchivedNews { topic: *topic, at: *at }).collect();
    news.sort_by_key(|it| Topic::as_str(it.topic));
    let listened = tenant.listened.get(&id);
    ArchivedSession {
        id,
        transport,
        number,
        portfolio,
        state,
        throughput,
        quality,
        created_at,
        settings,
        news,
        breakers: breakers(tenant, id),
        account,
        phone,
        tier: tier.limit(),
        checked_at,
        listened: listened.map(|(upto, ear)| ArchivedListened {
            upto: *upto,
            silent: ear.silent,
            deaf: ear.deaf,
        }),
    }
}

fn breakers(tenant: &TenantRow, session: SessionId) -> Vec<ArchivedBreaker> {
    let archived = |(scope, it): (&BreakerScope, &crate::model::Breaker)| {
        let (of, template, language) = match scope {
            BreakerScope::Session(of) => (*of, None, None),
            BreakerScope::Template(of, name, language) => (*of, Some(name.clone()), Some(language.clone())),
        };
        let breaker = ArchivedBreaker {
            reason: it.reason,
            code: it.code,
            since: it.since,
            template,
            language,
            until: it.until,
        };
        (of == session).then_some(breaker)
    };
    tenant.breakers.iter().filter_map(archived).collect()
}

fn lists(tenant: &TenantRow, all: &mut Vec<Record>) {
    all.extend(tenant.lists.keys().map(|name| Record::List(ArchivedList { name: name.clone() })));
    for (list, row) in &tenant.lists {
        let members = row.members.iter();
        all.extend(members.map(|(seq, contact)| {
            Record::Member(ArchivedMember { list: list.clone(), seq: *seq, contact: *contact })
        }));
    }
}

fn imports(tenant: &TenantRow, all: &mut Vec<Record>) {
    for row in tenant.imports.values() {
        let it = &row.progress;
        all.push(Record::Import(ArchivedImport {
            id: it.id,
            list: row.list.clone(),
            source: it.source,
            records: it.records,
            added: it.added,
            duplicates: it.duplicates,
            invalid: it.invalid,
            finished: it.finished,
        }));
    }
    for (import, row) in &tenant.imports {
        let lines = row.report.values().cloned();
        all.extend(lines.map(|it| {
            let (line, outcome, problem) = (it.line, it.outcome, it.problem);
            Record::ImportLine(ArchivedImportLine { import: *import, line, outcome, problem })
        }));
    }
    for (import, row) in tenant.imports.iter().filter(|(_, row)| !row.progress.finished) {
        let phones = row.phones.iter();
        all.extend(
            phones.map(|phone| Record::ImportPhone(ArchivedImportPhone { import: *import, phone: *phone })),
        );
    }
}

fn campaign(tenant: &TenantRow, row: &CampaignRow) -> ArchivedCampaign {
    let it = row.campaign.clone();
    ArchivedCampaign {
        id: it.id,
        name: it.name,
        content: it.content,
        list: it.list,
        sessions: it.sessions,
        lane: it.lane,
        definition: it.definition,
        state: it.state,
        created_at: it.created_at,
        bound: row.last_member,
        cursor: row.frozen_to,
        audience: row.audience,
        frozen: row.is_frozen,
        fallback: it.fallback,
        valid_until: it.valid_until,
        start_at: it.start_at,
        rate: it.rate,
        budget: it.budget.map(|budget| budget.micros),
        budget_currency: it.budget.map(|budget| budget.currency),
        in_doubt: it.in_doubt,
        paused_for: it.paused_for,
        launched_at: it.launched_at,
        completed_at: it.completed_at,
        minted_ms: row.minted_at.map(|at| micros(at).div_euclid(1_000)),
        meter: tenant.meters.get(&it.id).filter(|meter| **meter != Meter::default()).cloned(),
    }
}

fn schedules(tenant: &TenantRow, all: &mut Vec<Record>) {
    all.extend(tenant.schedules.values().cloned().map(|it| {
        Record::Schedule(Box::new(ArchivedSchedule {
            id: it.id,
            name: it.name,
            spec: it.spec,
            state: it.state,
            runs: it.runs,
            skipped: it.skipped,
            created_at: it.created_at,
            next_number: it.next.map(|slot| slot.number),
            next_civil: it.next.map(|slot| slot.civil),
            next_at: it.next_at,
        }))
    }));
    all.extend(tenant.schedule_runs.iter().map(|((schedule, number), run)| {
        Record::Run(ArchivedRun {
            schedule: *schedule,
            number: *number,
            civil: run.slot.civil,
            due_at: run.due_at,
            campaign: run.campaign,
            made_at: run.made_at,
        })
    }));
}

type Names = BTreeMap<(MessageId, u16), BTreeSet<String>>;

/// Every name that a provider gave the tenant's attempts.
fn names(state: &State, tenant: &TenantRow) -> Names {
    let mut names = Names::new();
    for (name, keys) in &state.provider_ids {
        for AttemptKey { tenant: _, message, n } in keys.iter().filter(|key| key.tenant == tenant.tenant.id) {
            names.entry((*message, *n)).or_default().insert(name.clone());
        }
    }
    names
}

fn message(tenant: &TenantRow, id: MessageId, names: &Names) -> Option<ArchivedMessage> {
    let row = tenant.messages.get(&id)?;
    let (values, single) = match &row.body {
        DueBody::Values(values) => (Some(values.clone()).filter(|values| !values.is_empty()), None),
        DueBody::Own(content) => {
            let key = tenant.keys.iter().find(|(_, of)| **of == id).map(|(key, _)| key.clone());
            let single = ArchivedSingle {
                lane: row.lane,
                content: content.clone(),
                reply_to: row.reply_to.clone(),
                valid_until: row.valid_until,
                key,
                fallback: row.fallback.clone(),
                in_doubt: row.in_doubt,
            };
            (None, Some(single))
        }
    };
    let attempts = tenant.chain(id).map(|(n, it)| attempt(tenant, (id, n), it, names));
    Some(ArchivedMessage {
        id,
        session: row.session,
        in_feed: tenant.is_in_feed(id),
        attempts: attempts.collect(),
        campaign: row.campaign,
        contact: row.contact,
        phone: row.recipient.phone(),
        bsuid: row.recipient.bsuid().cloned(),
        values,
        single,
        due: tenant.due.get(&id).map(|due| ArchivedDue { at: due.due_at, why: due.why }),
        closed: tenant.closed.get(&id).copied(),
        doubt: tenant
            .doubts
            .get(&id)
            .map(|row| ArchivedDoubt { look_at: row.look_at, given_up_at: row.given_up_at }),
        redriven: tenant.redriven.get(&id).copied(),
    })
}

fn attempt(tenant: &TenantRow, key: (MessageId, u16), it: &AttemptRow, names: &Names) -> ArchivedAttempt {
    let estimate = it.quote.estimate;
    let own = it.facts.provider_id.as_ref();
    let others = names.get(&key).into_iter().flatten().filter(|name| Some(*name) != own);
    ArchivedAttempt {
        n: key.1,
        session: it.session,
        epoch: it.epoch,
        batch: it.batch,
        begun_at: it.begun_at,
        end_by: it.end_by,
        tier_slot: it.slot_of.is_some(),
        category: RateCategory::from(it.quote.category),
        price_reason: estimate.reason,
        counts_as_service: estimate.counts_as_service,
        fallback: it.content == crate::model::Chosen::Fallback,
        month: it.month,
        other_ids: others.cloned().collect(),
        silent: tenant.silent.contains(&key) && hear(&it.facts) == Heard::Silence,
        price: estimate.amount.map(|amount| amount.micros),
        reserve: estimate.reserve.map(|reserve| reserve.micros),
        currency: estimate.amount.or(estimate.reserve).map(|money| money.currency),
        book: it.book.as_ref().and_then(|book: &Arc<PriceBook>| digest(book)),
        warm_up_day: it.warm_up_day,
        result: ArchivedResult::of(&it.facts),
    }
}

fn heard(tenant: &TenantRow, all: &mut Vec<Record>) {
    all.extend(tenant.inbound.values().cloned().map(|it| {
        Record::Inbound(Box::new(ArchivedInbound {
            position: it.position,
            session: it.session,
            contact: it.contact,
            echo: it.direction == Direction::Echo,
            provider_id: it.provider_id,
            at: it.at,
            body: it.body,
            phone: it.from.phone(),
            bsuid: it.from.bsuid().cloned(),
            context: it.context,
            referral: it.referral,
            chat: it.group,
        }))
    }));
    all.extend(tenant.entries_told.iter().map(|((session, contact), until)| {
        Record::EntryPoint(ArchivedEntryPoint { session: *session, contact: *contact, until: *until })
    }));
    all.extend(tenant.threads.iter().map(|(id, it)| {
        Record::Conversation(ArchivedConversation {
            session: id.session,
            contact: id.contact,
            state: it.state,
            unread: it.unread,
            started_at: it.started_at,
            last_message_at: it.last_message_at,
            assigned: it.assigned.clone(),
            first_inbound_at: it.first_inbound_at,
            closed_at: it.closed_at,
        })
    }));
}
