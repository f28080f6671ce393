//! What an operator does after the store was restored, moved or failed over.

use super::error::KitError;
use super::kit::Kit;
use crate::model::{Campaign, CampaignId, IncarnationId, ReconcileCause, ReconcileNeed, TenantId};

/// The hold that lies on a store that was restored: while it does, nothing is sent.
///
/// What waits in a restored store may have been sent after the copy was made: the copy does not know. Look
/// at [`campaigns`](Self::campaigns), which would have gone on; compare with what the provider or your own
/// records say was sent; then [`resume`](Self::resume) the store, and each campaign by
/// [`Campaigns::resume`](super::Campaigns::resume), or cancel it. A draft or a paused campaign waits for
/// somebody anyway, but may have gone on after the copy was made as well. So may single messages, which go
/// on with the store: cancel those that must not.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::Kit};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kit = Kit::builder(Arc::new(MemoryStore::new(Arc::new(SystemClock)))).build().await?;
/// assert_eq!(kit.reconcile().need().await?, None);
/// // After a backup was put back by means that the store cannot notice:
/// kit.reconcile().restored().await?;
/// assert!(kit.reconcile().need().await?.is_some());
/// for (tenant, campaign) in kit.reconcile().campaigns(None, 100).await? {
///     println!("{tenant}: {} would have gone on", campaign.name.as_str());
/// }
/// assert!(kit.reconcile().resume().await?);
/// assert_eq!(kit.reconcile().need().await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Reconcile<'a> {
    kit: &'a Kit,
}

impl<'a> Reconcile<'a> {
    pub(super) const fn new(kit: &'a Kit) -> Self {
        Self { kit }
    }

    /// Whether the store waits, since when and why; `None` when it sends.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn need(self) -> Result<Option<ReconcileNeed>, KitError> {
        let ports = &self.kit.inner.ports;
        Ok(ports.store.archive().awaits(&ports.admin()).await?)
    }

    /// Campaigns of all tenants that would have gone on and wait until they are resumed, in order of
    /// tenants and ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn campaigns(
        self,
        after: Option<(TenantId, CampaignId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Campaign)>, KitError> {
        let ports = &self.kit.inner.ports;
        Ok(ports.store.archive().unreconciled(&ports.admin(), after, limit).await?)
    }

    /// Says that the store was restored. Once it returned, at most what was begun before still goes out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn restored(self) -> Result<ReconcileNeed, KitError> {
        let inner = &self.kit.inner;
        let ports = &inner.ports;
        let fresh = IncarnationId::mint(ports.clock.now(), ports.draw());
        let cause = ReconcileCause::Restored;
        let need = ports.store.archive().suspend(&ports.admin(), fresh, cause).await?;
        inner.work.raise();
        inner.journal.raise();
        Ok(need)
    }

    /// Lets the store send again; `false` when it did not wait. Campaigns stay paused until each is
    /// resumed; schedules go on with their next slot.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(self) -> Result<bool, KitError> {
        let inner = &self.kit.inner;
        let lifted = inner.ports.store.archive().lift(&inner.ports.admin()).await?;
        inner.work.raise();
        inner.due.raise();
        inner.journal.raise();
        Ok(lifted)
    }
}
