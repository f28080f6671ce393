//! What fate and the operator do to a world while it is in danger, and how it heals.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::hub::lock;
use super::link::{at_once, flush};
use super::mark::Mark;
use super::plan::Plan;
use super::process::Course;
use super::world::{World, phone};
use crate::model::{
    BreakerScope, CampaignState, Consent, MessageState, MessageView, RejectClass, TenantSettings,
};
use crate::port::store::{CancelMessage, RetryMessage};

impl World {
    /// One blow of fate, or none.
    pub(super) fn strike(&mut self) {
        let hub = Arc::clone(&self.hub);
        let Plan { crash, freeze, hand_over, clock_step, token, ban, power_loss, restore, .. } = hub.plan;
        let now = hub.now();
        if hub.strikes(power_loss) {
            return self.lose_power();
        }
        if restore > 0 {
            self.back_up_or_restore(restore);
        }
        let victim = hub.dice.place(self.processes.len());
        if hub.strikes(crash) && victim < self.processes.len() {
            self.kill(victim);
        } else if let Some(process) = self.processes.get_mut(victim) {
            if hub.strikes(hand_over) && process.course == Course::Working {
                process.stop();
            } else if hub.strikes(freeze) {
                // Most are short; some outlast the lease.
                let most = hub.dice.one_of(&[300, 3_000, 12_000]);
                process.frozen_until = now + hub.dice.millis(most);
                hub.note("freezes", u64::from(process.name), most);
                if process.frozen_until > now + hub.plan.config.lease {
                    hub.mark(Mark::FrozenPastLease);
                }
            }
            if hub.strikes(clock_step) {
                let most = i64::try_from(hub.plan.skew.as_millis()).unwrap_or(0);
                let millis =
                    i64::try_from(hub.dice.below(hub.plan.skew.as_secs() * 2_000)).unwrap_or(0) - most;
                process.clock.set_ahead(TimeDelta::milliseconds(millis));
            }
        }
        if hub.strikes(token) {
            lock(&hub.meta).token_is_valid = false;
        }
        if hub.strikes(ban) {
            let (_, number) = self.number();
            lock(&hub.meta).banned.insert(number);
        }
        self.interfere();
        if hub.strikes(100) {
            // Somebody repairs what can be repaired by hand.
            self.repair();
        }
    }

    /// The operator and the contacts do something.
    fn interfere(&mut self) {
        let hub = Arc::clone(&self.hub);
        let Plan { pause, cancel, cancel_message, retry, opt_out, stop_word, tenant_pause, enqueue, .. } =
            hub.plan;
        let campaigns = self.tenant.campaigns();
        if hub.strikes(pause) {
            let campaign = hub.dice.one_of(&self.campaigns);
            let state = at_once(campaigns.get(campaign)).expect("a campaign").state;
            if matches!(state, CampaignState::Paused | CampaignState::NeedsReconcile) {
                // What is begun from here on may be begun.
                lock(&hub.audit).resumes(campaign);
                at_once(campaigns.resume(campaign)).expect("a paused campaign can be resumed");
            } else if at_once(campaigns.pause(campaign)).is_ok() {
                lock(&hub.audit).pauses(&hub, campaign);
            }
        }
        if hub.strikes(tenant_pause) {
            let paused = hub.dice.per_mille(300);
            self.pause_all(paused);
        }
        if hub.strikes(stop_word) {
            let (session, number) = self.number();
            let who = phone(hub.dice.below(hub.plan.members));
            let later = hub.dice.millis(3_000);
            lock(&hub.meta).user_writes(&hub, (session, &number), who, hub.wall(), ("STOP", later));
        }
        if hub.strikes(cancel) {
            let campaign = hub.dice.one_of(&self.campaigns);
            if at_once(campaigns.cancel(campaign)).is_ok() {
                lock(&hub.audit).cancels(&hub, campaign);
            }
        }
        if hub.strikes(cancel_message) {
            let message = hub.dice.one_of(&self.singles);
            if let Ok(CancelMessage::Cancelled) = at_once(self.tenant.messages().cancel(message)) {
                lock(&hub.audit).cancels_message(message);
            }
        }
        if hub.strikes(opt_out) {
            let phone = phone(hub.dice.below(hub.plan.members));
            let contacts = self.tenant.contacts();
            if let Ok(Some(contact)) = at_once(contacts.find(&phone.into())) {
                at_once(contacts.set_consent(contact.id, Consent::OptedOut)).expect("a contact opts out");
                lock(&hub.audit).opts_out(phone);
                let waits = |state| matches!(state, MessageState::Pending | MessageState::Held);
                if self.views().iter().any(|it| it.recipient.phone() == Some(phone) && waits(it.state)) {
                    hub.mark(Mark::OptOutWhileQueued);
                }
            }
        }
        if hub.strikes(retry) {
            // What fails again for a day is not waited for.
            let is_patient = |it: &MessageView| it.failure().is_some_and(|it| it.class == RejectClass::Later);
            let is_failed = |it: &MessageView| it.state == MessageState::Failed && !is_patient(it);
            let failed = self.views().into_iter().find(is_failed);
            if let Some(failed) = failed
                && let Ok(RetryMessage::Requeued(_)) = at_once(self.tenant.messages().retry(failed.id))
            {
                lock(&hub.audit).retries(failed.id);
            }
        }
        if hub.strikes(enqueue) {
            self.enqueue();
        }
        if hub.strikes(hub.plan.reconcile) {
            self.reconcile();
        }
        flush(&self.store, &hub, &self.disk);
    }

