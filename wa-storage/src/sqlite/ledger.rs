//! The room of quota and cost.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::params;
use wa_core::model::{BudgetOf, BudgetUse, ContactId, Currency, Entitlement, Period, QuotaUsage};
use wa_core::port::Scope;
use wa_core::port::store::{ContactSpend, Cost, CostOf, Ledger, StoreError};

use super::codec::to_json;
use super::directory::tenant_rules;
use super::outbox::reserve;
use super::{Durability, SqliteStore, spend};

#[async_trait]
impl Ledger for SqliteStore {
    async fn set_entitlement(&self, scope: &Scope, entitlement: &Entitlement) -> Result<bool, StoreError> {
        let (tenant, entitlement) = (scope.tenant(), entitlement.clone());
        self.write(Durability::Full, move |tx| {
            let changed = tx
                .conn
                .prepare_cached("UPDATE tenant SET entitlement = ?2 WHERE id = ?1")?
                .execute(params![tenant.as_bytes(), to_json(&entitlement)?])?;
            Ok(changed > 0)
        })
        .await
    }

    async fn entitlement(&self, scope: &Scope) -> Result<Option<Entitlement>, StoreError> {
        let tenant = scope.tenant();
        self.read(
            move |snapshot| Ok(tenant_rules(snapshot.conn, tenant)?.map(|(_, entitlement)| entitlement)),
        )
        .await
    }

    async fn usage(&self, scope: &Scope, period: Period) -> Result<Option<QuotaUsage>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let Some((_, entitlement)) = tenant_rules(snapshot.conn, tenant)? else { return Ok(None) };
            let used = reserve::used_of(snapshot.conn, tenant, period)?;
            let limit = entitlement.messages_per_month;
            Ok(Some(QuotaUsage { period, used, limit, resets_at: period.end() }))
        })
        .await
    }

    async fn cost(&self, scope: &Scope, of: &CostOf) -> Result<Cost, StoreError> {
        let (tenant, of) = (scope.tenant(), *of);
        self.read(move |snapshot| spend::cost(snapshot.conn, tenant, &of)).await
    }

    async fn contact_spend(
        &self,
        scope: &Scope,
        contact: ContactId,
    ) -> Result<Option<ContactSpend>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| spend::of_contact(snapshot.conn, tenant, contact)).await
    }

    async fn budget_use(
        &self,
        scope: &Scope,
        of: BudgetOf,
    ) -> Result<BTreeMap<Currency, BudgetUse>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| spend::budget_use(snapshot.conn, tenant, of)).await
    }
}
