//! The room of events and notices.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{Event, EventBody, EventId, StreamPosition};
use wa_core::port::store::{Journal, ReaderName, StoreError};
use wa_core::port::{AdminScope, Notice, Scope};

use super::codec::{at, id, int, json, to_json, uint, undecodable};
use super::directory::settings_of;
use super::{Durability, SqliteStore, page_size};
use crate::common::changes::unpack;

pub(super) const PRUNE: &str = "DELETE FROM journal WHERE position IN (SELECT position FROM journal \
     WHERE at < ?1 AND position <= (SELECT coalesce(min(position), 9223372036854775807) FROM reader) \
     ORDER BY at LIMIT ?2)";

#[async_trait]
impl Journal for SqliteStore {
    async fn read(
        &self,
        _scope: &AdminScope,
        after: StreamPosition,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let call = move |snapshot: &super::Snapshot<'_>| {
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT position, id, tenant, at, body, changes FROM journal \
                 WHERE position > ?1 ORDER BY position LIMIT ?2",
            )?;
            let rows = statement.query_map(params![int(after.0), page_size(limit)], |row| {
                let body = match row.get_ref(5)?.as_blob_or_null().map_err(|_| undecodable(5))? {
                    Some(packed) => {
                        EventBody::Messages { changes: unpack(packed).ok_or_else(|| undecodable(5))? }
                    }
                    None => json(row, 4)?,
                };
                Ok(Event {
                    position: StreamPosition(uint(row, 0)?),
                    id: id(row, 1)?,
                    tenant: id(row, 2)?,
                    at: at(row, 3)?,
                    body,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        SqliteStore::read(self, call).await
    }

    async fn position(&self, _scope: &AdminScope, reader: &ReaderName) -> Result<StreamPosition, StoreError> {
        let reader = reader.clone();
        let wanted = reader.clone();
        let find = move |snapshot: &super::Snapshot<'_>| {
            let found = snapshot
                .conn
                .prepare_cached("SELECT position FROM reader WHERE name = ?1")?
                .query_row([wanted.as_str()], |row| uint(row, 0))
                .optional()?;
            Ok(found)
        };
        if let Some(position) = SqliteStore::read(self, find).await? {
            return Ok(StreamPosition(position));
        }
        // From its first question on a reader is known, so that nothing it has not seen is pruned.
        self.write(Durability::Normal, move |tx| {
            tx.conn
                .prepare_cached("INSERT OR IGNORE INTO reader (name, position) VALUES (?1, 0)")?
                .execute([reader.as_str()])?;
            // Through another handle it may have moved since it was looked for.
            let position = tx
                .conn
                .prepare_cached("SELECT position FROM reader WHERE name = ?1")?
                .query_row([reader.as_str()], |row| uint(row, 0))?;
            Ok(StreamPosition(position))
        })
        .await
    }

    async fn acknowledge(
        &self,
        _scope: &AdminScope,
        reader: &ReaderName,
        position: StreamPosition,
    ) -> Result<(), StoreError> {
        let reader = reader.clone();
        self.write(Durability::Normal, move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT INTO reader (name, position) VALUES (?1, ?2) \
                     ON CONFLICT (name) DO UPDATE SET position = excluded.position \
                     WHERE excluded.position > position",
                )?
                .execute(params![reader.as_str(), int(position.0)])?;
            Ok(())
        })
        .await
    }

    async fn prune_events(&self, _scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.delete_in_steps(PRUNE, before).await
    }

    async fn keep_notice(&self, scope: &Scope, notice: &Notice) -> Result<bool, StoreError> {
        let (tenant, notice) = (scope.tenant(), notice.clone());
        self.write(Durability::Normal, move |tx| {
            if notice.tenant != tenant || settings_of(tx.conn, tenant)?.is_none() {
                return Ok(false);
            }
            tx.conn
                .prepare_cached("INSERT OR IGNORE INTO notice (tenant, id, body) VALUES (?1, ?2, ?3)")?
                .execute(params![tenant.as_bytes(), notice.id.as_bytes(), to_json(&notice)?])?;
            Ok(true)
        })
        .await
    }

    async fn notices(
        &self,
        scope: &Scope,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let tenant = scope.tenant();
        let call = move |snapshot: &super::Snapshot<'_>| {
            let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT body FROM notice WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let rows = statement
                .query_map(params![tenant.as_bytes(), after, page_size(limit)], |row| json(row, 0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        SqliteStore::read(self, call).await
    }
}
