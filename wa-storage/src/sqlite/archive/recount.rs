//! Counts every tenant anew, in one snapshot.

use rusqlite::Connection;
use wa_core::model::{Finding, TenantId};

use super::export::{books, rows, stream};
use crate::common::recount::{KEPT, Recount, WRITTEN, messages};
use crate::sqlite::codec::id;
use crate::sqlite::error::Fallible;

/// Visits what does not follow from records, tenant by tenant.
pub(super) fn recount(conn: &Connection, mut visit: impl FnMut(Finding)) -> Fallible<()> {
    let tenants = conn
        .prepare("SELECT id FROM tenant ORDER BY id")?
        .query_map([], |row| id(row, 0))?
        .collect::<rusqlite::Result<Vec<TenantId>>>()?;
    for tenant in tenants {
        let mut recount = Recount::new(tenant, books(conn, tenant)?)?;
        if let Some(source) = messages() {
            stream(conn, tenant, source, |row| {
                recount.message(row);
                Ok(())
            })?;
        }
        rows(conn, tenant, &WRITTEN, |row| Ok(recount.written(row)?))?;
        let mut numbers = recount.numbers();
        for table in KEPT {
            rows(conn, tenant, &table.query, |row| Ok(numbers.kept(table, row)?))?;
        }
        numbers.findings().for_each(&mut visit);
    }
    Ok(())
}
