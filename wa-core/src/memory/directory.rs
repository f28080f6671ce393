//! The room of tenants.

use async_trait::async_trait;

use super::flaws::flawed;
use super::state::TenantRow;
use super::{MemoryStore, behind, id_taken, page};
use crate::model::{Tenant, TenantId, TenantName, TenantSettings};
use crate::port::store::{Directory, StoreError, StoreIdentity};
use crate::port::{AdminScope, Scope};

#[async_trait]
impl Directory for MemoryStore {
    async fn identity(&self, _: &AdminScope, fresh: &StoreIdentity) -> Result<StoreIdentity, StoreError> {
        Ok(self.write(|state, _| {
            flawed!(state, MakesAnotherIdentity => {
                if state.awaits.is_none() {
                    state.identity = None;
                }
            });
            if state.identity.is_none() {
                state.begin_another_life();
            }
            state.identity.get_or_insert_with(|| fresh.clone()).clone()
        }))
    }

    async fn ensure_tenant(
        &self,
        _: &AdminScope,
        name: &TenantName,
        fresh: TenantId,
    ) -> Result<Tenant, StoreError> {
        self.write(|state, now| {
            if let Some(known) = state
                .tenants
                .values()
                .find(|row| row.tenant.name == *name && !flawed!(state, MakesATenantTwice))
            {
                return Ok(known.tenant.clone());
            }
            if state.tenants.contains_key(&fresh) || state.arriving.contains_key(&fresh) {
                return Err(id_taken("tenant"));
            }
            let tenant = Tenant { id: fresh, name: name.clone(), created_at: now };
            state.tenants.insert(fresh, TenantRow::new(tenant.clone()));
            #[cfg(feature = "mutants")]
            super::mutants::infect(state, fresh);
            Ok(tenant)
        })
    }

    async fn tenants(
        &self,
        _: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        Ok(self.read(|state, _| {
            let rows = flawed!(state, RepeatsATenant => super::from(after), behind(after));
            page(state.tenants.range(rows).map(|(_, row)| row.tenant.clone()), limit)
        }))
    }

    async fn tenant(&self, scope: &Scope) -> Result<Option<Tenant>, StoreError> {
        Ok(self.read(|state, _| state.tenants.get(&scope.tenant()).map(|row| row.tenant.clone())))
    }

    async fn settings(&self, scope: &Scope) -> Result<Option<TenantSettings>, StoreError> {
        Ok(self.read(|state, _| {
            let own = state.tenants.get(&scope.tenant()).map(|row| row.settings.clone());
            flawed!(state, GivesSettingsToNobody => own.or_else(|| Some(TenantSettings::default())), own)
        }))
    }

    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Result<bool, StoreError> {
        Ok(self.write(|state, now| {
            let Some(row) = state.tenants.get_mut(&scope.tenant()) else { return false };
            if row.settings.in_doubt != settings.in_doubt {
                row.doubt_anew(now);
            }
            row.settings = settings.clone();
            flawed!(row, ForgetsASetting => { row.settings.billing_offset = Default::default(); });
            true
        }))
    }
}
