//! What an embedder calls: the kit, its tenants, and what each tenant has.

mod campaigns;
mod contacts;
mod conversations;
mod error;
pub mod import;
mod kit;
mod messages;
mod notifiers;
mod sessions;
mod tenant;
mod webhooks;

pub use campaigns::{CampaignSpec, Campaigns};
pub use contacts::Contacts;
pub use conversations::Conversations;
pub use error::KitError;
pub use kit::{Kit, KitBuilder, Tenants};
pub use messages::{Message, Messages, Receipt};
pub use notifiers::{InAppNotifier, LogNotifier};
pub use sessions::{Number, Sessions};
pub use tenant::TenantHandle;
pub use webhooks::{WebhookResponse, Webhooks};

pub use crate::engine::{ConfigError, EngineConfig, EventStream, Running, StopReport, WorkerStatus};
