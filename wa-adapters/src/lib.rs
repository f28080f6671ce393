//! Transports for wa-kit: one room per provider, all with the same files.
//!
//! Invariant: an adapter translates between its provider and `wa_core::model`; it decides nothing
//! that another provider's adapter would decide the same way. The simulator is no adapter but the
//! judge of one: it shares nothing with them.

#[cfg(feature = "cloud")]
pub mod cloud;
#[cfg(feature = "simulator")]
pub mod simulator;
