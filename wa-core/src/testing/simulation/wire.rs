//! The transport of one process: requests on their way to the provider, and answers on their way back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::hub::{Hub, lock};
use super::mark::Mark;
use super::meta::{Reply, Request};
use crate::model::{SessionReport, SessionState, Throughput, Tier};
use crate::port::{
    Acknowledge, Capabilities, SendOutcome, SendPermit, SessionRef, Transport, TransportError,
    TransportErrorKind,
};

/// The transport of one process.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) hub: Arc<Hub>,
    pub(super) process: u32,
}

/// What became of one request, as its sender saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Taken,
    Refused {
        throttled: bool,
    },
    /// Provably never left.
    NotSent,
    Nothing,
}

impl Wire {
    fn not_sent(why: &str) -> SendOutcome {
        SendOutcome::NotSent { why: why.to_owned() }
    }

    /// What the sender makes of a reply.
    fn read(reply: Reply) -> SendOutcome {
        match reply {
            Reply::Taken { id } => SendOutcome::Accepted { provider_id: id },
            Reply::Refused { failure, retry_after } => SendOutcome::Rejected { failure, retry_after },
            Reply::Error => SendOutcome::Ambiguous { why: "a server error".to_owned() },
        }
    }
}

#[async_trait]
impl Transport for Wire {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn advice(&self, _: i64) -> Option<&'static str> {
        None
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        let hub = &self.hub;
        let key = permit.attempt();
        if hub.strikes(hub.plan.slow_leave) {
            hub.until(hub.now() + hub.dice.millis(4_000)).await;
        }
        if hub.now() >= permit.start_by() {
            hub.mark(Mark::PermitExpired);
            return Self::not_sent("the permit expired");
        }
        if hub.strikes(hub.plan.unreachable) {
            return Self::not_sent("nobody answered");
        }
        let request = Request {
            key,
            session: permit.session().id,
            number: permit.session().number.clone(),
            phone: permit.recipient().phone(),
            needs_window: permit.content().needs_window(),
            tag: permit.tag().as_str().to_owned(),
        };
        hub.tempt(self.process);
        hub.note("leaves", u64::from(self.process), lock(&hub.audit).label(key));
        lock(&hub.audit).leaves(hub, &permit);
        let ends_at = hub.now() + permit.timeout();
        let there = hub.dice.millis(30);
        let slow = if hub.strikes(hub.plan.slow_reply) { hub.dice.millis(3_000) } else { Duration::ZERO };
        let arrives_at = hub.now() + there;
        let answers_at = arrives_at + hub.dice.millis(60) + slow;
        // What has left arrives, whatever becomes of its sender.
        let there = Arc::downgrade(hub);
        let errand = hub.send_out(arrives_at, answers_at, true, move || {
            let hub = there.upgrade()?;
            let reply = lock(&hub.meta).arrive(&hub, &request);
            if let Some((count, tier)) = lock(&hub.meta).beyond_tier(hub.wall()) {
                let what =
                    format!("{count} people were written to in 24 hours; the account may write to {tier}");
                lock(&hub.trace).violated("I11", hub.now(), what);
            }
            Some(reply)
        });
        let reply = errand.await;
        let lost = hub.strikes(hub.plan.lost_reply) || answers_at > ends_at;
        let outcome = match reply.filter(|_| !lost) {
            Some(reply) => Self::read(reply),
            None => {
                // A connection that breaks is noticed at once, one that hangs at the end of the time.
                let at = if hub.dice.per_mille(500) { hub.now() } else { ends_at.max(hub.now()) };
                hub.until(at).await;
                SendOutcome::Ambiguous { why: "the reply was lost".to_owned() }
            }
        };
        hub.tempt(self.process);
        lock(&hub.audit).told(key, &outcome);
        outcome
    }

    async fn session(&self, session: &SessionRef) -> Result<SessionReport, TransportError> {
        let hub = &self.hub;
        hub.until(hub.now() + hub.dice.millis(50)).await;
        let unavailable =
            |what: &str| TransportError::new(TransportErrorKind::Unavailable, what.to_owned(), None);
        if hub.strikes(hub.plan.unreachable) {
            return Err(unavailable("nobody answered"));
        }
        let meta = lock(&hub.meta);
        if !meta.token_is_valid {
            return Err(TransportError::new(TransportErrorKind::Credential, "the token has expired", None));
        }
        let banned = meta.banned.contains(&session.number);
        Ok(SessionReport {
            state: Some(if banned { SessionState::Banned } else { SessionState::Connected }),
            throughput: Throughput::try_from(hub.plan.rate).ok(),
            tier: Some(Tier::from_limit(meta.tier)),
            ..SessionReport::default()
        })
    }

    async fn acknowledge(&self, _: &SessionRef, _: &Acknowledge) -> Result<(), TransportError> {
        Ok(())
    }
}
