//! Merging facts into attempts, with everything that follows in the same transaction.
//!
//! Invariant: facts only accumulate, so no order and no repetition matters. What follows from a
//! merge is the rule's to say; here it is kept, message by message, and written once at the end, in a
//! number of statements that does not depend on how many facts were merged. Until then a later merge sees
//! what is kept, and nobody else does.

mod names;
pub(in crate::postgres) mod needs;
mod unwritten;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{
    AttemptKey, Breaker, BreakerScope, CampaignId, CampaignState, Chosen, Consent, ConsentSource,
    ContactAttributes, ContactId, Content, DeliveryFacts, Fact, HoldReason, MessageId, MessageState,
    SessionId, SkipReason, TenantId, TenantSettings,
};
use wa_core::rules::consent::ConsentNews;
use wa_core::rules::retry::{self, Next};
use wa_core::rules::settle::{self, BreakerRule};
use wa_core::rules::status;
use wa_core::rules::tally::Standing;

use self::names::{Brought, Names};
use self::needs::Needs;
use self::unwritten::Held;
use super::failures::{self, Listed, Returning};
use super::give_back::give_back;
use crate::common::changes::Changes;
use crate::postgres::audience::contacts;
use crate::postgres::codec::{id, opt_json, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message::{Attempt, Due, Stored, load_all, pattern};
use crate::postgres::numbers::breakers;
use crate::postgres::prices::Books;
use crate::postgres::tx::Tx;

/// Merges facts one after the other and collects what follows from all of them.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Merger {
    pub(in crate::postgres) changes: Changes,
    /// By tenant and message; `None` for one that is not there.
    held: BTreeMap<(TenantId, MessageId), Option<Held>>,
    names: Names,
    returning: HashMap<(TenantId, MessageId), Returning>,
    settings: HashMap<TenantId, TenantSettings>,
    unset: TenantSettings,
    books: Books,
    /// What gives back what it took, in order.
    released: Vec<(TenantId, MessageId, Attempt)>,
    opened: Vec<(TenantId, Breaker)>,
    due_at: Option<DateTime<Utc>>,
}

/// What all merges of a transaction led to.
#[derive(Debug)]
pub(in crate::postgres) struct Merged {
    pub(in crate::postgres) changed: Vec<(TenantId, MessageId, MessageState)>,
    pub(in crate::postgres) opened: Vec<(TenantId, Breaker)>,
    pub(in crate::postgres) due_at: Option<DateTime<Utc>>,
}

impl Merger {
    pub(in crate::postgres) fn new() -> Self {
        Self::default()
    }

