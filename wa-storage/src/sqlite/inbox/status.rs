//! Statuses: which attempt each is about, and what waits for an attempt to get its name.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    AttemptKey, BatchId, ChargedCategory, FailureDetails, SessionId, StatusUpdate, TransportName,
    WebhookConversation, micros,
};
use wa_core::rules::price::charge;
use wa_core::rules::status::merge_status;

use super::project::Projecting;
use super::window;
use crate::common::inbox::Applied;
use crate::sqlite::audience::contacts;
use crate::sqlite::codec::{id, provider_hash, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::message::Stored;

pub(in crate::sqlite) const BY_PROVIDER: &str = "SELECT r.tenant, r.message, r.n, a.session FROM result r \
     JOIN attempt a ON a.tenant = r.tenant AND a.message = r.message AND a.n = r.n \
     WHERE r.provider_hash = ?1 AND r.provider_id = ?2 \
     UNION ALL SELECT o.tenant, o.message, o.n, a.session FROM other_name o \
     JOIN attempt a ON a.tenant = o.tenant AND a.message = o.message AND a.n = o.n \
     WHERE o.provider_hash = ?1 AND o.provider_id = ?2";
pub(in crate::sqlite) const SESSION_OF_ATTEMPT: &str = "SELECT session FROM attempt WHERE tenant = ?1 AND message = ?2 AND n = ?3 AND (?4 IS NULL OR batch = ?4)";

impl Projecting<'_> {
    pub(super) fn status(
        &mut self,
        transport: &TransportName,
        (tagged, batch): (Option<AttemptKey>, Option<BatchId>),
        update: &StatusUpdate,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        // Those of deleted sessions too: what was sent before still has an outcome.
        let sessions = self.sessions(transport, &update.number)?;
        if sessions.is_empty() {
            return Ok(Applied::Foreign);
        }
        let is_ours = |session: SessionId| sessions.contains(&session);
        let tagged = match tagged {
            Some(key) => self.session_of(key, batch)?.map(|session| (key, session)),
            None => None,
        };
        let found = match tagged {
            Some((_, session)) if !is_ours(session) => return Ok(Applied::Foreign),
            Some((key, _)) => Some(key),
            None => self.by_provider(&update.provider_id, is_ours)?,
        };
        match found {
            Some(key) => {
                let StatusUpdate { provider_id, fact, at, failure, .. } = update;
                let charge = update.pricing.as_ref().map(|pricing| charge(pricing, *fact));
                self.merger.merge(key, Some(provider_id), None, |facts| {
                    merge_status(facts, *fact, failure.as_ref(), provider_id, charge, *at)
                })?;
                self.note_entry_point(key, update)?;
                Ok(Applied::Merged)
            }
            None => {
                self.wait(transport, update, received_at)?;
                Ok(Applied::Waiting)
            }
        }
    }

    /// Keeps the end of a free entry point that a status names.
    fn note_entry_point(&self, key: AttemptKey, update: &StatusUpdate) -> Fallible<()> {
        let Some(WebhookConversation { id: _, origin, expires_at: Some(ends) }) = &update.conversation else {
            return Ok(());
        };
        if *origin != Some(ChargedCategory::ReferralConversion) {
            return Ok(());
        }
        let conn = self.tx.conn;
        let Some(session) = self.session_of(key, None)? else { return Ok(()) };
        let Some(stored) = Stored::load(conn, key.tenant, key.message)? else { return Ok(()) };
        let contact = match stored.contact {
            Some(named) => Some(contacts::standing_for(conn, key.tenant, named)?),
            None => contacts::by_address(conn, key.tenant, &stored.recipient)?.map(|contact| contact.id),
        };
        match contact {
            Some(contact) => window::note_entry_point(conn, key.tenant, session, contact, *ends),
            None => Ok(()),
        }
    }

    /// The session of an attempt, if it was begun in this batch, where that is said.
    fn session_of(&self, key: AttemptKey, batch: Option<BatchId>) -> Fallible<Option<SessionId>> {
        let found = self
            .tx
            .conn
            .prepare_cached(SESSION_OF_ATTEMPT)?
            .query_row(
                params![
                    key.tenant.as_bytes(),
                    key.message.as_bytes(),
                    key.n,
                    batch.as_ref().map(|batch| batch.as_bytes())
                ],
                |row| id(row, 0),
            )
            .optional()?;
        Ok(found)
    }

    fn by_provider(
        &self,
        provider_id: &str,
        is_ours: impl Fn(SessionId) -> bool,
    ) -> Fallible<Option<AttemptKey>> {
        let mut statement = self.tx.conn.prepare_cached(BY_PROVIDER)?;
        let rows = statement.query_map(params![provider_hash(provider_id), provider_id], |row| {
            let key = AttemptKey { tenant: id(row, 0)?, message: id(row, 1)?, n: uint(row, 2)? };
            Ok((key, id(row, 3)?))
        })?;
        let mut own = None;
        for row in rows {
            let (key, session) = row?;
            if is_ours(session) {
                own = own.into_iter().chain([key]).min();
            }
        }
        Ok(own)
    }

    fn wait(
        &self,
        transport: &TransportName,
        update: &StatusUpdate,
        received_at: DateTime<Utc>,
    ) -> Fallible<()> {
        let StatusUpdate {
            number,
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
        if provider_id.is_empty() {
            // No settle can ever bring this id; the raw body has the rest.
            return Ok(());
        }
        let failure = failure.as_ref();
        self.tx
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO waiting_status (provider_hash, provider_id, transport, number, fact, \
                 at, code, class, title, details, charge, received_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                provider_hash(provider_id),
                provider_id,
                transport.as_str(),
                number.as_str(),
                fact.bit(),
                micros(*at),
                failure.map_or(0, |failure| failure.code),
                failure.map(|failure| failure.class.as_str()),
                failure.map_or("", |failure| failure.title.as_str()),
                failure.and_then(|failure| failure.details.as_ref()).map_or("", FailureDetails::as_str),
                pricing.as_ref().map_or_else(String::new, |pricing| charge(pricing, *fact).key()),
                micros(received_at)
            ])?;
        Ok(())
    }
}
