//! Budgets: how much may be spent before sending stops.

use serde::{Deserialize, Serialize};

use super::ids::CampaignId;
use super::money::Money;
use super::plan::Period;

/// What a tenant may spend on messages.
///
/// A message is kept within every budget that it falls under, its campaign's own included, by the
/// dearest price that it can become.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantBudget {
    /// Per calendar month on the account's clock; `None` for no limit.
    pub monthly: Option<Money>,
    /// For all times; `None` for no limit.
    pub total: Option<Money>,
}

/// Something that money is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetOf {
    /// One campaign.
    Campaign(CampaignId),
    /// One month of a tenant, on the account's clock at the begin of each message.
    Month(Period),
    /// Everything of a tenant.
    Total,
}

/// How much of one currency is spent or kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetUse {
    /// Micros that are spent, or kept for attempts whose price is not settled.
    pub committed: i64,
    /// Of these, what is kept for attempts of which the provider has not said what it charges.
    pub open: i64,
}
