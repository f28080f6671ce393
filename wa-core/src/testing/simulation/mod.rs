//! The engine in a simulated world: one seed gives one run, the same one every time.
//!
//! The real steps of the engine (worker, turns, gate, intake, sweep, scheduler) are polled by hand on
//! manual time, by one to three processes over the reference store, against a provider that keeps its
//! own truth. Each seed draws which faults strike and how often: calls on the store that fail before or
//! after they did what they should, or land late; requests that never leave, are refused, throttled, or
//! whose reply is lost; callbacks that come twice, late, in any order or not at all; processes that
//! die between two polls, stand still past their lease or have their clock set; power that fails; and
//! an operator who pauses, resumes, cancels, retries and repairs meanwhile.
//!
//! A run has two phases. While things go wrong every commit and every request is checked against what
//! came before it. Then nothing goes wrong any more, and everything must come to an end.
//!
//! What is not simulated: more than one tenant, quotas, budgets and prices, launches that are
//! interrupted, and stores other than the reference store.

mod audit;
mod dice;
mod fate;
mod hearing;
mod hub;
mod link;
mod look;
mod mark;
mod meta;
mod plan;
mod process;
mod trace;
mod webhook;
mod wire;
mod world;

use std::time::Duration;

pub use self::mark::{Mark, Marks};
pub use self::trace::Violation;

/// How runs are made.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Setup {
    /// Whether a run keeps its trace as lines.
    pub trace: bool,
    /// Nothing goes wrong but this: a process dies at its so-manieth opportunity, counted from 1 over all
    /// processes. Opportunities are before a call on the store or a request is made, and after its answer
    /// came.
    pub crash_at: Option<u64>,
    /// What is broken in the engine or the store.
    #[cfg(feature = "mutants")]
    pub mutant: Option<super::Mutant>,
}

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How often something was done.
    pub steps: u64,
    /// How often a process could have died between two polls of a step.
    pub opportunities: u64,
    /// How much time passed in it.
    pub span: Duration,
    /// A number that stands for everything that happened.
    pub hash: u64,
    /// Promises that were not kept, at most 20.
    pub violations: Vec<Violation>,
    /// What it met.
    pub marks: Marks,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// Many runs.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// How many runs were made.
    pub seeds: u64,
    /// How often something was done.
    pub steps: u64,
    /// How much time passed in them.
    pub span: Duration,
    /// What they met.
    pub marks: Marks,
    /// The runs in which a promise was not kept, each with the first one.
    pub failures: Vec<(u64, Violation)>,
}

/// Makes the run of a seed.
///
/// ```
/// use wa_core::testing::simulation::{Setup, simulate};
/// let report = simulate(7, &Setup::default());
/// assert!(report.violations.is_empty(), "{report:?}");
/// ```
#[must_use]
pub fn simulate(seed: u64, setup: &Setup) -> Report {
    world::World::new(seed, setup).run()
}

impl Totals {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.steps += report.steps;
        self.span += report.span;
        self.marks.add(&report.marks);
        self.failures.extend(report.violations.first().map(|first| (report.seed, first.clone())));
    }

    /// Adds other runs.
    pub fn join(&mut self, other: Self) {
        let Self { seeds, steps, span, marks, failures } = other;
        self.seeds += seeds;
        self.steps += steps;
        self.span += span;
        self.marks.add(&marks);
        self.failures.extend(failures);
    }

    /// The marks that no run has met.
    #[must_use]
    pub fn missed(&self) -> Vec<Mark> {
        self.marks.iter().filter(|(_, count)| *count == 0).map(|(mark, _)| mark).collect()
    }
}
