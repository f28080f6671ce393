//! Scopes: what a caller may touch, as values that only the kit can make.
//!
//! Invariant: a tenant's rows are reached through a [`Scope`] of that tenant or, across tenants,
//! through the engine's [`WorkerScope`] and the kit's [`AdminScope`]. None has a public
//! constructor; `wa_core::testing` makes them for stores under test.

use std::collections::BTreeMap;

use crate::model::{SessionId, TenantId, WorkerId};

/// The right to touch one tenant's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    tenant: TenantId,
}

/// A worker's right to send for the sessions that it holds, each under its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerScope {
    worker: WorkerId,
    epochs: BTreeMap<SessionId, u64>,
}

/// The right to act across tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminScope {
    worker: WorkerId,
}

impl Scope {
    #[cfg(any(feature = "engine", feature = "testing"))]
    pub(crate) const fn new(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }
}

impl WorkerScope {
    #[cfg(any(feature = "engine", feature = "testing"))]
    pub(crate) const fn new(worker: WorkerId, epochs: BTreeMap<SessionId, u64>) -> Self {
        Self { worker, epochs }
    }

    /// The worker.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The epoch under which the worker holds a session, if it does.
    #[must_use]
    pub fn epoch(&self, session: SessionId) -> Option<u64> {
        self.epochs.get(&session).copied()
    }

    /// The sessions that the worker holds, in order, with their epochs.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, u64)> + '_ {
        self.epochs.iter().map(|(session, epoch)| (*session, *epoch))
    }
}

impl AdminScope {
    #[cfg(any(feature = "engine", feature = "testing"))]
    pub(crate) const fn new(worker: WorkerId) -> Self {
        Self { worker }
    }

    /// The worker on whose behalf the call is made.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }
}
