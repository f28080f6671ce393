//! Breakers: what stops sending until something changes, kept in the store so that all obey.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::SessionId;
use super::message::names;
use super::template::{LanguageCode, TemplateName};

/// What a breaker stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerScope {
    /// A whole number.
    Session(SessionId),
    /// One template of one number.
    Template(SessionId, TemplateName, LanguageCode),
}

/// Why a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerReason {
    /// The token is expired or lacks a permission: until a new credential is given.
    Credential,
    /// The account is locked or blocked: until an operator says so.
    Account,
    /// No payment method: until an operator says so.
    Billing,
    /// The template is paused: until it is lifted.
    TemplatePaused,
    /// Too much disliked mail: until the time is over.
    Spam,
}

/// An open breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// What it stops.
    pub scope: BreakerScope,
    /// Why.
    pub reason: BreakerReason,
    /// The provider's code.
    pub code: i64,
    /// Until when, or until it is reset.
    pub until: Option<DateTime<Utc>>,
    /// Since when.
    pub since: DateTime<Utc>,
}

names!(BreakerReason {
    Credential = "credential",
    Account = "account",
    Billing = "billing",
    TemplatePaused = "template_paused",
    Spam = "spam",
});
