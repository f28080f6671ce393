//! What broken stores do, where that takes more than a word.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::memory::state::{AttemptRow, CampaignRow, DueRow, MessageRow, State, TenantRow};
use crate::model::{
    AttemptKey, BatchId, CampaignState, ContactId, Conversation, ConversationId, DeliveryFacts, EventId,
    Fact, InDoubtPolicy, MessageId, MessageState, Money, NewMessage, RejectClass, SessionId, SkipReason,
    TenantId, TenantSettings, values_of,
};
use crate::port::WorkerScope;
use crate::port::store::{BeginItem, Considered, ContactSpend, ConversationMessage, DueBody, DueSource};
use crate::rules::alert::Meter;
use crate::rules::doubt::Decision;
use crate::rules::effects::{Effect, Ruling};
use crate::rules::judge::Verdict;
use crate::rules::price::{Booking, Sold, booking};
use crate::rules::retry::Next;
use crate::rules::settle::{Consequences, Merge};
use crate::testing::Flaw;

// ---- whose it is ----

pub(in crate::memory) fn anybodys_spend(state: &State, id: ContactId) -> Option<ContactSpend> {
    state.tenants.values().find_map(|tenant| tenant.contact_spend(id))
}

pub(in crate::memory) fn anybodys_conversation(state: &State, id: ConversationId) -> Option<Conversation> {
    state.tenants.values().find_map(|tenant| tenant.conversation(tenant.same(id)))
}

/// The message that another tenant has under the key.
pub(in crate::memory) fn keyed_elsewhere(
    state: &State,
    own: TenantId,
    message: &NewMessage,
) -> Option<MessageId> {
    let key = message.key.as_ref()?;
    state.tenants.iter().filter(|(id, _)| **id != own).find_map(|(_, tenant)| tenant.keys.get(key).copied())
}

// ---- what a restart leaves ----

/// Forgets what a store with a flaw does not keep over a restart.
pub(in crate::memory) fn forget(state: &mut State) {
    let Some(flaw) = state.flaw else { return };
    match flaw {
        Flaw::ForgetsBodies => state.bodies.clear(),
        Flaw::NumbersEventsAnew => {
            let events = std::mem::take(&mut state.events);
            for (position, mut event) in events {
                event.id = EventId::mint(event.at, [9; 10]);
                state.events.insert(position, event);
            }
        }
        _ => {}
    }
    for tenant in state.tenants.values_mut() {
        match flaw {
            Flaw::ForgetsAnAttempt => forget_a_last_one(tenant),
            Flaw::ForgetsAlerts => tenant.meters.clear(),
            Flaw::ForgetsThatAnImportIsOver => {
                tenant.imports.values_mut().for_each(|import| import.progress.finished = false);
            }
            Flaw::ForgetsHowFarALaunchIs => {
                tenant.campaigns.values_mut().filter(|row| !row.is_frozen).for_each(|row| row.frozen_to = 0);
            }
            _ => {}
        }
    }
}

/// Forgets the last attempt of the first batch of exactly five.
fn forget_a_last_one(tenant: &mut TenantRow) {
    let mut batches: BTreeMap<BatchId, Vec<(MessageId, u16)>> = BTreeMap::new();
    for (key, attempt) in &tenant.attempts {
        batches.entry(attempt.batch).or_default().push(*key);
    }
    if let Some(last) = batches.values().find(|keys| keys.len() == 5).and_then(|keys| keys.last()) {
        tenant.attempts.remove(last);
    }
}

/// One of the first two sessions of a campaign, where it has more.
pub(in crate::memory) fn one_of_two(row: &CampaignRow, session: SessionId) -> SessionId {
    match row.campaign.sessions.as_slice() {
        [first, _, third, ..] if session == *third => *first,
        _ => session,
    }
}

// ---- due, begin, consider ----

/// Under which epoch a session is held, as a broken begin sees it.
pub(in crate::memory) fn held<'a>(
    state: &'a State,
    scope: &WorkerScope,
    session: SessionId,
    now: DateTime<Utc>,
) -> Option<(u64, &'a TenantRow)> {
    match state.flaw {
        Some(Flaw::BeginsAfterTheLeaseEnded) => state.held(scope, session, now - TimeDelta::seconds(1)),
        Some(Flaw::BeginsUnderAPassedEpoch) => {
            let is_live = state.leases.get(&session).is_some_and(|lease| lease.until > now);
            scope.epoch(session).filter(|_| is_live).zip(state.owner(session))
        }
        _ => state.held(scope, session, now),
    }
}

