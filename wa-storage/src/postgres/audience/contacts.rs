//! Contacts, the lists that they are on, and their consent.
//!
//! Invariant: what is written of a contact under a tenant's shared gate are single columns, each from what
//! is stored under a lock of its own: whoever settles, imports or hears a word takes nothing of the others
//! back. Whole rows are written under the exclusive gate only.
//!
//! Statements that take arrays find each row through its key, whatever the planner thinks: on a database that
//! is just being filled it thinks that tables are empty, and would join an array with a whole table.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    Bsuid, Consent, ConsentRecord, ConsentSource, Contact, ContactAttributes, ContactId, EventBody, ListName,
    Phone, Recipient, Seen, TenantId,
};
use wa_core::port::store::UpsertContact;
use wa_core::rules::consent::{self, ConsentNews};

use super::join;
use crate::common::audience::{learned, new_contact};
use crate::common::changes::Changes;
use crate::postgres::codec::{
    addresses, at, get, id as codec_id, json, named, opt_at, opt_json, opt_named, phone_number, recipient,
    to_json, uuids,
};
use crate::postgres::directory::settings_of;
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::page_size;
use crate::postgres::tx::Tx;

const COLUMNS: &str = "c.id, c.phone, c.bsuid, c.attributes, c.consent, c.consent_at, c.created_at, \
     c.consent_source, c.profile_name, c.username";

/// By what a contact is looked for.
#[derive(Clone, Copy)]
enum By<'a> {
    Id(ContactId),
    Phone(Phone),
    Bsuid(&'a Bsuid),
}

pub(in crate::postgres) async fn by_id(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: ContactId,
) -> Fallible<Option<Contact>> {
    if let Some(found) = one(conn, tenant, By::Id(id)).await? {
        return Ok(Some(found));
    }
    match resolve(conn, tenant, id).await? {
        Some(stays) => one(conn, tenant, By::Id(stays)).await,
        None => Ok(None),
    }
}

/// The contact that an id is an alias of.
async fn resolve(conn: &mut PgConnection, tenant: TenantId, id: ContactId) -> Fallible<Option<ContactId>> {
    let found = sqlx::query("SELECT contact FROM contact_alias WHERE tenant = $1 AND alias = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .try_map(|row| codec_id(&row, 0));
    Ok(found.fetch_optional(conn).await?)
}

/// The contact that stands behind an id: itself, unless it is an alias.
pub(in crate::postgres) async fn standing_for(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: ContactId,
) -> Fallible<ContactId> {
    Ok(resolve(conn, tenant, id).await?.unwrap_or(id))
}

/// The contact with this phone, else the one with this business-scoped user id.
pub(in crate::postgres) async fn by_address(
    conn: &mut PgConnection,
    tenant: TenantId,
    who: &Recipient,
) -> Fallible<Option<Contact>> {
    if let Some(phone) = who.phone()
        && let Some(found) = one(conn, tenant, By::Phone(phone)).await?
    {
        return Ok(Some(found));
    }
    match who.bsuid() {
        Some(bsuid) => one(conn, tenant, By::Bsuid(bsuid)).await,
        None => Ok(None),
    }
}

async fn one(conn: &mut PgConnection, tenant: TenantId, by: By<'_>) -> Fallible<Option<Contact>> {
    let is = match by {
        By::Id(_) => "c.id = $2",
        By::Phone(_) => "c.phone = $2",
        By::Bsuid(_) => "c.bsuid = $2",
    };
    let sql = format!("SELECT {COLUMNS} FROM contact c WHERE c.tenant = $1 AND {is}");
    let found = sqlx::query(AssertSqlSafe(sql)).bind(tenant.as_uuid());
    let found = match by {
        By::Id(id) => found.bind(id.as_uuid()),
        By::Phone(phone) => found.bind(phone_number(phone)),
        By::Bsuid(bsuid) => found.bind(bsuid.as_str()),
    };
    Ok(found.try_map(|row| contact(&row)).fetch_optional(conn).await?)
}

pub(super) fn contact(row: &PgRow) -> Result<Contact, Error> {
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

pub(super) async fn page(
    conn: &mut PgConnection,
    tenant: TenantId,
    list: Option<&ListName>,
    after: Option<ContactId>,
    limit: u32,
) -> Fallible<Vec<Contact>> {
    // No id is nil: a bound that is always there keeps the plan on the index.
    let after = after.map_or(Uuid::nil(), |after| after.as_uuid());
    let rows = match list {
        None => sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM contact c WHERE c.tenant = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"
        )))
        .bind(tenant.as_uuid())
        .bind(after)
        .bind(page_size(limit)),
        Some(name) => {
            let Some(list) = list_of(conn, tenant, name).await? else { return Ok(Vec::new()) };
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM list_member m JOIN contact c ON c.tenant = $1 AND c.id = m.contact \
                 WHERE m.tenant = $1 AND m.list = $2 AND m.contact > $3 ORDER BY m.contact LIMIT $4"
            )))
            .bind(tenant.as_uuid())
            .bind(list)
            .bind(after)
            .bind(page_size(limit))
        }
    };
    Ok(rows.try_map(|row| contact(&row)).fetch_all(conn).await?)
}

