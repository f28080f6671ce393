//! What is proved from outside the crate: the contracts' clauses, the suites on the reference
//! store, the rules' claims, and that what must be pure is pure.

mod clauses;
mod conformance;
#[cfg(feature = "mutants")]
mod flaws;
mod preflight;
mod rules;
mod runner;
mod seams;
mod simulation;
