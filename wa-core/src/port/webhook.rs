//! The webhook seam: how a provider's callbacks are verified and translated.

use std::fmt::Debug;

use chrono::{DateTime, Utc};

use crate::model::InboundEvent;

/// Verifies and translates one provider's webhooks. Pure: no I/O, no clock.
///
/// # Clauses
/// - `a_body_without_a_valid_signature_is_refused`: nothing unverified is ever stored.
/// - `the_signature_covers_the_raw_bytes`: it is checked before anything is parsed, in constant time.
/// - `parse_keeps_what_it_does_not_know`: unknown fields and kinds become `Unknown`, never an error.
/// - `parse_never_panics`: whatever the bytes are.
/// - `one_bad_event_does_not_hide_its_siblings`: the rest of the body is still translated.
pub trait WebhookSource: Debug + Send + Sync + 'static {
    /// Answers a subscription challenge (`hub.challenge` at Meta) with the text to echo.
    ///
    /// # Errors
    /// When the query is no challenge or its token is wrong.
    fn challenge(&self, query: &str) -> Result<Challenge, WebhookRefusal>;

    /// Checks the signature of a body.
    ///
    /// # Errors
    /// When it is missing, malformed or wrong, or the body is too large.
    fn verify(&self, webhook: &ReceivedWebhook<'_>) -> Result<(), WebhookRefusal>;

    /// Translates a verified body. A body that is not JSON gives no events.
    ///
    /// `received_at` stands in for a missing timestamp.
    fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Vec<InboundEvent>;
}

const _OBJECT_SAFE: fn(&dyn WebhookSource) = |_| {};

/// A webhook request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedWebhook<'a> {
    /// Header names (any case) and values, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// The text to echo to a subscription challenge, as `text/plain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(pub String);

/// Why a webhook request is refused. The sender is told the status only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookRefusal {
    /// The signature header is missing, doubled or malformed.
    #[error("the signature header is missing, doubled or malformed")]
    NoSignature,
    /// The signature does not match the body.
    #[error("the signature does not match the body; check the app secret")]
    WrongSignature,
    /// The body is larger than the provider ever sends.
    #[error("the body is larger than 3 MiB")]
    TooLarge,
    /// The challenge is malformed or its token is wrong.
    #[error("the challenge is malformed or its verify token is wrong")]
    WrongChallenge,
}

impl<'a> ReceivedWebhook<'a> {
    /// The one value of a header; `None` when it is absent or stands twice.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        values.next().is_none().then_some(*value)
    }
}