    /// Pauses the tenant by its settings, or lets it go on.
    fn pause_all(&self, paused: bool) {
        let settings = at_once(self.tenant.settings()).expect("settings");
        lock(&self.hub.audit).pauses_all(&self.hub, paused);
        at_once(self.tenant.put_settings(&TenantSettings { paused, ..settings })).expect("settings");
    }

    /// New credentials, talks with the provider, breakers that are reset.
    fn repair(&mut self) {
        let hub = Arc::clone(&self.hub);
        {
            let mut meta = lock(&hub.meta);
            meta.token_is_valid = true;
            meta.banned.clear();
        }
        for breaker in at_once(self.tenant.sessions().breakers()).expect("breakers") {
            if let BreakerScope::Session(session) = breaker.scope {
                lock(&hub.audit).resets(session);
            }
            at_once(self.tenant.sessions().reset(&breaker.scope)).expect("a breaker is reset");
        }
        flush(&self.store, &hub, &self.disk);
    }

    /// The machine of the store and of all processes loses its power: what was not written durably is
    /// gone, and so is everything that was on its way to the store.
    fn lose_power(&mut self) {
        let hub = Arc::clone(&self.hub);
        let Some(disk) = lock(&self.disk).clone() else { return };
        hub.note("power", 0, 0);
        self.kill_all();
        hub.lose_all();
        self.store.restore(&disk);
        lock(&hub.audit).lost_power(&hub);
        self.seen.clear();
    }

    /// A backup is made, or the last one is restored.
    fn back_up_or_restore(&mut self, restore: u64) {
        let hub = Arc::clone(&self.hub);
        if self.backup.is_none() {
            if hub.strikes(100) {
                self.backup = Some((self.store.snapshot(), hub.wall()));
                lock(&hub.audit).backed_up();
            }
            return;
        }
        if !hub.strikes(restore) {
            return;
        }
        let Some((backup, made_at)) = self.backup.take() else { return };
        hub.note("restore", 0, 0);
        self.kill_all();
        hub.lose_all();
        let campaigns = self.tenant.campaigns();
        self.store.restore_backup(&backup, hub.wall(), hub.dice.seed());
        lock(&hub.audit).restored();
        lock(&hub.meta).excuses_after(made_at);
        for campaign in &self.campaigns {
            if at_once(campaigns.get(*campaign)).expect("a campaign").state == CampaignState::NeedsReconcile {
                lock(&hub.audit).holds(*campaign);
                hub.mark(Mark::RestoredWhileRunning);
            }
        }
        self.seen.clear();
        flush(&self.store, &hub, &self.disk);
    }

    /// The operator has looked at what was restored, and lets the store go on.
    fn reconcile(&self) {
        lock(&self.hub.audit).reconciled();
        if at_once(self.kit.reconcile().resume()).expect("an answer") {
            self.hub.mark(Mark::ResumedAfterRestore);
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        let hub = Arc::clone(&self.hub);
        hub.note("heals", 0, 0);
        hub.set_healed(true);
        lock(&hub.meta).heal(&hub);
        for process in &mut self.processes {
            process.frozen_until = Duration::ZERO;
            process.clock.set_ahead(TimeDelta::zero());
        }
    }

    /// What an operator does until everything has come to an end.
    pub(super) fn operate(&mut self) {
        let hub = Arc::clone(&self.hub);
        self.repair();
        self.pause_all(false);
        let campaigns = self.tenant.campaigns();
        self.reconcile();
        for campaign in &self.campaigns {
            let state = at_once(campaigns.get(*campaign)).expect("a campaign").state;
            if matches!(state, CampaignState::Paused | CampaignState::NeedsReconcile) {
                lock(&hub.audit).resumes(*campaign);
                at_once(campaigns.resume(*campaign)).expect("a paused campaign can be resumed");
            }
        }
    }
}
