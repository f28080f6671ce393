//! The room of webhooks: bodies as they came, and what they say.
//!
//! Invariant: a body is applied and marked in one transaction, so it is applied once. An event that
//! cannot be applied is undone alone and takes no sibling with it.

pub(super) mod conversation;
mod effects;
mod held;
mod message;
mod project;
mod status;
pub(super) mod window;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use uuid::Uuid;
use wa_core::model::{
    ContactId, Conversation, ConversationAction, ConversationId, Fingerprint, RawId, SessionId, TransportName,
};
use wa_core::port::store::{
    ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Inbox, KeptRaw, Projected,
    Projection, RawBody, StoreError, StoredInbound, WindowEntry, WindowFilter, WindowKey, WindowView,
};
use wa_core::port::{AdminScope, Scope};

use self::held::Held;
use self::project::Way;
use super::audience::contacts::standing_for;
use super::codec::{at, fingerprint, get, id, parsed, ts, uuids};
use super::error::{Fallible, Fault};
use super::tx::{Access, Locks};
use super::{PostgresStore, page_size};

const PRUNE: &str = "DELETE FROM raw WHERE id = ANY (ARRAY (SELECT id FROM raw \
     WHERE projected_at IS NOT NULL AND received_at < $1 ORDER BY received_at LIMIT $2))";

#[async_trait]
impl Inbox for PostgresStore {
    async fn keep(&self, _scope: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        // Nothing is locked and no clock is asked: the body has its own instant.
        let mut tx = self.open(Access::Engine).await?;
        let kept = keep(tx.conn(), bodies).await;
        tx.end(kept).await
    }

    async fn unprojected(
        &self,
        _scope: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = unprojected(tx.conn(), after, limit).await;
        tx.close(found).await
    }

    async fn project(
        &self,
        _scope: &AdminScope,
        projections: &[Projection],
    ) -> Result<Projected, StoreError> {
        let (mut held, mut way) = (Held::default(), Way::Together);
        loop {
            let mut tx = self.open(Access::Engine).await?;
            match project::project(&mut tx, projections, &mut held, way).await {
                Ok(Some(projected)) => return tx.end(Ok(projected)).await,
                // Somebody else came into it just before the locks were taken.
                Ok(None) => tx.close(Ok(())).await?,
                Err(fault) if fault.is_own() && way == Way::Together => {
                    tx.close(Ok(())).await?;
                    way = Way::OneByOne;
                }
                Err(fault) => return tx.end(Err(fault)).await,
            }
        }
    }

    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = match standing_for(tx.conn(), tenant, contact).await {
            Ok(contact) => window::one(&mut tx, tenant, session, contact).await,
            Err(fault) => Err(fault),
        };
        tx.close(found).await
    }

    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = window::list(&mut tx, tenant, *filter, after, limit).await;
        tx.close(found).await
    }

    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = message::page(tx.conn(), tenant, after, page_size(limit)).await;
        tx.close(found).await
    }

    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = conversation::list(tx.conn(), tenant, filter, after, limit).await;
        tx.close(found).await
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = conversation::one(tx.conn(), tenant, id).await;
        tx.close(found).await
    }

    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = conversation::messages(tx.conn(), tenant, id, after, limit).await;
        tx.close(found).await
    }

    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Result<Option<Conversation>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = conversation::act(&mut tx, tenant, id, action).await;
        tx.end(done).await
    }

    async fn prune(&self, _scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.delete_in_steps(PRUNE, before).await
    }
}

/// Keeps bodies: one statement where all of them are new.
async fn keep(conn: &mut PgConnection, bodies: &[RawBody]) -> Fallible<Vec<KeptRaw>> {
    let digests: Vec<Fingerprint> = bodies.iter().map(RawBody::fingerprint).collect();
    let transports: Vec<&str> = bodies.iter().map(|raw| raw.transport.as_str()).collect();
    // In the order of the key: two calls with the same bodies never wait for each other.
    let added = sqlx::query(
        "INSERT INTO raw (id, transport, digest, body, received_at) \
         SELECT u.id, u.transport, u.digest, u.body, u.received_at \
         FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::timestamptz[]) WITH ORDINALITY \
         AS u (id, transport, digest, body, received_at, place) ORDER BY u.transport, u.digest, u.place \
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(uuids(bodies.iter().map(|raw| raw.id)))
    .bind(&transports)
    .bind(digests.iter().map(|digest| digest.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(bodies.iter().map(|raw| raw.body.as_slice()).collect::<Vec<_>>())
    .bind(bodies.iter().map(|raw| ts(raw.received_at)).collect::<Vec<_>>())
    .try_map(|row: PgRow| id(&row, 0))
    .fetch_all(&mut *conn)
    .await?;
    let mut added: HashSet<RawId> = added.into_iter().collect();
    let known =
        if added.len() == bodies.len() { HashMap::new() } else { known(conn, &transports, &digests).await? };
    let answer = |(raw, digest): (&RawBody, Fingerprint)| {
        if added.remove(&raw.id) {
            return Ok(KeptRaw { id: raw.id, known: false });
        }
        let known = known.get(&(raw.transport.clone(), digest));
        let id = *known.ok_or(Fault::Broken("the id of a body is that of another one"))?;
        Ok(KeptRaw { id, known: true })
    };
    bodies.iter().zip(digests.iter().copied()).map(answer).collect()
}

/// The ids of bodies that were kept before, by transport and digest.
async fn known(
    conn: &mut PgConnection,
    transports: &[&str],
    digests: &[Fingerprint],
) -> Fallible<HashMap<(TransportName, Fingerprint), RawId>> {
    let found = sqlx::query(
        "SELECT u.transport, u.digest, r.id FROM unnest($1::text[], $2::bytea[]) AS u (transport, digest) \
         CROSS JOIN LATERAL (SELECT x.id FROM raw x \
             WHERE x.transport = u.transport AND x.digest = u.digest LIMIT 1) r",
    )
    .bind(transports)
    .bind(digests.iter().map(|digest| digest.as_bytes().as_slice()).collect::<Vec<_>>())
    .try_map(|row: PgRow| Ok(((parsed(&row, 0)?, fingerprint(&row, 1)?), id(&row, 2)?)))
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().collect())
}

async fn unprojected(conn: &mut PgConnection, after: Option<RawId>, limit: u32) -> Fallible<Vec<RawBody>> {
    let found = sqlx::query(
        "SELECT id, transport, body, received_at FROM raw \
         WHERE projected_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
    .bind(page_size(limit))
    .try_map(|row: PgRow| {
        Ok(RawBody {
            id: id(&row, 0)?,
            transport: parsed(&row, 1)?,
            body: get(&row, 2)?,
            received_at: at(&row, 3)?,
        })
    })
    .fetch_all(conn)
    .await?;
    Ok(found)
}
