//! A turn: outcomes are settled, then the room they leave is begun anew.
//!
//! No begin is committed before the settle that made room for it, so that never more than
//! `max_in_doubt_per_crash` attempts are begun and not settled. A store that commits in order gets
//! both at once and needs one commit for the two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{join, join_all};
use futures::stream;

use super::ports::Ports;
use crate::model::{
    BatchId, CampaignId, Content, HoldReason, Lane, MessageId, ProviderMessageId, Recipient, SessionId,
};
use crate::port::store::{AttemptFact, BeginBatch, Begun, Settled, StoreError, StoreErrorKind};
use crate::rules::judge::{Admission, Facts, GroupFacts, Judge, Verdict};

/// How many begins run at once in a store that does not commit in order.
const BEGINS_AT_ONCE: usize = 4;

/// A batch of one session on its way into the store.
#[derive(Debug)]
pub(crate) struct PreparedBatch {
    pub(crate) batch: BeginBatch,
    /// The epoch under which the session is held.
    pub(crate) epoch: u64,
    pub(crate) letters: BTreeMap<MessageId, Letter>,
    pub(crate) judge: Arc<dyn Judge>,
    /// Where a request goes that does not wait for its begin.
    #[cfg(feature = "mutants")]
    pub(crate) to: crate::port::SessionRef,
}

/// What is needed to send a message once it has begun.
#[derive(Debug)]
pub(crate) struct Letter {
    /// `None` when it cannot be sent at all; begin then closes it.
    pub(crate) content: Option<Content>,
    pub(crate) reply_to: Option<ProviderMessageId>,
    /// What goes instead outside the window.
    pub(crate) fallback: Option<Content>,
    pub(crate) recipient: Recipient,
    pub(crate) lane: Lane,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) rate: Option<u32>,
    /// Whether the pair's place was taken for it.
    pub(crate) pair_taken: bool,
}

/// Outcomes to settle and batches to begin.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) facts: Vec<AttemptFact>,
    pub(crate) batches: Vec<PreparedBatch>,
}

/// Outcomes that were settled together, and how that went.
pub(crate) type Settling = (Vec<AttemptFact>, Result<Settled, StoreError>);

/// What a turn did.
#[derive(Debug)]
pub(crate) struct TurnDone {
    /// The outcomes, and whether they are in the store.
    pub(crate) settled: Vec<Settling>,
    pub(crate) begun: Vec<BatchDone>,
}

/// What became of one batch.
#[derive(Debug)]
pub(crate) struct BatchDone {
    pub(crate) session: SessionId,
    pub(crate) epoch: u64,
    /// Under which it was begun.
    pub(crate) batch: BatchId,
    pub(crate) letters: BTreeMap<MessageId, Letter>,
    /// The monotonic clock before the begin: every deadline is measured from here.
    pub(crate) asked_at: Duration,
    pub(crate) outcome: BatchOutcome,
}

#[derive(Debug)]
pub(crate) enum BatchOutcome {
    Begun(Begun),
    /// Nothing happened.
    Failed(StoreError),
    /// Nobody knows whether it was committed; nothing of it is sent.
    Unknown(StoreError),
}

impl Turn {
    pub(crate) async fn run(self, ports: &Ports, scope: crate::port::WorkerScope) -> TurnDone {
        let Self { facts, batches } = self;
        if ports.store.commits_in_order() {
            // The first poll of a join goes from left to right, so settle is handed in first.
            let begin = join_all(batches.into_iter().map(|batch| batch.begin(ports, &scope)));
            let (settled, begun) = join(settle(ports, facts), begin).await;
            return TurnDone { settled, begun };
        }
        let settled = settle(ports, facts).await;
        if settled.iter().any(|(_, result)| result.is_err()) {
            // Without the room that settling makes, beginning more would pass the bound.
            let begun = batches.into_iter().map(BatchDone::not_tried).collect();
            return TurnDone { settled, begun };
        }
        // Each occupies a connection; those that have waited longest come first.
        let begins = batches.into_iter().map(|batch| batch.begin(ports, &scope));
        let begun = stream::iter(begins).buffer_unordered(BEGINS_AT_ONCE).collect().await;
        TurnDone { settled, begun }
    }
}

async fn settle(ports: &Ports, facts: Vec<AttemptFact>) -> Vec<Settling> {
    if facts.is_empty() {
        return Vec::new();
    }
    let outbox = ports.store.outbox();
    match outbox.settle(&facts).await {
        // One of them is at fault: the others are stored without it.
        Err(error) if error.kind() == StoreErrorKind::Broken && facts.len() > 1 => {
            let mut one_by_one = Vec::with_capacity(facts.len());
            for fact in facts {
                let result = outbox.settle(std::slice::from_ref(&fact)).await;
                one_by_one.push((vec![fact], result));
            }
            one_by_one
        }
        result => vec![(facts, result)],
    }
}

impl PreparedBatch {
    async fn begin(self, ports: &Ports, scope: &crate::port::WorkerScope) -> BatchDone {
        let asked_at = ports.clock.monotonic();
        #[cfg(feature = "mutants")]
        let begun = super::mutants::begin(&self, ports, scope).await;
        #[cfg(not(feature = "mutants"))]
        let begun = ports.store.outbox().begin(scope, &self.batch, self.judge).await;
        let outcome = match begun {
            Ok(begun) => BatchOutcome::Begun(begun),
            Err(error) => match error.kind() {
                StoreErrorKind::Unknown => BatchOutcome::Unknown(error),
                StoreErrorKind::Unavailable | StoreErrorKind::Closed | StoreErrorKind::Broken => {
                    BatchOutcome::Failed(error)
                }
            },
        };
        BatchDone {
            session: self.batch.session,
            epoch: self.epoch,
            batch: self.batch.id,
            letters: self.letters,
            asked_at,
            outcome,
        }
    }
}

impl BatchDone {
    fn not_tried(batch: PreparedBatch) -> Self {
        let error = StoreError::new(StoreErrorKind::Unavailable, "outcomes could not be settled first", None);
        Self {
            session: batch.batch.session,
            epoch: batch.epoch,
            batch: batch.batch.id,
            letters: batch.letters,
            asked_at: Duration::ZERO,
            outcome: BatchOutcome::Failed(error),
        }
    }
}

/// The judge of a batch: the rules, and what the planner says about room.
#[derive(Debug)]
pub(crate) struct PlannedJudge {
    pub(crate) rules: Arc<dyn Judge>,
    /// Messages for which the number has no room, for how long from now, and why.
    pub(crate) waits: BTreeMap<MessageId, (chrono::TimeDelta, HoldReason)>,
}

impl Judge for PlannedJudge {
    fn admit(&self, group: &GroupFacts, now: chrono::DateTime<chrono::Utc>) -> Admission {
        self.rules.admit(group, now)
    }

    fn judge(&self, facts: &Facts<'_>, now: chrono::DateTime<chrono::Utc>) -> Verdict {
        let verdict = self.rules.judge(facts, now);
        match (verdict, self.waits.get(&facts.item.message)) {
            (Verdict::Send(_), Some((wait, why))) => Verdict::Wait { until: now + *wait, why: *why },
            (
                verdict @ (Verdict::Send(_)
                | Verdict::Wait { .. }
                | Verdict::Skip(_)
                | Verdict::Stop { .. }
                | Verdict::Pause { .. }),
                _,
            ) => verdict,
        }
    }
}
