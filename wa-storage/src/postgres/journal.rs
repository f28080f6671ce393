//! The room of events and notices.
//!
//! Invariant: a position is given once, to a row that is committed, behind every position given before, and
//! positions have no gaps. Transactions commit in another order than they write, so a row has none until
//! somebody reads: a row that commits late gets a late position, and no reader is past it already.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{Event, EventBody, EventId, StreamPosition, TenantId};
use wa_core::port::store::{Journal, MAX_PAGE, ReaderName, StoreError};
use wa_core::port::{AdminScope, Notice, Scope};

use super::codec::{at, get, id, int, json, to_json, uint, undecodable};
use super::directory::settings_of;
use super::error::{Fallible, Fault};
use super::tx::{Access, Locks};
use super::{PostgresStore, page_size};
use crate::common::changes::unpack;

const PRUNE: &str = "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal \
     WHERE at < $1 AND position <= (SELECT coalesce(min(position), 9223372036854775807) FROM reader) \
     ORDER BY at LIMIT $2)";

/// Every part of it sees the end as it was before.
const SEQUENCE: &str = "WITH fresh AS (SELECT u.seq, row_number() OVER (ORDER BY u.seq) AS place \
     FROM (SELECT seq FROM journal WHERE position IS NULL ORDER BY seq LIMIT $1) AS u), \
     moved AS (UPDATE journal_end SET position = position + (SELECT count(*) FROM fresh) WHERE one = 1) \
     UPDATE journal j SET position = e.position + f.place FROM fresh f, journal_end e \
     WHERE e.one = 1 AND j.seq = f.seq";

/// How many rows get their positions in one commit: what the largest page holds, so that a page that is
/// not full afterwards is the last one.
const SEQUENCED_AT_ONCE: u32 = MAX_PAGE;

#[async_trait]
impl Journal for PostgresStore {
    async fn read(
        &self,
        _scope: &AdminScope,
        after: StreamPosition,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let full = usize::try_from(page_size(limit)).unwrap_or(usize::MAX);
        let (mut events, mut more) = events(self, after, limit).await?;
        // Who is behind reads what has positions already, and locks nothing.
        while more && events.len() < full {
            more = sequence(self).await?;
            (events, _) = self::events(self, after, limit).await?;
        }
        Ok(events)
    }

    async fn position(&self, _scope: &AdminScope, reader: &ReaderName) -> Result<StreamPosition, StoreError> {
        let mut tx = PostgresStore::read(self, Access::Engine).await?;
        let found = place_of(tx.conn(), reader).await;
        if let Some(position) = tx.close(found).await? {
            return Ok(position);
        }
        // From its first question on a reader is known, so that nothing it has not seen is pruned.
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let position = first_place_of(tx.conn(), reader).await;
        tx.end(position).await
    }

    async fn acknowledge(
        &self,
        _scope: &AdminScope,
        reader: &ReaderName,
        position: StreamPosition,
    ) -> Result<(), StoreError> {
        let mut tx = self.write(Access::Engine, Locks::none()).await?;
        let moved = sqlx::query(
            "INSERT INTO reader AS r (name, position) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position \
             WHERE excluded.position > r.position",
        )
        .bind(reader.as_str())
        .bind(int(position.0))
        .execute(tx.conn())
        .await;
        tx.end(moved.map(drop).map_err(Fault::from)).await
    }

    async fn prune_events(&self, _scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        // What goes without having been read takes its position with it: those behind it have later ones.
        let (_, mut more) = events(self, StreamPosition(u64::MAX), 1).await?;
        while more {
            more = sequence(self).await?;
        }
        self.delete_in_steps(PRUNE, before).await
    }

