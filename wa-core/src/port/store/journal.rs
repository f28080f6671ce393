//! Journal: events out, written in the commit of their cause, and notices to tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::model::{Event, EventId, StreamPosition, is_token, text_value};
use crate::port::{AdminScope, Notice, Scope};

/// The room of events.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Events after a position, in order.
    ///
    /// - `events_are_read_in_order`: positions rise strictly, ids differ, nothing is missed between two pages.
    /// - `events_survive_a_reopen`: with the same ids and positions.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn read(
        &self,
        scope: &AdminScope,
        after: StreamPosition,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// Where a reader stands; the start for a new one.
    ///
    /// - `readers_stand_apart`: one reader's position is not another's.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn position(&self, scope: &AdminScope, reader: &ReaderName) -> Result<StreamPosition, StoreError>;

    /// Moves a reader forward; a position behind its own changes nothing.
    ///
    /// - `a_reader_never_goes_back`: whatever it acknowledges.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn acknowledge(
        &self,
        scope: &AdminScope,
        reader: &ReaderName,
        position: StreamPosition,
    ) -> Result<(), StoreError>;

    /// Deletes events older than an instant that every known reader has passed; returns how many.
    /// May take several commits: what an interruption leaves is deleted by the next call.
    ///
    /// - `prune_keeps_what_a_reader_needs`: an event that a reader has not acknowledged stays.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn prune_events(&self, scope: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError>;

    /// Keeps a notice for the tenant to see, once per id; `false` for an unknown tenant, or one that
    /// the notice is not for.
    ///
    /// - `a_notice_is_kept_once`: the same id twice is one notice.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn keep_notice(&self, scope: &Scope, notice: &Notice) -> Result<bool, StoreError>;

    /// The tenant's notices in order of their ids.
    ///
    /// - `notices_are_paged_by_id`: pages neither repeat nor miss a notice, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn notices(
        &self,
        scope: &Scope,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Journal) = |_| {};

/// The name of a reader of events: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderName(String);

text_value!(ReaderName, "a reader name", "1 to 64 visible ASCII characters", |text| is_token(text, 64));
