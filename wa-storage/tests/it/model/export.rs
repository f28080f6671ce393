//! Everything that can be read back, compared.

use chrono::{DateTime, Utc};
use wa_core::model::{BudgetOf, Event, EventBody, Period, StreamPosition, TenantId};
use wa_core::port::store::{ConversationFilter, CostOf, DueQuery, FailureFilter, WindowFilter};
use wa_core::testing::scope;

use super::pair::both;
use super::script::{Script, Step};
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
    /// Reads everything back from both stores.
    pub(super) async fn compare(&self) -> Step {
        let pair = &self.pair;
        let tenants = both!(pair, s => s.directory().tenants(&admin(), None, 100)).expect("a page");
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
                    both!(pair, s => s.outbox().due(&holder, &ask)).expect("a page");
                }
            }
        }
        both!(pair, s => s.inbox().unprojected(&admin(), None, 1_000)).expect("a page");
        both!(pair, s => s.journal().read(&admin(), StreamPosition(0), 10_000), bodies).expect("events");
        Ok(())
    }

    async fn compare_tenant(&self, tenant: TenantId) -> Step {
        let (pair, of) = (&self.pair, scope::tenant(tenant));
        both!(pair, s => s.directory().settings(&of)).expect("settings");
        both!(pair, s => s.audience().suppressed(&of, None, 1_000)).expect("a page");
        both!(pair, s => s.ledger().entitlement(&of)).expect("an entitlement");
        both!(pair, s => s.ledger().usage(&of, Period::of(self.now()))).expect("usage");
        both!(pair, s => s.ledger().cost(&of, &CostOf::Everything)).expect("a cost");
        self.compare_money(tenant).await?;
        both!(pair, s => s.numbers().breakers(&of)).expect("breakers");
        both!(pair, s => s.journal().notices(&of, None, 1_000)).expect("notices");
        both!(pair, s => s.inbox().inbound(&of, None, 1_000)).expect("inbound messages");
        both!(pair, s => s.inbox().windows(&of, &WindowFilter::default(), None, 1_000)).expect("windows");
        both!(pair, s => s.numbers().templates(&of, None, 1_000)).expect("templates");
        let every = ConversationFilter::default();
        let all = both!(pair, s => s.inbox().conversations(&of, &every, None, 1_000)).expect("conversations");
        for one in all {
            both!(pair, s => s.inbox().conversation_messages(&of, one.id, None, 1_000)).expect("messages");
        }
        both!(pair, s => s.reports().in_doubt(&of, None, 1_000)).expect("a page");
        both!(pair, s => s.reports().failed(&of, &FailureFilter::default(), None, 1_000)).expect("a page");
        both!(pair, s => s.reports().silent(&of, None, 1_000)).expect("a page");
        let sessions = both!(pair, s => s.numbers().sessions(&of, None, 1_000)).expect("sessions");
        let contacts = both!(pair, s => s.audience().contacts(&of, None, None, 1_000)).expect("contacts");
        for session in &sessions {
            both!(pair, s => s.numbers().route(&admin(), &session.transport, &session.number))
                .expect("routes");
            for contact in &contacts {
                both!(pair, s => s.ledger().contact_spend(&of, contact.id)).expect("a contact's cost");
                both!(pair, s => s.inbox().window(&of, session.id, contact.id)).expect("a window");
            }
        }
        for list in ["people", "friends"] {
            let list = list.parse().expect("a list name");
            both!(pair, s => s.audience().contacts(&of, Some(&list), None, 1_000)).expect("members");
            let imports = both!(pair, s => s.audience().imports(&of, &list)).expect("imports");
            for import in imports {
                both!(pair, s => s.audience().import_report(&of, import.id, 0, 1_000)).expect("lines");
            }
        }
        self.compare_schedules(tenant).await?;
        let campaigns = both!(pair, s => s.audience().campaigns(&of, None, 1_000)).expect("campaigns");
        for campaign in campaigns {
            both!(pair, s => s.reports().counts(&of, campaign.id)).expect("counts");
            both!(pair, s => s.ledger().cost(&of, &CostOf::Campaign(campaign.id))).expect("a cost");
            let spent = BudgetOf::Campaign(campaign.id);
            both!(pair, s => s.ledger().budget_use(&of, spent)).expect("a budget");
            both!(pair, s => s.reports().alert(&of, campaign.id)).expect("an alert");
            both!(pair, s => s.reports().recipients(&of, campaign.id, None, 1_000)).expect("messages");
        }
        for (_, message) in self.messages.iter().filter(|(owner, _)| *owner == tenant) {
            both!(pair, s => s.reports().message(&of, *message)).expect("a message");
        }
        Ok(())
    }
}
