//! Templates as their provider last spoke of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::content::Category;
use super::inbound::TemplateEvent;
use super::session::{Quality, TransportName};
use super::template::{LanguageCode, TemplateName};

/// Which template of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TemplateKey {
    /// The transport through which it was heard of.
    pub transport: TransportName,
    /// The provider's id of its account.
    pub account: String,
    /// Its name.
    pub name: TemplateName,
    /// Its language.
    pub language: LanguageCode,
}

/// What is known of a template: each part as of the latest event about it, by the provider's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRecord {
    /// Which.
    pub key: TemplateKey,
    /// What happened to it last, and when.
    pub status: Option<(DateTime<Utc>, TemplateEvent)>,
    /// Why, as the provider wrote it.
    pub reason: Option<String>,
    /// Its rating, and since when.
    pub quality: Option<(DateTime<Utc>, Quality)>,
    /// Its category, and since when. What is only announced is not here.
    pub category: Option<(DateTime<Utc>, Category)>,
    /// When its parts were last edited.
    pub edited_at: Option<DateTime<Utc>>,
}

impl TemplateRecord {
    /// A template of which nothing is known.
    #[must_use]
    pub const fn new(key: TemplateKey) -> Self {
        Self { key, status: None, reason: None, quality: None, category: None, edited_at: None }
    }
}