    /// Reads the messages of attempts, in a few statements. A merge reads what was not prepared on its own.
    pub(in crate::postgres) async fn prepare(
        &mut self,
        tx: &mut Tx,
        attempts: &[AttemptKey],
    ) -> Fallible<()> {
        let keys: BTreeSet<_> = attempts.iter().map(|key| (key.tenant, key.message)).collect();
        let fresh: Vec<_> = keys.into_iter().filter(|key| !self.held.contains_key(key)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut found = load_all(tx.conn(), &fresh).await?;
        self.held.extend(fresh.into_iter().map(|key| (key, found.remove(&key).map(Held::new))));
        Ok(())
    }

    /// Reads what has to be known of names that news bring for attempts, in a few statements; empty names
    /// are none.
    pub(in crate::postgres) async fn prepare_names(
        &mut self,
        tx: &mut Tx,
        named: &[(AttemptKey, &str)],
    ) -> Fallible<()> {
        let keys: Vec<_> = named.iter().map(|(key, _)| *key).collect();
        self.prepare(tx, &keys).await?;
        let held = &self.held;
        let brought = named.iter().filter(|(_, name)| !name.is_empty()).filter_map(|(key, name)| {
            let attempt = attempt_of(held, *key)?;
            let (session, known) = (attempt.session, attempt.facts.provider_id.as_deref());
            Some(Brought { key: *key, session, known, name })
        });
        let brought: Vec<_> = brought.collect();
        self.names.read(tx.conn(), &brought).await
    }

    /// Reads what has to be known of messages before they are tried again, in two statements: for those whose
    /// attempts may turn out undelivered.
    pub(in crate::postgres) async fn prepare_retries(
        &mut self,
        tx: &mut Tx,
        attempts: &[AttemptKey],
    ) -> Fallible<()> {
        self.prepare(tx, attempts).await?;
        let keys: BTreeSet<_> = attempts.iter().map(|key| (key.tenant, key.message)).collect();
        let fresh = keys.into_iter().filter(|key| !self.returning.contains_key(key));
        let held = &self.held;
        let fresh = fresh.filter_map(|key| held.get(&key)?.as_ref().map(|held| of_campaign(&held.stored)));
        let fresh: Vec<_> = fresh.collect();
        self.learn(tx, &fresh).await
    }

    /// What is known of an attempt by now; to be asked after [`prepare`](Self::prepare).
    pub(in crate::postgres) fn attempt(&self, key: AttemptKey) -> Option<&Attempt> {
        attempt_of(&self.held, key)
    }

    /// What the statuses need that wait for an attempt to get a name; to be asked after
    /// [`prepare_names`](Self::prepare_names).
    pub(in crate::postgres) fn needs_of_waiting(&self, key: AttemptKey, name: &str) -> Needs {
        let Some(attempt) = self.attempt(key) else { return Needs::default() };
        let waiting = self.names.waiting(attempt.session, name).iter();
        let needs = waiting.map(|status| Needs::of_status(status.fact, status.failure.as_ref()));
        needs.fold(Needs::default(), Needs::and)
    }

    /// Merges what `add` says into one attempt; `false` when the attempt is not there.
    ///
    /// `name` is the provider's id that the news brings, if it brings one. After an error the merger is to be
    /// given up, with everything that it did not write.
    pub(in crate::postgres) async fn merge(
        &mut self,
        tx: &mut Tx,
        key: AttemptKey,
        name: Option<&str>,
        retry_after: Option<Duration>,
        add: impl FnOnce(&mut DeliveryFacts) -> bool,
    ) -> Fallible<bool> {
        let name = name.filter(|name| !name.is_empty());
        match name {
            Some(name) => self.prepare_names(tx, &[(key, name)]).await?,
            None => self.prepare(tx, &[key]).await?,
        }
        let of = (key.tenant, key.message);
        let Some(Some(held)) = self.held.get(&of) else { return Ok(false) };
        let Some(place) = held.stored.attempts.iter().position(|attempt| attempt.n == key.n) else {
            return Ok(false);
        };
        let Some(mut held) = self.held.get_mut(&of).and_then(Option::take) else { return Ok(false) };
        let old = held.stored.standing();
        if let Some(before) = self.add(key, &mut held, place, name, add) {
            self.follow(tx, key, &mut held, place, &before, retry_after).await?;
            let book = held.stored.attempts.get(place).and_then(|attempt| attempt.book);
            let book = self.books.get(tx.conn(), book).await?;
            held.stored.book(place, &before, book.as_deref(), &mut self.changes);
            self.count(&mut held, &old)?;
        }
        self.held.insert(of, Some(held));
        Ok(true)
    }

    /// Writes what was merged so far, but for counts and journal, so that it can be read.
    pub(in crate::postgres) async fn write(&mut self, tx: &mut Tx) -> Fallible<()> {
        let now = tx.now;
        unwritten::write(tx.conn(), self.held.values_mut().flatten(), now).await?;
        self.names.write(tx.conn()).await?;
        give_back(tx.conn(), &std::mem::take(&mut self.released)).await
    }

    /// Writes everything, counts and journal last.
    pub(in crate::postgres) async fn finish(mut self, tx: &mut Tx) -> Fallible<Merged> {
        self.write(tx).await?;
        let changed = self.changes.changed();
        tx.write(self.changes).await?;
        Ok(Merged { changed, opened: self.opened, due_at: self.due_at })
    }

    /// Adds facts, those that waited for the provider's id included; the facts before, if anything changed.
    fn add(
        &mut self,
        key: AttemptKey,
        held: &mut Held,
        place: usize,
        name: Option<&str>,
        add: impl FnOnce(&mut DeliveryFacts) -> bool,
    ) -> Option<DeliveryFacts> {
        let attempt = held.stored.attempts.get_mut(place)?;
        let before = attempt.facts.clone();
        let mut changed = add(&mut attempt.facts);
        if let Some(name) = name
            && self.names.is_new(
                key,
                before.provider_id.as_deref(),
                attempt.facts.provider_id.as_deref(),
                name,
            )
        {
            for waiting in self.names.take(attempt.session, name) {
                let names::Waiting { fact, failure, charge, at } = waiting;
                changed |= status::merge_status(&mut attempt.facts, fact, failure.as_ref(), name, charge, at);
            }
        }
        if !changed {
            return None;
        }
        if attempt.facts.is_settled() && !before.is_settled() {
            held.settle(key.n);
        }
        Some(before)
    }

    /// Counts what a merge made of a message.
    fn count(&mut self, held: &mut Held, old: &Standing) -> Fallible<()> {
        let (tenant, message) = (held.stored.tenant, held.stored.id);
        let new = held.stored.standing();
        self.changes.standing(tenant, held.stored.campaign, Some(old), &new);
        self.changes.state(tenant, message, old.state, new.state);
        if new.state == MessageState::Failed {
            let listed = Listed::of(&held.stored)?;
            held.list(listed);
            self.changes.failed(tenant, listed.told(), new.reason);
        } else if old.state == MessageState::Failed {
            held.forget();
        }
        Ok(())
    }

    /// Does what the rule says follows from a merge.
    async fn follow(
        &mut self,
        tx: &mut Tx,
        key: AttemptKey,
        held: &mut Held,
        place: usize,
        before: &DeliveryFacts,
        retry_after: Option<Duration>,
    ) -> Fallible<()> {
        let now = tx.now;
        let undelivered = held.stored.chain().iter().all(|facts| facts.is_definitely_undelivered());
        // Only what definitely failed asks how often it may be tried again, and what the tenant says to that.
        let redriven = if undelivered { self.returning(tx, &held.stored).await?.redriven } else { 0 };
        let settings = self.settings.get(&key.tenant).filter(|_| undelivered).unwrap_or(&self.unset);
        let chain = held.stored.chain();
        let merge = settle::Merge { key, before, chain: &chain, place, redriven, retry_after };
        let follows = settle::consequences(&merge, settings, now);
        let settle::Consequences { gives_back, next, withdraws, breaker, consent } = follows;
        let last = held.stored.attempts.last().map_or(0, |attempt| attempt.n);
        let Some(attempt) = held.stored.attempts.get_mut(place) else { return Ok(()) };
        if gives_back {
            attempt.facts.add(Fact::Released, now);
            self.released.push((key.tenant, key.message, attempt.clone()));
        }
        let refused_at = attempt.facts.at(Fact::Failed).or_else(|| attempt.facts.at(Fact::Rejected));
        let is_heard = failures::breaks_silence(attempt, now);
        let (session, chosen) = (attempt.session, attempt.content);
        held.put_result(key.n);
        if is_heard {
            held.break_silence(key.n);
        }
        if withdraws {
            // It may deliver after all, and another would be a second message; or none is to follow.
            held.leave_due();
        }
        match next {
            Some(Next::Again { at, why }) => self.put_back(tx, held, session, last + 1, at, why).await?,
            Some(Next::Fail) | None => {}
        }
        if let Some(rule) = breaker {
            self.open_breaker(tx, &held.stored, session, chosen, rule).await?;
        }
        if let Some(opt_out) = consent {
            self.opt_out(tx, &held.stored, opt_out, refused_at.unwrap_or(now)).await?;
        }
        Ok(())
    }

    async fn put_back(
        &mut self,
        tx: &mut Tx,
        held: &mut Held,
        session: SessionId,
        n: u16,
        at: DateTime<Utc>,
        why: HoldReason,
    ) -> Fallible<()> {
        if held.stored.closed.is_some() {
            return Ok(());
        }
        let returning = self.returning(tx, &held.stored).await?;
        if returning.state == Some(CampaignState::Cancelled) {
            // What would have begun again was cancelled meanwhile.
            held.close(SkipReason::Cancelled);
        } else if retry::comes_too_late(at, returning.valid_until) {
            held.close(SkipReason::Expired);
        } else {
            held.put_due(session, returning.lane()?, Due { n, why: Some(why), at });
            self.due_at = Some(self.due_at.map_or(at, |known| known.min(at)));
        }
        Ok(())
    }

    async fn open_breaker(
        &mut self,
        tx: &mut Tx,
        stored: &Stored,
        session: SessionId,
        chosen: Chosen,
        rule: BreakerRule,
    ) -> Fallible<()> {
        let BreakerRule { template_only, reason, code, lasts } = rule;
        let scope = if template_only {
            // Content without a template cannot be stopped by one.
            let found = pattern(tx.conn(), stored.tenant, stored.campaign, stored.id, chosen).await?;
            let Some(Content::Template(template)) = found else { return Ok(()) };
            BreakerScope::Template(session, template.name, template.language)
        } else {
            BreakerScope::Session(session)
        };
        let now = tx.now;
        let until = lasts.map(|lasts| now.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC));
        let breaker = Breaker { scope, reason, code, until, since: now };
        let news = breakers::trip(tx, &mut self.changes, stored.tenant, breaker).await?;
        self.opened.extend(news.map(|breaker| (stored.tenant, breaker)));
        Ok(())
    }

