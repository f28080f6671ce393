//! The room of quota and cost: both are counted from the attempts.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use super::flaws::flawed;
use super::state::{AttemptRow, TenantRow};
use crate::model::{BudgetOf, BudgetUse, ContactId, Currency, Entitlement, Period, QuotaUsage};
use crate::port::Scope;
use crate::port::store::{ContactSpend, Cost, CostOf, Ledger, StoreError};

#[async_trait]
impl Ledger for MemoryStore {
    async fn set_entitlement(&self, scope: &Scope, entitlement: &Entitlement) -> Result<bool, StoreError> {
        Ok(self.write(|state, _| {
            let Some(row) = state.tenants.get_mut(&scope.tenant()) else { return false };
            row.entitlement = entitlement.clone();
            true
        }))
    }

    async fn entitlement(&self, scope: &Scope) -> Result<Option<Entitlement>, StoreError> {
        Ok(self.read(|state, _| state.tenants.get(&scope.tenant()).map(|row| row.entitlement.clone())))
    }

    async fn usage(&self, scope: &Scope, period: Period) -> Result<Option<QuotaUsage>, StoreError> {
        Ok(self.read(|state, _| state.tenants.get(&scope.tenant()).map(|row| row.usage(period))))
    }

    async fn cost(&self, scope: &Scope, of: &CostOf) -> Result<Cost, StoreError> {
        Ok(self.read(|state, _| {
            state.tenants.get(&scope.tenant()).map_or_else(Cost::default, |row| row.cost(of))
        }))
    }

    async fn contact_spend(
        &self,
        scope: &Scope,
        contact: ContactId,
    ) -> Result<Option<ContactSpend>, StoreError> {
        Ok(self.read(|state, _| {
            let own = state.tenants.get(&scope.tenant())?.contact_spend(contact);
            flawed!(state, ShowsAForeignSpend => super::flaws::anybodys_spend(state, contact), own)
        }))
    }

    async fn budget_use(
        &self,
        scope: &Scope,
        of: BudgetOf,
    ) -> Result<BTreeMap<Currency, BudgetUse>, StoreError> {
        Ok(self.read(|state, _| {
            let row = state.tenants.get(&scope.tenant());
            let used = row.map(|row| row.budget_use(of)).unwrap_or_default();
            let used = used.into_iter().map(|(currency, (used, _))| (currency, used));
            used.filter(|(_, used)| *used != BudgetUse::default()).collect()
        }))
    }
}

impl TenantRow {
    /// How much of a month's quota is used.
    pub(super) fn usage(&self, period: Period) -> QuotaUsage {
        let begun = |it: &&AttemptRow| {
            it.counts() && (Period::of(it.begun_at) == period || flawed!(self, CountsEveryMonth))
        };
        QuotaUsage {
            period,
            used: u64::try_from(self.attempts.values().filter(begun).count()).unwrap_or(u64::MAX),
            limit: self.entitlement.messages_per_month,
            resets_at: period.end(),
        }
    }
}
