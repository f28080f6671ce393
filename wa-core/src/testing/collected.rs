//! An export as values.

use async_trait::async_trait;

use crate::model::Fingerprint;
use crate::port::store::{ArchiveHead, ImportTenant, Record, RecordSink, StoreError};

/// Keeps everything that an export gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// What it began with; `None` before that.
    pub head: Option<ArchiveHead>,
    /// The records.
    pub records: Vec<Record>,
    /// How many there were in each page.
    pub pages: Vec<usize>,
}

#[async_trait]
impl RecordSink for Collected {
    async fn head(&mut self, head: &ArchiveHead) -> Result<(), StoreError> {
        self.head = Some(head.clone());
        Ok(())
    }

    async fn take(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        self.pages.push(records.len());
        self.records.extend(records);
        Ok(())
    }
}

impl Collected {
    /// The records as lines of JSON.
    ///
    /// # Panics
    /// When a record has no JSON form.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.records.iter().map(|it| serde_json::to_string(it).expect("a record has a JSON form")).collect()
    }

    /// The chunks in which it is imported, of at most so many records.
    ///
    /// # Panics
    /// Before it was filled.
    #[must_use]
    pub fn chunks(&self, size: usize) -> Vec<ImportTenant> {
        let head = self.head.clone().expect("an export was collected");
        let lines = self.lines();
        let mark = |upto: usize| Fingerprint::of(lines.get(..upto).unwrap_or_default().join("\n").as_bytes());
        let pieces: Vec<_> = self.records.chunks(size.max(1)).collect();
        let mut from = 0;
        let mut chunks = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let to = from + piece.len();
            chunks.push(ImportTenant {
                head: head.clone(),
                from_record: u64::try_from(from).expect("few records"),
                before: mark(from),
                records: piece.to_vec(),
                after: mark(to),
                last: place + 1 == pieces.len(),
            });
            from = to;
        }
        chunks
    }
}
