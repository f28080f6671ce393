//! Integration tests of the adapters: everything that needs a socket, Meta's own files or many messages.

#[cfg(test)]
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(test)]
#[cfg(feature = "simulator")]
mod simulator;
