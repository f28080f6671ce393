//! The seams: what an embedder or an integrator can replace.
//!
//! Every trait here is object-safe and has no default bodies; its contract is written beside it as
//! named clauses, and `wa_core::testing` has one test per clause.

mod billing;
mod clock;
mod entropy;
mod notifier;
mod scope;
pub mod store;
mod transport;
mod webhook;

pub use billing::{Billing, BillingError, UsageReport};
pub use clock::{Clock, SystemClock};
pub use entropy::{Entropy, SystemEntropy};
pub use notifier::{Notice, NoticeKind, Notifier, NotifyError};
pub use scope::{AdminScope, Scope, WorkerScope};
pub use transport::{
    Acknowledge, Capabilities, SendOutcome, SendPermit, SessionRef, Transport, TransportError,
    TransportErrorKind, Typing,
};
pub use webhook::{Challenge, ReceivedWebhook, WebhookRefusal, WebhookSource};
