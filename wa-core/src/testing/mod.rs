//! For tests of stores, transports and of applications: suites, a manual clock, seeded randomness.
//!
//! [`store`], [`transport_suite`], [`webhook_suite`], [`billing`], [`notifier`] and [`clock_cases`] prove
//! an implementation of a seam, clause by clause: each has a list of its `cases`, checks one of them by its
//! name, and makes a test of each by a macro. [`ScriptedTransport`], [`ManualClock`] and [`SeededEntropy`]
//! stand in for the world. [`Driver`] runs a kit's engine on manual time.
//!
//! The suites are themselves proved. With the feature `mutants`, `Mutant` names engines that break the
//! protocol, which the simulation finds, and `Flaw` names stores that are wrong in one small way, each
//! with the clauses that tell it.
//!
//! Not a stable part of the public interface.

pub mod billing;
mod clock;
mod collected;
#[cfg(feature = "engine")]
mod drive;
mod entropy;
#[cfg(feature = "mutants")]
mod flaw;
mod item;
#[cfg(feature = "mutants")]
mod mutant;
pub mod notifier;
mod permit;
pub mod scope;
#[cfg(feature = "engine")]
pub mod simulation;
pub mod store;
mod suite;
mod transport;
pub mod transport_suite;
pub mod webhook_suite;

pub use clock::{ClockCase, ManualClock, check_clock, clock_cases};
pub use collected::Collected;
#[cfg(feature = "engine")]
pub use drive::Driver;
pub use entropy::SeededEntropy;
#[cfg(feature = "mutants")]
pub use flaw::Flaw;
pub use item::begin_item;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use permit::{permit, quoting};
pub use transport::{Reply, ScriptedTransport, SentRequest};
