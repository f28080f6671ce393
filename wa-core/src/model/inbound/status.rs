//! What a provider says about a message that was sent: its fate and its price.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::open::open_names;
use crate::model::attempt::{Fact, FailureCode};
use crate::model::content::Category;
use crate::model::recipient::Recipient;
use crate::model::session::NumberId;

/// A status of a sent message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The number that sent the message.
    pub number: NumberId,
    /// The provider's message id.
    pub provider_id: String,
    /// What was echoed from the request, if anything.
    pub echo: Option<String>,
    /// Who it went to, where the provider says so; in a group, the participant it is about.
    pub recipient: Option<Recipient>,
    /// The group that it went to.
    pub group: Option<String>,
    /// The fact: sent, delivered, read, played or failed.
    pub fact: Fact,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// Why it failed.
    pub failure: Option<FailureCode>,
    /// What the provider calls the failure, at most 1,024 characters.
    pub failure_title: Option<String>,
    /// What the provider adds about the failure, in its own words, at most 1,024 characters.
    pub failure_details: Option<String>,
    /// The conversation that it belongs to, where the provider still counts in conversations.
    pub conversation: Option<WebhookConversation>,
    /// What the provider charges.
    pub pricing: Option<WebhookPricing>,
}

/// A conversation, or a free entry point window, as a status names it.
///
/// Source: Meta, Webhooks reference, status messages, read December 2025: dropped from v24.0 except
/// inside a free entry point window; the expiry comes with `sent` only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookConversation {
    /// The provider's id.
    pub id: Option<String>,
    /// What opened it, in the names of pricing categories.
    pub origin: Option<ChargedCategory>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a provider says about the price of a message.
///
/// Source: Meta, Webhooks reference, status messages, read December 2025; Pricing, October 2026, for
/// the subtype.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookPricing {
    /// Whether the message is charged, where the provider says so; announced for removal.
    pub billable: Option<bool>,
    /// The pricing model, such as `PMP` (per message) or `CBP` (per conversation), as written.
    pub model: Option<String>,
    /// The kind of price; with the category it decides what is charged.
    pub kind: Option<PricingKind>,
    /// The category that it is charged in.
    pub category: Option<ChargedCategory>,
    /// A finer kind, such as `paid_exempt` for governments and charities, as written.
    pub subtype: Option<String>,
}

open_names!(
    /// The kind of price of a message.
    PricingKind {
        /// Charged.
        Regular = "regular",
        /// Free: inside the customer service window.
        FreeCustomerService = "free_customer_service",
        /// Free: inside a free entry point window.
        FreeEntryPoint = "free_entry_point",
        /// Free: inside the service window of a group.
        FreeGroupCustomerService = "free_group_customer_service",
    }
);

open_names!(
    /// The category in which a provider charges; finer than [`Category`].
    ChargedCategory {
        /// Offers and news.
        Marketing = "marketing",
        /// Offers and news, sent through the endpoint for marketing messages.
        MarketingLite = "marketing_lite",
        /// About an order, an account, an appointment.
        Utility = "utility",
        /// One-time codes.
        Authentication = "authentication",
        /// One-time codes at the international rate.
        AuthenticationInternational = "authentication_international",
        /// Free-form messages inside the window.
        Service = "service",
        /// Messages of a free entry point window.
        ReferralConversion = "referral_conversion",
    }
);

impl ChargedCategory {
    /// The category of a message that is charged so; `None` where that does not tell it.
    ///
    /// ```
    /// use wa_core::model::{Category, ChargedCategory};
    /// assert_eq!(ChargedCategory::MarketingLite.category(), Some(Category::Marketing));
    /// assert_eq!(ChargedCategory::ReferralConversion.category(), None);
    /// ```
    #[must_use]
    pub const fn category(&self) -> Option<Category> {
        match self {
            Self::Marketing | Self::MarketingLite => Some(Category::Marketing),
            Self::Utility => Some(Category::Utility),
            Self::Authentication | Self::AuthenticationInternational => Some(Category::Authentication),
            Self::Service => Some(Category::Service),
            Self::ReferralConversion | Self::Other(_) => None,
        }
    }
}

impl From<Category> for ChargedCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::Marketing => Self::Marketing,
            Category::Utility => Self::Utility,
            Category::Authentication => Self::Authentication,
            Category::Service => Self::Service,
        }
    }
}

impl StatusUpdate {
    /// A status that says no more than a fact; the other fields are set by hand.
    ///
    /// ```
    /// use wa_core::model::{Fact, StatusUpdate, from_micros};
    /// let at = from_micros(1_700_000_000_000_000);
    /// let update = StatusUpdate::new("1".parse()?, "wamid.1", Fact::Sent, at);
    /// assert_eq!((update.fact, update.pricing), (Fact::Sent, None));
    /// # Ok::<(), wa_core::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn new(number: NumberId, provider_id: impl Into<String>, fact: Fact, at: DateTime<Utc>) -> Self {
        Self {
            number,
            provider_id: provider_id.into(),
            echo: None,
            recipient: None,
            group: None,
            fact,
            at,
            failure: None,
            failure_title: None,
            failure_details: None,
            conversation: None,
            pricing: None,
        }
    }
}
