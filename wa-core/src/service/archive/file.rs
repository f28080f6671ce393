//! Archives as files: lines of JSON with a head before and a checksum behind.
//!
//! Invariant: a file is read to its end and compared with its checksums before anything of it is used.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::ArchiveProblem;
use crate::model::{Fingerprint, IncarnationId, TenantId, TenantName};
use crate::port::store::{ArchiveHead, Record, RecordSink, StoreError, StoreErrorKind};

/// The version of the format that this program writes, and the newest that it reads.
pub(super) const VERSION: u64 = 1;
const FORMAT: &str = "wa-kit";

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Mark {
    /// A backup begins.
    Backup { format: String, version: u64, taken_at: DateTime<Utc> },
    /// A tenant begins.
    Archive {
        format: String,
        version: u64,
        tenant: TenantId,
        name: TenantName,
        taken_at: DateTime<Utc>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incarnation: Option<IncarnationId>,
    },
    /// A tenant ends: how many records there are of each kind, and the SHA-256 of its lines before this one.
    End { records: BTreeMap<String, u64>, sum: String },
    /// A backup ends: how many tenants there are, and the SHA-256 of all lines before this one.
    BackupEnd { tenants: u64, sum: String },
}

/// A line of a file.
pub(super) enum Line {
    Mark(Mark),
    Record(Box<Record>),
}

/// Writes the lines of one archive or backup, and keeps their checksums.
#[derive(Debug)]
pub(super) struct Writing<W> {
    writer: W,
    whole: Sha256,
    section: Sha256,
    records: BTreeMap<String, u64>,
    failed: Option<std::io::Error>,
}

impl<W: Write> Writing<W> {
    pub(super) fn new(writer: W) -> Self {
        let (whole, section) = (Sha256::new(), Sha256::new());
        Self { writer, whole, section, records: BTreeMap::new(), failed: None }
    }

    fn line<T: Serialize>(&mut self, line: &T) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.whole.update(&text);
        self.section.update(&text);
        self.writer.write_all(&text)
    }

    pub(super) fn open_backup(&mut self, taken_at: DateTime<Utc>) -> std::io::Result<()> {
        self.line(&Mark::Backup { format: FORMAT.to_owned(), version: VERSION, taken_at })
    }

    /// Ends a tenant; how many records there are.
    pub(super) fn end(&mut self) -> std::io::Result<u64> {
        let records = std::mem::take(&mut self.records);
        let all = records.values().sum();
        let sum = hex::encode(std::mem::take(&mut self.section).finalize());
        self.line(&Mark::End { records, sum })?;
        self.writer.flush()?;
        Ok(all)
    }

    pub(super) fn end_backup(&mut self, tenants: u64) -> std::io::Result<()> {
        let sum = hex::encode(self.whole.clone().finalize());
        self.line(&Mark::BackupEnd { tenants, sum })?;
        self.writer.flush()
    }

    /// Why it refused, if it did.
    pub(super) fn failure(&mut self) -> Option<std::io::Error> {
        self.failed.take()
    }

    fn noting(&mut self, done: std::io::Result<()>) -> Result<(), StoreError> {
        done.map_err(|error| {
            self.failed = Some(error);
            StoreError::new(StoreErrorKind::Broken, "the archive cannot be written", None)
        })
    }
}

#[async_trait]
impl<W: Write + Send> RecordSink for Writing<W> {
    async fn head(&mut self, head: &ArchiveHead) -> Result<(), StoreError> {
        self.section = Sha256::new();
        let ArchiveHead { tenant, name, taken_at, incarnation } = head.clone();
        let mark = Mark::Archive {
            format: FORMAT.to_owned(),
            version: VERSION,
            tenant,
            name,
            taken_at,
            incarnation,
        };
        let done = self.line(&mark);
        self.noting(done)
    }

    async fn take(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        for record in records {
            *self.records.entry(record.kind().as_str().to_owned()).or_default() += 1;
            let done = self.line(&record);
            self.noting(done)?;
        }
        Ok(())
    }
}

/// Reads a file line by line, and compares it with its checksums.
pub(super) struct Reading<R> {
    reader: R,
    line: u64,
    text: Vec<u8>,
    whole: Sha256,
    section: Sha256,
    /// What the checksums were before the line that was read last.
    before: (Sha256, Sha256),
}

impl<R: BufRead> Reading<R> {
    pub(super) fn new(reader: R) -> Self {
        let (whole, section) = (Sha256::new(), Sha256::new());
        let before = (whole.clone(), section.clone());
        Self { reader, line: 0, text: Vec::new(), whole, section, before }
    }

