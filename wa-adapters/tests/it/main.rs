//! Integration tests of the adapters: everything that needs a socket, Meta's own files or many messages.

#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "simulator")]
mod simulator;
