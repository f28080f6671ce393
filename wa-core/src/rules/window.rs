//! The 24-hour customer-service window.
//!
//! Source: Meta, Sending messages: customer service windows, read May 2026: it opens when the user
//! writes or calls, lasts 24 hours and starts anew with each message; outside it only approved
//! templates are taken (131047).
//!
//! A chain is a run of user messages each of which came while the window of the one before was open:
//! from its first message on the window has been open without a gap. It is the same whatever the
//! order in which the messages become known.

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

/// How long after a click-to-WhatsApp message the business has to answer, so that the answer opens a
/// free entry point.
///
/// Source: Meta, Conversation-based pricing: free entry points, read December 2025.
pub const ENTRY_REPLY: TimeDelta = TimeDelta::hours(24);

/// How long a free entry point lasts after the first answer was delivered.
///
/// Source: as [`ENTRY_REPLY`]. Reports of up to seven days (September 2026) contradict Meta's page;
/// what a webhook says counts before this.
pub const ENTRY_LENGTH: TimeDelta = TimeDelta::hours(72);

/// A run of user messages without a gap between their windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The user message since which the window has been open without a gap.
    pub opened_at: DateTime<Utc>,
    /// The latest user message.
    pub last_user_message_at: DateTime<Utc>,
    /// How many user messages it has, each counted once.
    pub user_messages: u64,
}

impl Chain {
    /// The chain of one message.
    const fn of_one(at: DateTime<Utc>) -> Self {
        Self { opened_at: at, last_user_message_at: at, user_messages: 1 }
    }

    /// The latest chain after one more user message, which must not have been counted before.
    ///
    /// `earlier` are the user messages that are known from before `known.opened_at`, latest first; it is
    /// read only when the message joins the chain at its beginning, and no further than the gap.
    ///
    /// # Errors
    /// Those of `earlier`.
    pub fn heard<E>(
        known: Option<Self>,
        at: DateTime<Utc>,
        earlier: impl FnOnce() -> Result<Vec<DateTime<Utc>>, E>,
    ) -> Result<Self, E> {
        let Some(known) = known else { return Ok(Self::of_one(at)) };
        if at >= end(known.last_user_message_at) {
            return Ok(Self::of_one(at));
        }
        if at >= known.opened_at {
            let last_user_message_at = known.last_user_message_at.max(at);
            let user_messages = known.user_messages.saturating_add(1);
            return Ok(Self { last_user_message_at, user_messages, ..known });
        }
        if known.opened_at >= end(at) {
            // Its own window was closed again before the chain began.
            return Ok(known);
        }
        let joined = Self { opened_at: at, user_messages: known.user_messages.saturating_add(1), ..known };
        Ok(earlier()?.into_iter().map_while(joined.back()).last().unwrap_or(joined))
    }

    /// The latest chain of user messages that are given latest first; `None` without any.
    #[must_use]
    pub fn of(latest_first: impl IntoIterator<Item = DateTime<Utc>>) -> Option<Self> {
        let mut messages = latest_first.into_iter();
        let first = Self::of_one(messages.next()?);
        Some(messages.map_while(first.back()).last().unwrap_or(first))
    }

    /// Goes back message by message as long as there is no gap.
    fn back(self) -> impl FnMut(DateTime<Utc>) -> Option<Self> {
        let mut chain = self;
        move |at| {
            if chain.opened_at >= end(at) {
                return None;
            }
            chain.opened_at = at;
            chain.user_messages = chain.user_messages.saturating_add(1);
            Some(chain)
        }
    }
}

/// When a free entry point ends; `None` where there is none.
///
/// `referral_at` is the latest user message that came from an advertisement or a page's button,
/// `answered_at` the first delivery of a business message after it, and `told` the latest end that a
/// webhook named, which counts before any reckoning. It makes messages free; free-form content needs
/// an open 24-hour window all the same.
///
/// ```
/// use chrono::TimeDelta;
/// use wa_core::{model::from_micros, rules::window::entry_until};
/// let came = from_micros(1_790_000_000_000_000);
/// let answered = came + TimeDelta::hours(2);
/// assert_eq!(entry_until(Some(came), Some(answered), None), Some(answered + TimeDelta::hours(72)));
/// assert_eq!(entry_until(Some(came), Some(came + TimeDelta::hours(24)), None), None);
/// ```
#[must_use]
pub fn entry_until(
    referral_at: Option<DateTime<Utc>>,
    answered_at: Option<DateTime<Utc>>,
    told: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    if told.is_some() {
        return told;
    }
    let (came, answered) = referral_at.zip(answered_at)?;
    let in_time = answered >= came && answered < came.checked_add_signed(ENTRY_REPLY)?;
    in_time.then(|| answered.checked_add_signed(ENTRY_LENGTH)).flatten()
}
