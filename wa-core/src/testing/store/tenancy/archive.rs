//! A stranger at the room of backups, which has nothing for a tenant but its own export: only the
//! administration reaches the rest.

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{Campaign, CampaignId, Finding, IncarnationId, ReconcileCause, ReconcileNeed, TenantId};
use crate::port::store::{
    Archive, HeldTenant, ImportTenant, ImportTenantStep, RecordKind, RecordSink, UnfinishedImport,
};
use crate::port::{AdminScope, Scope};
use crate::testing::Collected;

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

    async fn export(&self, scope: &Scope, sink: &mut dyn RecordSink) -> Answer<bool> {
        let mut own = Collected::default();
        let told = self.store.archive().export(&self.stranger, &mut own).await;
        self.refused("export", told, &true);
        let kinds: Vec<_> = own.records.iter().map(|record| record.kind()).collect();
        assert_eq!(kinds, [RecordKind::Tenant], "a stranger has nothing but itself");
        self.store.archive().export(scope, sink).await
    }

    async fn import_tenant(&self, scope: &AdminScope, chunk: &ImportTenant) -> Answer<ImportTenantStep> {
        self.store.archive().import_tenant(scope, chunk).await
    }

    async fn unfinished_imports(&self, scope: &AdminScope) -> Answer<Vec<UnfinishedImport>> {
        self.store.archive().unfinished_imports(scope).await
    }

    async fn discard_import(&self, scope: &AdminScope, tenant: TenantId) -> Answer<bool> {
        self.store.archive().discard_import(scope, tenant).await
    }

    async fn held_tenants(
        &self,
        scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Answer<Vec<HeldTenant>> {
        self.store.archive().held_tenants(scope, after, limit).await
    }

    async fn release_tenant(&self, scope: &AdminScope, tenant: TenantId) -> Answer<bool> {
        self.store.archive().release_tenant(scope, tenant).await
    }
}
