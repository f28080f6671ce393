//! One tenant's tables as records, read through cursors of one snapshot.
//!
//! Invariant: every table is read once and a page at a time, so memory is bounded by a page of each.

use std::collections::VecDeque;

use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};
use wa_core::model::TenantId;
use wa_core::port::store::{ArchiveHead, Record, RecordSink, StoreError};

use crate::common::archive::export::{self as common, Child, Query};
use crate::common::archive::{Cell, Kind, Row, put};
use crate::postgres::codec::{NO_CAMPAIGN, get, opt_id, parsed};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::tx::Tx;

/// The most records of a page.
const PAGE: usize = 1_000;

/// Why an export came to its end early.
pub(super) enum Ended {
    /// The database refused.
    Here(Fault),
    /// The sink did.
    There(StoreError),
}

impl<T: Into<Fault>> From<T> for Ended {
    fn from(fault: T) -> Self {
        Self::Here(fault.into())
    }
}

pub(super) async fn export(tx: &mut Tx, tenant: TenantId, sink: &mut dyn RecordSink) -> Result<bool, Ended> {
    let now = tx.now;
    let name = sqlx::query(AssertSqlSafe(sql(common::NAME, tenant)))
        .try_map(|row: PgRow| parsed(&row, 0))
        .fetch_optional(tx.conn())
        .await?;
    let Some(name) = name else { return Ok(false) };
    let incarnation = sqlx::query(common::INCARNATION)
        .try_map(|row: PgRow| opt_id(&row, 0))
        .fetch_optional(tx.conn())
        .await?;
    let head = ArchiveHead { tenant, name, taken_at: now, incarnation: incarnation.flatten() };
    sink.head(&head).await.map_err(Ended::There)?;
    let (digests, mut page) = common::prices(books(tx.conn(), tenant).await?)?;
    for source in common::SOURCES {
        let mut rows = Rows::open(tx.conn(), tenant, &source.root, source.children).await?;
        while let Some(row) = rows.next(tx.conn()).await? {
            page.push(common::record(source.kind, row, &digests)?);
            if page.len() == PAGE {
                give(sink, &mut page).await?;
            }
        }
        rows.close(tx.conn()).await?;
    }
    if !page.is_empty() {
        give(sink, &mut page).await?;
    }
    Ok(true)
}

async fn give(sink: &mut dyn RecordSink, page: &mut Vec<Record>) -> Result<(), Ended> {
    sink.take(std::mem::take(page)).await.map_err(Ended::There)
}

/// Every version of a tenant's prices: its key, its text, and whether attempts were begun under it.
pub(super) async fn books(conn: &mut PgConnection, tenant: TenantId) -> Fallible<Vec<(i64, String, bool)>> {
    let rows = sqlx::query(AssertSqlSafe(sql(common::BOOKS, tenant))).try_map(|row: PgRow| {
        Ok((get(&row, 0)?, get(&row, 1)?, get::<Option<bool>>(&row, 2)?.unwrap_or(false)))
    });
    Ok(rows.fetch_all(conn).await?)
}

/// A statement that declares a cursor takes no parameters, so the tenant's id stands in it.
fn sql(text: &str, tenant: TenantId) -> String {
    text.replace("{t}", &format!("'{}'::uuid", tenant.as_uuid()))
        .replace("{none}", &format!("'{NO_CAMPAIGN}'::uuid"))
        .replace("{window}", "service_window")
}

/// The rows of a query with their children in them, as they come. One at a time in a transaction.
pub(super) struct Rows {
    root: Cursor,
    children: Vec<Cursor>,
}

impl Rows {
    pub(super) async fn open(
        conn: &mut PgConnection,
        tenant: TenantId,
        root: &'static Query,
        children: &'static [Child],
    ) -> Fallible<Self> {
        let root = Cursor::open(conn, "archive".to_owned(), "", root, false, tenant).await?;
        let mut opened = Vec::new();
        for (place, Child { field, query }) in children.iter().enumerate() {
            opened.push(Cursor::open(conn, format!("archive_{place}"), field, query, true, tenant).await?);
        }
        Ok(Self { root, children: opened })
    }

