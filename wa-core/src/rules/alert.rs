//! When a campaign that fails is told about, and when it is paused for it.
//!
//! Everything is counted from the campaign's own counts, so it costs nothing while nothing fails: a
//! look is taken only when messages have just failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{AlertSettings, CampaignAlert, CampaignCounts};

/// What is remembered of a campaign between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// Whether it was failing at the last look.
    pub failing: bool,
    /// The last alert, if there was any.
    pub last: Option<CampaignAlert>,
    /// Answered messages at the mark from which "the latest" are counted.
    pub answered: u64,
    /// Failed messages at the mark, by reason.
    pub reasons: BTreeMap<String, u64>,
}

/// What a look is taken at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The campaign's counts after what just happened.
    pub counts: &'a CampaignCounts,
    /// Messages that just failed, by reason.
    pub fresh: &'a BTreeMap<String, u64>,
    /// By how much the number of answered messages just changed.
    pub answered: i64,
}

/// What a look leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// To be remembered.
    pub meter: Meter,
    /// To be told, in this order. The campaign is paused with an alert of the kind `Paused`.
    pub alerts: Vec<CampaignAlert>,
}

/// Looks at a campaign some of whose messages just failed.
///
/// Failing is told when the share of failures crosses the limit, and again only after it was below.
/// "The latest" are counted from a mark that moves on once `pause_window` messages were answered
/// behind it, and after each pause: so twenty failures in a row are seen at the twentieth.
#[must_use]
pub fn look(meter: Meter, look: &Look<'_>, settings: &AlertSettings) -> Seen {
    let Look { counts, fresh, answered: change } = look;
    let Meter { failing: was_failing, mut last, answered: mut mark, reasons: mut marked } = meter;
    let answered = counts.accepted.saturating_add(counts.failed);
    let mut alerts = Vec::new();

    let failing = answered >= u64::from(settings.failing_of)
        && more_than(counts.failed, settings.failing_percent, answered);
    if failing && !was_failing {
        alerts.push(CampaignAlert::Failing { failed: counts.failed, answered });
    }

    let before = answered.saturating_add_signed(change.saturating_neg());
    if before.saturating_sub(mark) >= u64::from(settings.pause_window) {
        mark = before;
        marked = failures(counts)
            .map(|(reason, n)| {
                let fresh = fresh.get(reason).copied().unwrap_or(0);
                (reason.clone(), n.saturating_sub(fresh))
            })
            .collect();
    }
    let lately = answered.saturating_sub(mark);
    let worst = failures(counts)
        .filter(|(reason, _)| fresh.contains_key(*reason))
        .map(|(reason, n)| (n.saturating_sub(marked.get(reason).copied().unwrap_or(0)), reason))
        .max();
    if let Some((failed, reason)) = worst
        && settings.pause_failures > 0
        && failed >= u64::from(settings.pause_failures)
        && !less_than(failed, settings.pause_percent, lately)
    {
        alerts.push(CampaignAlert::Paused { reason: reason.clone(), failed, answered: lately.max(failed) });
        mark = answered;
        marked = failures(counts).map(|(reason, n)| (reason.clone(), n)).collect();
    }
    last = alerts.last().cloned().or(last);
    Seen { meter: Meter { failing, last, answered: mark, reasons: marked }, alerts }
}

fn failures(counts: &CampaignCounts) -> impl Iterator<Item = (&String, u64)> {
    counts.reasons.iter().filter(|(reason, _)| reason.starts_with("failed:")).map(|(reason, n)| (reason, *n))
}

fn more_than(part: u64, percent: u8, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(percent) * u128::from(whole)
}

fn less_than(part: u64, percent: u8, whole: u64) -> bool {
    u128::from(part) * 100 < u128::from(percent) * u128::from(whole)
}
