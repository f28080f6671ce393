//! What only the `SQLite` store has, and the protocol as far as its tables make it delicate.
//!
//! The clauses that every store keeps are proved by the suites of `wa_core::testing`.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails as a test does")]

mod audience;
mod file;
mod group;
mod inbox;
mod invariants;
mod lease;
mod protocol;
mod scale;
mod world;
