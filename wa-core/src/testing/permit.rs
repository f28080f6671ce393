//! Permits for transports under test; in an application only the engine makes them.

use std::time::Duration;

use crate::model::{AttemptKey, AttemptTag, Content, ProviderMessageId, Recipient};
use crate::port::{SendPermit, SessionRef};

/// The right to make one request for one attempt.
///
/// `start_by` is on the monotonic clock that the transport was given.
pub fn permit(
    attempt: AttemptKey,
    session: SessionRef,
    recipient: Recipient,
    content: Content,
    tag: AttemptTag,
    start_by: Duration,
    timeout: Duration,
) -> SendPermit {
    SendPermit::new(attempt, session, recipient, content, tag, start_by, timeout)
}

/// The same permit for a message that quotes another.
pub fn quoting(permit: SendPermit, reply_to: ProviderMessageId) -> SendPermit {
    permit.quoting(Some(reply_to))
}
