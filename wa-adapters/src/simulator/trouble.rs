//! What befalls numbers and accounts: maintenance, storms of throttling, restrictions and bans.
//!
//! Source: Meta, Cloud API error codes, read May 2026; Throughput, read May 2026 (the upgrade takes
//! up to a minute, 131057); marketing endpoint and its codes, read May 2026; 131064 since April 2026.

use std::collections::HashMap;

use super::clock::Micros;
use super::error::Refusal;
use super::templates::TemplateCategory;
use super::wire::Endpoint;

/// What a number suffers; instants are the ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NumberTrouble {
    pub(crate) maintenance_until: Micros,
    pub(crate) storm_until: Micros,
    pub(crate) spam_until: Micros,
}

/// What an account suffers; instants are the ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AccountTrouble {
    pub(crate) is_banned: bool,
    pub(crate) restricted_until: Micros,
    pub(crate) misclassified_until: Micros,
    /// Marketing templates go by `/marketing_messages` only.
    pub(crate) refuses_marketing: bool,
    /// `/marketing_messages` is not for this account.
    pub(crate) has_no_endpoint: bool,
}

impl NumberTrouble {
    /// What stops a request before any meter sees it.
    pub(crate) fn check(&self, now: Micros) -> Result<(), Refusal> {
        if now < self.maintenance_until {
            return Err(Refusal::new(131_057, "The number is being upgraded; try again in a minute."));
        }
        if now < self.storm_until {
            return Err(Refusal::new(130_429, "Injected: the number is throttled for a while."));
        }
        Ok(())
    }
}

impl AccountTrouble {
    /// What stops every request of the account.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.is_banned {
            return Err(Refusal::new(131_031, "The account has been disabled for violating a policy."));
        }
        Ok(())
    }

    /// What stops a template, or a message outside windows.
    pub(crate) fn check_message(
        &self,
        template: Option<TemplateCategory>,
        endpoint: Endpoint,
        in_window: bool,
        now: Micros,
    ) -> Result<(), Refusal> {
        if !in_window && now < self.restricted_until {
            return Err(Refusal::new(368, "The account may not start conversations for a while."));
        }
        match (template, endpoint) {
            (Some(TemplateCategory::Marketing), Endpoint::Messages) if self.refuses_marketing => {
                Err(Refusal::new(131_063, "Marketing templates go by /marketing_messages."))
            }
            (Some(TemplateCategory::Marketing), Endpoint::Marketing) if self.has_no_endpoint => {
                Err(Refusal::new(134_102, "The account is not eligible for this endpoint."))
            }
            (Some(TemplateCategory::Utility | TemplateCategory::Authentication), Endpoint::Marketing) => {
                Err(Refusal::new(134_100, "The template is not of category MARKETING."))
            }
            (Some(TemplateCategory::Utility), Endpoint::Messages) if now < self.misclassified_until => {
                Err(Refusal::new(131_064, "Utility templates of this account were misclassified."))
            }
            _ => Ok(()),
        }
    }
}

/// By account; one without trouble is not in it.
pub(crate) type Accounts = HashMap<String, AccountTrouble>;
