//! Applying what bodies say, event by event, each in a savepoint of its own.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::params;
use wa_core::model::{NumberId, RawId, SessionId, TransportName, micros};
use wa_core::port::store::{Projected, ProjectedEvent, Projection, Route};

use crate::common::inbox::{Applied, Done};
use crate::sqlite::codec::id;
use crate::sqlite::error::Fallible;
use crate::sqlite::numbers::routes;
use crate::sqlite::outbox::merge::{Merged, Merger};
use crate::sqlite::writer::Tx;

pub(super) fn project(tx: &Tx<'_>, projections: &[Projection]) -> Fallible<Projected> {
    let mut projecting =
        Projecting { tx, merger: Merger::new(tx), routes: HashMap::new(), done: Done::default() };
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
    let Projecting { tx: _, merger, routes: _, done } = projecting;
    let Merged { changed, opened: _, due_at: _ } = merger.finish()?;
    Ok(done.finish(changed))
}

pub(super) struct Projecting<'a> {
    pub(super) tx: &'a Tx<'a>,
    pub(super) merger: Merger<'a>,
    routes: HashMap<(TransportName, NumberId), Vec<Route>>,
    done: Done,
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
            ProjectedEvent::Status { attempt, batch, update } => {
                self.status(transport, (*attempt, *batch), update, received_at)
            }
            ProjectedEvent::Message { message, fresh_contact, consent } => {
                self.message(transport, message, *fresh_contact, *consent, received_at)
            }
            ProjectedEvent::Echo { echo, fresh_contact } => {
                self.echo(transport, echo, *fresh_contact, received_at)
            }
            ProjectedEvent::UserChanged { change } => self.user_changed(transport, change, received_at),
            ProjectedEvent::Preference { preference, fresh_contact } => {
                self.preference(transport, preference, *fresh_contact, received_at)
            }
            ProjectedEvent::Decision { event } => self.decision(transport, event, received_at),
            ProjectedEvent::Unknown { field: _ } => Ok(Applied::Unknown),
        };
        let part = std::mem::replace(&mut self.merger.changes, before);
        match applied {
            Ok(applied) => {
                self.merger.changes.absorb(part);
                self.done.add(applied);
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
    pub(super) fn routes(&mut self, transport: &TransportName, number: &NumberId) -> Fallible<Vec<Route>> {
        let key = (transport.clone(), number.clone());
        if let Some(known) = self.routes.get(&key) {
            return Ok(known.clone());
        }
        let found = routes(self.tx.conn, transport, number)?;
        self.routes.insert(key, found.clone());
        Ok(found)
    }

    /// Every session of a number under the body's transport, deleted ones included.
    pub(super) fn sessions(&self, transport: &TransportName, number: &NumberId) -> Fallible<Vec<SessionId>> {
        let mut statement =
            self.tx.conn.prepare_cached("SELECT id FROM session WHERE transport = ?1 AND number = ?2")?;
        let found = statement.query_map(params![transport.as_str(), number.as_str()], |row| id(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}
