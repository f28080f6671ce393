//! Imports: rows of a file, chunk by chunk, each once.

use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{
    ConsentSource, ImportId, ImportLine, ImportProgress, ImportRow, LineOutcome, LineProblem, ListName,
    Recipient, TenantId,
};
use wa_core::port::store::{ImportChunk, ImportStep, ReportedLine, StartImport};
use wa_core::rules::consent::ConsentNews;

use super::contacts;
use crate::common::audience::new_contact;
use crate::common::changes::Changes;
use crate::sqlite::codec::{fingerprint, id, int, named, opt_json, phone_number, to_json, uint};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::Fallible;
use crate::sqlite::page_size;
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

const COLUMNS: &str = "id, source, records, added, duplicates, invalid, finished, place, list";

/// An import as stored: its progress and the keys of its rows.
struct Import {
    progress: ImportProgress,
    place: i64,
    list: i64,
}

pub(super) fn start(tx: &Tx<'_>, tenant: TenantId, start: &StartImport) -> Fallible<Option<ImportProgress>> {
    if settings_of(tx.conn, tenant)?.is_none() {
        return Ok(None);
    }
    let StartImport { id, list, source } = start;
    let list = contacts::ensure_list(tx.conn, tenant, list)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO import (tenant, id, list, source) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (list, source) DO NOTHING",
        )?
        .execute(params![tenant.as_bytes(), id.as_bytes(), list, source.as_bytes()])?;
    let kept = tx
        .conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM import WHERE list = ?1 AND source = ?2"))?
        .query_row(params![list, source.as_bytes()], import_at)?;
    Ok(Some(kept.progress))
}

pub(super) fn import(tx: &Tx<'_>, tenant: TenantId, chunk: &ImportChunk) -> Fallible<ImportStep> {
    let ImportChunk { import, from_record, rows, last } = chunk;
    let Some(import) = by_id(tx.conn, tenant, *import)? else { return Ok(ImportStep::Missing) };
    let Import { mut progress, place, list } = import;
    if progress.records != *from_record || progress.finished {
        return Ok(ImportStep::Elsewhere(progress));
    }
    let mut changes = Changes::default();
    for ImportRow { line, content } in rows {
        let (outcome, problem) = match content {
            Err(problem) => (LineOutcome::Invalid, Some(problem)),
            Ok(content) => (take_in(tx, &mut changes, tenant, place, list, content)?, None),
        };
        match outcome {
            LineOutcome::Added => progress.added += 1,
            LineOutcome::Duplicate => progress.duplicates += 1,
            LineOutcome::Invalid => progress.invalid += 1,
        }
        if outcome != LineOutcome::Added {
            put_line(tx.conn, place, *line, outcome, problem)?;
        }
    }
    progress.records = progress.records.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    progress.finished = *last;
    if progress.finished {
        // Needed only to find duplicates of rows that are still to come.
        tx.conn.prepare_cached("DELETE FROM import_phone WHERE import = ?1")?.execute([place])?;
    }
    tx.conn
        .prepare_cached(
            "UPDATE import SET records = ?2, added = ?3, duplicates = ?4, invalid = ?5, finished = ?6 \
             WHERE place = ?1",
        )?
        .execute(params![
            place,
            int(progress.records),
            int(progress.added),
            int(progress.duplicates),
            int(progress.invalid),
            progress.finished
        ])?;
    tx.write(changes)?;
    Ok(ImportStep::Applied(progress))
}

/// Takes one valid line in: added, or a duplicate of an earlier line of this import.
fn take_in(
    tx: &Tx<'_>,
    changes: &mut Changes,
    tenant: TenantId,
    place: i64,
    list: i64,
    line: &ImportLine,
) -> Fallible<LineOutcome> {
    let ImportLine { contact: fresh, phone, attributes, opted_out } = line;
    let first = tx
        .conn
        .prepare_cached("INSERT OR IGNORE INTO import_phone (import, phone) VALUES (?1, ?2)")?
        .execute(params![place, phone_number(*phone)])?
        > 0;
    let who = Recipient::from(*phone);
    let known = contacts::by_address(tx.conn, tenant, &who)?;
    let contact = match (known, first) {
        (None, _) => {
            let contact = new_contact(*fresh, who, attributes.clone(), tx.now);
            contacts::insert(tx.conn, tenant, &contact)?;
            contact
        }
        (Some(known), true) => contacts::find_or_create(tx, tenant, &who, known.id, attributes)?,
        (Some(known), false) => known,
    };
    if *opted_out {
        let news = ConsentNews::Stop(tx.now);
        contacts::hear_consent(tx, changes, tenant, &contact, news, ConsentSource::Import)?;
    }
    if first {
        contacts::join(tx.conn, list, contact.id)?;
        Ok(LineOutcome::Added)
    } else {
        Ok(LineOutcome::Duplicate)
    }
}

fn put_line(
    conn: &Connection,
    place: i64,
    line: u64,
    outcome: LineOutcome,
    problem: Option<&LineProblem>,
) -> Fallible<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO import_line (import, line, outcome, problem) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![place, int(line), outcome.as_str(), problem.map(to_json).transpose()?])?;
    Ok(())
}

pub(super) fn of_list(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    list: &ListName,
) -> Fallible<Vec<ImportProgress>> {
    let Some(list) = contacts::list_of(snapshot.conn, tenant, list)? else { return Ok(Vec::new()) };
    let mut statement =
        snapshot.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM import WHERE list = ?1 ORDER BY id"))?;
    let rows = statement.query_map([list], |row| Ok(import_at(row)?.progress))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn report(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    import: ImportId,
    after_line: u64,
    limit: u32,
) -> Fallible<Vec<ReportedLine>> {
    let Some(Import { place, .. }) = by_id(snapshot.conn, tenant, import)? else { return Ok(Vec::new()) };
    let mut statement = snapshot.conn.prepare_cached(
        "SELECT line, outcome, problem FROM import_line WHERE import = ?1 AND line > ?2 ORDER BY line LIMIT ?3",
    )?;
    let rows = statement.query_map(params![place, int(after_line), page_size(limit)], |row| {
        Ok(ReportedLine {
            line: uint(row, 0)?,
            outcome: named(row, 1, LineOutcome::from_name)?,
            problem: opt_json(row, 2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn by_id(conn: &Connection, tenant: TenantId, import: ImportId) -> Fallible<Option<Import>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM import WHERE tenant = ?1 AND id = ?2"))?
        .query_row(params![tenant.as_bytes(), import.as_bytes()], import_at)
        .optional()?;
    Ok(found)
}

fn import_at(row: &Row<'_>) -> rusqlite::Result<Import> {
    let progress = ImportProgress {
        id: id(row, 0)?,
        source: fingerprint(row, 1)?,
        records: uint(row, 2)?,
        added: uint(row, 3)?,
        duplicates: uint(row, 4)?,
        invalid: uint(row, 5)?,
        finished: row.get(6)?,
    };
    Ok(Import { progress, place: row.get(7)?, list: row.get(8)? })
}
