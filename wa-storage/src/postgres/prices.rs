//! Price books by version: what an attempt was begun with, it is settled by.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{PriceBook, Recipient, TenantId};
use wa_core::rules::price::{Booking, booking};

use super::codec::{get, json, to_json};
use super::error::{Fallible, Fault};
use super::tx::Tx;
use crate::common::message::Attempt;
pub(super) use crate::common::prices::sold;

const BOOK_BY_ID: &str = "SELECT body FROM price_book WHERE id = $1";

/// Keeps a tenant's prices as its present version; the same ones stay the same version.
pub(super) async fn keep(tx: &mut Tx, tenant: TenantId, prices: Option<&PriceBook>) -> Fallible<()> {
    let known: Option<String> = sqlx::query_scalar(
        "SELECT b.body FROM tenant t JOIN price_book b ON b.id = t.book AND b.tenant = t.id WHERE t.id = $1",
    )
    .bind(tenant.as_uuid())
    .fetch_optional(tx.conn())
    .await?;
    let body = prices.map(to_json).transpose()?;
    if body == known {
        return Ok(());
    }
    let id: Option<i64> = match body {
        Some(body) => {
            let insert = "INSERT INTO price_book (tenant, body) VALUES ($1, $2) RETURNING id";
            let id = sqlx::query_scalar(insert).bind(tenant.as_uuid()).bind(body);
            Some(id.fetch_one(tx.conn()).await?)
        }
        None => None,
    };
    sqlx::query("UPDATE tenant SET book = $2 WHERE id = $1")
        .bind(tenant.as_uuid())
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Makes the version that holds these prices the tenant's present one.
pub(super) async fn keep_known(tx: &mut Tx, tenant: TenantId, prices: Option<&PriceBook>) -> Fallible<()> {
    let versions: Vec<(i64, PriceBook)> = sqlx::query("SELECT id, body FROM price_book WHERE tenant = $1")
        .bind(tenant.as_uuid())
        .try_map(|row: PgRow| Ok((get(&row, 0)?, json(&row, 1)?)))
        .fetch_all(tx.conn())
        .await?;
    match versions.into_iter().find(|(_, book)| Some(book) == prices) {
        Some((id, _)) => {
            sqlx::query("UPDATE tenant SET book = $2 WHERE id = $1")
                .bind(tenant.as_uuid())
                .bind(id)
                .execute(tx.conn())
                .await?;
            Ok(())
        }
        None => keep(tx, tenant, prices).await,
    }
}

/// The versions that a call has read.
#[derive(Debug, Default)]
pub(super) struct Books(HashMap<i64, Arc<PriceBook>>);

impl Books {
    pub(super) async fn get(
        &mut self,
        conn: &mut PgConnection,
        id: Option<i64>,
    ) -> Fallible<Option<Arc<PriceBook>>> {
        let Some(id) = id else { return Ok(None) };
        let slot = match self.0.entry(id) {
            Entry::Occupied(known) => return Ok(Some(Arc::clone(known.get()))),
            Entry::Vacant(slot) => slot,
        };
        let book = sqlx::query(BOOK_BY_ID)
            .bind(id)
            .try_map(|row: PgRow| json(&row, 0))
            .fetch_optional(conn)
            .await?
            .ok_or(Fault::Broken("the prices of an attempt are not there"))?;
        Ok(Some(Arc::clone(slot.insert(Arc::new(book)))))
    }

    /// How an attempt stands in the totals.
    pub(super) async fn booking(
        &mut self,
        conn: &mut PgConnection,
        recipient: &Recipient,
        attempt: &Attempt,
    ) -> Fallible<Option<Booking>> {
        let book = self.get(conn, attempt.book).await?;
        Ok(booking(&sold(attempt, recipient, book.as_deref())))
    }
}
