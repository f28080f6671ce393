//! For tests of stores, transports and of applications: suites, a manual clock, seeded randomness.
//!
//! [`store`], [`billing`], [`notifier`] and [`check_clock`] prove an implementation of a seam, clause by
//! clause. [`ScriptedTransport`], [`ManualClock`] and [`SeededEntropy`] stand in for the world.
//! There is no suite of the Transport seam here: its clauses need a provider that misbehaves on a
//! real socket.
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

pub use clock::{ManualClock, check_clock};
pub use entropy::SeededEntropy;
pub use permit::permit;
pub use transport::{Reply, ScriptedTransport, SentRequest};
