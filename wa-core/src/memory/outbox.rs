//! The room of the send protocol, but for the begin, which has its own file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::merge::{Merged, News};
#[cfg(feature = "mutants")]
use super::mutants;
use super::state::{AttemptRow, BatchFate, DueRow, MessageRow, State, TenantRow};
use super::{MemoryStore, begin, consider, later, page};
use crate::model::{
    AttemptKey, BatchId, CampaignId, CampaignState, Lane, MessageId, MessageState, NewMessage, Outcome,
    Resolution, SkipReason,
};
use crate::port::store::{
    Abandoned, AttemptFact, BeginBatch, Begun, CampaignBrief, CancelMessage, Consider, Considered, DueBody,
    DueMessage, DuePage, DueQuery, DueSource, Enqueue, Listened, Outbox, Recover, Recovered, Redrive,
    Redriven, ResolveMessage, RetryMessage, Settled, StoreError, Swept,
};
use crate::port::{Scope, WorkerScope};
use crate::rules::judge::Judge;
use crate::rules::pace;

#[async_trait]
impl Outbox for MemoryStore {
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError> {
        Ok(self.write(|state, _| {
            flawed!(state, MixesTheKeysOfTenants => {
                if let Some(known) = super::flaws::keyed_elsewhere(state, scope.tenant(), message) {
                    return Enqueue::Known(known);
                }
            });
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return Enqueue::NoSession };
            enqueue(tenant, message)
        }))
    }

    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return CancelMessage::Missing };
            let outcome = cancel(tenant, message, &mut entries);
            state.enter(entries, now);
            outcome
        }))
    }

    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError> {
        Ok(self.read(|state, now| match state.held(scope, ask.session, now) {
            Some((_, tenant)) => due(tenant, ask, now),
            None => DuePage { at: now, messages: Vec::new(), next_at: None, pace: None },
        }))
    }

    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError> {
        Ok(self.write(|state, now| begin::begin(state, scope, batch, judge.as_ref(), now)))
    }

    async fn consider(
        &self,
        scope: &Scope,
        ask: &Consider,
        judge: Arc<dyn Judge>,
    ) -> Result<Considered, StoreError> {
        let considered =
            self.read(|state, now| consider::consider(state, scope.tenant(), ask, judge.as_ref(), now));
        #[cfg(feature = "mutants")]
        self.write(|state, _| super::flaws::carry_out(state, scope.tenant(), &considered));
        Ok(considered)
    }

    async fn abandon(&self, _: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError> {
        Ok(self.write(|state, now| {
            flawed!(state, ForgetsAnAbandonedBatch => {
                if !state.batches.contains_key(&batch) {
                    return Abandoned::NeverCame;
                }
            });
            match state.batches.entry(batch).or_insert(BatchFate::Barred) {
                BatchFate::Barred => return Abandoned::NeverCame,
                BatchFate::Begun => {}
            }
            // Also those that a sweep put in doubt meanwhile: nothing of the batch was sent.
            let open = attempts(state, |attempt| {
                let facts = &attempt.facts;
                flawed!(state, AbandonsOnlyWhatIsOpen => { return attempt.batch == batch && attempt.is_open(); });
                attempt.batch == batch && !facts.is_taken() && !facts.is_definitely_undelivered()
            });
            let mut merged = Merged::default();
            let news = News::Outcome { outcome: &Outcome::NotSent, at: now, retry_after: None };
            for (key, _) in &open {
                state.merge(*key, news, now, &mut merged);
            }
            state.enter(merged.entries, now);
            Abandoned::WasCommitted(u32::try_from(open.len()).unwrap_or(u32::MAX))
        }))
    }

    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
        Ok(self.write(|state, now| {
            let (mut merged, mut unknown) = (Merged::default(), Vec::new());
            for fact in facts {
                let AttemptFact { attempt, at, outcome, retry_after } = fact;
                flawed!(state, RefusesALateSettle => {
                    if matches!(outcome, Outcome::Accepted { .. }) && super::flaws::is_passed(state, *attempt) {
                        continue;
                    }
                });
                let news = News::Outcome { outcome, at: *at, retry_after: *retry_after };
                if !state.merge(*attempt, news, now, &mut merged) {
                    unknown.push(*attempt);
                }
            }
            let Merged { entries, opened, due_at } = merged;
            let settled = Settled { changed: entries.net(), unknown, opened, due_at };
            state.enter(entries, now);
            settled
        }))
    }

    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return RetryMessage::Missing };
            let outcome = tenant.retry(message, now, &mut entries);
            state.enter(entries, now);
            outcome
        }))
    }

    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return Redriven::default() };
            let redriven = tenant.redrive(ask, now, &mut entries);
            state.enter(entries, now);
            redriven
        }))
    }

    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError> {
        Ok(self.write(|state, now| {
            let held: Vec<_> = scope
                .sessions()
                .filter_map(|(id, _)| Some((id, state.held(scope, id, now)?.1.tenant.id)))
                .collect();
            let (mut entries, mut listened) = (Entries::default(), Listened::default());
            for (session, tenant) in held {
                if let Some(tenant) = state.tenants.get_mut(&tenant) {
                    tenant.listen(session, limit, now, &mut listened, &mut entries);
                }
            }
            state.enter(entries, now);
            listened
        }))
    }

    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError> {
        Ok(self.write(|state, now| {
            let held: Vec<_> = scope
                .sessions()
                .map(|(session, _)| session)
                .filter(|session| state.held(scope, *session, now).is_some())
                .collect();
            let is_swept = |attempt: &AttemptRow| {
                attempt.is_open() || (flawed!(state, SweepsWhatIsSettled) && !attempt.facts.is_taken())
            };
            let open = attempts(state, |attempt| is_swept(attempt) && held.contains(&attempt.session));
            let mut merged = Merged::default();
            let mut swept = Swept::default();
            #[cfg(not(feature = "mutants"))]
            let outcome = Outcome::Ambiguous;
            #[cfg(feature = "mutants")]
            let outcome = match mutants::swept(state.mutant) {
                _ if flawed!(state, SweepsIntoPending) => Outcome::NotSent,
                outcome => outcome,
            };
            #[cfg(feature = "mutants")]
            mutants::resend(state, &held, now);
            let news = News::Outcome { outcome: &outcome, at: now, retry_after: None };
            for (key, end_by) in open {
                let ends = flawed!(state, SweepsWithoutGrace => end_by, later(end_by, grace));
                if ends <= now {
                    state.merge(key, news, now, &mut merged);
                    swept.in_doubt.push(key);
                } else {
                    swept.next_at = swept.next_at.into_iter().chain([ends]).min();
                }
            }
            state.enter(merged.entries, now);
            swept
        }))
    }

    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError> {
        Ok(self.write(|state, now| state.recover(scope, ask, now)))
    }

    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<ResolveMessage, StoreError> {
        Ok(self.write(|state, now| state.resolve(scope.tenant(), message, resolution, now)))
    }
}

