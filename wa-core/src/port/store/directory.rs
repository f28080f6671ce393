//! Directory: the store's identity, tenants and their settings.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{IncarnationId, InstanceId, TagKey, Tenant, TenantId, TenantName, TenantSettings};
use crate::port::{AdminScope, Scope};

/// The room of tenants.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Who this store is; `fresh` becomes its identity if it has none yet.
    ///
    /// - `identity_is_made_once`: the first call keeps `fresh`, every later one returns the first, also after a reopen; only
    ///   [`Archive::suspend`](super::Archive::suspend) changes its incarnation.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn identity(&self, scope: &AdminScope, fresh: &StoreIdentity) -> Result<StoreIdentity, StoreError>;

    /// The tenant of this name, created with id `fresh` if there is none.
    ///
    /// - `ensure_tenant_creates_once`: two calls with one name give one tenant, whatever `fresh` is.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn ensure_tenant(
        &self,
        scope: &AdminScope,
        name: &TenantName,
        fresh: TenantId,
    ) -> Result<Tenant, StoreError>;

    /// All tenants, in order of their ids.
    ///
    /// - `tenants_are_paged_by_id`: pages neither repeat nor miss a tenant.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn tenants(
        &self,
        scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError>;

    /// The tenant of the scope.
    ///
    /// - `tenant_is_none_when_missing`: an unknown tenant is `None`, not an error.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn tenant(&self, scope: &Scope) -> Result<Option<Tenant>, StoreError>;

    /// The tenant's settings; the defaults until some are put; `None` for an unknown tenant.
    ///
    /// - `settings_default_until_put`: a new tenant has [`TenantSettings::default`].
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn settings(&self, scope: &Scope) -> Result<Option<TenantSettings>, StoreError>;

    /// Replaces the tenant's settings; `false` for an unknown tenant. Ordered before every later begin.
    ///
    /// - `put_settings_come_back`: they are read back equal, also after a reopen.
    /// - `put_settings_bind_the_next_begin`: a tenant paused before a begin begins nothing.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Result<bool, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Directory) = |_| {};

/// Who a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The installation; part of every attempt tag.
    pub instance: InstanceId,
    /// The store's present life; written into every attempt.
    pub incarnation: IncarnationId,
    /// Signs attempt tags.
    pub tag_key: TagKey,
}
