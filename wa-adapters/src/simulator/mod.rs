#![doc = include_str!("simulator.md")]

mod builder;
mod callbacks;
mod clock;
mod error;
mod faults;
mod line;
mod log;
mod meters;
mod server;
mod spawn;
mod stats;
mod templates;
mod truth;
mod wire;
mod world;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

pub use builder::{SimulatorBuilder, StartError};
pub use callbacks::StatusTimes;
pub use clock::{ManualClock, RealClock, SimulatorClock, Wait};
pub use faults::{Fault, FaultError};
pub use stats::{CallbackStats, Stats};
pub use templates::{TemplateCategory, TemplateStatus};
pub use truth::{Accepted, NumberProfile, Quality};
pub use world::SimulatorError;

/// How many webhooks may be on their way at once; a slow one does not hold up the others.
const POSTERS: usize = 2;

/// A running simulator; it stops when it is dropped.
pub struct Simulator {
    world: Arc<world::World>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Describes a simulator.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::new()
    }

    fn run(world: Arc<world::World>, address: SocketAddr, listener: line::Lines) -> Self {
        let mut tasks = vec![spawn::task(server::serve(listener, Arc::clone(&world)))];
        if world.receiver.is_some() {
            tasks.extend((0..POSTERS).map(|_| spawn::task(callbacks::post_due(Arc::clone(&world)))));
        }
        Self { world, address, tasks }
    }

    /// The base address of the simulated Graph API, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.world.stats()
    }

    /// The accepted sends in order, those of a reloaded log first; empty after
    /// [`forget_accepted`](SimulatorBuilder::forget_accepted).
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        self.world.state().accepted.iter().map(|sent| (**sent).clone()).collect()
    }

    /// A user writes a text to a number: opens the window and sends the webhook.
    ///
    /// `from` is a phone number with country code or a business-scoped user id. Returns the
    /// message's id, which a read receipt may name.
    ///
    /// # Errors
    /// When there is no such number, or `from` is neither.
    pub fn inbound(&self, number: &str, from: &str, text: &str) -> Result<String, SimulatorError> {
        self.world.inbound(number, from, text)
    }

    /// Opens a service window for 24 hours without a message or webhook.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn open_window(&self, number: &str, user: &str) -> Result<(), SimulatorError> {
        self.world.open_window(number, user)
    }

    /// A user stops marketing messages in the app: sends the webhook, and marketing templates to
    /// the user are refused (131050) from now on.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn opt_out(&self, number: &str, user: &str) -> Result<(), SimulatorError> {
        self.world.preference(number, user, true)
    }

    /// A user wants marketing messages again.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn opt_in(&self, number: &str, user: &str) -> Result<(), SimulatorError> {
        self.world.preference(number, user, false)
    }

    /// Adds or replaces a template with so many body parameters; it belongs to every account.
    pub fn template(
        &self,
        name: &str,
        language: &str,
        category: TemplateCategory,
        status: TemplateStatus,
        parameters: u32,
    ) {
        self.world.state().truth.templates.put(name, language, category, status, parameters);
    }

    /// Moves a template to another state and sends the webhook.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn set_template_status(
        &self,
        name: &str,
        language: &str,
        status: TemplateStatus,
    ) -> Result<(), SimulatorError> {
        self.world.template_status(name, language, status)
    }

    /// From now on only this token is accepted; clients with another are answered 190.
    pub fn set_token(&self, token: impl Into<String>) {
        self.world.state().token = Some(token.into());
    }

    /// From now on a fault has this probability; 0 heals it.
    ///
    /// # Errors
    /// When the probability is not between 0 and 1.
    pub fn set_fault(&self, fault: Fault, probability: f64) -> Result<(), FaultError> {
        faults::checked(fault, probability)?;
        self.world.state().faults.set(fault, probability);
        Ok(())
    }

    /// Goes through the subscription handshake with the webhook receiver, as Meta does when an
    /// app's webhook is set up.
    ///
    /// # Errors
    /// When there is no receiver, or it does not answer with the bare challenge.
    pub async fn handshake(&self, verify_token: &str) -> Result<(), SimulatorError> {
        self.world.handshake(verify_token).await
    }

    /// Posts all pending webhooks now, whenever they are due; true when the receiver has taken all.
    ///
    /// Returns when each has been tried once, or after `within` of real time.
    pub async fn flush(&self, within: Duration) -> bool {
        let tried = async {
            let mut posted = std::pin::pin!(self.world.posted.notified());
            // Before the look, so that a post between look and wait is not missed.
            posted.as_mut().enable();
            let now = self.world.now() - clock::length(self.world.settings.posting.tick);
            self.world.state().queue.hasten(now);
            while !self.world.state().queue.is_tried() {
                self.world.due.notify_one();
                posted.as_mut().await;
                posted.set(self.world.posted.notified());
                posted.as_mut().enable();
            }
        };
        let in_time = tokio::time::timeout(within, tried).await.is_ok();
        in_time && self.world.state().queue.pending() == 0
    }

    /// Stops taking connections, answers what was begun, and ends; webhooks that are still pending
    /// are dropped (with a log they are posted after the next start). See [`flush`](Self::flush).
    pub async fn stop(mut self) -> Stats {
        self.world.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            // A task that panicked has ended as well.
            let _ = task.await;
        }
        self.world.stats()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.close();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.address).finish_non_exhaustive()
    }
}
