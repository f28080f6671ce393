//! What is proved of the stores from outside the crate.

mod conformance;
