//! Records on their way into the tables.
//!
//! Invariant: before the last chunk there is no row by which anybody could find the tenant: no tenant, no
//! session, no lease. A chunk is checked before anything of it is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use wa_core::model::{
    CampaignId, ContactId, Fingerprint, Lane, MessageId, SessionId, Tenant, TenantId, TenantName, micros,
};
use wa_core::port::store::{
    ArchivedTenant, ImportTenant, ImportTenantStep, Record, RecordKind, Reference, UnfinishedImport,
};
use wa_core::rules::tier::SLOT;

use crate::common::archive::derive::{Books, Derived, Fed};
use crate::common::archive::import::{PRICE_BOOK, Parts, Rows, Table, session};
use crate::common::archive::{Cell, Kind, Misfit, Row, get};
use crate::sqlite::codec::{fingerprint, id, int, json, named, parsed, to_json, uint};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::inbox::window::remake as remake_window;
use crate::sqlite::writer::Tx;
use crate::sqlite::{DELETED_AT_ONCE, prices};

/// How far an import is.
struct Standing {
    records: u64,
    mark: Fingerprint,
}

pub(super) fn import(tx: &Tx<'_>, chunk: &ImportTenant) -> Fallible<ImportTenantStep> {
    let standing = match admit(tx.conn, chunk)? {
        Ok(standing) => standing,
        Err(refused) => return Ok(refused),
    };
    if standing.records != chunk.from_record || standing.mark != chunk.before {
        return Ok(ImportTenantStep::Elsewhere { records: standing.records, mark: standing.mark });
    }
    if let Some(missing) = missing(tx.conn, chunk)? {
        return Ok(missing);
    }
    let records = chunk.from_record.saturating_add(u64::try_from(chunk.records.len()).unwrap_or(u64::MAX));
    note(tx.conn, chunk, records)?;
    write(tx, chunk)?;
    if !chunk.last {
        return Ok(ImportTenantStep::Taken(records));
    }
    match finish(tx, chunk)? {
        Some(tenant) => Ok(ImportTenantStep::Imported(tenant)),
        None => Err(Fault::Broken("an export has no tenant in it")),
    }
}

/// Where the import of a chunk's tenant stands, or why there can be none.
fn admit(conn: &Connection, chunk: &ImportTenant) -> Fallible<Result<Standing, ImportTenantStep>> {
    let head = &chunk.head;
    let tenant = head.tenant.as_bytes();
    if conn.prepare_cached("SELECT 1 FROM tenant WHERE id = ?1")?.exists(params![tenant])? {
        return Ok(Err(ImportTenantStep::IdTaken));
    }
    let named = "SELECT 1 FROM tenant WHERE name = ?2 \
         UNION ALL SELECT 1 FROM arrival WHERE name = ?2 AND tenant <> ?1";
    if conn.prepare_cached(named)?.exists(params![tenant, head.name.as_str()])? {
        return Ok(Err(ImportTenantStep::NameTaken));
    }
    let known = conn
        .prepare_cached(
            "SELECT records, mark, discarding, \
             name = ?2 AND taken_at = ?3 AND incarnation IS ?4 FROM arrival WHERE tenant = ?1",
        )?
        .query_row(
            params![
                tenant,
                head.name.as_str(),
                micros(head.taken_at),
                head.incarnation.as_ref().map(|id| id.as_bytes())
            ],
            |row| {
                let standing = Standing { records: uint(row, 0)?, mark: fingerprint(row, 1)? };
                Ok((standing, row.get::<_, bool>(2)?, row.get::<_, bool>(3)?))
            },
        )
        .optional()?;
    Ok(match known {
        None => Ok(Standing { records: 0, mark: chunk.before }),
        Some((_, true, _)) => Err(ImportTenantStep::Discarding),
        Some((standing, false, true)) => Ok(standing),
        Some((Standing { records, mark }, false, false)) => {
            Err(ImportTenantStep::Elsewhere { records, mark })
        }
    })
}