pub(super) async fn upsert(tx: &mut Tx, tenant: TenantId, new: &UpsertContact) -> Fallible<Option<Contact>> {
    let UpsertContact { id, recipient, attributes, list } = new;
    if settings_of(tx.conn(), tenant).await?.is_none() {
        return Ok(None);
    }
    let mut changes = Changes::default();
    let contact = meet(tx, &mut changes, tenant, recipient, *id, attributes).await?;
    tx.write(changes).await?;
    if let Some(name) = list {
        let list = ensure_list(tx.conn(), tenant, name).await?;
        join_all(tx.conn(), tenant, list, &[contact.id]).await?;
    }
    Ok(Some(contact))
}

/// The contact of these addresses, brought up to date, or a new one. Two contacts that turn out to be
/// one become one; so this needs the exclusive gate.
pub(in crate::postgres) async fn meet(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    who: &Recipient,
    fresh: ContactId,
    attributes: &ContactAttributes,
) -> Fallible<Contact> {
    if let (Some(phone), Some(bsuid)) = (who.phone(), who.bsuid())
        && let Some(stays) = one(tx.conn(), tenant, By::Phone(phone)).await?
        && let Some(goes) = one(tx.conn(), tenant, By::Bsuid(bsuid)).await?
        && stays.id != goes.id
        && stays.recipient.bsuid().is_none()
        && goes.recipient.phone().is_none()
    {
        join::join(tx, changes, tenant, stays, goes).await?;
    }
    find_or_create(tx, tenant, who, fresh, attributes).await
}

