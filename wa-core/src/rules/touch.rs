//! What a recipient got lately, as cooldown and frequency cap look at it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Category, Lane, TenantSettings};

/// A template that was begun to a recipient and not given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// The category of what went.
    pub category: Category,
    /// The lane that it took.
    pub lane: Lane,
}

/// How far back a tenant's settings look; `None` when nothing looks back.
///
/// A touch that lies exactly so long ago does not matter any more.
#[must_use]
pub fn reach(settings: &TenantSettings) -> Option<TimeDelta> {
    let cooldown = settings.template_cooldown.map(|it| TimeDelta::hours(i64::from(it.hours)));
    let cap = settings.frequency_cap.as_ref().map(|it| TimeDelta::days(i64::from(it.days)));
    cooldown.max(cap)
}
