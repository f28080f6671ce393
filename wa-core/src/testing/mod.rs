//! For tests of stores, transports and of applications: suites, a manual clock, seeded randomness.
//!
//! [`store`], [`transport_suite`], [`webhook_suite`], [`billing`], [`notifier`] and [`check_clock`] prove
//! an implementation of a seam, clause by clause. [`ScriptedTransport`], [`ManualClock`] and
//! [`SeededEntropy`] stand in for the world.
//!
//! Not a stable part of the public interface.

pub mod billing;
mod clock;
mod entropy;
pub mod notifier;
mod permit;
pub mod scope;
pub mod store;
mod transport;
pub mod transport_suite;
pub mod webhook_suite;

pub use clock::{ManualClock, check_clock};
pub use entropy::SeededEntropy;
pub use permit::{permit, quoting};
pub use transport::{Reply, ScriptedTransport, SentRequest};
