//! One tenant, and the services on what it has.

use chrono::{DateTime, Utc};

use super::campaigns::Campaigns;
use super::contacts::Contacts;
use super::conversations::Conversations;
use super::costs::{Costs, Prices};
use super::error::KitError;
use super::kit::Kit;
use super::messages::Messages;
use super::schedules::Schedules;
use super::sessions::Sessions;
use crate::model::{CivilDateTime, EventId, Period, QuotaUsage, TenantId, TenantSettings};
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

    /// Its recurring campaigns.
    #[must_use]
    pub const fn schedules(&self) -> Schedules<'_> {
        Schedules::new(self)
    }

    /// Its messages.
    #[must_use]
    pub const fn messages(&self) -> Messages<'_> {
        Messages::new(self)
    }

    /// What its messages cost.
    #[must_use]
    pub const fn costs(&self) -> Costs<'_> {
        Costs::new(self)
    }

    /// Its prices.
    #[must_use]
    pub const fn prices(&self) -> Prices<'_> {
        Prices::new(self)
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

    /// The instant of a civil time in its zone: for `start_at`, `send_at` and `valid_until`.
    ///
    /// A time that the clocks leave out is the first instant after it, one that comes twice the first
    /// of the two. In another zone: [`CivilDateTime::in_zone`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, Number}, testing::ScriptedTransport};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let clock = Arc::new(SystemClock);
    /// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    /// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
    /// use wa_core::model::{Content, Phone, TenantSettings};
    /// use wa_core::service::Message;
    ///
    /// let tenant = kit.tenants().ensure("acme").await?;
    /// let zone = "Europe/Berlin".parse()?;
    /// tenant.put_settings(&TenantSettings { time_zone: zone, ..tenant.settings().await? }).await?;
    /// let at = tenant.instant("2030-12-24 18:00".parse()?).await?;
    /// assert_eq!(at.to_rfc3339(), "2030-12-24T17:00:00+00:00");
    ///
    /// let session = tenant.sessions().add(&Number::cloud("100")).await?;
    /// let to = Phone::parse("+4915112345678", None)?;
    /// let message = Message::new(session.id, to, Content::text("Merry Christmas")?).send_at(at);
    /// tenant.messages().send(message).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn instant(&self, civil: CivilDateTime) -> Result<DateTime<Utc>, KitError> {
        Ok(civil.in_zone(&self.settings().await?.time_zone))
    }

    /// How much of this month's quota is used.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn usage(&self) -> Result<QuotaUsage, KitError> {
        let period = Period::of(self.kit.inner.ports.clock.now());
        self.kit.store().ledger().usage(&self.scope, period).await?.ok_or(KitError::NoTenant)
    }

    /// What it was told, in order; filled by [`InAppNotifier`](super::InAppNotifier).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices(&self, after: Option<EventId>, limit: u32) -> Result<Vec<Notice>, KitError> {
        Ok(self.kit.store().journal().notices(&self.scope, after, limit).await?)
    }
}
