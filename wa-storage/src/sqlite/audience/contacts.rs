//! Contacts, the lists that they are on, and their consent.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use wa_core::model::{
    Bsuid, Consent, ConsentRecord, ConsentSource, Contact, ContactAttributes, ContactId, EventBody, ListName,
    Recipient, Seen, TenantId, micros,
};
use wa_core::port::store::UpsertContact;
use wa_core::rules::consent::{self, ConsentNews};

use super::join;
use crate::common::audience::{learned, new_contact};
use crate::common::changes::Changes;
use crate::sqlite::codec::{
    addresses, at, column, id as codec_id, json, named, opt_at, opt_json, opt_micros, opt_named,
    phone_number, recipient, to_json,
};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::Fallible;
use crate::sqlite::page_size;
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

const COLUMNS: &str = "c.id, c.phone, c.bsuid, c.attributes, c.consent, c.consent_at, c.created_at, \
     c.consent_source, c.profile_name, c.username";

pub(in crate::sqlite) fn by_id(
    conn: &Connection,
    tenant: TenantId,
    id: ContactId,
) -> Fallible<Option<Contact>> {
    if let Some(found) = one(conn, "c.id = ?2", tenant, id.as_bytes())? {
        return Ok(Some(found));
    }
    match resolve(conn, tenant, id)? {
        Some(stays) => one(conn, "c.id = ?2", tenant, stays.as_bytes()),
        None => Ok(None),
    }
}

/// The contact that an id is an alias of.
fn resolve(conn: &Connection, tenant: TenantId, id: ContactId) -> Fallible<Option<ContactId>> {
    let found = conn
        .prepare_cached("SELECT contact FROM contact_alias WHERE tenant = ?1 AND alias = ?2")?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], |row| codec_id(row, 0))
        .optional()?;
    Ok(found)
}

/// The contact that stands behind an id: itself, unless it is an alias.
pub(in crate::sqlite) fn standing_for(
    conn: &Connection,
    tenant: TenantId,
    id: ContactId,
) -> Fallible<ContactId> {
    Ok(resolve(conn, tenant, id)?.unwrap_or(id))
}

/// The contact with this phone, else the one with this business-scoped user id.
pub(in crate::sqlite) fn by_address(
    conn: &Connection,
    tenant: TenantId,
    who: &Recipient,
) -> Fallible<Option<Contact>> {
    if let Some(phone) = who.phone()
        && let Some(found) = one(conn, "c.phone = ?2", tenant, &phone_number(phone))?
    {
        return Ok(Some(found));
    }
    who.bsuid().map_or(Ok(None), |bsuid| by_bsuid(conn, tenant, bsuid))
}

fn by_bsuid(conn: &Connection, tenant: TenantId, bsuid: &Bsuid) -> Fallible<Option<Contact>> {
    one(conn, "c.bsuid = ?2", tenant, &bsuid.as_str())
}

fn one(conn: &Connection, is: &str, tenant: TenantId, key: &dyn ToSql) -> Fallible<Option<Contact>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM contact c WHERE c.tenant = ?1 AND {is}"))?
        .query_row(params![tenant.as_bytes(), key], contact)
        .optional()?;
    Ok(found)
}

pub(super) fn contact(row: &Row<'_>) -> rusqlite::Result<Contact> {
    Ok(Contact {
        id: codec_id(row, 0)?,
        recipient: recipient(row, 1)?,
        attributes: json(row, 3)?,
        profile_name: opt_json(row, 8)?,
        username: opt_json(row, 9)?,
        consent: named(row, 4, Consent::from_name)?,
        consent_at: opt_at(row, 5)?,
        created_at: at(row, 6)?,
        consent_source: opt_named(row, 7, ConsentSource::from_name)?,
    })
}

pub(super) fn page(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    list: Option<&ListName>,
    after: Option<ContactId>,
    limit: u32,
) -> Fallible<Vec<Contact>> {
    let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
    let conn = snapshot.conn;
    let contacts = match list {
        None => conn
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM contact c WHERE c.tenant = ?1 AND c.id > ?2 ORDER BY c.id LIMIT ?3"
            ))?
            .query_map(params![tenant.as_bytes(), after, page_size(limit)], contact)?
            .collect::<rusqlite::Result<_>>()?,
        Some(name) => {
            let Some(list) = list_of(conn, tenant, name)? else { return Ok(Vec::new()) };
            conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM list_member m JOIN contact c ON c.tenant = ?1 AND c.id = m.contact \
                 WHERE m.list = ?2 AND m.contact > ?3 ORDER BY m.contact LIMIT ?4"
            ))?
            .query_map(params![tenant.as_bytes(), list, after, page_size(limit)], contact)?
            .collect::<rusqlite::Result<_>>()?
        }
    };
    Ok(contacts)
}

