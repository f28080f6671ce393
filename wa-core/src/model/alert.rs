//! What goes wrong in bulk: failures, alerts about campaigns, and when they are raised.

use serde::{Deserialize, Serialize};

use super::attempt::RejectClass;
use super::ids::{CampaignId, MessageId};
use super::value::ValueError;

/// A message that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The message.
    pub message: MessageId,
    /// Its campaign, if it belongs to one.
    pub campaign: Option<CampaignId>,
    /// The provider's code, where it gave one.
    pub code: Option<i64>,
    /// What the code means.
    pub class: Option<RejectClass>,
    /// Whether it was tried again as often as it may be, for a failure that could have passed.
    pub critical: bool,
}

/// What was seen of a campaign that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alert", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CampaignAlert {
    /// More of its messages fail than the tenant's settings tolerate; told once per crossing.
    Failing {
        /// Messages that failed so far.
        failed: u64,
        /// Messages that were taken or failed so far.
        answered: u64,
    },
    /// It was paused: too many of its last messages failed for one reason.
    Paused {
        /// The reason, as counted: `failed:<code>`.
        reason: String,
        /// Messages that failed for it lately.
        failed: u64,
        /// Messages that were taken or failed lately.
        answered: u64,
    },
}

/// When somebody is told, and when a campaign is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertSettings {
    /// A campaign is failing when more than this per cent of its answered messages failed: 1 to 100.
    pub failing_percent: u8,
    /// But not before so many were answered: at least 1.
    pub failing_of: u32,
    /// A campaign is paused when so many of its latest messages failed for one reason; 0 for never.
    pub pause_failures: u32,
    /// And these are at least this per cent of the latest: 1 to 100.
    pub pause_percent: u8,
    /// How many answered messages "the latest" are about: 1 to 100,000.
    pub pause_window: u32,
    /// A message that was taken is silent when no status came for this long: 60 s to 30 days.
    pub silent_after_seconds: u32,
    /// A number is deaf when so many attempts in a row are silent; 0 for never.
    pub deaf_after: u32,
}

impl Default for AlertSettings {
    /// Failing: more than 50 % of at least 20. Paused: 20 of one kind and 30 % of the last hundred.
    /// Silent: after 15 minutes. Deaf: 10 in a row.
    fn default() -> Self {
        Self {
            failing_percent: 50,
            failing_of: 20,
            pause_failures: 20,
            pause_percent: 30,
            pause_window: 100,
            silent_after_seconds: 900,
            deaf_after: 10,
        }
    }
}

impl AlertSettings {
    /// The shortest time after which a message can be silent.
    pub const SHORTEST_SILENCE: u32 = 60;

    /// Checks the ranges.
    ///
    /// # Errors
    /// Which setting is out of range.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self {
            failing_percent,
            failing_of,
            pause_failures: _,
            pause_percent,
            pause_window,
            silent_after_seconds,
            deaf_after: _,
        } = self;
        let percents = [("alerts.failing_percent", failing_percent), ("alerts.pause_percent", pause_percent)];
        for (name, percent) in percents {
            if !(1..=100).contains(percent) {
                return Err(ValueError::new(name, "1 to 100 per cent"));
            }
        }
        if *failing_of == 0 {
            return Err(ValueError::new("alerts.failing_of", "at least 1"));
        }
        if !(1..=100_000).contains(pause_window) {
            return Err(ValueError::new("alerts.pause_window", "1 to 100,000 messages"));
        }
        if !(Self::SHORTEST_SILENCE..=30 * 86_400).contains(silent_after_seconds) {
            return Err(ValueError::new("alerts.silent_after_seconds", "60 seconds to 30 days"));
        }
        Ok(())
    }
}

/// Waits before retries that grow: `base × factor^k`, at most `cap`, shortened at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryBackoff {
    /// The wait before the first retry: 1 to 3,600 s.
    pub base_seconds: u32,
    /// By what each next one is longer: 1 to 10.
    pub factor: u8,
    /// The longest wait: the base to 86,400 s.
    pub cap_seconds: u32,
    /// Up to which per cent a wait may be shortened at random, so that messages that failed together do
    /// not come back together: 0 to 100. No wait is shorter than a second.
    pub jitter_percent: u8,
}

impl Default for RetryBackoff {
    /// 5 s, doubled each time up to 10 minutes, shortened by up to a half.
    fn default() -> Self {
        Self { base_seconds: 5, factor: 2, cap_seconds: 600, jitter_percent: 50 }
    }
}

impl RetryBackoff {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Which setting is out of range.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self { base_seconds, factor, cap_seconds, jitter_percent } = self;
        if !(1..=3_600).contains(base_seconds) {
            return Err(ValueError::new("retry_backoff.base_seconds", "1 to 3,600 seconds"));
        }
        if !(1..=10).contains(factor) {
            return Err(ValueError::new("retry_backoff.factor", "1 to 10"));
        }
        if !(*base_seconds..=86_400).contains(cap_seconds) {
            return Err(ValueError::new("retry_backoff.cap_seconds", "the base to 86,400 seconds"));
        }
        if *jitter_percent > 100 {
            return Err(ValueError::new("retry_backoff.jitter_percent", "0 to 100 per cent"));
        }
        Ok(())
    }
}
