#![doc = include_str!("../README.md")]

pub use wa_billing as billing;
pub use wa_core::{memory, model, port, rules, service};

/// The Meta Cloud API: transport and webhooks.
#[cfg(feature = "cloud")]
pub use wa_adapters::cloud;

/// A server that plays the Cloud API, for tests and trials.
#[cfg(feature = "simulator")]
pub use wa_adapters::simulator;

/// Suites that prove stores and transports, a manual clock, seeded randomness.
#[cfg(feature = "testing")]
pub use wa_core::testing;

/// The Postgres store.
#[cfg(feature = "postgres")]
pub use wa_storage as postgres;

/// The SQLite store.
#[cfg(feature = "sqlite")]
pub use wa_storage as sqlite;

pub use service::{EngineConfig, Kit, KitError, Running};

/// What most applications import.
pub mod prelude {
    pub use crate::model::{
        CampaignContent, Category, Consent, Content, Interactive, Lane, Location, Media, MediaKind, MediaRef,
        MessageState, Phone, Reaction, Recipient, Region, TemplateContent,
    };
    pub use crate::port::store::Store;
    pub use crate::service::{
        CampaignSpec, EngineConfig, Kit, KitError, Message, Number, Running, TenantHandle,
    };
}
