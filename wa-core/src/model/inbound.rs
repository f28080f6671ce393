//! What a provider's webhook says, once an adapter has translated it.
//!
//! Invariant: an event is plain data, valid once made, without effect of its own. Content and
//! addresses are not in any `Debug` in full.

mod account;
mod body;
mod message;
mod number;
mod open;
mod status;
mod template;
#[cfg(test)]
mod tests;
mod user;

use chrono::{DateTime, Utc};

use super::session::NumberId;

pub use account::{
    AccountAlert, AccountChange, AccountReview, AccountUpdate, BanState, PartnerChange, PricingTier,
    Restriction, RestrictionKind,
};
pub use body::{InboundBody, InboundKind, InboundLocation, InboundMedia, JsonText};
pub use message::{Echo, InboundContext, InboundMessage, Referral, ReferredProduct};
pub use number::{
    BusinessCapability, Decision, NumberEvent, NumberName, NumberQuality, SecurityEvent, SecurityKind,
};
pub use status::{ChargedCategory, PricingKind, StatusUpdate, WebhookConversation, WebhookPricing};
pub use template::{
    TemplateCategoryChange, TemplateComponents, TemplateEvent, TemplateQuality, TemplateRef, TemplateStatus,
};
pub use user::{IdentityChange, Preference, PreferenceChoice, UserChange, UserChangeKind};

/// One event of a webhook body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboundEvent {
    /// A status of a message that was sent.
    Status(StatusUpdate),
    /// A message that a user wrote.
    Message(InboundMessage),
    /// A user can be reached under another address.
    UserChanged(UserChange),
    /// A user has a new device.
    IdentityChanged(IdentityChange),
    /// What a user wants about marketing.
    Preference(Preference),
    /// A message that a person typed on the business's own phone.
    Echo(Echo),
    /// A template was approved, rejected, paused, or the like.
    TemplateStatus(TemplateStatus),
    /// The rating of a template changed.
    TemplateQuality(TemplateQuality),
    /// The category of a template changes.
    TemplateCategory(TemplateCategoryChange),
    /// A template was edited.
    TemplateComponents(TemplateComponents),
    /// The limits of a number changed, or it can send faster.
    NumberQuality(NumberQuality),
    /// A decision about the name that a number shows.
    NumberName(NumberName),
    /// What the business may do changed.
    BusinessCapability(BusinessCapability),
    /// Something happened to an account.
    Account(AccountUpdate),
    /// A notice about an account.
    AccountAlert(AccountAlert),
    /// An account was looked at.
    AccountReview(AccountReview),
    /// Somebody changed a number's second factor.
    Security(SecurityEvent),
    /// The provider reports an error that is about no single message.
    Error(ReportedError),
    /// Earlier messages of the app on the business's own phone.
    History(NamedEvent),
    /// Contacts of the app on the business's own phone.
    AppState(NamedEvent),
    /// Something that happened while another program of the business was answering; its messages
    /// and statuses are events of their own.
    Standby(NamedEvent),
    /// Something that is known by name and is not this library's, such as flows.
    Other(NamedEvent),
    /// Something that this version does not know; kept, never an error.
    Unknown {
        /// The provider's name for it.
        field: String,
    },
}

/// An error that is about no single message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedError {
    /// The number that it is about, where the provider says so.
    pub number: Option<NumberId>,
    /// The provider's id of the account.
    pub account: String,
    /// The provider's code, or 0 where it gives none.
    pub code: i64,
    /// The provider's title.
    pub title: Option<String>,
    /// More about it, in the provider's words, at most 1,024 characters.
    pub details: Option<String>,
    /// When the body came in, or was sent where the provider says so.
    pub at: DateTime<Utc>,
}

/// An event that is known by its name, with its content as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEvent {
    /// The provider's name for it.
    pub field: String,
    /// The number that it is about, where the provider says so.
    pub number: Option<NumberId>,
    /// The provider's id of the account.
    pub account: String,
    /// The content; `None` when it has more than 256 KiB, for the raw body has it.
    pub content: Option<JsonText>,
    /// When the body came in, or was sent where the provider says so.
    pub at: DateTime<Utc>,
}

