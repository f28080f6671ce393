//! A stranger at the room of quota and cost.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{BudgetOf, BudgetUse, ContactId, Currency, Entitlement, Period, QuotaUsage};
use crate::port::Scope;
use crate::port::store::{ContactSpend, Cost, CostOf, Ledger};

#[async_trait]
impl Ledger for Trespassing {
    async fn set_entitlement(&self, scope: &Scope, entitlement: &Entitlement) -> Answer<bool> {
        self.store.ledger().set_entitlement(scope, entitlement).await
    }

    async fn entitlement(&self, scope: &Scope) -> Answer<Option<Entitlement>> {
        let told = self.store.ledger().entitlement(&self.stranger).await;
        self.refused("entitlement", told, &Some(Entitlement::unlimited()));
        self.store.ledger().entitlement(scope).await
    }

    async fn usage(&self, scope: &Scope, period: Period) -> Answer<Option<QuotaUsage>> {
        let told = self.store.ledger().usage(&self.stranger, period).await;
        self.refused(
            "usage",
            told.map(|usage| usage.map(|usage| (usage.used, usage.limit))),
            &Some((0, None)),
        );
        self.store.ledger().usage(scope, period).await
    }

    async fn cost(&self, scope: &Scope, of: &CostOf) -> Answer<Cost> {
        self.refused("cost", self.store.ledger().cost(&self.stranger, of).await, &Cost::default());
        self.store.ledger().cost(scope, of).await
    }

    async fn contact_spend(&self, scope: &Scope, contact: ContactId) -> Answer<Option<ContactSpend>> {
        self.refused(
            "contact_spend",
            self.store.ledger().contact_spend(&self.stranger, contact).await,
            &None,
        );
        self.store.ledger().contact_spend(scope, contact).await
    }

    async fn budget_use(&self, scope: &Scope, of: BudgetOf) -> Answer<BTreeMap<Currency, BudgetUse>> {
        self.refused(
            "budget_use",
            self.store.ledger().budget_use(&self.stranger, of).await,
            &BTreeMap::new(),
        );
        self.store.ledger().budget_use(scope, of).await
    }
}
