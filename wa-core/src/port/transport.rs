//! The transport seam: how one message leaves for its provider.
//!
//! Invariant: the right to send is a [`SendPermit`]. It is made by the engine from an attempt that
//! the store has committed, it is not `Clone`, and `send` consumes it: one permit, at most one
//! request.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{
    AttemptKey, AttemptTag, Content, ContentKinds, FailureCode, Gap, NumberId, ProviderMessageId, Recipient,
    SessionId, SessionReport, TenantId, TransportName,
};

/// Sends for the numbers of one provider account.
///
/// # Clauses
/// - `send_makes_at_most_one_request`: no retry, no redirect, whatever the answer is.
/// - `send_after_the_deadline_does_not_leave`: a permit whose deadline has passed gives `NotSent` and no request.
/// - `send_ends_within_the_timeout`: it returns within the permit's time-out, with `Ambiguous` if the request may have left.
/// - `send_reports_acceptance_with_an_id`: `Accepted` carries the provider's own message id.
/// - `send_calls_a_lost_reply_ambiguous`: a connection that breaks after the first byte is `Ambiguous`, never `NotSent`.
/// - `send_calls_a_refused_connection_not_sent`: a connection that was never made is `NotSent`.
/// - `send_calls_a_server_error_ambiguous`: an answer that does not prove refusal is `Ambiguous`.
/// - `send_calls_a_proven_refusal_rejected`: an answer that proves refusal is `Rejected` with its class.
/// - `send_passes_the_tag_on`: where `Capabilities::echo` is set, the tag reaches the provider unchanged.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// What this transport can do, as data; the same answer every time.
    fn capabilities(&self) -> Capabilities;

    /// Uses a permit up: at most one request leaves.
    ///
    /// # Cancel safety
    /// A dropped future may have sent: the engine then leaves the attempt open, and it becomes in doubt.
    async fn send(&self, permit: SendPermit) -> SendOutcome;

    /// Asks the provider about a number.
    ///
    /// # Errors
    /// When the provider does not answer or refuses.
    async fn session(&self, session: &SessionRef) -> Result<SessionReport, TransportError>;

    /// What a person can do about a code of this provider, in plain words; `None` where nothing is
    /// known of the code. Data, as [`capabilities`](Self::capabilities) is.
    fn advice(&self, code: i64) -> Option<&'static str>;

    /// Marks an inbound message as read, and shows that an answer is being typed if asked to.
    ///
    /// Safe to repeat.
    ///
    /// # Errors
    /// When the provider does not answer or refuses.
    async fn acknowledge(&self, session: &SessionRef, read: &Acknowledge) -> Result<(), TransportError>;
}

const _OBJECT_SAFE: fn(&dyn Transport) = |_| {};

/// What a transport can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The kinds of content that it sends; what is not among them is skipped before it begins.
    pub content: ContentKinds,
    /// Can quote the message that is answered; elsewhere a message that quotes is skipped.
    pub quotes: bool,
    /// Sends one-time codes (authentication templates) to who is known by user id only.
    pub codes_to_user_ids: bool,
    /// Refuses free-form content outside the 24-hour window.
    pub windows: bool,
    /// Echoes the attempt tag in its statuses.
    pub echo: bool,
    /// Can mark messages as read.
    pub read_receipts: bool,
    /// The pause between two messages of a number that it asks for; a session can set another.
    pub gap: Option<Gap>,
}

impl Capabilities {
    /// Everything that this version knows of.
    pub const ALL: Self = Self {
        content: ContentKinds::ALL,
        quotes: true,
        codes_to_user_ids: true,
        windows: true,
        echo: true,
        read_receipts: true,
        gap: None,
    };
}

/// Which number a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRef {
    /// The tenant.
    pub tenant: TenantId,
    /// The session.
    pub id: SessionId,
    /// The transport that it is registered with.
    pub transport: TransportName,
    /// The provider's id of the number.
    pub number: NumberId,
}

/// The right to make one request for one begun attempt.
#[derive(Debug)]
#[must_use = "a permit that is dropped leaves its attempt open"]
pub struct SendPermit {
    attempt: AttemptKey,
    session: SessionRef,
    recipient: Recipient,
    content: Content,
    reply_to: Option<ProviderMessageId>,
    tag: AttemptTag,
    start_by: Duration,
    timeout: Duration,
}

impl SendPermit {
    #[cfg(any(feature = "engine", feature = "testing"))]
    pub(crate) fn new(
        attempt: AttemptKey,
        session: SessionRef,
        recipient: Recipient,
        content: Content,
        tag: AttemptTag,
        start_by: Duration,
        timeout: Duration,
    ) -> Self {
        Self { attempt, session, recipient, content, reply_to: None, tag, start_by, timeout }
    }

    #[cfg(any(feature = "engine", feature = "testing"))]
    pub(crate) fn quoting(self, reply_to: Option<ProviderMessageId>) -> Self {
        Self { reply_to, ..self }
    }

    /// The attempt.
    #[must_use]
    pub const fn attempt(&self) -> AttemptKey {
        self.attempt
    }

    /// The number to send from.
    #[must_use]
    pub const fn session(&self) -> &SessionRef {
        &self.session
    }

    /// Who gets it.
    #[must_use]
    pub const fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// What it says.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The message that it quotes.
    #[must_use]
    pub const fn reply_to(&self) -> Option<&ProviderMessageId> {
        self.reply_to.as_ref()
    }

    /// What the provider should echo.
    #[must_use]
    pub const fn tag(&self) -> &AttemptTag {
        &self.tag
    }

    /// Until when the first byte may be written, as [`Clock::monotonic`](super::Clock::monotonic).
    #[must_use]
    pub const fn start_by(&self) -> Duration {
        self.start_by
    }

    /// How long the request may take, all in all.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// What is known after a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// Provably never left.
    NotSent {
        /// What went wrong, without personal data or secrets.
        why: String,
    },
    /// Definitely refused.
    Rejected {
        /// Why.
        failure: FailureCode,
        /// How long the provider asks to wait, if it says so.
        retry_after: Option<Duration>,
    },
    /// Taken by the provider.
    Accepted {
        /// The provider's message id.
        provider_id: String,
    },
    /// Nobody knows.
    Ambiguous {
        /// What happened, without personal data or secrets.
        why: String,
    },
}

/// A request to mark a message as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// The provider's id of the inbound message.
    pub provider_id: String,
    /// Whether the user is shown that an answer is being typed.
    pub typing: Typing,
}

/// Whether the user is shown that an answer is being typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// Shown for up to 25 seconds.
    Shown,
    /// Not shown.
    Hidden,
}

/// A call other than a send that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TransportError {
    kind: TransportErrorKind,
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about a [`TransportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// Try again later.
    Unavailable,
    /// The credential is not valid.
    Credential,
    /// The provider refuses; the same call will be refused again.
    Refused,
}

impl TransportError {
    /// Says what could not be done, and why.
    pub fn new(
        kind: TransportErrorKind,
        what: impl Into<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, what: what.into(), source }
    }

    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}