/// The first record that names what did not come before it.
fn missing(conn: &Connection, chunk: &ImportTenant) -> Fallible<Option<ImportTenantStep>> {
    let mut known: HashSet<Reference> = HashSet::new();
    let books = books(conn, chunk.head.tenant)?;
    for (record, it) in (chunk.from_record..).zip(&chunk.records) {
        for named in it.names() {
            if !known.contains(&named) && !is_there(conn, chunk.head.tenant, &books, &named)? {
                return Ok(Some(ImportTenantStep::Missing { record, what: named.kind() }));
            }
            known.insert(named);
        }
        known.extend(it.adds());
    }
    Ok(None)
}

fn is_there(conn: &Connection, tenant: TenantId, books: &Books, named: &Reference) -> Fallible<bool> {
    let tenant = tenant.as_bytes();
    let by_id = |sql: &str, id: &[u8; 16]| Ok(conn.prepare_cached(sql)?.exists(params![tenant, id])?);
    match named {
        Reference::Prices(digest) => Ok(books.key(*digest).is_some()),
        Reference::Session(id) => {
            by_id("SELECT 1 FROM arrival_record WHERE tenant = ?1 AND session = ?2", id.as_bytes())
        }
        Reference::Contact(id) => by_id(
            "SELECT 1 FROM contact WHERE tenant = ?1 AND id = ?2 \
             UNION ALL SELECT 1 FROM contact_alias WHERE tenant = ?1 AND alias = ?2",
            id.as_bytes(),
        ),
        Reference::List(name) => Ok(conn
            .prepare_cached("SELECT 1 FROM list WHERE tenant = ?1 AND name = ?2")?
            .exists(params![tenant, name.as_str()])?),
        Reference::Import(id) => by_id("SELECT 1 FROM import WHERE tenant = ?1 AND id = ?2", id.as_bytes()),
        Reference::Campaign(id) => {
            by_id("SELECT 1 FROM campaign WHERE tenant = ?1 AND id = ?2", id.as_bytes())
        }
        Reference::Schedule(id) => {
            by_id("SELECT 1 FROM schedule WHERE tenant = ?1 AND id = ?2", id.as_bytes())
        }
    }
}

fn note(conn: &Connection, chunk: &ImportTenant, records: u64) -> Fallible<()> {
    let head = &chunk.head;
    conn.prepare_cached(
        "INSERT INTO arrival (tenant, name, taken_at, incarnation, records, mark) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (tenant) DO UPDATE SET records = excluded.records, mark = excluded.mark",
    )?
    .execute(params![
        head.tenant.as_bytes(),
        head.name.as_str(),
        micros(head.taken_at),
        head.incarnation.as_ref().map(|id| id.as_bytes()),
        int(records),
        chunk.after.as_bytes()
    ])?;
    Ok(())
}

fn books(conn: &Connection, tenant: TenantId) -> Fallible<Books> {
    let rows = conn
        .prepare_cached("SELECT id, body FROM price_book WHERE tenant = ?1 ORDER BY id")?
        .query_map(params![tenant.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Books::new(rows)?)
}

/// Writes a chunk, and what follows from it.
fn write(tx: &Tx<'_>, chunk: &ImportTenant) -> Fallible<()> {
    let tenant = chunk.head.tenant;
    for (place, record) in (chunk.from_record..).zip(&chunk.records) {
        match record {
            Record::Prices(it) => {
                let row = Row::from_iter([("body".to_owned(), to_json(&it.book)?.into())]);
                insert(tx.conn, tenant, &vec![(&PRICE_BOOK, row)])?;
            }
            Record::Tenant(_) => keep(tx.conn, tenant, place, None, record)?,
            Record::Session(it) => keep(tx.conn, tenant, place, Some(it.id), record)?,
            _ => {}
        }
    }
    let (books, lanes) = (books(tx.conn, tenant)?, lanes(tx.conn, chunk)?);
    let mut parts = Parts {
        tenant,
        now: tx.now,
        books: &books,
        lanes: &lanes,
        rows: Vec::new(),
        derived: Derived::default(),
    };
    let apart = [RecordKind::Prices, RecordKind::Tenant, RecordKind::Session];
    for record in chunk.records.iter().filter(|record| !apart.contains(&record.kind())) {
        parts.take(record)?;
    }
    let Parts { rows, derived, .. } = parts;
    insert(tx.conn, tenant, &rows)?;
    contribute(tx, tenant, derived)
}

/// Keeps a record until the import is finished.
fn keep(
    conn: &Connection,
    tenant: TenantId,
    place: u64,
    session: Option<SessionId>,
    record: &Record,
) -> Fallible<()> {
    conn.prepare_cached(
        "INSERT INTO arrival_record (tenant, place, session, record) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        tenant.as_bytes(),
        int(place),
        session.as_ref().map(|id| id.as_bytes()),
        to_json(record)?
    ])?;
    Ok(())
}

