//! Transports for wa-kit, each behind the feature of its name.

#[cfg(feature = "simulator")]
pub mod simulator;
