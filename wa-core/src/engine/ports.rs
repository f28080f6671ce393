//! Everything that the engine reaches the outside through.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{TransportName, WorkerId};
use crate::port::store::{Store, StoreIdentity};
use crate::port::{AdminScope, Billing, Clock, Entropy, Notifier, Transport, WebhookSource};

/// The parts that a kit was built from.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) billing: Option<Arc<dyn Billing>>,
    pub(crate) transports: BTreeMap<TransportName, Arc<dyn Transport>>,
    pub(crate) sources: BTreeMap<TransportName, Arc<dyn WebhookSource>>,
    pub(crate) notifiers: Vec<Arc<dyn Notifier>>,
    pub(crate) identity: StoreIdentity,
    pub(crate) worker: WorkerId,
    /// What is broken in the engine.
    #[cfg(feature = "mutants")]
    pub(crate) mutant: Option<crate::testing::Mutant>,
}

impl Ports {
    pub(crate) fn admin(&self) -> AdminScope {
        AdminScope::new(self.worker)
    }

    /// Fresh random bytes.
    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        draw(&*self.entropy)
    }
}

/// Draws random bytes.
pub(crate) fn draw<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
