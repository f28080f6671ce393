//! A message on its way into a transaction of the caller's own.

use std::fmt;
use std::sync::Arc;

use crate::model::{MessageId, NewMessage, TenantId};

/// A message that was checked and waits to be queued together with the caller's own rows.
///
/// [`Messages::prepare`](crate::service::Messages::prepare) makes it, and a store queues it in a
/// transaction that the caller commits: rolled back, nothing is queued. Whether it may go is judged when
/// it begins, so a long transaction holds up nobody.
#[derive(Clone)]
pub struct Prepared {
    tenant: TenantId,
    message: NewMessage,
    queued: Arc<dyn Fn() + Send + Sync>,
}

impl Prepared {
    #[cfg(feature = "engine")]
    pub(crate) fn new(tenant: TenantId, message: NewMessage, queued: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { tenant, message, queued }
    }

    /// The id under which it will be known, if its key was not used before.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.message.id
    }

    /// Whose it is; for stores.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The message; for stores.
    #[must_use]
    pub const fn message(&self) -> &NewMessage {
        &self.message
    }

    /// Tells a running engine that it was committed; without that it is found by the next poll.
    pub fn announce(&self) {
        (self.queued)();
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("tenant", &self.tenant).field("id", &self.message.id).finish()
    }
}
