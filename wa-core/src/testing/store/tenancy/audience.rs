//! A stranger at the room of contacts and campaigns.

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{
    Campaign, CampaignAction, CampaignId, CampaignName, Consent, ConsentSource, Contact, ContactId, ImportId,
    ImportProgress, ListName, Money, NewCampaign, Recipient,
};
use crate::port::store::{
    ActOutcome, Advanced, Audience, CreateCampaign, ImportChunk, ImportStep, LaunchChunk, LaunchStep, Member,
    ReportedLine, StartImport, SuppressedAddress, UpsertContact,
};
use crate::port::{AdminScope, Scope};

#[async_trait]
impl Audience for Trespassing {
    async fn start_import(&self, scope: &Scope, start: &StartImport) -> Answer<Option<ImportProgress>> {
        // It names a list and a file of its own; the stranger would start an import of its own.
        self.store.audience().start_import(scope, start).await
    }

    async fn import(&self, scope: &Scope, chunk: &ImportChunk) -> Answer<ImportStep> {
        let told = self.store.audience().import(&self.stranger, chunk).await;
        self.refused("import", told, &ImportStep::Missing);
        self.store.audience().import(scope, chunk).await
    }

    async fn imports(&self, scope: &Scope, list: &ListName) -> Answer<Vec<ImportProgress>> {
        self.refused("imports", self.store.audience().imports(&self.stranger, list).await, &vec![]);
        self.store.audience().imports(scope, list).await
    }

    async fn import_report(
        &self,
        scope: &Scope,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Answer<Vec<ReportedLine>> {
        let told = self.store.audience().import_report(&self.stranger, import, after_line, limit).await;
        self.refused("import_report", told, &vec![]);
        self.store.audience().import_report(scope, import, after_line, limit).await
    }

    async fn upsert_contact(&self, scope: &Scope, contact: &UpsertContact) -> Answer<Option<Contact>> {
        // It names a person, not a row; the stranger would make a contact of its own.
        self.store.audience().upsert_contact(scope, contact).await
    }

    async fn contact(&self, scope: &Scope, id: ContactId) -> Answer<Option<Contact>> {
        self.refused("contact", self.store.audience().contact(&self.stranger, id).await, &None);
        self.store.audience().contact(scope, id).await
    }

    async fn find_contact(&self, scope: &Scope, who: &Recipient) -> Answer<Option<Contact>> {
        self.refused("find_contact", self.store.audience().find_contact(&self.stranger, who).await, &None);
        self.store.audience().find_contact(scope, who).await
    }

    async fn contacts(
        &self,
        scope: &Scope,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Answer<Vec<Contact>> {
        let told = self.store.audience().contacts(&self.stranger, list, after, limit).await;
        self.refused("contacts", told, &vec![]);
        self.store.audience().contacts(scope, list, after, limit).await
    }

    async fn members(&self, scope: &Scope, list: &ListName, after: u64, limit: u32) -> Answer<Vec<Member>> {
        let told = self.store.audience().members(&self.stranger, list, after, limit).await;
        self.refused("members", told, &vec![]);
        self.store.audience().members(scope, list, after, limit).await
    }

    async fn set_consent(
        &self,
        scope: &Scope,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) -> Answer<Option<Contact>> {
        let told = self.store.audience().set_consent(&self.stranger, contact, Consent::Blocked, source).await;
        self.refused("set_consent", told, &None);
        self.store.audience().set_consent(scope, contact, consent, source).await
    }

    async fn suppress(&self, scope: &Scope, who: &[Recipient]) -> Answer<Option<u64>> {
        // It names people, not rows; the stranger would fill a list of its own.
        self.store.audience().suppress(scope, who).await
    }

    async fn unsuppress(&self, scope: &Scope, who: &[Recipient]) -> Answer<u64> {
        self.refused("unsuppress", self.store.audience().unsuppress(&self.stranger, who).await, &0);
        self.store.audience().unsuppress(scope, who).await
    }

    async fn suppressed(
        &self,
        scope: &Scope,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Answer<Vec<SuppressedAddress>> {
        let told = self.store.audience().suppressed(&self.stranger, after, limit).await;
        self.refused("suppressed", told, &vec![]);
        self.store.audience().suppressed(scope, after, limit).await
    }

    async fn create_campaign(&self, scope: &Scope, new: &NewCampaign) -> Answer<CreateCampaign> {
        let told = self.store.audience().create_campaign(&self.stranger, new).await;
        let first = new.sessions.first().copied();
        self.refused("create_campaign", told, &CreateCampaign::UnknownSession(first));
        self.store.audience().create_campaign(scope, new).await
    }

    async fn set_budget(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        budget: Option<Money>,
    ) -> Answer<Option<Campaign>> {
        let told = self.store.audience().set_budget(&self.stranger, campaign, None).await;
        self.refused("set_budget", told, &None);
        self.store.audience().set_budget(scope, campaign, budget).await
    }

    async fn launch(&self, scope: &Scope, campaign: CampaignId, chunk: &LaunchChunk) -> Answer<LaunchStep> {
        let told = self.store.audience().launch(&self.stranger, campaign, chunk).await;
        self.refused("launch", told, &LaunchStep::Missing);
        self.store.audience().launch(scope, campaign, chunk).await
    }

    async fn act(&self, scope: &Scope, campaign: CampaignId, action: CampaignAction) -> Answer<ActOutcome> {
        for action in [CampaignAction::Cancel, CampaignAction::Pause, CampaignAction::Resume] {
            let told = self.store.audience().act(&self.stranger, campaign, action).await;
            self.refused("act", told, &ActOutcome::Missing);
        }
        self.store.audience().act(scope, campaign, action).await
    }

    async fn campaign(&self, scope: &Scope, id: CampaignId) -> Answer<Option<Campaign>> {
        self.refused("campaign", self.store.audience().campaign(&self.stranger, id).await, &None);
        self.store.audience().campaign(scope, id).await
    }

    async fn campaign_named(&self, scope: &Scope, name: &CampaignName) -> Answer<Option<Campaign>> {
        let told = self.store.audience().campaign_named(&self.stranger, name).await;
        self.refused("campaign_named", told, &None);
        self.store.audience().campaign_named(scope, name).await
    }

    async fn campaigns(&self, scope: &Scope, after: Option<CampaignId>, limit: u32) -> Answer<Vec<Campaign>> {
        let told = self.store.audience().campaigns(&self.stranger, after, limit).await;
        self.refused("campaigns", told, &vec![]);
        self.store.audience().campaigns(scope, after, limit).await
    }

    async fn advance(&self, scope: &AdminScope) -> Answer<Advanced> {
        self.store.audience().advance(scope).await
    }
}
