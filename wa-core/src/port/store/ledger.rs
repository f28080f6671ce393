//! Ledger: what a plan allows, what is used, what it costs.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{CampaignId, Currency, Entitlement, Period, QuotaUsage};
use crate::port::Scope;

/// The room of quota and cost.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Takes over what billing says; `false` for an unknown tenant. Ordered before every later begin.
    ///
    /// - `set_entitlement_binds_the_next_begin`: an upgrade or a suspension takes effect in mid-campaign.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn set_entitlement(&self, scope: &Scope, entitlement: &Entitlement) -> Result<bool, StoreError>;

    /// What billing last said; unlimited until it said something; `None` for an unknown tenant.
    ///
    /// - `entitlement_is_unlimited_until_set`: so that no billing is needed.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn entitlement(&self, scope: &Scope) -> Result<Option<Entitlement>, StoreError>;

    /// How much of a month's quota is used; `None` for an unknown tenant.
    ///
    /// - `usage_counts_begun_messages`: each attempt begun in the month and not given back, once.
    /// - `usage_is_the_tenants_own`: no other tenant's attempts are in it.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn usage(&self, scope: &Scope, period: Period) -> Result<Option<QuotaUsage>, StoreError>;

    /// What attempts cost that were not given back: of one campaign, or of everything.
    ///
    /// - `cost_is_the_sum_of_attempts`: at every moment, by currency.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn cost(&self, scope: &Scope, campaign: Option<CampaignId>) -> Result<Cost, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Ledger) = |_| {};

/// What attempts cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Micros by currency; currencies without attempts are left out.
    pub micros: BTreeMap<Currency, i64>,
    /// Attempts whose price is not known.
    pub unpriced: u64,
}
