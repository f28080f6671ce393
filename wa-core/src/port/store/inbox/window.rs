//! Windows as they are asked for and shown.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{ContactId, SessionId};
use crate::rules::window::{Chain, end};

/// The 24-hour window of a session and a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowView {
    /// When the user last wrote.
    pub last_user_message_at: DateTime<Utc>,
    /// The user message since which it has been open without a gap.
    pub opened_at: DateTime<Utc>,
    /// When it closes, or closed.
    pub closes_at: DateTime<Utc>,
    /// How long it is still open, by the store's clock; zero when it is closed.
    pub remaining: TimeDelta,
    /// The user's messages since it opened.
    pub user_messages: u64,
    /// Business messages since it opened and before it closes: the library's own that may have arrived,
    /// and those that were typed on the business's own phone.
    pub business_messages: u64,
    /// When the user last came from an advertisement or a page's button.
    pub referral_at: Option<DateTime<Utc>>,
    /// When the latest free entry point ends, or ended. It makes messages free; free-form content needs
    /// an open window all the same.
    pub free_until: Option<DateTime<Utc>>,
}

/// Which windows to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowFilter {
    /// Those of one session.
    pub session: Option<SessionId>,
    /// Those that are open.
    pub open_only: bool,
}

/// Where a window stands in a list. A user message moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowKey {
    /// When the user last wrote.
    pub last_user_message_at: DateTime<Utc>,
    /// The session.
    pub session: SessionId,
    /// The contact.
    pub contact: ContactId,
}

/// A window in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowEntry {
    /// The session.
    pub session: SessionId,
    /// The contact.
    pub contact: ContactId,
    /// The window.
    pub window: WindowView,
}

impl WindowEntry {
    /// Where it stands in a list: what the next page comes after.
    #[must_use]
    pub const fn key(&self) -> WindowKey {
        let Self { session, contact, window } = self;
        WindowKey { last_user_message_at: window.last_user_message_at, session: *session, contact: *contact }
    }
}

impl WindowView {
    /// The view of a chain at an instant; for stores.
    #[must_use]
    pub fn of(chain: Chain, now: DateTime<Utc>) -> Self {
        let Chain { opened_at, last_user_message_at, user_messages } = chain;
        let closes_at = end(last_user_message_at);
        Self {
            last_user_message_at,
            opened_at,
            closes_at,
            remaining: (closes_at - now).max(TimeDelta::zero()),
            user_messages,
            business_messages: 0,
            referral_at: None,
            free_until: None,
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.remaining > TimeDelta::zero()
    }
}
