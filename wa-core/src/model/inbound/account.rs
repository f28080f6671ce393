//! What a provider decides about accounts.
//!
//! Source: Meta, Webhooks reference, `account_update`, `account_alerts` and
//! `account_review_update`, read December 2025.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::number::Decision;
use super::open::open_names;
use super::status::ChargedCategory;
use crate::model::phone::Phone;

/// Something happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountUpdate {
    /// The provider's id of the account that it happened to.
    ///
    /// A partner is told about accounts of its clients: then it is the client's.
    pub account: String,
    /// The number, where it is about one.
    pub display_phone_number: Option<Phone>,
    /// The provider's name for it, such as `ACCOUNT_RESTRICTION`.
    pub name: String,
    /// What happened.
    pub change: AccountChange,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountChange {
    /// It broke a policy.
    Violation {
        /// Which, as written.
        policy: Option<String>,
    },
    /// It may not do something for some time.
    Restriction {
        /// What; at least one unless the provider left them out.
        restrictions: Vec<Restriction>,
    },
    /// It is stopped, is going to be, or is not any more.
    Ban {
        /// Which of them.
        state: BanState,
        /// The day, as written.
        date: Option<String>,
    },
    /// It was deleted.
    Deleted,
    /// The app on the phone was unlinked from the platform.
    Offboarded,
    /// The app on the phone was linked again.
    Reconnected,
    /// A partner was added or removed, or its app was.
    Partner(PartnerChange),
    /// A client of a partner was looked at.
    Certification {
        /// The client's business.
        business: Option<String>,
        /// The decision.
        decision: Option<Decision>,
        /// Why not, as written.
        reasons: Vec<String>,
    },
    /// The next volume is charged at another rate.
    PricingTier(PricingTier),
    /// One-time codes abroad are charged at the international rate.
    AuthenticationInternational {
        /// From when on.
        starts_at: Option<DateTime<Utc>>,
        /// Countries, by their code, that start at another instant.
        exceptions: Vec<(String, Option<DateTime<Utc>>)>,
    },
    /// The country of the business was set.
    Country {
        /// Its two-letter code, as written.
        code: Option<String>,
    },
    /// The terms of marketing messages were signed.
    MarketingTermsSigned,
    /// An advertising account was linked.
    AdAccountLinked {
        /// The provider's id of it.
        ad_account: Option<String>,
    },
    /// Something that this version does not know by name.
    Other,
}

/// One thing that an account may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// What it may not do.
    pub kind: RestrictionKind,
    /// Until when; `None` for good or where it is not said.
    pub until: Option<DateTime<Utc>>,
}

/// What happened between an account and a partner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerChange {
    /// The business that owns the account.
    pub owner: Option<String>,
    /// The partner's app.
    pub app: Option<String>,
    /// The solution.
    pub solution: Option<String>,
    /// Why it was removed, as written.
    pub reason: Option<String>,
    /// Who removed it, as written.
    pub initiated_by: Option<String>,
}

/// A step of volume prices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricingTier {
    /// The category.
    pub category: Option<ChargedCategory>,
    /// The first message of the month that the step is for.
    pub from: Option<u64>,
    /// The last message of the month that the step is for; `None` without an end.
    pub to: Option<u64>,
    /// The market, as written.
    pub region: Option<String>,
    /// The month, such as `2026-11`.
    pub month: Option<String>,
    /// From when on.
    pub at: Option<DateTime<Utc>>,
}

/// A notice about an account, a number or a business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAlert {
    /// The provider's id of the account.
    pub account: String,
    /// What it is about, such as `WABA` or `PHONE_NUMBER`, as written.
    pub entity_kind: Option<String>,
    /// The provider's id of what it is about.
    pub entity: Option<String>,
    /// The notice, such as `INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED`, as written.
    pub name: Option<String>,
    /// How bad it is, as written.
    pub severity: Option<String>,
    /// Whether it is still so, as written.
    pub status: Option<String>,
    /// What to do, in the provider's words.
    pub description: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// The account was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountReview {
    /// The provider's id of the account.
    pub account: String,
    /// The decision.
    pub decision: Decision,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

open_names!(
    /// Whether an account is stopped.
    BanState {
        /// It is.
        Disable = "disable",
        /// It is not any more.
        Reinstate = "reinstate",
        /// It will be.
        ScheduleForDisable = "schedule_for_disable",
    }
);

open_names!(
    /// What an account may not do.
    RestrictionKind {
        /// Write first: outside open windows.
        BusinessInitiated = "restricted_biz_initiated_messaging",
        /// Answer: inside open windows.
        CustomerInitiated = "restricted_customer_initiated_messaging",
        /// Add numbers.
        AddNumbers = "restricted_add_phone_number_action",
    }
);
