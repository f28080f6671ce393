//! What a provider decides about numbers and limits. These events name the account and, at most,
//! the number as people dial it.
//!
//! Source: Meta, Webhooks reference, `phone_number_*`, `business_capability_update` and `security`,
//! read December 2025.

use std::fmt;

use chrono::{DateTime, Utc};

use super::open::open_names;
use crate::model::phone::Phone;
use crate::model::session::Tier;

/// The limits of a number changed, or it can send faster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberQuality {
    /// The provider's id of the account.
    pub account: String,
    /// The number.
    pub display_phone_number: Option<Phone>,
    /// What happened.
    pub event: NumberEvent,
    /// The messaging limit of the number, in versions that have one.
    pub current_limit: Option<Tier>,
    /// The messaging limit of the number up to now, in versions that have one.
    pub old_limit: Option<Tier>,
    /// The messaging limit that the number shares with all others of its business.
    pub business_limit: Option<Tier>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// What the business may do changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessCapability {
    /// The provider's id of the account.
    pub account: String,
    /// The messaging limit that all numbers of the business share.
    pub business_limit: Option<Tier>,
    /// How many numbers the business may have.
    pub max_numbers: Option<u32>,
    /// How many numbers the account may have.
    pub max_numbers_of_account: Option<u32>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// A decision about the name that a number shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberName {
    /// The provider's id of the account.
    pub account: String,
    /// The number.
    pub display_phone_number: Option<Phone>,
    /// The decision.
    pub decision: Decision,
    /// The name that was asked for.
    pub requested_name: Option<String>,
    /// Why it was refused, as written.
    pub reason: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// Somebody changed or asked to change the number's second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// The provider's id of the account.
    pub account: String,
    /// The number.
    pub display_phone_number: Option<Phone>,
    /// What happened.
    pub event: SecurityKind,
    /// The provider's id of who did it.
    pub requester: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

open_names!(
    /// What happened to a number.
    NumberEvent {
        /// It was taken on.
        Onboarding = "onboarding",
        /// It can send faster.
        ThroughputUpgrade = "throughput_upgrade",
        /// Its limit rose.
        Upgrade = "upgrade",
        /// Its limit fell.
        Downgrade = "downgrade",
        /// Its quality is low.
        Flagged = "flagged",
        /// Its quality is fine again.
        Unflagged = "unflagged",
    }
);

open_names!(
    /// What somebody decided.
    Decision {
        /// Yes.
        Approved = "approved",
        /// No.
        Rejected = "rejected",
        /// Put off.
        Deferred = "deferred",
        /// Not yet.
        Pending = "pending",
    }
);

open_names!(
    /// What happened to a number's second factor.
    SecurityKind {
        /// It was changed.
        PinChanged = "pin_changed",
        /// Somebody asked for it to be reset.
        PinResetRequest = "pin_reset_request",
        /// It was reset.
        PinResetSuccess = "pin_reset_success",
    }
);

impl fmt::Debug for SecurityEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityEvent")
            .field("account", &self.account)
            .field("display_phone_number", &self.display_phone_number)
            .field("event", &self.event)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
