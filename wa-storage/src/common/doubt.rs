//! A message in doubt as a store holds it: the case for the rule, and what a decision changes.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{
    AttemptKey, CampaignState, EventBody, HoldReason, InDoubtPolicy, Lane, MessageId, SessionId, TenantId,
    TenantSettings,
};
use wa_core::port::store::Recovered;
use wa_core::rules::doubt::{self, Case, Decision, Evidence, Link};

use super::changes::Changes;
use super::message::{Attempt, Due, Stored};

/// What decides about a message in doubt and lies beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside {
    /// What the message says of itself.
    pub(crate) own: Option<InDoubtPolicy>,
    /// What its campaign says.
    pub(crate) of_campaign: Option<InDoubtPolicy>,
    pub(crate) campaign: Option<CampaignState>,
    pub(crate) lane: Lane,
    pub(crate) valid_until: Option<DateTime<Utc>>,
}

impl Stored {
    /// Asks a rule about this message.
    pub(crate) fn in_doubt<T>(
        &self,
        beside: &Beside,
        settings: &TenantSettings,
        grace: TimeDelta,
        ask: impl FnOnce(&Case<'_>) -> T,
    ) -> T {
        let chain: Vec<Link<'_>> = self.attempts.iter().map(link).collect();
        ask(&Case {
            key: AttemptKey { tenant: self.tenant, message: self.id, n: 1 },
            policy: doubt::policy(beside.own, beside.of_campaign, settings),
            chain: &chain,
            queued: self.due.is_some(),
            closed: self.closed,
            campaign: beside.campaign,
            valid_until: beside.valid_until,
            grace,
        })
    }

    /// What becomes of it.
    pub(crate) fn recover(
        &self,
        beside: &Beside,
        settings: &TenantSettings,
        grace: TimeDelta,
        evidence: Option<Evidence>,
        now: DateTime<Utc>,
    ) -> Decision {
        self.in_doubt(beside, settings, grace, |case| doubt::decide(case, settings, evidence, now))
    }

    /// Its attempts, oldest first.
    #[cfg(feature = "postgres")]
    pub(crate) fn keys(&self) -> impl Iterator<Item = AttemptKey> {
        self.attempts.iter().map(|attempt| AttemptKey { tenant: self.tenant, message: self.id, n: attempt.n })
    }

    /// Its attempts in doubt, oldest first, with their begins.
    pub(crate) fn doubtful(&self) -> Vec<(AttemptKey, DateTime<Utc>)> {
        let doubtful = |attempt: &Attempt| {
            let key = AttemptKey { tenant: self.tenant, message: self.id, n: attempt.n };
            doubt::is_doubtful(&attempt.facts).then_some((key, attempt.begun_at))
        };
        self.attempts.iter().filter_map(doubtful).collect()
    }

    /// Lets it wait for another attempt, from now on; whether it had been closed.
    pub(crate) fn resend(&mut self, now: DateTime<Utc>, changes: &mut Changes) -> (Due, bool) {
        let old = self.standing();
        let n = self.attempts.last().map_or(0, |attempt| attempt.n) + 1;
        let due = Due { n, why: Some(HoldReason::Resend), at: now };
        let was_closed = self.closed.take().is_some();
        self.due = Some(due);
        changes.standing(self.tenant, self.campaign, Some(&old), &self.standing());
        (due, was_closed)
    }
}

fn link(attempt: &Attempt) -> Link<'_> {
    Link {
        n: attempt.n,
        begun_at: attempt.begun_at,
        end_by: attempt.end_by,
        former: attempt.former,
        facts: &attempt.facts,
    }
}

/// Whose they are, the messages that wait again, and those that were given up on.
type Told = (Option<TenantId>, Vec<MessageId>, Vec<MessageId>);

/// What one step makes of messages in doubt.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    recovered: Recovered,
    told: BTreeMap<SessionId, Told>,
}

impl Decided {
    /// Notes a decision; when it is to be looked at again, and since when it is given up on.
    pub(crate) fn note(
        &mut self,
        (tenant, session, message): (TenantId, SessionId, MessageId),
        decision: Decision,
        now: DateTime<Utc>,
    ) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let (owner, resent, given_up) = self.told.entry(session).or_default();
        *owner = Some(tenant);
        match decision {
            Decision::Keep { look_at } => (look_at, None),
            // Asked with evidence, the rule does not ask back.
            Decision::Ask => (Some(now + TimeDelta::minutes(1)), None),
            Decision::Resend => {
                resent.push(message);
                self.recovered.resent.push((tenant, message));
                (Some(now + TimeDelta::days(1)), None)
            }
            Decision::GiveUp => {
                given_up.push(message);
                self.recovered.given_up.push((tenant, message));
                (None, Some(now))
            }
        }
    }

    /// Tells the journal, and gives the answer.
    pub(crate) fn finish(self, next_at: Option<DateTime<Utc>>, changes: &mut Changes) -> Recovered {
        for (session, (owner, resent, given_up)) in self.told {
            let Some(tenant) = owner else { continue };
            if !resent.is_empty() {
                changes.event(tenant, EventBody::Resend { session, messages: resent });
            }
            if !given_up.is_empty() {
                changes.event(tenant, EventBody::GivenUp { session, messages: given_up });
            }
        }
        Recovered { next_at, ..self.recovered }
    }
}
