//! Merging facts into attempts, with everything that follows in the same transaction.
//!
//! Invariant: facts only accumulate, so no order and no repetition matters. What follows from a
//! merge is the rule's to say; here it is written down, once.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use wa_core::model::{
    AttemptKey, Breaker, BreakerScope, CampaignState, Charge, Chosen, Consent, ConsentSource,
    ContactAttributes, ContactId, Content, DeliveryFacts, Fact, HoldReason, Lane, MessageId, MessageState,
    NumberId, SessionId, SkipReason, TenantId, TenantSettings, TransportName, micros,
};
use wa_core::rules::consent::ConsentNews;
use wa_core::rules::retry::{self, Next};
use wa_core::rules::settle::{self, BreakerRule};
use wa_core::rules::status;

use super::{failures, reserve};
use crate::common::changes::Changes;
use crate::sqlite::audience::contacts;
use crate::sqlite::codec::{at, failure, named, opt_at, parsed, provider_hash, uint};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{Attempt, Due, PUT_DUE, Stored, pattern, put_result};
use crate::sqlite::numbers::breakers;
use crate::sqlite::prices::Books;
use crate::sqlite::writer::Tx;

pub(in crate::sqlite) const DELETE_OPEN: &str = "DELETE FROM open_attempt \
     WHERE session = ?1 AND end_by = ?2 AND tenant = ?3 AND message = ?4 AND n = ?5";
pub(in crate::sqlite) const TAKE_WAITING: &str = "DELETE FROM waiting_status \
     WHERE provider_hash = ?1 AND provider_id = ?2 AND transport = ?3 AND number = ?4 \
     RETURNING fact, at, code, class, title, details, charge";

const PUT_OTHER_NAME: &str = "INSERT OR IGNORE INTO other_name \
     (provider_hash, provider_id, tenant, message, n) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Merges facts one after the other and collects what follows from all of them.
pub(in crate::sqlite) struct Merger<'a> {
    tx: &'a Tx<'a>,
    pub(in crate::sqlite) changes: Changes,
    settings: HashMap<TenantId, TenantSettings>,
    books: Books,
    opened: Vec<(TenantId, Breaker)>,
    due_at: Option<DateTime<Utc>>,
}

/// What all merges of a transaction led to.
#[derive(Debug)]
pub(in crate::sqlite) struct Merged {
    pub(in crate::sqlite) changed: Vec<(TenantId, MessageId, MessageState)>,
    pub(in crate::sqlite) opened: Vec<(TenantId, Breaker)>,
    pub(in crate::sqlite) due_at: Option<DateTime<Utc>>,
}

impl<'a> Merger<'a> {
    pub(in crate::sqlite) fn new(tx: &'a Tx<'a>) -> Self {
        Self {
            tx,
            changes: Changes::default(),
            settings: HashMap::new(),
            books: Books::default(),
            opened: Vec::new(),
            due_at: None,
        }
    }

    /// Merges what `add` says into one attempt; `false` when the attempt is not there.
    ///
    /// `name` is the provider's id that the news brings, if it brings one.
    pub(in crate::sqlite) fn merge(
        &mut self,
        key: AttemptKey,
        name: Option<&str>,
        retry_after: Option<Duration>,
        add: impl FnOnce(&mut DeliveryFacts) -> bool,
    ) -> Fallible<bool> {
        let Some(mut stored) = Stored::load(self.tx.conn, key.tenant, key.message)? else { return Ok(false) };
        let Some(place) = stored.attempts.iter().position(|attempt| attempt.n == key.n) else {
            return Ok(false);
        };
        let old = stored.standing();
        let before = match stored.attempts.get_mut(place) {
            Some(attempt) => self.add(key, attempt, name, add)?,
            None => return Ok(false),
        };
        if let Some(before) = before {
            self.follow(key, &mut stored, place, &before, retry_after)?;
            let book = stored.attempts.get(place).and_then(|attempt| attempt.book);
            let book = self.books.get(self.tx.conn, book)?;
            stored.book(place, &before, book.as_deref(), &mut self.changes);
            let new = stored.standing();
            self.changes.standing(key.tenant, stored.campaign, Some(&old), &new);
            self.changes.state(key.tenant, key.message, old.state, new.state);
            if new.state == MessageState::Failed {
                let told = failures::keep(self.tx.conn, &stored)?;
                self.changes.failed(key.tenant, told, new.reason);
            } else if old.state == MessageState::Failed {
                failures::forget(self.tx.conn, key.tenant, key.message)?;
            }
        }
        Ok(true)
    }

    /// The transaction that is merged into, and its instant.
    pub(in crate::sqlite) fn place(&self) -> (&'a Connection, DateTime<Utc>) {
        (self.tx.conn, self.tx.now)
    }

    /// Writes counts and journal.
    pub(in crate::sqlite) fn finish(self) -> Fallible<Merged> {
        let changed = self.changes.changed();
        self.tx.write(self.changes)?;
        Ok(Merged { changed, opened: self.opened, due_at: self.due_at })
    }

