//! The point of no return.
//!
//! Three steps: which items are there, what the judge says of each, and only then the changes. So a
//! judge that panics leaves the store as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::court::{Court, account, group, touched};
use super::flaws::flawed;
use super::journal::Entries;
use super::later;
use super::state::{AttemptRow, BatchFate, DueRow, Feed, State, TenantRow};
use crate::model::{
    AttemptKey, CampaignId, CampaignState, DeliveryFacts, EventBody, HoldReason, MessageId, Period, Session,
    SkipReason, TransportName,
};
use crate::port::WorkerScope;
use crate::port::store::{BeginBatch, BeginItem, Begun, BegunAttempt, BegunBatch, DueSource, Stopped};
use crate::rules::judge::{Admission, Grant, Judge, Verdict};
use crate::rules::price::Quote;

/// Judges a batch and begins what may begin.
pub(super) fn begin(
    state: &mut State,
    scope: &WorkerScope,
    batch: &BeginBatch,
    judge: &dyn Judge,
    now: DateTime<Utc>,
) -> Begun {
    let fate = state.batches.get(&batch.id);
    if fate.is_some_and(|fate| *fate == BatchFate::Barred || !flawed!(state, BeginsUnderAUsedId)) {
        return Begun::UsedBatch;
    }
    #[cfg(not(feature = "mutants"))]
    let held = state.held(scope, batch.session, now);
    #[cfg(feature = "mutants")]
    let held = super::flaws::held(state, scope, batch.session, now);
    let Some((epoch, tenant)) = held else { return Begun::LeaseLost };
    let Some(session) = tenant.sessions.get(&batch.session) else { return Begun::LeaseLost };
    let mut begun = BegunBatch { at: Some(now), ..BegunBatch::default() };
    let present = present(tenant, session, batch, &mut begun);
    let present = admitted(state, tenant, session, present, judge, now, &mut begun);
    let mut court = Court::open(state, tenant, session, judge, now);
    let steps = judge_all(&mut court, &present, now, &mut begun);
    let writing = Writing { batch, epoch, account: account(session), warm_up_day: court.warm_up_day(), now };
    let tenant_id = tenant.tenant.id;
    let mut entries = Entries::default();
    state.batches.insert(batch.id, BatchFate::Begun);
    if let Some(tenant) = state.tenants.get_mut(&tenant_id) {
        for (item, step) in steps {
            writing.carry_out(tenant, item, step, &mut begun, &mut entries);
        }
    }
    state.enter(entries, now);
    Begun::Done(begun)
}

/// What happens to an item.
enum Step {
    Send(Grant),
    Wait(DueRow),
    Skip(SkipReason),
    /// Its campaign is paused; the item stays where it is.
    Pause(HoldReason),
}

/// The items that are where they say, in order; what is not there is gone.
fn present<'a>(
    tenant: &TenantRow,
    session: &Session,
    batch: &'a BeginBatch,
    begun: &mut BegunBatch,
) -> Vec<&'a BeginItem> {
    let mut seen = BTreeSet::new();
    let there = |item: &&BeginItem| is_there(tenant, session, item) && seen.insert(item.message);
    let mut present: Vec<_> = batch.items.iter().filter(there).collect();
    #[cfg(feature = "mutants")]
    if super::mutants::takes_twice(tenant) {
        return present;
    }
    for (campaign, row) in &tenant.campaigns {
        let is_fed = |item: &&BeginItem| item.source == DueSource::Feed && item.campaign == Some(*campaign);
        let asked: Vec<_> = present.iter().copied().filter(is_fed).map(|item| item.message).collect();
        let feed = row.feeds.get(&session.id).into_iter().flat_map(Feed::rest);
        let open = feed.filter(|id| !tenant.closed.contains_key(id));
        if !open.take(asked.len()).eq(asked.iter().copied()) && !flawed!(tenant, JumpsInTheFeed) {
            present.retain(|item| !is_fed(item));
        }
    }
    // An item that stands twice in the batch is there once.
    let mut named: BTreeSet<_> = present.iter().map(|item| item.message).collect();
    let all = batch.items.iter().map(|item| item.message);
    begun.gone = all.filter(|id| named.insert(*id)).collect();
    present
}

/// The items whose group the judge admits; refused groups stay as a whole.
fn admitted<'a>(
    state: &State,
    tenant: &TenantRow,
    session: &Session,
    mut present: Vec<&'a BeginItem>,
    judge: &dyn Judge,
    now: DateTime<Utc>,
    begun: &mut BegunBatch,
) -> Vec<&'a BeginItem> {
    let mut groups: BTreeMap<Option<CampaignId>, bool> = BTreeMap::new();
    for item in &present {
        groups.entry(item.campaign).or_insert_with(|| {
            let Some(group) = group(state, tenant, session, item.campaign, now) else { return false };
            match judge.admit(&group, now) {
                Admission::Admit => true,
                Admission::Refuse { why, until } => {
                    begun.stopped.push(Stopped { campaign: item.campaign, feed_only: false, why, until });
                    false
                }
            }
        });
    }
    present.retain(|item| {
        groups.get(&item.campaign) == Some(&true)
            || flawed!(tenant, BeginsARetryOfAPausedCampaign => super::flaws::is_paused_retry(tenant, item), false)
    });
    present
}

/// Whether a message waits exactly where and as the item says.
fn is_there(tenant: &TenantRow, session: &Session, item: &BeginItem) -> bool {
    let Some(message) = tenant.messages.get(&item.message) else { return false };
    #[cfg(feature = "mutants")]
    if super::mutants::takes_twice(tenant) {
        return message.session == session.id;
    }
    let waits = match item.source {
        DueSource::Feed => tenant.is_in_feed(item.message),
        DueSource::Row => tenant.due.contains_key(&item.message),
    };
    let waits =
        flawed!(tenant, BeginsWhatWasCancelled => waits || super::flaws::is_cancelled(tenant, item), waits);
    item.tenant == tenant.tenant.id
        && message.session == session.id
        && message.campaign == item.campaign
        && item.n == tenant.next_n(item.message)
        && waits
}

