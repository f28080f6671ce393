//! Everything that can be read back, compared.

use chrono::{DateTime, Utc};
use wa_core::model::{BudgetOf, Event, EventBody, Period, StreamPosition, TenantId};
use wa_core::port::store::{ConversationFilter, CostOf, DueQuery, FailureFilter, WindowFilter};
use wa_core::testing::scope;

use super::script::{Script, Step};
use super::stores::every;
use crate::world::admin;

/// An event without its id, which each store makes itself. No order of the messages that one call
/// changed is promised.
pub(super) type Told = (StreamPosition, TenantId, DateTime<Utc>, EventBody);

pub(super) fn bodies(events: Vec<Event>) -> Vec<Told> {
    let tidy = |body| match body {
        EventBody::Messages { mut changes } => {
            changes.sort();
            EventBody::Messages { changes }
        }
        EventBody::Undeliverable { mut failures } => {
            failures.sort_by_key(|failure| failure.message);
            EventBody::Undeliverable { failures }
        }
        other => other,
    };
    let told = |Event { id: _, position, tenant, at, body }| (position, tenant, at, tidy(body));
    events.into_iter().map(told).collect()
}

impl Script {
    /// Reads everything back from all stores.
    pub(super) async fn compare(&self) -> Step {
        let stores = &self.stores;
        let tenants = every!(stores, s => s.directory().tenants(&admin(), None, 100)).expect("a page");
        for tenant in tenants {
            self.compare_tenant(tenant.id).await?;
        }
        for worker in 0..super::script::WORKERS {
            let holder = self.holder(worker);
            for session in self.sessions.keys() {
                for limit in [2, 1_000] {
                    let ask = DueQuery {
                        session: *session,
                        lane: None,
                        limit,
                        skip: Vec::new(),
                        skip_feeds: Vec::new(),
                    };
                    every!(stores, s => s.outbox().due(&holder, &ask)).expect("a page");
                }
            }
        }
        self.compare_archive().await?;
        every!(stores, s => s.inbox().unprojected(&admin(), None, 1_000)).expect("a page");
        every!(stores, s => s.journal().read(&admin(), StreamPosition(0), 10_000), bodies).expect("events");
        Ok(())
    }

    async fn compare_tenant(&self, tenant: TenantId) -> Step {
        let (stores, of) = (&self.stores, scope::tenant(tenant));
        every!(stores, s => s.directory().settings(&of)).expect("settings");
        every!(stores, s => s.audience().suppressed(&of, None, 1_000)).expect("a page");
        every!(stores, s => s.ledger().entitlement(&of)).expect("an entitlement");
        every!(stores, s => s.ledger().usage(&of, Period::of(self.now()))).expect("usage");
        every!(stores, s => s.ledger().cost(&of, &CostOf::Everything)).expect("a cost");
        self.compare_export(tenant).await?;
        self.compare_money(tenant).await?;
        every!(stores, s => s.numbers().breakers(&of)).expect("breakers");
        every!(stores, s => s.journal().notices(&of, None, 1_000)).expect("notices");
        every!(stores, s => s.inbox().inbound(&of, None, 1_000)).expect("inbound messages");
        every!(stores, s => s.inbox().windows(&of, &WindowFilter::default(), None, 1_000)).expect("windows");
        every!(stores, s => s.numbers().templates(&of, None, 1_000)).expect("templates");
        let every = ConversationFilter::default();
        let all =
            every!(stores, s => s.inbox().conversations(&of, &every, None, 1_000)).expect("conversations");
        for one in all {
            every!(stores, s => s.inbox().conversation_messages(&of, one.id, None, 1_000)).expect("messages");
        }
        every!(stores, s => s.reports().in_doubt(&of, None, 1_000)).expect("a page");
        every!(stores, s => s.reports().failed(&of, &FailureFilter::default(), None, 1_000)).expect("a page");
        every!(stores, s => s.reports().silent(&of, None, 1_000)).expect("a page");
        let sessions = every!(stores, s => s.numbers().sessions(&of, None, 1_000)).expect("sessions");
        let contacts = every!(stores, s => s.audience().contacts(&of, None, None, 1_000)).expect("contacts");
        for session in &sessions {
            every!(stores, s => s.numbers().route(&admin(), &session.transport, &session.number))
                .expect("routes");
            for contact in &contacts {
                every!(stores, s => s.ledger().contact_spend(&of, contact.id)).expect("a contact's cost");
                every!(stores, s => s.inbox().window(&of, session.id, contact.id)).expect("a window");
            }
        }
        for list in ["people", "friends"] {
            let list = list.parse().expect("a list name");
            every!(stores, s => s.audience().contacts(&of, Some(&list), None, 1_000)).expect("members");
            let imports = every!(stores, s => s.audience().imports(&of, &list)).expect("imports");
            for import in imports {
                every!(stores, s => s.audience().import_report(&of, import.id, 0, 1_000)).expect("lines");
            }
        }
        self.compare_schedules(tenant).await?;
        let campaigns = every!(stores, s => s.audience().campaigns(&of, None, 1_000)).expect("campaigns");
        for campaign in campaigns {
            every!(stores, s => s.reports().counts(&of, campaign.id)).expect("counts");
            every!(stores, s => s.ledger().cost(&of, &CostOf::Campaign(campaign.id))).expect("a cost");
            let spent = BudgetOf::Campaign(campaign.id);
            every!(stores, s => s.ledger().budget_use(&of, spent)).expect("a budget");
            every!(stores, s => s.reports().alert(&of, campaign.id)).expect("an alert");
            every!(stores, s => s.reports().recipients(&of, campaign.id, None, 1_000)).expect("messages");
        }
        for (_, message) in self.messages.iter().filter(|(owner, _)| *owner == tenant) {
            every!(stores, s => s.reports().message(&of, *message)).expect("a message");
        }
        Ok(())
    }
}
