//! The Meta WhatsApp Cloud API: sending, numbers, webhooks.
//!
//! [`CloudTransport`] sends, [`CloudWebhooks`] verifies and translates what Meta calls back with, and
//! [`advice`] says in plain words what an error code of Meta's means. All three read one
//! [`CloudConfig`].
//!
//! Invariant: one permit writes at most one request. Redirects, retries and proxies are off, the
//! access token travels in a header only, and no message of this module holds it.
//!
//! Not here: limits, windows, retries and prices. They are the same for every provider and belong
//! to `wa_core::rules`.
//!
//! ```
//! use wa_adapters::cloud::{advice, CloudConfig, CloudTransport, CloudWebhooks};
//! use wa_core::port::{ReceivedWebhook, Transport, WebhookRefusal, WebhookSource};
//!
//! let config = CloudConfig::builder()
//!     .access_token("EAAG-from-the-system-user")
//!     .app_secret("from-the-app-dashboard")
//!     .verify_token("chosen-by-yourself")
//!     .build()?;
//! assert_eq!(config.base_url(), "https://graph.facebook.com/v26.0");
//!
//! let transport = CloudTransport::new(&config)?;
//! assert!(transport.capabilities().echo);
//!
//! let webhooks = CloudWebhooks::new(&config);
//! let query = "hub.mode=subscribe&hub.verify_token=chosen-by-yourself&hub.challenge=1158201444";
//! assert_eq!(webhooks.challenge(query)?.0, "1158201444");
//!
//! let unsigned = ReceivedWebhook { headers: &[], body: b"{}" };
//! assert_eq!(webhooks.verify(&unsigned), Err(WebhookRefusal::NoSignature));
//!
//! assert!(advice(131_047).contains("24 hours"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod error;
mod marketing;
mod send;
mod session;
mod webhook;
mod wire;

pub use config::{CloudConfig, CloudConfigBuilder, CloudConfigError};
pub use error::{ErrorEntry, advice, errors, lookup};
pub use marketing::{MarketingMessages, ProductPolicy};
pub use send::CloudTransport;
pub use webhook::CloudWebhooks;
