//! Merging facts into attempts, with everything that follows from them in the same commit.
//!
//! What follows is said by `rules::settle`; this file carries it out. Settle, project, sweep and
//! abandon all go through here.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::state::{DueRow, State, TenantRow};
use crate::model::{
    AttemptKey, Breaker, BreakerScope, CampaignState, Chosen, ConsentSource, ContactAttributes, ContactId,
    DeliveryFacts, Fact, NumberId, Outcome, SessionId, SkipReason, StatusUpdate, TenantId, TransportName,
};
use crate::rules::consent::ConsentNews;
use crate::rules::judge;
use crate::rules::price;
use crate::rules::retry::{self, Next};
use crate::rules::settle::{BreakerRule, Merge, consequences};
use crate::rules::status;

/// What is heard about an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum News<'a> {
    /// How the request ended.
    Outcome { outcome: &'a Outcome, at: DateTime<Utc>, retry_after: Option<Duration> },
    /// What a webhook says.
    Status(&'a StatusUpdate),
    /// Somebody says that it was delivered.
    Delivered(DateTime<Utc>),
}

impl<'a> News<'a> {
    /// The provider's id that it brings; empty where the provider names none.
    fn provider_id(&self) -> Option<&'a str> {
        match self {
            Self::Outcome { outcome: Outcome::Accepted { provider_id }, .. } => Some(provider_id),
            Self::Outcome {
                outcome: Outcome::NotSent | Outcome::Rejected(_) | Outcome::Ambiguous, ..
            } => None,
            Self::Status(update) => Some(&update.provider_id),
            Self::Delivered(_) => None,
        }
    }
}

/// What merges of one call did.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) entries: Entries,
    pub(super) opened: Vec<(TenantId, Breaker)>,
    /// The earliest of the due rows that were made.
    pub(super) due_at: Option<DateTime<Utc>>,
}

impl State {
    /// Merges one piece of news; `false` when there is no such attempt.
    pub(super) fn merge(
        &mut self,
        key: AttemptKey,
        news: News<'_>,
        now: DateTime<Utc>,
        merged: &mut Merged,
    ) -> bool {
        let Some(tenant) = self.tenants.get_mut(&key.tenant) else { return false };
        if !tenant.attempts.contains_key(&(key.message, key.n)) {
            return false;
        }
        let old = tenant.state_of(key.message);
        let mut early = Vec::new();
        if let Some(name) = news.provider_id().filter(|name| !name.is_empty()) {
            // Whatever name an attempt was ever given finds it.
            self.provider_ids.entry(name.to_owned()).or_default().insert(key);
            let address = tenant.address_of(key);
            let waiting =
                address.and_then(|(own, number)| self.waiting.remove(&(own, number, name.to_owned())));
            early = waiting.unwrap_or_default();
        }
        tenant.merge(key, news, &early, now, merged);
        let new = tenant.state_of(key.message);
        merged.entries.changed(key.tenant, key.message, old, new);
        true
    }
}

impl TenantRow {
    /// The transport and number that an attempt was begun for.
    pub(super) fn address_of(&self, key: AttemptKey) -> Option<(TransportName, NumberId)> {
        let attempt = self.attempts.get(&(key.message, key.n))?;
        let session = self.sessions.get(&attempt.session)?;
        Some((session.transport.clone(), session.number.clone()))
    }

    /// Merges news and the statuses that waited for its provider id; what follows, follows from all of it.
    fn merge(
        &mut self,
        key: AttemptKey,
        news: News<'_>,
        early: &[StatusUpdate],
        now: DateTime<Utc>,
        merged: &mut Merged,
    ) {
        let Some(attempt) = self.attempts.get_mut(&(key.message, key.n)) else { return };
        let (session, before) = (attempt.session, attempt.facts.clone());
        let retry_after = match news {
            News::Outcome { outcome, at, retry_after } => {
                flawed!(self, TakesTheLaterOutcome => {
                    attempt.facts = super::flaws::without(&attempt.facts, Fact::Accepted);
                });
                status::merge_outcome(&mut attempt.facts, outcome, at);
                retry_after
            }
            News::Status(update) => {
                flawed!(self, TakesTheLaterStatus => {
                    attempt.facts = super::flaws::without(&attempt.facts, update.fact);
                });
                flawed!(self, ForgetsThatItWasRead => {
                    attempt.facts = super::flaws::without(&attempt.facts, Fact::Read);
                });
                merge_status(&mut attempt.facts, update);
                None
            }
            News::Delivered(at) => {
                attempt.facts.add(Fact::Delivered, at);
                None
            }
        };
        early.iter().for_each(|update| merge_status(&mut attempt.facts, update));
        let chain: Vec<_> = self.chain(key.message).collect();
        let place = chain.iter().position(|(n, _)| *n == key.n).unwrap_or(usize::MAX);
        let facts: Vec<&DeliveryFacts> = chain.iter().map(|(_, attempt)| &attempt.facts).collect();
        let refused_at = attempt_refused_at(facts.get(place).copied());
        let redriven = self.redriven.get(&key.message).map_or(0, |n| usize::from(*n));
        let redriven = flawed!(self, RetriesNoRedrivenMessage => 0, redriven);
        let merge = Merge { key, before: &before, chain: &facts, place, redriven, retry_after };
        let follows = consequences(&merge, &self.settings, now);
        #[cfg(feature = "mutants")]
        let follows = super::flaws::followed(self, follows, &merge);
        if follows.gives_back
            && let Some(attempt) = self.attempts.get_mut(&(key.message, key.n))
        {
            attempt.facts.add(Fact::Released, now);
        }
        if follows.withdraws {
            // An attempt may deliver after all, and another would be a second message; or none is to follow.
            self.due.remove(&key.message);
        }
        if let Some(Next::Again { at, why }) = follows.next {
            self.queue_again(key, DueRow { due_at: at, why: Some(why) }, merged);
        }
        if let Some(rule) = follows.breaker {
            self.trip(key, session, rule, now, merged);
        }
        if let Some((opt_out, message)) = follows.consent.zip(self.messages.get(&key.message)) {
            let who = message.recipient.clone();
            // Who is no contact becomes one: an opt-out must not be forgotten. The id is the message's.
            let contact = self.contact_of(message).unwrap_or_else(|| {
                let fresh = ContactId::from_uuid(key.message.as_uuid());
                self.contacts.upsert(fresh, &who, &ContactAttributes::new(), now)
            });
            let news = ConsentNews::of_word(opt_out, refused_at.unwrap_or(now));
            self.consents(contact, news, ConsentSource::Provider, now, &mut merged.entries);
        }
    }

