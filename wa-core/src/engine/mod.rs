//! The engine: steps that fetch, ask the rules, perform and persist.
//!
//! A step neither sleeps nor spawns and names no item of an async runtime. [`Worker`] says which
//! [`Job`]s should run now and which permits may leave; whoever drives it runs them and hands the
//! results back. `runner` drives it with tokio; tests drive it single-threaded on manual time.

mod config;
mod entitle;
mod events;
mod gate;
mod intake;
mod job;
#[cfg(feature = "mutants")]
mod mutants;
mod notices;
mod overheard;
mod planner;
mod ports;
mod question;
mod runner;
mod scheduler;
mod signal;
mod turn;
mod worker;

pub use config::{ConfigError, EngineConfig};
pub use events::EventStream;
pub(crate) use events::look_until;
pub use runner::{Running, StopReport};
pub use worker::WorkerStatus;

pub(crate) use entitle::entitle;
pub(crate) use intake::{Intake, IntakeRequest};
pub(crate) use job::{Done, Job, Leased};
#[cfg(feature = "testing")]
pub(crate) use notices::Notices;
#[cfg(feature = "testing")]
pub(crate) use overheard::News;
pub(crate) use ports::{Ports, draw};
pub(crate) use question::{Asked, Question, Room, look_back};
pub(crate) use runner::{Signals, start};
pub(crate) use signal::Signal;
pub(crate) use turn::{BatchDone, BatchOutcome, PreparedBatch, Turn, TurnDone};
pub(crate) use worker::{Worker, compose};

#[cfg(test)]
mod tests;