pub(super) fn upsert(tx: &Tx<'_>, tenant: TenantId, new: &UpsertContact) -> Fallible<Option<Contact>> {
    let UpsertContact { id, recipient, attributes, list } = new;
    if settings_of(tx.conn, tenant)?.is_none() {
        return Ok(None);
    }
    let mut changes = Changes::default();
    let contact = meet(tx, &mut changes, tenant, recipient, *id, attributes)?;
    tx.write(changes)?;
    if let Some(name) = list {
        let list = ensure_list(tx.conn, tenant, name)?;
        join(tx.conn, list, contact.id)?;
    }
    Ok(Some(contact))
}

/// The contact of these addresses, brought up to date, or a new one. Two contacts that turn out to be
/// one become one.
pub(in crate::sqlite) fn meet(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    who: &Recipient,
    fresh: ContactId,
    attributes: &ContactAttributes,
) -> Fallible<Contact> {
    if let (Some(phone), Some(bsuid)) = (who.phone(), who.bsuid())
        && let Some(stays) = one(tx.conn, "c.phone = ?2", tenant, &phone_number(phone))?
        && let Some(goes) = by_bsuid(tx.conn, tenant, bsuid)?
        && stays.id != goes.id
        && stays.recipient.bsuid().is_none()
        && goes.recipient.phone().is_none()
    {
        join::join(tx, changes, tenant, stays, goes)?;
    }
    find_or_create(tx, tenant, who, fresh, attributes)
}

/// The contact of these addresses, brought up to date, or a new one.
pub(in crate::sqlite) fn find_or_create(
    tx: &Tx<'_>,
    tenant: TenantId,
    who: &Recipient,
    fresh: ContactId,
    attributes: &ContactAttributes,
) -> Fallible<Contact> {
    let Some(known) = by_address(tx.conn, tenant, who)? else {
        let contact = new_contact(fresh, who.clone(), attributes.clone(), tx.now);
        insert(tx.conn, tenant, &contact)?;
        return Ok(contact);
    };
    let takes_bsuid = match (known.recipient.bsuid(), who.bsuid()) {
        (None, Some(new)) => by_bsuid(tx.conn, tenant, new)?.is_none(),
        (Some(_), _) | (None, None) => false,
    };
    let learned = learned(&known, who, takes_bsuid, attributes);
    if learned != known {
        update(tx.conn, tenant, &learned)?;
    }
    Ok(learned)
}

pub(super) fn insert(conn: &Connection, tenant: TenantId, contact: &Contact) -> Fallible<()> {
    let Contact {
        id,
        recipient,
        attributes,
        profile_name,
        username,
        consent,
        consent_at,
        consent_source,
        created_at,
    } = contact;
    let (phone, bsuid) = addresses(recipient);
    conn.prepare_cached(
        "INSERT INTO contact (tenant, id, phone, bsuid, attributes, consent, consent_at, created_at, \
         consent_source, profile_name, username) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        tenant.as_bytes(),
        id.as_bytes(),
        phone,
        bsuid,
        to_json(attributes)?,
        consent.as_str(),
        opt_micros(*consent_at),
        micros(*created_at),
        consent_source.map(ConsentSource::as_str),
        profile_name.as_ref().map(to_json).transpose()?,
        username.as_ref().map(to_json).transpose()?
    ])?;
    Ok(())
}

pub(super) fn update(conn: &Connection, tenant: TenantId, contact: &Contact) -> Fallible<()> {
    let Contact {
        id,
        recipient,
        attributes,
        profile_name,
        username,
        consent,
        consent_at,
        consent_source,
        created_at,
    } = contact;
    let (phone, bsuid) = addresses(recipient);
    conn.prepare_cached(
        "UPDATE contact SET phone = ?3, bsuid = ?4, attributes = ?5, consent = ?6, consent_at = ?7, \
         created_at = ?8, consent_source = ?9, profile_name = ?10, username = ?11 \
         WHERE tenant = ?1 AND id = ?2",
    )?
    .execute(params![
        tenant.as_bytes(),
        id.as_bytes(),
        phone,
        bsuid,
        to_json(attributes)?,
        consent.as_str(),
        opt_micros(*consent_at),
        micros(*created_at),
        consent_source.map(ConsentSource::as_str),
        profile_name.as_ref().map(to_json).transpose()?,
        username.as_ref().map(to_json).transpose()?
    ])?;
    Ok(())
}

