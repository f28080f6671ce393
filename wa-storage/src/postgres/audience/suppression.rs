//! Addresses that a tenant never writes to.

use sqlx::PgConnection;
use wa_core::model::{Recipient, TenantId};
use wa_core::port::store::SuppressedAddress;

use crate::postgres::codec::{at, named};
use crate::postgres::directory::settings_of;
use crate::postgres::error::Fallible;
use crate::postgres::page_size;
use crate::postgres::tx::Tx;

pub(super) async fn suppress(tx: &mut Tx, tenant: TenantId, who: &[Recipient]) -> Fallible<Option<u64>> {
    if settings_of(tx.conn(), tenant).await?.is_none() {
        return Ok(None);
    }
    let now = tx.now;
    let new = sqlx::query(
        "INSERT INTO suppressed (tenant, address, at) SELECT $1, u.address, $3 \
         FROM unnest($2::text[]) AS u (address) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(addresses(who))
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(Some(new.rows_affected()))
}

pub(super) async fn unsuppress(tx: &mut Tx, tenant: TenantId, who: &[Recipient]) -> Fallible<u64> {
    let taken_off = sqlx::query("DELETE FROM suppressed WHERE tenant = $1 AND address = ANY($2)")
        .bind(tenant.as_uuid())
        .bind(addresses(who))
        .execute(tx.conn())
        .await?;
    Ok(taken_off.rows_affected())
}

fn addresses(who: &[Recipient]) -> Vec<String> {
    who.iter().flat_map(Recipient::addresses).collect()
}

pub(super) async fn page(
    conn: &mut PgConnection,
    tenant: TenantId,
    after: Option<&Recipient>,
    limit: u32,
) -> Fallible<Vec<SuppressedAddress>> {
    let after = after.and_then(|after| after.addresses().next()).unwrap_or_default();
    let rows = sqlx::query(
        "SELECT address, at FROM suppressed WHERE tenant = $1 AND address > $2 ORDER BY address LIMIT $3",
    )
    .bind(tenant.as_uuid())
    .bind(after)
    .bind(page_size(limit))
    .try_map(|row| {
        let address = named(&row, 0, |text| Recipient::from_address(text).ok())?;
        Ok(SuppressedAddress { address, at: at(&row, 1)? })
    });
    Ok(rows.fetch_all(conn).await?)
}
