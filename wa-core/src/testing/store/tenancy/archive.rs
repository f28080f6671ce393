//! A stranger at the room of backups, which has nothing for a tenant: only the administration reaches it.

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{Campaign, CampaignId, Finding, IncarnationId, ReconcileCause, ReconcileNeed, TenantId};
use crate::port::AdminScope;
use crate::port::store::Archive;

#[async_trait]
impl Archive for Trespassing {
    async fn awaits(&self, scope: &AdminScope) -> Answer<Option<ReconcileNeed>> {
        self.store.archive().awaits(scope).await
    }

    async fn suspend(
        &self,
        scope: &AdminScope,
        fresh: IncarnationId,
        cause: ReconcileCause,
    ) -> Answer<ReconcileNeed> {
        self.store.archive().suspend(scope, fresh, cause).await
    }

    async fn unreconciled(
        &self,
        scope: &AdminScope,
        after: Option<(TenantId, CampaignId)>,
        limit: u32,
    ) -> Answer<Vec<(TenantId, Campaign)>> {
        self.store.archive().unreconciled(scope, after, limit).await
    }

    async fn examine(&self, scope: &AdminScope, limit: u32) -> Answer<Vec<Finding>> {
        self.store.archive().examine(scope, limit).await
    }

    async fn lift(&self, scope: &AdminScope) -> Answer<bool> {
        self.store.archive().lift(scope).await
    }
}
