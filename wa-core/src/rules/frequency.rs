//! The frequency cap: at most so many messages of some categories to one recipient in so many days,
//! over all campaigns and numbers of a tenant.

use chrono::{DateTime, TimeDelta, Utc};

use super::touch::Touch;
use crate::model::{Category, FrequencyCap};

/// When the cap lets one more message of this category go; `None` when it does now.
///
/// `touches` are newest first. A message counts until exactly `days` times 24 hours after its begin.
#[must_use]
pub fn frees_up_at(
    cap: &FrequencyCap,
    category: Category,
    touches: &[Touch],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if !cap.categories.contains(&category) {
        return None;
    }
    let mut counted = touches.iter().filter(|touch| cap.categories.contains(&touch.category));
    // The oldest of the latest `times` messages: once it counts no more, there is room for one.
    let oldest = counted.nth(usize::from(cap.times).saturating_sub(1))?;
    let span = TimeDelta::days(i64::from(cap.days));
    let end = oldest.at.checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC);
    (now < end).then_some(end)
}
