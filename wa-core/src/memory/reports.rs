//! The room of reports. Other stores keep sums; this one counts anew each time.

use std::ops::Bound;

use async_trait::async_trait;

use super::flaws::flawed;
use super::{MemoryStore, behind, page};
use crate::model::{CampaignAlert, CampaignCounts, CampaignId, MessageId, MessageState, MessageView};
use crate::port::Scope;
use crate::port::store::{FailureFilter, Reports, StoreError, TrendPoint, TrendQuery};

#[async_trait]
impl Reports for MemoryStore {
    async fn counts(
        &self,
        scope: &Scope,
        campaign: CampaignId,
    ) -> Result<Option<CampaignCounts>, StoreError> {
        Ok(self.read(|state, _| {
            let tenant = state.tenants.get(&scope.tenant())?;
            tenant.campaigns.get(&campaign).map(|row| tenant.counts(row))
        }))
    }

    async fn message(&self, scope: &Scope, id: MessageId) -> Result<Option<MessageView>, StoreError> {
        Ok(self.read(|state, _| {
            let own = state.tenants.get(&scope.tenant())?.view(id);
            flawed!(state, ShowsAForeignMessage => state.tenants.values().find_map(|it| it.view(id)), own)
        }))
    }

    async fn messages(
        &self,
        scope: &Scope,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let until = before.map_or(
                Bound::Unbounded,
                flawed!(state, RepeatsAMessage => Bound::Included, Bound::Excluded),
            );
            let ids = tenant.messages.range((Bound::Unbounded, until)).rev();
            page(ids.filter_map(|(id, _)| tenant.view(*id)), limit)
        }))
    }

    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let Some(row) = tenant.campaigns.get(&campaign) else { return Vec::new() };
            let keys = flawed!(state, RepeatsARecipient => super::from(after), behind(after));
            page(row.messages().range(keys).filter_map(|id| tenant.view(*id)), limit)
        }))
    }

    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let ids = tenant.messages.range(behind(after)).map(|(id, _)| *id);
            let doubted = ids.filter(|id| {
                tenant.state_of(*id) == MessageState::InDoubt
                    || flawed!(state, ListsWhatWasInDoubt => super::flaws::was_in_doubt(tenant, *id), false)
            });
            page(doubted.filter_map(|id| tenant.view(id)), limit)
        }))
    }

    async fn failed(
        &self,
        scope: &Scope,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            #[cfg(feature = "mutants")]
            let all = FailureFilter::default();
            let filter = flawed!(state, ListsEveryFailure => &all, filter);
            page(tenant.failed(filter, after).filter_map(|id| tenant.view(id)), limit)
        }))
    }

    async fn silent(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let ids = tenant.messages.range(behind(after)).map(|(id, _)| *id);
            page(ids.filter(|id| tenant.is_silent(*id)).filter_map(|id| tenant.view(id)), limit)
        }))
    }

    async fn alert(&self, scope: &Scope, campaign: CampaignId) -> Result<Option<CampaignAlert>, StoreError> {
        Ok(self.read(|state, _| state.tenants.get(&scope.tenant())?.meters.get(&campaign)?.last.clone()))
    }

    async fn trend(&self, scope: &Scope, ask: &TrendQuery) -> Result<Vec<TrendPoint>, StoreError> {
        Ok(self.read(|state, _| {
            state.tenants.get(&scope.tenant()).map_or_else(Vec::new, |tenant| tenant.trend(ask))
        }))
    }
}
