//! A stranger at the room of the read side.

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{CampaignAlert, CampaignCounts, CampaignId, MessageId, MessageView};
use crate::port::Scope;
use crate::port::store::{FailureFilter, Reports, TrendPoint, TrendQuery};

#[async_trait]
impl Reports for Trespassing {
    async fn counts(&self, scope: &Scope, campaign: CampaignId) -> Answer<Option<CampaignCounts>> {
        self.refused("counts", self.store.reports().counts(&self.stranger, campaign).await, &None);
        self.store.reports().counts(scope, campaign).await
    }

    async fn message(&self, scope: &Scope, id: MessageId) -> Answer<Option<MessageView>> {
        self.refused("message", self.store.reports().message(&self.stranger, id).await, &None);
        self.store.reports().message(scope, id).await
    }

    async fn messages(
        &self,
        scope: &Scope,
        before: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        let told = self.store.reports().messages(&self.stranger, before, limit).await;
        self.refused("messages", told, &vec![]);
        self.store.reports().messages(scope, before, limit).await
    }

    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        let told = self.store.reports().recipients(&self.stranger, campaign, after, limit).await;
        self.refused("recipients", told, &vec![]);
        self.store.reports().recipients(scope, campaign, after, limit).await
    }

    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        self.refused("in_doubt", self.store.reports().in_doubt(&self.stranger, after, limit).await, &vec![]);
        self.store.reports().in_doubt(scope, after, limit).await
    }

    async fn failed(
        &self,
        scope: &Scope,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Answer<Vec<MessageView>> {
        self.refused(
            "failed",
            self.store.reports().failed(&self.stranger, filter, after, limit).await,
            &vec![],
        );
        self.store.reports().failed(scope, filter, after, limit).await
    }

    async fn silent(&self, scope: &Scope, after: Option<MessageId>, limit: u32) -> Answer<Vec<MessageView>> {
        self.refused("silent", self.store.reports().silent(&self.stranger, after, limit).await, &vec![]);
        self.store.reports().silent(scope, after, limit).await
    }

    async fn alert(&self, scope: &Scope, campaign: CampaignId) -> Answer<Option<CampaignAlert>> {
        self.refused("alert", self.store.reports().alert(&self.stranger, campaign).await, &None);
        self.store.reports().alert(scope, campaign).await
    }

    async fn trend(&self, scope: &Scope, ask: &TrendQuery) -> Answer<Vec<TrendPoint>> {
        self.refused("trend", self.store.reports().trend(&self.stranger, ask).await, &vec![]);
        self.store.reports().trend(scope, ask).await
    }
}
