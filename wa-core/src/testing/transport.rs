//! A transport that answers as a test says, and remembers what it was asked.
//!
//! It keeps the contract of [`Transport`](crate::port::Transport) as far as a test can see it: a
//! permit whose deadline has passed makes no request. It sends nothing anywhere.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::{AttemptKey, Content, ProviderMessageId, Recipient, SessionId, SessionReport};
use crate::port::{
    Acknowledge, Capabilities, Clock, SendOutcome, SendPermit, SessionRef, Transport, TransportError,
    TransportErrorKind,
};

/// One request as a [`ScriptedTransport`] saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRequest {
    /// The attempt.
    pub attempt: AttemptKey,
    /// The number that it was sent from.
    pub session: SessionId,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it says.
    pub content: Content,
    /// The message that it quotes.
    pub reply_to: Option<ProviderMessageId>,
    /// The text of the attempt tag.
    pub tag: String,
    /// When, by the transport's clock.
    pub at: DateTime<Utc>,
}

/// What a [`ScriptedTransport`] does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers.
    Outcome(SendOutcome),
    /// Never comes back, as when the process is killed after the request left.
    Never,
}

/// A transport that answers as a test says, and remembers what it was asked.
///
/// Replies given with [`then`](Self::then) are used up first, one per request. After them the rule of
/// [`answering`](Self::answering) decides; without one every request is accepted as
/// `scripted.1`, `scripted.2` and so on.
///
/// ```
/// use std::sync::Arc;
/// use wa_core::port::Transport;
/// use wa_core::testing::{ManualClock, ScriptedTransport};
/// let clock = Arc::new(ManualClock::new(wa_core::model::from_micros(1_790_000_000_000_000)));
/// let transport = ScriptedTransport::new(clock);
/// assert!(transport.capabilities().echo);
/// assert!(transport.sent().is_empty());
/// ```
pub struct ScriptedTransport {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

type Rule = Box<dyn FnMut(&SentRequest) -> Reply + Send>;

struct State {
    capabilities: Capabilities,
    script: VecDeque<Reply>,
    rule: Option<Rule>,
    sent: Vec<SentRequest>,
    expired: Vec<AttemptKey>,
    acknowledged: Vec<(SessionRef, Acknowledge)>,
    report: Option<SessionReport>,
}

impl ScriptedTransport {
    /// A transport with every capability that accepts everything.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            capabilities: Capabilities::ALL,
            script: VecDeque::new(),
            rule: None,
            sent: Vec::new(),
            expired: Vec::new(),
            acknowledged: Vec::new(),
            report: Some(SessionReport::default()),
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// Sets what the transport can do.
    #[must_use]
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        self.set_capabilities(capabilities);
        self
    }

    /// Sets what the transport can do; before the engine runs, which may ask only once.
    pub fn set_capabilities(&self, capabilities: Capabilities) {
        self.lock().capabilities = capabilities;
    }

    /// Decides each request that no scripted reply is left for.
    #[must_use]
    pub fn answering(self, rule: impl FnMut(&SentRequest) -> Reply + Send + 'static) -> Self {
        self.lock().rule = Some(Box::new(rule));
        self
    }

    /// Adds one reply to the script.
    pub fn then(&self, reply: Reply) {
        self.lock().script.push_back(reply);
    }

    /// Sets what the provider says about every number; `None` makes it unreachable.
    pub fn set_report(&self, report: Option<SessionReport>) {
        self.lock().report = report;
    }

