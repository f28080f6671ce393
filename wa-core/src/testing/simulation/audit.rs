//! Who keeps watch: checks every commit and every request against what was committed before.
//!
//! It hears of commits in the order in which the store made them, of requests when they leave, and of
//! answers when their sender has them. What it concludes it concludes from these alone.

mod orders;
mod owners;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::orders::Decided;
use super::hub::{Hub, lock};
use super::mark::Mark;
use super::plan::Plan;
use super::wire::Told;
use crate::model::{
    AttemptKey, BatchId, BreakerScope, CampaignId, Fact, MessageId, Outcome, Phone, RejectClass, SessionId,
};
use crate::port::store::{Abandoned, AttemptFact, BeginBatch, BeginItem, Begun, BegunBatch, Settled, Swept};
use crate::port::{SendOutcome, SendPermit};

/// What is known of an attempt.
#[derive(Debug)]
struct Attempt {
    process: u32,
    session: SessionId,
    campaign: Option<CampaignId>,
    phone: Option<Phone>,
    /// Whether its request left.
    left: bool,
    /// What its sender was told, once it was.
    told: Option<Told>,
    /// Whether a failed status about it was applied.
    failure_heard: bool,
    swept: bool,
    settled: bool,
    /// Whether nobody is to blame for its doubt: its settle was lost with the power.
    excused: bool,
}

/// Who holds a session, by what acquire and heartbeat said.
#[derive(Debug)]
struct Holder {
    process: u32,
    epoch: u64,
    until: DateTime<Utc>,
}

pub(super) struct Audit {
    attempts: BTreeMap<AttemptKey, Attempt>,
    /// The attempts that each process has begun and not settled.
    open: BTreeMap<u32, BTreeSet<AttemptKey>>,
    dead: BTreeSet<u32>,
    batches: BTreeMap<BatchId, Vec<AttemptKey>>,
    barred: BTreeSet<BatchId>,
    most_open: usize,
    rate: usize,
    holders: BTreeMap<SessionId, Holder>,
    released: BTreeMap<SessionId, VecDeque<Duration>>,
    decided: Decided,
    /// Messages that were put back by hand.
    retried: BTreeSet<MessageId>,
    /// Settled since the store last wrote durably.
    unsafe_settles: Vec<AttemptKey>,
    /// What was decided when the store last wrote durably.
    on_disk: Decided,
    /// What was decided, and which attempts there were, when a backup was made.
    in_backup: (Decided, BTreeSet<AttemptKey>),
    /// Messages of which a restored backup does not know an attempt.
    forgotten: BTreeSet<MessageId>,
    /// A backup was restored and nobody has said yet that sending may go on.
    unreconciled: bool,
    labels: BTreeMap<MessageId, u64>,
}

impl Audit {
    pub(super) fn new(plan: &Plan) -> Self {
        let bound = plan.config.max_in_doubt_per_crash;
        Self {
            attempts: BTreeMap::new(),
            open: BTreeMap::new(),
            dead: BTreeSet::new(),
            batches: BTreeMap::new(),
            barred: BTreeSet::new(),
            // A store that commits in order may fail a settle and take the begin behind it, once.
            most_open: if plan.in_order { 2 * bound } else { bound },
            rate: usize::try_from(plan.rate).unwrap_or(usize::MAX),
            holders: BTreeMap::new(),
            released: BTreeMap::new(),
            decided: Decided::default(),
            retried: BTreeSet::new(),
            unsafe_settles: Vec::new(),
            on_disk: Decided::default(),
            in_backup: (Decided::default(), BTreeSet::new()),
            forgotten: BTreeSet::new(),
            unreconciled: false,
            labels: BTreeMap::new(),
        }
    }

    /// A short name for an attempt: 100 for each message in the order in which they were met, and the
    /// attempt's number.
    pub(super) fn label(&mut self, key: AttemptKey) -> u64 {
        let next = self.labels.len() as u64 + 1;
        *self.labels.entry(key.message).or_insert(next) * 100 + u64::from(key.n)
    }

    /// The number in the short name of a message.
    pub(super) fn name(&mut self, message: MessageId) -> u64 {
        let next = self.labels.len() as u64 + 1;
        *self.labels.entry(message).or_insert(next)
    }

    fn violated(hub: &Hub, promise: &'static str, what: String) {
        lock(&hub.trace).violated(promise, hub.now(), what);
    }

    /// A begin was answered by the store.
    pub(super) fn begun(&mut self, hub: &Hub, process: u32, batch: &BeginBatch, begun: &Begun) {
        match begun {
            Begun::Done(done) => self.committed(hub, process, batch, done),
            Begun::LeaseLost if !batch.items.is_empty() => hub.mark(Mark::LeaseLostBeforeBegin),
            Begun::LeaseLost => {}
            Begun::UsedBatch if self.barred.contains(&batch.id) => hub.mark(Mark::UnknownBarred),
            Begun::UsedBatch => {}
        }
    }

