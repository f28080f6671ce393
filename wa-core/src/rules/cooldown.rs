//! The template cooldown: for some hours after a template, its recipient gets no other.
//!
//! What is exempt neither waits nor makes others wait.

use chrono::{DateTime, TimeDelta, Utc};

use super::touch::Touch;
use crate::model::{Category, Included, Lane, TemplateCooldown};

/// When the cooldown of a recipient ends; `None` when none holds for this template.
///
/// `touches` are newest first. The end itself is free.
///
/// ```
/// use chrono::TimeDelta;
/// use wa_core::model::{Category, Lane, TemplateCooldown, from_micros};
/// use wa_core::rules::{cooldown, touch::Touch};
/// let at = from_micros(1_790_000_000_000_000);
/// let touches = [Touch { at, category: Category::Utility, lane: Lane::Bulk }];
/// let ends = |now| {
///     cooldown::ends_at(&TemplateCooldown::default(), Category::Marketing, Lane::Bulk, &touches, now)
/// };
/// let end = at + TimeDelta::hours(12);
/// assert_eq!(ends(end - TimeDelta::microseconds(1)), Some(end));
/// assert_eq!(ends(end), None);
/// ```
#[must_use]
pub fn ends_at(
    cooldown: &TemplateCooldown,
    category: Category,
    lane: Lane,
    touches: &[Touch],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if is_exempt(cooldown, category, lane) {
        return None;
    }
    let last = touches.iter().find(|touch| !is_exempt(cooldown, touch.category, touch.lane))?;
    let lasts = TimeDelta::hours(i64::from(cooldown.hours));
    let end = last.at.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC);
    (now < end).then_some(end)
}

/// Whether a template of this category and lane has no part in the cooldown.
#[must_use]
pub const fn is_exempt(cooldown: &TemplateCooldown, category: Category, lane: Lane) -> bool {
    let by_category =
        matches!(category, Category::Authentication) && matches!(cooldown.authentication, Included::Exempt);
    let by_lane = matches!(lane, Lane::Transactional) && matches!(cooldown.transactional, Included::Exempt);
    by_category || by_lane
}
