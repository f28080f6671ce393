//! What a provider decides about templates. These events name the account, not a number.
//!
//! Source: Meta, Webhooks reference, `message_template_*` and `template_category_update`, read
//! December 2025.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::body::JsonText;
use super::open::open_names;
use crate::model::content::Category;
use crate::model::session::Quality;
use crate::model::template::{LanguageCode, TemplateName};

/// Which template an event is about; a part that is missing or not readable is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TemplateRef {
    /// The provider's id.
    pub id: Option<String>,
    /// The name.
    pub name: Option<TemplateName>,
    /// The language.
    pub language: Option<LanguageCode>,
}

/// A template was approved, rejected, paused, or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateStatus {
    /// The provider's id of the account.
    pub account: String,
    /// The template.
    pub template: TemplateRef,
    /// Its category, where the provider says so.
    pub category: Option<Category>,
    /// What happened.
    pub event: TemplateEvent,
    /// Why, such as `INVALID_FORMAT`, as written; `None` where there is no reason.
    pub reason: Option<String>,
    /// More about it: `FIRST_PAUSE`, `SECOND_PAUSE`, `RATE_LIMITING_PAUSE`, `UNPAUSE`, `DISABLED`, as written.
    pub title: Option<String>,
    /// More about it, in the provider's words.
    pub description: Option<String>,
    /// What to do about a rejection, in the provider's words.
    pub recommendation: Option<String>,
    /// When it was or will be disabled, as written.
    pub disable_date: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// The rating of a template changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateQuality {
    /// The provider's id of the account.
    pub account: String,
    /// The template.
    pub template: TemplateRef,
    /// The rating before.
    pub previous: Option<Quality>,
    /// The rating now.
    pub new: Quality,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// The category of a template changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateCategoryChange {
    /// The provider's id of the account.
    pub account: String,
    /// The template.
    pub template: TemplateRef,
    /// The category before the change, where the provider says so.
    pub from: Option<Category>,
    /// The category after the change.
    pub to: Category,
    /// Whether the change has happened. If not, it is announced, and routes and prices stay as they are.
    pub is_final: bool,
    /// When an announced change happens.
    pub effective_at: Option<DateTime<Utc>>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// The parts of a template were edited.
#[derive(Clone, PartialEq, Eq)]
pub struct TemplateComponents {
    /// The provider's id of the account.
    pub account: String,
    /// The template.
    pub template: TemplateRef,
    /// The text of the header.
    pub title: Option<String>,
    /// The text of the body.
    pub body: Option<String>,
    /// The text of the footer.
    pub footer: Option<String>,
    /// The list of buttons, as the provider wrote it.
    pub buttons: Option<JsonText>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

open_names!(
    /// What happened to a template.
    TemplateEvent {
        /// It may be used.
        Approved = "approved",
        /// It may not be used.
        Rejected = "rejected",
        /// It is looked at.
        Pending = "pending",
        /// It may not be used for some hours, because of its rating.
        Paused = "paused",
        /// It will be disabled unless its rating gets better.
        Flagged = "flagged",
        /// It may not be used any more.
        Disabled = "disabled",
        /// It may be used again.
        Reinstated = "reinstated",
        /// It was put aside.
        Archived = "archived",
        /// It was taken back from the archive.
        Unarchived = "unarchived",
        /// It cannot be edited.
        Locked = "locked",
        /// The account has too many.
        LimitExceeded = "limit_exceeded",
        /// A decision about it is being appealed.
        InAppeal = "in_appeal",
        /// It was deleted.
        Deleted = "deleted",
        /// It is being deleted.
        PendingDeletion = "pending_deletion",
    }
);

impl fmt::Debug for TemplateComponents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateComponents")
            .field("account", &self.account)
            .field("template", &self.template)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
