//! One tenant, and the services on what it has.

use super::campaigns::Campaigns;
use super::contacts::Contacts;
use super::conversations::Conversations;
use super::error::KitError;
use super::kit::Kit;
use super::messages::Messages;
use super::sessions::Sessions;
use crate::model::{CampaignId, EventId, Period, QuotaUsage, TenantId, TenantSettings};
use crate::port::store::Cost;
use crate::port::{Notice, Scope};

/// Everything of one tenant. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TenantHandle {
    pub(crate) kit: Kit,
    pub(crate) scope: Scope,
}

impl TenantHandle {
    pub(crate) fn new(kit: Kit, id: TenantId) -> Self {
        Self { kit, scope: Scope::new(id) }
    }

    /// The tenant's id.
    #[must_use]
    pub const fn id(&self) -> TenantId {
        self.scope.tenant()
    }

    /// Its sending numbers.
    #[must_use]
    pub const fn sessions(&self) -> Sessions<'_> {
        Sessions::new(self)
    }

    /// Its contacts and lists.
    #[must_use]
    pub const fn contacts(&self) -> Contacts<'_> {
        Contacts::new(self)
    }

    /// Its shared inbox.
    #[must_use]
    pub const fn conversations(&self) -> Conversations<'_> {
        Conversations::new(self)
    }

    /// Its campaigns.
    #[must_use]
    pub const fn campaigns(&self) -> Campaigns<'_> {
        Campaigns::new(self)
    }

    /// Its messages.
    #[must_use]
    pub const fn messages(&self) -> Messages<'_> {
        Messages::new(self)
    }

    /// Its settings.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn settings(&self) -> Result<TenantSettings, KitError> {
        self.kit.store().directory().settings(&self.scope).await?.ok_or(KitError::NoTenant)
    }

    /// Replaces its settings; they bind every message that begins afterwards.
    ///
    /// # Errors
    /// When a setting is out of range, there is no such tenant, or the store fails.
    pub async fn put_settings(&self, settings: &TenantSettings) -> Result<(), KitError> {
        settings.validate()?;
        if !self.kit.store().directory().put_settings(&self.scope, settings).await? {
            return Err(KitError::NoTenant);
        }
        self.kit.inner.work.raise();
        Ok(())
    }

    /// How much of this month's quota is used.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn usage(&self) -> Result<QuotaUsage, KitError> {
        let period = Period::of(self.kit.inner.ports.clock.now());
        self.kit.store().ledger().usage(&self.scope, period).await?.ok_or(KitError::NoTenant)
    }

    /// What its messages cost, or those of one campaign.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cost(&self, campaign: Option<CampaignId>) -> Result<Cost, KitError> {
        Ok(self.kit.store().ledger().cost(&self.scope, campaign).await?)
    }

    /// What it was told, in order; filled by [`InAppNotifier`](super::InAppNotifier).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices(&self, after: Option<EventId>, limit: u32) -> Result<Vec<Notice>, KitError> {
        Ok(self.kit.store().journal().notices(&self.scope, after, limit).await?)
    }
}
