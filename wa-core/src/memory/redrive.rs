//! Failed messages and what is put back of them by hand; and messages that were never heard of.

use chrono::{DateTime, TimeDelta, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::state::{DueRow, TenantRow};
use super::{behind, page};
use crate::model::{CampaignId, DeliveryFacts, EventBody, MessageId, MessageState, SessionId};
use crate::port::store::{FailureFilter, Listened, Redrive, RedriveOf, Redriven, RetryMessage};
use crate::rules::failure::Failure;
use crate::rules::redrive;
use crate::rules::silence::{Ear, Heard, hear};

impl TenantRow {
    fn facts_of(&self, id: MessageId) -> Vec<&DeliveryFacts> {
        self.chain(id).map(|(_, attempt)| &attempt.facts).collect()
    }

    /// Why a message failed, if it did.
    pub(super) fn failure(&self, id: MessageId) -> Option<Failure> {
        if self.state_of(id) != MessageState::Failed {
            return None;
        }
        Failure::of(&self.facts_of(id))
    }

    /// The failed messages that fit, in order.
    pub(super) fn failed<'a>(
        &'a self,
        filter: &'a FailureFilter,
        after: Option<MessageId>,
    ) -> impl Iterator<Item = MessageId> + 'a {
        self.messages.range(behind(after)).filter_map(move |(id, message)| {
            let (_, last) = self.chain(*id).last()?;
            let is_listed = filter.fits(message.campaign, last.session, &self.failure(*id)?);
            is_listed.then_some(*id)
        })
    }

    pub(super) fn retry(&mut self, id: MessageId, now: DateTime<Utc>, entries: &mut Entries) -> RetryMessage {
        let Some(message) = self.messages.get(&id) else { return RetryMessage::Missing };
        let campaign = message.campaign.and_then(|id| self.campaigns.get(&id)).map(|row| row.campaign.state);
        let (old, skipped) = (self.state_of(id), self.closed.get(&id).copied());
        #[cfg(feature = "mutants")]
        let (old, skipped) = super::flaws::put_back(self.flaw, old, skipped);
        match redrive::decide(old, skipped, &self.facts_of(id), campaign, now) {
            redrive::Redrive::Never => RetryMessage::Not(old),
            redrive::Redrive::Again(due_at) => {
                self.closed.remove(&id);
                self.redriven.insert(id, self.next_n(id).saturating_sub(1));
                self.due.insert(id, DueRow { due_at, why: None });
                entries.changed(self.tenant.id, id, old, self.state_of(id));
                RetryMessage::Requeued(due_at)
            }
        }
    }

    pub(super) fn redrive(&mut self, ask: &Redrive, now: DateTime<Utc>, entries: &mut Entries) -> Redriven {
        let fitting: Vec<MessageId> = match &ask.of {
            RedriveOf::Failed(filter) => {
                #[cfg(feature = "mutants")]
                let all = FailureFilter::default();
                let filter = flawed!(self, RedrivesWhatDoesNotFit => &all, filter);
                page(self.failed(filter, ask.after), ask.limit)
            }
            RedriveOf::Skipped { reason, campaign } => {
                let closed = self.closed.range(behind(ask.after)).filter(|(_, why)| *why == reason);
                let fits =
                    |id: &MessageId| campaign.is_none_or(|campaign| self.campaign_of(*id) == Some(campaign));
                page(
                    closed.map(|(id, _)| *id).filter(|id| {
                        (redrive::may_return(*reason)) && (fits(id) || flawed!(self, RedrivesAnyCampaign))
                    }),
                    ask.limit,
                )
            }
        };
        let full =
            fitting.len() >= usize::try_from(ask.limit.clamp(1, super::MAX_PAGE)).unwrap_or(usize::MAX);
        let mut redriven = Redriven { next: fitting.last().copied().filter(|_| full), ..Redriven::default() };
        flawed!(self, RedrivesWhatIsInDoubt => { redriven.requeued += super::flaws::redrive_doubtful(self, now); });
        for id in fitting {
            match self.retry(id, now, entries) {
                RetryMessage::Requeued(_) => redriven.requeued += 1,
                RetryMessage::Not(_) | RetryMessage::Missing => redriven.refused += 1,
            }
        }
        redriven
    }

    fn campaign_of(&self, id: MessageId) -> Option<CampaignId> {
        self.messages.get(&id).and_then(|message| message.campaign)
    }

    /// Whether an attempt of a message was found silent and nothing was heard of it since.
    pub(super) fn is_silent(&self, id: MessageId) -> bool {
        self.chain(id).any(|(n, attempt)| {
            let is_silent = hear(&attempt.facts) == Heard::Silence;
            self.silent.contains(&(id, n)) && (is_silent || flawed!(self, ListsWhatWasHeardOf))
        })
    }

    pub(super) fn listen(
        &mut self,
        session: SessionId,
        limit: u32,
        now: DateTime<Utc>,
        listened: &mut Listened,
        entries: &mut Entries,
    ) {
        let (after, mut ear) =
            self.listened.get(&session).copied().map_or((None, Ear::default()), |(at, ear)| (Some(at), ear));
        let until = now - TimeDelta::seconds(i64::from(self.settings.alerts.silent_after_seconds));
        let mut waiting: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.session == session && attempt.begun_at <= until)
            .filter(|(_, attempt)| after.is_none_or(|after| attempt.begun_at > after))
            .map(|((id, n), attempt)| (attempt.begun_at, *id, *n, hear(&attempt.facts)))
            .collect();
        waiting.sort_by_key(|(begun_at, id, n, _)| (*begun_at, *id, *n));
        let chunk: Vec<_> = page(waiting.iter().copied(), limit);
        let Some((last, ..)) = chunk.last().copied() else { return };
        // What began together is looked at together.
        let mut silent = Vec::new();
        let mut became_deaf = false;
        for (_, id, n, heard) in waiting.iter().copied().filter(|(begun_at, ..)| *begun_at <= last) {
            flawed!(self, StopsListeningAtTheLimit => {
                if silent.len() >= chunk.len() {
                    break;
                }
            });
            became_deaf |= ear.listen(heard, self.settings.alerts.deaf_after);
            flawed!(self, TellsOfADeafNumberEachTime => {
                became_deaf |= ear.silent >= self.settings.alerts.deaf_after && self.settings.alerts.deaf_after > 0;
            });
            if heard == Heard::Silence {
                self.silent.insert((id, n));
                silent.push(id);
            }
        }
        listened.more |= waiting.iter().any(|(begun_at, ..)| *begun_at > last);
        self.listened.insert(session, (last, ear));
        let tenant = self.tenant.id;
        listened.silent.extend(silent.iter().map(|id| (tenant, *id)));
        if !silent.is_empty() {
            entries.note(tenant, EventBody::Silent { session, messages: silent });
        }
        if became_deaf {
            listened.deaf.push((tenant, session));
            entries.note(tenant, EventBody::SessionDeaf { session, silent: ear.silent });
        }
    }
}
