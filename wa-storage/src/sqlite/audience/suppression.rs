//! Addresses that a tenant never writes to.

use rusqlite::params;
use wa_core::model::{Recipient, TenantId, micros};
use wa_core::port::store::SuppressedAddress;

use crate::sqlite::codec::{at, named};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::Fallible;
use crate::sqlite::page_size;
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

pub(super) fn suppress(tx: &Tx<'_>, tenant: TenantId, who: &[Recipient]) -> Fallible<Option<u64>> {
    if settings_of(tx.conn, tenant)?.is_none() {
        return Ok(None);
    }
    let mut statement = tx
        .conn
        .prepare_cached("INSERT OR IGNORE INTO suppressed (tenant, address, at) VALUES (?1, ?2, ?3)")?;
    let mut new = 0;
    for address in who.iter().flat_map(Recipient::addresses) {
        new += statement.execute(params![tenant.as_bytes(), address, micros(tx.now)])?;
    }
    Ok(u64::try_from(new).ok())
}

pub(super) fn unsuppress(tx: &Tx<'_>, tenant: TenantId, who: &[Recipient]) -> Fallible<u64> {
    let mut statement =
        tx.conn.prepare_cached("DELETE FROM suppressed WHERE tenant = ?1 AND address = ?2")?;
    let mut taken_off = 0;
    for address in who.iter().flat_map(Recipient::addresses) {
        taken_off += statement.execute(params![tenant.as_bytes(), address])?;
    }
    Ok(u64::try_from(taken_off).unwrap_or(u64::MAX))
}

pub(super) fn page(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    after: Option<&Recipient>,
    limit: u32,
) -> Fallible<Vec<SuppressedAddress>> {
    let after = after.and_then(|after| after.addresses().next()).unwrap_or_default();
    let mut statement = snapshot.conn.prepare_cached(
        "SELECT address, at FROM suppressed WHERE tenant = ?1 AND address > ?2 ORDER BY address LIMIT ?3",
    )?;
    let rows = statement.query_map(params![tenant.as_bytes(), after, page_size(limit)], |row| {
        let address = named(row, 0, |text| Recipient::from_address(text).ok())?;
        Ok(SuppressedAddress { address, at: at(row, 1)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