    async fn opt_out(
        &mut self,
        tx: &mut Tx,
        stored: &Stored,
        opt_out: Consent,
        at: DateTime<Utc>,
    ) -> Fallible<()> {
        let tenant = stored.tenant;
        let contact = match stored.contact {
            Some(id) => contacts::by_id(tx.conn(), tenant, id).await?,
            // Who is no contact becomes one: an opt-out must not be forgotten. The id is the message's.
            None => {
                let (fresh, nothing) = (ContactId::from_uuid(stored.id.as_uuid()), ContactAttributes::new());
                let known = contacts::by_address(tx.conn(), tenant, &stored.recipient).await?;
                Some(match known {
                    Some(known) => known,
                    None => contacts::find_or_create(tx, tenant, &stored.recipient, fresh, &nothing).await?,
                })
            }
        };
        if let Some(contact) = contact {
            let (news, source) = (ConsentNews::of_word(opt_out, at), ConsentSource::Provider);
            contacts::hear_consent(tx, &mut self.changes, tenant, &contact, news, source).await?;
        }
        Ok(())
    }

    /// What has to be known of a message before it is tried again.
    async fn returning(&mut self, tx: &mut Tx, stored: &Stored) -> Fallible<Returning> {
        let of = (stored.tenant, stored.id);
        if let Some(known) = self.returning.get(&of) {
            return Ok(*known);
        }
        self.learn(tx, &[of_campaign(stored)]).await?;
        self.returning.get(&of).copied().ok_or(Fault::Broken("a message is not there any more"))
    }

