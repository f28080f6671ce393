//! For tests of stores, transports and of applications: suites, a manual clock, seeded randomness.
//!
//! Not a stable part of the public interface.

mod clock;
mod entropy;
mod permit;
pub mod scope;
pub mod store;
mod transport;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use permit::permit;
pub use transport::{Reply, ScriptedTransport, SentRequest};