    fn committed(&mut self, hub: &Hub, process: u32, batch: &BeginBatch, done: &BegunBatch) {
        if !done.gone.is_empty() {
            hub.mark(Mark::GoneAtBegin);
        }
        for stopped in &done.stopped {
            if stopped.why == crate::model::HoldReason::TierFull {
                hub.mark(Mark::TierFull);
            }
        }
        for (_, why) in &done.skips {
            if *why == crate::model::SkipReason::WindowClosed {
                hub.mark(Mark::WindowClosed);
            }
        }
        if done.attempts.is_empty() {
            return;
        }
        let now = hub.wall();
        let holds =
            self.holders.get(&batch.session).is_some_and(|it| it.process == process && it.until > now);
        if !holds {
            Self::violated(hub, "I7", format!("process {process} began without holding the session"));
        }
        if self.unreconciled {
            Self::violated(hub, "I10", format!("process {process} began although a backup was restored"));
        }
        for attempt in &done.attempts {
            let item = batch.items.iter().find(|item| item.message == attempt.key.message);
            if let Some(item) = item {
                self.may_begin(hub, batch.session, item, now);
            }
            self.new_attempt(hub, process, batch, attempt.key, item);
        }
        let open = self.open.entry(process).or_default();
        open.extend(done.attempts.iter().map(|attempt| attempt.key));
        if open.len() > self.most_open {
            let what = format!(
                "process {process} has {} begun and not settled; {} are allowed",
                open.len(),
                self.most_open
            );
            Self::violated(hub, "I5", what);
        }
        self.batches.insert(batch.id, done.attempts.iter().map(|attempt| attempt.key).collect());
    }

    fn new_attempt(
        &mut self,
        hub: &Hub,
        process: u32,
        batch: &BeginBatch,
        key: AttemptKey,
        item: Option<&BeginItem>,
    ) {
        let label = self.label(key);
        hub.note("begun", u64::from(process), label);
        let former = key.n.checked_sub(1).map(|n| AttemptKey { n, ..key });
        if let Some(former) = former.and_then(|former| self.attempts.get(&former)) {
            match former.told {
                Some(Told::Refused { throttled: true }) => hub.mark(Mark::RetryAfterThrottle),
                _ if former.failure_heard => hub.mark(Mark::RetryAfterFailed),
                _ => {}
            }
        }
        if self.retried.remove(&key.message) {
            hub.mark(Mark::RetriedByHand);
        }
        let attempt = Attempt {
            process,
            session: batch.session,
            campaign: item.and_then(|item| item.campaign),
            phone: item.and_then(|item| item.recipient.phone()),
            left: false,
            told: None,
            failure_heard: false,
            swept: false,
            settled: false,
            excused: false,
        };
        if self.attempts.insert(key, attempt).is_some() {
            Self::violated(hub, "I2", format!("attempt {label} was begun twice"));
        }
    }

    /// An abandoned batch was answered by the store.
    pub(super) fn abandoned(&mut self, hub: &Hub, batch: BatchId, abandoned: Abandoned) {
        match abandoned {
            Abandoned::NeverCame => {
                self.barred.insert(batch);
                hub.mark(Mark::UnknownNeverCame);
            }
            Abandoned::WasCommitted(open) => {
                if open > 0 {
                    hub.mark(Mark::UnknownCommitted);
                }
                for key in self.batches.get(&batch).cloned().unwrap_or_default() {
                    self.close(hub, key, &Outcome::NotSent);
                }
            }
        }
    }

    /// Outcomes were committed.
    pub(super) fn settled(&mut self, hub: &Hub, process: u32, facts: &[AttemptFact], settled: &Settled) {
        for AttemptFact { attempt: key, outcome, .. } in facts {
            let label = self.label(*key);
            hub.note("settled", u64::from(process), label);
            if settled.unknown.contains(key) {
                Self::violated(hub, "I2", format!("attempt {label} has an outcome and is not there"));
                continue;
            }
            let session = self.attempts.get(key).map(|attempt| attempt.session);
            let holder = session.and_then(|session| self.holders.get(&session));
            if holder.is_none_or(|holder| holder.process != process) {
                hub.mark(Mark::SettledByFormerOwner);
            }
            if self.attempts.get(key).is_some_and(|attempt| attempt.swept && !attempt.settled) {
                hub.mark(Mark::SettledAfterSweep);
            }
            self.close(hub, *key, outcome);
            self.unsafe_settles.push(*key);
        }
        for (_, breaker) in &settled.opened {
            let BreakerScope::Session(session) = breaker.scope else { continue };
            let until = self.decided.stopped.entry(session).or_insert(breaker.until);
            *until = until.zip(breaker.until).map(|(one, other)| one.max(other));
            let waits = |attempt: &Attempt| attempt.session == session && !attempt.left && !attempt.settled;
            if self.attempts.values().any(waits) {
                hub.mark(Mark::BreakerWithPermitsOut);
            }
        }
    }

