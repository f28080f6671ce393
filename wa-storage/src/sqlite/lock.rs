//! The file lock by which a process knows that the one before it is dead.
//!
//! Invariant: `<path>.lock` is locked by at most one open store, and the operating system lets go
//! when that store is closed or its process ends. A lease that was held under the lock carries the
//! holder's token; whoever holds the lock with another token knows that such an owner is gone.
//! Where files cannot be locked, ownership falls back to the ends of leases.
//!
//! The holder notes in it how far the database has come (`archive`), without a sync at each commit: the
//! end of a process loses nothing of it, and a power cut only what makes it say less.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    token: [u8; 16],
    held: Mutex<Option<File>>,
}

/// What the lock file says of the database beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// There is no such file.
    Missing,
    /// The database had come so far.
    Mark(u64),
    /// It cannot be read.
    Unknown,
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
        if let Some(file) = self.lock().take() {
            sync(&file);
        }
    }

    /// What was noted, by whoever held the lock last.
    pub(super) fn noted(&self) -> Noted {
        let mut text = String::new();
        match File::open(&self.path).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) if text.is_empty() => Noted::Mark(0),
            Ok(_) => text.trim_end().parse().map_or(Noted::Unknown, Noted::Mark),
            Err(error) if error.kind() == ErrorKind::NotFound => Noted::Missing,
            Err(error) => {
                tracing::warn!(%error, "the lock file cannot be read; a copy of the database is not noticed");
                Noted::Unknown
            }
        }
    }

    /// Makes the file with a first mark, where there is none.
    pub(super) fn start(&self, mark: u64) {
        let made = self.create().and_then(|file| {
            write(&file, mark)?;
            file.sync_all()
        });
        if let Err(error) = made {
            tracing::warn!(%error, "the lock file cannot be written; a copy of the database is not noticed");
        }
    }

    /// Notes how far the database has come, if the lock is held. After the commit, never before.
    pub(super) fn note(&self, mark: u64) {
        if let Some(Err(error)) = self.lock().as_ref().map(|file| write(file, mark)) {
            tracing::warn!(%error, "the lock file cannot be written; a copy of the database may not be noticed");
        }
    }

    fn create(&self) -> Result<File, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }

    fn take(&self) -> Option<File> {
        let file = match self.create() {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, "the lock file cannot be opened; leases end by time only");
                return None;
            }
        };
        match file.try_lock() {
            Ok(()) => {
                sync(&file);
                Some(file)
            }
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

/// Always as many bytes, in one write: what is there is whole.
fn write(mut file: &File, mark: u64) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{mark:020}\n").as_bytes())
}

fn sync(file: &File) {
    if let Err(error) = file.sync_data() {
        tracing::warn!(%error, "the lock file cannot be synced; a copy of the database may not be noticed");
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

    #[test]
    fn only_the_holder_notes_and_anybody_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wa.db");
        let (first, second) = (FileLock::new(&path, [1; 16]), FileLock::new(&path, [2; 16]));
        assert_eq!(first.noted(), Noted::Missing);
        first.start(3);
        first.note(4);
        assert_eq!(second.noted(), Noted::Mark(3), "the lock is not held");
        first.try_hold();
        first.note(70_000);
        second.note(5);
        assert_eq!(second.noted(), Noted::Mark(70_000));
        std::fs::write(folder.path().join("wa.db.lock"), "").expect("a file");
        assert_eq!(second.noted(), Noted::Mark(0), "an empty one says nothing");
        std::fs::write(folder.path().join("wa.db.lock"), "what?").expect("a file");
        assert_eq!(second.noted(), Noted::Unknown);
    }
}
