//! One tenant's tables as records, read in one snapshot by a reader thread.
//!
//! Invariant: rows are read as they are asked for, each table once, so memory is bounded by a page.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Rows, Statement, params};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;
use wa_core::model::{TenantId, from_micros};
use wa_core::port::store::{ArchiveHead, Record, RecordSink, StoreError};

use crate::common::archive::export::{self as common, Query, Source};
use crate::common::archive::{Cell, Kind, Row, put};
use crate::sqlite::SqliteStore;
use crate::sqlite::codec::{opt_id, parsed};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::reader::Snapshot;

/// The most records of a page.
const PAGE: usize = 1_000;

/// What the reader hands over.
enum Page {
    Head(ArchiveHead),
    Records(Vec<Record>),
}

pub(super) async fn export(
    store: &SqliteStore,
    tenant: TenantId,
    sink: &mut dyn RecordSink,
) -> Result<bool, StoreError> {
    // One page waits while the next one is read.
    let (pages, mut inbox) = mpsc::channel(1);
    let mut has_begun = false;
    let reading = store.read(move |snapshot| {
        if has_begun {
            return Err(Fault::Broken("another process was in the way of an export"));
        }
        let mut giving = Giving { pages: &pages, page: Vec::new(), has_begun: &mut has_begun };
        read(snapshot, tenant, &mut giving)
    });
    let giving = async move {
        while let Some(page) = inbox.recv().await {
            match page {
                Page::Head(head) => sink.head(&head).await?,
                Page::Records(records) => sink.take(records).await?,
            }
        }
        Ok(())
    };
    let (read, given) = futures::join!(reading, giving);
    given.and(read)
}

/// Collects records into pages.
struct Giving<'a> {
    pages: &'a mpsc::Sender<Page>,
    page: Vec<Record>,
    has_begun: &'a mut bool,
}

impl Giving<'_> {
    fn give(&mut self, record: Record) -> Fallible<()> {
        self.page.push(record);
        if self.page.len() < PAGE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Fallible<()> {
        let page = std::mem::take(&mut self.page);
        if page.is_empty() { Ok(()) } else { self.send(Page::Records(page)) }
    }

    fn send(&mut self, page: Page) -> Fallible<()> {
        *self.has_begun = true;
        // Who does not take it any more has gone, or says why by itself.
        self.pages.blocking_send(page).map_err(|_| Fault::Broken("nobody takes the export any more"))
    }
}

fn read(snapshot: &Snapshot<'_>, tenant: TenantId, giving: &mut Giving<'_>) -> Fallible<bool> {
    let conn = snapshot.conn;
    let name = conn
        .prepare(&sql(common::NAME))?
        .query_row(params![tenant.as_bytes()], |row| parsed(row, 0))
        .optional()?;
    let Some(name) = name else { return Ok(false) };
    let incarnation = conn.prepare(common::INCARNATION)?.query_row([], |row| opt_id(row, 0)).optional()?;
    let head = ArchiveHead { tenant, name, taken_at: snapshot.now, incarnation: incarnation.flatten() };
    giving.send(Page::Head(head))?;
    let (digests, prices) = common::prices(books(conn, tenant)?)?;
    for record in prices {
        giving.give(record)?;
    }
    for source in common::SOURCES {
        stream(conn, tenant, source, |row| giving.give(common::record(source.kind, row, &digests)?))?;
    }
    giving.flush()?;
    Ok(true)
}

