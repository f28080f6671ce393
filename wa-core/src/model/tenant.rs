//! Tenants and their settings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::alert::{AlertSettings, RetryBackoff};
use super::ids::TenantId;
use super::money::PriceList;
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
    /// Waits that grow instead of the fixed ones in `retry_after_seconds`.
    pub retry_backoff: Option<RetryBackoff>,
    /// How often a message is tried again by itself after "not now for this recipient", a day later
    /// and then twice as long each time: 0 to 5. Meta punishes accounts that repeat these too eagerly.
    pub later_retries: u8,
    /// When somebody is told that something goes wrong, and when a campaign is paused for it.
    pub alerts: AlertSettings,
    /// What messages cost; `None` while nothing is known.
    pub prices: Option<PriceList>,
}

impl Default for TenantSettings {
    /// Not paused; up to 3 retries after 5, 10 and 15 seconds; no prices.
    fn default() -> Self {
        Self {
            paused: false,
            max_retries: 3,
            retry_after_seconds: vec![5, 10, 15],
            retry_backoff: None,
            later_retries: 0,
            alerts: AlertSettings::default(),
            prices: None,
        }
    }
}

impl TenantSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Which setting is out of range.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self {
            paused: _,
            max_retries,
            retry_after_seconds,
            retry_backoff,
            later_retries,
            alerts,
            prices,
        } = self;
        if let Some(backoff) = retry_backoff {
            backoff.validate()?;
        }
        if *later_retries > 5 {
            return Err(ValueError::new("later_retries", "0 to 5"));
        }
        alerts.validate()?;
        if *max_retries > 10 {
            return Err(ValueError::new("max_retries", "0 to 10"));
        }
        let waits_fit = retry_after_seconds.iter().all(|seconds| (1..=86_400).contains(seconds));
        if retry_after_seconds.is_empty() || retry_after_seconds.len() > 10 || !waits_fit {
            return Err(ValueError::new("retry_after_seconds", "1 to 10 waits of 1 to 86,400 seconds"));
        }
        if prices.as_ref().is_some_and(|list| list.per_message.values().any(|micros| *micros < 0)) {
            return Err(ValueError::new("a price", "0 or more"));
        }
        Ok(())
    }
}

text_value!(TenantName, "a tenant name", "1 to 200 characters without control characters", is_label);
