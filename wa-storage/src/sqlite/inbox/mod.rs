//! The room of webhooks: bodies as they came, and what they say.
//!
//! Invariant: a body is applied and marked in one transaction, so it is applied once. An event that
//! cannot be applied is undone alone and takes no sibling with it.

pub(super) mod conversation;
mod effects;
mod message;
mod project;
mod status;
pub(super) mod window;

#[cfg(test)]
pub(super) use message::HANGING;
#[cfg(test)]
pub(super) use status::{BY_PROVIDER, SESSION_OF_ATTEMPT};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{ContactId, Conversation, ConversationAction, ConversationId, RawId, SessionId, micros};
use wa_core::port::store::{
    ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Inbox, KeptRaw, Projected,
    Projection, RawBody, StoreError, StoredInbound, WindowEntry, WindowFilter, WindowKey, WindowView,
};
use wa_core::port::{AdminScope, Scope};

use super::audience::contacts::standing_for;
use super::codec::{at, id, int, parsed};
use super::error::Fallible;
use super::writer::Tx;
use super::{Durability, SqliteStore, page_size};

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
        self.write(Durability::Full, move |tx| project::project(tx, &projections)).await
    }

    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let contact = standing_for(snapshot.conn, tenant, contact)?;
            window::one(snapshot, tenant, session, contact)
        })
        .await
    }

    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, StoreError> {
        let (tenant, filter) = (scope.tenant(), *filter);
        self.read(move |snapshot| window::list(snapshot, tenant, filter, after, limit)).await
    }

    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let mut statement = snapshot.conn.prepare_cached(&format!(
                "SELECT {} FROM inbound i WHERE i.tenant = ?1 AND i.position > ?2 \
                 ORDER BY i.position LIMIT ?3",
                message::COLUMNS
            ))?;
            let after = int(after.unwrap_or(0));
            let rows = statement
                .query_map(params![tenant.as_bytes(), after, page_size(limit)], message::heard)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            rows.into_iter().map(|heard| message::whole(snapshot.conn, heard)).collect()
        })
        .await
    }

    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let (tenant, filter) = (scope.tenant(), filter.clone());
        self.read(move |snapshot| conversation::list(snapshot, tenant, &filter, after, limit)).await
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| conversation::one(snapshot, tenant, id)).await
    }

    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| conversation::messages(snapshot, tenant, id, after, limit)).await
    }

    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Result<Option<Conversation>, StoreError> {
        let (tenant, action) = (scope.tenant(), action.clone());
        self.write(Durability::Normal, move |tx| conversation::act(tx, tenant, id, &action)).await
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
