//! Records on their way into the tables, a statement for each table.
//!
//! Invariant: before the last chunk there is no row by which anybody could find the tenant: no tenant, no
//! session, no lease. A chunk is checked before anything of it is written.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;
use wa_core::model::{CampaignId, Fingerprint, Lane, MessageId, SessionId, Tenant, TenantId};
use wa_core::port::store::{
    ArchivedTenant, ImportTenant, ImportTenantStep, Record, RecordKind, Reference, UnfinishedImport,
};
use wa_core::rules::tier::SLOT;

use crate::common::archive::derive::{Books, Derived, Fed};
use crate::common::archive::import::{PRICE_BOOK, Parts, Rows, Table, session};
use crate::common::archive::{Cell, Kind, Misfit, Row, get as field};
use crate::common::portfolio_key;
use crate::postgres::codec::{
    NO_CAMPAIGN, ago, fingerprint, get, id, int, json, named, parsed, text, to_json, ts, uint, uuids,
};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::inbox::window::remake as remake_window;
use crate::postgres::tx::Tx;
use crate::postgres::{DELETED_AT_ONCE, prices};

/// How far an import is.
struct Standing {
    records: u64,
    mark: Fingerprint,
}

pub(super) async fn import(tx: &mut Tx, chunk: &ImportTenant) -> Fallible<ImportTenantStep> {
    let standing = match admit(tx.conn(), chunk).await? {
        Ok(standing) => standing,
        Err(refused) => return Ok(refused),
    };
    if standing.records != chunk.from_record || standing.mark != chunk.before {
        return Ok(ImportTenantStep::Elsewhere { records: standing.records, mark: standing.mark });
    }
    if let Some(missing) = missing(tx.conn(), chunk).await? {
        return Ok(missing);
    }
    let records = chunk.from_record.saturating_add(u64::try_from(chunk.records.len()).unwrap_or(u64::MAX));
    note(tx.conn(), chunk, records).await?;
    write(tx, chunk).await?;
    if !chunk.last {
        return Ok(ImportTenantStep::Taken(records));
    }
    match finish(tx, chunk).await? {
        Some(tenant) => Ok(ImportTenantStep::Imported(tenant)),
        None => Err(Fault::Broken("an export has no tenant in it")),
    }
}

/// Where the import of a chunk's tenant stands, or why there can be none.
async fn admit(
    conn: &mut PgConnection,
    chunk: &ImportTenant,
) -> Fallible<Result<Standing, ImportTenantStep>> {
    let head = &chunk.head;
    let (is_there, is_named): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM tenant WHERE id = $1), \
         EXISTS (SELECT 1 FROM tenant WHERE name = $2) \
         OR EXISTS (SELECT 1 FROM arrival WHERE name = $2 AND tenant <> $1)",
    )
    .bind(head.tenant.as_uuid())
    .bind(head.name.as_str())
    .fetch_one(&mut *conn)
    .await?;
    if is_there {
        return Ok(Err(ImportTenantStep::IdTaken));
    }
    if is_named {
        return Ok(Err(ImportTenantStep::NameTaken));
    }
    let known = sqlx::query(
        "SELECT records, mark, discarding, \
         name = $2 AND taken_at = $3 AND incarnation IS NOT DISTINCT FROM $4 FROM arrival WHERE tenant = $1",
    )
    .bind(head.tenant.as_uuid())
    .bind(head.name.as_str())
    .bind(ts(head.taken_at))
    .bind(head.incarnation.map(|id| id.as_uuid()))
    .try_map(|row: PgRow| {
        let standing = Standing { records: uint(&row, 0)?, mark: fingerprint(&row, 1)? };
        Ok((standing, get::<bool>(&row, 2)?, get::<bool>(&row, 3)?))
    })
    .fetch_optional(conn)
    .await?;
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
async fn missing(conn: &mut PgConnection, chunk: &ImportTenant) -> Fallible<Option<ImportTenantStep>> {
    let wanted: HashSet<Reference> = chunk.records.iter().flat_map(Record::names).collect();
    let mut known = there(conn, chunk.head.tenant, &wanted).await?;
    for (record, it) in (chunk.from_record..).zip(&chunk.records) {
        if let Some(missing) = it.names().into_iter().find(|named| !known.contains(named)) {
            return Ok(Some(ImportTenantStep::Missing { record, what: missing.kind() }));
        }
        known.extend(it.adds());
    }
    Ok(None)
}

