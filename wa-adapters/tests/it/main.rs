//! Integration tests of the adapters: everything that needs a socket, Meta's own files or many messages.

#[cfg(all(test, feature = "cloud"))]
mod cloud;
#[cfg(all(test, feature = "simulator"))]
mod simulator;
