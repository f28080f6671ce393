//! The room of quota and cost.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{BudgetOf, BudgetUse, ContactId, Currency, Entitlement, Period, QuotaUsage, TenantId};
use wa_core::port::Scope;
use wa_core::port::store::{ContactSpend, Cost, CostOf, Ledger, StoreError};

use super::codec::{to_json, uint};
use super::directory::tenant_rules;
use super::error::Fallible;
use super::tx::{Access, Locks, Tx};
use super::{PostgresStore, spend};

#[async_trait]
impl Ledger for PostgresStore {
    async fn set_entitlement(&self, scope: &Scope, entitlement: &Entitlement) -> Result<bool, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = set_entitlement(&mut tx, tenant, entitlement).await;
        tx.end(done).await
    }

    async fn entitlement(&self, scope: &Scope) -> Result<Option<Entitlement>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let rules = tenant_rules(tx.conn(), tenant).await;
        tx.close(rules.map(|rules| rules.map(|(_, entitlement)| entitlement))).await
    }

    async fn usage(&self, scope: &Scope, period: Period) -> Result<Option<QuotaUsage>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let usage = usage(tx.conn(), tenant, period).await;
        tx.close(usage).await
    }

    async fn cost(&self, scope: &Scope, of: &CostOf) -> Result<Cost, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let cost = spend::cost(tx.conn(), tenant, of).await;
        tx.close(cost).await
    }

    async fn contact_spend(
        &self,
        scope: &Scope,
        contact: ContactId,
    ) -> Result<Option<ContactSpend>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let spent = spend::of_contact(tx.conn(), tenant, contact).await;
        tx.close(spent).await
    }

    async fn budget_use(
        &self,
        scope: &Scope,
        of: BudgetOf,
    ) -> Result<BTreeMap<Currency, BudgetUse>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let used = spend::budget_use(tx.conn(), tenant, of).await;
        tx.close(used).await
    }
}

async fn set_entitlement(tx: &mut Tx, tenant: TenantId, entitlement: &Entitlement) -> Fallible<bool> {
    let changed = sqlx::query("UPDATE tenant SET entitlement = $2 WHERE id = $1")
        .bind(tenant.as_uuid())
        .bind(to_json(entitlement)?)
        .execute(tx.conn())
        .await?;
    Ok(changed.rows_affected() > 0)
}

async fn usage(conn: &mut PgConnection, tenant: TenantId, period: Period) -> Fallible<Option<QuotaUsage>> {
    let Some((_, entitlement)) = tenant_rules(conn, tenant).await? else { return Ok(None) };
    let used = sqlx::query("SELECT used FROM quota_usage WHERE tenant = $1 AND period = $2")
        .bind(tenant.as_uuid())
        .bind(period.to_string())
        .try_map(|row: PgRow| uint::<u64>(&row, 0))
        .fetch_optional(conn)
        .await?
        .unwrap_or(0);
    let limit = entitlement.messages_per_month;
    Ok(Some(QuotaUsage { period, used, limit, resets_at: period.end() }))
}