/// Whether an item waits in a row of its own, and its campaign is paused.
pub(in crate::memory) fn is_paused_retry(tenant: &TenantRow, item: &BeginItem) -> bool {
    let campaign = item.campaign.and_then(|id| tenant.campaigns.get(&id));
    let is_paused = campaign.is_some_and(|row| row.campaign.state == CampaignState::Paused);
    is_paused && item.source == DueSource::Row
}

/// Whether an item was cancelled while it waited in a row.
pub(in crate::memory) fn is_cancelled(tenant: &TenantRow, item: &BeginItem) -> bool {
    item.source == DueSource::Row && tenant.closed.get(&item.message) == Some(&SkipReason::Cancelled)
}

/// What a message says by its contact as it is now.
pub(in crate::memory) fn present_body(tenant: &TenantRow, message: &MessageRow) -> DueBody {
    let campaign = message.campaign.and_then(|id| tenant.campaigns.get(&id));
    let contact = tenant.contact_of(message).and_then(|id| tenant.contacts.get(id));
    match (campaign, contact) {
        (Some(row), Some(contact)) => {
            DueBody::Values(values_of(&row.campaign.columns(), &contact.attributes).0)
        }
        (_, _) => message.body.clone(),
    }
}

/// Verdicts as a broken consider gives them.
pub(in crate::memory) fn considered(
    tenant: &TenantRow,
    verdicts: Vec<(MessageId, Verdict)>,
) -> Vec<(MessageId, Verdict)> {
    match tenant.flaw {
        Some(Flaw::ConsidersWhatItKnows) => {
            verdicts.into_iter().filter(|(id, _)| tenant.messages.contains_key(id)).collect()
        }
        Some(Flaw::ConsidersNothingBehindAStop) => {
            let stop = verdicts.iter().position(|(_, verdict)| matches!(verdict, Verdict::Stop { .. }));
            let seen = stop.map_or(verdicts.len(), |stop| stop + 1);
            verdicts.into_iter().take(seen).collect()
        }
        _ => verdicts,
    }
}

/// Closes what was only asked about.
pub(in crate::memory) fn carry_out(state: &mut State, tenant: TenantId, considered: &Considered) {
    let Some(tenant) = state.tenants.get_mut(&tenant) else { return };
    let Considered::Judged(judged) = considered else { return };
    if tenant.flaw != Some(Flaw::ClosesWhatItConsiders) {
        return;
    }
    for (message, verdict) in &judged.verdicts {
        if let Verdict::Skip(why) = verdict
            && tenant.messages.contains_key(message)
        {
            tenant.close(*message, *why);
        }
    }
}

// ---- facts ----

/// Whether another worker has the attempt's session by now.
pub(in crate::memory) fn is_passed(state: &State, key: AttemptKey) -> bool {
    let attempt = state.tenants.get(&key.tenant).and_then(|it| it.attempts.get(&(key.message, key.n)));
    let lease = attempt.and_then(|attempt| state.leases.get(&attempt.session));
    attempt.zip(lease).is_some_and(|(attempt, lease)| lease.epoch > attempt.epoch)
}

/// The same facts but for one.
pub(in crate::memory) fn without(facts: &DeliveryFacts, fact: Fact) -> DeliveryFacts {
    let mut rest = DeliveryFacts::default();
    rest.failure.clone_from(&facts.failure);
    rest.provider_id.clone_from(&facts.provider_id);
    rest.charge = facts.charge;
    for other in Fact::ALL.into_iter().filter(|other| *other != fact) {
        if let Some(at) = facts.at(other) {
            rest.add(other, at);
        }
    }
    rest
}

pub(in crate::memory) fn without_details(attempt: &AttemptRow) -> DeliveryFacts {
    let mut facts = attempt.facts.clone();
    if let Some(failure) = &mut facts.failure {
        failure.details = None;
    }
    facts
}

