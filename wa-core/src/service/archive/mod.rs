//! Tenants as files: one of them, or all of a store, into any store.

mod file;
mod problem;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Seek, SeekFrom, Write};

use self::file::{Line, Mark, Reading, Shape, Writing, verify};
pub use self::problem::ArchiveProblem;
use super::error::KitError;
use super::kit::Kit;
use crate::model::{Fingerprint, Tenant, TenantId};
use crate::port::Scope;
use crate::port::store::{ArchiveHead, HeldTenant, ImportTenant, ImportTenantStep, UnfinishedImport};

/// Records that one commit takes in.
const CHUNK: usize = 500;

/// Exports of tenants, and imports into this store: from any kind of store into any other.
///
/// An archive is a file of JSON lines: a head with the format's name and version, records of everything that was
/// said or decided about one tenant, and a checksum. Counts, costs, usage, windows and lists of failures are not
/// in it: whoever takes it in makes them anew. Nor is what belongs to an installation: leases, workers, bodies of
/// webhooks, the journal and its readers, and no secret, because a store holds none.
///
/// **An imported tenant is held**: nothing of it is sent until [`release`](Self::release), because the store that
/// it came from may still be sending. Stop it there first; then release it here. Every campaign that would go on
/// by itself is to be resumed one by one, and schedules go on with their next slot. Attempts that were under way
/// come into doubt here, and the webhooks about them still count.
///
/// ```
/// # use std::{io::Cursor, sync::Arc};
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, KitError, ArchiveProblem}};
/// # use wa_core::model::{ContactAttributes, Phone};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let here = Kit::builder(Arc::new(MemoryStore::new(Arc::new(SystemClock)))).build().await?;
/// # let there = Kit::builder(Arc::new(MemoryStore::new(Arc::new(SystemClock)))).build().await?;
/// let acme = here.tenants().ensure("acme").await?;
/// let ada = Phone::parse("+4915112345678", None)?;
/// acme.contacts().upsert(ada.into(), ContactAttributes::new(), Some("news".parse()?)).await?;
/// let mut file = Vec::new();
/// here.archive().export(acme.id(), &mut file).await?;
///
/// let moved = there.archive().import(Cursor::new(&file)).await?;
/// assert_eq!((moved.id, moved.name.as_str()), (acme.id(), "acme"));
/// assert_eq!(there.archive().held(None, 10).await?.len(), 1, "nothing is sent yet");
/// let mut again = Vec::new();
/// there.archive().export(moved.id, &mut again).await?;
/// let records = |file: &[u8]| String::from_utf8_lossy(file).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
/// let (mut first, mut second) = (records(&file), records(&again));
/// first.pop(); // the checksum, which covers the head too
/// second.pop();
/// assert_eq!(first, second);
/// assert!(there.archive().release(moved.id).await?);
///
/// // A file that is not whole changes nothing.
/// file.truncate(file.len() - 20);
/// let refused = there.archive().import(Cursor::new(&file)).await;
/// assert!(matches!(refused, Err(KitError::Archive(ArchiveProblem::Cut { .. }))));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Archives<'a> {
    kit: &'a Kit,
}

impl<'a> Archives<'a> {
    pub(super) const fn new(kit: &'a Kit) -> Self {
        Self { kit }
    }

    /// Writes everything of one tenant as it is at one instant; how many records.
    ///
    /// Memory is bounded whatever the tenant's size, and nobody waits for it but a reader of the store. What an
    /// error leaves in the writer has no end and is refused by every import.
    ///
    /// # Errors
    /// When there is no such tenant, the store fails, or the writer does.
    pub async fn export(self, tenant: TenantId, writer: impl Write + Send) -> Result<u64, KitError> {
        let mut writing = Writing::new(writer);
        if !self.write(tenant, &mut writing).await? {
            return Err(KitError::NoTenant);
        }
        writing.end().map_err(KitError::Export)
    }