    /// The number of the line that was read last.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// What tells the lines of this tenant up to here apart from others.
    pub(super) fn mark(&self) -> Fingerprint {
        Fingerprint::from_bytes(self.section.clone().finalize().into())
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Line>, ArchiveProblem> {
        self.text.clear();
        if self.reader.read_until(b'\n', &mut self.text)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.text.last() != Some(&b'\n') {
            return Err(self.unfinished());
        }
        self.before = (self.whole.clone(), self.section.clone());
        let line = self.parse()?;
        if matches!(line, Line::Mark(Mark::Archive { .. })) {
            self.section = Sha256::new();
            self.before.1 = Sha256::new();
        }
        self.whole.update(&self.text);
        self.section.update(&self.text);
        Ok(Some(line))
    }

    fn unfinished(&self) -> ArchiveProblem {
        match (self.line, serde_json::from_slice::<Kind>(&self.text)) {
            (1, Err(_)) if !self.text.starts_with(b"{\"kind\":") => ArchiveProblem::NotAnArchive { line: 1 },
            _ => ArchiveProblem::Cut { line: self.line },
        }
    }

    fn parse(&self) -> Result<Line, ArchiveProblem> {
        let line = self.line;
        let Ok(Kind { kind, format, version }) = serde_json::from_slice::<Kind>(&self.text) else {
            return Err(if line == 1 {
                ArchiveProblem::NotAnArchive { line }
            } else {
                ArchiveProblem::Unreadable { line, field: None }
            });
        };
        if matches!(kind.as_str(), "archive" | "backup") {
            if format.as_deref() != Some(FORMAT) {
                return Err(ArchiveProblem::NotAnArchive { line });
            }
            let version = version.unwrap_or(0);
            if version > VERSION {
                return Err(ArchiveProblem::Newer { line, version, known: VERSION });
            }
        }
        let read = match kind.as_str() {
            "archive" | "backup" | "end" | "backup_end" => serde_json::from_slice(&self.text).map(Line::Mark),
            _ => serde_json::from_slice(&self.text).map(Line::Record),
        };
        read.map_err(|error| ArchiveProblem::Unreadable { line, field: field(&error) })
    }

    /// Compares the lines before the one that was read last with their checksum.
    fn compare(&self, sum: &str, of: &Sha256) -> Result<(), ArchiveProblem> {
        if hex::encode(of.clone().finalize()) == sum {
            Ok(())
        } else {
            Err(ArchiveProblem::Altered { line: self.line })
        }
    }

    /// Reads the records of a tenant up to its end, without using them.
    fn skip_tenant(&mut self) -> Result<(), ArchiveProblem> {
        let (mut counts, mut place) = (BTreeMap::<String, u64>::new(), None);
        loop {
            match self.next()? {
                Some(Line::Record(record)) => {
                    let own = Some(record.place());
                    if place >= own {
                        return Err(ArchiveProblem::OutOfOrder { line: self.line });
                    }
                    place = own;
                    *counts.entry(record.kind().as_str().to_owned()).or_default() += 1;
                }
                Some(Line::Mark(Mark::End { records, sum })) => {
                    self.compare(&sum, &self.before.1)?;
                    if records != counts || !counts.contains_key("tenant") {
                        return Err(ArchiveProblem::Altered { line: self.line });
                    }
                    return Ok(());
                }
                Some(Line::Mark(_)) => return Err(ArchiveProblem::OutOfOrder { line: self.line }),
                None => return Err(ArchiveProblem::Cut { line: self.line }),
            }
        }
    }

    fn is_over(&mut self) -> Result<(), ArchiveProblem> {
        match self.reader.fill_buf()?.is_empty() {
            true => Ok(()),
            false => Err(ArchiveProblem::Trailing { line: self.line + 1 }),
        }
    }
}

/// What every line says.
#[derive(Deserialize)]
struct Kind {
    kind: String,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    version: Option<u64>,
}

/// The field that an error names, where it names one that is no value.
fn field(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let rest = text.strip_prefix("missing field `").or_else(|| text.strip_prefix("unknown field `"))?;
    rest.split_once('`').map(|(field, _)| field.to_owned())
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Tenant(TenantId),
    Backup(Vec<TenantId>),
}

/// Reads a whole file and compares it with its checksums.
pub(super) fn verify(reader: impl BufRead) -> Result<Shape, ArchiveProblem> {
    let mut reading = Reading::new(reader);
    match reading.next()? {
        Some(Line::Mark(Mark::Archive { tenant, .. })) => {
            reading.skip_tenant()?;
            reading.is_over()?;
            Ok(Shape::Tenant(tenant))
        }
        Some(Line::Mark(Mark::Backup { .. })) => {
            let mut found = Vec::new();
            loop {
                match reading.next()? {
                    Some(Line::Mark(Mark::Archive { tenant, .. })) => {
                        reading.skip_tenant()?;
                        found.push(tenant);
                    }
                    Some(Line::Mark(Mark::BackupEnd { tenants, sum })) => {
                        reading.compare(&sum, &reading.before.0)?;
                        if u64::try_from(found.len()).ok() != Some(tenants) {
                            return Err(ArchiveProblem::Altered { line: reading.line });
                        }
                        reading.is_over()?;
                        return Ok(Shape::Backup(found));
                    }
                    Some(Line::Mark(_) | Line::Record(_)) => {
                        return Err(ArchiveProblem::OutOfOrder { line: reading.line });
                    }
                    None => return Err(ArchiveProblem::Cut { line: reading.line }),
                }
            }
        }
        Some(Line::Mark(_) | Line::Record(_)) => Err(ArchiveProblem::NotAnArchive { line: 1 }),
        None => Err(ArchiveProblem::NotAnArchive { line: 1 }),
    }
}
