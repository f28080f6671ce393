//! How fast a number may go, beside the limits that its transport and provider set.

use super::quality;
use crate::model::{GapSetting, Session, TenantSettings, Throughput};

/// What a store knows of a number's pace; the planner obeys it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages a second.
    pub throughput: Throughput,
    /// The share of it that marketing may use, in percent: 1 to 100.
    pub marketing_percent: u8,
    /// The pause between two messages.
    pub gap: GapSetting,
}

impl Default for Pace {
    /// What a number has of which nothing is known.
    fn default() -> Self {
        Self { throughput: Throughput::DEFAULT, marketing_percent: 100, gap: GapSetting::Transport }
    }
}

/// The pace of a session.
#[must_use]
pub fn of(session: &Session, settings: &TenantSettings) -> Pace {
    Pace {
        throughput: session.throughput,
        marketing_percent: quality::marketing_percent(&settings.quality, session.quality),
        gap: session.settings.gap,
    }
}