    /// Writes all tenants of the store, each as it is at one instant, one after the other; how many.
    ///
    /// # Errors
    /// When the store or the writer fails.
    pub async fn backup(self, writer: impl Write + Send) -> Result<u64, KitError> {
        let ports = &self.kit.inner.ports;
        let mut writing = Writing::new(writer);
        writing.open_backup(crate::model::whole_micros(ports.clock.now())).map_err(KitError::Export)?;
        let (mut tenants, mut after) = (0, None);
        loop {
            let page = self.kit.tenants().list(after, 100).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for tenant in &page {
                if self.write(tenant.id, &mut writing).await? {
                    writing.end().map_err(KitError::Export)?;
                    tenants += 1;
                }
            }
        }
        writing.end_backup(tenants).map_err(KitError::Export)?;
        Ok(tenants)
    }

    async fn write<W: Write + Send>(
        self,
        tenant: TenantId,
        writing: &mut Writing<W>,
    ) -> Result<bool, KitError> {
        let archive = self.kit.inner.ports.store.archive();
        let written = archive.export(&Scope::new(tenant), writing).await;
        match writing.failure() {
            Some(error) => Err(KitError::Export(error)),
            None => Ok(written?),
        }
    }

    /// Takes the tenant of an archive in, and holds it until [`release`](Self::release).
    ///
    /// The whole file is read and compared with its checksum first, so one that is cut, altered or something else
    /// changes nothing. An import that stops, however that comes, leaves nothing that anybody sees, and goes on
    /// where it stopped when the same file is imported again.
    ///
    /// # Errors
    /// When the file or its tenant cannot be taken in, or the store fails.
    pub async fn import(self, mut file: impl BufRead + Seek + Send) -> Result<Tenant, KitError> {
        match checked(&mut file)? {
            Shape::Tenant(_) => {}
            Shape::Backup(_) => return Err(ArchiveProblem::IsBackup.into()),
        }
        let mut reading = Reading::new(file);
        let head = head(&mut reading)?;
        self.take(&mut reading, head).await
    }

    /// Takes all tenants of a backup into an empty store, and holds each until [`release`](Self::release).
    ///
    /// A restore that stops goes on where it stopped when the same file is restored again; tenants that were
    /// restored before are left as they are.
    ///
    /// # Errors
    /// When the file cannot be taken in, the store has tenants of its own, or it fails.
    pub async fn restore(self, mut file: impl BufRead + Seek + Send) -> Result<Vec<TenantId>, KitError> {
        let tenants = match checked(&mut file)? {
            Shape::Backup(tenants) => tenants,
            Shape::Tenant(_) => return Err(ArchiveProblem::IsTenant.into()),
        };
        let (mut there, mut after) = (Vec::new(), None);
        loop {
            let page = self.kit.tenants().list(after, 100).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            there.extend(page.iter().map(|tenant| tenant.id));
        }
        if there.iter().any(|id| !tenants.contains(id)) {
            return Err(ArchiveProblem::NotEmpty.into());
        }
        let mut reading = Reading::new(file);
        // The line that says that it is a backup.
        reading.next()?;
        for tenant in &tenants {
            let head = head(&mut reading)?;
            if there.contains(tenant) {
                while let Some(Line::Record(_)) = reading.next()? {}
            } else {
                self.take(&mut reading, head).await?;
            }
        }
        Ok(tenants)
    }

