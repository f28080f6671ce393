//! Scopes for stores under test; in an application only the kit makes them.

use crate::model::{SessionId, TenantId, WorkerId};
use crate::port::{AdminScope, Scope, WorkerScope};

/// The scope of one tenant.
#[must_use]
pub fn tenant(id: TenantId) -> Scope {
    Scope::new(id)
}

/// The scope of a worker that holds these sessions under these epochs.
pub fn worker(id: WorkerId, epochs: impl IntoIterator<Item = (SessionId, u64)>) -> WorkerScope {
    WorkerScope::new(id, epochs.into_iter().collect())
}

/// The scope across tenants.
#[must_use]
pub fn admin(worker: WorkerId) -> AdminScope {
    AdminScope::new(worker)
}
