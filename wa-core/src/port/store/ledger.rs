//! Ledger: what a plan allows, what is used, what it costs, and how much of a budget is used.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::{
    BudgetOf, BudgetUse, CampaignId, ContactId, Currency, Entitlement, LanguageCode, Period, QuotaUsage,
    RateCategory, TemplateName,
};
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

    /// What attempts cost: everything of a tenant, or a part of it.
    ///
    /// An attempt counts with what the provider says that it charges, until then with its estimate; it
    /// stops to count once it is certain that it did not and will not arrive.
    ///
    /// - `cost_is_the_sum_of_attempts`: at every moment, by currency and category.
    /// - `cost_of_a_campaign_contact_and_period_is_the_sum_of_its_attempts`: at every moment.
    /// - `a_webhook_settles_the_price`: amount and category are the provider's word, whatever the order of webhooks.
    /// - `a_price_of_an_unknown_category_is_unknown`: it counts as unpriced and never as 0.
    /// - `an_early_price_waits_for_its_attempt`: with the status that brought it.
    /// - `a_failed_message_costs_nothing`: also when its price was settled before, or comes after.
    /// - `a_price_is_settled_by_the_prices_of_its_begin`: prices that are put later change no attempt.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn cost(&self, scope: &Scope, of: &CostOf) -> Result<Cost, StoreError>;

    /// What was sent to a contact and what it costs; `None` for an unknown one.
    ///
    /// Counted are attempts that may have arrived to the phone of the contact, or to its
    /// business-scoped user id where the message had no phone.
    ///
    /// - `contact_spend_counts_what_was_sent`: messages, templates, the last template, cost.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn contact_spend(
        &self,
        scope: &Scope,
        contact: ContactId,
    ) -> Result<Option<ContactSpend>, StoreError>;

    /// How much of a budget is used, by currency, whether or not a limit is set; without the currencies of
    /// which nothing is used.
    ///
    /// - `budget_use_is_the_sum_of_attempts`: settled prices, and the dearest that others can become.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn budget_use(
        &self,
        scope: &Scope,
        of: BudgetOf,
    ) -> Result<BTreeMap<Currency, BudgetUse>, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Ledger) = |_| {};

/// Whose attempts are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostOf {
    /// Everything of the tenant.
    Everything,
    /// One campaign.
    Campaign(CampaignId),
    /// One contact, as [`Ledger::contact_spend`] counts it.
    Contact(ContactId),
    /// What was begun from `from` on and before `to`. Both are taken back to a full quarter of an hour.
    Between {
        /// Included.
        from: DateTime<Utc>,
        /// Not included.
        to: DateTime<Utc>,
    },
}

/// What attempts cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Attempts that count.
    pub messages: u64,
    /// Micros by currency; currencies without attempts are left out.
    pub micros: BTreeMap<Currency, i64>,
    /// Attempts whose price is not known.
    pub unpriced: u64,
    /// Attempts of which the provider has said what it charges.
    pub settled: u64,
    /// The same by category; categories without attempts are left out.
    pub by_category: BTreeMap<RateCategory, CategoryCost>,
}

/// What the attempts of one category cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryCost {
    /// Attempts that count.
    pub messages: u64,
    /// Micros by currency; currencies without attempts are left out.
    pub micros: BTreeMap<Currency, i64>,
    /// Attempts whose price is not known.
    pub unpriced: u64,
    /// Attempts of which the provider has said what it charges.
    pub settled: u64,
}

impl Cost {
    pub(crate) fn of(&mut self, category: RateCategory) -> &mut CategoryCost {
        self.by_category.entry(category).or_default()
    }
}

/// What was sent to a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactSpend {
    /// What it costs; its `messages` are all attempts that count.
    pub cost: Cost,
    /// Of these, templates.
    pub templates: u64,
    /// The template that was begun last.
    pub last_template: Option<LastTemplate>,
}

/// A template that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTemplate {
    /// Its name.
    pub name: TemplateName,
    /// Its language.
    pub language: LanguageCode,
    /// When its attempt was begun.
    pub at: DateTime<Utc>,
}