    /// Takes the records of one tenant in, up to its end.
    async fn take<R: BufRead + Send>(
        self,
        reading: &mut Reading<R>,
        head: ArchiveHead,
    ) -> Result<Tenant, KitError> {
        let ports = &self.kit.inner.ports;
        let (archive, admin) = (ports.store.archive(), ports.admin());
        let first_line = reading.line() + 1;
        let unfinished = archive.unfinished_imports(&admin).await?;
        let done = unfinished.iter().find(|it| it.tenant == head.tenant).map_or(0, |it| it.records);
        let (mut from, mut before) = (0, reading.mark());
        let mut is_over = false;
        while from < done && !is_over {
            match reading.next()? {
                Some(Line::Record(_)) => from += 1,
                Some(Line::Mark(_)) | None => is_over = true,
            }
            if !is_over {
                before = reading.mark();
            }
        }
        loop {
            let (mut records, mut after) = (Vec::new(), before);
            while records.len() < CHUNK && !is_over {
                match reading.next()? {
                    Some(Line::Record(record)) => {
                        records.push(*record);
                        after = reading.mark();
                    }
                    Some(Line::Mark(_)) | None => is_over = true,
                }
            }
            let taken = u64::try_from(records.len()).unwrap_or(u64::MAX);
            let chunk =
                ImportTenant { head: head.clone(), from_record: from, before, records, after, last: is_over };
            let step = archive.import_tenant(&admin, &chunk).await?;
            match step {
                ImportTenantStep::Taken(records) => {
                    (from, before) = (records, after);
                }
                ImportTenantStep::Imported(tenant) => {
                    self.kit.inner.work.raise();
                    return Ok(tenant);
                }
                ImportTenantStep::Elsewhere { records, mark } => {
                    return Err(elsewhere(&chunk, taken, (records, mark)).into());
                }
                ImportTenantStep::Discarding => return Err(ArchiveProblem::AnotherFile.into()),
                ImportTenantStep::IdTaken => return Err(ArchiveProblem::TenantTaken.into()),
                ImportTenantStep::NameTaken => return Err(ArchiveProblem::NameTaken(head.name).into()),
                ImportTenantStep::Missing { record, what } => {
                    // Nothing of a file stays that can never be taken in as a whole.
                    archive.discard_import(&admin, head.tenant).await?;
                    let problem = ArchiveProblem::Missing { line: first_line + record, what: what.as_str() };
                    return Err(problem.into());
                }
            }
        }
    }

    /// Imports that stopped before their end, in order of their tenants' ids. The same file goes on with one, and
    /// [`discard`](Self::discard) throws it away.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unfinished(self) -> Result<Vec<UnfinishedImport>, KitError> {
        let ports = &self.kit.inner.ports;
        Ok(ports.store.archive().unfinished_imports(&ports.admin()).await?)
    }

    /// Throws an import that stopped away; `false` when there is none of this tenant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn discard(self, tenant: TenantId) -> Result<bool, KitError> {
        let ports = &self.kit.inner.ports;
        Ok(ports.store.archive().discard_import(&ports.admin(), tenant).await?)
    }

    /// Imported tenants that nobody has released yet, in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn held(self, after: Option<TenantId>, limit: u32) -> Result<Vec<HeldTenant>, KitError> {
        let ports = &self.kit.inner.ports;
        Ok(ports.store.archive().held_tenants(&ports.admin(), after, limit).await?)
    }

    /// Lets an imported tenant go on: single messages and schedules by themselves, campaigns once each is resumed.
    /// `false` when it is not held. **The store that it came from must not send for it any more.**
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release(self, tenant: TenantId) -> Result<bool, KitError> {
        let inner = &self.kit.inner;
        let released = inner.ports.store.archive().release_tenant(&inner.ports.admin(), tenant).await?;
        inner.work.raise();
        inner.due.raise();
        inner.journal.raise();
        Ok(released)
    }
}

/// Reads a whole file and goes back to its beginning.
fn checked(file: &mut (impl BufRead + Seek)) -> Result<Shape, ArchiveProblem> {
    let shape = verify(&mut *file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(shape)
}

/// The head of the tenant that comes next.
fn head<R: BufRead>(reading: &mut Reading<R>) -> Result<ArchiveHead, ArchiveProblem> {
    match reading.next()? {
        Some(Line::Mark(Mark::Archive { format: _, version: _, tenant, name, taken_at, incarnation })) => {
            Ok(ArchiveHead { tenant, name, taken_at, incarnation })
        }
        // It was otherwise a moment ago.
        Some(_) | None => Err(ArchiveProblem::Altered { line: reading.line() }),
    }
}

/// Why a chunk does not follow: somebody took it in meanwhile, or it is another file.
fn elsewhere(chunk: &ImportTenant, taken: u64, (records, mark): (u64, Fingerprint)) -> ArchiveProblem {
    if (records, mark) == (chunk.from_record.saturating_add(taken), chunk.after) {
        ArchiveProblem::Elsewhere
    } else {
        ArchiveProblem::AnotherFile
    }
}
