//! What one transaction changes beside its rows: counts, states and events, written at its end.
//!
//! Invariant: counts change in the commit of their cause, as rows that are only appended; the sum
//! of a campaign's base and its deltas is exact at every moment. A transaction writes one journal
//! row with all changed states of a tenant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use wa_core::model::{CampaignId, EventBody, MessageId, MessageState, SessionId, TenantId, Undelivered};
use wa_core::rules::cost;
use wa_core::rules::rollup::Counted;
use wa_core::rules::tally::{self, Counter, Standing};

use super::booked::Booked;
use super::message::Attempt;

/// Collects what a transaction changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    tallies: BTreeMap<(TenantId, Option<CampaignId>), BTreeMap<Counter, i64>>,
    booked: Booked,
    states: Vec<(TenantId, MessageId, MessageState, MessageState)>,
    places: HashMap<(TenantId, MessageId), usize>,
    events: Vec<(TenantId, EventBody)>,
    /// What is known of messages that failed, with the names of their reasons.
    failures: HashMap<(TenantId, MessageId), (Undelivered, Option<String>)>,
}

impl Changes {
    /// A message goes from one standing to another; a new one has no old standing.
    pub(crate) fn standing(
        &mut self,
        tenant: TenantId,
        campaign: Option<CampaignId>,
        old: Option<&Standing>,
        new: &Standing,
    ) {
        if campaign.is_none() {
            return;
        }
        for (counter, n) in tally::delta(old, new) {
            self.count((tenant, campaign), counter, n);
        }
    }

    /// `n` messages of a campaign go from one standing to another.
    pub(crate) fn standings(
        &mut self,
        tenant: TenantId,
        campaign: CampaignId,
        old: Option<&Standing>,
        new: &Standing,
        n: u64,
    ) {
        let n = super::int(n);
        for (counter, change) in tally::delta(old, new) {
            self.count((tenant, Some(campaign)), counter, change.saturating_mul(n));
        }
    }

    /// An attempt after the first began.
    pub(crate) fn retry(&mut self, tenant: TenantId, campaign: Option<CampaignId>) {
        if campaign.is_some() {
            self.count((tenant, campaign), Counter::Retries, 1);
        }
    }

    /// An attempt was begun, or something new is known about it.
    pub(crate) fn attempt(
        &mut self,
        tenant: TenantId,
        campaign: Option<CampaignId>,
        attempt: &Attempt,
        old: Option<&Counted<'_>>,
        new: &Counted<'_>,
    ) {
        self.booked.attempt(tenant, campaign, attempt, old, new);
        let changes = cost::delta(old.and_then(|old| old.booking), new.booking);
        // Counts for its campaign and for the tenant.
        for of in BTreeSet::from([campaign, None]) {
            for (counter, n) in &changes {
                self.count((tenant, of), Counter::Cost(*counter), *n);
            }
        }
    }

    /// A user wrote.
    pub(crate) fn inbound(&mut self, tenant: TenantId, session: SessionId, at: DateTime<Utc>) {
        self.booked.inbound(tenant, session, at);
    }

    fn count(&mut self, of: (TenantId, Option<CampaignId>), counter: Counter, n: i64) {
        *self.tallies.entry(of).or_default().entry(counter).or_default() += n;
    }

    /// A message's state changed.
    pub(crate) fn state(
        &mut self,
        tenant: TenantId,
        message: MessageId,
        before: MessageState,
        after: MessageState,
    ) {
        if before == after {
            return;
        }
        // Several changes in one commit are one: nobody can see what lay between.
        let known = self.places.get(&(tenant, message)).and_then(|place| self.states.get_mut(*place));
        if let Some((_, _, _, known)) = known {
            *known = after;
        } else {
            self.places.insert((tenant, message), self.states.len());
            self.states.push((tenant, message, before, after));
        }
    }

    /// What is to be told of a message whose state is failed now, and the name of its reason.
    pub(crate) fn failed(&mut self, tenant: TenantId, failure: Undelivered, reason: Option<String>) {
        self.failures.insert((tenant, failure.message), (failure, reason));
    }

