//! What intake heard that the worker needs to know at once: changed sessions, and messages that went
//! through a number without it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::model::{Session, SessionId};

/// How many instants are kept for a worker that does not come: more than the fastest number can have
/// in the second that counts.
const MOST: usize = 20_000;

/// Passes news from intake to the worker. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overheard(Arc<Mutex<News>>);

/// What was heard since the last look.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Sessions as they are now.
    pub(crate) sessions: Vec<Session>,
    /// When messages went through a number that are not the library's.
    pub(crate) metered: Vec<(SessionId, DateTime<Utc>)>,
}

impl Overheard {
    pub(crate) fn tell(&self, sessions: Vec<Session>, metered: Vec<(SessionId, DateTime<Utc>)>) {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The latest word on each; a worker that never comes makes nothing grow.
        news.sessions.retain(|known| sessions.iter().all(|new| new.id != known.id));
        news.sessions.extend(sessions);
        news.metered.extend(metered);
        let excess = news.metered.len().saturating_sub(MOST);
        news.metered.drain(..excess);
    }

    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
