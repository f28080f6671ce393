//! The provider of the seeded runs, what goes wrong in each, and the dice that decide it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::*;
use crate::port::{
    Acknowledge, Capabilities, Clock, SendOutcome, SendPermit, SessionRef, Transport, TransportError,
    TransportErrorKind,
};
use crate::testing::{ManualClock, SeededEntropy};

/// Draws that a seed repeats.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) Arc<SeededEntropy>);

impl Dice {
    pub(super) fn below(&self, end: u64) -> u64 {
        self.0.next() % end.max(1)
    }

    pub(super) fn per_mille(&self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    pub(super) fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }

    pub(super) fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("small")]
    }
}

/// What goes wrong in one run, in thousandths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) store: u64,
    pub(super) lost_reply: u64,
    pub(super) server_error: u64,
    pub(super) refused: u64,
    pub(super) throttled: u64,
    pub(super) unreachable: u64,
    pub(super) hanging: u64,
    pub(super) slow_jobs: u64,
    pub(super) slow_sends: u64,
    pub(super) crashes: u64,
    pub(super) freezes: u64,
    pub(super) hand_overs: u64,
    pub(super) pauses: u64,
    pub(super) opt_outs: u64,
    pub(super) webhooks: u64,
}

impl Plan {
    /// Each kind of fault is left out of half of the runs.
    pub(super) fn draw(dice: &Dice) -> Self {
        let some = |most| if dice.per_mille(500) { 0 } else { dice.below(most) };
        Self {
            store: some(150),
            lost_reply: some(80),
            server_error: some(80),
            refused: some(150),
            throttled: some(60),
            unreachable: some(100),
            hanging: some(40),
            slow_jobs: some(100),
            slow_sends: some(50),
            crashes: some(40),
            freezes: some(60),
            hand_overs: some(40),
            pauses: some(100),
            opt_outs: some(100),
            webhooks: some(900),
        }
    }
}

/// What the provider knows, whoever asked it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Messages that it took, or that may have been taken, and how often.
    pub(super) may_have_taken: BTreeMap<MessageId, u32>,
    pub(super) taken: BTreeSet<MessageId>,
    pub(super) requests: Vec<(AttemptKey, Recipient, DateTime<Utc>)>,
    pub(super) callbacks: Vec<String>,
    pub(super) healed: bool,
}

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) clock: Arc<ManualClock>,
    pub(super) dice: Dice,
    pub(super) plan: Plan,
    pub(super) truth: Arc<Mutex<Truth>>,
}

#[async_trait]
impl Transport for Provider {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn advice(&self, _: i64) -> Option<&'static str> {
        None
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        let not_sent = SendOutcome::NotSent { why: "nothing left".to_owned() };
        if self.clock.monotonic() >= permit.start_by() {
            return not_sent;
        }
        let mut truth = self.truth.lock().expect("no test panicked here");
        let chance = |chance: u64| !truth.healed && self.dice.per_mille(chance);
        let Plan { lost_reply, server_error, refused, throttled, unreachable, .. } = self.plan;
        if chance(unreachable) {
            return not_sent;
        }
        let lost = chance(lost_reply);
        let refuse = !lost && chance(refused);
        let throttle = !lost && chance(throttled);
        let fail = !lost && chance(server_error);
        let key = permit.attempt();
        truth.requests.push((key, permit.recipient().clone(), self.clock.now()));
        if throttle || refuse {
            let class = if throttle {
                self.dice.one_of(&[RejectClass::Throttled, RejectClass::PairThrottled])
            } else {
                self.dice.one_of(&[RejectClass::Retry, RejectClass::Recipient, RejectClass::OptedOut])
            };
            let retry_after = self.dice.per_mille(300).then(|| self.dice.millis(8_000));
            let failure = FailureCode { code: 1, class, title: "refused".to_owned(), details: None };
            return SendOutcome::Rejected { failure, retry_after };
        }
        *truth.may_have_taken.entry(key.message).or_default() += 1;
        if fail {
            return SendOutcome::Ambiguous { why: "a server error".to_owned() };
        }
        truth.taken.insert(key.message);
        for fact in [Fact::Sent, Fact::Delivered, Fact::Read] {
            if self.dice.per_mille(self.plan.webhooks) {
                let body = format!("{} {} {}", permit.tag().as_str(), fact.bit(), permit.session().number);
                truth.callbacks.push(body);
            }
        }
        if lost {
            return SendOutcome::Ambiguous { why: "the reply was lost".to_owned() };
        }
        SendOutcome::Accepted { provider_id: format!("wamid.{}.{}", key.message, key.n) }
    }

    async fn session(&self, _: &SessionRef) -> Result<SessionReport, TransportError> {
        let healed = self.truth.lock().expect("no test panicked here").healed;
        if !healed && self.dice.per_mille(self.plan.unreachable) {
            return Err(TransportError::new(TransportErrorKind::Unavailable, "not now", None));
        }
        Ok(SessionReport { throughput: Throughput::try_from(RATE).ok(), ..SessionReport::default() })
    }

    async fn acknowledge(&self, _: &SessionRef, _: &Acknowledge) -> Result<(), TransportError> {
        Ok(())
    }
}

pub(super) const RATE: u32 = 20;
