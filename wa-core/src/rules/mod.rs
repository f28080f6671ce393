//! Pure decisions. Nothing here reads a clock, draws randomness, does I/O, logs or is `async`:
//! `now` and facts go in, a value that says what to do comes out.
//!
//! Stores call these rules inside their transactions, so that every store decides alike.

pub mod adapt;
pub mod address;
pub mod campaign;
pub mod classify;
pub mod consent;
pub mod conversation;
pub mod effects;
pub mod judge;
pub mod pair;
pub mod retry;
pub mod settle;
pub mod status;
pub mod tally;
pub mod throughput;
pub mod tier;
pub mod window;
