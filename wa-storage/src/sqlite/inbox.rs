//! The room of webhooks: bodies as they came, and what they say.
//!
//! Invariant: a body is applied and marked in one transaction, so it is applied once. An event that
//! cannot be applied is undone alone and takes no sibling with it.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    AttemptKey, Consent, ConsentSource, ContactAttributes, ContactId, EventBody, FailureDetails, InboundKind,
    InboundMessage, NumberId, RawId, SessionId, StatusUpdate, TenantId, TransportName, micros,
};
use wa_core::port::store::{
    Inbox, KeptRaw, Projected, ProjectedEvent, Projection, RawBody, Route, StoreError, StoredInbound,
    WindowView,
};
use wa_core::port::{AdminScope, Scope};
use wa_core::rules::consent::strengthen;
use wa_core::rules::price::charge;
use wa_core::rules::status::merge_status;
use wa_core::rules::window;

use super::audience::contacts;
use super::codec::{addresses, at, id, int, named, parsed, provider_hash, recipient, uint};
use super::error::Fallible;
use super::numbers::routes;
use super::outbox::merge::{Merged, Merger};
use super::writer::Tx;
use super::{Durability, SqliteStore, page_size};

pub(super) const BY_PROVIDER: &str = "SELECT r.tenant, r.message, r.n, a.session FROM result r \
     JOIN attempt a ON a.tenant = r.tenant AND a.message = r.message AND a.n = r.n \
     WHERE r.provider_hash = ?1 AND r.provider_id = ?2 \
     UNION ALL SELECT o.tenant, o.message, o.n, a.session FROM other_name o \
     JOIN attempt a ON a.tenant = o.tenant AND a.message = o.message AND a.n = o.n \
     WHERE o.provider_hash = ?1 AND o.provider_id = ?2";
pub(super) const SESSION_OF_ATTEMPT: &str =
    "SELECT session FROM attempt WHERE tenant = ?1 AND message = ?2 AND n = ?3";

pub(super) const PRUNE: &str = "DELETE FROM raw WHERE rowid IN (SELECT rowid FROM raw \
     WHERE projected_at IS NOT NULL AND received_at < ?1 ORDER BY received_at LIMIT ?2)";

#[async_trait]
impl Inbox for SqliteStore {
    async fn keep(&self, _scope: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        let bodies = bodies.to_vec();
        self.write(Durability::Full, move |tx| bodies.iter().map(|body| keep(tx, body)).collect()).await
    }

