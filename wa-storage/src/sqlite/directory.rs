//! The room of tenants.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{Entitlement, TagKey, Tenant, TenantId, TenantName, TenantSettings, micros};
use wa_core::port::store::{Directory, StoreError, StoreIdentity};
use wa_core::port::{AdminScope, Scope};

use super::codec::{at, id, opt_json, parsed, to_json};
use super::error::{Fallible, Fault};
use super::outbox::doubt;
use super::prices;
use super::writer::Tx;
use super::{Durability, SqliteStore, page_size};

#[async_trait]
impl Directory for SqliteStore {
    async fn identity(
        &self,
        _scope: &AdminScope,
        fresh: &StoreIdentity,
    ) -> Result<StoreIdentity, StoreError> {
        let fresh = fresh.clone();
        self.write(Durability::Full, move |tx| identity(tx, &fresh)).await
    }

    async fn ensure_tenant(
        &self,
        _scope: &AdminScope,
        name: &TenantName,
        fresh: TenantId,
    ) -> Result<Tenant, StoreError> {
        let name = name.clone();
        self.write(Durability::Full, move |tx| ensure_tenant(tx, &name, fresh)).await
    }

    async fn tenants(
        &self,
        _scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        self.read(move |snapshot| {
            let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT id, name, created_at FROM tenant WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let tenants = statement.query_map(params![after, page_size(limit)], tenant)?;
            Ok(tenants.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn tenant(&self, scope: &Scope) -> Result<Option<Tenant>, StoreError> {
        let wanted = scope.tenant();
        self.read(move |snapshot| {
            let found = snapshot
                .conn
                .prepare_cached("SELECT id, name, created_at FROM tenant WHERE id = ?1")?
                .query_row(params![wanted.as_bytes()], tenant)
                .optional()?;
            Ok(found)
        })
        .await
    }

    async fn settings(&self, scope: &Scope) -> Result<Option<TenantSettings>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| settings_of(snapshot.conn, tenant)).await
    }

    async fn put_settings(&self, scope: &Scope, settings: &TenantSettings) -> Result<bool, StoreError> {
        let (tenant, settings) = (scope.tenant(), settings.clone());
        self.write(Durability::Full, move |tx| {
            let known = settings_of(tx.conn, tenant)?.unwrap_or_default();
            let changed = tx
                .conn
                .prepare_cached("UPDATE tenant SET settings = ?2 WHERE id = ?1")?
                .execute(params![tenant.as_bytes(), to_json(&settings)?])?;
            if changed > 0 {
                prices::keep(tx, tenant, settings.prices.as_ref())?;
                if known.in_doubt != settings.in_doubt {
                    doubt::look_anew(tx, tenant)?;
                }
            }
            Ok(changed > 0)
        })
        .await
    }
}

fn identity(tx: &Tx<'_>, fresh: &StoreIdentity) -> Fallible<StoreIdentity> {
    let StoreIdentity { instance, incarnation, tag_key } = fresh;
    tx.conn
        .prepare_cached(
            "INSERT OR IGNORE INTO identity (one, instance, incarnation, tag_key) VALUES (1, ?1, ?2, ?3)",
        )?
        .execute(params![instance.as_bytes(), incarnation.as_bytes(), tag_key.expose()])?;
    let kept = tx
        .conn
        .prepare_cached("SELECT instance, incarnation, tag_key FROM identity WHERE one = 1")?
        .query_row([], |row| {
        Ok(StoreIdentity {
            instance: id(row, 0)?,
            incarnation: id(row, 1)?,
            tag_key: TagKey::new(row.get(2)?),
        })
    })?;
    Ok(kept)
}

fn ensure_tenant(tx: &Tx<'_>, name: &TenantName, fresh: TenantId) -> Fallible<Tenant> {
    tx.conn
        .prepare_cached(
            "INSERT INTO tenant (id, name, created_at) SELECT ?1, ?2, ?3 \
             WHERE NOT EXISTS (SELECT 1 FROM arrival WHERE tenant = ?1) ON CONFLICT (name) DO NOTHING",
        )?
        .execute(params![fresh.as_bytes(), name.as_str(), micros(tx.now)])?;
    let kept = tx
        .conn
        .prepare_cached("SELECT id, name, created_at FROM tenant WHERE name = ?1")?
        .query_row([name.as_str()], tenant)
        .optional()?;
    kept.ok_or(Fault::Broken("the id of the tenant belongs to another one"))
}

fn tenant(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    Ok(Tenant { id: id(row, 0)?, name: parsed(row, 1)?, created_at: at(row, 2)? })
}

/// What a tenant set; the defaults until then; `None` for an unknown tenant.
pub(super) fn settings_of(conn: &Connection, tenant: TenantId) -> Fallible<Option<TenantSettings>> {
    Ok(tenant_rules(conn, tenant)?.map(|(settings, _)| settings))
}

/// What a tenant set and what billing allows it.
pub(super) fn tenant_rules(
    conn: &Connection,
    tenant: TenantId,
) -> Fallible<Option<(TenantSettings, Entitlement)>> {
    let found = conn
        .prepare_cached("SELECT settings, entitlement FROM tenant WHERE id = ?1")?
        .query_row(params![tenant.as_bytes()], |row| {
            let settings = opt_json(row, 0)?.unwrap_or_default();
            Ok((settings, opt_json(row, 1)?.unwrap_or_else(Entitlement::unlimited)))
        })
        .optional()?;
    Ok(found)
}
