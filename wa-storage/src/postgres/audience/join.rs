//! Two contacts that turn out to be one, and contacts that move to other addresses.
//!
//! Invariant: the id that goes is an alias of the one that stays, never of an alias; no row but
//! messages names it any more. All of it happens under the tenant's exclusive gate. Unique keys are checked
//! row by row: what would meet a row of the contact that stays is deleted before the rest is renamed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use wa_core::model::{
    ConsentSource, Contact, ContactId, ConversationId, EventBody, Recipient, SessionId, TenantId, UserChange,
};
use wa_core::rules::address::moved;
use wa_core::rules::consent;

use super::contacts::{by_address, by_id, put_records, record_of, update};
use crate::common::audience::{keys, one_of};
use crate::common::changes::Changes;
use crate::postgres::codec::{get, id, opt_at, ts, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::inbox::{conversation, window};
use crate::postgres::tx::Tx;

/// The time in which what was sent to an address went to a contact.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct Reached {
    pub(in crate::postgres) key: i64,
    pub(in crate::postgres) since: Option<DateTime<Utc>>,
    pub(in crate::postgres) until: Option<DateTime<Utc>>,
}

/// Where and when a contact was reached.
pub(in crate::postgres) async fn reached(
    conn: &mut PgConnection,
    tenant: TenantId,
    contact: ContactId,
) -> Fallible<Vec<Reached>> {
    let mut all = Vec::new();
    if let Some(known) = by_id(conn, tenant, contact).await? {
        all = sqlx::query(
            "SELECT u.key, (SELECT max(f.until) FROM former_address f \
             WHERE f.tenant = $1 AND f.recipient = u.key AND f.contact <> $2) \
             FROM unnest($3::bigint[]) WITH ORDINALITY AS u (key, place) ORDER BY u.place",
        )
        .bind(tenant.as_uuid())
        .bind(contact.as_uuid())
        .bind(keys(&known.recipient))
        .try_map(|row| Ok(Reached { key: get(&row, 0)?, since: opt_at(&row, 1)?, until: None }))
        .fetch_all(&mut *conn)
        .await?;
    }
    let former = sqlx::query(
        "SELECT recipient, until FROM former_address WHERE tenant = $1 AND contact = $2 \
         ORDER BY recipient, until",
    )
    .bind(tenant.as_uuid())
    .bind(contact.as_uuid())
    .try_map(|row| Ok(Reached { key: get(&row, 0)?, since: None, until: opt_at(&row, 1)? }));
    all.extend(former.fetch_all(conn).await?);
    Ok(all)
}

/// Makes one contact of two, with everything that hangs on them.
pub(super) async fn join(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    stays: Contact,
    goes: Contact,
) -> Fallible<Contact> {
    let (kept, gone) = (stays.id, goes.id);
    join_lists(tx.conn(), tenant, kept, gone).await?;
    let sessions: Vec<SessionId> = sqlx::query("SELECT id FROM session WHERE tenant = $1 ORDER BY id")
        .bind(tenant.as_uuid())
        .try_map(|row| id(&row, 0))
        .fetch_all(tx.conn())
        .await?;
    sqlx::query("UPDATE inbound SET contact = $3 WHERE tenant = $1 AND session = ANY($4) AND contact = $2")
        .bind(tenant.as_uuid())
        .bind(gone.as_uuid())
        .bind(kept.as_uuid())
        .bind(uuids(sessions.iter().copied()))
        .execute(tx.conn())
        .await?;
    for session in sessions {
        window::join(tx.conn(), tenant, session, kept, gone).await?;
        let of = |contact| ConversationId { session, contact };
        conversation::join(tx.conn(), tenant, of(kept), of(gone)).await?;
    }
    let own = record_of(tx.conn(), tenant, kept).await?;
    let record = consent::joined(own, record_of(tx.conn(), tenant, gone).await?);
    // Before the other one gets its addresses: no address belongs to two.
    for sql in [DELETE_CONTACT, RENAME_ALIASES, PUT_ALIAS, DELETE_FORMER, RENAME_FORMER] {
        sqlx::query(sql)
            .bind(tenant.as_uuid())
            .bind(gone.as_uuid())
            .bind(kept.as_uuid())
            .execute(tx.conn())
            .await?;
    }
    let joined = one_of(stays, goes);
    update(tx.conn(), tenant, &joined).await?;
    changes.event(tenant, EventBody::ContactsMerged { contact: kept, alias: gone });
    let kept = put_records(tx, changes, tenant, vec![(joined, record)], ConsentSource::Merge).await?;
    kept.into_iter().next().ok_or(Fault::Broken("two contacts became none"))
}

