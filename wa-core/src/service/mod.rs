//! What an embedder calls: the kit, its tenants, and what each tenant has.

mod archive;
mod campaigns;
mod check;
mod contacts;
mod conversations;
mod costs;
mod doubts;
mod error;
mod export;
mod failures;
pub mod import;
mod kit;
mod messages;
mod notifiers;
mod outcome;
mod overview;
mod preflight;
mod reconcile;
mod recording;
mod schedules;
mod sessions;
mod tenant;
mod webhooks;

pub use archive::{ArchiveProblem, Archives};
pub use campaigns::{CampaignSpec, Campaigns};
pub use check::{CheckAnswer, CostCheck, CostReason, SendCheck, WindowCheck};
pub use contacts::Contacts;
pub use conversations::Conversations;
pub use costs::{Costs, Prices};
pub use error::KitError;
pub use export::{ExportFormat, ExportOptions};
pub use failures::{FailedMessage, RedriveReport};
pub use kit::{Kit, KitBuilder, Tenants};
pub use messages::{Message, Messages, Receipt};
pub use notifiers::{InAppNotifier, LogNotifier};
pub use outcome::{MessageOutcome, MessageWatch};
pub use overview::{LogFilter, LogPage, TenantOverview};
pub use preflight::{Preflight, Waiting};
pub use reconcile::Reconcile;
pub use recording::RecordingJudge;
pub use schedules::{NewRecurring, Schedules};
pub use sessions::{Number, Sessions};
pub use tenant::TenantHandle;
pub use webhooks::{WebhookResponse, Webhooks};

pub use crate::engine::{ConfigError, EngineConfig, EventStream, Running, StopReport, WorkerStatus};
