//! The integration tests of wa-core, in one binary.

mod clauses;
mod conformance;
mod seams;