    async fn unprojected(
        &self,
        _scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError> {
        self.read(move |snapshot| {
            let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT id, transport, body, received_at FROM raw \
                 WHERE projected_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![after, page_size(limit)], |row| {
                Ok(RawBody {
                    id: id(row, 0)?,
                    transport: parsed(row, 1)?,
                    body: row.get(2)?,
                    received_at: at(row, 3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn project(
        &self,
        _scope: &AdminScope,
        projections: &[Projection],
    ) -> Result<Projected, StoreError> {
        let projections = projections.to_vec();
        self.write(Durability::Full, move |tx| project(tx, &projections)).await
    }

    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let found = snapshot
                .conn
                .prepare_cached(
                    "SELECT last_user_message_at FROM window \
                     WHERE tenant = ?1 AND session = ?2 AND contact = ?3",
                )?
                .query_row(params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes()], |row| {
                    Ok(WindowView { last_user_message_at: at(row, 0)? })
                })
                .optional()?;
            Ok(found)
        })
        .await
    }

    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT position, session, contact, phone, bsuid, provider_id, at, kind, text FROM inbound \
                 WHERE tenant = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
            )?;
            let after = int(after.unwrap_or(0));
            let rows = statement.query_map(params![tenant.as_bytes(), after, page_size(limit)], |row| {
                Ok(StoredInbound {
                    position: uint(row, 0)?,
                    session: id(row, 1)?,
                    contact: id(row, 2)?,
                    from: recipient(row, 3)?,
                    provider_id: row.get(5)?,
                    at: at(row, 6)?,
                    kind: named(row, 7, InboundKind::from_name)?,
                    text: row.get(8)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn prune(&self, _scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.delete_in_steps(PRUNE, before).await
    }
}

fn keep(tx: &Tx<'_>, raw: &RawBody) -> Fallible<KeptRaw> {
    let digest = raw.fingerprint();
    let RawBody { id: new, transport, body, received_at } = raw;
    let known = tx
        .conn
        .prepare_cached("SELECT id FROM raw WHERE transport = ?1 AND digest = ?2")?
        .query_row(params![transport.as_str(), digest.as_bytes()], |row| id(row, 0))
        .optional()?;
    if let Some(known) = known {
        return Ok(KeptRaw { id: known, known: true });
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO raw (id, transport, digest, body, received_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            new.as_bytes(),
            transport.as_str(),
            digest.as_bytes(),
            body,
            micros(*received_at)
        ])?;
    Ok(KeptRaw { id: *new, known: false })
}

fn project(tx: &Tx<'_>, projections: &[Projection]) -> Fallible<Projected> {
    let mut projecting =
        Projecting { tx, merger: Merger::new(tx), routes: HashMap::new(), done: Projected::default() };
    for projection in projections {
        let Projection { raw, transport, received_at, events } = projection;
        let fresh = tx
            .conn
            .prepare_cached("UPDATE raw SET projected_at = ?2 WHERE id = ?1 AND projected_at IS NULL")?
            .execute(params![raw.as_bytes(), micros(tx.now)])?;
        if fresh == 0 {
            continue;
        }
        for event in events {
            projecting.one(*raw, transport, *received_at, event)?;
        }
    }
    let Projecting { merger, mut done, .. } = projecting;
    let Merged { changed, opened: _, due_at: _ } = merger.finish()?;
    done.changed = changed;
    Ok(done)
}

struct Projecting<'a> {
    tx: &'a Tx<'a>,
    merger: Merger<'a>,
    routes: HashMap<(TransportName, NumberId), Vec<Route>>,
    done: Projected,
}

/// What became of one event.
enum Applied {
    Merged,
    Waiting,
    Foreign,
    Unknown,
    Inbound(u64),
}

impl Projecting<'_> {
    /// Applies one event in a savepoint of its own.
    fn one(
        &mut self,
        raw: RawId,
        transport: &TransportName,
        received_at: DateTime<Utc>,
        event: &ProjectedEvent,
    ) -> Fallible<()> {
        let conn = self.tx.conn;
        conn.prepare_cached("SAVEPOINT event")?.execute([])?;
        let before = std::mem::take(&mut self.merger.changes);
        let applied = match event {
            ProjectedEvent::Status { attempt, update } => {
                self.status(transport, *attempt, update, received_at)
            }
            ProjectedEvent::Message { message, fresh_contact, consent } => {
                self.message(transport, message, *fresh_contact, *consent, received_at)
            }
            ProjectedEvent::Unknown { field: _ } => Ok(Applied::Unknown),
        };
        let part = std::mem::replace(&mut self.merger.changes, before);
        match applied {
            Ok(applied) => {
                self.merger.changes.absorb(part);
                match applied {
                    Applied::Merged => {}
                    Applied::Waiting => self.done.waiting += 1,
                    Applied::Foreign => self.done.foreign += 1,
                    Applied::Unknown => self.done.unknown += 1,
                    Applied::Inbound(new) => self.done.inbound += new,
                }
            }
            Err(fault) if fault.is_own() && !conn.is_autocommit() => {
                tracing::warn!(?raw, %fault, "an event could not be applied; its body is kept");
                conn.prepare_cached("ROLLBACK TO event")?.execute([])?;
            }
            Err(fault) => return Err(fault),
        }
        conn.prepare_cached("RELEASE event")?.execute([])?;
        Ok(())
    }

    /// The sessions that a number stands for under the body's transport.
    fn routes(&mut self, transport: &TransportName, number: &NumberId) -> Fallible<Vec<Route>> {
        let key = (transport.clone(), number.clone());
        if let Some(known) = self.routes.get(&key) {
            return Ok(known.clone());
        }
        let found = routes(self.tx.conn, transport, number)?;
        self.routes.insert(key, found.clone());
        Ok(found)
    }

    /// Every session of a number under the body's transport, deleted ones included.
    fn sessions(&self, transport: &TransportName, number: &NumberId) -> Fallible<Vec<SessionId>> {
        let mut statement =
            self.tx.conn.prepare_cached("SELECT id FROM session WHERE transport = ?1 AND number = ?2")?;
        let found = statement.query_map(params![transport.as_str(), number.as_str()], |row| id(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn status(
        &mut self,
        transport: &TransportName,
        tagged: Option<AttemptKey>,
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
            Some(key) => self.session_of(key)?.map(|session| (key, session)),
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
                Ok(Applied::Merged)
            }
            None => {
                self.wait(transport, update, received_at)?;
                Ok(Applied::Waiting)
            }
        }
    }

    fn session_of(&self, key: AttemptKey) -> Fallible<Option<SessionId>> {
        let found = self
            .tx
            .conn
            .prepare_cached(SESSION_OF_ATTEMPT)?
            .query_row(params![key.tenant.as_bytes(), key.message.as_bytes(), key.n], |row| id(row, 0))
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

    fn message(
        &mut self,
        transport: &TransportName,
        message: &InboundMessage,
        fresh: ContactId,
        consent: Option<Consent>,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &message.number)?;
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let mut new = 0;
        for Route { tenant, session } in routes {
            if self.message_of(tenant, session, message, fresh, consent, received_at)? {
                new += 1;
            }
        }
        Ok(Applied::Inbound(new))
    }

    /// Stores a message for one tenant; `false` when it was there.
    fn message_of(
        &mut self,
        tenant: TenantId,
        session: SessionId,
        message: &InboundMessage,
        fresh: ContactId,
        opt_out: Option<Consent>,
        received_at: DateTime<Utc>,
    ) -> Fallible<bool> {
        let tx = self.tx;
        let InboundMessage {
            number: _,
            provider_id,
            from,
            parent: _,
            profile_name: _,
            username: _,
            at: wrote_at,
            body,
            context: _,
            referral: _,
            group: _,
            standby: _,
        } = message;
        let known = tx
            .conn
            .prepare_cached("SELECT 1 FROM inbound WHERE session = ?1 AND provider_id = ?2")?
            .query_row(params![session.as_bytes(), provider_id], |_| Ok(()))
            .optional()?;
        if known.is_some() {
            return Ok(false);
        }
        let contact = contacts::find_or_create(tx, tenant, from, fresh, &ContactAttributes::new())?;
        let (phone, bsuid) = addresses(from);
        tx.conn
            .prepare_cached(
                "INSERT INTO inbound (tenant, position, session, contact, phone, bsuid, provider_id, at, kind, text) \
                 VALUES (?1, (SELECT coalesce(max(position), 0) + 1 FROM inbound WHERE tenant = ?1), \
                 ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                tenant.as_bytes(),
                session.as_bytes(),
                contact.id.as_bytes(),
                phone,
                bsuid,
                provider_id,
                // Of two instants the rule takes the earlier one as well.
                micros(window::merge(None, *wrote_at, received_at)),
                body.kind().as_str(),
                body.said()
            ])?;
        self.merger.changes.inbound(tenant, session, window::merge(None, *wrote_at, received_at));
        self.open_window(tenant, session, contact.id, *wrote_at, received_at)?;
        self.merger.changes.event(
            tenant,
            EventBody::Inbound { session, contact: contact.id, provider_id: provider_id.clone() },
        );
        if let Some(opt_out) = opt_out {
            let consent = strengthen(contact.consent, opt_out);
            let source = ConsentSource::StopWord;
            contacts::change_consent(tx, &mut self.merger.changes, tenant, &contact, consent, source)?;
        }
        Ok(true)
    }

    fn open_window(
        &self,
        tenant: TenantId,
        session: SessionId,
        contact: ContactId,
        wrote_at: DateTime<Utc>,
        received_at: DateTime<Utc>,
    ) -> Fallible<()> {
        let key = params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes()];
        let known = self
            .tx
            .conn
            .prepare_cached(
                "SELECT last_user_message_at FROM window WHERE tenant = ?1 AND session = ?2 AND contact = ?3",
            )?
            .query_row(key, |row| at(row, 0))
            .optional()?;
        let last = window::merge(known, wrote_at, received_at);
        self.tx
            .conn
            .prepare_cached(
                "INSERT OR REPLACE INTO window (tenant, session, contact, last_user_message_at) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes(), micros(last)])?;
        Ok(())
    }
}