    /// Reads what has to be known of messages before they are tried again, and what their tenants set.
    async fn learn(
        &mut self,
        tx: &mut Tx,
        messages: &[(TenantId, MessageId, Option<CampaignId>)],
    ) -> Fallible<()> {
        self.returning.extend(failures::returning(tx.conn(), messages).await?);
        let tenants: BTreeSet<TenantId> = messages.iter().map(|(tenant, ..)| *tenant).collect();
        let unknown = tenants.into_iter().filter(|tenant| !self.settings.contains_key(tenant)).collect();
        self.settings.extend(settings_of_all(tx.conn(), unknown).await?);
        Ok(())
    }
}

fn attempt_of(held: &BTreeMap<(TenantId, MessageId), Option<Held>>, key: AttemptKey) -> Option<&Attempt> {
    let held = held.get(&(key.tenant, key.message))?.as_ref()?;
    held.stored.attempts.iter().find(|attempt| attempt.n == key.n)
}

fn of_campaign(stored: &Stored) -> (TenantId, MessageId, Option<CampaignId>) {
    (stored.tenant, stored.id, stored.campaign)
}

/// What tenants set; the defaults for those that set nothing.
pub(super) async fn settings_of_all(
    conn: &mut PgConnection,
    tenants: Vec<TenantId>,
) -> Fallible<HashMap<TenantId, TenantSettings>> {
    if tenants.is_empty() {
        return Ok(HashMap::new());
    }
    let mut all: HashMap<_, _> = tenants.iter().map(|tenant| (*tenant, TenantSettings::default())).collect();
    let found: Vec<(TenantId, Option<TenantSettings>)> =
        sqlx::query("SELECT id, settings FROM tenant WHERE id = ANY ($1)")
            .bind(uuids(tenants))
            .try_map(|row: PgRow| Ok((id(&row, 0)?, opt_json(&row, 1)?)))
            .fetch_all(conn)
            .await?;
    all.extend(found.into_iter().filter_map(|(tenant, settings)| Some((tenant, settings?))));
    Ok(all)
}