    async fn keep_notice(&self, scope: &Scope, notice: &Notice) -> Result<bool, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::none()).await?;
        let kept = keep_notice(tx.conn(), tenant, notice).await;
        tx.end(kept).await
    }

    async fn notices(
        &self,
        scope: &Scope,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = PostgresStore::read(self, Access::Tenant(tenant)).await?;
        // The id is the caller's, and may be the lowest of all.
        let sql = "SELECT body FROM notice WHERE tenant = $1 AND id >= $2 AND ($3 OR id <> $2) \
             ORDER BY id LIMIT $4";
        let found = sqlx::query(sql)
            .bind(tenant.as_uuid())
            .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
            .bind(after.is_none())
            .bind(page_size(limit))
            .try_map(|row: PgRow| json(&row, 0))
            .fetch_all(tx.conn())
            .await;
        tx.close(found.map_err(Fault::from)).await
    }
}

/// The events after a position that have one, and whether there are any that have none.
async fn events(
    store: &PostgresStore,
    after: StreamPosition,
    limit: u32,
) -> Result<(Vec<Event>, bool), StoreError> {
    let mut tx = store.read(Access::Engine).await?;
    let found = page(tx.conn(), after, limit).await;
    tx.close(found).await
}

/// Gives the first rows without a position theirs; whether there may be more of them.
async fn sequence(store: &PostgresStore) -> Result<bool, StoreError> {
    let most = i64::from(SEQUENCED_AT_ONCE);
    let mut tx = store.write(Access::Engine, Locks::journal(&store.shared)).await?;
    let given = sqlx::query(SEQUENCE).bind(most).execute(tx.conn()).await;
    let given = tx.end(given.map_err(Fault::from)).await?.rows_affected();
    Ok(int(given) >= most)
}

async fn page(conn: &mut PgConnection, after: StreamPosition, limit: u32) -> Fallible<(Vec<Event>, bool)> {
    let found = sqlx::query(
        "SELECT position, id, tenant, at, body, changes FROM journal \
         WHERE position > $1 ORDER BY position LIMIT $2",
    )
    .bind(int(after.0))
    .bind(page_size(limit))
    .try_map(|row: PgRow| event(&row))
    .fetch_all(&mut *conn)
    .await?;
    // In order, so that the small index of these rows is taken and never the table.
    let waiting: Option<i64> =
        sqlx::query_scalar("SELECT seq FROM journal WHERE position IS NULL ORDER BY seq LIMIT 1")
            .fetch_optional(conn)
            .await?;
    Ok((found, waiting.is_some()))
}

fn event(row: &PgRow) -> Result<Event, Error> {
    let body = match get::<Option<&[u8]>>(row, 5)? {
        Some(packed) => EventBody::Messages { changes: unpack(packed).ok_or_else(|| undecodable(5))? },
        None => json(row, 4)?,
    };
    Ok(Event {
        position: StreamPosition(uint(row, 0)?),
        id: id(row, 1)?,
        tenant: id(row, 2)?,
        at: at(row, 3)?,
        body,
    })
}

async fn place_of(conn: &mut PgConnection, reader: &ReaderName) -> Fallible<Option<StreamPosition>> {
    let found = sqlx::query("SELECT position FROM reader WHERE name = $1")
        .bind(reader.as_str())
        .try_map(|row: PgRow| Ok(StreamPosition(uint(&row, 0)?)))
        .fetch_optional(conn)
        .await?;
    Ok(found)
}

/// Makes a reader known; where it stands if it was known by then.
async fn first_place_of(conn: &mut PgConnection, reader: &ReaderName) -> Fallible<StreamPosition> {
    sqlx::query("INSERT INTO reader (name, position) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING")
        .bind(reader.as_str())
        .execute(&mut *conn)
        .await?;
    place_of(conn, reader).await?.ok_or(Fault::Broken("a reader is not there"))
}

async fn keep_notice(conn: &mut PgConnection, tenant: TenantId, notice: &Notice) -> Fallible<bool> {
    if notice.tenant != tenant || settings_of(conn, tenant).await?.is_none() {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO notice (tenant, id, body) VALUES ($1, $2, $3) ON CONFLICT (tenant, id) DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(notice.id.as_uuid())
    .bind(to_json(notice)?)
    .execute(conn)
    .await?;
    Ok(true)
}
