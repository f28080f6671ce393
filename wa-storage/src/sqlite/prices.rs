//! Price books by version: what an attempt was begun with, it is settled by.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{PriceBook, Recipient, TenantId};
use wa_core::rules::price::{Booking, booking};

use super::codec::{json, to_json};
use super::error::{Fallible, Fault};
use super::message::Attempt;
use super::writer::Tx;
pub(super) use crate::common::prices::sold;

pub(super) const BOOK_BY_ID: &str = "SELECT body FROM price_book WHERE id = ?1";

/// Keeps a tenant's prices as its present version; the same ones stay the same version.
pub(super) fn keep(tx: &Tx<'_>, tenant: TenantId, prices: Option<&PriceBook>) -> Fallible<()> {
    let known: Option<String> = tx
        .conn
        .prepare_cached("SELECT b.body FROM tenant t JOIN price_book b ON b.id = t.book WHERE t.id = ?1")?
        .query_row(params![tenant.as_bytes()], |row| row.get(0))
        .optional()?;
    let body = prices.map(to_json).transpose()?;
    if body == known {
        return Ok(());
    }
    let id = match body {
        Some(body) => {
            tx.conn
                .prepare_cached("INSERT INTO price_book (tenant, body) VALUES (?1, ?2)")?
                .execute(params![tenant.as_bytes(), body])?;
            Some(tx.conn.last_insert_rowid())
        }
        None => None,
    };
    tx.conn
        .prepare_cached("UPDATE tenant SET book = ?2 WHERE id = ?1")?
        .execute(params![tenant.as_bytes(), id])?;
    Ok(())
}

/// Makes the version that holds these prices the tenant's present one.
pub(super) fn keep_known(tx: &Tx<'_>, tenant: TenantId, prices: Option<&PriceBook>) -> Fallible<()> {
    let mut statement = tx.conn.prepare_cached("SELECT id, body FROM price_book WHERE tenant = ?1")?;
    let versions = statement.query_map(params![tenant.as_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, json::<PriceBook>(row, 1)?))
    })?;
    let versions = versions.collect::<rusqlite::Result<Vec<_>>>()?;
    match versions.into_iter().find(|(_, book)| Some(book) == prices) {
        Some((id, _)) => {
            tx.conn
                .prepare_cached("UPDATE tenant SET book = ?2 WHERE id = ?1")?
                .execute(params![tenant.as_bytes(), id])?;
            Ok(())
        }
        None => keep(tx, tenant, prices),
    }
}

/// The version of a tenant's present prices.
pub(super) fn present(conn: &Connection, tenant: TenantId) -> Fallible<Option<i64>> {
    let found = conn
        .prepare_cached("SELECT book FROM tenant WHERE id = ?1")?
        .query_row(params![tenant.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// The versions that a call has read.
#[derive(Debug, Default)]
pub(super) struct Books(HashMap<i64, Arc<PriceBook>>);

impl Books {
    pub(super) fn get(&mut self, conn: &Connection, id: Option<i64>) -> Fallible<Option<Arc<PriceBook>>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(known) = self.0.get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let book = conn
            .prepare_cached(BOOK_BY_ID)?
            .query_row([id], |row| json(row, 0))
            .optional()?
            .ok_or(Fault::Broken("the prices of an attempt are not there"))?;
        Ok(Some(Arc::clone(self.0.entry(id).or_insert(Arc::new(book)))))
    }

    /// How an attempt stands in the totals.
    pub(super) fn booking(
        &mut self,
        conn: &Connection,
        recipient: &Recipient,
        attempt: &Attempt,
    ) -> Fallible<Option<Booking>> {
        let book = self.get(conn, attempt.book)?;
        Ok(booking(&sold(attempt, recipient, book.as_deref())))
    }
}
