//! What can go wrong inside, and what it means for a caller of the seam.
//!
//! Invariant: a message names an action and a kind, never a stored value.

use wa_core::port::store::{StoreError, StoreErrorKind};

use crate::common::archive::Misfit;

/// A failure inside a transaction, before its commit.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Postgres or the way to it said no.
    #[error("the database refused")]
    Sql(#[from] sqlx::Error),
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
                StoreError::new(kind, what(kind), Some(Box::new(error)))
            }
            Self::Broken(what) => StoreError::new(StoreErrorKind::Broken, what, None),
        }
    }

    /// Whether only the call is at fault, so that its siblings in a batch can go on.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Self::Sql(error) => {
                kind(error) == StoreErrorKind::Broken && class(error).as_deref() != Some("XX")
            }
            Self::Broken(_) => true,
        }
    }
}

/// The error of a commit: when the way to the server broke, nobody knows whether it arrived.
pub(super) fn of_commit(error: sqlx::Error) -> StoreError {
    let kind = match class(&error).as_deref() {
        // 08: the connection. 57: the server was stopped, possibly behind the commit. 40003 says so itself.
        Some("08" | "57") | None => StoreErrorKind::Unknown,
        Some(_) if code(&error).as_deref() == Some("40003") => StoreErrorKind::Unknown,
        Some(_) => kind(&error),
    };
    StoreError::new(kind, what(kind), Some(Box::new(error)))
}

/// The error of every call after `close`.
pub(super) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store is closed", None)
}

/// Whether the connection was gone before anything was asked of it.
pub(super) fn is_disconnect(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => true,
        _ => matches!(class(error).as_deref(), Some("08" | "57")),
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
}

/// The first two signs of the server's error code.
fn class(error: &sqlx::Error) -> Option<String> {
    code(error).and_then(|code| code.get(..2).map(str::to_owned))
}

/// What a caller can do about an error of which it is known that nothing was committed.
///
/// Source: PostgreSQL 15 documentation, appendix A "PostgreSQL Error Codes", read 2026-11-20.
fn kind(error: &sqlx::Error) -> StoreErrorKind {
    use sqlx::Error as E;
    match error {
        E::PoolClosed => StoreErrorKind::Closed,
        E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::WorkerCrashed | E::BeginFailed => {
            StoreErrorKind::Unavailable
        }
        E::Database(_) => match class(error).as_deref() {
            // Connection, rollback by the server (deadlock), resources, prerequisites such as a lock that was
            // not to be had, the operator, the system.
            Some("08" | "25" | "40" | "53" | "55" | "57" | "58") => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Broken,
        },
        _ => StoreErrorKind::Broken,
    }
}

fn what(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Unknown => "the connection was lost while the commit was under way",
        StoreErrorKind::Closed => "the store is closed",
        StoreErrorKind::Broken => "the stored data or the call breaks an invariant",
        StoreErrorKind::Unavailable => "the database cannot be used at present",
    }
}