    /// Adds facts, those that waited for the provider's id included; the facts before, if anything changed.
    fn add(
        &self,
        key: AttemptKey,
        attempt: &mut Attempt,
        name: Option<&str>,
        add: impl FnOnce(&mut DeliveryFacts) -> bool,
    ) -> Fallible<Option<DeliveryFacts>> {
        let before = attempt.facts.clone();
        let mut changed = add(&mut attempt.facts);
        if let Some(name) = name.filter(|name| !name.is_empty())
            && self.is_new_name(key, before.provider_id.as_deref(), &attempt.facts, name)?
        {
            changed |= self.join_waiting(attempt, name)?;
        }
        if !changed {
            return Ok(None);
        }
        if attempt.facts.is_settled() && !before.is_settled() {
            self.tx.conn.prepare_cached(DELETE_OPEN)?.execute(params![
                attempt.session.as_bytes(),
                micros(attempt.end_by),
                key.tenant.as_bytes(),
                key.message.as_bytes(),
                key.n
            ])?;
        }
        Ok(Some(before))
    }

    /// Whether an attempt gets this name for the first time. Of several one is kept with the facts
    /// and the others here, so that each finds the attempt.
    fn is_new_name(
        &self,
        key: AttemptKey,
        before: Option<&str>,
        after: &DeliveryFacts,
        name: &str,
    ) -> Fallible<bool> {
        let Some(known) = before.filter(|known| *known != name) else { return Ok(before.is_none()) };
        let other = if after.provider_id.as_deref() == Some(name) { known } else { name };
        let noted = self.tx.conn.prepare_cached(PUT_OTHER_NAME)?.execute(params![
            provider_hash(other),
            other,
            key.tenant.as_bytes(),
            key.message.as_bytes(),
            key.n
        ])?;
        Ok(noted > 0)
    }

    /// Merges the statuses that waited for a provider id; whether that changed anything.
    fn join_waiting(&self, attempt: &mut Attempt, provider_id: &str) -> Fallible<bool> {
        let (transport, number): (TransportName, NumberId) = self
            .tx
            .conn
            .prepare_cached("SELECT transport, number FROM session WHERE id = ?1")?
            .query_row(params![attempt.session.as_bytes()], |row| Ok((parsed(row, 0)?, parsed(row, 1)?)))?;
        let mut statement = self.tx.conn.prepare_cached(TAKE_WAITING)?;
        let mut rows = statement.query(params![
            provider_hash(provider_id),
            provider_id,
            transport.as_str(),
            number.as_str()
        ])?;
        let mut changed = false;
        while let Some(row) = rows.next()? {
            let bit: u16 = uint(row, 0)?;
            let fact = Fact::ALL
                .into_iter()
                .find(|fact| fact.bit() == bit)
                .ok_or(Fault::Broken("a waiting status is of no known kind"))?;
            changed |= status::merge_status(
                &mut attempt.facts,
                fact,
                failure(row, 2)?.as_ref(),
                provider_id,
                waiting_charge(row)?,
                at(row, 1)?,
            );
        }
        Ok(changed)
    }

    /// Does what the rule says follows from a merge.
    fn follow(
        &mut self,
        key: AttemptKey,
        stored: &mut Stored,
        place: usize,
        before: &DeliveryFacts,
        retry_after: Option<Duration>,
    ) -> Fallible<()> {
        let (tx, now) = (self.tx, self.tx.now);
        let settings = self.settings(stored.tenant)?.clone();
        let chain = stored.chain();
        // Only what definitely failed asks how often it may be tried again.
        let redriven = if chain.iter().all(|facts| facts.is_definitely_undelivered()) {
            failures::redriven(tx.conn, stored.tenant, stored.id)?
        } else {
            0
        };
        let merge = settle::Merge { key, before, chain: &chain, place, redriven, retry_after };
        let follows = settle::consequences(&merge, &settings, now);
        let settle::Consequences { gives_back, next, withdraws, breaker, consent } = follows;
        let last = stored.attempts.last().map_or(0, |attempt| attempt.n);
        let Some(attempt) = stored.attempts.get_mut(place) else { return Ok(()) };
        if gives_back {
            attempt.facts.add(Fact::Released, now);
            reserve::give_back(tx.conn, stored.tenant, stored.id, attempt)?;
        }
        let refused_at = attempt.facts.at(Fact::Failed).or_else(|| attempt.facts.at(Fact::Rejected));
        put_result(tx.conn, stored.tenant, stored.id, attempt.n, &attempt.facts)?;
        failures::break_silence(tx.conn, stored.tenant, stored.id, attempt, now)?;
        let (session, chosen) = (attempt.session, attempt.content);
        if withdraws {
            // It may deliver after all, and another would be a second message; or none is to follow.
            stored.delete_due(tx.conn)?;
        }
        match next {
            Some(Next::Again { at, why }) => self.put_back(stored, session, last + 1, at, why)?,
            Some(Next::Fail) | None => {}
        }
        if let Some(rule) = breaker {
            self.open_breaker(stored, session, chosen, rule)?;
        }
        if let Some(opt_out) = consent {
            self.opt_out(stored, opt_out, refused_at.unwrap_or(now))?;
        }
        Ok(())
    }

