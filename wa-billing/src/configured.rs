//! Billing without a provider: plans from configuration.
//!
//! Invariant: every tenant that is named has a plan that exists, and so has everybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use wa_core::model::{Entitlement, Period, Tenant, TenantId, TenantName};
use wa_core::port::{Billing, BillingError, UsageReport};

use crate::Plan;

/// So many months of reports are kept per tenant.
const MONTHS: usize = 13;

/// Plans from configuration; nobody is billed.
///
/// Reported usage is kept in memory for the latest 13 months of each tenant, each key counted once,
/// so that an operator can read it with [`usage`](Self::usage). It is gone with the process: the
/// store's ledger is what lasts.
///
/// ```
/// use wa_billing::{ConfiguredPlans, Plan};
/// let plans = ConfiguredPlans::builder()
///     .plan(Plan { sessions: Some(2), ..Plan::named("partner") })
///     .tenant("acme".parse()?, "partner")
///     .fallback("free")
///     .build()?;
/// assert_eq!(plans.plan_of(&"acme".parse()?).sessions, Some(2));
/// assert_eq!(plans.plan_of(&"somebody else".parse()?).name, "free");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ConfiguredPlans {
    named: BTreeMap<TenantName, Plan>,
    fallback: Plan,
    reports: Mutex<Reports>,
}

/// Reports by tenant and month.
type Reports = BTreeMap<TenantId, BTreeMap<Period, Month>>;

#[derive(Debug, Default)]
struct Month {
    keys: BTreeSet<String>,
    messages: u64,
}

/// The same as a file says it; `ConfiguredPlans::try_from` checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlansConfig {
    /// Own plans, beside or instead of the ready ones.
    #[serde(default)]
    pub plans: Vec<Plan>,
    /// Plan names by tenant name.
    #[serde(default)]
    pub tenants: BTreeMap<TenantName, String>,
    /// The plan of everybody else.
    pub fallback: String,
}

/// Why a configuration of plans is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlansError {
    /// A name is blank, too long or has control characters.
    #[error("a plan name must be 1 to 64 characters without control characters, and {0:?} is not")]
    BadName(String),
    /// Two own plans have one name.
    #[error("the plan {0:?} is defined twice")]
    DefinedTwice(String),
    /// A tenant is named twice.
    #[error("the tenant {0:?} has two plans")]
    TwoPlans(String),
    /// A tenant's plan does not exist.
    #[error("the tenant {tenant:?} has the plan {plan:?}, which is not defined")]
    UnknownPlan {
        /// The tenant.
        tenant: String,
        /// Its plan.
        plan: String,
    },
    /// The fallback does not exist.
    #[error("the fallback is the plan {0:?}, which is not defined")]
    UnknownFallback(String),
}

/// Builds [`ConfiguredPlans`]. The ready plans are there from the start.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PlansBuilder {
    plans: Vec<Plan>,
    tenants: Vec<(TenantName, String)>,
    fallback: Option<String>,
}

impl PlansBuilder {
    /// Adds an own plan; one with the name of a ready plan replaces it.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Gives a tenant the plan of this name.
    pub fn tenant(mut self, tenant: TenantName, plan: impl Into<String>) -> Self {
        self.tenants.push((tenant, plan.into()));
        self
    }

    /// Gives everybody else the plan of this name; `free` unless another is named.
    pub fn fallback(mut self, plan: impl Into<String>) -> Self {
        self.fallback = Some(plan.into());
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn build(self) -> Result<ConfiguredPlans, PlansError> {
        let Self { plans, tenants, fallback } = self;
        let mut own = BTreeMap::new();
        for plan in plans {
            if !plan.has_valid_name() {
                return Err(PlansError::BadName(plan.name));
            }
            if let Some(first) = own.insert(plan.name.clone(), plan) {
                return Err(PlansError::DefinedTwice(first.name));
            }
        }
        let mut known: BTreeMap<String, Plan> =
            Plan::ready().into_iter().map(|plan| (plan.name.clone(), plan)).collect();
        known.extend(own);
        let mut named = BTreeMap::new();
        for (tenant, name) in tenants {
            let Some(plan) = known.get(&name) else {
                return Err(PlansError::UnknownPlan { tenant: tenant.as_str().to_owned(), plan: name });
            };
            if named.insert(tenant.clone(), plan.clone()).is_some() {
                return Err(PlansError::TwoPlans(tenant.as_str().to_owned()));
            }
        }
        let fallback = fallback.unwrap_or_else(|| Plan::free().name);
        let fallback = known.remove(&fallback).ok_or(PlansError::UnknownFallback(fallback))?;
        Ok(ConfiguredPlans { named, fallback, reports: Mutex::default() })
    }
}

impl TryFrom<PlansConfig> for ConfiguredPlans {
    type Error = PlansError;
    fn try_from(config: PlansConfig) -> Result<Self, PlansError> {
        let PlansConfig { plans, tenants, fallback } = config;
        PlansBuilder { plans, tenants: tenants.into_iter().collect(), fallback: Some(fallback) }.build()
    }
}

impl ConfiguredPlans {
    /// Starts with the ready plans and `free` as the fallback.
    pub fn builder() -> PlansBuilder {
        PlansBuilder::default()
    }

    /// The plan of a tenant.
    #[must_use]
    pub fn plan_of(&self, tenant: &TenantName) -> &Plan {
        self.named.get(tenant).unwrap_or(&self.fallback)
    }

    /// What was reported for a tenant and month, each key once.
    #[must_use]
    pub fn usage(&self, tenant: TenantId, period: Period) -> u64 {
        self.reports().get(&tenant).and_then(|months| months.get(&period)).map_or(0, |month| month.messages)
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Billing for ConfiguredPlans {
    /// Never fails: the plan of the tenant's name, or the fallback.
    async fn entitlement(&self, tenant: &Tenant) -> Result<Entitlement, BillingError> {
        Ok(self.plan_of(&tenant.name).entitlement())
    }

    /// Never fails. A report of a month before the kept ones changes nothing.
    async fn report(&self, usage: &UsageReport) -> Result<(), BillingError> {
        let UsageReport { key, tenant, period, messages } = usage;
        let mut reports = self.reports();
        let months = reports.entry(*tenant).or_default();
        let is_over =
            months.len() >= MONTHS && months.first_key_value().is_some_and(|(first, _)| period < first);
        if is_over || months.values().any(|month| month.keys.contains(key)) {
            return Ok(());
        }
        let month = months.entry(*period).or_default();
        month.keys.insert(key.clone());
        month.messages = month.messages.saturating_add(*messages);
        if months.len() > MONTHS {
            months.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
