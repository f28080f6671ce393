//! Looks at everything that is stored and compares it with what truly happened.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hub::lock;
use super::link::at_once;
use super::world::World;
use crate::model::{AttemptKey, CampaignState, MessageState, MessageView};

impl World {
    /// Every message.
    pub(super) fn views(&self) -> Vec<MessageView> {
        let campaigns = self.tenant.campaigns();
        let mut views = Vec::new();
        for campaign in &self.campaigns {
            views.extend(at_once(campaigns.recipients(*campaign, None, 1_000)).expect("messages"));
        }
        for single in &self.singles {
            // After a restore a message may be unknown.
            views.extend(at_once(self.tenant.messages().get(*single)));
        }
        views
    }

    /// Whether everything has come to an end.
    pub(super) fn is_over(&self) -> bool {
        let campaigns = self.tenant.campaigns();
        let is_closed = |id: &_| {
            let state = at_once(campaigns.get(*id)).expect("a campaign").state;
            matches!(state, CampaignState::Completed | CampaignState::Cancelled)
        };
        let is_open = |view: &MessageView| {
            matches!(view.state, MessageState::Pending | MessageState::Held | MessageState::Attempting)
        };
        self.campaigns.iter().all(is_closed)
            && !self.views().iter().any(is_open)
            && lock(&self.hub.meta).next_at().is_none()
            && self.hub.next_at().is_none_or(|at| at > self.hub.now())
    }

    /// Checks what is stored; `at_the_end` everything must have come to an end.
    pub(super) fn look(&mut self, at_the_end: bool) {
        let hub = Arc::clone(&self.hub);
        let violated = |promise, what| lock(&hub.trace).violated(promise, hub.now(), what);
        let views = self.views();
        for view in &views {
            let (name, is_known) = {
                let mut audit = lock(&hub.audit);
                (audit.name(view.id), !audit.is_forgotten(view.id))
            };
            let (taken, over, delivered, read) = {
                let meta = lock(&hub.meta);
                let mut fates = meta.fates(view.id);
                let taken = meta.fates(view.id).any(|fate| fate.taken);
                let over = fates.all(|fate| !fate.taken || fate.failed);
                let delivered = meta.fates(view.id).any(|fate| fate.delivered);
                let read = meta.fates(view.id).any(|fate| fate.read);
                (taken, over, delivered, read)
            };
            let wrong = match view.state {
                MessageState::Accepted | MessageState::Sent if !taken => "the provider knows nothing of it",
                MessageState::Delivered if !delivered => "it was not delivered",
                MessageState::Read | MessageState::Played if !read => "nobody read it",
                MessageState::Failed | MessageState::Skipped if is_known && !over => "the provider took it",
                MessageState::Failed | MessageState::Skipped if was_heard(view) => {
                    "it is known to be delivered"
                }
                _ => "",
            };
            if !wrong.is_empty() {
                violated("I3", format!("message {name} is {}, and {wrong}", view.state.as_str()));
            }
            for attempt in &view.attempts {
                let key = AttemptKey { tenant: self.tenant.id(), message: view.id, n: attempt.n };
                let mask = attempt.facts.mask();
                let before = self.seen.insert(key, mask).unwrap_or_default();
                if before & !mask != 0 {
                    violated("I20", format!("message {name} lost facts: {before:#b} became {mask:#b}"));
                }
            }
            if at_the_end {
                self.check_end(view, name);
            }
        }
        self.check_counts(&views, at_the_end);
    }

    fn check_end(&self, view: &MessageView, name: u64) {
        let hub = &self.hub;
        let violated = |promise, what| lock(&hub.trace).violated(promise, hub.now(), what);
        match view.state {
            MessageState::Pending | MessageState::Held | MessageState::Attempting => {
                violated(
                    "I4",
                    format!("message {name} is {} in the end: {:?}", view.state.as_str(), view.held),
                );
            }
            MessageState::InDoubt => {
                let unknown = |n| AttemptKey { tenant: self.tenant.id(), message: view.id, n };
                let doubtful = view
                    .attempts
                    .iter()
                    .filter(|it| !it.facts.is_definitely_undelivered())
                    .all(|it| lock(&hub.audit).is_doubtful(unknown(it.n)));
                if !doubtful {
                    violated(
                        "I5",
                        format!("message {name} is in doubt, and no death and no answer is to blame"),
                    );
                }
            }
            MessageState::Accepted
            | MessageState::Sent
            | MessageState::Delivered
            | MessageState::Read
            | MessageState::Played
            | MessageState::Failed
            | MessageState::Skipped => {}
        }
    }

    /// The counts of every campaign add up, and are those of its messages.
    fn check_counts(&self, views: &[MessageView], at_the_end: bool) {
        let hub = &self.hub;
        let violated = |promise, what| lock(&hub.trace).violated(promise, hub.now(), what);
        let campaigns = self.tenant.campaigns();
        for campaign in &self.campaigns {
            let it = at_once(campaigns.counts(*campaign)).expect("counts");
            let sum = it.pending + it.attempting + it.accepted + it.failed + it.in_doubt + it.skipped;
            let own: BTreeSet<_> =
                views.iter().filter(|view| view.campaign == Some(*campaign)).map(|view| view.id).collect();
            if sum != it.audience || it.audience != hub.plan.members || own.len() as u64 != it.audience {
                violated("I4", format!("{} messages are found of {}: {it:?}", own.len(), hub.plan.members));
            }
            if it.accepted < it.sent || it.sent < it.delivered || it.delivered < it.read {
                violated("I20", format!("the funnel widens: {it:?}"));
            }
            let state = at_once(campaigns.get(*campaign)).expect("a campaign").state;
            if at_the_end && !matches!(state, CampaignState::Completed | CampaignState::Cancelled) {
                violated("I6", format!("a campaign is {} in the end: {it:?}", state.as_str()));
            }
        }
    }
}

/// Whether a status of delivery came for an attempt of a message.
fn was_heard(view: &MessageView) -> bool {
    view.attempts.iter().any(|attempt| attempt.facts.is_delivered())
}
