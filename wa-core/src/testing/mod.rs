//! For tests of stores, transports and of applications: suites, a manual clock, seeded randomness.
//!
//! [`store`], [`transport_suite`], [`webhook_suite`], [`billing`], [`notifier`] and [`check_clock`] prove
//! an implementation of a seam, clause by clause. [`ScriptedTransport`], [`ManualClock`] and
//! [`SeededEntropy`] stand in for the world. [`Driver`] runs a kit's engine on manual time.
//!
//! Not a stable part of the public interface.

pub mod billing;
mod clock;
mod collected;
#[cfg(feature = "engine")]
mod drive;
mod entropy;
mod item;
#[cfg(feature = "mutants")]
mod mutant;
pub mod notifier;
mod permit;
pub mod scope;
#[cfg(feature = "engine")]
pub mod simulation;
pub mod store;
mod transport;
pub mod transport_suite;
pub mod webhook_suite;

pub use clock::{ManualClock, check_clock};
pub use collected::Collected;
#[cfg(feature = "engine")]
pub use drive::Driver;
pub use entropy::SeededEntropy;
pub use item::begin_item;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use permit::{permit, quoting};
pub use transport::{Reply, ScriptedTransport, SentRequest};
