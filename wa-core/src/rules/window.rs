//! The 24-hour customer-service window.
//!
//! Source: Meta, Sending messages: customer service windows, read May 2026: it opens when the user
//! writes or calls, lasts 24 hours and starts anew with each message; outside it only approved
//! templates are taken (131047).

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::Lane;

/// How long the window lasts after the user's last message.
pub const LENGTH: TimeDelta = TimeDelta::hours(24);

/// How much earlier than its end the window counts as closed, so that a request under way arrives in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// For transactional messages.
    pub transactional: TimeDelta,
    /// For bulk messages.
    pub bulk: TimeDelta,
}

impl Default for Guard {
    /// 5 seconds transactional, 60 seconds bulk.
    fn default() -> Self {
        Self { transactional: TimeDelta::seconds(5), bulk: TimeDelta::seconds(60) }
    }
}

impl Guard {
    /// The guard of a lane.
    #[must_use]
    pub const fn of(&self, lane: Lane) -> TimeDelta {
        match lane {
            Lane::Transactional => self.transactional,
            Lane::Bulk => self.bulk,
        }
    }
}

/// Whether free-form content may begin now: strictly before `last_user_message_at + 24 h − guard`.
///
/// A negative guard counts as none: no setting makes a window longer than the provider's.
///
/// ```
/// use chrono::TimeDelta;
/// use wa_core::{model::from_micros, rules::window};
/// let wrote = from_micros(1_790_000_000_000_000);
/// let end = wrote + TimeDelta::hours(24);
/// assert!(window::is_open(Some(wrote), end - TimeDelta::milliseconds(1), TimeDelta::zero()));
/// assert!(!window::is_open(Some(wrote), end, TimeDelta::zero()));
/// assert!(!window::is_open(None, wrote, TimeDelta::zero()));
/// ```
#[must_use]
pub fn is_open(last_user_message_at: Option<DateTime<Utc>>, now: DateTime<Utc>, guard: TimeDelta) -> bool {
    let guard = guard.max(TimeDelta::zero());
    last_user_message_at.and_then(|at| end(at).checked_sub_signed(guard)).is_some_and(|end| now < end)
}

/// When the window of a message from the user closes.
#[must_use]
pub fn end(last_user_message_at: DateTime<Utc>) -> DateTime<Utc> {
    last_user_message_at.checked_add_signed(LENGTH).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Merges a user's message into what is known: the later instant counts, none lies in the future.
///
/// So a late redelivery never opens a window, and a provider's clock that runs ahead never prolongs one.
#[must_use]
pub fn merge(
    known: Option<DateTime<Utc>>,
    wrote_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
) -> DateTime<Utc> {
    let wrote_at = wrote_at.min(received_at);
    known.map_or(wrote_at, |known| known.max(wrote_at))
}
