//! The one place of the simulator that starts tasks; they all end with the simulator.

use std::future::Future;

use tokio::task::JoinHandle;

/// Runs a task of the simulator on the caller's runtime.
#[expect(
    clippy::disallowed_methods,
    reason = "a server is a task; the simulator stops and joins what it starts"
)]
pub(crate) fn task(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}
