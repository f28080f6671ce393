//! How a store is opened.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wa_core::port::{Clock, Entropy, SystemClock, SystemEntropy};

/// Where the file lies, and what the store asks for time and randomness.
///
/// ```
/// use wa_storage::{SqliteOptions, SqliteStore};
/// let folder = tempfile::tempdir()?;
/// let store = SqliteStore::open(SqliteOptions::new(folder.path().join("wa.db")))?;
/// assert_eq!(store.stats().jobs, 0);
/// store.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteOptions {
    pub(super) path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) readers: usize,
    pub(super) group: usize,
    pub(super) queue: usize,
    pub(super) busy: Duration,
    pub(super) max_pages: Option<u32>,
}

impl SqliteOptions {
    /// A store in this file; it is created, readable by its owner only, if it is not there.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            readers: 2,
            group: 64,
            queue: 256,
            busy: Duration::from_secs(30),
            max_pages: None,
        }
    }

    /// Takes the time from this clock; the machine's own by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes randomness for event ids from here; the operating system's by default.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Reads on so many connections beside the writer's; 2 by default.
    pub fn readers(mut self, readers: NonZeroUsize) -> Self {
        self.readers = readers.get();
        self
    }

    /// Commits at most so many waiting calls together; 64 by default.
    pub fn group(mut self, most: NonZeroUsize) -> Self {
        self.group = most.get();
        self
    }

    /// Waits so long for another process that holds the database, before a call is given up as
    /// unavailable; 30 seconds by default.
    pub fn busy_patience(mut self, patience: Duration) -> Self {
        self.busy = patience;
        self
    }

    /// Lets the file grow to so many pages of 4 KiB; what would pass that is refused as unavailable.
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }
}
