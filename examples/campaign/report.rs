//! What became of the campaign, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use wa_kit::cloud;
use wa_kit::model::{CampaignCounts, ImportProgress};

/// The numbers of a report; counts are the campaign's, times are this run's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) campaign: String,
    pub(crate) store: Option<String>,
    pub(crate) import: Option<ImportProgress>,
    pub(crate) counts: CampaignCounts,
    pub(crate) elapsed: Duration,
    /// Messages that this run got accepted, and the time from its first send to its last.
    pub(crate) sends: u64,
    pub(crate) sending: Duration,
    pub(crate) commits: u64,
    pub(crate) dry_run: bool,
}

impl Report {
    fn rows(&self) -> (u64, u64, u64) {
        let import = self.import.as_ref();
        import.map_or((0, 0, 0), |it| (it.records, it.invalid, it.duplicates))
    }

    /// Who belongs to the campaign: frozen, or on the list and not frozen yet.
    fn audience(&self) -> u64 {
        self.import.as_ref().map_or(self.counts.audience, |it| it.added).max(self.counts.audience)
    }

    /// Everything that waits or is under way.
    fn pending(&self) -> u64 {
        let not_frozen = self.audience() - self.counts.audience;
        self.counts.pending + self.counts.attempting + not_frozen
    }

    fn reasons(&self) -> BTreeMap<&str, u64> {
        let short = |key: &'_ str| key.split_once(':').map_or(0, |(kind, _)| kind.len() + 1);
        let reasons = self.counts.reasons.iter();
        reasons.map(|(key, count)| (key.get(short(key)..).unwrap_or(key), *count)).collect()
    }

    fn cost(&self) -> (&str, i64) {
        self.counts.cost.iter().next().map_or(("USD", 0), |(currency, micros)| (currency, *micros))
    }

    fn per_second(&self) -> u64 {
        let millis = u64::try_from(self.sending.as_millis()).unwrap_or(u64::MAX).max(1);
        self.sends.saturating_mul(1_000) / millis
    }

    /// One object on one line.
    pub(crate) fn to_json(&self) -> String {
        let (rows, invalid, duplicates) = self.rows();
        let (currency, micros) = self.cost();
        let counts = &self.counts;
        json!({
            "campaign": self.campaign,
            "rows": rows,
            "invalid": invalid,
            "duplicates": duplicates,
            "audience": self.audience(),
            "accepted": counts.accepted,
            "sent": counts.sent,
            "delivered": counts.delivered,
            "read": counts.read,
            "failed": counts.failed,
            "in_doubt": counts.in_doubt,
            "skipped": counts.skipped,
            "pending": self.pending(),
            "cost": { "currency": currency, "micros": micros },
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "sends_per_second": self.per_second(),
            "retries": counts.retries,
            "commits": self.commits,
            "peak_memory_kb": peak_memory_kb(),
            "reasons": self.reasons(),
        })
        .to_string()
    }

    /// A table that a person can read.
    pub(crate) fn to_text(&self) -> String {
        let (rows, invalid, duplicates) = self.rows();
        let counts = &self.counts;
        let mut text = String::new();
        let title = if self.dry_run { "Dry run of campaign" } else { "Campaign" };
        let mut line = |label: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "  {label:<12} {value:>9}");
        };
        line("rows", &rows);
        line("  invalid", &invalid);
        line("  duplicates", &duplicates);
        line("audience", &self.audience());
        line("  accepted", &counts.accepted);
        line("    sent", &counts.sent);
        line("    delivered", &counts.delivered);
        line("    read", &counts.read);
        line("  failed", &counts.failed);
        line("  in doubt", &counts.in_doubt);
        line("  skipped", &counts.skipped);
        line("  pending", &self.pending());
        let mut text = format!("{title} {:?}\n{text}", self.campaign);
        for (reason, count) in self.reasons() {
            let advice = reason.parse().map_or("", cloud::advice);
            let _ = writeln!(
                text,
                "  {count:>9} × {reason}{}{advice}",
                if advice.is_empty() { "" } else { ": " }
            );
        }
        let (currency, micros) = self.cost();
        let _ = writeln!(
            text,
            "  cost         {}.{:06} {currency}, estimated at Meta's list prices of 1 October 2026 for the market \"Other\"",
            micros / 1_000_000,
            micros % 1_000_000,
        );
        if counts.in_doubt > 0 {
            text.push_str("  In doubt: the answer was lost, so nobody knows whether these were sent. They are not sent again.\n");
        }
        let seconds = self.elapsed.as_millis();
        let _ = writeln!(
            text,
            "  time         {}.{:03} s, {} messages/s, {} retries, {} commits, peak memory {} kB",
            seconds / 1_000,
            seconds % 1_000,
            self.per_second(),
            counts.retries,
            self.commits,
            peak_memory_kb(),
        );
        if let Some(store) = &self.store {
            let _ = writeln!(text, "  store        {store}");
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// The most memory that this process had in use, as the kernel counts it; 0 where it does not say.
pub(crate) fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|rest| rest.split_whitespace().next()).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
