//! The contacts of a tenant.

use std::io::{Read, Seek};

use super::error::KitError;
use super::import::{CsvContacts, CsvMapping, CsvProblem, source_fingerprint};
use super::tenant::TenantHandle;
use crate::model::{
    Consent, ConsentSource, Contact, ContactAttributes, ContactId, Fingerprint, ImportId, ImportProgress,
    ImportRow, ListName, Recipient, SessionId,
};
use crate::port::store::{
    ImportChunk, ImportStep, ReportedLine, StartImport, SuppressedAddress, UpsertContact, WindowEntry,
    WindowFilter, WindowKey, WindowView,
};

/// Rows taken in with one commit.
const CHUNK: usize = 1_000;

/// Addresses put on the suppression list with one commit.
const SUPPRESSED: usize = 10_000;

/// The contacts and lists of one tenant.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::Kit, testing::ScriptedTransport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock);
/// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
/// use std::io::Cursor;
/// use wa_core::service::import::CsvMapping;
///
/// let tenant = kit.tenants().ensure("acme").await?;
/// let file = Cursor::new("phone,name,opted_out\n0151 12345678,Ada,\n+49 151 12345678,Ada again,\nsoon,Bob,\n");
/// let mapping = CsvMapping { region: Some("DE".parse()?), ..CsvMapping::default() };
/// let list = "news".parse()?;
/// let import = tenant.contacts().import_csv(&list, file, &mapping, |_| {}).await?;
/// assert_eq!((import.added, import.duplicates, import.invalid), (1, 1, 1));
/// let report = tenant.contacts().import_report(import.id, 0, 10).await?;
/// assert_eq!(report[1].line, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Contacts<'a> {
    tenant: &'a TenantHandle,
}