/// The lanes of the campaigns that messages of a chunk belong to.
fn lanes(conn: &Connection, chunk: &ImportTenant) -> Fallible<HashMap<CampaignId, Lane>> {
    let mut lanes = HashMap::new();
    for record in &chunk.records {
        match record {
            Record::Campaign(it) => _ = lanes.insert(it.id, it.lane),
            Record::Message(it) => {
                if let Some(campaign) = it.campaign.filter(|campaign| !lanes.contains_key(campaign)) {
                    let lane = conn
                        .prepare_cached("SELECT lane FROM campaign WHERE tenant = ?1 AND id = ?2")?
                        .query_row(params![chunk.head.tenant.as_bytes(), campaign.as_bytes()], |row| {
                            named(row, 0, Lane::from_name)
                        })?;
                    lanes.insert(campaign, lane);
                }
            }
            _ => {}
        }
    }
    Ok(lanes)
}

fn insert(conn: &Connection, tenant: TenantId, rows: &Rows) -> Fallible<()> {
    let mut statements: BTreeMap<&str, String> = BTreeMap::new();
    for (table, row) in rows {
        let sql = statements.entry(table.name).or_insert_with(|| statement(table));
        let mut values = vec![SqlValue::Blob(tenant.as_bytes().to_vec())];
        for (_, path, kind, _) in table.columns {
            values.push(value(Cell::of(get(row, path), *kind)?));
        }
        conn.prepare_cached(sql)?.execute(params_from_iter(values))?;
    }
    Ok(())
}

fn statement(table: &Table) -> String {
    let own = |(place, (_, _, kind, expression)): (usize, &(&str, &str, Kind, &str))| {
        let none = if *kind == Kind::Id { "x''" } else { "NULL" };
        let value = format!("?{}", place + 2);
        expression.replace("{v}", &value).replace("{t}", "?1").replace("{none}", none)
    };
    let mut names: Vec<&str> = table.columns.iter().map(|(name, ..)| *name).collect();
    let mut values: Vec<String> = table.columns.iter().enumerate().map(own).collect();
    if table.is_tenants {
        names.push("tenant");
        values.push("?1".to_owned());
    }
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), values.join(", "))
}

fn value(cell: Cell) -> SqlValue {
    match cell {
        Cell::Null => SqlValue::Null,
        Cell::Id(id) => SqlValue::Blob(id.as_bytes().to_vec()),
        Cell::At(at) => SqlValue::Integer(micros(at)),
        Cell::Int(n) => SqlValue::Integer(n),
        Cell::Flag(flag) => SqlValue::Integer(i64::from(flag)),
        Cell::Text(text) => SqlValue::Text(text),
        Cell::Bytes(bytes) => SqlValue::Blob(bytes),
    }
}

