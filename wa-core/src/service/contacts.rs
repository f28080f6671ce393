//! The contacts of a tenant.

use super::error::KitError;
use super::tenant::TenantHandle;
use crate::model::{
    Consent, ConsentSource, Contact, ContactAttributes, ContactId, Fingerprint, ImportId, ImportProgress,
    ImportRow, ListName, Recipient,
};
use crate::port::store::{ImportChunk, ImportStep, ReportedLine, StartImport, UpsertContact};

/// Rows taken in with one commit.
const CHUNK: usize = 1_000;

/// The contacts and lists of one tenant.
#[derive(Debug)]
pub struct Contacts<'a> {
    tenant: &'a TenantHandle,
}

impl<'a> Contacts<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// Takes the rows of a file into a list, in chunks, each with one commit.
    ///
    /// `source` is the digest of the file and its mapping. The same source into the same list goes
    /// on where it stopped, whatever stopped it; `rows` starts at the beginning of the file each
    /// time. `progress` is called after each chunk. Reading and parsing happen on the calling task.
    ///
    /// # Errors
    /// When there is no such tenant, the same import runs elsewhere, or the store fails.
    pub async fn import(
        &self,
        list: &ListName,
        source: Fingerprint,
        rows: impl Iterator<Item = ImportRow> + Send,
        mut progress: impl FnMut(&ImportProgress) + Send,
    ) -> Result<ImportProgress, KitError> {
        let ports = &self.tenant.kit.inner.ports;
        let audience = ports.store.audience();
        let start =
            StartImport { id: ImportId::mint(ports.clock.now(), ports.draw()), list: list.clone(), source };
        let started = audience.start_import(&self.tenant.scope, &start).await?;
        let mut at = started.ok_or(KitError::NoTenant)?;
        let mut rows = rows.skip(usize::try_from(at.records).unwrap_or(usize::MAX)).peekable();
        while !at.finished {
            let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
            let last = rows.peek().is_none();
            let chunk = ImportChunk { import: at.id, from_record: at.records, rows: chunk, last };
            at = match audience.import(&self.tenant.scope, &chunk).await? {
                ImportStep::Applied(applied) => applied,
                ImportStep::Elsewhere(_) | ImportStep::Missing => return Err(KitError::ImportElsewhere),
            };
            progress(&at);
        }
        Ok(at)
    }

    /// What went into a list, and how far it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn imports(&self, list: &ListName) -> Result<Vec<ImportProgress>, KitError> {
        Ok(self.tenant.kit.store().audience().imports(&self.tenant.scope, list).await?)
    }

    /// The lines of an import that were duplicates or invalid, in the order of the file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn import_report(
        &self,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Result<Vec<ReportedLine>, KitError> {
        let audience = self.tenant.kit.store().audience();
        Ok(audience.import_report(&self.tenant.scope, import, after_line, limit).await?)
    }

    /// Creates a contact or brings it up to date, and puts it on a list if one is named.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails.
    pub async fn upsert(
        &self,
        recipient: Recipient,
        attributes: ContactAttributes,
        list: Option<ListName>,
    ) -> Result<Contact, KitError> {
        let ports = &self.tenant.kit.inner.ports;
        let id = ContactId::mint(ports.clock.now(), ports.draw());
        let contact = UpsertContact { id, recipient, attributes, list };
        let stored = ports.store.audience().upsert_contact(&self.tenant.scope, &contact).await?;
        stored.ok_or(KitError::NoTenant)
    }

    /// One contact.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn get(&self, id: ContactId) -> Result<Contact, KitError> {
        let found = self.tenant.kit.store().audience().contact(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoContact)
    }

    /// The contact with one of these addresses.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, who: &Recipient) -> Result<Option<Contact>, KitError> {
        Ok(self.tenant.kit.store().audience().find_contact(&self.tenant.scope, who).await?)
    }

    /// The members of a list, or all contacts, in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Result<Vec<Contact>, KitError> {
        Ok(self.tenant.kit.store().audience().contacts(&self.tenant.scope, list, after, limit).await?)
    }

    /// Changes whether a contact may be written to; it binds every message that begins afterwards.
    ///
    /// # Errors
    /// When the tenant has no such contact or the store fails.
    pub async fn set_consent(&self, contact: ContactId, consent: Consent) -> Result<Contact, KitError> {
        let audience = self.tenant.kit.store().audience();
        let changed =
            audience.set_consent(&self.tenant.scope, contact, consent, ConsentSource::Caller).await?;
        self.tenant.kit.inner.journal.raise();
        changed.ok_or(KitError::NoContact)
    }
}