fn enqueue(tenant: &mut TenantRow, message: &NewMessage) -> Enqueue {
    let NewMessage {
        id,
        session,
        recipient,
        content,
        reply_to,
        fallback,
        lane,
        due_at,
        valid_until,
        key,
        in_doubt,
    } = message.clone();
    if !tenant.sessions.contains_key(&session) && !flawed!(tenant, QueuesForAForeignSession) {
        return Enqueue::NoSession;
    }
    let fresh = MessageRow {
        campaign: None,
        session,
        contact: None,
        recipient,
        body: DueBody::Own(content),
        fallback,
        reply_to,
        lane,
        valid_until,
        in_doubt,
    };
    // A call that is repeated after an unknown commit brings the same id.
    let known = key.as_ref().and_then(|key| tenant.keys.get(key)).copied().unwrap_or(id);
    if let Some(row) = tenant.messages.get(&known) {
        let is_same = flawed!(tenant, ComparesTimes => row.valid_until == fresh.valid_until, true)
            && (is_same(row, &fresh) || flawed!(tenant, TakesAnotherBody));
        return if is_same { Enqueue::Known(known) } else { Enqueue::Different(known) };
    }
    tenant.messages.insert(id, fresh);
    tenant.due.insert(id, DueRow { due_at, why: None });
    tenant.keys.extend(key.map(|key| (key, id)));
    Enqueue::Queued(id)
}

/// Whether two messages say the same to the same person. Times are often counted from the call, so
/// they differ when it is repeated.
fn is_same(known: &MessageRow, new: &MessageRow) -> bool {
    let MessageRow {
        campaign,
        session,
        contact: _,
        recipient,
        body,
        reply_to,
        fallback,
        lane,
        valid_until: _,
        in_doubt,
    } = known;
    (campaign, session, recipient, body, reply_to, fallback, lane, in_doubt)
        == (
            &new.campaign,
            &new.session,
            &new.recipient,
            &new.body,
            &new.reply_to,
            &new.fallback,
            &new.lane,
            &new.in_doubt,
        )
}

fn cancel(tenant: &mut TenantRow, id: MessageId, entries: &mut Entries) -> CancelMessage {
    if !tenant.messages.contains_key(&id) {
        return CancelMessage::Missing;
    }
    let old = tenant.state_of(id);
    if old == MessageState::Skipped && tenant.closed.get(&id) == Some(&SkipReason::Cancelled) {
        return CancelMessage::Cancelled;
    }
    match old {
        MessageState::Attempting if flawed!(tenant, CancelsWhatIsBegun) => CancelMessage::Cancelled,
        MessageState::Pending | MessageState::Held => {
            tenant.close(id, SkipReason::Cancelled);
            entries.changed(tenant.tenant.id, id, old, tenant.state_of(id));
            CancelMessage::Cancelled
        }
        MessageState::InDoubt => {
            // What has left cannot be called back; what would follow it can.
            if !tenant.closed.contains_key(&id) {
                tenant.close(id, SkipReason::Cancelled);
            }
            CancelMessage::TooLate(old)
        }
        MessageState::Attempting
        | MessageState::Accepted
        | MessageState::Sent
        | MessageState::Delivered
        | MessageState::Read
        | MessageState::Played
        | MessageState::Failed
        | MessageState::Skipped => CancelMessage::TooLate(old),
    }
}