    pub(super) async fn next(&mut self, conn: &mut PgConnection) -> Fallible<Option<Row>> {
        let Some((key, mut row)) = self.root.next(conn).await? else { return Ok(None) };
        for child in &mut self.children {
            let own = child.of(conn, &key).await?;
            if !own.is_empty() {
                row.insert(child.field.to_owned(), own.into());
            }
        }
        Ok(Some(row))
    }

    pub(super) async fn close(self, conn: &mut PgConnection) -> Fallible<()> {
        for cursor in std::iter::once(self.root).chain(self.children) {
            cursor.close(conn).await?;
        }
        Ok(())
    }
}

/// Rows of a query as they come, with their keys.
struct Cursor {
    name: String,
    field: &'static str,
    query: &'static Query,
    /// Whether the first column is the key of a parent, and not a field.
    is_child: bool,
    rows: VecDeque<(Value, Row)>,
    is_over: bool,
}

impl Cursor {
    async fn open(
        conn: &mut PgConnection,
        name: String,
        field: &'static str,
        query: &'static Query,
        is_child: bool,
        tenant: TenantId,
    ) -> Fallible<Self> {
        let declare = format!("DECLARE {name} NO SCROLL CURSOR FOR {}", sql(query.sql, tenant));
        sqlx::raw_sql(AssertSqlSafe(declare)).execute(conn).await?;
        Ok(Self { name, field, query, is_child, rows: VecDeque::new(), is_over: false })
    }

    async fn fill(&mut self, conn: &mut PgConnection) -> Fallible<()> {
        if self.is_over || !self.rows.is_empty() {
            return Ok(());
        }
        // Not kept: what a cursor of this name gives may be something else another time.
        let fetch = format!("FETCH {PAGE} FROM {}", self.name);
        let found = sqlx::query(AssertSqlSafe(fetch)).persistent(false).fetch_all(conn).await?;
        self.is_over = found.len() < PAGE;
        for found in &found {
            let mut row = Row::new();
            let mut key = Value::Null;
            for (index, (name, kind)) in self.query.columns.iter().enumerate() {
                let value = cell(found, index, *kind)?.value(*kind)?;
                if index == 0 {
                    key.clone_from(&value);
                }
                if index > 0 || !self.is_child {
                    put(&mut row, name, value);
                }
            }
            self.rows.push_back((key, row));
        }
        Ok(())
    }

    async fn next(&mut self, conn: &mut PgConnection) -> Fallible<Option<(Value, Row)>> {
        self.fill(conn).await?;
        Ok(self.rows.pop_front())
    }

    /// The rows of a parent, which come next.
    async fn of(&mut self, conn: &mut PgConnection, key: &Value) -> Fallible<Vec<Value>> {
        let mut own = Vec::new();
        loop {
            self.fill(conn).await?;
            match self.rows.pop_front_if(|(of, _)| of == key) {
                Some((_, row)) => own.push(Value::Object(row)),
                None => return Ok(own),
            }
        }
    }

    async fn close(self, conn: &mut PgConnection) -> Fallible<()> {
        sqlx::raw_sql(AssertSqlSafe(format!("CLOSE {}", self.name))).execute(conn).await?;
        Ok(())
    }
}

fn cell(row: &PgRow, index: usize, kind: Kind) -> Fallible<Cell> {
    let cell = match kind {
        Kind::Id => get::<Option<_>>(row, index)?.map(Cell::Id),
        Kind::At => get::<Option<_>>(row, index)?.map(Cell::At),
        Kind::Int => get::<Option<_>>(row, index)?.map(Cell::Int),
        Kind::Flag => get::<Option<_>>(row, index)?.map(Cell::Flag),
        Kind::Text | Kind::Json => get::<Option<_>>(row, index)?.map(Cell::Text),
        Kind::Bytes => get::<Option<_>>(row, index)?.map(Cell::Bytes),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
