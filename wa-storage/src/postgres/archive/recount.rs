//! Counts every tenant anew, in one snapshot.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{Finding, TenantId};

use super::export::{Rows, books};
use crate::common::recount::{KEPT, Recount, WRITTEN, messages};
use crate::postgres::codec::id;
use crate::postgres::error::Fallible;

/// Visits what does not follow from records, tenant by tenant.
pub(super) async fn recount(conn: &mut PgConnection, mut visit: impl FnMut(Finding)) -> Fallible<()> {
    let tenants: Vec<TenantId> = sqlx::query("SELECT id FROM tenant ORDER BY id")
        .try_map(|row: PgRow| id(&row, 0))
        .fetch_all(&mut *conn)
        .await?;
    for tenant in tenants {
        let mut recount = Recount::new(tenant, books(conn, tenant).await?)?;
        if let Some(source) = messages() {
            let mut rows = Rows::open(conn, tenant, &source.root, source.children).await?;
            while let Some(row) = rows.next(conn).await? {
                recount.message(row);
            }
            rows.close(conn).await?;
        }
        let mut rows = Rows::open(conn, tenant, &WRITTEN, &[]).await?;
        while let Some(row) = rows.next(conn).await? {
            recount.written(row)?;
        }
        rows.close(conn).await?;
        let mut numbers = recount.numbers();
        for table in KEPT {
            let mut rows = Rows::open(conn, tenant, &table.query, &[]).await?;
            while let Some(row) = rows.next(conn).await? {
                numbers.kept(table, row)?;
            }
            rows.close(conn).await?;
        }
        numbers.findings().for_each(&mut visit);
    }
    Ok(())
}