impl<'a> Contacts<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// Takes a CSV file into a list, in chunks, each with one commit.
    ///
    /// The same file with the same mapping goes on where it stopped, whatever stopped it. `progress`
    /// is called after each chunk. Memory is bounded; reading and parsing happen on the calling task.
    ///
    /// # Errors
    /// When the file cannot be read with this mapping, there is no such tenant, the same import runs
    /// elsewhere, or the store fails. What came before a line that cannot be read on is kept.
    pub async fn import_csv(
        self,
        list: &ListName,
        mut file: impl Read + Seek + Send,
        mapping: &CsvMapping,
        progress: impl FnMut(&ImportProgress) + Send,
    ) -> Result<ImportProgress, KitError> {
        let unreadable = |error| KitError::Import(CsvProblem::Io(error));
        let source = source_fingerprint(&mut file, mapping).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let ports = &self.tenant.kit.inner.ports;
        let mint = || ContactId::mint(ports.clock.now(), ports.draw());
        let rows = CsvContacts::new(file, mapping, mint)?;
        self.import(list, source, rows, progress).await
    }

    /// Takes rows of any source into a list, as [`import_csv`](Self::import_csv) does.
    ///
    /// `source` is the digest by which the import is known again; `rows` starts at the beginning
    /// each time.
    ///
    /// # Errors
    /// As [`import_csv`](Self::import_csv).
    pub async fn import(
        self,
        list: &ListName,
        source: Fingerprint,
        rows: impl Iterator<Item = Result<ImportRow, CsvProblem>> + Send,
        mut progress: impl FnMut(&ImportProgress) + Send,
    ) -> Result<ImportProgress, KitError> {
        let ports = &self.tenant.kit.inner.ports;
        let audience = ports.store.audience();
        let id = ImportId::mint(ports.clock.now(), ports.draw());
        let start = StartImport { id, list: list.clone(), source };
        let started = audience.start_import(&self.tenant.scope, &start).await?;
        let mut at = started.ok_or(KitError::NoTenant)?;
        let mut rows = rows.skip(usize::try_from(at.records).unwrap_or(usize::MAX)).peekable();
        while !at.finished {
            let mut chunk = Vec::with_capacity(CHUNK);
            let mut broken = None;
            while chunk.len() < CHUNK {
                match rows.next() {
                    Some(Ok(row)) => chunk.push(row),
                    Some(Err(problem)) => {
                        broken = Some(problem);
                        break;
                    }
                    None => break,
                }
            }
            let last = broken.is_none() && rows.peek().is_none();
            let chunk = ImportChunk { import: at.id, from_record: at.records, rows: chunk, last };
            at = match audience.import(&self.tenant.scope, &chunk).await? {
                ImportStep::Applied(applied) => applied,
                ImportStep::Elsewhere(_) | ImportStep::Missing => return Err(KitError::ImportElsewhere),
            };
            progress(&at);
            if let Some(problem) = broken {
                return Err(problem.into());
            }
        }
        Ok(at)
    }

    /// What went into a list, and how far it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn imports(self, list: &ListName) -> Result<Vec<ImportProgress>, KitError> {
        Ok(self.tenant.kit.store().audience().imports(&self.tenant.scope, list).await?)
    }

    /// The lines of an import that were duplicates or invalid, in the order of the file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn import_report(
        self,
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
        self,
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
    pub async fn get(self, id: ContactId) -> Result<Contact, KitError> {
        let found = self.tenant.kit.store().audience().contact(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoContact)
    }

    /// The contact with one of these addresses.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(self, who: &Recipient) -> Result<Option<Contact>, KitError> {
        Ok(self.tenant.kit.store().audience().find_contact(&self.tenant.scope, who).await?)
    }

    /// The members of a list, or all contacts, in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        self,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Result<Vec<Contact>, KitError> {
        Ok(self.tenant.kit.store().audience().contacts(&self.tenant.scope, list, after, limit).await?)
    }

    /// The 24-hour window of a contact with a session; `None` when the contact never wrote to it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn window(
        self,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, KitError> {
        Ok(self.tenant.kit.store().inbox().window(&self.tenant.scope, session, contact).await?)
    }

    /// The windows, those that close first come first; `after` is exclusive.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{memory::MemoryStore, port::SystemClock, service::Kit, testing::ScriptedTransport};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let clock = Arc::new(SystemClock);
    /// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    /// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
    /// use wa_core::port::store::WindowFilter;
    /// let tenant = kit.tenants().ensure("acme").await?;
    /// let open = WindowFilter { open_only: true, ..WindowFilter::default() };
    /// let mut after = None;
    /// loop {
    ///     let page = tenant.contacts().windows(&open, after, 500).await?;
    ///     let Some(last) = page.last() else { break };
    ///     after = Some(last.key());
    ///     for entry in &page {
    ///         println!("{} {} min", entry.contact, entry.window.remaining.num_minutes());
    ///     }
    /// }
    /// assert_eq!(after, None); // nobody has written yet
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub async fn windows(
        self,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, KitError> {
        Ok(self.tenant.kit.store().inbox().windows(&self.tenant.scope, filter, after, limit).await?)
    }

    /// Changes whether a contact may be written to; it binds every message that begins afterwards.
    ///
    /// # Errors
    /// When the tenant has no such contact or the store fails.
    pub async fn set_consent(self, contact: ContactId, consent: Consent) -> Result<Contact, KitError> {
        let audience = self.tenant.kit.store().audience();
        let changed =
            audience.set_consent(&self.tenant.scope, contact, consent, ConsentSource::Caller).await?;
        self.tenant.kit.inner.journal.raise();
        changed.ok_or(KitError::NoContact)
    }

    /// Puts addresses on the suppression list: they are never written to, contact or not. How many are new.
    ///
    /// Any number; they are taken in 10,000 at a time, each with one commit. Safe to repeat.
    ///
    /// # Errors
    /// When there is no such tenant or the store fails; what came before is kept.
    pub async fn suppress(self, who: impl IntoIterator<Item = Recipient>) -> Result<u64, KitError> {
        let audience = self.tenant.kit.store().audience();
        let (mut who, mut new) = (who.into_iter().peekable(), 0);
        while who.peek().is_some() {
            let chunk: Vec<_> = who.by_ref().take(SUPPRESSED).collect();
            new += audience.suppress(&self.tenant.scope, &chunk).await?.ok_or(KitError::NoTenant)?;
        }
        Ok(new)
    }

    /// Takes addresses off the suppression list; how many were on it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unsuppress(self, who: &[Recipient]) -> Result<u64, KitError> {
        Ok(self.tenant.kit.store().audience().unsuppress(&self.tenant.scope, who).await?)
    }

    /// The suppression list, one entry per address; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn suppressed(
        self,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<SuppressedAddress>, KitError> {
        Ok(self.tenant.kit.store().audience().suppressed(&self.tenant.scope, after, limit).await?)
    }
}
