//! The rules, seams, engine and reference store of wa-kit.
//!
//! Applications use the facade crate `wa-kit`; integrators who write an own transport, store,
//! billing or notifier depend on this crate for the seams in [`port`] and prove their work with
//! the suites of `testing` (feature `testing`).

#[cfg(feature = "engine")]
mod engine;
pub mod memory;
pub mod model;
pub mod port;
pub mod rules;
#[cfg(feature = "engine")]
pub mod service;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
