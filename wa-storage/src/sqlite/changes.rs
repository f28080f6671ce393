//! Writes what a transaction changed beside its rows.

use rusqlite::params;
use wa_core::model::{EventBody, EventId, TenantId, micros};

use super::alerts;
use super::booked;
use super::codec::to_json;
use super::error::Fallible;
use super::writer::Tx;
use crate::common::changes::{Changes, Written, pack};

pub(super) const INSERT_DELTA: &str =
    "INSERT INTO delta (tenant, campaign, counter, n) VALUES (?1, ?2, ?3, ?4)";
/// It is looked at at once.
pub(super) const INSERT_DOUBT: &str = "INSERT OR IGNORE INTO doubt (tenant, message, session, look_at) \
     SELECT ?1, ?2, session, ?3 FROM attempt WHERE tenant = ?1 AND message = ?2 ORDER BY n DESC LIMIT 1";
pub(super) const DELETE_DOUBT: &str = "DELETE FROM doubt WHERE tenant = ?1 AND message = ?2";

impl Tx<'_> {
    /// Writes the journal, the counts and what follows from them.
    pub(super) fn write(&self, changes: Changes) -> Fallible<()> {
        let Written { events, doubted, resolved, deltas, booked, looks } = changes.finish();
        for (tenant, body) in events {
            self.journal(tenant, body)?;
        }
        for (tenant, message) in doubted {
            let key = params![tenant.as_bytes(), message.as_bytes(), micros(self.now)];
            self.conn.prepare_cached(INSERT_DOUBT)?.execute(key)?;
        }
        for (tenant, message) in resolved {
            let key = params![tenant.as_bytes(), message.as_bytes()];
            self.conn.prepare_cached(DELETE_DOUBT)?.execute(key)?;
        }
        let mut insert = self.conn.prepare_cached(INSERT_DELTA)?;
        for delta in deltas {
            let campaign = delta.campaign.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            insert.execute(params![delta.tenant.as_bytes(), campaign, delta.counter.key(), delta.n])?;
        }
        drop(insert);
        booked::write(self.conn, booked)?;
        looks.into_iter().try_for_each(|look| alerts::look_at(self, look))
    }

    /// Appends one event.
    pub(super) fn journal(&self, tenant: TenantId, body: EventBody) -> Fallible<()> {
        let mut random = [0; 10];
        self.shared.entropy.fill(&mut random);
        let id = EventId::mint(self.now, random);
        let (text, changes) = match &body {
            EventBody::Messages { changes } => (None, Some(pack(changes))),
            other => (Some(to_json(other)?), None),
        };
        self.conn
            .prepare_cached(
                "INSERT INTO journal (id, tenant, at, body, changes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id.as_bytes(), tenant.as_bytes(), micros(self.now), text, changes])?;
        Ok(())
    }
}
