//! A plan: what a tenant that has it may do.

use serde::{Deserialize, Serialize};
use wa_core::model::Entitlement;

/// What a tenant may do.
///
/// The four ready ones are a start; their message counts are suggestions.
///
/// ```
/// use wa_billing::Plan;
/// assert_eq!(Plan::free().sessions, Some(1));
/// let trial = Plan { messages_per_month: Some(50), ..Plan::named("trial") };
/// assert_eq!(trial.entitlement().messages_per_month, Some(50));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name, unique among the plans: 1 to 64 characters, none of them a control character.
    pub name: String,
    /// Messages that may be begun per calendar month (UTC), or `None` for no limit.
    #[serde(default)]
    pub messages_per_month: Option<u64>,
    /// Sessions, or `None` for no limit.
    #[serde(default)]
    pub sessions: Option<u32>,
}

impl Plan {
    /// A plan of this name without limits.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), messages_per_month: None, sessions: None }
    }

    /// `free`: one session, 1,000 messages a month.
    #[must_use]
    pub fn free() -> Self {
        Self { sessions: Some(1), messages_per_month: Some(1_000), ..Self::named("free") }
    }

    /// `basic`: five sessions, 10,000 messages a month.
    #[must_use]
    pub fn basic() -> Self {
        Self { sessions: Some(5), messages_per_month: Some(10_000), ..Self::named("basic") }
    }

    /// `pro`: twenty sessions, 100,000 messages a month.
    #[must_use]
    pub fn pro() -> Self {
        Self { sessions: Some(20), messages_per_month: Some(100_000), ..Self::named("pro") }
    }

    /// `enterprise`: no limits.
    #[must_use]
    pub fn enterprise() -> Self {
        Self::named("enterprise")
    }

    /// The four ready plans.
    #[must_use]
    pub fn ready() -> [Self; 4] {
        [Self::free(), Self::basic(), Self::pro(), Self::enterprise()]
    }

    /// What the plan allows, as the engine takes it.
    #[must_use]
    pub fn entitlement(&self) -> Entitlement {
        let Self { name, messages_per_month, sessions } = self;
        Entitlement {
            plan: name.clone(),
            messages_per_month: *messages_per_month,
            sessions: *sessions,
            suspended: false,
        }
    }

    pub(crate) fn has_valid_name(&self) -> bool {
        let chars = self.name.chars().count();
        (1..=64).contains(&chars) && !self.name.trim().is_empty() && !self.name.chars().any(char::is_control)
    }
}
