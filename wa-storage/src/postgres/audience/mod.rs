//! The room of contacts and campaigns.

mod campaign;
pub(super) mod contacts;
mod import;
pub(super) mod join;
mod launch;
mod progress;
mod suppression;

use async_trait::async_trait;
use wa_core::model::{
    Campaign, CampaignAction, CampaignId, CampaignName, Consent, ConsentSource, Contact, ContactId, ImportId,
    ImportProgress, ListName, Money, NewCampaign, Recipient,
};
use wa_core::port::store::{
    ActOutcome, Advanced, Audience, CreateCampaign, ImportChunk, ImportStep, LaunchChunk, LaunchStep, Member,
    News, ReportedLine, StartImport, StoreError, SuppressedAddress, UpsertContact,
};
use wa_core::port::{AdminScope, Scope};

use super::PostgresStore;
use super::tx::{Access, Locks, Tx};
pub(super) use campaign::{
    COLUMNS as CAMPAIGN_COLUMNS, campaign as campaign_row, create as create_campaign,
    exists as campaign_exists,
};

impl PostgresStore {
    /// A chunk of a tenant's contacts, lists or campaigns; sends go on beside it.
    async fn chunk(&self, scope: &Scope) -> Result<Tx, StoreError> {
        let tenant = scope.tenant();
        self.write(Access::Tenant(tenant), Locks::audience(&self.shared, tenant)).await
    }

    /// A change that binds every later begin of the tenant, or that nothing of it may happen beside.
    async fn change(&self, scope: &Scope) -> Result<Tx, StoreError> {
        let tenant = scope.tenant();
        self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await
    }
}

#[async_trait]
impl Audience for PostgresStore {
    async fn start_import(
        &self,
        scope: &Scope,
        start: &StartImport,
    ) -> Result<Option<ImportProgress>, StoreError> {
        let mut tx = self.chunk(scope).await?;
        let done = import::start(&mut tx, scope.tenant(), start).await;
        tx.end(done).await
    }

    async fn import(&self, scope: &Scope, chunk: &ImportChunk) -> Result<ImportStep, StoreError> {
        let mut tx = self.chunk(scope).await?;
        let done = import::import(&mut tx, scope.tenant(), chunk).await;
        tx.end(done).await
    }

    async fn imports(&self, scope: &Scope, list: &ListName) -> Result<Vec<ImportProgress>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = import::of_list(tx.conn(), scope.tenant(), list).await;
        tx.close(found).await
    }

    async fn import_report(
        &self,
        scope: &Scope,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Result<Vec<ReportedLine>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = import::report(tx.conn(), scope.tenant(), import, after_line, limit).await;
        tx.close(found).await
    }

    async fn upsert_contact(
        &self,
        scope: &Scope,
        contact: &UpsertContact,
    ) -> Result<Option<Contact>, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = contacts::upsert(&mut tx, scope.tenant(), contact).await;
        tx.end(done).await
    }

    async fn contact(&self, scope: &Scope, id: ContactId) -> Result<Option<Contact>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = contacts::by_id(tx.conn(), scope.tenant(), id).await;
        tx.close(found).await
    }

    async fn find_contact(&self, scope: &Scope, who: &Recipient) -> Result<Option<Contact>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = contacts::by_address(tx.conn(), scope.tenant(), who).await;
        tx.close(found).await
    }

    async fn contacts(
        &self,
        scope: &Scope,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Result<Vec<Contact>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = contacts::page(tx.conn(), scope.tenant(), list, after, limit).await;
        tx.close(found).await
    }

    async fn members(
        &self,
        scope: &Scope,
        list: &ListName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = launch::members(tx.conn(), scope.tenant(), list, after, limit).await;
        tx.close(found).await
    }

    async fn set_consent(
        &self,
        scope: &Scope,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) -> Result<Option<Contact>, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = contacts::set_consent(&mut tx, scope.tenant(), contact, consent, source).await;
        tx.end(done).await
    }

    async fn suppress(&self, scope: &Scope, who: &[Recipient]) -> Result<Option<u64>, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = suppression::suppress(&mut tx, scope.tenant(), who).await;
        tx.end(done).await
    }

    async fn unsuppress(&self, scope: &Scope, who: &[Recipient]) -> Result<u64, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = suppression::unsuppress(&mut tx, scope.tenant(), who).await;
        tx.end(done).await
    }

    async fn suppressed(
        &self,
        scope: &Scope,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<SuppressedAddress>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = suppression::page(tx.conn(), scope.tenant(), after, limit).await;
        tx.close(found).await
    }

    async fn create_campaign(&self, scope: &Scope, new: &NewCampaign) -> Result<CreateCampaign, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = campaign::create(&mut tx, scope.tenant(), new).await;
        tx.end(done).await
    }

    async fn set_budget(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        budget: Option<Money>,
    ) -> Result<Option<Campaign>, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = campaign::set_budget(&mut tx, scope.tenant(), campaign, budget).await;
        tx.end_telling(done, News::Work).await
    }

    async fn launch(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        chunk: &LaunchChunk,
    ) -> Result<LaunchStep, StoreError> {
        let mut tx = self.chunk(scope).await?;
        let done = launch::launch(&mut tx, scope.tenant(), campaign, *chunk).await;
        tx.end_telling(done, News::Work).await
    }

    async fn act(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        action: CampaignAction,
    ) -> Result<ActOutcome, StoreError> {
        let mut tx = self.change(scope).await?;
        let done = progress::act(&mut tx, scope.tenant(), campaign, action).await;
        tx.end_telling(done, News::Work).await
    }

    async fn campaign(&self, scope: &Scope, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = campaign::by_id(tx.conn(), scope.tenant(), id).await;
        tx.close(found).await
    }

    async fn campaign_named(
        &self,
        scope: &Scope,
        name: &CampaignName,
    ) -> Result<Option<Campaign>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = campaign::by_name(tx.conn(), scope.tenant(), name).await;
        tx.close(found).await
    }

    async fn campaigns(
        &self,
        scope: &Scope,
        after: Option<CampaignId>,
        limit: u32,
    ) -> Result<Vec<Campaign>, StoreError> {
        let mut tx = self.read(Access::Tenant(scope.tenant())).await?;
        let found = campaign::page(tx.conn(), scope.tenant(), after, limit).await;
        tx.close(found).await
    }

    async fn advance(&self, _scope: &AdminScope) -> Result<Advanced, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let done = progress::tidy(&mut tx).await;
        tx.end(done).await?;
        let mut tx = self.open(Access::Engine).await?;
        let done = progress::advance(&mut tx).await;
        tx.end(done).await
    }
}
