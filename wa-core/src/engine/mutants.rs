//! Broken variants of the engine's part of the protocol (feature `mutants`), to test its tests.
//!
//! Each is wrong in one way; without a mutant everything here does what the engine does.

use super::ports::Ports;
use super::turn::PreparedBatch;
use crate::model::{AttemptKey, AttemptTag, BatchId, FailureCode, Outcome, RejectClass};
use crate::port::store::{AttemptFact, Begun, StoreError, StoreErrorKind};
use crate::port::{SendOutcome, SendPermit, WorkerScope};
use crate::testing::Mutant;

/// M4: a time-out counts as a failure that may pass.
pub(super) fn mistaken(mutant: Option<Mutant>, outcome: SendOutcome) -> SendOutcome {
    match (mutant, outcome) {
        (Some(Mutant::TimeoutIsFailure), SendOutcome::Ambiguous { why }) => {
            let failure = FailureCode { code: 0, class: RejectClass::Retry, title: why, details: None };
            SendOutcome::Rejected { failure, retry_after: None }
        }
        (_, outcome) => outcome,
    }
}

/// A begin, as the mutant makes it.
pub(super) async fn begin(
    prepared: &PreparedBatch,
    ports: &Ports,
    scope: &WorkerScope,
) -> Result<Begun, StoreError> {
    let outbox = ports.store.outbox();
    if ports.mutant == Some(Mutant::SendThenRecord) {
        return send_then_record(prepared, ports, scope).await;
    }
    match outbox.begin(scope, &prepared.batch, prepared.judge.clone()).await {
        // M8: the first one may still have been committed.
        Err(error)
            if error.kind() == StoreErrorKind::Unknown
                && ports.mutant == Some(Mutant::UnknownIsBegunAgain) =>
        {
            let mut again = prepared.batch.clone();
            again.id = BatchId::mint(ports.clock.now(), ports.draw());
            outbox.begin(scope, &again, prepared.judge.clone()).await
        }
        other => other,
    }
}

/// M1: requests leave before anything is committed.
async fn send_then_record(
    prepared: &PreparedBatch,
    ports: &Ports,
    scope: &WorkerScope,
) -> Result<Begun, StoreError> {
    let mut outcomes = Vec::new();
    for item in &prepared.batch.items {
        let attempt = AttemptKey { tenant: item.tenant, message: item.message, n: item.n };
        let letter = prepared.letters.get(&item.message);
        let content = letter.and_then(|letter| letter.content.clone());
        let transport = ports.transports.get(&prepared.to.transport);
        let (Some(content), Some(transport)) = (content, transport) else { continue };
        let tag =
            AttemptTag::new(ports.identity.instance, attempt, prepared.batch.id, &ports.identity.tag_key);
        let start_by = ports.clock.monotonic() + prepared.batch.start_within;
        let (to, who, timeout) = (prepared.to.clone(), item.recipient.clone(), prepared.batch.timeout);
        let permit = SendPermit::new(attempt, to, who, content, tag, start_by, timeout);
        outcomes.push((attempt, transport.send(permit).await));
    }
    let begun = ports.store.outbox().begin(scope, &prepared.batch, prepared.judge.clone()).await?;
    let Begun::Done(mut done) = begun else { return Ok(begun) };
    let recorded = std::mem::take(&mut done.attempts);
    let facts: Vec<_> = outcomes
        .into_iter()
        .filter(|(attempt, _)| recorded.iter().any(|it| it.key == *attempt))
        .map(|(attempt, outcome)| {
            let (outcome, retry_after) = match outcome {
                SendOutcome::Accepted { provider_id } => (Outcome::Accepted { provider_id }, None),
                SendOutcome::Ambiguous { .. } => (Outcome::Ambiguous, None),
                SendOutcome::NotSent { .. } => (Outcome::NotSent, None),
                SendOutcome::Rejected { failure, retry_after } => (Outcome::Rejected(failure), retry_after),
            };
            AttemptFact { attempt, at: ports.clock.now(), outcome, retry_after }
        })
        .collect();
    ports.store.outbox().settle(&facts).await?;
    Ok(Begun::Done(done))
}
