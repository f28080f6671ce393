//! The room of the store's lives and of tenants that move.

mod export;
mod import;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub(super) use self::import::Arriving;
use super::flaws::flawed;
use super::journal::Entries;
use super::state::{State, TenantRow};
use super::{MemoryStore, behind, page};
use crate::model::{
    Campaign, CampaignId, CampaignState, EventBody, Finding, HoldReason, IncarnationId, Invariant, MessageId,
    ReconcileCause, ReconcileNeed, ScheduleState, TenantId,
};
use crate::port::store::{
    Archive, ArchiveHead, HeldTenant, ImportTenant, ImportTenantStep, PAGE, RecordSink, StoreError,
    UnfinishedImport,
};
use crate::port::{AdminScope, Scope};
use crate::rules::{campaign, schedule};

#[async_trait]
impl Archive for MemoryStore {
    async fn awaits(&self, _: &AdminScope) -> Result<Option<ReconcileNeed>, StoreError> {
        Ok(self.read(|state, _| state.awaits))
    }

    async fn suspend(
        &self,
        _: &AdminScope,
        fresh: IncarnationId,
        cause: ReconcileCause,
    ) -> Result<ReconcileNeed, StoreError> {
        Ok(self.write(|state, now| suspend(state, now, fresh, cause)))
    }

    async fn unreconciled(
        &self,
        _: &AdminScope,
        after: Option<(TenantId, CampaignId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Campaign)>, StoreError> {
        Ok(self.read(|state, _| {
            let all = state.tenants.iter().flat_map(|(tenant, row)| {
                row.campaigns.values().map(|campaign| (*tenant, campaign.campaign.clone()))
            });
            let held = all.filter(|(_, campaign)| campaign.state == CampaignState::NeedsReconcile);
            let is_later =
                |key| flawed!(state, RepeatsAnUnreconciledCampaign => after <= Some(key), after < Some(key));
            page(held.filter(|(tenant, campaign)| is_later((*tenant, campaign.id))), limit)
        }))
    }

    async fn lift(&self, _: &AdminScope) -> Result<bool, StoreError> {
        Ok(self.write(|state, now| {
            if state.awaits.take().is_none() {
                return false;
            }
            if flawed!(state, MakesUpForSlots) {
                return true;
            }
            let mut entries = Entries::default();
            for tenant in state.tenants.values_mut() {
                pass_over(tenant, &mut entries, now);
            }
            state.enter(entries, now);
            true
        }))
    }

    async fn examine(&self, _: &AdminScope, limit: u32) -> Result<Vec<Finding>, StoreError> {
        Ok(self.read(|state, _| {
            let examined =
                [(Invariant::OneDelivery, delivered_twice as Examine), (Invariant::OnePlace, misplaced)];
            let all = examined.into_iter().flat_map(|(invariant, examine)| {
                let tenants = state.tenants.iter().flat_map(|(id, row)| {
                    row.messages.keys().filter_map(|message| Some((*id, *message, examine(row, *message)?)))
                });
                let found = tenants.map(|(tenant, message, line)| Finding {
                    invariant,
                    tenant: Some(tenant),
                    message: Some(message),
                    line,
                });
                page(found, limit)
            });
            all.collect()
        }))
    }

    async fn export(&self, scope: &Scope, sink: &mut dyn RecordSink) -> Result<bool, StoreError> {
        let found = self.read(|state, now| {
            let row = state.tenants.get(&scope.tenant())?;
            let head = ArchiveHead {
                tenant: row.tenant.id,
                name: row.tenant.name.clone(),
                taken_at: now,
                incarnation: state.identity.as_ref().map(|identity| identity.incarnation),
            };
            Some((head, export::records(state, row)))
        });
        let Some((head, mut records)) = found else { return Ok(false) };
        sink.head(&head).await?;
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(PAGE));
            sink.take(std::mem::replace(&mut records, rest)).await?;
        }
        Ok(true)
    }

    async fn import_tenant(
        &self,
        _: &AdminScope,
        chunk: &ImportTenant,
    ) -> Result<ImportTenantStep, StoreError> {
        Ok(self.write(|state, now| import::import(state, chunk, now)))
    }

    async fn unfinished_imports(&self, _: &AdminScope) -> Result<Vec<UnfinishedImport>, StoreError> {
        Ok(self.read(|state, _| {
            let unfinished = |it: &Arriving| UnfinishedImport {
                tenant: it.head.tenant,
                name: it.head.name.clone(),
                records: it.records,
            };
            state.arriving.values().map(unfinished).collect()
        }))
    }

    async fn discard_import(&self, _: &AdminScope, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(self.write(|state, _| state.arriving.remove(&tenant).is_some()))
    }

    async fn held_tenants(
        &self,
        _: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<HeldTenant>, StoreError> {
        Ok(self.read(|state, _| {
            let held = state.held.range(behind(after)).filter_map(|(id, since)| {
                Some(HeldTenant { tenant: state.tenants.get(id)?.tenant.clone(), since: *since })
            });
            page(held, limit)
        }))
    }

    async fn release_tenant(&self, _: &AdminScope, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(self.write(|state, now| {
            if state.held.remove(&tenant).is_none() {
                return false;
            }
            let mut entries = Entries::default();
            if let Some(row) = state.tenants.get_mut(&tenant) {
                hold(row, &mut entries);
                pass_over(row, &mut entries, now);
            }
            state.enter(entries, now);
            true
        }))
    }
}

