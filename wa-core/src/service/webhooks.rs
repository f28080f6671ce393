//! The entry for providers' callbacks, without any HTTP framework.

use std::sync::PoisonError;

use futures::channel::oneshot;
use tracing::Instrument;

use super::error::KitError;
use super::kit::Kit;
use crate::engine::{Intake, IntakeRequest};
use crate::model::{RawId, TransportName};
use crate::port::store::{RawBody, StoreErrorKind};
use crate::port::{ReceivedWebhook, WebhookRefusal, WebhookSource};

/// The transport name under which the Cloud API is registered.
const CLOUD: &str = "cloud";

/// Takes callbacks in: verifies, stores, answers.
///
/// A handler for any HTTP framework passes headers and body on and answers what comes back:
///
/// ```
/// use wa_core::service::{Kit, KitError};
///
/// async fn handler(kit: &Kit, headers: &[(String, Vec<u8>)], body: &[u8]) -> Result<(u16, String), KitError> {
///     let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
///     let response = kit.webhooks().meta(headers, body).await?;
///     Ok((response.status, response.body))
/// }
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::Number, testing::ScriptedTransport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock);
/// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
/// let refused = handler(&kit, &[], b"{}").await;
/// assert!(refused.is_err(), "no webhook source is registered with this kit");
/// # let _ = Number::cloud("100");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Webhooks<'a> {
    kit: &'a Kit,
}

/// What to answer, in any HTTP framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookResponse {
    /// The status code.
    pub status: u16,
    /// The body, as `text/plain`.
    pub body: String,
    /// Why it was refused; for the log, not for the sender.
    pub refusal: Option<WebhookRefusal>,
}

impl<'a> Webhooks<'a> {
    pub(crate) const fn new(kit: &'a Kit) -> Self {
        Self { kit }
    }

    /// Takes a callback of Meta's Cloud API in; the same as [`receive`](Self::receive) for `cloud`.
    ///
    /// Headers are pairs of name and value, as `&http::HeaderMap` gives them.
    ///
    /// # Errors
    /// When no webhook source named `cloud` is registered.
    pub async fn meta<K, V>(
        self,
        headers: impl IntoIterator<Item = (K, V)>,
        body: &[u8],
    ) -> Result<WebhookResponse, KitError>
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let headers: Vec<_> = headers.into_iter().collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        self.receive(CLOUD, ReceivedWebhook { headers: &headers, body }).await
    }

    /// Answers Meta's subscription challenge, given the raw query string.
    ///
    /// # Errors
    /// When no webhook source named `cloud` is registered.
    pub fn meta_challenge(self, query: &str) -> Result<WebhookResponse, KitError> {
        let (_, source) = self.source(CLOUD)?;
        Ok(match source.challenge(query) {
            Ok(challenge) => WebhookResponse { status: 200, body: challenge.0, refusal: None },
            Err(refusal) => WebhookResponse::refuse(refusal),
        })
    }

    /// Verifies a callback, stores it durably, and says what to answer.
    ///
    /// 200 means that it is stored; what it says is applied soon after, by a running engine. 503
    /// asks the provider to come again.
    ///
    /// # Errors
    /// When no webhook source of this name is registered.
    pub async fn receive(
        self,
        name: &str,
        webhook: ReceivedWebhook<'_>,
    ) -> Result<WebhookResponse, KitError> {
        let (transport, source) = self.source(name)?;
        if let Err(refusal) = source.verify(&webhook) {
            return Ok(WebhookResponse::refuse(refusal));
        }
        let ports = &self.kit.inner.ports;
        let received_at = ports.clock.now();
        let id = RawId::mint(received_at, ports.draw());
        let body = RawBody { id, transport, body: webhook.body.to_vec(), received_at };
        let span = tracing::debug_span!("webhook", transport = name, raw = %id);
        let kept = match self.queue(body) {
            Ok(kept) => kept.await.unwrap_or(Err(StoreErrorKind::Closed)),
            // No engine runs here: the body is stored, and applied by the one that runs next.
            Err(body) => {
                let intake = Intake::new(ports.clone());
                let kept = intake.keep(&[body]).instrument(span.clone()).await;
                self.kit.inner.work.raise();
                kept.map(drop).map_err(|error| error.kind())
            }
        };
        Ok(match kept {
            Ok(()) => WebhookResponse { status: 200, body: String::new(), refusal: None },
            Err(kind) => {
                span.in_scope(|| tracing::warn!(?kind, "not stored; the provider is asked to come again"));
                WebhookResponse { status: 503, body: "come again".to_owned(), refusal: None }
            }
        })
    }

    /// Hands a body to the running engine; gives it back where none runs.
    fn queue(self, body: RawBody) -> Result<oneshot::Receiver<Result<(), StoreErrorKind>>, RawBody> {
        let mut intake = self.kit.inner.intake.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = intake.as_mut() else { return Err(body) };
        let (kept, answer) = oneshot::channel();
        match queue.try_send(IntakeRequest { body, kept }) {
            Err(error) if !error.is_full() => {
                // The engine has stopped.
                *intake = None;
                Err(error.into_inner().body)
            }
            // A full queue refuses at once: the provider comes again. The dropped sender says so.
            Ok(()) | Err(_) => Ok(answer),
        }
    }

    fn source(self, name: &str) -> Result<(TransportName, &'a dyn WebhookSource), KitError> {
        let name: TransportName = name.parse()?;
        match self.kit.inner.ports.sources.get(&name) {
            Some(source) => Ok((name, &**source)),
            None => Err(KitError::NoTransport(name)),
        }
    }
}

impl WebhookResponse {
    fn refuse(refusal: WebhookRefusal) -> Self {
        let status = match refusal {
            WebhookRefusal::NoSignature | WebhookRefusal::WrongSignature => 401,
            WebhookRefusal::TooLarge => 413,
            WebhookRefusal::WrongChallenge => 403,
        };
        // The sender learns nothing about the reason.
        Self { status, body: String::new(), refusal: Some(refusal) }
    }
}
