//! The file lock by which a process knows that the one before it is dead.
//!
//! Invariant: `<path>.lock` is locked by at most one open store, and the operating system lets go
//! when that store is closed or its process ends. A lease that was held under the lock carries the
//! holder's token; whoever holds the lock with another token knows that such an owner is gone.
//! Where files cannot be locked, ownership falls back to the ends of leases.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    token: [u8; 16],
    held: Mutex<Option<File>>,
}

impl FileLock {
    pub(super) fn new(database: &Path, token: [u8; 16]) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        Self { path: path.into(), token, held: Mutex::new(None) }
    }

    /// Tries to hold the lock; the token if it is held now.
    pub(super) fn try_hold(&self) -> Option<[u8; 16]> {
        let mut held = self.lock();
        if held.is_none() {
            *held = self.take();
        }
        held.as_ref().map(|_| self.token)
    }

    /// The token, if the lock is held.
    pub(super) fn token(&self) -> Option<[u8; 16]> {
        self.lock().as_ref().map(|_| self.token)
    }

    pub(super) fn release(&self) {
        *self.lock() = None;
    }

    fn take(&self) -> Option<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&self.path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, "the lock file cannot be opened; leases end by time only");
                return None;
            }
        };
        match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "the lock file cannot be locked; leases end by time only");
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_handle_at_a_time_holds_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wa.db");
        let (first, second) = (FileLock::new(&path, [1; 16]), FileLock::new(&path, [2; 16]));
        assert_eq!(first.try_hold(), Some([1; 16]));
        assert_eq!(second.try_hold(), None);
        assert_eq!(first.try_hold(), Some([1; 16]), "holding again changes nothing");
        first.release();
        assert_eq!(first.token(), None);
        assert_eq!(second.try_hold(), Some([2; 16]));
    }
}
