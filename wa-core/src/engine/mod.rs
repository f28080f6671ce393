//! The engine: steps that fetch, ask the rules, perform and persist.
//!
//! A step neither sleeps nor spawns and names no item of an async runtime. [`Worker`] says which
//! [`Job`]s should run now and which permits may leave; whoever drives it runs them and hands the
//! results back. `runner` drives it with tokio; tests drive it single-threaded on manual time.

mod config;
#[cfg(feature = "engine")]
mod events;
mod gate;
mod intake;
mod job;
mod notices;
mod planner;
mod ports;
#[cfg(feature = "engine")]
mod runner;
mod signal;
mod turn;
mod worker;

pub use config::{ConfigError, EngineConfig};
#[cfg(feature = "engine")]
pub use events::EventStream;
#[cfg(feature = "engine")]
pub use runner::{Running, StopReport};
pub use worker::WorkerStatus;

pub(crate) use intake::{Intake, IntakeRequest};
pub(crate) use job::entitle;
pub(crate) use ports::Ports;
#[cfg(feature = "engine")]
pub(crate) use runner::{Signals, start};
pub(crate) use signal::Signal;
pub(crate) use worker::Worker;

#[cfg(test)]
mod tests;
