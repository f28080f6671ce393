//! The point of no return.
//!
//! Three steps: which items are there, what the judge says of each, and only then the changes. So a
//! judge that panics leaves the store as it was.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::journal::Entries;
use super::later;
use super::state::{AttemptRow, BatchFate, DueRow, Feed, State, TenantRow};
use crate::model::{
    AttemptKey, Breaker, BreakerScope, CampaignId, Consent, DeliveryFacts, MessageId, Period, Session,
    SkipReason, TransportName,
};
use crate::port::WorkerScope;
use crate::port::store::{BeginBatch, BeginItem, Begun, BegunAttempt, BegunBatch, DueSource, Stopped};
use crate::rules::judge::{Admission, Facts, Grant, GroupFacts, Judge, QuotaFacts, Verdict, is_open};
use crate::rules::tier::{SLOT, TierFacts};
use crate::rules::window;

/// Judges a batch and begins what may begin.
pub(super) fn begin(
    state: &mut State,
    scope: &WorkerScope,
    batch: &BeginBatch,
    judge: &dyn Judge,
    now: DateTime<Utc>,
) -> Begun {
    if state.batches.contains_key(&batch.id) {
        return Begun::UsedBatch;
    }
    let Some((epoch, tenant)) = state.held(scope, batch.session, now) else { return Begun::LeaseLost };
    let Some(session) = tenant.sessions.get(&batch.session) else { return Begun::LeaseLost };
    let mut begun = BegunBatch { at: Some(now), ..BegunBatch::default() };
    let present = present(tenant, session, batch, &mut begun);
    let present = admitted(tenant, session, present, judge, now, &mut begun);
    let steps = Court::open(state, tenant, session, judge, now).judge_all(&present, &mut begun);
    let writing = Writing { batch, epoch, account: account(session), now };
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

/// The account whose messaging limit a session shares.
fn account(session: &Session) -> (TransportName, String) {
    (session.transport.clone(), session.portfolio.clone())
}

/// What happens to an item.
enum Step {
    Send { grant: Grant, keeps_slot: bool },
    Wait(DueRow),
    Skip(SkipReason),
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
    for (campaign, row) in &tenant.campaigns {
        let is_fed = |item: &&BeginItem| item.source == DueSource::Feed && item.campaign == Some(*campaign);
        let asked: Vec<_> = present.iter().copied().filter(is_fed).map(|item| item.message).collect();
        let feed = row.feeds.get(&session.id).into_iter().flat_map(Feed::rest);
        let open = feed.filter(|id| !tenant.closed.contains_key(id));
        if !open.take(asked.len()).eq(asked.iter().copied()) {
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
            let Some(group) = group(tenant, session, item.campaign, now) else { return false };
            match judge.admit(&group, now) {
                Admission::Admit => true,
                Admission::Refuse { why, until } => {
                    begun.stopped.push(Stopped { campaign: item.campaign, why, until });
                    false
                }
            }
        });
    }
    present.retain(|item| groups.get(&item.campaign) == Some(&true));
    present
}

/// Whether a message waits exactly where and as the item says.
fn is_there(tenant: &TenantRow, session: &Session, item: &BeginItem) -> bool {
    let Some(message) = tenant.messages.get(&item.message) else { return false };
    let waits = match item.source {
        DueSource::Feed => tenant.is_in_feed(item.message),
        DueSource::Row => tenant.due.contains_key(&item.message),
    };
    item.tenant == tenant.tenant.id
        && message.session == session.id
        && message.campaign == item.campaign
        && item.n == tenant.next_n(item.message)
        && waits
}

/// What is known of a group; `None` when there is no such campaign.
fn group(
    tenant: &TenantRow,
    session: &Session,
    campaign: Option<CampaignId>,
    now: DateTime<Utc>,
) -> Option<GroupFacts> {
    let campaign = match campaign {
        Some(id) => Some(tenant.campaigns.get(&id)?.campaign.state),
        None => None,
    };
    Some(GroupFacts {
        tenant_paused: tenant.settings.paused,
        suspended: tenant.entitlement.suspended,
        session: session.state,
        breaker: tenant.open_breaker(&BreakerScope::Session(session.id), now),
        campaign,
    })
}

impl TenantRow {
    fn open_breaker(&self, scope: &BreakerScope, now: DateTime<Utc>) -> Option<Breaker> {
        self.breakers.get(scope).filter(|it| is_open(it, now)).cloned()
    }
}

/// The judge with the facts before him, and the meters as the batch has used them so far.
struct Court<'a> {
    tenant: &'a TenantRow,
    session: &'a Session,
    judge: &'a dyn Judge,
    now: DateTime<Utc>,
    quota: QuotaFacts,
    /// Until when each recipient's slot of the portfolio is taken.
    slots: BTreeMap<u64, DateTime<Utc>>,
}

impl<'a> Court<'a> {
    fn open(
        state: &State,
        tenant: &'a TenantRow,
        session: &'a Session,
        judge: &'a dyn Judge,
        now: DateTime<Utc>,
    ) -> Self {
        let usage = tenant.usage(Period::of(now));
        let quota = QuotaFacts { limit: usage.limit, used: usage.used, resets_at: usage.resets_at };
        let slots = match session.tier.limit() {
            Some(_) => state.slots(&account(session), now),
            None => BTreeMap::new(),
        };
        Self { tenant, session, judge, now, quota, slots }
    }

