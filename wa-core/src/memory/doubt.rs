//! Messages in doubt: when each is looked at, what follows from its policy, what somebody says about it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::merge::{Merged, News};
use super::page;
use super::state::{DueRow, State, TenantRow};
use crate::model::{
    AttemptKey, EventBody, HoldReason, MessageId, MessageState, Outcome, Resolution, SessionId, TenantId,
};
use crate::port::WorkerScope;
use crate::port::store::{Recover, Recovered, ResolveMessage};
use crate::rules::doubt::{self, Case, Decision, Evidence, Link};

/// A message that is in doubt.
#[derive(Debug, Clone, Copy)]
pub(super) struct DoubtRow {
    /// When it is looked at; `None` until something changes.
    pub(super) look_at: Option<DateTime<Utc>>,
    pub(super) given_up_at: Option<DateTime<Utc>>,
}

impl TenantRow {
    /// Notes that a message came into doubt or left it.
    pub(super) fn doubts(
        &mut self,
        message: MessageId,
        old: MessageState,
        new: MessageState,
        now: DateTime<Utc>,
    ) {
        match (old == MessageState::InDoubt, new == MessageState::InDoubt) {
            (false, true) => {
                self.doubts.insert(message, DoubtRow { look_at: Some(now), given_up_at: None });
            }
            (true, false) => _ = self.doubts.remove(&message),
            (true, true) | (false, false) => {}
        }
    }

    /// Looks at everything in doubt again: another policy holds.
    pub(super) fn doubt_anew(&mut self, now: DateTime<Utc>) {
        for row in self.doubts.values_mut().filter(|row| row.given_up_at.is_none()) {
            row.look_at = Some(now);
        }
    }

    fn decided<T>(&self, id: MessageId, grace: Duration, decide: impl FnOnce(&Case<'_>) -> T) -> Option<T> {
        let message = self.messages.get(&id)?;
        let campaign = message.campaign.and_then(|id| self.campaigns.get(&id)).map(|row| &row.campaign);
        let link = |(n, attempt): (u16, _)| {
            let attempt: &super::state::AttemptRow = attempt;
            Link {
                n,
                begun_at: attempt.begun_at,
                end_by: attempt.end_by,
                former: attempt.former && !flawed!(self, ResendsWhatAnotherLifeBegan),
                facts: &attempt.facts,
            }
        };
        let chain: Vec<Link<'_>> = self.chain(id).map(link).collect();
        Some(decide(&Case {
            key: AttemptKey { tenant: self.tenant.id, message: id, n: 1 },
            policy: flawed!(self, ResendsByItself => super::flaws::impatient(&self.settings), doubt::policy(
                message.in_doubt,
                campaign.and_then(|campaign| campaign.in_doubt).filter(|_| !flawed!(self, IgnoresACampaignsPolicy)),
                &self.settings,
            )),
            chain: &chain,
            queued: self.due.contains_key(&id),
            closed: flawed!(self, ResendsWhatWasCancelled => None, self.closed.get(&id).copied()),
            campaign: campaign.map(|campaign| campaign.state),
            valid_until: message.valid_until,
            grace: TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX),
        }))
    }

    /// How many attempts of a session that began about then were heard of.
    fn heard_beside(&self, session: SessionId, at: DateTime<Utc>) -> u32 {
        let beside = |begun_at: DateTime<Utc>| (begun_at - at).abs() <= doubt::BESIDE;
        let mut found: Vec<_> = self
            .attempts
            .values()
            .filter(|attempt| attempt.session == session && beside(attempt.begun_at))
            .map(|attempt| (attempt.begun_at, doubt::is_heard_of(&attempt.facts)))
            .collect();
        found.sort_by_key(|(begun_at, _)| *begun_at);
        let looked_at = found.iter().take(usize::try_from(doubt::MOST_LOOKED_AT).unwrap_or(usize::MAX));
        u32::try_from(looked_at.filter(|(_, heard)| *heard).count()).unwrap_or(u32::MAX)
    }

    fn put_resend(&mut self, id: MessageId, now: DateTime<Utc>) {
        self.closed.remove(&id);
        self.due.insert(id, DueRow { due_at: now, why: Some(HoldReason::Resend) });
    }

    /// The attempts of a message that are in doubt, oldest first.
    fn doubtful(&self, id: MessageId) -> Vec<AttemptKey> {
        let keys = self.decided(id, Duration::ZERO, |case| {
            doubt::doubtful(case.chain).map(|link| AttemptKey { n: link.n, ..case.key }).collect()
        });
        keys.unwrap_or_default()
    }
}

