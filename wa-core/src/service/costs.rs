//! What a tenant's messages cost, and its prices.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::error::KitError;
use super::tenant::TenantHandle;
use crate::model::{BudgetOf, BudgetUse, CampaignId, ContactId, Currency, PriceBook};
use crate::port::store::{ContactSpend, Cost, CostOf, TrendPoint, TrendQuery};

/// What the messages of one tenant cost. Every answer can be written as JSON.
///
/// A price is estimated when a message is begun and settled by what the provider says it charges; see
/// `docs/costs.md`.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::Kit};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kit = Kit::builder(Arc::new(MemoryStore::new(Arc::new(SystemClock)))).build().await?;
/// use wa_core::model::PriceBook;
///
/// let tenant = kit.tenants().ensure("acme").await?;
/// assert_eq!(tenant.prices().get().await?, None, "nobody guesses what a tenant pays");
/// tenant.prices().set(Some(PriceBook::meta())).await?;
/// let cost = tenant.costs().everything().await?;
/// assert_eq!((cost.messages, cost.unpriced), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Costs<'a> {
    tenant: &'a TenantHandle,
}

/// The prices of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Prices<'a> {
    tenant: &'a TenantHandle,
}

impl<'a> Costs<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// What everything cost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn everything(self) -> Result<Cost, KitError> {
        self.of(CostOf::Everything).await
    }

    /// What a campaign cost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn campaign(self, id: CampaignId) -> Result<Cost, KitError> {
        self.of(CostOf::Campaign(id)).await
    }

    /// What was begun from `from` on and before `to` cost; both are taken back to a quarter of an hour.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn between(self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Cost, KitError> {
        self.of(CostOf::Between { from, to }).await
    }

    /// What was sent to a contact and what it cost.
    ///
    /// # Errors
    /// When the tenant has no such contact or the store fails.
    pub async fn contact(self, id: ContactId) -> Result<ContactSpend, KitError> {
        let found = self.tenant.kit.store().ledger().contact_spend(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoContact)
    }

    /// What happened hour by hour or day by day, with what it cost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trend(self, ask: &TrendQuery) -> Result<Vec<TrendPoint>, KitError> {
        Ok(self.tenant.kit.store().reports().trend(&self.tenant.scope, ask).await?)
    }

    /// How much of a budget is used, by currency.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn budget(self, of: BudgetOf) -> Result<BTreeMap<Currency, BudgetUse>, KitError> {
        Ok(self.tenant.kit.store().ledger().budget_use(&self.tenant.scope, of).await?)
    }

    async fn of(self, of: CostOf) -> Result<Cost, KitError> {
        Ok(self.tenant.kit.store().ledger().cost(&self.tenant.scope, &of).await?)
    }
}

impl<'a> Prices<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// The tenant's prices; `None` until some are set.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn get(self) -> Result<Option<PriceBook>, KitError> {
        Ok(self.tenant.settings().await?.prices)
    }

    /// Sets the tenant's prices, for every message that begins afterwards.
    ///
    /// They are a part of the tenant's settings: whoever puts settings at the same time may undo it.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn set(self, prices: Option<PriceBook>) -> Result<(), KitError> {
        let mut settings = self.tenant.settings().await?;
        settings.prices = prices;
        self.tenant.put_settings(&settings).await
    }
}