    /// Puts a message into a due row, unless it is closed, its campaign was cancelled, or it would not
    /// be valid any more.
    fn queue_again(&mut self, key: AttemptKey, due: DueRow, merged: &mut Merged) {
        if self.closed.contains_key(&key.message) {
            return;
        }
        let campaign = self.messages.get(&key.message).and_then(|message| message.campaign);
        let campaign = campaign.and_then(|campaign| self.campaigns.get(&campaign));
        if campaign.is_some_and(|row| row.campaign.state == CampaignState::Cancelled) {
            self.close(key.message, SkipReason::Cancelled);
            return;
        }
        let valid_until = self.messages.get(&key.message).and_then(|message| message.valid_until);
        if retry::comes_too_late(due.due_at, valid_until) && !flawed!(self, RetriesWhatWillHaveExpired) {
            self.close(key.message, SkipReason::Expired);
            return;
        }
        self.due.insert(key.message, due);
        merged.due_at = merged.due_at.into_iter().chain([due.due_at]).min();
    }

    /// Opens the breaker of a refusal.
    fn trip(
        &mut self,
        key: AttemptKey,
        session: SessionId,
        rule: BreakerRule,
        now: DateTime<Utc>,
        merged: &mut Merged,
    ) {
        let BreakerRule { template_only, reason, code, lasts } = rule;
        let scope = if template_only {
            let chosen = self.attempts.get(&(key.message, key.n)).map_or(Chosen::Own, |it| it.content);
            let message = self.messages.get(&key.message);
            let template = message.and_then(|message| self.template_of(message, chosen));
            let Some((name, language)) = template else { return };
            BreakerScope::Template(session, name, language)
        } else {
            BreakerScope::Session(session)
        };
        let until = lasts.map(|lasts| now.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC));
        self.stop(Breaker { scope, reason, code, until, since: now }, now, merged);
    }

    /// Opens a breaker, unless one that holds at least as long is open.
    pub(super) fn stop(&mut self, breaker: Breaker, now: DateTime<Utc>, merged: &mut Merged) {
        let Breaker { scope, reason, code, until, since: _ } = breaker;
        let outlasts = |known: &Breaker| match (known.until, until) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(known), Some(until)) => until > known,
        };
        let known = self.breakers.get(&scope).filter(|known| judge::is_open(known, now));
        if known.is_none_or(outlasts) {
            let is_news = known.is_none_or(|known| (known.reason, known.code) != (reason, code));
            let since = known.map_or(now, |known| known.since);
            let breaker = Breaker { scope: scope.clone(), reason, code, until, since };
            if is_news {
                merged.entries.stopped(self.tenant.id, &breaker);
                merged.opened.push((self.tenant.id, breaker.clone()));
            }
            self.breakers.insert(scope, breaker);
        }
    }
}

/// When the provider refused an attempt.
fn attempt_refused_at(facts: Option<&DeliveryFacts>) -> Option<DateTime<Utc>> {
    facts.and_then(|facts| facts.at(Fact::Failed).or_else(|| facts.at(Fact::Rejected)))
}

fn merge_status(facts: &mut DeliveryFacts, update: &StatusUpdate) {
    let StatusUpdate {
        number: _,
        provider_id,
        echo: _,
        recipient: _,
        group: _,
        fact,
        at,
        failure,
        failure_title: _,
        conversation: _,
        pricing,
    } = update;
    let charge = pricing.as_ref().map(|pricing| price::charge(pricing, *fact));
    status::merge_status(facts, *fact, failure.as_ref(), provider_id, charge, *at);
}
