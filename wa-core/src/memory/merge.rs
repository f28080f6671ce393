//! Merging facts into attempts, with everything that follows from them in the same commit.
//!
//! What follows is said by `rules::settle`; this file carries it out. Settle, project, sweep and
//! abandon all go through here.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::journal::Entries;
use super::state::{DueRow, State, TenantRow};
use crate::model::{
    AttemptKey, Breaker, BreakerScope, CampaignState, ConsentSource, DeliveryFacts, Fact, NumberId, Outcome,
    SessionId, SkipReason, StatusUpdate, TenantId, TransportName,
};
use crate::rules::judge;
use crate::rules::retry::Next;
use crate::rules::settle::{BreakerRule, consequences};
use crate::rules::status;

/// What is heard about an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum News<'a> {
    /// How the request ended.
    Outcome { outcome: &'a Outcome, at: DateTime<Utc>, retry_after: Option<Duration> },
    /// What a webhook says.
    Status(&'a StatusUpdate),
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
        let Some(attempt) = tenant.attempts.get(&(key.message, key.n)) else { return false };
        let was_named = attempt.facts.provider_id.is_some();
        let old = tenant.state_of(key.message);
        tenant.merge(key, news, now, merged);
        let name = tenant.attempts.get(&(key.message, key.n)).and_then(|it| it.facts.provider_id.clone());
        if let Some(name) = name.filter(|_| !was_named) {
            let early = tenant
                .address_of(key)
                .and_then(|(transport, number)| self.waiting.remove(&(transport, number, name.clone())));
            for update in early.into_iter().flatten() {
                tenant.merge(key, News::Status(&update), now, merged);
            }
            self.provider_ids.entry(name).or_default().insert(key);
        }
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

    fn merge(&mut self, key: AttemptKey, news: News<'_>, now: DateTime<Utc>, merged: &mut Merged) {
        let Some(attempt) = self.attempts.get_mut(&(key.message, key.n)) else { return };
        let (session, before) = (attempt.session, attempt.facts.clone());
        let retry_after = match news {
            News::Outcome { outcome, at, retry_after } => {
                status::merge_outcome(&mut attempt.facts, outcome, at);
                retry_after
            }
            News::Status(update) => {
                let StatusUpdate { number: _, provider_id, echo: _, fact, at, failure, pricing: _ } = update;
                status::merge_status(&mut attempt.facts, *fact, failure.as_ref(), provider_id, *at);
                None
            }
        };
        let chain: Vec<_> = self.chain(key.message).collect();
        let place = chain.iter().position(|(n, _)| *n == key.n).unwrap_or(usize::MAX);
        let facts: Vec<&DeliveryFacts> = chain.iter().map(|(_, attempt)| &attempt.facts).collect();
        let all_dead = facts.iter().all(|facts| facts.is_definitely_undelivered());
        let follows = consequences(&before, &facts, place, &self.settings, retry_after, now);
        if follows.gives_back
            && let Some(attempt) = self.attempts.get_mut(&(key.message, key.n))
        {
            attempt.facts.add(Fact::Released, now);
        }
        if !all_dead {
            // An attempt that was thought dead may deliver after all: the retry would be a second message.
            self.due.remove(&key.message);
        }
        if let Some(Next::Again { at, why }) = follows.next {
            self.queue_again(key, DueRow { due_at: at, why: Some(why) }, merged);
        }
        if let Some(rule) = follows.breaker {
            self.trip(key, session, rule, now, merged);
        }
        let contact = self.messages.get(&key.message).and_then(|message| self.contact_of(message));
        if let (Some(opt_out), Some(contact)) = (follows.consent, contact) {
            self.opt_out(contact, opt_out, ConsentSource::Provider, now, &mut merged.entries);
        }
    }

    /// Puts a message into a due row, unless it is closed or its campaign was cancelled.
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
        self.due.insert(key.message, due);
        merged.due_at = merged.due_at.into_iter().chain([due.due_at]).min();
    }

    /// Opens a breaker, unless one that holds at least as long is open.
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
            let template = self.messages.get(&key.message).and_then(|message| self.template_of(message));
            let Some((name, language)) = template else { return };
            BreakerScope::Template(session, name, language)
        } else {
            BreakerScope::Session(session)
        };
        let until = lasts.map(|lasts| now.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC));
        let outlasts = |known: &Breaker| match (known.until, until) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(known), Some(until)) => until > known,
        };
        let known = self.breakers.get(&scope).filter(|known| judge::is_open(known, now));
        if known.is_none_or(outlasts) {
            let breaker = Breaker { scope: scope.clone(), reason, code, until, since: now };
            merged.entries.stopped(self.tenant.id, &breaker);
            merged.opened.push((self.tenant.id, breaker.clone()));
            self.breakers.insert(scope, breaker);
        }
    }
}