// All take the tenant, the contact that goes and the one that stays.
const DELETE_CONTACT: &str = "DELETE FROM contact WHERE tenant = $1 AND id = $2 AND id <> $3";
const RENAME_ALIASES: &str = "UPDATE contact_alias SET contact = $3 WHERE tenant = $1 AND contact = $2";
const PUT_ALIAS: &str = "INSERT INTO contact_alias (tenant, alias, contact) VALUES ($1, $2, $3) \
     ON CONFLICT (tenant, alias) DO UPDATE SET contact = excluded.contact";
const DELETE_FORMER: &str = "DELETE FROM former_address g WHERE g.tenant = $1 AND g.contact = $2 \
     AND EXISTS (SELECT 1 FROM former_address k WHERE k.tenant = $1 AND k.recipient = g.recipient \
     AND k.contact = $3 AND k.until = g.until)";
const RENAME_FORMER: &str = "UPDATE former_address SET contact = $3 WHERE tenant = $1 AND contact = $2";

async fn join_lists(
    conn: &mut PgConnection,
    tenant: TenantId,
    kept: ContactId,
    gone: ContactId,
) -> Fallible<()> {
    let lists: Vec<i64> = sqlx::query_scalar("SELECT id FROM list WHERE tenant = $1")
        .bind(tenant.as_uuid())
        .fetch_all(&mut *conn)
        .await?;
    // Whoever is on a list twice keeps the place of the contact that stays.
    for sql in [
        "DELETE FROM list_member g WHERE g.tenant = $1 AND g.list = ANY($4) AND g.contact = $2 \
         AND EXISTS (SELECT 1 FROM list_member k WHERE k.tenant = $1 AND k.list = g.list AND k.contact = $3)",
        "UPDATE list_member SET contact = $3 WHERE tenant = $1 AND list = ANY($4) AND contact = $2",
    ] {
        sqlx::query(sql)
            .bind(tenant.as_uuid())
            .bind(gone.as_uuid())
            .bind(kept.as_uuid())
            .bind(&lists)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Moves a contact to its new addresses, once.
pub(in crate::postgres) async fn follow(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    change: &UserChange,
    at: DateTime<Utc>,
) -> Fallible<()> {
    let UserChange { number: _, provider_id: _, at: _, change: kind, old, new } = change;
    let Some(mut contact) = by_address(tx.conn(), tenant, old).await? else { return Ok(()) };
    if was_left(tx.conn(), tenant, &keys(old), at).await? {
        return Ok(());
    }
    let under: Vec<Recipient> = new
        .phone()
        .map(Recipient::from)
        .into_iter()
        .chain(new.bsuid().cloned().map(Recipient::from))
        .collect();
    for address in under {
        let holder = by_address(tx.conn(), tenant, &address).await?;
        if let Some(holder) = holder.filter(|holder| holder.id != contact.id) {
            // Whoever wrote under the new address already is the same person.
            contact = join(tx, changes, tenant, contact, holder).await?;
        }
    }
    let Some(to) = moved(*kind, &contact.recipient, new) else { return Ok(()) };
    if to == contact.recipient {
        return Ok(());
    }
    let stays = keys(&to);
    let left: Vec<i64> = keys(&contact.recipient).into_iter().filter(|key| !stays.contains(key)).collect();
    sqlx::query(
        "INSERT INTO former_address (tenant, recipient, contact, until) \
         SELECT $1, u.key, $3, $4 FROM unnest($2::bigint[]) AS u (key) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(left)
    .bind(contact.id.as_uuid())
    .bind(ts(at))
    .execute(tx.conn())
    .await?;
    contact.recipient = to;
    update(tx.conn(), tenant, &contact).await?;
    changes.event(tenant, EventBody::ContactMoved { contact: contact.id });
    Ok(())
}

/// Whether one of these addresses was left behind at or after an instant.
async fn was_left(
    conn: &mut PgConnection,
    tenant: TenantId,
    keys: &[i64],
    at: DateTime<Utc>,
) -> Fallible<bool> {
    let found = sqlx::query(
        "SELECT 1 FROM former_address WHERE tenant = $1 AND recipient = ANY($2) AND until >= $3 LIMIT 1",
    )
    .bind(tenant.as_uuid())
    .bind(keys)
    .bind(ts(at))
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}
