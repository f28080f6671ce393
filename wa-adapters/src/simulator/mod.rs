#![doc = include_str!("simulator.md")]

mod accepted;
mod acts;
mod builder;
mod callbacks;
mod clock;
mod controls;
mod crowd;
mod error;
mod facts;
mod faults;
mod house;
mod incoming;
mod ledger;
mod line;
mod log;
mod meters;
mod pace;
mod people;
mod prices;
mod profile;
mod server;
mod spawn;
mod stats;
mod statuses;
mod templates;
mod trouble;
mod truth;
mod violation;
mod watch;
mod wire;
mod world;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;

pub use accepted::Accepted;
pub use builder::{SimulatorBuilder, StartError};
pub use clock::{ManualClock, RealClock, SimulatorClock, Wait};
pub use crowd::Crowd;
pub use faults::{Fault, FaultError};
pub use house::{
    Budget, Cooldown, FrequencyCap, HouseRules, QuietHours, Scope, Stop, WarmUpStage, ZoneOffsets,
};
pub use incoming::{Incoming, User};
pub use ledger::LedgerLine;
pub use pace::Pace;
pub use prices::{PriceModel, Rates};
pub use profile::{NumberProfile, Quality};
pub use stats::{CallbackStats, Stats};
pub use statuses::StatusTimes;
pub use templates::{TemplateCategory, TemplateStatus};
pub use truth::{RecipientErrors, UnknownTarget};
pub use violation::Violation;
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

    /// The broken rules in order, each with the request that broke it; the first 10,000.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.world.state().violations.clone()
    }

    /// What the accepted sends cost, by currency, category and type: the truth to compare with.
    ///
    /// A send is in it from its acceptance on, although it is delivered later. By message see
    /// [`Accepted::amount`] and [`Accepted::delivered_at`].
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerLine> {
        self.world.state().truth.ledger.lines()
    }

    /// How fast a number sent, and how fast it was allowed to.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn pace(&self, number: &str) -> Result<Pace, SimulatorError> {
        let state = self.world.state();
        let own = state.truth.numbers.get(number);
        own.map(|own| own.track.report()).ok_or_else(|| SimulatorError::UnknownNumber(number.to_owned()))
    }

    /// Says that a number had something to send in a span; without any the pace is measured from
    /// the first to the last send.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn demand(
        &self,
        number: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<(), SimulatorError> {
        let mut state = self.world.state();
        let unknown = || SimulatorError::UnknownNumber(number.to_owned());
        let own = state.truth.numbers.get_mut(number).ok_or_else(unknown)?;
        own.track.demand(clock::micros(from), clock::micros(until));
        Ok(())
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
