//! What the suite of `wa_core::testing` proves of both stores, what only one of them has, and
//! the protocol as far as its tables make it delicate.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails as a test does")]

mod audience;
mod backup;
mod conformance;
mod doctor;
mod file;
mod group;
mod inbox;
mod invariants;
mod kill;
mod lease;
mod ledger;
mod model;
mod postgres;
mod protocol;
mod restored;
mod scale;
mod schedules;
mod transaction;
mod workers;
mod world;
