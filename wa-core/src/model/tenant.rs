//! Tenants.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::TenantId;
use super::value::{is_label, text_value};

/// A tenant's name, unique per store: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: TenantName,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

text_value!(TenantName, "a tenant name", "1 to 200 characters without control characters", is_label);