/// The contact of these addresses, brought up to date, or a new one.
pub(in crate::postgres) async fn find_or_create(
    tx: &mut Tx,
    tenant: TenantId,
    who: &Recipient,
    fresh: ContactId,
    attributes: &ContactAttributes,
) -> Fallible<Contact> {
    let known = match by_address(tx.conn(), tenant, who).await? {
        Some(known) => known,
        None => {
            let contact = new_contact(fresh, who.clone(), attributes.clone(), tx.now);
            if insert(tx.conn(), tenant, &contact).await? {
                return Ok(contact);
            }
            // Somebody else under the shared gate created it meanwhile.
            let theirs = by_address(tx.conn(), tenant, who).await?;
            theirs.ok_or(Fault::Broken("the id of a new contact is taken"))?
        }
    };
    let takes_bsuid = match (known.recipient.bsuid(), who.bsuid()) {
        (None, Some(new)) => one(tx.conn(), tenant, By::Bsuid(new)).await?.is_none(),
        (Some(_), _) | (None, None) => false,
    };
    let learned = learned(&known, who, takes_bsuid, attributes);
    if learned != known {
        let (phone, bsuid) = addresses(&learned.recipient);
        let changed = (learned.attributes != known.attributes).then(|| to_json(&learned.attributes));
        sqlx::query(
            "UPDATE contact SET phone = coalesce(phone, $3), bsuid = coalesce(bsuid, $4), \
             attributes = coalesce($5, attributes) WHERE tenant = $1 AND id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(learned.id.as_uuid())
        .bind(phone)
        .bind(bsuid)
        .bind(changed.transpose()?)
        .execute(tx.conn())
        .await?;
    }
    Ok(learned)
}

/// Puts a new contact in; `false` when one of its addresses or its id is taken.
async fn insert(conn: &mut PgConnection, tenant: TenantId, contact: &Contact) -> Fallible<bool> {
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
    let done = sqlx::query(
        "INSERT INTO contact (tenant, id, phone, bsuid, attributes, consent, consent_at, created_at, \
         consent_source, profile_name, username) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(phone)
    .bind(bsuid)
    .bind(to_json(attributes)?)
    .bind(consent.as_str())
    .bind(*consent_at)
    .bind(*created_at)
    .bind(consent_source.map(ConsentSource::as_str))
    .bind(profile_name.as_ref().map(to_json).transpose()?)
    .bind(username.as_ref().map(to_json).transpose()?)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes a whole contact but its consent. Under the exclusive gate.
pub(super) async fn update(conn: &mut PgConnection, tenant: TenantId, contact: &Contact) -> Fallible<()> {
    let Contact {
        id,
        recipient,
        attributes,
        profile_name,
        username,
        consent: _,
        consent_at: _,
        consent_source: _,
        created_at,
    } = contact;
    let (phone, bsuid) = addresses(recipient);
    sqlx::query(
        "UPDATE contact SET phone = $3, bsuid = $4, attributes = $5, created_at = $6, profile_name = $7, \
         username = $8 WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(phone)
    .bind(bsuid)
    .bind(to_json(attributes)?)
    .bind(*created_at)
    .bind(profile_name.as_ref().map(to_json).transpose()?)
    .bind(username.as_ref().map(to_json).transpose()?)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn set_consent(
    tx: &mut Tx,
    tenant: TenantId,
    contact: ContactId,
    consent: Consent,
    source: ConsentSource,
) -> Fallible<Option<Contact>> {
    let Some(known) = by_id(tx.conn(), tenant, contact).await? else { return Ok(None) };
    let mut changes = Changes::default();
    let news = ConsentNews::Set(consent, tx.now);
    let contact = hear_consent(tx, &mut changes, tenant, &known, news, source).await?;
    tx.write(changes).await?;
    Ok(Some(contact))
}

/// Adds what is heard about a contact's consent, and says so in the journal if the consent changed.
pub(in crate::postgres) async fn hear_consent(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    known: &Contact,
    news: ConsentNews,
    source: ConsentSource,
) -> Fallible<Contact> {
    let heard = hear_each(tx, changes, tenant, &[known.id], news, source).await?;
    Ok(heard.into_iter().next().unwrap_or_else(|| known.clone()))
}

/// Adds the same news to what is kept of several contacts, each named once, in this order. Those that are
/// not there any more are left out.
pub(super) async fn hear_each(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    contacts: &[ContactId],
    news: ConsentNews,
    source: ConsentSource,
) -> Fallible<Vec<Contact>> {
    // Locked, in order of their keys: a stop that is heard beside this must not be lost.
    let mut keys = uuids(contacts.iter().copied());
    keys.sort_unstable();
    let sql = format!(
        "SELECT {COLUMNS}, c.consent_record FROM unnest($2::uuid[]) AS u (id) CROSS JOIN LATERAL \
         (SELECT * FROM contact WHERE tenant = $1 AND id = u.id LIMIT 1 FOR NO KEY UPDATE) c"
    );
    let stored = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(keys)
        .try_map(|row| Ok((contact(&row)?, opt_json::<ConsentRecord>(&row, 10)?)))
        .fetch_all(tx.conn())
        .await?;
    let mut stored: HashMap<ContactId, _> =
        stored.into_iter().map(|(contact, record)| (contact.id, (contact, record))).collect();
    let heard = contacts.iter().filter_map(|id| stored.remove(id)).map(|(contact, record)| {
        let record = consent::hear(record.unwrap_or_default(), news);
        (contact, record)
    });
    put_records(tx, changes, tenant, heard.collect(), source).await
}

/// What is kept of a contact's consent.
pub(super) async fn record_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: ContactId,
) -> Fallible<ConsentRecord> {
    let found = sqlx::query("SELECT consent_record FROM contact WHERE tenant = $1 AND id = $2")
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .try_map(|row| opt_json(&row, 0))
        .fetch_optional(conn)
        .await?;
    Ok(found.flatten().unwrap_or_default())
}

/// Keeps records and the consents that follow from them, of contacts as they are stored.
pub(super) async fn put_records(
    tx: &mut Tx,
    changes: &mut Changes,
    tenant: TenantId,
    heard: Vec<(Contact, ConsentRecord)>,
    source: ConsentSource,
) -> Fallible<Vec<Contact>> {
    if heard.is_empty() {
        return Ok(Vec::new());
    }
    let now = tx.now;
    let (mut contacts, mut records, mut consents) = (Vec::new(), Vec::new(), Vec::new());
    for (mut contact, record) in heard {
        let consent = consent::effective(&record);
        records.push(to_json(&record)?);
        consents.push(consent.as_str());
        if contact.consent != consent {
            contact.consent = consent;
            contact.consent_at = Some(now);
            contact.consent_source = Some(source);
            changes.event(tenant, EventBody::Consent { contact: contact.id, consent, source });
        }
        contacts.push(contact);
    }
    // Every row is there; as an insert that meets its key it is found by the key.
    sqlx::query(
        "INSERT INTO contact AS c (tenant, id, attributes, created_at, consent_record, consent) \
         SELECT $1, u.id, '{}', $5, u.record, u.consent \
         FROM unnest($2::uuid[], $3::text[], $4::text[]) AS u (id, record, consent) ORDER BY u.id \
         ON CONFLICT (tenant, id) DO UPDATE SET consent_record = excluded.consent_record, \
         consent = excluded.consent, \
         consent_at = CASE WHEN c.consent = excluded.consent THEN c.consent_at ELSE $5 END, \
         consent_source = CASE WHEN c.consent = excluded.consent THEN c.consent_source ELSE $6 END",
    )
    .bind(tenant.as_uuid())
    .bind(uuids(contacts.iter().map(|contact| contact.id)))
    .bind(records)
    .bind(consents)
    .bind(now)
    .bind(source.as_str())
    .execute(tx.conn())
    .await?;
    Ok(contacts)
}

/// Notes the names that a person shows.
pub(in crate::postgres) async fn note_names(
    conn: &mut PgConnection,
    tenant: TenantId,
    contact: &mut Contact,
    profile_name: Option<Seen>,
    username: Option<Seen>,
) -> Fallible<()> {
    let profile_name = contact.profile_name.clone().max(profile_name);
    let username = contact.username.clone().max(username);
    if profile_name != contact.profile_name || username != contact.username {
        sqlx::query("UPDATE contact SET profile_name = $3, username = $4 WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_uuid())
            .bind(contact.id.as_uuid())
            .bind(profile_name.as_ref().map(to_json).transpose()?)
            .bind(username.as_ref().map(to_json).transpose()?)
            .execute(conn)
            .await?;
        contact.profile_name = profile_name;
        contact.username = username;
    }
    Ok(())
}

/// The key of a list, if the tenant has it.
pub(super) async fn list_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    name: &ListName,
) -> Fallible<Option<i64>> {
    let found = sqlx::query("SELECT id FROM list WHERE tenant = $1 AND name = $2")
        .bind(tenant.as_uuid())
        .bind(name.as_str())
        .try_map(|row| get(&row, 0));
    Ok(found.fetch_optional(conn).await?)
}

pub(super) async fn ensure_list(conn: &mut PgConnection, tenant: TenantId, name: &ListName) -> Fallible<i64> {
    if let Some(list) = list_of(conn, tenant, name).await? {
        return Ok(list);
    }
    let new = sqlx::query("INSERT INTO list (tenant, name) VALUES ($1, $2) RETURNING id")
        .bind(tenant.as_uuid())
        .bind(name.as_str())
        .try_map(|row| get(&row, 0));
    Ok(new.fetch_one(conn).await?)
}

/// Puts contacts on a list, each named once, in this order behind everybody who is on it; who is on it
/// stays where they are.
pub(super) async fn join_all(
    conn: &mut PgConnection,
    tenant: TenantId,
    list: i64,
    contacts: &[ContactId],
) -> Fallible<()> {
    if contacts.is_empty() {
        return Ok(());
    }
    // Locked in a statement of its own, so that the next one sees all who joined before.
    let last: i64 = sqlx::query_scalar("SELECT last_seq FROM list WHERE tenant = $1 AND id = $2 FOR UPDATE")
        .bind(tenant.as_uuid())
        .bind(list)
        .fetch_one(&mut *conn)
        .await?;
    let joined = sqlx::query(
        "INSERT INTO list_member (tenant, list, contact, seq) \
         SELECT $1, $2, u.contact, $3 + row_number() OVER (ORDER BY u.place) \
         FROM unnest($4::uuid[]) WITH ORDINALITY AS u (contact, place) \
         WHERE (SELECT m.seq FROM list_member m \
         WHERE m.tenant = $1 AND m.list = $2 AND m.contact = u.contact) IS NULL",
    )
    .bind(tenant.as_uuid())
    .bind(list)
    .bind(last)
    .bind(uuids(contacts.iter().copied()))
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if joined > 0 {
        sqlx::query("UPDATE list SET last_seq = last_seq + $3 WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_uuid())
            .bind(list)
            .bind(joined.cast_signed())
            .execute(conn)
            .await?;
    }
    Ok(())
}
