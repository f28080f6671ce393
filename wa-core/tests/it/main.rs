//! The integration tests of wa-core, as one binary.

mod rules;