/// Begins another life of the store, in which nothing begins until somebody says so.
pub(super) fn suspend(
    state: &mut State,
    now: DateTime<Utc>,
    fresh: IncarnationId,
    cause: ReconcileCause,
) -> ReconcileNeed {
    if let Some(identity) = &mut state.identity
        && !flawed!(state, KeepsItsIncarnation)
    {
        identity.incarnation = fresh;
        state.begin_another_life();
    }
    flawed!(state, TakesTheLastCause => { state.awaits = None; });
    let need = *state.awaits.get_or_insert(ReconcileNeed { since: now, cause });
    let mut entries = Entries::default();
    for tenant in state.tenants.values_mut() {
        hold(tenant, &mut entries);
    }
    state.enter(entries, now);
    need
}

/// What is wrong with a message, if anything is. What else must hold is recounted on each call here.
type Examine = fn(&TenantRow, MessageId) -> Option<String>;

fn delivered_twice(tenant: &TenantRow, id: MessageId) -> Option<String> {
    // A policy that sends again what is in doubt may send twice, and says so.
    let message = tenant.messages.get(&id)?;
    let campaign = message.campaign.and_then(|id| tenant.campaigns.get(&id)).map(|row| &row.campaign);
    let own = [message.in_doubt, campaign.and_then(|it| it.in_doubt), Some(tenant.settings.in_doubt)];
    if own.into_iter().flatten().any(|policy| policy.resends_after().is_some()) {
        return None;
    }
    let may = tenant.chain(id).filter(|(_, attempt)| !attempt.facts.is_definitely_undelivered()).count();
    let may = flawed!(tenant, FindsFaultWithARetry => tenant.chain(id).count(), may);
    (may > 1).then(|| format!("{may} attempts may have been delivered"))
}

fn misplaced(tenant: &TenantRow, id: MessageId) -> Option<String> {
    let (row, feed) = (tenant.due.contains_key(&id), tenant.is_in_feed(id));
    let line = match tenant.closed.contains_key(&id) {
        true if row => "it is closed and waits in a row",
        false if row && feed => "it waits in its feed and in a row",
        false if !row && !feed && tenant.chain(id).next().is_none() => {
            "it waits nowhere, is not closed and was never begun"
        }
        true | false => return None,
    };
    Some(line.to_owned())
}

/// Holds what would go on by itself.
fn hold(tenant: &mut TenantRow, entries: &mut Entries) {
    let runs = &tenant.schedule_runs;
    let of_run = |id| runs.values().any(|run| run.campaign == id);
    for (id, row) in &mut tenant.campaigns {
        let is_left =
            flawed!(tenant, LeavesAScheduledCampaign) && row.campaign.state == CampaignState::Scheduled;
        if campaign::goes_on(row.campaign.state, || of_run(*id)) && !is_left {
            row.campaign.state = CampaignState::NeedsReconcile;
            row.campaign.paused_for = Some(HoldReason::NeedsReconcile);
            entries.moved(tenant.tenant.id, *id, CampaignState::NeedsReconcile);
        }
    }
}

/// Leaves out the slots of a tenant's schedules that have come.
fn pass_over(tenant: &mut TenantRow, entries: &mut Entries, now: DateTime<Utc>) {
    for (id, known) in &mut tenant.schedules {
        if known.state == ScheduleState::Active && known.next_at.is_some_and(|at| at < now) {
            known.go_on(ScheduleState::Active, schedule::first(&known.spec.recurrence, now));
            if known.state == ScheduleState::Ended {
                entries.note(tenant.tenant.id, EventBody::Schedule { schedule: *id, state: known.state });
            }
        }
    }
}
