//! The adapters, driven over real sockets.

#[cfg(feature = "simulator")]
mod simulator;
