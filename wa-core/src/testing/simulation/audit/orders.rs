//! What was decided and binds every later begin, also when the store goes back to an earlier state.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Audit;
use crate::model::{CampaignId, Category, MessageId, Phone, SessionId};
use crate::port::store::BeginItem;
use crate::rules::window::{self, Guard};
use crate::testing::simulation::hub::{Hub, lock};
use crate::testing::simulation::mark::Mark;

/// What binds every later begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Decided {
    pub(super) tenant_paused: bool,
    pub(super) paused: BTreeSet<CampaignId>,
    pub(super) cancelled: BTreeSet<CampaignId>,
    pub(super) cancelled_messages: BTreeSet<MessageId>,
    pub(super) opted_out: BTreeSet<Phone>,
    pub(super) no_marketing: BTreeSet<Phone>,
    /// Numbers that may not send, and until when.
    pub(super) stopped: BTreeMap<SessionId, Option<DateTime<Utc>>>,
}

impl Audit {
    /// What was decided before a begin binds it.
    pub(super) fn may_begin(&mut self, hub: &Hub, session: SessionId, item: &BeginItem, now: DateTime<Utc>) {
        let name = self.name(item.message);
        let phone = item.recipient.phone();
        let is_in = |phones: &BTreeSet<Phone>| phone.is_some_and(|phone| phones.contains(&phone));
        if self.decided.tenant_paused {
            Self::violated(hub, "I8", format!("message {name} was begun while its tenant was paused"));
        }
        if item.campaign.is_some_and(|campaign| self.decided.paused.contains(&campaign)) {
            Self::violated(hub, "I8", format!("message {name} was begun while its campaign was paused"));
        }
        let cancelled = item.campaign.is_some_and(|campaign| self.decided.cancelled.contains(&campaign))
            || self.decided.cancelled_messages.contains(&item.message);
        if cancelled {
            Self::violated(hub, "I8", format!("message {name} was begun although it was cancelled"));
        }
        let is_marketing = item.category == Category::Marketing;
        if is_in(&self.decided.opted_out) || (is_marketing && is_in(&self.decided.no_marketing)) {
            Self::violated(hub, "I15", format!("message {name} was begun although its contact opted out"));
        }
        if self.decided.stopped.get(&session).is_some_and(|until| until.is_none_or(|until| until > now)) {
            Self::violated(hub, "I16", format!("message {name} was begun while its number was stopped"));
        }
        if item.needs_window {
            let guard = Guard::default().of(item.lane);
            let wrote_at = phone.and_then(|phone| lock(&hub.meta).last_word(session, phone));
            if !window::is_open(wrote_at, now, guard) {
                let what = format!("message {name} was begun at {now}; its user last wrote at {wrote_at:?}");
                Self::violated(hub, "I13", what);
            }
        }
    }

    /// Everything up to now outlives a loss of power.
    pub(in super::super) fn durable(&mut self) {
        self.unsafe_settles.clear();
        self.on_disk = self.decided.clone();
    }

    /// The store went back to its last durable commit.
    pub(in super::super) fn lost_power(&mut self, hub: &Hub) {
        self.holders.clear();
        self.decided = self.on_disk.clone();
        for key in std::mem::take(&mut self.unsafe_settles) {
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.settled = false;
                attempt.excused = true;
                hub.mark(Mark::SettleLost);
            }
        }
    }

    /// A backup was made.
    pub(in super::super) fn backed_up(&mut self) {
        self.in_backup = (self.decided.clone(), self.attempts.keys().copied().collect());
    }

    /// The store went back to the backup: nobody can be blamed for what it does not know, once an
    /// operator has let things go on, and for nothing that begins before.
    pub(in super::super) fn restored(&mut self) {
        self.holders.clear();
        let (decided, known) = self.in_backup.clone();
        self.decided = decided;
        self.forgotten.extend(self.attempts.keys().filter(|key| !known.contains(key)).map(|key| key.message));
        self.attempts.retain(|key, _| known.contains(key));
        self.batches.retain(|_, keys| keys.iter().all(|key| known.contains(key)));
        self.attempts.values_mut().for_each(|attempt| attempt.excused = true);
        self.unreconciled = true;
    }

    /// Whether the store once knew of an attempt of a message and was put back to before.
    pub(in super::super) fn is_forgotten(&self, message: MessageId) -> bool {
        self.forgotten.contains(&message)
    }

    /// An operator let everything go on after a restore.
    pub(in super::super) fn reconciled(&mut self) {
        self.unreconciled = false;
    }

    pub(in super::super) fn pauses_all(&mut self, hub: &Hub, paused: bool) {
        self.decided.tenant_paused = paused;
        if paused && self.attempts.values().any(|attempt| !attempt.settled) {
            hub.mark(Mark::TenantPaused);
        }
    }

    pub(in super::super) fn pauses(&mut self, hub: &Hub, campaign: CampaignId) {
        self.decided.paused.insert(campaign);
        if self.is_open(campaign) {
            hub.mark(Mark::PausedWithOpenAttempts);
        }
    }

    /// A restored campaign waits until somebody resumes it.
    pub(in super::super) fn holds(&mut self, campaign: CampaignId) {
        self.decided.paused.insert(campaign);
    }

    pub(in super::super) fn resumes(&mut self, campaign: CampaignId) {
        self.decided.paused.remove(&campaign);
    }

    pub(in super::super) fn cancels(&mut self, hub: &Hub, campaign: CampaignId) {
        self.decided.cancelled.insert(campaign);
        if self.is_open(campaign) {
            hub.mark(Mark::CancelledWithOpenAttempts);
        }
    }

    pub(in super::super) fn cancels_message(&mut self, message: MessageId) {
        self.decided.cancelled_messages.insert(message);
    }

    pub(in super::super) fn opts_out(&mut self, phone: Phone) {
        self.decided.opted_out.insert(phone);
    }

    /// A number may send again.
    pub(in super::super) fn resets(&mut self, session: SessionId) {
        self.decided.stopped.remove(&session);
    }

    pub(in super::super) fn retries(&mut self, message: MessageId) {
        self.retried.insert(message);
    }

    fn is_open(&self, campaign: CampaignId) -> bool {
        self.attempts.values().any(|attempt| attempt.campaign == Some(campaign) && !attempt.settled)
    }
}