    /// Something else happened that the tenant should hear about.
    pub(crate) fn event(&mut self, tenant: TenantId, body: EventBody) {
        self.events.push((tenant, body));
    }

    /// Takes over what a part of the transaction changed.
    pub(crate) fn absorb(&mut self, part: Self) {
        let Self { tallies, booked, states, places: _, events, failures } = part;
        self.booked.absorb(booked);
        for (of, counters) in tallies {
            for (counter, n) in counters {
                self.count(of, counter, n);
            }
        }
        for (tenant, message, before, after) in states {
            self.state(tenant, message, before, after);
        }
        self.events.extend(events);
        self.failures.extend(failures);
    }

    /// The state that a message has now, where it changed.
    pub(crate) fn state_of(&self, tenant: TenantId, message: MessageId) -> Option<MessageState> {
        let place = self.places.get(&(tenant, message))?;
        self.states.get(*place).map(|(.., after)| *after)
    }

    /// The messages whose state is another than before, each once.
    pub(crate) fn changed(&self) -> Vec<(TenantId, MessageId, MessageState)> {
        let differ = self.states.iter().filter(|(_, _, before, after)| before != after);
        differ.map(|(tenant, message, _, after)| (*tenant, *message, *after)).collect()
    }

    /// What is to be written: journal first, then the counts, then alerts.
    pub(crate) fn finish(self) -> Written {
        let mut by_tenant: BTreeMap<TenantId, Vec<(MessageId, MessageState)>> = BTreeMap::new();
        for (tenant, message, state) in self.changed() {
            by_tenant.entry(tenant).or_default().push((message, state));
        }
        let states = by_tenant.into_iter().map(|(tenant, changes)| (tenant, EventBody::Messages { changes }));
        let mut events: Vec<_> = states.collect();
        let failed = self.newly_failed();
        for (tenant, failures) in &failed {
            let failures = failures.iter().map(|(failure, _)| *failure).collect();
            events.push((*tenant, EventBody::Undeliverable { failures }));
        }
        let (mut doubted, mut resolved) = (Vec::new(), Vec::new());
        for (tenant, message, before, after) in &self.states {
            match (*before == MessageState::InDoubt, *after == MessageState::InDoubt) {
                (false, true) => doubted.push((*tenant, *message)),
                (true, false) => resolved.push((*tenant, *message)),
                (true, true) | (false, false) => {}
            }
        }
        let looks = looks(failed, |tenant, campaign| {
            let tally = self.tallies.get(&(tenant, Some(campaign)));
            let of = |counter| tally.and_then(|tally| tally.get(&counter)).copied().unwrap_or(0);
            of(Counter::Accepted) + of(Counter::Failed)
        });
        events.extend(self.events);
        let counts = self.tallies.into_iter().flat_map(|((tenant, campaign), counters)| {
            counters.into_iter().map(move |(counter, n)| Delta { tenant, campaign, counter, n })
        });
        let deltas = counts.filter(|delta| delta.n != 0).collect();
        Written { events, doubted, resolved, deltas, booked: self.booked, looks }
    }

    /// The messages that failed and had not before, with the names of their reasons, in the order of
    /// the changes.
    fn newly_failed(&self) -> BTreeMap<TenantId, Vec<(Undelivered, Option<String>)>> {
        let mut failed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (tenant, message, before, after) in &self.states {
            if *after == MessageState::Failed
                && before != after
                && let Some(known) = self.failures.get(&(*tenant, *message))
            {
                failed.entry(*tenant).or_default().push(known.clone());
            }
        }
        failed
    }
}

/// What a transaction has to write at its end.
#[derive(Debug)]
pub(crate) struct Written {
    /// In the order in which they go into the journal.
    pub(crate) events: Vec<(TenantId, EventBody)>,
    /// Messages that are in doubt now and were not before.
    pub(crate) doubted: Vec<(TenantId, MessageId)>,
    /// Messages that were in doubt before and are not now.
    pub(crate) resolved: Vec<(TenantId, MessageId)>,
    pub(crate) deltas: Vec<Delta>,
    pub(crate) booked: Booked,
    /// The campaigns of which messages failed; to be looked at once the counts are written.
    pub(crate) looks: Vec<CampaignLook>,
}

