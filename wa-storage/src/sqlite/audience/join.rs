//! Two contacts that turn out to be one, and contacts that move to other addresses.
//!
//! Invariant: the id that goes is an alias of the one that stays, never of an alias; no row but
//! messages names it any more.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{
    ConsentSource, Contact, ContactId, ConversationId, EventBody, Recipient, SessionId, TenantId, UserChange,
    micros,
};
use wa_core::rules::address::moved;
use wa_core::rules::consent;

use super::contacts::{by_address, by_id, put_record, record_of, update};
use crate::common::audience::{keys, one_of};
use crate::common::changes::Changes;
use crate::sqlite::codec::{column, id, opt_at};
use crate::sqlite::error::Fallible;
use crate::sqlite::inbox::{conversation, window};
use crate::sqlite::writer::Tx;

/// The time in which what was sent to an address went to a contact.
#[derive(Debug, Clone, Copy)]
pub(in crate::sqlite) struct Reached {
    pub(in crate::sqlite) key: i64,
    pub(in crate::sqlite) since: Option<DateTime<Utc>>,
    pub(in crate::sqlite) until: Option<DateTime<Utc>>,
}

/// Where and when a contact was reached.
pub(in crate::sqlite) fn reached(
    conn: &Connection,
    tenant: TenantId,
    contact: ContactId,
) -> Fallible<Vec<Reached>> {
    let mut all = Vec::new();
    for key in by_id(conn, tenant, contact)?.iter().flat_map(|contact| keys(&contact.recipient)) {
        let since = conn
            .prepare_cached(
                "SELECT max(until) FROM former_address \
                 WHERE tenant = ?1 AND recipient = ?2 AND contact <> ?3",
            )?
            .query_row(params![tenant.as_bytes(), key, contact.as_bytes()], |row| opt_at(row, 0))?;
        all.push(Reached { key, since, until: None });
    }
    let mut statement = conn
        .prepare_cached("SELECT recipient, until FROM former_address WHERE tenant = ?1 AND contact = ?2")?;
    let former = statement.query_map(params![tenant.as_bytes(), contact.as_bytes()], |row| {
        Ok(Reached { key: row.get(0)?, since: None, until: opt_at(row, 1)? })
    })?;
    for reached in former {
        all.push(reached?);
    }
    Ok(all)
}

/// Makes one contact of two, with everything that hangs on them.
pub(super) fn join(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    stays: Contact,
    goes: Contact,
) -> Fallible<Contact> {
    let conn = tx.conn;
    let (kept, gone) = (stays.id, goes.id);
    join_lists(conn, tenant, kept, gone)?;
    let mut statement = conn.prepare_cached("SELECT id FROM session WHERE tenant = ?1")?;
    let sessions = statement.query_map(params![tenant.as_bytes()], |row| id(row, 0))?;
    for session in sessions.collect::<rusqlite::Result<Vec<SessionId>>>()? {
        conn.prepare_cached("UPDATE inbound SET contact = ?3 WHERE session = ?1 AND contact = ?2")?
            .execute(params![session.as_bytes(), gone.as_bytes(), kept.as_bytes()])?;
        window::join(conn, tenant, session, kept, gone)?;
        let of = |contact| ConversationId { session, contact };
        conversation::join(conn, tenant, of(kept), of(gone))?;
    }
    let record = consent::joined(record_of(conn, tenant, kept)?, record_of(conn, tenant, gone)?);
    // Before the other one gets its addresses: no address belongs to two.
    let key = params![tenant.as_bytes(), gone.as_bytes()];
    conn.prepare_cached("DELETE FROM contact WHERE tenant = ?1 AND id = ?2")?.execute(key)?;
    conn.prepare_cached("UPDATE contact_alias SET contact = ?3 WHERE tenant = ?1 AND contact = ?2")?
        .execute(params![tenant.as_bytes(), gone.as_bytes(), kept.as_bytes()])?;
    conn.prepare_cached("INSERT OR REPLACE INTO contact_alias (tenant, alias, contact) VALUES (?1, ?2, ?3)")?
        .execute(params![tenant.as_bytes(), gone.as_bytes(), kept.as_bytes()])?;
    conn.prepare_cached(
        "UPDATE OR REPLACE former_address SET contact = ?3 WHERE tenant = ?1 AND contact = ?2",
    )?
    .execute(params![tenant.as_bytes(), gone.as_bytes(), kept.as_bytes()])?;
    let joined = one_of(stays, goes);
    update(conn, tenant, &joined)?;
    changes.event(tenant, EventBody::ContactsMerged { contact: kept, alias: gone });
    put_record(tx, changes, tenant, &joined, &record, ConsentSource::Merge)
}

fn join_lists(conn: &Connection, tenant: TenantId, kept: ContactId, gone: ContactId) -> Fallible<()> {
    let mut statement = conn.prepare_cached("SELECT id FROM list WHERE tenant = ?1")?;
    let lists = statement.query_map(params![tenant.as_bytes()], column)?;
    for list in lists.collect::<rusqlite::Result<Vec<i64>>>()? {
        conn.prepare_cached(
            "UPDATE OR IGNORE list_member SET contact = ?3 WHERE list = ?1 AND contact = ?2",
        )?
        .execute(params![list, gone.as_bytes(), kept.as_bytes()])?;
        conn.prepare_cached("DELETE FROM list_member WHERE list = ?1 AND contact = ?2")?
            .execute(params![list, gone.as_bytes()])?;
    }
    Ok(())
}

/// Moves a contact to its new addresses, once.
pub(in crate::sqlite) fn follow(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    change: &UserChange,
    at: DateTime<Utc>,
) -> Fallible<()> {
    let UserChange { number: _, provider_id: _, at: _, change: kind, old, new } = change;
    let Some(mut contact) = by_address(tx.conn, tenant, old)? else { return Ok(()) };
    for key in keys(old) {
        if was_left(tx.conn, tenant, key, at)? {
            return Ok(());
        }
    }
    let under: Vec<Recipient> = new
        .phone()
        .map(Recipient::from)
        .into_iter()
        .chain(new.bsuid().cloned().map(Recipient::from))
        .collect();
    for address in under {
        let holder = by_address(tx.conn, tenant, &address)?;
        if let Some(holder) = holder.filter(|holder| holder.id != contact.id) {
            // Whoever wrote under the new address already is the same person.
            contact = join(tx, changes, tenant, contact, holder)?;
        }
    }
    let Some(to) = moved(*kind, &contact.recipient, new) else { return Ok(()) };
    if to == contact.recipient {
        return Ok(());
    }
    let stays = keys(&to);
    for key in keys(&contact.recipient).into_iter().filter(|key| !stays.contains(key)) {
        tx.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO former_address (tenant, recipient, contact, until) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![tenant.as_bytes(), key, contact.id.as_bytes(), micros(at)])?;
    }
    contact.recipient = to;
    update(tx.conn, tenant, &contact)?;
    changes.event(tenant, EventBody::ContactMoved { contact: contact.id });
    Ok(())
}

/// Whether an address was left behind at or after an instant.
fn was_left(conn: &Connection, tenant: TenantId, key: i64, at: DateTime<Utc>) -> Fallible<bool> {
    let found = conn
        .prepare_cached(
            "SELECT 1 FROM former_address WHERE tenant = ?1 AND recipient = ?2 AND until >= ?3 LIMIT 1",
        )?
        .query_row(params![tenant.as_bytes(), key, micros(at)], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}