impl State {
    fn decide(
        &self,
        tenant: &TenantRow,
        session: SessionId,
        id: MessageId,
        grace: Duration,
        now: DateTime<Utc>,
    ) -> Decision {
        let evidence = |case: &Case<'_>| {
            let transport = tenant.sessions.get(&session).map(|session| &session.transport);
            let mut bodies = self.bodies.values();
            Evidence {
                backlog: !flawed!(self, IgnoresUnreadBodies)
                    && bodies.any(|row| !row.projected && Some(&row.body.transport) == transport),
                heard: doubt::doubtful(case.chain)
                    .map(|link| tenant.heard_beside(session, link.begun_at))
                    .min()
                    .unwrap_or(0),
            }
        };
        let decided =
            tenant.decided(id, grace, |case| match doubt::decide(case, &tenant.settings, None, now) {
                Decision::Ask => doubt::decide(case, &tenant.settings, Some(evidence(case)), now),
                decided @ (Decision::Keep { .. } | Decision::Resend | Decision::GiveUp) => decided,
            });
        decided.unwrap_or(Decision::Keep { look_at: None })
    }

    /// Looks at what is in doubt and whose time has come.
    pub(super) fn recover(&mut self, scope: &WorkerScope, ask: &Recover, now: DateTime<Utc>) -> Recovered {
        let holds = |id| flawed!(self, RecoversWithoutALease => self.owner(id), self.held(scope, id, now).map(|(_, it)| it));
        let held: Vec<(SessionId, TenantId)> =
            scope.sessions().filter_map(|(id, _)| Some((id, holds(id)?.tenant.id))).collect();
        let mut waiting = self.doubted(&held);
        waiting.retain(|(look_at, ..)| *look_at <= now);
        let (mut entries, mut recovered) = (Entries::default(), Recovered::default());
        let mut told: BTreeMap<SessionId, (TenantId, Vec<MessageId>, Vec<MessageId>)> = BTreeMap::new();
        for (_, owner, id, session) in
            page(waiting.into_iter(), flawed!(self, RecoversPastTheLimit => super::MAX_PAGE, ask.limit))
        {
            let Some(tenant) = self.tenants.get(&owner) else { continue };
            let grace = flawed!(self, ResendsWithoutGrace => Duration::ZERO, ask.grace);
            let decision = self.decide(tenant, session, id, grace, now);
            #[cfg(feature = "mutants")]
            let decision = super::flaws::decided(tenant, id, decision);
            let Some(tenant) = self.tenants.get_mut(&owner) else { continue };
            let (_, resent, given_up) = told.entry(session).or_insert((owner, Vec::new(), Vec::new()));
            let (look_at, given_up_at) = match decision {
                Decision::Keep { look_at } => (look_at, None),
                // Asked with evidence, the rule does not ask back.
                Decision::Ask => (Some(now + TimeDelta::minutes(1)), None),
                Decision::Resend => {
                    tenant.put_resend(id, now);
                    resent.push(id);
                    recovered.resent.push((owner, id));
                    (Some(now + TimeDelta::days(1)), None)
                }
                Decision::GiveUp => {
                    given_up.push(id);
                    recovered.given_up.push((owner, id));
                    (None, Some(now))
                }
            };
            tenant.doubts.insert(id, DoubtRow { look_at, given_up_at });
        }
        for (session, (owner, resent, given_up)) in told {
            if !resent.is_empty() && !flawed!(self, ResendsSilently) {
                entries.note(owner, EventBody::Resend { session, messages: resent });
            }
            if !given_up.is_empty() {
                entries.note(owner, EventBody::GivenUp { session, messages: given_up });
            }
        }
        self.enter(entries, now);
        recovered.next_at = self.doubted(&held).first().map(|(look_at, ..)| *look_at);
        recovered
    }

    /// What is in doubt of sessions and is to be looked at, in that order.
    fn doubted(
        &self,
        held: &[(SessionId, TenantId)],
    ) -> Vec<(DateTime<Utc>, TenantId, MessageId, SessionId)> {
        let mut found = Vec::new();
        for (session, owner) in held {
            let Some(tenant) = self.tenants.get(owner) else { continue };
            for (id, row) in &tenant.doubts {
                let own = tenant.messages.get(id).is_some_and(|message| message.session == *session);
                found.extend(row.look_at.filter(|_| own).map(|look_at| (look_at, *owner, *id, *session)));
            }
        }
        found.sort();
        found
    }

    /// Records what somebody says about a message in doubt.
    pub(super) fn resolve(
        &mut self,
        owner: TenantId,
        id: MessageId,
        resolution: Resolution,
        now: DateTime<Utc>,
    ) -> ResolveMessage {
        let Some(tenant) = self.tenants.get_mut(&owner) else { return ResolveMessage::Missing };
        if !tenant.messages.contains_key(&id) {
            return ResolveMessage::Missing;
        }
        let state = tenant.state_of(id);
        if state != MessageState::InDoubt {
            return ResolveMessage::Not(state);
        }
        let mut merged = Merged::default();
        merged.entries.note(owner, EventBody::Resolved { message: id, resolution });
        let doubtful = tenant.doubtful(id);
        match resolution {
            Resolution::Resend => {
                if let Some(due) = tenant.due.get(&id).filter(|_| !flawed!(tenant, ResendsAnew)) {
                    return ResolveMessage::Requeued(due.due_at);
                }
                let barred = tenant.decided(id, Duration::ZERO, |case| doubt::bars_resend(case, now));
                if let Some(reason) = barred.flatten().filter(|_| !flawed!(tenant, ResendsWhatIsOver)) {
                    return ResolveMessage::Barred(reason);
                }
                tenant.put_resend(id, now);
                tenant.doubts.insert(id, DoubtRow { look_at: Some(now), given_up_at: None });
                self.enter(merged.entries, now);
                return ResolveMessage::Requeued(now);
            }
            Resolution::Delivered => {
                if let Some(last) = doubtful.last() {
                    self.merge(*last, News::Delivered(now), now, &mut merged);
                }
            }
            Resolution::Undelivered => {
                let outcome = Outcome::Rejected(doubt::undelivered_by_hand());
                let news = News::Outcome { outcome: &outcome, at: now, retry_after: None };
                for key in doubtful {
                    self.merge(key, news, now, &mut merged);
                }
            }
        }
        let state = self.tenants.get(&owner).map_or(state, |tenant| tenant.state_of(id));
        self.enter(merged.entries, now);
        ResolveMessage::Resolved(state)
    }
}
