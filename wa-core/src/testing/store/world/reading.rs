//! The read side, and everything of it at once.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{World, found, must};
use crate::model::{
    Campaign, CampaignCounts, CampaignId, Contact, Conversation, Entitlement, Event, EventBody, MessageId,
    MessageState, MessageView, Period, Schedule, Session, StreamPosition, TemplateRecord, TenantSettings,
};
use crate::port::store::{
    ConversationFilter, ConversationMessage, Cost, CostOf, StoredInbound, SuppressedAddress, WindowEntry,
    WindowFilter, WindowView,
};
use crate::port::{Notice, Scope};

/// Everything that a tenant can read.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::testing::store) struct Snapshot {
    pub(in crate::testing::store) settings: Option<TenantSettings>,
    pub(in crate::testing::store) entitlement: Option<Entitlement>,
    pub(in crate::testing::store) used: Option<u64>,
    pub(in crate::testing::store) cost: Cost,
    pub(in crate::testing::store) sessions: Vec<Session>,
    pub(in crate::testing::store) breakers: Vec<crate::model::Breaker>,
    pub(in crate::testing::store) contacts: Vec<Contact>,
    pub(in crate::testing::store) suppressed: Vec<SuppressedAddress>,
    pub(in crate::testing::store) campaigns: Vec<(Campaign, Option<CampaignCounts>, Vec<MessageView>)>,
    pub(in crate::testing::store) schedules: Vec<Schedule>,
    pub(in crate::testing::store) in_doubt: Vec<MessageView>,
    pub(in crate::testing::store) inbound: Vec<StoredInbound>,
    pub(in crate::testing::store) windows: Vec<WindowEntry>,
    pub(in crate::testing::store) conversations: Vec<(Conversation, Vec<ConversationMessage>)>,
    pub(in crate::testing::store) templates: Vec<TemplateRecord>,
    pub(in crate::testing::store) notices: Vec<Notice>,
    pub(in crate::testing::store) events: Vec<Event>,
}

impl World {
    pub(in crate::testing::store) async fn view(&self, scope: &Scope, id: MessageId) -> MessageView {
        found(self.reports().message(scope, id).await)
    }

    pub(in crate::testing::store) async fn state(&self, scope: &Scope, id: MessageId) -> MessageState {
        self.view(scope, id).await.state
    }

    pub(in crate::testing::store) async fn counts(&self, scope: &Scope, id: CampaignId) -> CampaignCounts {
        found(self.reports().counts(scope, id).await)
    }

    pub(in crate::testing::store) async fn recipients(
        &self,
        scope: &Scope,
        id: CampaignId,
    ) -> Vec<MessageView> {
        must(self.reports().recipients(scope, id, None, 10_000).await)
    }

    pub(in crate::testing::store) async fn used(&self, scope: &Scope) -> u64 {
        found(self.ledger().usage(scope, Period::of(self.now())).await).used
    }

    pub(in crate::testing::store) async fn events(&self) -> Vec<Event> {
        must(self.journal().read(&self.admin(), StreamPosition::default(), 10_000).await)
    }

    /// The state of each message of a tenant as a reader of the journal knows it.
    pub(in crate::testing::store) async fn told(&self, scope: &Scope) -> BTreeMap<MessageId, MessageState> {
        let mut told = BTreeMap::new();
        for event in self.events().await.into_iter().filter(|event| event.tenant == scope.tenant()) {
            if let EventBody::Messages { changes } = event.body {
                told.extend(changes);
            }
        }
        told
    }

    pub(in crate::testing::store) async fn snapshot(&self, scope: &Scope) -> Snapshot {
        let mut campaigns = Vec::new();
        for campaign in must(self.audience().campaigns(scope, None, 10_000).await) {
            let counts = must(self.reports().counts(scope, campaign.id).await);
            let views = self.recipients(scope, campaign.id).await;
            campaigns.push((campaign, counts, views));
        }
        let usage = must(self.ledger().usage(scope, Period::of(self.now())).await);
        let mut events = self.events().await;
        events.retain(|event| event.tenant == scope.tenant());
        Snapshot {
            settings: must(self.directory().settings(scope).await),
            entitlement: must(self.ledger().entitlement(scope).await),
            used: usage.map(|usage| usage.used),
            cost: must(self.ledger().cost(scope, &CostOf::Everything).await),
            sessions: must(self.numbers().sessions(scope, None, 10_000).await),
            breakers: must(self.numbers().breakers(scope).await),
            contacts: must(self.audience().contacts(scope, None, None, 10_000).await),
            suppressed: must(self.audience().suppressed(scope, None, 10_000).await),
            campaigns,
            schedules: must(self.schedules().all_schedules(scope, None, 10_000).await),
            in_doubt: must(self.reports().in_doubt(scope, None, 10_000).await),
            inbound: must(self.inbox().inbound(scope, None, 10_000).await),
            windows: self.windows(scope).await,
            conversations: self.conversations(scope).await,
            templates: must(self.numbers().templates(scope, None, 10_000).await),
            notices: must(self.journal().notices(scope, None, 10_000).await),
            events,
        }
    }

    /// Every window, without what changes with the clock alone.
    async fn windows(&self, scope: &Scope) -> Vec<WindowEntry> {
        let page = must(self.inbox().windows(scope, &WindowFilter::default(), None, 10_000).await);
        let still = |entry: WindowEntry| WindowEntry {
            window: WindowView { remaining: TimeDelta::zero(), ..entry.window },
            ..entry
        };
        page.into_iter().map(still).collect()
    }

    pub(in crate::testing::store) async fn conversations(
        &self,
        scope: &Scope,
    ) -> Vec<(Conversation, Vec<ConversationMessage>)> {
        let mut all = Vec::new();
        let every = ConversationFilter::default();
        for conversation in must(self.inbox().conversations(scope, &every, None, 10_000).await) {
            let id = conversation.id;
            let messages = must(self.inbox().conversation_messages(scope, id, None, 10_000).await);
            all.push((conversation, messages));
        }
        all
    }
}