    /// The requests so far, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<SentRequest> {
        self.lock().sent.clone()
    }

    /// The attempts whose permits came after their deadline and made no request.
    #[must_use]
    pub fn expired(&self) -> Vec<AttemptKey> {
        self.lock().expired.clone()
    }

    /// What was marked as read, in order.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<(SessionRef, Acknowledge)> {
        self.lock().acknowledged.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request and decides it; no lock outlives this.
    fn decide(&self, permit: &SendPermit) -> Reply {
        let late = self.clock.monotonic() >= permit.start_by();
        let request = SentRequest {
            attempt: permit.attempt(),
            session: permit.session().id,
            recipient: permit.recipient().clone(),
            content: permit.content().clone(),
            reply_to: permit.reply_to().cloned(),
            tag: permit.tag().as_str().to_owned(),
            at: self.clock.now(),
        };
        let mut state = self.lock();
        if late {
            state.expired.push(request.attempt);
            return Reply::Outcome(SendOutcome::NotSent { why: "the permit has expired".to_owned() });
        }
        let scripted = state.script.pop_front();
        let reply = match (scripted, state.rule.as_mut()) {
            (Some(reply), _) => reply,
            (None, Some(rule)) => rule(&request),
            (None, None) => Reply::Outcome(SendOutcome::Accepted {
                provider_id: format!("scripted.{}", state.sent.len() + 1),
            }),
        };
        // A connection that was never made is no request.
        if !matches!(reply, Reply::Outcome(SendOutcome::NotSent { .. })) {
            state.sent.push(request);
        }
        reply
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    fn capabilities(&self) -> Capabilities {
        self.lock().capabilities
    }

    fn advice(&self, _: i64) -> Option<&'static str> {
        None
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        let reply = self.decide(&permit);
        match reply {
            Reply::Outcome(outcome) => outcome,
            Reply::Never => std::future::pending().await,
        }
    }

    async fn session(&self, _session: &SessionRef) -> Result<SessionReport, TransportError> {
        self.lock().report.clone().ok_or_else(|| {
            TransportError::new(
                TransportErrorKind::Unavailable,
                "the scripted provider does not answer",
                None,
            )
        })
    }

    async fn acknowledge(&self, session: &SessionRef, read: &Acknowledge) -> Result<(), TransportError> {
        self.lock().acknowledged.push((session.clone(), read.clone()));
        Ok(())
    }
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("ScriptedTransport")
            .field("capabilities", &state.capabilities)
            .field("scripted", &state.script.len())
            .field("sent", &state.sent.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use std::time::Duration;

    use super::*;
    use crate::model::{AttemptTag, BatchId};
    use crate::model::{InstanceId, MessageId, Phone, TagKey, TenantId, from_micros};
    use crate::testing::ManualClock;
    use crate::testing::permit;

    fn a_permit(n: u16, start_by: Duration) -> SendPermit {
        let at = from_micros(1_790_000_000_000_000);
        let attempt =
            AttemptKey { tenant: TenantId::mint(at, [1; 10]), message: MessageId::mint(at, [2; 10]), n };
        let session = SessionRef {
            tenant: attempt.tenant,
            id: SessionId::mint(at, [3; 10]),
            transport: "scripted".parse().expect("a name"),
            number: "1".parse().expect("a number"),
        };
        let (instance, batch) = (InstanceId::mint(at, [4; 10]), BatchId::mint(at, [6; 10]));
        let tag = AttemptTag::new(instance, attempt, batch, &TagKey::new([5; 32]));
        let recipient = Phone::from_digits("15550000001").expect("a phone").into();
        let content = Content::text("hello").expect("a text");
        permit(attempt, session, recipient, content, tag, start_by, Duration::from_secs(30))
    }

    fn transport() -> (Arc<ManualClock>, ScriptedTransport) {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        (clock.clone(), ScriptedTransport::new(clock))
    }

    #[test]
    fn an_expired_permit_makes_no_request() {
        let (clock, transport) = transport();
        clock.advance(Duration::from_secs(5));
        let outcome = transport.send(a_permit(1, Duration::from_secs(5))).now_or_never();
        assert!(matches!(outcome, Some(SendOutcome::NotSent { .. })));
        assert!(transport.sent().is_empty());
        assert_eq!(transport.expired().len(), 1);
    }

    #[test]
    fn the_script_goes_before_the_rule() {
        let (_, transport) = transport();
        let lost = SendOutcome::Ambiguous { why: "lost".to_owned() };
        let transport = transport.answering(|_| Reply::Never);
        transport.then(Reply::Outcome(lost.clone()));
        assert_eq!(transport.send(a_permit(1, Duration::from_secs(5))).now_or_never(), Some(lost));
        assert_eq!(transport.send(a_permit(2, Duration::from_secs(5))).now_or_never(), None);
        let numbers: Vec<u16> = transport.sent().iter().map(|sent| sent.attempt.n).collect();
        assert_eq!(numbers, [1, 2], "a request whose answer never comes was made all the same");
    }
}
