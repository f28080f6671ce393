//! Why a store waits until somebody says that it may send again.

use chrono::{DateTime, Utc};

use super::message::names;

/// What made a store wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ReconcileCause {
    /// Somebody said that it was restored.
    Restored,
    /// Its file is older than what was last begun in it: an older copy was put back.
    OlderCopy,
    /// Its file came without the file that lies beside it: it is a copy.
    Copied,
    /// Its database is another one, or went on from another point of its history: it was copied,
    /// restored or failed over.
    OtherDatabase,
}

names!(ReconcileCause {
    Restored = "restored",
    OlderCopy = "older_copy",
    Copied = "copied",
    OtherDatabase = "other_database",
});

/// That a store waits, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileNeed {
    /// Since when, by the store's clock.
    pub since: DateTime<Utc>,
    /// What made it wait first.
    pub cause: ReconcileCause,
}
