//! Imports: rows of a file, chunk by chunk, each once.
//!
//! Invariant: a chunk takes the same few statements whatever its length, and has the answers that its lines
//! would have one by one. Only the first line of a chunk that has a phone decides about its contact; the
//! others are duplicates, from which at most an opt-out is heard.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    Consent, ConsentSource, ContactAttributes, ContactId, ImportId, ImportLine, ImportProgress, ImportRow,
    LineOutcome, LineProblem, ListName, TenantId,
};
use wa_core::port::store::{ImportChunk, ImportStep, ReportedLine, StartImport};
use wa_core::rules::consent::ConsentNews;

use super::contacts;
use crate::common::changes::Changes;
use crate::postgres::codec::{fingerprint, get, id, int, json, named, opt_json, phone_number, to_json, uint};
use crate::postgres::directory::settings_of;
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::page_size;
use crate::postgres::tx::Tx;

const COLUMNS: &str = "id, source, records, added, duplicates, invalid, finished, place, list";

/// An import as stored: its progress and the keys of its rows.
struct Import {
    progress: ImportProgress,
    place: i64,
    list: i64,
}

/// A contact that had its phone before the chunk.
struct Known {
    id: ContactId,
    attributes: ContactAttributes,
}

pub(super) async fn start(
    tx: &mut Tx,
    tenant: TenantId,
    start: &StartImport,
) -> Fallible<Option<ImportProgress>> {
    if settings_of(tx.conn(), tenant).await?.is_none() {
        return Ok(None);
    }
    let StartImport { id, list, source } = start;
    let list = contacts::ensure_list(tx.conn(), tenant, list).await?;
    sqlx::query(
        "INSERT INTO import (tenant, id, list, source) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (list, source) DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(list)
    .bind(source.as_bytes().as_slice())
    .execute(tx.conn())
    .await?;
    let sql = format!("SELECT {COLUMNS} FROM import WHERE tenant = $1 AND list = $2 AND source = $3");
    let kept = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(list)
        .bind(source.as_bytes().as_slice())
        .try_map(|row| import_at(&row))
        .fetch_one(tx.conn())
        .await?;
    Ok(Some(kept.progress))
}

pub(super) async fn import(tx: &mut Tx, tenant: TenantId, chunk: &ImportChunk) -> Fallible<ImportStep> {
    let ImportChunk { import, from_record, rows, last } = chunk;
    let Some(import) = by_id(tx.conn(), tenant, *import).await? else { return Ok(ImportStep::Missing) };
    let Import { mut progress, place, list } = import;
    if progress.records != *from_record || progress.finished {
        return Ok(ImportStep::Elsewhere(progress));
    }
    let mut changes = Changes::default();
    let taken = take_in(tx, tenant, place, rows).await?;
    contacts::join_all(tx.conn(), tenant, list, &taken.joined).await?;
    if !taken.opted_out.is_empty() {
        let news = ConsentNews::Stop(tx.now);
        let source = ConsentSource::Import;
        contacts::hear_each(tx, &mut changes, tenant, &taken.opted_out, news, source).await?;
    }
    // A line that is told of twice has its last word.
    let mut reported = BTreeMap::new();
    for (ImportRow { line, content }, outcome) in rows.iter().zip(taken.outcomes) {
        match outcome {
            LineOutcome::Added => progress.added += 1,
            LineOutcome::Duplicate => progress.duplicates += 1,
            LineOutcome::Invalid => progress.invalid += 1,
        }
        if outcome != LineOutcome::Added {
            reported.insert(int(*line), (outcome, content.as_ref().err()));
        }
    }
    put_lines(tx.conn(), tenant, place, reported).await?;
    progress.records = progress.records.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    progress.finished = *last;
    if progress.finished {
        // Needed only to find duplicates of rows that are still to come.
        sqlx::query("DELETE FROM import_phone WHERE tenant = $1 AND import = $2")
            .bind(tenant.as_uuid())
            .bind(place)
            .execute(tx.conn())
            .await?;
    }
    sqlx::query(
        "UPDATE import SET records = $3, added = $4, duplicates = $5, invalid = $6, finished = $7 \
         WHERE tenant = $1 AND place = $2",
    )
    .bind(tenant.as_uuid())
    .bind(place)
    .bind(int(progress.records))
    .bind(int(progress.added))
    .bind(int(progress.duplicates))
    .bind(int(progress.invalid))
    .bind(progress.finished)
    .execute(tx.conn())
    .await?;
    tx.write(changes).await?;
    Ok(ImportStep::Applied(progress))
}

/// What became of the lines of a chunk.
struct Taken {
    /// One for each line.
    outcomes: Vec<LineOutcome>,
    /// Who goes on the list, in the order of the lines.
    joined: Vec<ContactId>,
    /// Who opted out, each once, in the order of the lines.
    opted_out: Vec<ContactId>,
}

/// Takes the valid lines of a chunk in: each is added, or a duplicate of an earlier line of this import.
async fn take_in(tx: &mut Tx, tenant: TenantId, place: i64, rows: &[ImportRow]) -> Fallible<Taken> {
    let mut firsts: BTreeMap<i64, &ImportLine> = BTreeMap::new();
    for line in rows.iter().filter_map(|row| row.content.as_ref().ok()) {
        firsts.entry(phone_number(line.phone)).or_insert(line);
    }
    let phones: Vec<i64> = firsts.keys().copied().collect();
    let mut new = new_to_import(tx.conn(), tenant, place, &phones).await?;
    let mut known = with_phones(tx.conn(), tenant, &phones).await?;
    let missing: Vec<(i64, &ImportLine)> =
        firsts.iter().filter(|(phone, _)| !known.contains_key(phone)).map(|(p, line)| (*p, *line)).collect();
    let created = create(tx, tenant, &missing).await?;
    if created.len() < missing.len() {
        // Somebody else under the shared gate created the others meanwhile.
        let others: Vec<i64> =
            missing.iter().map(|(phone, _)| *phone).filter(|phone| !created.contains(phone)).collect();
        known.extend(with_phones(tx.conn(), tenant, &others).await?);
    }
    let (mut ids, mut merged) = (HashMap::new(), Vec::new());
    for (phone, line) in firsts {
        if created.contains(&phone) {
            ids.insert(phone, line.contact);
            continue;
        }
        let Some(Known { id, attributes }) = known.remove(&phone) else {
            return Err(Fault::Broken("a contact was neither found nor created"));
        };
        ids.insert(phone, id);
        let mut all = attributes.clone();
        all.extend(line.attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
        if new.contains(&phone) && all != attributes {
            merged.push((id, to_json(&all)?));
        }
    }
    let now = tx.now;
    put_attributes(tx.conn(), tenant, merged, now).await?;

    let mut taken =
        Taken { outcomes: Vec::with_capacity(rows.len()), joined: Vec::new(), opted_out: Vec::new() };
    let mut heard = HashSet::new();
    for row in rows {
        let Ok(line) = &row.content else {
            taken.outcomes.push(LineOutcome::Invalid);
            continue;
        };
        let phone = phone_number(line.phone);
        let Some(contact) = ids.get(&phone) else {
            return Err(Fault::Broken("a line of an import lost its contact"));
        };
        if line.opted_out && heard.insert(*contact) {
            taken.opted_out.push(*contact);
        }
        if new.remove(&phone) {
            taken.joined.push(*contact);
            taken.outcomes.push(LineOutcome::Added);
        } else {
            taken.outcomes.push(LineOutcome::Duplicate);
        }
    }
    Ok(taken)
}

/// Those of these phones that no earlier chunk of the import brought.
async fn new_to_import(
    conn: &mut PgConnection,
    tenant: TenantId,
    place: i64,
    phones: &[i64],
) -> Fallible<HashSet<i64>> {
    if phones.is_empty() {
        return Ok(HashSet::new());
    }
    let new: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO import_phone (tenant, import, phone) \
         SELECT $1, $2, u.phone FROM unnest($3::bigint[]) AS u (phone) ON CONFLICT DO NOTHING RETURNING phone",
    )
    .bind(tenant.as_uuid())
    .bind(place)
    .bind(phones)
    .fetch_all(conn)
    .await?;
    Ok(new.into_iter().collect())
}

/// The contacts with these phones.
async fn with_phones(
    conn: &mut PgConnection,
    tenant: TenantId,
    phones: &[i64],
) -> Fallible<HashMap<i64, Known>> {
    if phones.is_empty() {
        return Ok(HashMap::new());
    }
    let known = sqlx::query(
        "SELECT u.phone, c.id, c.attributes FROM unnest($2::bigint[]) AS u (phone) CROSS JOIN LATERAL \
         (SELECT id, attributes FROM contact WHERE tenant = $1 AND phone = u.phone LIMIT 1) c",
    )
    .bind(tenant.as_uuid())
    .bind(phones)
    .try_map(|row| Ok((get(&row, 0)?, Known { id: id(&row, 1)?, attributes: json(&row, 2)? })));
    Ok(known.fetch_all(conn).await?.into_iter().collect())
}

/// Creates the contacts of lines; gives the phones of those that were not there.
async fn create(tx: &mut Tx, tenant: TenantId, lines: &[(i64, &ImportLine)]) -> Fallible<HashSet<i64>> {
    if lines.is_empty() {
        return Ok(HashSet::new());
    }
    let now = tx.now;
    let (mut ids, mut phones, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
    for (phone, line) in lines {
        ids.push(line.contact.as_uuid());
        phones.push(*phone);
        attributes.push(to_json(&line.attributes)?);
    }
    let created: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO contact (tenant, id, phone, attributes, consent, created_at) \
         SELECT $1, u.id, u.phone, u.attributes, $5, $6 \
         FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS u (id, phone, attributes) \
         ON CONFLICT (tenant, phone) WHERE phone IS NOT NULL DO NOTHING RETURNING phone",
    )
    .bind(tenant.as_uuid())
    .bind(ids)
    .bind(phones)
    .bind(attributes)
    .bind(Consent::Allowed.as_str())
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    Ok(created.into_iter().collect())
}

async fn put_attributes(
    conn: &mut PgConnection,
    tenant: TenantId,
    merged: Vec<(ContactId, String)>,
    now: DateTime<Utc>,
) -> Fallible<()> {
    if merged.is_empty() {
        return Ok(());
    }
    let (ids, attributes): (Vec<Uuid>, Vec<String>) =
        merged.into_iter().map(|(id, attributes)| (id.as_uuid(), attributes)).unzip();
    // Every row is there; as an insert that meets its key it is found by the key.
    sqlx::query(
        "INSERT INTO contact (tenant, id, attributes, consent, created_at) \
         SELECT $1, u.id, u.attributes, $4, $5 \
         FROM unnest($2::uuid[], $3::text[]) AS u (id, attributes) ORDER BY u.id \
         ON CONFLICT (tenant, id) DO UPDATE SET attributes = excluded.attributes",
    )
    .bind(tenant.as_uuid())
    .bind(ids)
    .bind(attributes)
    .bind(Consent::Allowed.as_str())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps what is to be told of lines that were not added.
async fn put_lines(
    conn: &mut PgConnection,
    tenant: TenantId,
    place: i64,
    reported: BTreeMap<i64, (LineOutcome, Option<&LineProblem>)>,
) -> Fallible<()> {
    if reported.is_empty() {
        return Ok(());
    }
    let (mut lines, mut outcomes, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (line, (outcome, problem)) in reported {
        lines.push(line);
        outcomes.push(outcome.as_str());
        problems.push(problem.map(to_json).transpose()?);
    }
    sqlx::query(
        "INSERT INTO import_line (tenant, import, line, outcome, problem) \
         SELECT $1, $2, u.line, u.outcome, u.problem \
         FROM unnest($3::bigint[], $4::text[], $5::text[]) AS u (line, outcome, problem) \
         ON CONFLICT (import, line) DO UPDATE SET outcome = excluded.outcome, problem = excluded.problem",
    )
    .bind(tenant.as_uuid())
    .bind(place)
    .bind(lines)
    .bind(outcomes)
    .bind(problems)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn of_list(
    conn: &mut PgConnection,
    tenant: TenantId,
    list: &ListName,
) -> Fallible<Vec<ImportProgress>> {
    let Some(list) = contacts::list_of(conn, tenant, list).await? else { return Ok(Vec::new()) };
    let sql = format!("SELECT {COLUMNS} FROM import WHERE tenant = $1 AND list = $2 ORDER BY id");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(list)
        .try_map(|row| Ok(import_at(&row)?.progress));
    Ok(rows.fetch_all(conn).await?)
}

pub(super) async fn report(
    conn: &mut PgConnection,
    tenant: TenantId,
    import: ImportId,
    after_line: u64,
    limit: u32,
) -> Fallible<Vec<ReportedLine>> {
    let Some(Import { place, .. }) = by_id(conn, tenant, import).await? else { return Ok(Vec::new()) };
    let rows = sqlx::query(
        "SELECT line, outcome, problem FROM import_line \
         WHERE tenant = $1 AND import = $2 AND line > $3 ORDER BY line LIMIT $4",
    )
    .bind(tenant.as_uuid())
    .bind(place)
    .bind(int(after_line))
    .bind(page_size(limit))
    .try_map(|row| {
        Ok(ReportedLine {
            line: uint(&row, 0)?,
            outcome: named(&row, 1, LineOutcome::from_name)?,
            problem: opt_json(&row, 2)?,
        })
    });
    Ok(rows.fetch_all(conn).await?)
}

async fn by_id(conn: &mut PgConnection, tenant: TenantId, import: ImportId) -> Fallible<Option<Import>> {
    let sql = format!("SELECT {COLUMNS} FROM import WHERE tenant = $1 AND id = $2");
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(import.as_uuid())
        .try_map(|row| import_at(&row));
    Ok(found.fetch_optional(conn).await?)
}

fn import_at(row: &PgRow) -> Result<Import, Error> {
    let progress = ImportProgress {
        id: id(row, 0)?,
        source: fingerprint(row, 1)?,
        records: uint(row, 2)?,
        added: uint(row, 3)?,
        duplicates: uint(row, 4)?,
        invalid: uint(row, 5)?,
        finished: get(row, 6)?,
    };
    Ok(Import { progress, place: get(row, 7)?, list: get(row, 8)? })
}
