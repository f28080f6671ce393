//! Why an archive cannot be read or taken in, and what to do about it.

use std::io;

use crate::model::TenantName;

/// Why an archive cannot be read or taken in; the message names the line and says what to do.
///
/// No message repeats a value of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// The file could not be read.
    #[error("the archive cannot be read")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("line {line}: this is no archive of wa-kit; take a file that an export or a backup wrote")]
    NotAnArchive {
        /// The line.
        line: u64,
    },
    /// A later version wrote it.
    #[error(
        "line {line}: the archive is of version {version}, and this program reads version {known}; update the program"
    )]
    Newer {
        /// The line.
        line: u64,
        /// The archive's version.
        version: u64,
        /// The version that this program reads.
        known: u64,
    },
    /// A line is no record.
    #[error("line {line}{}: this is no record; take the file as it was written", in_field(.field.as_deref()))]
    Unreadable {
        /// The line.
        line: u64,
        /// The field that is missing or not known, if it is that.
        field: Option<String>,
    },
    /// A record stands where it cannot.
    #[error("line {line}: this record stands in the wrong place; take the file as it was written")]
    OutOfOrder {
        /// The line.
        line: u64,
    },
    /// A record names something that does not come before it.
    #[error(
        "line {line}: this record names a {what} that does not come before it; take the file as it was written"
    )]
    Missing {
        /// The line.
        line: u64,
        /// The kind of record that is missing.
        what: &'static str,
    },
    /// The checksum does not fit.
    #[error("line {line}: the lines before this one are not those that were written; copy the file again")]
    Altered {
        /// The line of the checksum.
        line: u64,
    },
    /// The file ends before its end.
    #[error("the file ends after line {line}, before its last line; copy the whole file")]
    Cut {
        /// The last line.
        line: u64,
    },
    /// Something comes after the end.
    #[error("line {line}: something follows the end of the archive; import one file at a time")]
    Trailing {
        /// The line.
        line: u64,
    },
    /// The file holds a backup.
    #[error("the file is a backup of a whole store; restore it into an empty store")]
    IsBackup,
    /// The file holds one tenant.
    #[error("the file is the archive of one tenant; import it")]
    IsTenant,
    /// The store has the tenant.
    #[error(
        "the store has this tenant already; what was imported before is complete, and is not imported again"
    )]
    TenantTaken,
    /// The store has another tenant of this name.
    #[error("another tenant of the store is named {:?}; import into another store", .0.as_str())]
    NameTaken(TenantName),
    /// An import of the tenant from another file is not finished.
    #[error(
        "an import of this tenant from another file is not finished; finish it with that file, or discard it"
    )]
    AnotherFile,
    /// Another import of the same file is under way.
    #[error("another import of this tenant is under way; wait for it")]
    Elsewhere,
    /// The store has tenants that are not of the backup.
    #[error("the store has tenants that do not come from this backup; restore it into an empty store")]
    NotEmpty,
}

fn in_field(field: Option<&str>) -> String {
    field.map(|field| format!(", field {field:?}")).unwrap_or_default()
}