/// Adds what messages contribute.
fn contribute(tx: &Tx<'_>, tenant: TenantId, derived: Derived) -> Fallible<()> {
    let Derived { changes, quota, warm_up, feeds, pairs } = derived;
    tx.write(changes)?;
    for (period, n) in quota {
        tx.conn
            .prepare_cached(
                "INSERT INTO quota_usage (tenant, period, used) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (tenant, period) DO UPDATE SET used = used + excluded.used",
            )?
            .execute(params![tenant.as_bytes(), period.to_string(), n])?;
    }
    for ((session, day), n) in warm_up {
        tx.conn
            .prepare_cached(
                "INSERT INTO warm_up_usage (session, day, used) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (session, day) DO UPDATE SET used = used + excluded.used",
            )?
            .execute(params![session.as_bytes(), day, n])?;
    }
    for ((campaign, session), Fed { passed, waiting }) in feeds {
        tx.conn
            .prepare_cached(
                "UPDATE feed SET after_id = CASE WHEN remaining = 0 THEN coalesce(?4, after_id) ELSE after_id END, \
                 remaining = remaining + ?5 WHERE tenant = ?1 AND campaign = ?2 AND session = ?3",
            )?
            .execute(params![
                tenant.as_bytes(),
                campaign.as_bytes(),
                session.as_bytes(),
                passed.as_ref().map(MessageId::as_bytes),
                waiting
            ])?;
    }
    for (session, contact) in pairs {
        let contact: ContactId = contact;
        remake_window(tx.conn, tenant, session, contact)?;
    }
    Ok(())
}

/// Makes the tenant of an import; `None` when no record said what it is.
fn finish(tx: &Tx<'_>, chunk: &ImportTenant) -> Fallible<Option<Tenant>> {
    let (conn, id) = (tx.conn, chunk.head.tenant);
    let kept: Vec<Record> = conn
        .prepare_cached("SELECT record FROM arrival_record WHERE tenant = ?1 ORDER BY place")?
        .query_map(params![id.as_bytes()], |row| json(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut tenant: Option<ArchivedTenant> = None;
    for record in kept {
        match record {
            Record::Tenant(it) => tenant = Some(*it),
            Record::Session(it) => insert(conn, id, &session(&it)?)?,
            _ => return Err(Misfit.into()),
        }
    }
    let Some(ArchivedTenant { created_at, settings, entitlement }) = tenant else { return Ok(None) };
    conn.prepare_cached(
        "INSERT INTO tenant (id, name, settings, entitlement, created_at, held_since) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        id.as_bytes(),
        chunk.head.name.as_str(),
        to_json(&settings)?,
        to_json(&entitlement)?,
        micros(created_at),
        micros(tx.now)
    ])?;
    prices::keep_known(tx, id, settings.prices.as_ref())?;
    conn.prepare_cached(
        "UPDATE list SET last_seq = max(\
         coalesce((SELECT max(m.seq) FROM list_member m WHERE m.list = list.id), 0), \
         coalesce((SELECT max(c.bound) FROM campaign c WHERE c.tenant = ?1 AND c.list = list.id), 0)) \
         WHERE tenant = ?1",
    )?
    .execute(params![id.as_bytes()])?;
    take_slots(tx, id)?;
    for table in ["arrival_record", "arrival"] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE tenant = ?1"))?
            .execute(params![id.as_bytes()])?;
    }
    Ok(Some(Tenant { id, name: chunk.head.name.clone(), created_at }))
}

/// Takes the slots of messaging limits that a tenant's attempts still rely on.
fn take_slots(tx: &Tx<'_>, tenant: TenantId) -> Fallible<()> {
    const OWN: &str =
        "SELECT DISTINCT transport || ' ' || portfolio AS portfolio FROM session WHERE tenant = ?1";
    let (now, slot) = (micros(tx.now), SLOT.num_microseconds().unwrap_or(i64::MAX));
    tx.conn
        .prepare_cached(&format!("DELETE FROM tier_slot WHERE until <= ?2 AND portfolio IN ({OWN})"))?
        .execute(params![tenant.as_bytes(), now])?;
    tx.conn
        .prepare_cached(
            "INSERT INTO tier_slot (portfolio, recipient, taken_at, until, uses) \
             SELECT s.transport || ' ' || s.portfolio, a.recipient, min(a.begun_at), max(a.begun_at) + ?3, count(*) \
             FROM session s JOIN attempt a ON a.session = s.id AND a.begun_at > ?2 - ?3 \
             LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
             WHERE s.tenant = ?1 AND a.tier_slot = 1 AND r.released_at IS NULL GROUP BY 1, 2 \
             ON CONFLICT (portfolio, recipient) DO UPDATE SET uses = uses + excluded.uses, \
             until = max(until, excluded.until), taken_at = min(taken_at, excluded.taken_at)",
        )?
        .execute(params![tenant.as_bytes(), now, slot])?;
    tx.conn
        .prepare_cached(&format!(
            "INSERT INTO tier_usage (portfolio, used) \
             SELECT p.portfolio, (SELECT count(*) FROM tier_slot t WHERE t.portfolio = p.portfolio) \
             FROM ({OWN}) AS p WHERE true \
             ON CONFLICT (portfolio) DO UPDATE SET used = excluded.used"
        ))?
        .execute(params![tenant.as_bytes()])?;
    Ok(())
}

