//! What only the `SQLite` store has, and the protocol as far as its tables make it delicate.
//!
//! The clauses that every store keeps are proved by the suites of `wa_core::testing`.

mod audience;
mod file;
mod group;
mod inbox;
mod lease;
mod protocol;
mod scale;
mod world;
