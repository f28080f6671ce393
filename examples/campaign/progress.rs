//! The progress bar; only a terminal sees it.

use indicatif::{ProgressBar, ProgressStyle};
use wa_kit::model::CampaignCounts;

/// One bar that goes through import, launch and sending.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar on stderr, hidden when that is no terminal or `hidden` is set.
    pub(crate) fn new(hidden: bool) -> Self {
        let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style = ProgressStyle::with_template("{msg:<10} [{bar:30}] {pos}/{len}  {per_sec}  ETA {eta}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// A step whose length is not known.
    pub(crate) fn count(&self, step: &'static str, done: u64) {
        self.0.set_message(step);
        self.0.set_length(done);
        self.0.set_position(done);
    }

    /// Starts to count messages.
    pub(crate) fn sending(&self, counts: &CampaignCounts) {
        self.0.reset();
        self.0.set_message("sending");
        self.0.set_length(counts.audience);
        self.0.set_position(counts.audience - counts.pending);
        self.0.reset_eta();
    }

    /// Shows how far the campaign is.
    pub(crate) fn show(&self, counts: &CampaignCounts) {
        let left = counts.pending + counts.attempting;
        self.0.set_message(if left > 0 { "sending" } else { "statuses" });
        self.0.set_position(counts.audience - left);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
