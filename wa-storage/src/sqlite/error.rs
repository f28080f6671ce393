//! What can go wrong inside, and what it means for a caller of the seam.
//!
//! Invariant: a message names an action and a kind, never a stored value.

use rusqlite::ErrorCode;
use wa_core::port::store::{StoreError, StoreErrorKind};

use crate::common::archive::Misfit;

/// A failure inside a transaction, before its commit.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// `SQLite` said no.
    #[error("the database refused")]
    Sql(#[from] rusqlite::Error),
    /// The stored data or the call breaks an invariant.
    #[error("{0}")]
    Broken(&'static str),
}

impl From<Misfit> for Fault {
    fn from(_: Misfit) -> Self {
        Self::Broken("a record does not fit its tables")
    }
}

pub(super) type Fallible<T> = Result<T, Fault>;

impl Fault {
    /// The error of a call of which nothing happened.
    pub(super) fn into_store(self) -> StoreError {
        match self {
            Self::Sql(error) => {
                let kind = kind(&error);
                StoreError::new(kind, what(kind, &error), Some(Box::new(error)))
            }
            Self::Broken(what) => StoreError::new(StoreErrorKind::Broken, what, None),
        }
    }

    /// Whether only the call is at fault, so that its siblings in a batch can go on.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Self::Sql(error) => kind(error) == StoreErrorKind::Broken && !is_corrupt(error),
            Self::Broken(_) => true,
        }
    }
}

/// The error of a commit: after an I/O error nobody knows whether it reached the disk.
pub(super) fn of_commit(error: rusqlite::Error) -> StoreError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) | None => StoreErrorKind::Unknown,
        Some(_) => kind(&error),
    };
    StoreError::new(kind, what(kind, &error), Some(Box::new(error)))
}

/// The error of every call after `close`.
pub(super) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store is closed", None)
}

/// The error of a call whose answer was lost with the thread that ran it.
pub(super) fn lost() -> StoreError {
    StoreError::new(StoreErrorKind::Unknown, "the store's thread ended before it answered", None)
}

/// The error of a file that cannot be opened or locked.
pub(super) fn of_io(what: &'static str, error: std::io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, what, Some(Box::new(error)))
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// What a caller can do about an error of which it is known that nothing was committed.
fn kind(error: &rusqlite::Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport,
        ) => StoreErrorKind::Unavailable,
        // Constraints, corruption, undecodable rows, and what a later SQLite may invent.
        Some(_) | None => StoreErrorKind::Broken,
    }
}

fn what(kind: StoreErrorKind, error: &rusqlite::Error) -> &'static str {
    match kind {
        StoreErrorKind::Unknown => "the disk failed while the commit was written",
        StoreErrorKind::Closed => "the store is closed",
        StoreErrorKind::Broken => "the stored data or the call breaks an invariant",
        StoreErrorKind::Unavailable => match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk or the store's size limit is full",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another process holds the database for too long"
            }
            Some(_) | None => "the database file cannot be used at present",
        },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn sqlite(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    fn check(code: i32, before: StoreErrorKind, at_commit: StoreErrorKind) {
        assert_eq!(Fault::from(sqlite(code)).into_store().kind(), before, "before commit, code {code}");
        assert_eq!(of_commit(sqlite(code)).kind(), at_commit, "at commit, code {code}");
    }

    #[test]
    fn a_disk_error_is_unknown_at_commit_only() {
        use StoreErrorKind::{Broken, Unavailable, Unknown};
        check(ffi::SQLITE_IOERR, Unavailable, Unknown);
        check(ffi::SQLITE_IOERR_FSYNC, Unavailable, Unknown);
        check(ffi::SQLITE_FULL, Unavailable, Unavailable);
        check(ffi::SQLITE_BUSY, Unavailable, Unavailable);
        check(ffi::SQLITE_CORRUPT, Broken, Broken);
        check(ffi::SQLITE_CONSTRAINT_UNIQUE, Broken, Broken);
    }

    #[test]
    fn a_corrupt_file_is_nobodys_own_fault() {
        assert!(Fault::from(sqlite(ffi::SQLITE_CONSTRAINT_UNIQUE)).is_own());
        assert!(!Fault::from(sqlite(ffi::SQLITE_CORRUPT)).is_own());
        assert!(!Fault::from(sqlite(ffi::SQLITE_FULL)).is_own());
    }
}
