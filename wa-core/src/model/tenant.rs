//! Tenants and their settings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::budget::TenantBudget;
use super::ids::TenantId;
use super::offset::UtcOffset;
use super::price::PriceBook;
use super::value::{ValueError, is_label, text_value};

/// A tenant's name, unique per store: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: TenantName,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// What a tenant can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Nothing of this tenant begins while it is set.
    pub paused: bool,
    /// How often a message may be tried again after a passing, definite failure: 0 to 10.
    pub max_retries: u8,
    /// Seconds before each retry; the last one repeats.
    pub retry_after_seconds: Vec<u32>,
    /// What messages cost; `None` while nothing is known. A new tenant has none: an estimate in
    /// somebody else's currency or contract would be worse than none.
    pub prices: Option<PriceBook>,
    /// The clock of the account's bills: its months are those of a budget and of the free messages.
    pub billing_offset: UtcOffset,
    /// What may be spent; nothing is begun that would pass it.
    pub budget: TenantBudget,
}

impl Default for TenantSettings {
    /// Not paused; up to 3 retries after 5, 10 and 15 seconds; no prices, no budget, bills in UTC.
    fn default() -> Self {
        Self {
            paused: false,
            max_retries: 3,
            retry_after_seconds: vec![5, 10, 15],
            prices: None,
            billing_offset: UtcOffset::UTC,
            budget: TenantBudget::default(),
        }
    }
}

impl TenantSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Which setting is out of range.
    pub fn validate(&self) -> Result<(), ValueError> {
        // A book of prices is valid once made.
        let Self { paused: _, max_retries, retry_after_seconds, prices: _, billing_offset: _, budget } = self;
        if *max_retries > 10 {
            return Err(ValueError::new("max_retries", "0 to 10"));
        }
        let waits_fit = retry_after_seconds.iter().all(|seconds| (1..=86_400).contains(seconds));
        if retry_after_seconds.is_empty() || retry_after_seconds.len() > 10 || !waits_fit {
            return Err(ValueError::new("retry_after_seconds", "1 to 10 waits of 1 to 86,400 seconds"));
        }
        let TenantBudget { monthly, total } = budget;
        if [monthly, total].into_iter().flatten().any(|limit| limit.micros < 0) {
            return Err(ValueError::new("a budget", "0 or more"));
        }
        Ok(())
    }
}

text_value!(TenantName, "a tenant name", "1 to 200 characters without control characters", is_label);