impl Written {
    /// Whether there is nothing to write.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_empty(&self) -> bool {
        let Self { events, doubted, resolved, deltas, booked, looks } = self;
        events.is_empty()
            && doubted.is_empty()
            && resolved.is_empty()
            && deltas.is_empty()
            && booked.is_empty()
            && looks.is_empty()
    }
}

/// A change of one count of a campaign, or of the tenant's total.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(crate) tenant: TenantId,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) counter: Counter,
    pub(crate) n: i64,
}

/// What a transaction changed of a campaign that has to be looked at.
#[derive(Debug)]
pub(crate) struct CampaignLook {
    pub(crate) tenant: TenantId,
    pub(crate) campaign: CampaignId,
    /// How many messages failed anew, by the name of the reason.
    pub(crate) fresh: BTreeMap<String, u64>,
    /// By how much the number of its answered messages changed.
    pub(crate) answered: i64,
}

fn looks(
    failed: BTreeMap<TenantId, Vec<(Undelivered, Option<String>)>>,
    answered: impl Fn(TenantId, CampaignId) -> i64,
) -> Vec<CampaignLook> {
    let mut looks = BTreeMap::new();
    for (tenant, failures) in failed {
        for (failure, reason) in failures {
            let Some((campaign, reason)) = failure.campaign.zip(reason) else { continue };
            let look = looks.entry((tenant, campaign)).or_insert_with(|| CampaignLook {
                tenant,
                campaign,
                fresh: BTreeMap::new(),
                answered: answered(tenant, campaign),
            });
            *look.fresh.entry(reason).or_default() += 1;
        }
    }
    looks.into_values().collect()
}

/// Sixteen bytes of id and one of state for each change.
pub(crate) fn pack(changes: &[(MessageId, MessageState)]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(changes.len() * 17);
    for (message, state) in changes {
        packed.extend_from_slice(message.as_bytes());
        packed.push(state_code(*state));
    }
    packed
}

/// Reads what [`pack`] wrote; `None` when it is something else.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<(MessageId, MessageState)>> {
    let (chunks, []) = packed.as_chunks::<17>() else { return None };
    let read = |chunk: &[u8; 17]| {
        let (id, code) = chunk.split_first_chunk::<16>()?;
        let state =
            MessageState::ALL.iter().find(|state| state_code(**state) == code.first().copied().unwrap_or(0));
        Some((MessageId::from_uuid(uuid::Uuid::from_bytes(*id)), *state?))
    };
    chunks.iter().map(read).collect()
}

/// Codes are stored, so a state keeps its own for ever.
const fn state_code(state: MessageState) -> u8 {
    match state {
        MessageState::Pending => 1,
        MessageState::Held => 2,
        MessageState::Attempting => 3,
        MessageState::InDoubt => 4,
        MessageState::Accepted => 5,
        MessageState::Sent => 6,
        MessageState::Delivered => 7,
        MessageState::Read => 8,
        MessageState::Played => 9,
        MessageState::Failed => 10,
        MessageState::Skipped => 11,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn packed_states_come_back_and_rubbish_does_not() {
        let changes: Vec<_> = MessageState::ALL
            .iter()
            .enumerate()
            .map(|(n, state)| (MessageId::from_uuid(Uuid::from_u128(n.try_into().expect("small"))), *state))
            .collect();
        assert_eq!(unpack(&pack(&changes)), Some(changes.clone()));
        let mut cut = pack(&changes);
        cut.pop();
        assert_eq!(unpack(&cut), None);
        cut.push(99);
        assert_eq!(unpack(&cut), None, "99 is no state");
    }

    #[test]
    fn several_changes_of_one_message_are_one() {
        let mut changes = Changes::default();
        let (tenant, message) = (TenantId::from_uuid(Uuid::nil()), MessageId::from_uuid(Uuid::nil()));
        changes.state(tenant, message, MessageState::Attempting, MessageState::Accepted);
        changes.state(tenant, message, MessageState::Accepted, MessageState::Read);
        assert_eq!(changes.changed(), [(tenant, message, MessageState::Read)]);
        changes.state(tenant, message, MessageState::Read, MessageState::Attempting);
        assert_eq!(changes.changed(), []);
    }
}
