//! The notifiers that come with the library.

use std::sync::Arc;

use async_trait::async_trait;

use crate::port::store::Store;
use crate::port::{Notice, Notifier, NotifyError, Scope};

/// Keeps notices in the store, where [`TenantHandle::notices`](super::TenantHandle::notices) reads them.
#[derive(Debug, Clone)]
pub struct InAppNotifier {
    store: Arc<dyn Store>,
}

/// Writes notices to the log, at level `info`, with ids only.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogNotifier;

impl InAppNotifier {
    /// Keeps notices in this store; use the kit's own.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Notifier for InAppNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let kept = self.store.journal().keep_notice(&Scope::new(notice.tenant), notice).await;
        // A tenant that is gone needs no notice.
        kept.map(|_known| ()).map_err(|error| NotifyError::new("the store failed", Some(Box::new(error))))
    }
}

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        tracing::info!(tenant = %notice.tenant, event = %notice.id, kind = ?notice.kind, "notice");
        Ok(())
    }
}
