//! What users do besides writing: new numbers and ids, new devices, their will about marketing.

use std::fmt;

use chrono::{DateTime, Utc};

use super::open::open_names;
use crate::model::recipient::Recipient;
use crate::model::session::NumberId;

/// A user can be reached under another address from now on.
///
/// Source: Meta, Business-scoped user ids, read May 2026; Webhooks reference, system messages, read
/// December 2025.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChange {
    /// The number that was told.
    pub number: NumberId,
    /// The provider's id of the note.
    pub provider_id: String,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What changed.
    pub change: UserChangeKind,
    /// The addresses up to now.
    pub old: Recipient,
    /// The addresses from now on.
    pub new: Recipient,
}

/// What changed about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserChangeKind {
    /// The phone number.
    Number,
    /// The business-scoped user id.
    UserId,
}

/// A user has a new device or installed the app anew, so that the person behind it may be another.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityChange {
    /// The number that was told.
    pub number: NumberId,
    /// The provider's id of the note.
    pub provider_id: String,
    /// The user.
    pub from: Recipient,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What stands for the new identity; a send can ask for it.
    pub hash: Option<String>,
}

/// What a user wants about marketing: the source of truth about consent at the provider.
///
/// Source: Meta, `user_preferences` webhook, read December 2025.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// The number that was told.
    pub number: NumberId,
    /// The user.
    pub recipient: Recipient,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What it is about, such as `marketing_messages`, as written.
    pub category: Option<String>,
    /// What the user wants.
    pub choice: PreferenceChoice,
}

open_names!(
    /// What a user wants about messages of a category.
    PreferenceChoice {
        /// No more of them.
        Stop = "stop",
        /// Again some of them.
        Resume = "resume",
        /// Some of them, by a link for signing up.
        Signup = "signup",
    }
);

impl fmt::Debug for IdentityChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityChange")
            .field("number", &self.number)
            .field("provider_id", &self.provider_id)
            .field("from", &self.from)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
