//! The rules, seams, engine and reference store of wa-kit.
//!
//! Applications use the facade crate `wa-kit`; integrators who write an own transport, store,
//! billing or notifier depend on this crate for the seams in [`port`] and prove their work with
//! the suites of `testing` (feature `testing`).
//!
//! - [`model`]: values that are valid once made.
//! - [`rules`]: pure decisions over these values.
//! - [`port`]: the seams, with their contracts: transport, store, webhooks, billing, notifier, clock.
//! - [`memory`]: the reference store.
//! - `service` (feature `engine`): what an embedder calls, on an engine of steps that is not public.
//! - `testing` (feature `testing`): suites, a manual clock, a driver for an engine on manual time.

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