/// What follows from a merge in a broken store.
pub(in crate::memory) fn followed(
    tenant: &TenantRow,
    follows: Consequences,
    merge: &Merge<'_>,
) -> Consequences {
    let class = merge.chain.get(merge.place).and_then(|it| it.failure.as_ref()).map(|it| it.class);
    let throttled = class == Some(RejectClass::PairThrottled);
    let Some(flaw) = tenant.flaw else { return follows };
    match flaw {
        Flaw::FailsWhatIsThrottled if throttled && follows.next.is_some() => {
            Consequences { next: Some(Next::Fail), ..follows }
        }
        Flaw::LeavesAResendWaiting if merge.chain.iter().any(|it| it.has(Fact::InDoubt)) => {
            Consequences { withdraws: false, ..follows }
        }
        Flaw::StopsNoNumber if follows.breaker.is_some_and(|it| !it.template_only) => {
            Consequences { breaker: None, ..follows }
        }
        Flaw::RecordsNoOptOut => Consequences { consent: None, ..follows },
        _ => follows,
    }
}

pub(in crate::memory) fn was_in_doubt(tenant: &TenantRow, id: MessageId) -> bool {
    tenant.chain(id).any(|(_, it)| it.facts.has(Fact::InDoubt) && it.facts.has(Fact::Accepted))
}

// ---- what is tried again ----

pub(in crate::memory) fn impatient(settings: &TenantSettings) -> InDoubtPolicy {
    match settings.in_doubt {
        InDoubtPolicy::Manual => InDoubtPolicy::ResendAfter { after: Duration::from_secs(3_600) },
        policy => policy,
    }
}

pub(in crate::memory) fn decided(tenant: &TenantRow, id: MessageId, decision: Decision) -> Decision {
    match (tenant.flaw, decision) {
        (Some(Flaw::TriesNoFailedResendAgain), Decision::Resend) if tenant.next_n(id) > 2 => {
            Decision::Keep { look_at: None }
        }
        (_, decision) => decision,
    }
}

/// How a message stands for who puts it back.
pub(in crate::memory) fn put_back(
    flaw: Option<Flaw>,
    state: MessageState,
    skipped: Option<SkipReason>,
) -> (MessageState, Option<SkipReason>) {
    match (flaw, state, skipped) {
        (Some(Flaw::PutsBackWhatIsInDoubt), MessageState::InDoubt, _) => (MessageState::Failed, skipped),
        (_, _, _) => (state, skipped),
    }
}

/// Puts back what is in doubt; how many.
pub(in crate::memory) fn redrive_doubtful(tenant: &mut TenantRow, now: DateTime<Utc>) -> u64 {
    let doubtful: Vec<_> = tenant.doubts.keys().copied().filter(|id| !tenant.due.contains_key(id)).collect();
    tenant.due.extend(doubtful.iter().map(|id| (*id, DueRow { due_at: now, why: None })));
    u64::try_from(doubtful.len()).unwrap_or(u64::MAX)
}

/// A meter that does not know that it has told of a failing campaign.
pub(in crate::memory) fn unsaid(meter: Meter) -> Meter {
    Meter { failing: false, ..meter }
}

// ---- money ----

/// The higher of two budgets; none is the lowest.
pub(in crate::memory) fn unlowered(before: Option<Money>, budget: Option<Money>) -> Option<Money> {
    if budget.map(|it| it.micros) < before.map(|it| it.micros) { before } else { budget }
}

/// How an attempt stands in the totals of a broken store.
pub(in crate::memory) fn booked(
    tenant: &TenantRow,
    attempt: &AttemptRow,
    booked: Option<Booking>,
    sold: &Sold<'_>,
) -> Option<Booking> {
    let Some(flaw) = tenant.flaw else { return booked };
    match flaw {
        Flaw::ChargesForAFailedMessage if attempt.facts.has(Fact::Failed) && sold.facts.charge.is_some() => {
            let facts = without(&attempt.facts, Fact::Failed);
            booking(&Sold { facts: &facts, ..*sold })
        }
        Flaw::BooksUnderItsOwnCategory => {
            booked.map(|it| Booking { category: attempt.quote.category.into(), ..it })
        }
        _ => booked,
    }
}

// ---- the inbox and the archive ----

/// Whether a ruling is about numbers alone.
pub(in crate::memory) fn is_of_numbers(ruling: &Ruling) -> bool {
    !ruling.effects.iter().any(|effect| matches!(effect, Effect::Template { .. }))
}

/// A conversation in the order in which it came in: what was sent first, then what was heard.
pub(in crate::memory) fn as_it_came(all: &mut [ConversationMessage]) {
    all.sort_by_key(|it| match it {
        ConversationMessage::Heard(heard) => (1, heard.position),
        ConversationMessage::Sent { .. } => (0, 0),
    });
}