/// What becomes of each item: those behind a stop, and all of a campaign that is paused, stay where they are.
fn judge_all<'b>(
    court: &mut Court<'_>,
    items: &[&'b BeginItem],
    now: DateTime<Utc>,
    begun: &mut BegunBatch,
) -> Vec<(&'b BeginItem, Step)> {
    let (mut stopped, mut paused) = (BTreeSet::new(), BTreeSet::new());
    let mut steps = Vec::new();
    for item in items {
        if item.source == DueSource::Feed && stopped.contains(&item.campaign) {
            continue;
        }
        if item.campaign.is_some() && paused.contains(&item.campaign) {
            continue;
        }
        match court.judge(item) {
            Verdict::Send(grant) => steps.push((*item, Step::Send(grant))),
            Verdict::Skip(why) => steps.push((*item, Step::Skip(why))),
            Verdict::Stop { until: _, ask_at, why } if item.source == DueSource::Feed => {
                stopped.insert(item.campaign);
                let until = Some(ask_at);
                begun.stopped.push(Stopped { campaign: item.campaign, feed_only: true, why, until });
            }
            Verdict::Pause { why } if item.campaign.is_some() => {
                paused.insert(item.campaign);
                begun.stopped.push(Stopped { campaign: item.campaign, feed_only: false, why, until: None });
                steps.push((*item, Step::Pause(why)));
            }
            Verdict::Pause { why } => {
                let until = now + TimeDelta::minutes(1);
                steps.push((*item, Step::Wait(DueRow { due_at: until, why: Some(why) })));
            }
            // A due row cannot stop others, so a judge that says so makes it wait.
            Verdict::Wait { until, why } | Verdict::Stop { until, ask_at: _, why } => {
                steps.push((*item, Step::Wait(DueRow { due_at: until, why: Some(why) })));
            }
        }
    }
    steps
}

/// Pauses the campaign of an item that has no room in a budget.
fn pause(tenant: &mut TenantRow, item: &BeginItem, why: HoldReason, entries: &mut Entries) {
    let owner = tenant.tenant.id;
    let Some(campaign) = item.campaign else { return };
    if let Some(row) = tenant.campaigns.get_mut(&campaign) {
        row.campaign.state = CampaignState::Paused;
        row.campaign.paused_for = flawed!(tenant, PausesForNoReason => None, Some(why));
        if why == HoldReason::BudgetSpent {
            entries.note(owner, EventBody::BudgetSpent { campaign });
        }
        entries.moved(owner, campaign, CampaignState::Paused);
    }
}

/// What every change of a batch has in common.
struct Writing<'a> {
    batch: &'a BeginBatch,
    epoch: u64,
    account: (TransportName, String),
    warm_up_day: Option<i32>,
    now: DateTime<Utc>,
}

impl Writing<'_> {
    fn carry_out(
        &self,
        tenant: &mut TenantRow,
        item: &BeginItem,
        step: Step,
        begun: &mut BegunBatch,
        entries: &mut Entries,
    ) {
        let id = item.message;
        if let Step::Pause(why) = step {
            return pause(tenant, item, why, entries);
        }
        let old = tenant.state_of(id);
        match item.source {
            DueSource::Feed => self.pass(tenant, item.campaign, id),
            DueSource::Row => _ = tenant.due.remove(&id),
        }
        match step {
            Step::Send(grant) => {
                let Grant { tier_slot, content, price } = grant;
                let start_by = later(self.now, self.batch.start_within);
                let end_by = later(start_by, self.batch.timeout);
                let attempt = AttemptRow {
                    session: self.batch.session,
                    epoch: self.epoch,
                    batch: self.batch.id,
                    begun_at: self.now,
                    end_by,
                    former: false,
                    content,
                    touch: touched(item, &grant, self.now),
                    warm_up_day: self.warm_up_day,
                    slot_of: tier_slot.then(|| self.account.clone()),
                    quote: Quote { category: item.category_of(content), estimate: price },
                    book: tenant.settings.prices.clone().map(Arc::new),
                    month: Period::at(self.now, tenant.settings.billing_offset),
                    facts: DeliveryFacts::default(),
                };
                tenant.attempts.insert((id, item.n), attempt);
                let key = AttemptKey { tenant: tenant.tenant.id, message: id, n: item.n };
                let price = price.amount;
                begun.attempts.push(BegunAttempt { key, start_by, end_by, content, price });
            }
            Step::Wait(due) => {
                if !(flawed!(tenant, LosesWhatWaits) && item.source == DueSource::Feed) {
                    tenant.due.insert(id, due);
                }
                begun.waits.extend(due.why.map(|why| (id, why, due.due_at)));
            }
            Step::Skip(why) => {
                tenant.close(id, why);
                begun.skips.push((id, why));
            }
            // Dealt with above.
            Step::Pause(_) => {}
        }
        if !flawed!(tenant, BeginsSilently) {
            entries.changed(tenant.tenant.id, id, old, tenant.state_of(id));
        }
    }

    /// Moves a feed past a message.
    fn pass(&self, tenant: &mut TenantRow, campaign: Option<CampaignId>, id: MessageId) {
        let row = campaign.and_then(|campaign| tenant.campaigns.get_mut(&campaign));
        if let Some(feed) = row.and_then(|row| row.feeds.get_mut(&self.batch.session)) {
            feed.next_id = Some(id);
        }
    }
}
