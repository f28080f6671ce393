//! Brings what billing says about a tenant into the store, where begin reads it.

use super::ports::Ports;
use crate::model::Tenant;
use crate::port::Scope;
use crate::port::store::StoreError;

/// Asks billing about one tenant and stores the answer.
pub(crate) async fn entitle(ports: &Ports, tenant: &Tenant) -> Result<(), StoreError> {
    let Some(billing) = &ports.billing else { return Ok(()) };
    match billing.entitlement(tenant).await {
        Ok(entitlement) => {
            let scope = Scope::new(tenant.id);
            if ports.store.ledger().entitlement(&scope).await?.as_ref() != Some(&entitlement) {
                ports.store.ledger().set_entitlement(&scope, &entitlement).await?;
            }
        }
        // The last known answer stays in force.
        Err(error) => tracing::warn!(tenant = %tenant.id, %error, "billing did not answer"),
    }
    Ok(())
}
