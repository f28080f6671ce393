//! What a provider says it charges for a message.
//!
//! Invariant: of several words about one attempt the least in the order of [`Charge`] counts, so
//! neither their order nor their number matters.

use serde::{Deserialize, Serialize};

use super::content::Category;
use super::inbound::ChargedCategory;
use super::message::names;

/// A category that has a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateCategory {
    /// Offers and news.
    Marketing,
    /// About an order, an account, an appointment.
    Utility,
    /// One-time codes.
    Authentication,
    /// One-time codes to a country where they cost more when they come from abroad.
    AuthenticationInternational,
    /// Free-form messages.
    Service,
}

/// One word of a provider about the price of an attempt. The least one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Charge {
    /// Which status brought it.
    pub said_with: ChargeSource,
    /// What it says.
    pub what: Charged,
}

/// Which status brought a price: that of a delivery outweighs that of a sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeSource {
    /// Delivered, read or played.
    Delivery,
    /// Anything before.
    Sending,
}

/// What is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charged {
    /// The rate of this category; `None` for the one that the message was sent as.
    Regular(Option<RateCategory>),
    /// Nothing.
    Free(FreeReason, Option<RateCategory>),
    /// Something that this version does not know: no price, and never 0.
    Unknown,
}

/// Why a message is free of charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreeReason {
    /// Within a customer-service window, or one of the month's free service messages.
    CustomerService,
    /// Within a free entry point window.
    EntryPoint,
    /// In a group's window.
    Group,
    /// The business is exempt.
    Exempt,
    /// It follows a referral.
    Referral,
    /// The provider says so without a reason.
    Unsaid,
}

names!(RateCategory {
    Marketing = "marketing",
    Utility = "utility",
    Authentication = "authentication",
    AuthenticationInternational = "authentication_international",
    Service = "service",
});

names!(ChargeSource { Delivery = "delivery", Sending = "sending" });

names!(FreeReason {
    CustomerService = "customer_service",
    EntryPoint = "entry_point",
    Group = "group",
    Exempt = "exempt",
    Referral = "referral",
    Unsaid = "unsaid",
});

impl RateCategory {
    /// The category of a webhook's word; `None` for one that has no rate of its own or is not known.
    ///
    /// `marketing_lite` is charged as marketing.
    #[must_use]
    pub const fn of(charged: &ChargedCategory) -> Option<Self> {
        match charged {
            ChargedCategory::Marketing | ChargedCategory::MarketingLite => Some(Self::Marketing),
            ChargedCategory::Utility => Some(Self::Utility),
            ChargedCategory::Authentication => Some(Self::Authentication),
            ChargedCategory::AuthenticationInternational => Some(Self::AuthenticationInternational),
            ChargedCategory::Service => Some(Self::Service),
            ChargedCategory::ReferralConversion | ChargedCategory::Other(_) => None,
        }
    }

    /// The category of a message that is sent so; `None` for one that only a provider charges.
    #[must_use]
    pub const fn sent_as(self) -> Option<Category> {
        match self {
            Self::Marketing => Some(Category::Marketing),
            Self::Utility => Some(Category::Utility),
            Self::Authentication => Some(Category::Authentication),
            Self::AuthenticationInternational => None,
            Self::Service => Some(Category::Service),
        }
    }
}

impl From<Category> for RateCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::Marketing => Self::Marketing,
            Category::Utility => Self::Utility,
            Category::Authentication => Self::Authentication,
            Category::Service => Self::Service,
        }
    }
}

impl Charge {
    /// A text form for stores; [`Charge::from_key`] reads it back.
    #[must_use]
    pub fn key(self) -> String {
        let category = |category: Option<RateCategory>| category.map_or("", RateCategory::as_str);
        let source = self.said_with.as_str();
        match self.what {
            Charged::Regular(charged) => format!("{source} regular {}", category(charged)),
            Charged::Free(why, charged) => format!("{source} free.{} {}", why.as_str(), category(charged)),
            Charged::Unknown => format!("{source} unknown "),
        }
    }

    /// The charge of a text form.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let (source, rest) = key.split_once(' ')?;
        let (what, category) = rest.split_once(' ')?;
        let category = match category {
            "" => None,
            name => Some(RateCategory::from_name(name)?),
        };
        let what = match (what, what.strip_prefix("free.")) {
            (_, Some(why)) => Charged::Free(FreeReason::from_name(why)?, category),
            ("regular", None) => Charged::Regular(category),
            ("unknown", None) => Charged::Unknown,
            _ => return None,
        };
        Some(Self { said_with: ChargeSource::from_name(source)?, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let categories = || RateCategory::ALL.iter().copied().map(Some).chain([None]);
        let mut all = vec![Charged::Unknown];
        all.extend(categories().map(Charged::Regular));
        for why in FreeReason::ALL {
            all.extend(categories().map(|category| Charged::Free(*why, category)));
        }
        for said_with in ChargeSource::ALL {
            for what in &all {
                let charge = Charge { said_with: *said_with, what: *what };
                assert_eq!(Charge::from_key(&charge.key()), Some(charge), "{}", charge.key());
            }
        }
        for rubbish in ["", "delivery", "delivery free ", "delivery regular beer", "mail regular utility"] {
            assert_eq!(Charge::from_key(rubbish), None, "{rubbish}");
        }
    }
}