/// The attempts of every tenant that fit, in order, with the ends of their requests.
fn attempts(state: &State, fits: impl Fn(&AttemptRow) -> bool) -> Vec<(AttemptKey, DateTime<Utc>)> {
    let mut found = Vec::new();
    for (tenant, row) in &state.tenants {
        for ((message, n), attempt) in row.attempts.iter().filter(|(_, attempt)| fits(attempt)) {
            found.push((AttemptKey { tenant: *tenant, message: *message, n: *n }, attempt.end_by));
        }
    }
    found
}

fn due(tenant: &TenantRow, ask: &DueQuery, now: DateTime<Utc>) -> DuePage {
    let mut briefs = Briefs { tenant, ask, known: BTreeMap::new() };
    let wanted_lane = |lane: Lane| ask.lane.is_none_or(|wanted| wanted == lane);
    let mut rows: Vec<_> = tenant
        .due
        .iter()
        .filter_map(|(id, row)| Some((*id, row.due_at, tenant.messages.get(id)?)))
        .filter(|(_, _, message)| message.session == ask.session && wanted_lane(message.lane))
        .collect();
    rows.sort_by_key(|(id, due_at, message)| {
        (flawed!(tenant, MixesTheLanes => Lane::Bulk, message.lane), *due_at, *id)
    });
    let next_at = rows.iter().map(|(_, due_at, _)| *due_at).filter(|due_at| *due_at > now).min();
    let is_wanted = |message: &MessageRow| message.campaign.is_none_or(|campaign| briefs.is_wanted(campaign));
    let ready = rows.iter().filter(|(_, due_at, message)| *due_at <= now && is_wanted(message));
    let mut waiting: Vec<_> = ready.map(|(id, _, message)| (*id, *message, DueSource::Row)).collect();
    for (id, row) in &tenant.campaigns {
        let feed = row.feeds.get(&ask.session).filter(|_| wanted_lane(row.campaign.lane));
        let is_skipped = ask.skip_feeds.contains(id) && !flawed!(tenant, GivesASkippedFeed);
        let is_wanted = briefs.is_wanted(*id) && !is_skipped;
        let Some(feed) = feed.filter(|_| is_wanted) else { continue };
        let open = feed.rest().filter(|id| !tenant.closed.contains_key(id));
        let open = page(open, ask.limit).into_iter();
        waiting.extend(open.filter_map(|id| Some((id, tenant.messages.get(&id)?, DueSource::Feed))));
    }
    let messages = waiting.into_iter().map(|(id, message, source)| DueMessage {
        tenant: tenant.tenant.id,
        id,
        n: tenant.next_n(id),
        campaign: message.campaign.and_then(|campaign| briefs.get(campaign)),
        contact: tenant.contact_of(message),
        recipient: message.recipient.clone(),
        body: flawed!(tenant, FillsInWhenItSends => super::flaws::present_body(tenant, message), message.body.clone()),
        reply_to: message.reply_to.clone().filter(|_| !(flawed!(tenant, QuotesOnlyOnce) && tenant.next_n(id) > 1)),
        fallback: message.fallback.clone(),
        lane: message.lane,
        valid_until: message.valid_until,
        source,
    });
    let session = tenant.sessions.get(&ask.session);
    let pace = session.map(|session| pace::of(session, &tenant.settings));
    let pace = flawed!(tenant, SaysNoPace => None, pace);
    DuePage { at: now, messages: page(messages, ask.limit), next_at, pace }
}

/// What a page says of its campaigns, once for each.
struct Briefs<'a> {
    tenant: &'a TenantRow,
    ask: &'a DueQuery,
    known: BTreeMap<CampaignId, Arc<CampaignBrief>>,
}

impl Briefs<'_> {
    fn is_wanted(&self, id: CampaignId) -> bool {
        let row = self.tenant.campaigns.get(&id);
        row.is_some_and(|row| row.campaign.state == CampaignState::Running)
            && (!self.ask.skip.contains(&id) || flawed!(self.tenant, GivesASkippedCampaign))
    }

    fn get(&mut self, id: CampaignId) -> Option<Arc<CampaignBrief>> {
        let campaign = &self.tenant.campaigns.get(&id)?.campaign;
        let brief = self.known.entry(id).or_insert_with(|| {
            let (content, fallback) = (campaign.content.clone(), campaign.fallback.clone());
            Arc::new(CampaignBrief::new(id, content, fallback, campaign.rate))
        });
        Some(Arc::clone(brief))
    }
}
