//! The room of quota and cost.

use async_trait::async_trait;
use rusqlite::params;
use wa_core::model::{CampaignId, Entitlement, Period, QuotaUsage};
use wa_core::port::Scope;
use wa_core::port::store::{Cost, Ledger, StoreError};
use wa_core::rules::tally::Counter;

use super::codec::to_json;
use super::directory::tenant_rules;
use super::outbox::reserve;
use super::reports::read_counters;
use super::{Durability, SqliteStore};

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

    async fn cost(&self, scope: &Scope, campaign: Option<CampaignId>) -> Result<Cost, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let mut cost = Cost::default();
            for (key, n) in read_counters(snapshot.conn, tenant, campaign)? {
                match Counter::from_key(&key) {
                    Some(Counter::Cost(currency)) => {
                        cost.micros.insert(currency, n);
                    }
                    Some(Counter::Unpriced) => cost.unpriced = u64::try_from(n).unwrap_or(0),
                    Some(_) | None => {}
                }
            }
            Ok(cost)
        })
        .await
    }
}