pub(super) fn unfinished(conn: &Connection) -> Fallible<Vec<UnfinishedImport>> {
    let mut statement = conn.prepare_cached("SELECT tenant, name, records FROM arrival ORDER BY tenant")?;
    let rows = statement.query_map([], |row| {
        let name: TenantName = parsed(row, 1)?;
        Ok(UnfinishedImport { tenant: id(row, 0)?, name, records: uint(row, 2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Rows that do not name their tenant, and how they are found.
const BELOW: [(&str, &str); 6] = [
    ("list_member", "list IN (SELECT id FROM list WHERE tenant = ?1)"),
    ("import_line", "import IN (SELECT place FROM import WHERE tenant = ?1)"),
    ("import_phone", "import IN (SELECT place FROM import WHERE tenant = ?1)"),
    ("warm_up_usage", "session IN (SELECT session FROM arrival_record WHERE tenant = ?1)"),
    ("service_usage", "session IN (SELECT session FROM arrival_record WHERE tenant = ?1)"),
    ("session_news", "session IN (SELECT session FROM arrival_record WHERE tenant = ?1)"),
];

/// Throws a step's worth of an unfinished import away; `false` when there is none.
pub(super) fn discard_some(tx: &Tx<'_>, tenant: TenantId) -> Fallible<bool> {
    let marked = tx
        .conn
        .prepare_cached("UPDATE arrival SET discarding = 1 WHERE tenant = ?1")?
        .execute(params![tenant.as_bytes()])?;
    if marked == 0 {
        return Ok(false);
    }
    let mut room = usize::try_from(DELETED_AT_ONCE).unwrap_or(usize::MAX);
    for (table, fits) in BELOW {
        room = room.saturating_sub(delete(tx.conn, tenant, table, fits, room)?);
        if room == 0 {
            return Ok(true);
        }
    }
    let tables: Vec<String> = tx
        .conn
        .prepare_cached(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'tenant' \
             WHERE m.type = 'table' AND m.name NOT IN ('arrival', 'arrival_record') ORDER BY m.name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let last = ["arrival_record".to_owned(), "arrival".to_owned()];
    for table in tables.iter().chain(&last) {
        room = room.saturating_sub(delete(tx.conn, tenant, table, "tenant = ?1", room)?);
        if room == 0 {
            return Ok(true);
        }
    }
    Ok(true)
}

/// Deletes some rows of a table; how many.
fn delete(conn: &Connection, tenant: TenantId, table: &str, fits: &str, most: usize) -> Fallible<usize> {
    let keys: Vec<String> = conn
        .prepare_cached("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let keys = keys.join(", ");
    let sql =
        format!("DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} WHERE {fits} LIMIT ?2)");
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Ok(conn.prepare_cached(&sql)?.execute(params![tenant.as_bytes(), most])?)
}

#[cfg(test)]
mod tests {
    use crate::common::archive::undecided;
    use crate::{SqliteOptions, SqliteStore};

    #[test]
    fn every_column_is_in_an_archive_or_on_the_list_of_those_that_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wa.db");
        let store = SqliteStore::open(SqliteOptions::new(&path)).expect("a store");
        let conn = rusqlite::Connection::open(&path).expect("the file");
        let mut statement = conn
            .prepare(
                "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table'",
            )
            .expect("a statement");
        let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        let columns = columns.collect::<rusqlite::Result<Vec<_>>>().expect("rows");
        assert!(columns.len() > 200, "{} columns", columns.len());
        assert_eq!(undecided(columns), [""; 0], "say what an archive makes of them");
        store.close();
    }
}