impl InboundEvent {
    /// The stable name of its kind, in snake case.
    ///
    /// ```
    /// use wa_core::model::{Fact, InboundEvent, StatusUpdate, from_micros};
    /// let at = from_micros(1_700_000_000_000_000);
    /// let event = InboundEvent::Status(StatusUpdate::new("1".parse()?, "wamid.1", Fact::Sent, at));
    /// assert_eq!((event.name(), event.at()), ("status", Some(at)));
    /// assert_eq!(event.number().map(|number| number.as_str()), Some("1"));
    /// # Ok::<(), wa_core::model::ValueError>(())
    /// ```
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Message(_) => "message",
            Self::UserChanged(_) => "user_changed",
            Self::IdentityChanged(_) => "identity_changed",
            Self::Preference(_) => "preference",
            Self::Echo(_) => "echo",
            Self::TemplateStatus(_) => "template_status",
            Self::TemplateQuality(_) => "template_quality",
            Self::TemplateCategory(_) => "template_category",
            Self::TemplateComponents(_) => "template_components",
            Self::NumberQuality(_) => "number_quality",
            Self::NumberName(_) => "number_name",
            Self::BusinessCapability(_) => "business_capability",
            Self::Account(_) => "account",
            Self::AccountAlert(_) => "account_alert",
            Self::AccountReview(_) => "account_review",
            Self::Security(_) => "security",
            Self::Error(_) => "error",
            Self::History(_) => "history",
            Self::AppState(_) => "app_state",
            Self::Standby(_) => "standby",
            Self::Other(_) => "other",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// When it happened, by the provider's clock; `None` for what is not known.
    #[must_use]
    pub const fn at(&self) -> Option<DateTime<Utc>> {
        Some(match self {
            Self::Status(event) => event.at,
            Self::Message(event) => event.at,
            Self::UserChanged(event) => event.at,
            Self::IdentityChanged(event) => event.at,
            Self::Preference(event) => event.at,
            Self::Echo(event) => event.at,
            Self::TemplateStatus(event) => event.at,
            Self::TemplateQuality(event) => event.at,
            Self::TemplateCategory(event) => event.at,
            Self::TemplateComponents(event) => event.at,
            Self::NumberQuality(event) => event.at,
            Self::NumberName(event) => event.at,
            Self::BusinessCapability(event) => event.at,
            Self::Account(event) => event.at,
            Self::AccountAlert(event) => event.at,
            Self::AccountReview(event) => event.at,
            Self::Security(event) => event.at,
            Self::Error(event) => event.at,
            Self::History(event) | Self::AppState(event) | Self::Standby(event) | Self::Other(event) => {
                event.at
            }
            Self::Unknown { .. } => return None,
        })
    }

    /// The number that it is about; `None` for events of accounts and for what is not known.
    #[must_use]
    pub const fn number(&self) -> Option<&NumberId> {
        match self {
            Self::Status(event) => Some(&event.number),
            Self::Message(event) => Some(&event.number),
            Self::UserChanged(event) => Some(&event.number),
            Self::IdentityChanged(event) => Some(&event.number),
            Self::Preference(event) => Some(&event.number),
            Self::Echo(event) => Some(&event.number),
            Self::Error(event) => event.number.as_ref(),
            Self::History(event) | Self::AppState(event) | Self::Standby(event) | Self::Other(event) => {
                event.number.as_ref()
            }
            Self::TemplateStatus(_)
            | Self::TemplateQuality(_)
            | Self::TemplateCategory(_)
            | Self::TemplateComponents(_)
            | Self::NumberQuality(_)
            | Self::NumberName(_)
            | Self::BusinessCapability(_)
            | Self::Account(_)
            | Self::AccountAlert(_)
            | Self::AccountReview(_)
            | Self::Security(_)
            | Self::Unknown { .. } => None,
        }
    }

    /// The provider's id of the account that it is about; `None` for events of one number and for
    /// what is not known.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::TemplateStatus(event) => Some(&event.account),
            Self::TemplateQuality(event) => Some(&event.account),
            Self::TemplateCategory(event) => Some(&event.account),
            Self::TemplateComponents(event) => Some(&event.account),
            Self::NumberQuality(event) => Some(&event.account),
            Self::NumberName(event) => Some(&event.account),
            Self::BusinessCapability(event) => Some(&event.account),
            Self::Account(event) => Some(&event.account),
            Self::AccountAlert(event) => Some(&event.account),
            Self::AccountReview(event) => Some(&event.account),
            Self::Security(event) => Some(&event.account),
            Self::Error(event) => Some(&event.account),
            Self::History(event) | Self::AppState(event) | Self::Standby(event) | Self::Other(event) => {
                Some(&event.account)
            }
            Self::Status(_)
            | Self::Message(_)
            | Self::UserChanged(_)
            | Self::IdentityChanged(_)
            | Self::Preference(_)
            | Self::Echo(_)
            | Self::Unknown { .. } => None,
        }
    }
}
