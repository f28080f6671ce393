//! What keeps a message from leaving sooner than it does.

use serde::{Deserialize, Serialize};

use super::message::names;

/// The limit of a number's pace that a message waits for. What keeps it from being begun at all is a
/// [`HoldReason`](super::HoldReason).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PaceLimit {
    /// The messages a second that the provider takes from the number.
    Throughput,
    /// The pause after the provider refused messages because there were too many.
    BackOff,
    /// The number was just taken over from another worker, or kept a message from leaving.
    Handover,
    /// The gap between two messages of the number.
    Gap,
    /// The share of the throughput that the bulk lane has.
    BulkShare,
    /// The share that marketing has while the number's quality is not good.
    MarketingShare,
    /// The campaign's own rate.
    CampaignRate,
    /// The rate of one number to one recipient.
    PairRate,
}

names!(PaceLimit {
    Throughput = "throughput",
    BackOff = "back_off",
    Handover = "handover",
    Gap = "gap",
    BulkShare = "bulk_share",
    MarketingShare = "marketing_share",
    CampaignRate = "campaign_rate",
    PairRate = "pair_rate",
});
