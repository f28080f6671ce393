//! Pure decisions. Nothing here reads a clock, draws randomness, does I/O, logs or is `async`:
//! `now` and facts go in, a value that says what to do comes out.
//!
//! Stores call these rules inside their transactions, so that every store decides alike.

pub mod adapt;
pub mod campaign;
pub mod civil;
pub mod classify;
pub mod consent;
pub mod judge;
pub mod pair;
pub mod quiet;
pub mod recur;
pub mod retry;
pub mod schedule;
pub mod sendable;
pub mod settle;
pub mod status;
pub mod tally;
pub mod template_lint;
pub mod throughput;
pub mod tier;
pub mod window;
pub mod zones;
