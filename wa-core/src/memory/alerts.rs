//! What failures lead to beside themselves: they are told, and campaigns are looked at.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::state::State;
use crate::model::{
    CampaignAction, CampaignAlert, CampaignId, EventBody, MessageState, TenantId, Undelivered,
};
use crate::rules::alert::{Look, look};
use crate::rules::campaign::{Move, act};
use crate::rules::failure;

/// What a call changed of one campaign's messages.
#[derive(Debug, Default)]
struct Change {
    fresh: BTreeMap<String, u64>,
    answered: i64,
}

impl State {
    /// The messages that a call made fail, by tenant.
    pub(super) fn failures(&self, entries: &Entries) -> BTreeMap<TenantId, Vec<Undelivered>> {
        let mut failures: BTreeMap<TenantId, Vec<Undelivered>> = BTreeMap::new();
        for (owner, message, _, new) in entries.differing() {
            let Some(tenant) = self.tenants.get(owner).filter(|_| *new == MessageState::Failed) else {
                continue;
            };
            let Some(failure) = tenant.failure(*message) else { continue };
            failures.entry(*owner).or_default().push(Undelivered {
                message: *message,
                campaign: tenant.messages.get(message).and_then(|message| message.campaign),
                code: failure.code,
                class: failure.class,
                critical: failure.critical && !flawed!(self, TellsOfNothingCritical),
            });
        }
        failures
    }

    /// Looks at the campaigns of which a call made messages fail; what is to be told of them.
    pub(super) fn look_at_campaigns(
        &mut self,
        entries: &Entries,
        now: DateTime<Utc>,
    ) -> Vec<(TenantId, EventBody)> {
        let mut changes: BTreeMap<(TenantId, CampaignId), Change> = BTreeMap::new();
        for (owner, message, old, new) in entries.differing() {
            let Some(tenant) = self.tenants.get(owner) else { continue };
            let campaign = tenant.messages.get(message).and_then(|message| message.campaign);
            let Some(campaign) = campaign else { continue };
            let change = changes.entry((*owner, campaign)).or_default();
            change.answered += i64::from(is_answered(*new)) - i64::from(is_answered(*old));
            if *new == MessageState::Failed {
                let chain: Vec<_> = tenant.chain(*message).map(|(_, attempt)| &attempt.facts).collect();
                *change.fresh.entry(failure::reason(&chain)).or_default() += 1;
            }
        }
        changes.retain(|_, change| !change.fresh.is_empty());
        let mut told = Vec::new();
        for ((owner, id), Change { fresh, answered }) in changes {
            let Some(tenant) = self.tenants.get_mut(&owner) else { continue };
            let Some(counts) = tenant.campaigns.get(&id).map(|row| tenant.counts(row)) else { continue };
            let meter = tenant.meters.get(&id).cloned().unwrap_or_default();
            let seen =
                look(meter, &Look { counts: &counts, fresh: &fresh, answered }, &tenant.settings.alerts);
            let meter = flawed!(tenant, AlertsAgainAndAgain => super::flaws::unsaid(seen.meter), seen.meter);
            tenant.meters.insert(id, meter);
            for alert in seen.alerts {
                let pauses = matches!(alert, CampaignAlert::Paused { .. });
                told.push((owner, EventBody::CampaignAlert { campaign: id, alert }));
                let pauses = pauses && !flawed!(tenant, TellsOfAPauseOnly);
                let Some(row) = tenant.campaigns.get_mut(&id).filter(|_| pauses) else { continue };
                let next =
                    act(row.campaign.state, CampaignAction::Pause, row.is_frozen, row.campaign.start_at, now);
                if let Move::To(state) = next {
                    row.campaign.state = state;
                    told.push((owner, EventBody::Campaign { campaign: id, state }));
                }
            }
        }
        told
    }
}

/// Whether the provider has said anything about the message.
fn is_answered(state: MessageState) -> bool {
    match state {
        MessageState::Accepted
        | MessageState::Sent
        | MessageState::Delivered
        | MessageState::Read
        | MessageState::Played
        | MessageState::Failed => true,
        MessageState::Pending
        | MessageState::Held
        | MessageState::Attempting
        | MessageState::InDoubt
        | MessageState::Skipped => false,
    }
}
