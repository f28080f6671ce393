//! The room of tenants.
//!
//! Invariant: names that are unique across tenants are given under the lock of the directory, so that two
//! programs that start at once agree on them.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{Entitlement, TagKey, Tenant, TenantId, TenantName, TenantSettings};
use wa_core::port::store::{Directory, News, StoreError, StoreIdentity};
use wa_core::port::{AdminScope, Scope};

use super::codec::{at, get, id, opt_json, parsed, to_json, undecodable};
use super::error::{Fallible, Fault};
use super::outbox::doubt;
use super::tx::{Access, Locks, Tx};
use super::{PostgresStore, page_size, prices};

#[async_trait]
impl Directory for PostgresStore {
    async fn identity(
        &self,
        _scope: &AdminScope,
        fresh: &StoreIdentity,
    ) -> Result<StoreIdentity, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::directory(&self.shared)).await?;
        let kept = identity(tx.conn(), fresh).await;
        tx.end(kept).await
    }

    async fn ensure_tenant(
        &self,
        _scope: &AdminScope,
        name: &TenantName,
        fresh: TenantId,
    ) -> Result<Tenant, StoreError> {
        let mut tx = self.write(Access::Engine, Locks::directory(&self.shared)).await?;
        let kept = ensure_tenant(&mut tx, name, fresh).await;
        tx.end(kept).await
    }

    async fn tenants(
        &self,
        _scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = page(tx.conn(), after, limit).await;
        tx.close(found).await
    }

    async fn tenant(&self, scope: &Scope) -> Result<Option<Tenant>, StoreError> {
        let wanted = scope.tenant();
        let mut tx = self.read(Access::Tenant(wanted)).await?;
        let found = by_id(tx.conn(), wanted).await;
        tx.close(found).await
    }

    async fn settings(&self, scope: &Scope) -> Result<Option<TenantSettings>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = settings_of(tx.conn(), tenant).await;
        tx.close(found).await
    }

    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Result<bool, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let put = put_settings(&mut tx, tenant, settings).await;
        tx.end_telling(put, News::Work).await
    }
}

async fn identity(conn: &mut PgConnection, fresh: &StoreIdentity) -> Fallible<StoreIdentity> {
    let StoreIdentity { instance, incarnation, tag_key } = fresh;
    sqlx::query(
        "INSERT INTO identity (one, instance, incarnation, tag_key) VALUES (1, $1, $2, $3) \
         ON CONFLICT (one) DO NOTHING",
    )
    .bind(instance.as_uuid())
    .bind(incarnation.as_uuid())
    .bind(tag_key.expose().as_slice())
    .execute(&mut *conn)
    .await?;
    let kept = sqlx::query("SELECT instance, incarnation, tag_key FROM identity WHERE one = 1")
        .try_map(|row: PgRow| {
            let key: &[u8] = get(&row, 2)?;
            Ok(StoreIdentity {
                instance: id(&row, 0)?,
                incarnation: id(&row, 1)?,
                tag_key: TagKey::new(key.try_into().map_err(|_| undecodable(2))?),
            })
        })
        .fetch_one(conn)
        .await?;
    Ok(kept)
}

async fn ensure_tenant(tx: &mut Tx, name: &TenantName, fresh: TenantId) -> Fallible<Tenant> {
    let now = tx.now;
    sqlx::query(
        "INSERT INTO tenant (id, name, created_at) SELECT $1, $2, $3 \
         WHERE NOT EXISTS (SELECT 1 FROM arrival WHERE tenant = $1) ON CONFLICT (name) DO NOTHING",
    )
    .bind(fresh.as_uuid())
    .bind(name.as_str())
    .bind(now)
    .execute(tx.conn())
    .await?;
    let kept = sqlx::query("SELECT id, name, created_at FROM tenant WHERE name = $1")
        .bind(name.as_str())
        .try_map(|row: PgRow| tenant(&row))
        .fetch_optional(tx.conn())
        .await?;
    kept.ok_or(Fault::Broken("the id of the tenant belongs to another one"))
}

async fn page(conn: &mut PgConnection, after: Option<TenantId>, limit: u32) -> Fallible<Vec<Tenant>> {
    let found = sqlx::query("SELECT id, name, created_at FROM tenant WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
        .bind(page_size(limit))
        .try_map(|row: PgRow| tenant(&row))
        .fetch_all(conn)
        .await?;
    Ok(found)
}

async fn by_id(conn: &mut PgConnection, wanted: TenantId) -> Fallible<Option<Tenant>> {
    let found = sqlx::query("SELECT id, name, created_at FROM tenant WHERE id = $1")
        .bind(wanted.as_uuid())
        .try_map(|row: PgRow| tenant(&row))
        .fetch_optional(conn)
        .await?;
    Ok(found)
}

async fn put_settings(tx: &mut Tx, tenant: TenantId, settings: &TenantSettings) -> Fallible<bool> {
    let known = settings_of(tx.conn(), tenant).await?.unwrap_or_default();
    let changed = sqlx::query("UPDATE tenant SET settings = $2 WHERE id = $1")
        .bind(tenant.as_uuid())
        .bind(to_json(settings)?)
        .execute(tx.conn())
        .await?
        .rows_affected();
    if changed > 0 {
        prices::keep(tx, tenant, settings.prices.as_ref()).await?;
        if known.in_doubt != settings.in_doubt {
            doubt::look_anew(tx, tenant).await?;
        }
    }
    Ok(changed > 0)
}

fn tenant(row: &PgRow) -> Result<Tenant, Error> {
    Ok(Tenant { id: id(row, 0)?, name: parsed(row, 1)?, created_at: at(row, 2)? })
}

/// What a tenant set; the defaults until then; `None` for an unknown tenant.
pub(super) async fn settings_of(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Fallible<Option<TenantSettings>> {
    Ok(tenant_rules(conn, tenant).await?.map(|(settings, _)| settings))
}

/// What a tenant set and what billing allows it.
pub(super) async fn tenant_rules(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Fallible<Option<(TenantSettings, Entitlement)>> {
    let found = sqlx::query("SELECT settings, entitlement FROM tenant WHERE id = $1")
        .bind(tenant.as_uuid())
        .try_map(|row: PgRow| {
            let settings = opt_json(&row, 0)?.unwrap_or_default();
            Ok((settings, opt_json(&row, 1)?.unwrap_or_else(Entitlement::unlimited)))
        })
        .fetch_optional(conn)
        .await?;
    Ok(found)
}