/// A query of the ids that are there, and what each stands for.
type ById = (&'static str, fn(Uuid) -> Reference);

/// Those of what is named that are there already.
async fn there(
    conn: &mut PgConnection,
    tenant: TenantId,
    wanted: &HashSet<Reference>,
) -> Fallible<HashSet<Reference>> {
    let books = books(&mut *conn, tenant).await?;
    let mut known: HashSet<Reference> = wanted
        .iter()
        .filter(|named| matches!(named, Reference::Prices(digest) if books.key(*digest).is_some()))
        .cloned()
        .collect();
    let lists: Vec<&str> = wanted
        .iter()
        .filter_map(|named| match named {
            Reference::List(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let lists: Vec<String> = sqlx::query_scalar("SELECT name FROM list WHERE tenant = $1 AND name = ANY($2)")
        .bind(tenant.as_uuid())
        .bind(lists)
        .fetch_all(&mut *conn)
        .await?;
    known.extend(lists.into_iter().filter_map(|name| Some(Reference::List(name.parse().ok()?))));
    let by_id: [ById; 5] = [
        ("SELECT session FROM arrival_record WHERE tenant = $1 AND session = ANY($2)", |id| {
            Reference::Session(SessionId::from_uuid(id))
        }),
        (
            "SELECT id FROM contact WHERE tenant = $1 AND id = ANY($2) \
             UNION ALL SELECT alias FROM contact_alias WHERE tenant = $1 AND alias = ANY($2)",
            |id| Reference::Contact(wa_core::model::ContactId::from_uuid(id)),
        ),
        ("SELECT id FROM import WHERE tenant = $1 AND id = ANY($2)", |id| {
            Reference::Import(wa_core::model::ImportId::from_uuid(id))
        }),
        ("SELECT id FROM campaign WHERE tenant = $1 AND id = ANY($2)", |id| {
            Reference::Campaign(CampaignId::from_uuid(id))
        }),
        ("SELECT id FROM schedule WHERE tenant = $1 AND id = ANY($2)", |id| {
            Reference::Schedule(wa_core::model::ScheduleId::from_uuid(id))
        }),
    ];
    for (sql, reference) in by_id {
        let kind = reference(Uuid::nil()).kind();
        let ids: Vec<Uuid> = wanted.iter().filter(|it| it.kind() == kind).filter_map(uuid_of).collect();
        if ids.is_empty() {
            continue;
        }
        let found: Vec<Uuid> =
            sqlx::query_scalar(sql).bind(tenant.as_uuid()).bind(ids).fetch_all(&mut *conn).await?;
        known.extend(found.into_iter().map(reference));
    }
    Ok(known)
}

fn uuid_of(named: &Reference) -> Option<Uuid> {
    match named {
        Reference::Session(id) => Some(id.as_uuid()),
        Reference::Contact(id) => Some(id.as_uuid()),
        Reference::Import(id) => Some(id.as_uuid()),
        Reference::Campaign(id) => Some(id.as_uuid()),
        Reference::Schedule(id) => Some(id.as_uuid()),
        Reference::Prices(_) | Reference::List(_) => None,
    }
}

async fn note(conn: &mut PgConnection, chunk: &ImportTenant, records: u64) -> Fallible<()> {
    let head = &chunk.head;
    sqlx::query(
        "INSERT INTO arrival (tenant, name, taken_at, incarnation, records, mark) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant) DO UPDATE SET records = excluded.records, mark = excluded.mark",
    )
    .bind(head.tenant.as_uuid())
    .bind(head.name.as_str())
    .bind(ts(head.taken_at))
    .bind(head.incarnation.map(|id| id.as_uuid()))
    .bind(int(records))
    .bind(chunk.after.as_bytes().as_slice())
    .execute(conn)
    .await?;
    Ok(())
}

async fn books(conn: &mut PgConnection, tenant: TenantId) -> Fallible<Books> {
    let rows = sqlx::query_as("SELECT id, body FROM price_book WHERE tenant = $1 ORDER BY id")
        .bind(tenant.as_uuid())
        .fetch_all(conn)
        .await?;
    Ok(Books::new(rows)?)
}

/// Writes a chunk, and what follows from it.
async fn write(tx: &mut Tx, chunk: &ImportTenant) -> Fallible<()> {
    let tenant = chunk.head.tenant;
    let mut priced: Rows = Vec::new();
    let (mut places, mut sessions, mut kept) = (Vec::new(), Vec::<Option<Uuid>>::new(), Vec::new());
    for (place, record) in (chunk.from_record..).zip(&chunk.records) {
        let session = match record {
            Record::Prices(it) => {
                priced.push((&PRICE_BOOK, Row::from_iter([("body".to_owned(), to_json(&it.book)?.into())])));
                continue;
            }
            Record::Tenant(_) => None,
            Record::Session(it) => Some(it.id.as_uuid()),
            _ => continue,
        };
        places.push(int(place));
        sessions.push(session);
        kept.push(to_json(record)?);
    }
    insert(tx.conn(), tenant, &priced).await?;
    sqlx::query(
        "INSERT INTO arrival_record (tenant, place, session, record) \
         SELECT $1, u.place, u.session, u.record FROM unnest($2::bigint[], $3::uuid[], $4::text[]) \
         AS u (place, session, record)",
    )
    .bind(tenant.as_uuid())
    .bind(places)
    .bind(sessions)
    .bind(kept)
    .execute(tx.conn())
    .await?;
    let (books, lanes) = (books(tx.conn(), tenant).await?, lanes(tx.conn(), chunk).await?);
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
    insert(tx.conn(), tenant, &rows).await?;
    contribute(tx, tenant, derived).await
}

/// The lanes of the campaigns that messages of a chunk belong to.
async fn lanes(conn: &mut PgConnection, chunk: &ImportTenant) -> Fallible<HashMap<CampaignId, Lane>> {
    let mut lanes = HashMap::new();
    let mut others = BTreeSet::new();
    for record in &chunk.records {
        match record {
            Record::Campaign(it) => _ = lanes.insert(it.id, it.lane),
            Record::Message(it) => others.extend(it.campaign),
            _ => {}
        }
    }
    others.retain(|campaign| !lanes.contains_key(campaign));
    if !others.is_empty() {
        let found: Vec<(CampaignId, Lane)> =
            sqlx::query("SELECT id, lane FROM campaign WHERE tenant = $1 AND id = ANY($2)")
                .bind(chunk.head.tenant.as_uuid())
                .bind(uuids(others))
                .try_map(|row: PgRow| Ok((id(&row, 0)?, named(&row, 1, Lane::from_name)?)))
                .fetch_all(conn)
                .await?;
        lanes.extend(found);
    }
    Ok(lanes)
}

/// Writes rows, a statement for each table, in the order in which the tables come first.
async fn insert(conn: &mut PgConnection, tenant: TenantId, rows: &Rows) -> Fallible<()> {
    let mut tables: Vec<(&Table, Vec<&Row>)> = Vec::new();
    for (table, row) in rows {
        match tables.iter_mut().find(|(known, _)| known.name == table.name) {
            Some((_, own)) => own.push(row),
            None => tables.push((*table, vec![row])),
        }
    }
    for (table, rows) in tables {
        let mut query = sqlx::query(AssertSqlSafe(statement(table))).bind(tenant.as_uuid());
        for (_, path, kind, _) in table.columns {
            let cells = rows.iter().map(|row| Cell::of(field(row, path), *kind));
            let cells = cells.collect::<Result<Vec<_>, Misfit>>()?;
            query = match kind {
                Kind::Id => query.bind(column(cells, |cell| match cell {
                    Cell::Id(id) => Some(id),
                    _ => None,
                })),
                Kind::At => query.bind(column(cells, |cell| match cell {
                    Cell::At(at) => Some(ts(at)),
                    _ => None,
                })),
                Kind::Int => query.bind(column(cells, |cell| match cell {
                    Cell::Int(n) => Some(n),
                    _ => None,
                })),
                Kind::Flag => query.bind(column(cells, |cell| match cell {
                    Cell::Flag(flag) => Some(flag),
                    _ => None,
                })),
                Kind::Text | Kind::Json => query.bind(column(cells, |cell| match cell {
                    Cell::Text(own) => Some(text(&own).into_owned()),
                    _ => None,
                })),
                Kind::Bytes => query.bind(column(cells, |cell| match cell {
                    Cell::Bytes(bytes) => Some(bytes),
                    _ => None,
                })),
            };
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

fn column<T>(cells: Vec<Cell>, value: impl Fn(Cell) -> Option<T>) -> Vec<Option<T>> {
    cells.into_iter().map(value).collect()
}

fn statement(table: &Table) -> String {
    let array = |kind: Kind| match kind {
        Kind::Id => "uuid[]",
        Kind::At => "timestamptz[]",
        Kind::Int => "bigint[]",
        Kind::Flag => "boolean[]",
        Kind::Text | Kind::Json => "text[]",
        Kind::Bytes => "bytea[]",
    };
    let none = format!("'{NO_CAMPAIGN}'::uuid");
    let columns: Vec<_> = table.columns.iter().enumerate().collect();
    let names: Vec<&str> = columns.iter().map(|(_, (name, ..))| *name).collect();
    let values = columns.iter().map(|(place, (_, _, _, expression))| {
        expression.replace("{v}", &format!("u.c{place}")).replace("{t}", "$1").replace("{none}", &none)
    });
    let values: Vec<String> = values.collect();
    let arrays: Vec<String> =
        columns.iter().map(|(place, (_, _, kind, _))| format!("${}::{}", place + 2, array(*kind))).collect();
    let aliases: Vec<String> = columns.iter().map(|(place, _)| format!("c{place}")).collect();
    format!(
        "INSERT INTO {} (tenant, {}) SELECT $1, {} FROM unnest({}) AS u ({})",
        table.name,
        names.join(", "),
        values.join(", "),
        arrays.join(", "),
        aliases.join(", ")
    )
}

/// Adds what messages contribute.
async fn contribute(tx: &mut Tx, tenant: TenantId, derived: Derived) -> Fallible<()> {
    let Derived { changes, quota, warm_up, feeds, pairs } = derived;
    tx.write(changes).await?;
    for (period, n) in quota {
        sqlx::query(
            "INSERT INTO quota_usage AS q (tenant, period, used) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant, period) DO UPDATE SET used = q.used + excluded.used",
        )
        .bind(tenant.as_uuid())
        .bind(period.to_string())
        .bind(n)
        .execute(tx.conn())
        .await?;
    }
    for ((session, day), n) in warm_up {
        sqlx::query(
            "INSERT INTO warm_up_usage AS w (tenant, session, day, used) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (session, day) DO UPDATE SET used = w.used + excluded.used",
        )
        .bind(tenant.as_uuid())
        .bind(session.as_uuid())
        .bind(i64::from(day))
        .bind(n)
        .execute(tx.conn())
        .await?;
    }
    for ((campaign, session), Fed { passed, waiting }) in feeds {
        sqlx::query(
            "UPDATE feed SET after_id = CASE WHEN remaining = 0 THEN coalesce($4, after_id) ELSE after_id END, \
             remaining = remaining + $5 WHERE tenant = $1 AND campaign = $2 AND session = $3",
        )
        .bind(tenant.as_uuid())
        .bind(campaign.as_uuid())
        .bind(session.as_uuid())
        .bind(passed.as_ref().map(MessageId::as_uuid))
        .bind(waiting)
        .execute(tx.conn())
        .await?;
    }
    for (session, contact) in pairs {
        remake_window(tx.conn(), tenant, session, contact).await?;
    }
    Ok(())
}

/// The records that wait for the end of an import.
async fn kept(conn: &mut PgConnection, tenant: TenantId) -> Fallible<Vec<Record>> {
    let kept = sqlx::query("SELECT record FROM arrival_record WHERE tenant = $1 ORDER BY place")
        .bind(tenant.as_uuid())
        .try_map(|row: PgRow| json(&row, 0))
        .fetch_all(conn)
        .await?;
    Ok(kept)
}

/// The messaging limits that the sessions of an import share, the last chunk included.
pub(super) async fn portfolios(conn: &mut PgConnection, chunk: &ImportTenant) -> Fallible<BTreeSet<String>> {
    let kept = kept(conn, chunk.head.tenant).await?;
    let of = |record: &Record| match record {
        Record::Session(it) => Some(portfolio_key(it.transport.as_str(), &it.portfolio)),
        _ => None,
    };
    Ok(kept.iter().chain(&chunk.records).filter_map(of).collect())
}

/// Makes the tenant of an import; `None` when no record said what it is.
async fn finish(tx: &mut Tx, chunk: &ImportTenant) -> Fallible<Option<Tenant>> {
    let id = chunk.head.tenant;
    let mut tenant: Option<ArchivedTenant> = None;
    let mut rows: Rows = Vec::new();
    for record in kept(tx.conn(), id).await? {
        match record {
            Record::Tenant(it) => tenant = Some(*it),
            Record::Session(it) => rows.extend(session(&it)?),
            _ => return Err(Misfit.into()),
        }
    }
    let Some(ArchivedTenant { created_at, settings, entitlement }) = tenant else { return Ok(None) };
    insert(tx.conn(), id, &rows).await?;
    let now = tx.now;
    sqlx::query(
        "INSERT INTO tenant (id, name, settings, entitlement, created_at, held_since) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.as_uuid())
    .bind(chunk.head.name.as_str())
    .bind(to_json(&settings)?)
    .bind(to_json(&entitlement)?)
    .bind(ts(created_at))
    .bind(now)
    .execute(tx.conn())
    .await?;
    prices::keep_known(tx, id, settings.prices.as_ref()).await?;
    sqlx::query(
        "UPDATE list SET last_seq = greatest(\
         (SELECT max(m.seq) FROM list_member m WHERE m.list = list.id), \
         (SELECT max(c.bound) FROM campaign c WHERE c.tenant = $1 AND c.list = list.id), 0) WHERE tenant = $1",
    )
    .bind(id.as_uuid())
    .execute(tx.conn())
    .await?;
    take_slots(tx, id).await?;
    for table in ["arrival_record", "arrival"] {
        let delete = AssertSqlSafe(format!("DELETE FROM {table} WHERE tenant = $1"));
        sqlx::query(delete).bind(id.as_uuid()).execute(tx.conn()).await?;
    }
    Ok(Some(Tenant { id, name: chunk.head.name.clone(), created_at }))
}

/// Takes the slots of messaging limits that a tenant's attempts still rely on.
async fn take_slots(tx: &mut Tx, tenant: TenantId) -> Fallible<()> {
    const OWN: &str =
        "SELECT DISTINCT transport || ' ' || portfolio AS portfolio FROM session WHERE tenant = $1";
    let now = tx.now;
    sqlx::query(AssertSqlSafe(format!("DELETE FROM tier_slot WHERE until <= $2 AND portfolio IN ({OWN})")))
        .bind(tenant.as_uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    let slot = SLOT.num_microseconds().unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO tier_slot AS t (portfolio, recipient, taken_at, until, uses) \
         SELECT s.transport || ' ' || s.portfolio, a.recipient, min(a.begun_at), \
         max(a.begun_at) + $3::bigint * interval '1 microsecond', count(*) \
         FROM session s JOIN attempt a ON a.session = s.id AND a.begun_at > $2 \
         LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
         WHERE s.tenant = $1 AND a.tier_slot AND r.released_at IS NULL GROUP BY 1, 2 \
         ON CONFLICT (portfolio, recipient) DO UPDATE SET uses = t.uses + excluded.uses, \
         until = greatest(t.until, excluded.until), taken_at = least(t.taken_at, excluded.taken_at)",
    )
    .bind(tenant.as_uuid())
    .bind(ago(now, SLOT))
    .bind(slot)
    .execute(tx.conn())
    .await?;
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO tier_usage (portfolio, used) \
         SELECT p.portfolio, (SELECT count(*) FROM tier_slot t WHERE t.portfolio = p.portfolio) \
         FROM ({OWN}) AS p ON CONFLICT (portfolio) DO UPDATE SET used = excluded.used"
    )))
    .bind(tenant.as_uuid())
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn unfinished(conn: &mut PgConnection) -> Fallible<Vec<UnfinishedImport>> {
    let rows = sqlx::query("SELECT tenant, name, records FROM arrival ORDER BY tenant");
    let rows = rows.try_map(|row: PgRow| {
        Ok(UnfinishedImport { tenant: id(&row, 0)?, name: parsed(&row, 1)?, records: uint(&row, 2)? })
    });
    Ok(rows.fetch_all(conn).await?)
}

/// Throws a step's worth of an unfinished import away; `false` when there is none.
pub(super) async fn discard_some(conn: &mut PgConnection, tenant: TenantId) -> Fallible<bool> {
    let marked = sqlx::query("UPDATE arrival SET discarding = true WHERE tenant = $1")
        .bind(tenant.as_uuid())
        .execute(&mut *conn)
        .await?;
    if marked.rows_affected() == 0 {
        return Ok(false);
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' \
         WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace \
         AND c.relname NOT IN ('arrival', 'arrival_record') ORDER BY c.relname",
    )
    .fetch_all(&mut *conn)
    .await?;
    let last = ["arrival_record".to_owned(), "arrival".to_owned()];
    let mut room = DELETED_AT_ONCE;
    for table in tables.iter().chain(&last) {
        let delete = format!(
            "DELETE FROM \"{table}\" WHERE ctid = ANY(ARRAY(SELECT ctid FROM \"{table}\" WHERE tenant = $1 LIMIT $2))"
        );
        let gone =
            sqlx::query(AssertSqlSafe(delete)).bind(tenant.as_uuid()).bind(room).execute(&mut *conn).await?;
        room -= int(gone.rows_affected());
        if room <= 0 {
            return Ok(true);
        }
    }
    Ok(true)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use crate::TestDatabase;
    use crate::common::archive::undecided;

    #[tokio::test]
    async fn every_column_is_in_an_archive_or_on_the_list_of_those_that_are_not() {
        let database = TestDatabase::create().await;
        let pool = sqlx::PgPool::connect(database.url()).await.expect("a connection");
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT table_name::text, column_name::text FROM information_schema.columns c \
             JOIN information_schema.tables t USING (table_schema, table_name) \
             WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND t.table_type = 'BASE TABLE'",
        )
        .fetch_all(&pool)
        .await
        .expect("rows");
        assert!(columns.len() > 200, "{} columns", columns.len());
        assert_eq!(undecided(columns), [""; 0], "say what an archive makes of them");
        pool.close().await;
    }
}
