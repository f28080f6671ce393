//! What an export begins with and goes to, and the steps of an import.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::record::{Record, RecordKind};
use crate::model::{Fingerprint, IncarnationId, Tenant, TenantId, TenantName};
use crate::port::store::StoreError;

/// What an export begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveHead {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: TenantName,
    /// The instant that it is of, by the store's clock.
    pub taken_at: DateTime<Utc>,
    /// The life of the store that it was taken from; `None` where it never had one.
    pub incarnation: Option<IncarnationId>,
}

/// Where an export goes.
#[async_trait]
pub trait RecordSink: Send {
    /// Takes what the export begins with. Called once, first.
    ///
    /// # Errors
    /// When it cannot go on; the export ends with this error.
    async fn head(&mut self, head: &ArchiveHead) -> Result<(), StoreError>;

    /// Takes the next records: at least one, at most 1,000.
    ///
    /// # Errors
    /// When it cannot go on; the export ends with this error.
    async fn take(&mut self, records: Vec<Record>) -> Result<(), StoreError>;
}

/// The most records that a page of an export holds.
pub(crate) const PAGE: usize = 1_000;

/// The next records of an export on their way into a store.
#[derive(Debug, Clone)]
pub struct ImportTenant {
    /// What the export begins with.
    pub head: ArchiveHead,
    /// How many records came before.
    pub from_record: u64,
    /// What tells these apart from others: the same as [`after`](Self::after) of the chunk before, and for the
    /// first chunk the same whenever the export is imported.
    pub before: Fingerprint,
    /// The records, in their order.
    pub records: Vec<Record>,
    /// What tells all records up to here apart from others.
    pub after: Fingerprint,
    /// Whether these are the last ones.
    pub last: bool,
}

/// What became of a chunk of an import.
///
/// Exhaustive on purpose: an importer must decide each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportTenantStep {
    /// It was taken in; there are so many records now.
    Taken(u64),
    /// It was the last one: the tenant is there, and held.
    Imported(Tenant),
    /// It does not follow: the import stands here.
    Elsewhere {
        /// How many records were taken in.
        records: u64,
        /// What tells them apart from others.
        mark: Fingerprint,
    },
    /// The import is being thrown away.
    Discarding,
    /// The store has a tenant of this id.
    IdTaken,
    /// Another tenant of the store, there or on its way, has this name.
    NameTaken,
    /// A record names something that did not come before it.
    Missing {
        /// How many records come before that record.
        record: u64,
        /// What it names.
        what: RecordKind,
    },
}

/// An import that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedImport {
    /// The tenant.
    pub tenant: TenantId,
    /// The name that it will have.
    pub name: TenantName,
    /// How many records were taken in.
    pub records: u64,
}

/// An imported tenant that nobody has let go on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// When its import was finished.
    pub since: DateTime<Utc>,
}
