//! What happened in a run: a number that two equal runs share, marks, violations, and lines to read.

use std::time::Duration;

use super::mark::Marks;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise, by its number in the list of promises.
    pub promise: &'static str,
    /// When, counted from the start of the run.
    pub at: Duration,
    /// What was seen.
    pub what: String,
}

/// How many violations of one run are kept.
const MOST: usize = 20;

/// What happened in a run.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) marks: Marks,
    pub(super) violations: Vec<Violation>,
    pub(super) lines: Option<Vec<String>>,
    pub(super) hash: u64,
}

impl Trace {
    pub(super) fn new(seed: u64, readable: bool) -> Self {
        let lines = readable.then(Vec::new);
        Self { marks: Marks::default(), violations: Vec::new(), lines, hash: mix(seed) }
    }

    /// Writes a line for whoever reads the trace.
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub(super) fn note(&mut self, at: Duration, kind: &'static str, one: u64, other: u64) {
        let at_micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        for word in [at_micros, name(kind), one, other] {
            self.hash = mix(self.hash ^ word);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6} {kind} {one} {other}", at.as_secs_f64()));
        }
    }

    pub(super) fn violated(&mut self, promise: &'static str, at: Duration, what: String) {
        self.note(at, promise, 0, 0);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6} VIOLATION {promise}: {what}", at.as_secs_f64()));
        }
        if self.violations.len() < MOST {
            self.violations.push(Violation { promise, at, what });
        }
    }
}

/// Spreads the bits of a word (the end of `SplitMix64`).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn name(kind: &str) -> u64 {
    kind.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