/// Every version of a tenant's prices: its key, its text, and whether attempts were begun under it.
pub(super) fn books(conn: &Connection, tenant: TenantId) -> Fallible<Vec<(i64, String, bool)>> {
    let mut statement = conn.prepare(&sql(common::BOOKS))?;
    let rows =
        statement.query_map(params![tenant.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn sql(text: &str) -> String {
    text.replace("{t}", "?1").replace("{none}", "x''").replace("{window}", "window")
}

/// Visits the rows of a query.
pub(super) fn rows(
    conn: &Connection,
    tenant: TenantId,
    query: &Query,
    mut visit: impl FnMut(Row) -> Fallible<()>,
) -> Fallible<()> {
    let mut statement = conn.prepare(&sql(query.sql))?;
    let mut rows = statement.query(params![tenant.as_bytes()])?;
    while let Some(found) = rows.next()? {
        let mut row = Row::new();
        fill(&mut row, found, query, 0)?;
        visit(row)?;
    }
    Ok(())
}

/// Visits the rows of one kind of records: parents and children are read side by side, in one order.
pub(super) fn stream(
    conn: &Connection,
    tenant: TenantId,
    source: &'static Source,
    mut visit: impl FnMut(Row) -> Fallible<()>,
) -> Fallible<()> {
    let mut root = conn.prepare(&sql(source.root.sql))?;
    let statements = source.children.iter().map(|child| conn.prepare(&sql(child.query.sql)));
    let mut statements: Vec<Statement<'_>> = statements.collect::<rusqlite::Result<_>>()?;
    let mut cursors = Vec::new();
    for (child, statement) in source.children.iter().zip(&mut statements) {
        let rows = statement.query(params![tenant.as_bytes()])?;
        let mut cursor = Cursor { field: child.field, query: &child.query, rows, next: None };
        cursor.step()?;
        cursors.push(cursor);
    }
    let mut rows = root.query(params![tenant.as_bytes()])?;
    while let Some(found) = rows.next()? {
        let mut row = Row::new();
        fill(&mut row, found, &source.root, 0)?;
        if !cursors.is_empty() {
            let key = row.get("id").cloned().unwrap_or_default();
            for cursor in &mut cursors {
                cursor.attach(&key, &mut row)?;
            }
        }
        visit(row)?;
    }
    Ok(())
}

/// The rows of a child, and the one that comes next with its parent's key.
struct Cursor<'s> {
    field: &'static str,
    query: &'static Query,
    rows: Rows<'s>,
    next: Option<(Value, Row)>,
}

impl Cursor<'_> {
    fn step(&mut self) -> Fallible<()> {
        self.next = match self.rows.next()? {
            Some(found) => {
                let key = cell(found, 0, Kind::Id)?.value(Kind::Id)?;
                let mut row = Row::new();
                fill(&mut row, found, self.query, 1)?;
                Some((key, row))
            }
            None => None,
        };
        Ok(())
    }

    /// Puts the rows of a parent into it.
    fn attach(&mut self, key: &Value, parent: &mut Row) -> Fallible<()> {
        let mut own = Vec::new();
        while self.next.as_ref().is_some_and(|(of, _)| of == key) {
            own.extend(self.next.take().map(|(_, row)| Value::Object(row)));
            self.step()?;
        }
        if !own.is_empty() {
            parent.insert(self.field.to_owned(), own.into());
        }
        Ok(())
    }
}

/// Puts the columns of a query from a place on into a row.
fn fill(row: &mut Row, found: &SqlRow<'_>, query: &Query, from: usize) -> Fallible<()> {
    for (index, (name, kind)) in query.columns.iter().enumerate().skip(from) {
        put(row, name, cell(found, index, *kind)?.value(*kind)?);
    }
    Ok(())
}

fn cell(row: &SqlRow<'_>, index: usize, kind: Kind) -> Fallible<Cell> {
    if row.get_ref(index)? == ValueRef::Null {
        return Ok(Cell::Null);
    }
    Ok(match kind {
        Kind::Id => Cell::Id(Uuid::from_bytes(row.get(index)?)),
        Kind::At => Cell::At(from_micros(row.get(index)?)),
        Kind::Int => Cell::Int(row.get(index)?),
        Kind::Flag => Cell::Flag(row.get(index)?),
        Kind::Text | Kind::Json => Cell::Text(row.get(index)?),
        Kind::Bytes => Cell::Bytes(row.get(index)?),
    })
}
