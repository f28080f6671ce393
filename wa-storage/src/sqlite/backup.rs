//! Backups of the file, and their way back.
//!
//! Invariant: a backup is one instant of the database, whole and checked before it has its name; a restored
//! database sends nothing until somebody says so.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use wa_core::model::ReconcileCause;
use wa_core::port::store::{StoreError, StoreErrorKind};

use super::error::{Fallible, Fault, of_io};
use super::{SqliteOptions, SqliteStore, archive, connect, lock};

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteBackup {
    /// Where it is.
    pub path: PathBuf,
    /// How large it is, in bytes.
    pub bytes: u64,
}

impl SqliteStore {
    /// Writes the database as it is at one instant to a file that only its owner can read, replacing what
    /// is there; sends and everything else go on meanwhile. The file is checked before it gets its name.
    ///
    /// One of the store's readers works on it until it is done.
    ///
    /// ```
    /// use wa_storage::{SqliteOptions, SqliteStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let folder = tempfile::tempdir()?;
    /// let (database, backup) = (folder.path().join("wa.db"), folder.path().join("backup.db"));
    /// let store = SqliteStore::open(SqliteOptions::new(&database))?;
    /// let made = store.backup(&backup).await?;
    /// assert!(made.bytes > 0);
    /// store.close();
    /// let store = SqliteStore::restore(SqliteOptions::new(&database), &backup)?;
    /// # store.close();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written, or the database is not whole: then nothing is at `to` that was not
    /// there before.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<SqliteBackup, StoreError> {
        let path = to.as_ref().to_owned();
        let copied = path.clone();
        self.read(move |snapshot| {
            let part = beside(&copied, ".part");
            copy_out(snapshot.conn, &part).inspect_err(|_| drop(std::fs::remove_file(&part)))
        })
        .await?;
        let bytes = publish(&path).map_err(|error| of_io("the backup cannot be put in its place", error))?;
        Ok(SqliteBackup { path, bytes })
    }

    /// Puts a backup in the place of a database, or where there is none yet, and opens it.
    ///
    /// Nothing is sent from it until [`Archive::lift`](wa_core::port::store::Archive::lift): what waits in it may
    /// have been sent since the backup was made. Interrupted, the database is what it was or what the backup is, and is held.
    ///
    /// # Errors
    /// When the backup is not whole or no backup, a process works on the database, or it cannot be opened.
    pub fn restore(options: SqliteOptions, from: impl AsRef<Path>) -> Result<Self, StoreError> {
        let mut token = [0; 16];
        options.entropy.fill(&mut token);
        let lock = lock::FileLock::new(&options.path, token);
        if lock.try_hold().is_none() {
            let what = "another process works on the database";
            return Err(StoreError::new(StoreErrorKind::Unavailable, what, None));
        }
        connect::create(&options.path)?;
        copy_in(from.as_ref(), &options, &lock).map_err(Fault::into_store)?;
        let store = Self::open_as(options, Some(ReconcileCause::Restored));
        drop(lock);
        store
    }
}

/// A path with another ending.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn copy_out(from: &Connection, to: &Path) -> Fallible<()> {
    // What an interrupted backup left.
    drop(std::fs::remove_file(to));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map_err(|_| Fault::Broken("the backup's file cannot be made"))?;
    let mut copy = Connection::open(to)?;
    // It has no readers and is not the original until it is whole.
    copy.pragma_update(None, "synchronous", "OFF")?;
    copy_all(from, &mut copy)?;
    // One file, without the log beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    check(&copy)
}

fn copy_in(from: &Path, options: &SqliteOptions, lock: &lock::FileLock) -> Fallible<()> {
    let backup = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(&backup)?;
    if !backup.table_exists(None, "reconcile_need")? {
        return Err(Fault::Broken("the file is no backup of a store"));
    }
    let mut own = connect::writer(options)?;
    // Whatever is there when this is interrupted is behind what is noted, and so held when it is opened.
    let noted = match lock.noted() {
        lock::Noted::Mark(mark) => mark,
        lock::Noted::Missing | lock::Noted::Unknown => 0,
    };
    let marks = [noted, archive::mark(&own).unwrap_or(0), archive::mark(&backup).unwrap_or(0)];
    lock.note(marks.into_iter().max().unwrap_or(0) + 1);
    copy_all(&backup, &mut own)
}

/// Copies every page in one go: a copy in steps would start anew with each commit of another connection.
fn copy_all(from: &Connection, to: &mut Connection) -> Fallible<()> {
    let backup = Backup::new(from, to)?;
    for _ in 0..600 {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            StepResult::Busy | StepResult::Locked => std::thread::sleep(std::time::Duration::from_millis(50)),
            StepResult::More => {}
            _ => return Err(Fault::Broken("the copy stopped for a reason that is not known")),
        }
    }
    Err(Fault::Broken("the database is held by another process for too long"))
}

fn check(conn: &Connection) -> Fallible<()> {
    let said: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(Fault::Broken("the database is not whole")) }
}

/// Syncs what was written and gives it its name.
fn publish(path: &Path) -> Result<u64, std::io::Error> {
    let part = beside(path, ".part");
    let file = File::open(&part)?;
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    std::fs::rename(&part, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(bytes)
}
