//! An import of contacts: its rows, its progress and its report.

use serde::{Deserialize, Serialize};

use super::contact::ContactAttributes;
use super::fingerprint::Fingerprint;
use super::ids::{ContactId, ImportId};
use super::message::names;
use super::phone::Phone;

/// One readable or unreadable line of a file, on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Line in the file where the record starts, from 1; the header is line 1.
    pub line: u64,
    /// What the line says, or what is wrong with it.
    pub content: Result<ImportLine, LineProblem>,
}

/// A valid line.
#[derive(Clone, PartialEq, Eq)]
pub struct ImportLine {
    /// Kept only if the phone is new.
    pub contact: ContactId,
    /// The phone.
    pub phone: Phone,
    /// The other columns.
    pub attributes: ContactAttributes,
    /// Whether the file says that the person opted out.
    pub opted_out: bool,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProblem {
    /// The column, if one is to blame.
    pub column: Option<String>,
    /// What is wrong and what to do, without the value itself.
    pub message: String,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineOutcome {
    /// The contact is on the list now, new or known before.
    Added,
    /// An earlier line has the same phone.
    Duplicate,
    /// The line has a problem.
    Invalid,
}

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportProgress {
    /// The import.
    pub id: ImportId,
    /// The digest of the file and its mapping.
    pub source: Fingerprint,
    /// Records taken in so far, the header not counted; where a resumed import goes on.
    pub records: u64,
    /// Lines that put a contact on the list.
    pub added: u64,
    /// Lines whose phone stood on an earlier line.
    pub duplicates: u64,
    /// Lines with a problem.
    pub invalid: u64,
    /// Whether the whole file is in.
    pub finished: bool,
}

names!(LineOutcome { Added = "added", Duplicate = "duplicate", Invalid = "invalid" });

impl std::fmt::Debug for ImportLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportLine")
            .field("phone", &self.phone)
            .field("attributes", &self.attributes.keys())
            .field("opted_out", &self.opted_out)
            .finish_non_exhaustive()
    }
}
