//! What the benches share: medians, lines of figures, and what a process has used.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Duration;

use serde_json::{Map, Value};

pub(crate) type Anyhow = Box<dyn std::error::Error + Send + Sync>;

/// The middle one of some figures, the later one of the middle two of an even number; 0 of none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Events a second.
pub(crate) fn rate(events: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let events = events as f64;
    events / took.as_secs_f64().max(1e-9)
}

/// A sum divided evenly.
pub(crate) fn per(sum: u64, of: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let (sum, of) = (sum as f64, of.max(1) as f64);
    sum / of
}

/// One measurement: its name and shape, and its figures.
#[derive(Debug, Default)]
pub(crate) struct Line(Map<String, Value>);

impl Line {
    pub(crate) fn new(bench: &str) -> Self {
        Self::default().with("bench", bench)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// A figure with three digits behind the point.
    #[must_use]
    pub(crate) fn figure(self, name: &str, value: f64) -> Self {
        self.with(name, (value * 1_000.0).round() / 1_000.0)
    }

    /// Prints it as one object, or as words.
    pub(crate) fn print(self, json: bool) {
        if json {
            println!("{}", Value::Object(self.0));
            return;
        }
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            })
            .collect();
        println!("{}", words.join(", "));
    }
}

/// What this process has used, as the system counts it (Linux; elsewhere nothing is known).
pub(crate) mod used {
    use std::time::Duration;

    /// Time on the processors, in user and system mode, of all threads; a hundredth of a second exact.
    pub(crate) fn cpu() -> Option<Duration> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the name, which may hold anything: fields 14 and 15 of the whole.
        let rest = stat.rsplit_once(')')?.1;
        let mut fields = rest.split_whitespace().skip(11);
        let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        // USER_HZ is 100 on every Linux that Rust runs on.
        Some(Duration::from_millis(ticks * 10))
    }

    /// Microseconds that each event took since [`cpu`] gave this.
    pub(crate) fn cpu_each(since: Option<Duration>, events: u64) -> Option<f64> {
        let micros = (cpu()? - since?).as_micros();
        Some(super::per(u64::try_from(micros).unwrap_or(u64::MAX), events))
    }

    /// The most memory that was in use since [`forget_peak`], in KiB.
    pub(crate) fn peak_kib() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Lets the peak begin anew.
    pub(crate) fn forget_peak() {
        // Where this is not allowed the peak is that of the whole process, which is only more.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}
