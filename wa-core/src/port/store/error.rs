//! The one error type of the Store seam.

use std::error::Error;

/// A call on a store that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    kind: StoreErrorKind,
    what: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a caller can do about a [`StoreError`].
///
/// Exhaustive on purpose: a new kind must be decided everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Nothing happened; the same call may succeed later.
    Unavailable,
    /// The commit may or may not have happened; find out before acting.
    Unknown,
    /// The store is closed; nothing happened.
    Closed,
    /// The stored data or the call breaks an invariant; repeating will not help.
    Broken,
}

impl StoreError {
    /// Says what could not be done, and why; `what` holds no secret and no personal data.
    pub fn new(
        kind: StoreErrorKind,
        what: impl Into<String>,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, what: what.into(), source }
    }

    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}
