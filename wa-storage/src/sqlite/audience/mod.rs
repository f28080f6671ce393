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
    ReportedLine, StartImport, StoreError, SuppressedAddress, UpsertContact,
};
use wa_core::port::{AdminScope, Scope};

use super::{Durability, SqliteStore};
pub(super) use campaign::{
    COLUMNS as CAMPAIGN_COLUMNS, campaign as campaign_row, create as create_campaign,
    exists as campaign_exists,
};
#[cfg(test)]
pub(super) use launch::NEXT_MEMBERS;
#[cfg(test)]
pub(super) use progress::HOT as PROGRESS_STATEMENTS;

#[async_trait]
impl Audience for SqliteStore {
    async fn start_import(
        &self,
        scope: &Scope,
        start: &StartImport,
    ) -> Result<Option<ImportProgress>, StoreError> {
        let (tenant, start) = (scope.tenant(), start.clone());
        self.write(Durability::Normal, move |tx| import::start(tx, tenant, &start)).await
    }

    async fn import(&self, scope: &Scope, chunk: &ImportChunk) -> Result<ImportStep, StoreError> {
        let (tenant, chunk) = (scope.tenant(), chunk.clone());
        self.write(Durability::Normal, move |tx| import::import(tx, tenant, &chunk)).await
    }

    async fn imports(&self, scope: &Scope, list: &ListName) -> Result<Vec<ImportProgress>, StoreError> {
        let (tenant, list) = (scope.tenant(), list.clone());
        self.read(move |snapshot| import::of_list(snapshot, tenant, &list)).await
    }

    async fn import_report(
        &self,
        scope: &Scope,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Result<Vec<ReportedLine>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| import::report(snapshot, tenant, import, after_line, limit)).await
    }

    async fn upsert_contact(
        &self,
        scope: &Scope,
        contact: &UpsertContact,
    ) -> Result<Option<Contact>, StoreError> {
        let (tenant, contact) = (scope.tenant(), contact.clone());
        self.write(Durability::Normal, move |tx| contacts::upsert(tx, tenant, &contact)).await
    }

    async fn contact(&self, scope: &Scope, id: ContactId) -> Result<Option<Contact>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| contacts::by_id(snapshot.conn, tenant, id)).await
    }

    async fn find_contact(&self, scope: &Scope, who: &Recipient) -> Result<Option<Contact>, StoreError> {
        let (tenant, who) = (scope.tenant(), who.clone());
        self.read(move |snapshot| contacts::by_address(snapshot.conn, tenant, &who)).await
    }

    async fn contacts(
        &self,
        scope: &Scope,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Result<Vec<Contact>, StoreError> {
        let (tenant, list) = (scope.tenant(), list.cloned());
        self.read(move |snapshot| contacts::page(snapshot, tenant, list.as_ref(), after, limit)).await
    }

    async fn members(
        &self,
        scope: &Scope,
        list: &ListName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        let (tenant, list) = (scope.tenant(), list.clone());
        self.read(move |snapshot| launch::members(snapshot.conn, tenant, &list, after, limit)).await
    }

    async fn set_consent(
        &self,
        scope: &Scope,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) -> Result<Option<Contact>, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| contacts::set_consent(tx, tenant, contact, consent, source))
            .await
    }

    async fn suppress(&self, scope: &Scope, who: &[Recipient]) -> Result<Option<u64>, StoreError> {
        let (tenant, who) = (scope.tenant(), who.to_vec());
        self.write(Durability::Full, move |tx| suppression::suppress(tx, tenant, &who)).await
    }

    async fn unsuppress(&self, scope: &Scope, who: &[Recipient]) -> Result<u64, StoreError> {
        let (tenant, who) = (scope.tenant(), who.to_vec());
        self.write(Durability::Full, move |tx| suppression::unsuppress(tx, tenant, &who)).await
    }

    async fn suppressed(
        &self,
        scope: &Scope,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<SuppressedAddress>, StoreError> {
        let (tenant, after) = (scope.tenant(), after.cloned());
        self.read(move |snapshot| suppression::page(snapshot, tenant, after.as_ref(), limit)).await
    }

    async fn create_campaign(&self, scope: &Scope, new: &NewCampaign) -> Result<CreateCampaign, StoreError> {
        let (tenant, new) = (scope.tenant(), new.clone());
        self.write(Durability::Normal, move |tx| campaign::create(tx, tenant, &new)).await
    }

    async fn set_budget(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        budget: Option<Money>,
    ) -> Result<Option<Campaign>, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| campaign::set_budget(tx, tenant, campaign, budget)).await
    }

    async fn launch(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        chunk: &LaunchChunk,
    ) -> Result<LaunchStep, StoreError> {
        let (tenant, chunk) = (scope.tenant(), *chunk);
        self.write(Durability::Normal, move |tx| launch::launch(tx, tenant, campaign, chunk)).await
    }

    async fn act(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        action: CampaignAction,
    ) -> Result<ActOutcome, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| progress::act(tx, tenant, campaign, action)).await
    }

    async fn campaign(&self, scope: &Scope, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| campaign::by_id(snapshot.conn, tenant, id)).await
    }

    async fn campaign_named(
        &self,
        scope: &Scope,
        name: &CampaignName,
    ) -> Result<Option<Campaign>, StoreError> {
        let (tenant, name) = (scope.tenant(), name.clone());
        self.read(move |snapshot| campaign::by_name(snapshot.conn, tenant, &name)).await
    }

    async fn campaigns(
        &self,
        scope: &Scope,
        after: Option<CampaignId>,
        limit: u32,
    ) -> Result<Vec<Campaign>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| campaign::page(snapshot, tenant, after, limit)).await
    }

    async fn advance(&self, _scope: &AdminScope) -> Result<Advanced, StoreError> {
        self.write(Durability::Normal, progress::advance).await
    }
}