    fn judge_all<'b>(
        mut self,
        items: &[&'b BeginItem],
        begun: &mut BegunBatch,
    ) -> Vec<(&'b BeginItem, Step)> {
        let mut stopped = BTreeSet::new();
        let mut steps = Vec::new();
        for item in items {
            if item.source == DueSource::Feed && stopped.contains(&item.campaign) {
                continue;
            }
            match self.judge_one(item) {
                (Verdict::Send(grant), keeps_slot) => {
                    self.quota.used = self.quota.used.saturating_add(1);
                    if keeps_slot {
                        self.slots.insert(self.meter_of(item), self.now + SLOT);
                    }
                    steps.push((*item, Step::Send { grant, keeps_slot }));
                }
                (Verdict::Skip(why), _) => steps.push((*item, Step::Skip(why))),
                (Verdict::Stop { until, why }, _) if item.source == DueSource::Feed => {
                    stopped.insert(item.campaign);
                    begun.stopped.push(Stopped { campaign: item.campaign, why, until: Some(until) });
                }
                // A due row cannot stop others, so a judge that says so makes it wait.
                (Verdict::Wait { until, why } | Verdict::Stop { until, why }, _) => {
                    steps.push((*item, Step::Wait(DueRow { due_at: until, why: Some(why) })));
                }
            }
        }
        steps
    }

    /// The number under which the stored recipient of an item is counted.
    fn meter_of(&self, item: &BeginItem) -> u64 {
        let stored = self.tenant.messages.get(&item.message).map(|message| &message.recipient);
        stored.unwrap_or(&item.recipient).key()
    }

    /// The verdict on an item, and whether its attempt keeps its recipient's slot taken.
    fn judge_one(&self, item: &BeginItem) -> (Verdict, bool) {
        let message = self.tenant.messages.get(&item.message);
        let contact = message.and_then(|message| self.tenant.contact_of(message));
        let known = contact.and_then(|contact| self.tenant.contacts.get(contact));
        let chain = contact.and_then(|contact| self.tenant.user_chain(self.session.id, contact));
        let wrote_at = chain.map(|chain| chain.last_user_message_at);
        let template = item.template.clone().and_then(|(name, language)| {
            let scope = BreakerScope::Template(self.session.id, name, language);
            self.tenant.open_breaker(&scope, self.now)
        });
        let tier = TierFacts {
            limit: self.session.tier.limit(),
            used: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            has_slot: self.slots.contains_key(&self.meter_of(item)),
            next_free_at: self.slots.values().min().copied(),
        };
        let facts = Facts {
            item,
            consent: known.map_or(Consent::Allowed, |contact| contact.consent),
            last_user_message_at: wrote_at,
            template_breaker: template,
            tier,
            quota: self.quota,
            prices: self.tenant.settings.prices.as_ref(),
        };
        let verdict = self.judge.judge(&facts, self.now);
        // Who has a slot and is written to again outside the window stays counted for another day.
        let guard = window::Guard::default().of(item.lane);
        let renews = tier.has_slot && !window::is_open(wrote_at, self.now, guard);
        let takes = matches!(verdict, Verdict::Send(Grant { tier_slot: true, .. }));
        (verdict, takes || renews)
    }
}

impl State {
    /// Until when each recipient's slot of a portfolio is taken, by attempts of any tenant that were not
    /// given back.
    fn slots(&self, account: &(TransportName, String), now: DateTime<Utc>) -> BTreeMap<u64, DateTime<Utc>> {
        let mut slots = BTreeMap::new();
        for tenant in self.tenants.values() {
            for ((id, _), attempt) in &tenant.attempts {
                let until = attempt.begun_at + SLOT;
                let takes = attempt.slot_of.as_ref() == Some(account) && attempt.counts() && until > now;
                let Some(message) = tenant.messages.get(id).filter(|_| takes) else { continue };
                let known = slots.entry(message.recipient.key()).or_insert(until);
                *known = until.max(*known);
            }
        }
        slots
    }
}

/// What every change of a batch has in common.
struct Writing<'a> {
    batch: &'a BeginBatch,
    epoch: u64,
    account: (TransportName, String),
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
        let old = tenant.state_of(id);
        match item.source {
            DueSource::Feed => self.pass(tenant, item.campaign, id),
            DueSource::Row => _ = tenant.due.remove(&id),
        }
        match step {
            Step::Send { grant, keeps_slot } => {
                let start_by = later(self.now, self.batch.start_within);
                let end_by = later(start_by, self.batch.timeout);
                let attempt = AttemptRow {
                    session: self.batch.session,
                    epoch: self.epoch,
                    batch: self.batch.id,
                    begun_at: self.now,
                    end_by,
                    price: grant.price,
                    slot_of: keeps_slot.then(|| self.account.clone()),
                    facts: DeliveryFacts::default(),
                };
                tenant.attempts.insert((id, item.n), attempt);
                let key = AttemptKey { tenant: tenant.tenant.id, message: id, n: item.n };
                begun.attempts.push(BegunAttempt { key, start_by, end_by, price: grant.price });
            }
            Step::Wait(due) => {
                tenant.due.insert(id, due);
                begun.waits.extend(due.why.map(|why| (id, why, due.due_at)));
            }
            Step::Skip(why) => {
                tenant.close(id, why);
                begun.skips.push((id, why));
            }
        }
        entries.changed(tenant.tenant.id, id, old, tenant.state_of(id));
    }

    /// Moves a feed past a message.
    fn pass(&self, tenant: &mut TenantRow, campaign: Option<CampaignId>, id: MessageId) {
        let row = campaign.and_then(|campaign| tenant.campaigns.get_mut(&campaign));
        if let Some(feed) = row.and_then(|row| row.feeds.get_mut(&self.batch.session)) {
            feed.next_id = Some(id);
        }
    }
}
