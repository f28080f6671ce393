//! Billing: what a tenant's plan allows, and what it used.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::model::{Entitlement, Period, Tenant, TenantId};

/// Knows plans. One that needs no provider is `wa_billing::ConfiguredPlans`.
///
/// # Clauses
/// - `entitlement_answers_for_every_tenant`: a tenant without subscription gets the fallback plan, not an error.
/// - `entitlement_is_the_tenants_own`: one with a subscription gets what that allows, whoever was asked about before.
/// - `entitlement_is_stable`: two calls without a change between them give the same answer.
/// - `entitlement_says_when_it_failed`: an outage is an error, never a free pass and never a limit of zero.
/// - `report_is_idempotent_by_key`: the same key reported twice counts once.
/// - `report_keeps_the_first_of_a_key`: another number of messages under a known key changes nothing; it may be refused.
/// - `reports_at_once_count_once`: also when the same key is reported by several at the same time.
/// - `reports_of_tenants_and_months_stand_apart`: each counts for its tenant and its month alone.
/// - `reports_may_come_in_any_order`: a month that is over can still be reported.
/// - `report_says_when_it_failed`: usage that could not be told is an error, so that it is reported again.
#[async_trait]
pub trait Billing: Debug + Send + Sync + 'static {
    /// What the tenant may do now.
    ///
    /// # Errors
    /// When the provider cannot be asked; the engine then keeps the last known answer.
    async fn entitlement(&self, tenant: &Tenant) -> Result<Entitlement, BillingError>;

    /// Reports usage to the provider, idempotent by `key`.
    ///
    /// # Errors
    /// When the provider cannot be told; the caller repeats the same report later.
    async fn report(&self, usage: &UsageReport) -> Result<(), BillingError>;
}

const _OBJECT_SAFE: fn(&dyn Billing) = |_| {};

/// How many messages a tenant sent in a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// The same key is the same report.
    pub key: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The month.
    pub period: Period,
    /// Messages begun and not given back.
    pub messages: u64,
}

/// A provider that could not be asked or told.
#[derive(Debug, thiserror::Error)]
#[error("billing is unavailable: {what}")]
pub struct BillingError {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl BillingError {
    /// Says what could not be done, and why.
    pub fn new(what: impl Into<String>, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source }
    }
}
