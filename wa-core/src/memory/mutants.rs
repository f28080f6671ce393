//! Broken variants of the store's part of the protocol (feature `mutants`), to test its tests.
//!
//! Each is wrong in one way; without a mutant everything here does what the store does.

use chrono::{DateTime, TimeDelta, Utc};

use super::state::{DueRow, State, TenantRow};
use crate::model::{DeliveryFacts, Fact, HoldReason, MessageState, Outcome, SessionId, TenantId};
use crate::testing::Mutant;

/// After how long M5 sends again.
const IMPATIENCE: TimeDelta = TimeDelta::seconds(5);

/// Breaks a tenant as its store is broken.
pub(super) fn infect(state: &mut State, tenant: TenantId) {
    let (mutant, flaw) = (state.mutant, state.flaw);
    if let Some(row) = state.tenants.get_mut(&tenant) {
        (row.mutant, row.flaw) = (mutant, flaw);
        row.contacts.flaw = flaw;
    }
}

/// M2: begin looks whether there is such a message, and not whether it waits.
pub(super) fn takes_twice(tenant: &TenantRow) -> bool {
    tenant.mutant == Some(Mutant::BeginTakesTwice)
}

/// M3: whatever is stuck has not been sent.
pub(super) fn swept(mutant: Option<Mutant>) -> Outcome {
    match mutant {
        Some(Mutant::StuckIsPending) => Outcome::NotSent,
        _ => Outcome::Ambiguous,
    }
}

/// M5: what has been in doubt for a while waits for another attempt.
pub(super) fn resend(state: &mut State, held: &[SessionId], now: DateTime<Utc>) {
    if state.mutant != Some(Mutant::ResendsBlindly) {
        return;
    }
    for tenant in state.tenants.values_mut() {
        let in_doubt: Vec<_> = tenant
            .messages
            .iter()
            .filter(|(_, message)| held.contains(&message.session))
            .map(|(id, _)| *id)
            .filter(|id| tenant.state_of(*id) == MessageState::InDoubt)
            .filter(|id| tenant.chain(*id).all(|(_, attempt)| attempt.end_by + IMPATIENCE <= now))
            .collect();
        for id in in_doubt {
            tenant.due.insert(id, DueRow { due_at: now, why: Some(HoldReason::Retry) });
        }
    }
}

/// M6: a restored store does not notice that it was.
pub(super) fn notices_a_restore(mutant: Option<Mutant>) -> bool {
    mutant != Some(Mutant::RestoredGoesOn)
}

/// M7: once the last attempt is refused, nothing else is looked at.
pub(super) fn folded(mutant: Option<Mutant>, attempts: Vec<&DeliveryFacts>) -> Vec<&DeliveryFacts> {
    match (mutant, attempts.last()) {
        (Some(Mutant::LastAttemptDecides), Some(last)) if last.has(Fact::Rejected) => vec![*last],
        _ => attempts,
    }
}
