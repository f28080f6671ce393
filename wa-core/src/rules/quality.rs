//! What a number's quality rating does to marketing.

use crate::model::{Category, Quality, QualityPolicy, WhenRed};

/// Whether a message of this category waits for a better rating.
#[must_use]
pub const fn holds(policy: &QualityPolicy, quality: Quality, category: Category) -> bool {
    match (quality, category, policy.red) {
        (Quality::Red, Category::Marketing, WhenRed::Hold) => true,
        (Quality::Red, Category::Marketing, WhenRed::Slow)
        | (Quality::Red, Category::Utility | Category::Authentication | Category::Service, _)
        | (Quality::Green | Quality::Yellow | Quality::Unknown, _, _) => false,
    }
}

/// The share of the throughput that marketing may use, in percent.
///
/// On red it is that of yellow: either nothing begins, or the tenant wants it slow.
#[must_use]
pub const fn marketing_percent(policy: &QualityPolicy, quality: Quality) -> u8 {
    match quality {
        Quality::Green | Quality::Unknown => 100,
        Quality::Yellow | Quality::Red => policy.yellow_percent,
    }
}