pub(super) fn set_consent(
    tx: &Tx<'_>,
    tenant: TenantId,
    contact: ContactId,
    consent: Consent,
    source: ConsentSource,
) -> Fallible<Option<Contact>> {
    let Some(known) = by_id(tx.conn, tenant, contact)? else { return Ok(None) };
    let mut changes = Changes::default();
    let news = ConsentNews::Set(consent, tx.now);
    let contact = hear_consent(tx, &mut changes, tenant, &known, news, source)?;
    tx.write(changes)?;
    Ok(Some(contact))
}

/// Adds what is heard about a contact's consent, and says so in the journal if the consent changed.
pub(in crate::sqlite) fn hear_consent(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    known: &Contact,
    news: ConsentNews,
    source: ConsentSource,
) -> Fallible<Contact> {
    let record = consent::hear(record_of(tx.conn, tenant, known.id)?, news);
    put_record(tx, changes, tenant, known, &record, source)
}

/// What is kept of a contact's consent.
pub(super) fn record_of(conn: &Connection, tenant: TenantId, id: ContactId) -> Fallible<ConsentRecord> {
    let found = conn
        .prepare_cached("SELECT consent_record FROM contact WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], |row| opt_json(row, 0))
        .optional()?;
    Ok(found.flatten().unwrap_or_default())
}

/// Keeps a record and the consent that follows from it.
pub(super) fn put_record(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    known: &Contact,
    record: &ConsentRecord,
    source: ConsentSource,
) -> Fallible<Contact> {
    tx.conn
        .prepare_cached("UPDATE contact SET consent_record = ?3 WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_bytes(), known.id.as_bytes(), to_json(record)?])?;
    let consent = consent::effective(record);
    if known.consent == consent {
        return Ok(known.clone());
    }
    let contact =
        Contact { consent, consent_at: Some(tx.now), consent_source: Some(source), ..known.clone() };
    update(tx.conn, tenant, &contact)?;
    changes.event(tenant, EventBody::Consent { contact: contact.id, consent, source });
    Ok(contact)
}

/// Notes the names that a person shows.
pub(in crate::sqlite) fn note_names(
    conn: &Connection,
    tenant: TenantId,
    contact: &mut Contact,
    profile_name: Option<Seen>,
    username: Option<Seen>,
) -> Fallible<()> {
    let profile_name = contact.profile_name.clone().max(profile_name);
    let username = contact.username.clone().max(username);
    if profile_name != contact.profile_name || username != contact.username {
        contact.profile_name = profile_name;
        contact.username = username;
        update(conn, tenant, contact)?;
    }
    Ok(())
}

/// The key of a list, if the tenant has it.
pub(super) fn list_of(conn: &Connection, tenant: TenantId, name: &ListName) -> Fallible<Option<i64>> {
    let found = conn
        .prepare_cached("SELECT id FROM list WHERE tenant = ?1 AND name = ?2")?
        .query_row(params![tenant.as_bytes(), name.as_str()], column)
        .optional()?;
    Ok(found)
}

pub(super) fn ensure_list(conn: &Connection, tenant: TenantId, name: &ListName) -> Fallible<i64> {
    if let Some(list) = list_of(conn, tenant, name)? {
        return Ok(list);
    }
    conn.prepare_cached("INSERT INTO list (tenant, name) VALUES (?1, ?2)")?
        .execute(params![tenant.as_bytes(), name.as_str()])?;
    Ok(conn.last_insert_rowid())
}

/// Puts a contact on a list, behind everybody who is on it; again changes nothing.
pub(super) fn join(conn: &Connection, list: i64, contact: ContactId) -> Fallible<()> {
    let joined = conn
        .prepare_cached(
            "INSERT INTO list_member (list, contact, seq) \
             VALUES (?1, ?2, (SELECT last_seq + 1 FROM list WHERE id = ?1)) \
             ON CONFLICT (list, contact) DO NOTHING",
        )?
        .execute(params![list, contact.as_bytes()])?;
    if joined > 0 {
        conn.prepare_cached("UPDATE list SET last_seq = last_seq + 1 WHERE id = ?1")?.execute([list])?;
    }
    Ok(())
}
