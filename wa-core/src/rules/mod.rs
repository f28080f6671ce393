//! Pure decisions. Nothing here reads a clock, draws randomness, does I/O, logs or is `async`:
//! `now` and facts go in, a value that says what to do comes out.
//!
//! Stores call these rules inside their transactions, so that every store decides alike.

pub mod adapt;
pub mod advice;
pub mod alert;
pub mod campaign;
pub mod classify;
pub mod consent;
pub mod failure;
pub mod judge;
pub mod pair;
pub mod redrive;
pub mod retry;
pub mod settle;
pub mod silence;
pub mod status;
pub mod tally;
pub mod throughput;
pub mod tier;
pub mod window;