    /// An outcome is in the store: it must be what truly happened.
    fn close(&mut self, hub: &Hub, key: AttemptKey, outcome: &Outcome) {
        self.open.values_mut().for_each(|open| _ = open.remove(&key));
        let label = self.label(key);
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        attempt.settled = true;
        if let (Outcome::Rejected(failure), Some(phone)) = (outcome, attempt.phone)
            && failure.class == RejectClass::OptedOut
        {
            self.decided.no_marketing.insert(phone);
        }
        let wrong = match outcome {
            Outcome::NotSent => attempt.left.then_some("never left, and its request left"),
            Outcome::Rejected(_) => (!matches!(attempt.told, Some(Told::Refused { .. })))
                .then_some("was refused, and nobody was told so"),
            Outcome::Accepted { .. } => {
                (attempt.told != Some(Told::Taken)).then_some("was accepted, and nobody was told so")
            }
            Outcome::Ambiguous => None,
        };
        if let Some(wrong) = wrong {
            Self::violated(hub, "I3", format!("the store was told that attempt {label} {wrong}"));
        }
    }

    /// Attempts were put in doubt.
    pub(super) fn swept(&mut self, hub: &Hub, swept: &Swept) {
        for key in &swept.in_doubt {
            let label = self.label(*key);
            hub.note("swept", 0, label);
            if let Some(attempt) = self.attempts.get_mut(key) {
                attempt.swept = true;
            }
        }
    }

    /// A status was applied, if the attempt was begun in that batch: what is said of one that a restored
    /// store has forgotten is nothing about the one that has its number now.
    pub(super) fn heard(&mut self, hub: &Hub, key: AttemptKey, batch: Option<BatchId>, fact: Fact) {
        let is_of = |batch| self.batches.get(&batch).is_some_and(|keys| keys.contains(&key));
        if !batch.is_none_or(is_of) {
            hub.mark(Mark::HeardOfForgotten);
            return;
        }
        let label = self.label(key);
        hub.note("heard", u64::from(fact.bit()), label);
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        attempt.failure_heard |= fact == Fact::Failed;
        if !attempt.settled {
            hub.mark(if attempt.swept { Mark::DoubtResolved } else { Mark::WebhookBeforeReply });
        } else if attempt.told == Some(Told::Nothing) {
            hub.mark(Mark::DoubtResolved);
        }
    }

    /// A request leaves.
    pub(super) fn leaves(&mut self, hub: &Hub, permit: &SendPermit) {
        let key = permit.attempt();
        let label = self.label(key);
        match self.attempts.get_mut(&key) {
            None => Self::violated(hub, "I2", format!("a request left without attempt {label}")),
            Some(attempt) if attempt.left => {
                Self::violated(hub, "I7", format!("the permit of attempt {label} was used twice"));
            }
            Some(attempt) => {
                if attempt.settled {
                    Self::violated(
                        hub,
                        "I3",
                        format!("attempt {label} left although its outcome was stored"),
                    );
                }
                attempt.left = true;
            }
        }
        let earlier = self.attempts.range(AttemptKey { n: 0, ..key }..key);
        for (earlier, attempt) in earlier.filter(|(_, attempt)| attempt.left) {
            let is_over = attempt.failure_heard || matches!(attempt.told, Some(Told::Refused { .. }));
            if !is_over {
                let what = format!(
                    "attempt {label} left, and attempt {} of the same message may have been taken",
                    earlier.n
                );
                Self::violated(hub, "I1", what);
            }
        }
    }

    /// The sender of a request has its outcome.
    pub(super) fn told(&mut self, key: AttemptKey, outcome: &SendOutcome) {
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        attempt.told = Some(match outcome {
            SendOutcome::Accepted { .. } => Told::Taken,
            SendOutcome::Rejected { failure, .. } => Told::Refused {
                throttled: matches!(failure.class, RejectClass::Throttled | RejectClass::PairThrottled),
            },
            SendOutcome::Ambiguous { .. } => Told::Nothing,
            SendOutcome::NotSent { .. } => Told::NotSent,
        });
    }

    /// Whether somebody can be blamed for the doubt about an attempt: an answer that said nothing, or
    /// the death of the process that had it open.
    pub(super) fn is_doubtful(&self, key: AttemptKey) -> bool {
        let Some(attempt) = self.attempts.get(&key) else { return false };
        let orphaned = self.dead.contains(&attempt.process)
            && self.open.get(&attempt.process).is_some_and(|open| open.contains(&key));
        attempt.excused || attempt.told == Some(Told::Nothing) || orphaned
    }
}
