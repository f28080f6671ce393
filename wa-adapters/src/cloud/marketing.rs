//! Which templates go through the marketing endpoint, and with which settings.
//!
//! Invariant: the route of a message is known before its request is made. Meta's refusals that name
//! the other route (131055, 131061, 131063, 134100, 134102) are not answered with a second request:
//! one permit is one request. They are settled as refusals, and whoever reads them corrects the
//! configuration here, once for all messages of that template.

use std::collections::BTreeSet;

use wa_core::model::{Category, TemplateName};
use wa_core::port::SendPermit;

/// Sends marketing templates through `POST /{phone}/marketing_messages`.
///
/// Only templates of the category marketing go there, and only without a quote, which that endpoint
/// does not know. Everything else goes through `/messages` as ever.
///
/// Choose [`only`](Self::only) or [`except`](Self::except) by what is known of a template:
/// one with a maximum price must go there (131061 otherwise); one that is not eligible (134102), and
/// one whose approved category is not marketing (134100), must not. An account that has disabled
/// marketing on the Cloud API (131063) needs [`all`](Self::all).
///
/// Source: Meta, Send marketing messages, read May 2026.
///
/// ```
/// use wa_adapters::cloud::{CloudConfig, MarketingMessages, ProductPolicy};
/// let marketing = MarketingMessages::except(["winter_sale".parse()?])
///     .with_policy(ProductPolicy::Strict)
///     .with_activity_sharing(false);
/// let config = CloudConfig::builder()
///     .access_token("EAAG-from-the-system-user")
///     .app_secret("from-the-app-dashboard")
///     .verify_token("chosen-by-yourself")
///     .marketing_messages(marketing)
///     .build()?;
/// assert!(config.marketing_messages().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "settings do nothing until a configuration takes them"]
pub struct MarketingMessages {
    templates: Templates,
    policy: Option<ProductPolicy>,
    shares_activity: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Templates {
    Only(BTreeSet<TemplateName>),
    Except(BTreeSet<TemplateName>),
}

/// What Meta does with a message that the marketing endpoint cannot deliver in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductPolicy {
    /// It is sent as the Cloud API would.
    CloudApiFallback,
    /// It is refused.
    Strict,
}

impl MarketingMessages {
    /// Every marketing template goes there.
    pub const fn all() -> Self {
        Self { templates: Templates::Except(BTreeSet::new()), policy: None, shares_activity: None }
    }

    /// Only these go there.
    pub fn only(templates: impl IntoIterator<Item = TemplateName>) -> Self {
        Self { templates: Templates::Only(templates.into_iter().collect()), ..Self::all() }
    }

    /// All but these go there.
    pub fn except(templates: impl IntoIterator<Item = TemplateName>) -> Self {
        Self { templates: Templates::Except(templates.into_iter().collect()), ..Self::all() }
    }

    /// Sets the product policy; Meta's default unless set.
    pub const fn with_policy(mut self, policy: ProductPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Says whether Meta may use what users do with the messages to choose whom to show others; the
    /// account's own setting unless set.
    pub const fn with_activity_sharing(mut self, shared: bool) -> Self {
        self.shares_activity = Some(shared);
        self
    }

    pub(super) const fn policy(&self) -> Option<ProductPolicy> {
        self.policy
    }

    pub(super) const fn shares_activity(&self) -> Option<bool> {
        self.shares_activity
    }

    /// Whether a message goes there.
    pub(super) fn takes(&self, permit: &SendPermit) -> bool {
        let Some(template) = permit.content().template() else { return false };
        let is_named = match &self.templates {
            Templates::Only(names) => names.contains(&template.name),
            Templates::Except(names) => !names.contains(&template.name),
        };
        is_named && template.category == Category::Marketing && permit.reply_to().is_none()
    }
}

impl ProductPolicy {
    /// The name, as Meta writes it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CloudApiFallback => "CLOUD_API_FALLBACK",
            Self::Strict => "STRICT",
        }
    }
}