    fn put_back(
        &mut self,
        stored: &mut Stored,
        session: SessionId,
        n: u16,
        at: DateTime<Utc>,
        why: HoldReason,
    ) -> Fallible<()> {
        let tx = self.tx;
        if stored.closed.is_some() {
            return Ok(());
        }
        let (lane, valid_until) = match stored.campaign {
            Some(campaign) => {
                let (state, lane, valid_until) = tx
                    .conn
                    .prepare_cached(
                        "SELECT state, lane, valid_until FROM campaign WHERE tenant = ?1 AND id = ?2",
                    )?
                    .query_row(params![stored.tenant.as_bytes(), campaign.as_bytes()], |row| {
                        let state = named(row, 0, CampaignState::from_name)?;
                        Ok((state, named(row, 1, Lane::from_name)?, opt_at(row, 2)?))
                    })?;
                if state == CampaignState::Cancelled {
                    // What would have begun again was cancelled meanwhile.
                    return stored.close(tx.conn, SkipReason::Cancelled, tx.now);
                }
                (lane, valid_until)
            }
            None => tx
                .conn
                .prepare_cached("SELECT lane, valid_until FROM single WHERE tenant = ?1 AND message = ?2")?
                .query_row(params![stored.tenant.as_bytes(), stored.id.as_bytes()], |row| {
                    Ok((named(row, 0, Lane::from_name)?, opt_at(row, 1)?))
                })?,
        };
        if retry::comes_too_late(at, valid_until) {
            return stored.close(tx.conn, SkipReason::Expired, tx.now);
        }
        tx.conn.prepare_cached(PUT_DUE)?.execute(params![
            stored.tenant.as_bytes(),
            stored.id.as_bytes(),
            session.as_bytes(),
            super::lane_rank(lane),
            micros(at),
            n,
            stored.campaign.as_ref().map(|id| id.as_bytes()),
            why.as_str()
        ])?;
        stored.due = Some(Due { n, why: Some(why), at });
        self.due_at = Some(self.due_at.map_or(at, |known| known.min(at)));
        Ok(())
    }

    fn open_breaker(
        &mut self,
        stored: &Stored,
        session: SessionId,
        chosen: Chosen,
        rule: BreakerRule,
    ) -> Fallible<()> {
        let BreakerRule { template_only, reason, code, lasts } = rule;
        let scope = if template_only {
            // Content without a template cannot be stopped by one.
            let found = pattern(self.tx.conn, stored.tenant, stored.campaign, stored.id, chosen)?;
            let Some(Content::Template(template)) = found else { return Ok(()) };
            BreakerScope::Template(session, template.name, template.language)
        } else {
            BreakerScope::Session(session)
        };
        let now = self.tx.now;
        let until = lasts.map(|lasts| now.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC));
        let breaker = Breaker { scope, reason, code, until, since: now };
        let news = breakers::trip(self.tx, &mut self.changes, stored.tenant, breaker)?;
        self.opened.extend(news.map(|breaker| (stored.tenant, breaker)));
        Ok(())
    }

    fn opt_out(&mut self, stored: &Stored, opt_out: Consent, at: DateTime<Utc>) -> Fallible<()> {
        let contact = match stored.contact {
            Some(id) => contacts::by_id(self.tx.conn, stored.tenant, id)?,
            // Who is no contact becomes one: an opt-out must not be forgotten. The id is the message's.
            None => {
                let (fresh, nothing) = (ContactId::from_uuid(stored.id.as_uuid()), ContactAttributes::new());
                let known = contacts::by_address(self.tx.conn, stored.tenant, &stored.recipient)?;
                Some(match known {
                    Some(known) => known,
                    None => {
                        contacts::find_or_create(self.tx, stored.tenant, &stored.recipient, fresh, &nothing)?
                    }
                })
            }
        };
        if let Some(contact) = contact {
            let (news, source) = (ConsentNews::of_word(opt_out, at), ConsentSource::Provider);
            contacts::hear_consent(self.tx, &mut self.changes, stored.tenant, &contact, news, source)?;
        }
        Ok(())
    }

    fn settings(&mut self, tenant: TenantId) -> Fallible<&TenantSettings> {
        if !self.settings.contains_key(&tenant) {
            let settings = settings_of(self.tx.conn, tenant)?.unwrap_or_default();
            self.settings.insert(tenant, settings);
        }
        self.settings.get(&tenant).ok_or(Fault::Broken("the settings were just read"))
    }
}

/// The word about a price that a waiting status brought, if it brought one.
fn waiting_charge(row: &Row<'_>) -> rusqlite::Result<Option<Charge>> {
    named(row, 6, |key| if key.is_empty() { Some(None) } else { Charge::from_key(key).map(Some) })
}
