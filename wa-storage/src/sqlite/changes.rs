//! What one transaction changed beside its rows: counts, states and events, written at its end.
//!
//! Invariant: counts change in the commit of their cause, as rows that are only appended; the sum
//! of a campaign's base and its deltas is exact at every moment. A transaction writes one journal
//! row with all changed states of a tenant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use wa_core::model::{
    CampaignId, EventBody, EventId, MessageId, MessageState, SessionId, TenantId, Undelivered, micros,
};
use wa_core::rules::cost;
use wa_core::rules::rollup::Counted;
use wa_core::rules::tally::{self, Counter, Standing};

use super::alerts;
use super::booked::Booked;
use super::codec::to_json;
use super::error::Fallible;
use super::message::Attempt;
use super::writer::Tx;

pub(super) const INSERT_DELTA: &str =
    "INSERT INTO delta (tenant, campaign, counter, n) VALUES (?1, ?2, ?3, ?4)";
pub(super) const INSERT_DOUBT: &str = "INSERT OR IGNORE INTO doubt (tenant, message) VALUES (?1, ?2)";
pub(super) const DELETE_DOUBT: &str = "DELETE FROM doubt WHERE tenant = ?1 AND message = ?2";

/// Collects what a transaction changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
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
    pub(super) fn standing(
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
    pub(super) fn standings(
        &mut self,
        tenant: TenantId,
        campaign: CampaignId,
        old: Option<&Standing>,
        new: &Standing,
        n: u64,
    ) {
        let n = super::codec::int(n);
        for (counter, change) in tally::delta(old, new) {
            self.count((tenant, Some(campaign)), counter, change.saturating_mul(n));
        }
    }

    /// An attempt after the first began.
    pub(super) fn retry(&mut self, tenant: TenantId, campaign: Option<CampaignId>) {
        if campaign.is_some() {
            self.count((tenant, campaign), Counter::Retries, 1);
        }
    }

    /// An attempt was begun, or something new is known about it.
    pub(super) fn attempt(
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
    pub(super) fn inbound(&mut self, tenant: TenantId, session: SessionId, at: DateTime<Utc>) {
        self.booked.inbound(tenant, session, at);
    }

    fn count(&mut self, of: (TenantId, Option<CampaignId>), counter: Counter, n: i64) {
        *self.tallies.entry(of).or_default().entry(counter).or_default() += n;
    }

    /// A message's state changed; the list of those in doubt follows at once.
    pub(super) fn state(
        &mut self,
        conn: &Connection,
        tenant: TenantId,
        message: MessageId,
        before: MessageState,
        after: MessageState,
    ) -> Fallible<()> {
        if before == after {
            return Ok(());
        }
        if before == MessageState::InDoubt {
            conn.prepare_cached(DELETE_DOUBT)?.execute(params![tenant.as_bytes(), message.as_bytes()])?;
        }
        if after == MessageState::InDoubt {
            conn.prepare_cached(INSERT_DOUBT)?.execute(params![tenant.as_bytes(), message.as_bytes()])?;
        }
        self.note_state(tenant, message, before, after);
        Ok(())
    }

    fn note_state(
        &mut self,
        tenant: TenantId,
        message: MessageId,
        before: MessageState,
        after: MessageState,
    ) {
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
    pub(super) fn failed(&mut self, tenant: TenantId, failure: Undelivered, reason: Option<String>) {
        self.failures.insert((tenant, failure.message), (failure, reason));
    }

    /// Something else happened that the tenant should hear about.
    pub(super) fn event(&mut self, tenant: TenantId, body: EventBody) {
        self.events.push((tenant, body));
    }

    /// Takes over what a part of the transaction changed.
    pub(super) fn absorb(&mut self, part: Self) {
        let Self { tallies, booked, states, places: _, events, failures } = part;
        self.booked.absorb(booked);
        for (of, counters) in tallies {
            for (counter, n) in counters {
                self.count(of, counter, n);
            }
        }
        for (tenant, message, before, after) in states {
            self.note_state(tenant, message, before, after);
        }
        self.events.extend(events);
        self.failures.extend(failures);
    }

    /// The messages whose state is another than before, each once.
    pub(super) fn changed(&self) -> Vec<(TenantId, MessageId, MessageState)> {
        let differ = self.states.iter().filter(|(_, _, before, after)| before != after);
        differ.map(|(tenant, message, _, after)| (*tenant, *message, *after)).collect()
    }

    /// Writes the deltas and the journal.
    pub(super) fn write(self, tx: &Tx<'_>) -> Fallible<()> {
        let mut by_tenant: BTreeMap<TenantId, Vec<(MessageId, MessageState)>> = BTreeMap::new();
        for (tenant, message, state) in self.changed() {
            by_tenant.entry(tenant).or_default().push((message, state));
        }
        for (tenant, changes) in by_tenant {
            tx.journal(tenant, EventBody::Messages { changes })?;
        }
        let failed = self.newly_failed();
        for (tenant, failures) in &failed {
            let failures = failures.iter().map(|(failure, _)| *failure).collect();
            tx.journal(*tenant, EventBody::Undeliverable { failures })?;
        }
        for (tenant, body) in self.events {
            tx.journal(tenant, body)?;
        }
        let looks = alerts::Looks::new(failed, |tenant, campaign| {
            let tally = self.tallies.get(&(tenant, Some(campaign)));
            let of = |counter| tally.and_then(|tally| tally.get(&counter)).copied().unwrap_or(0);
            of(Counter::Accepted) + of(Counter::Failed)
        });
        let mut insert = tx.conn.prepare_cached(INSERT_DELTA)?;
        for ((tenant, campaign), counters) in self.tallies {
            let campaign = campaign.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            for (counter, n) in counters.into_iter().filter(|(_, n)| *n != 0) {
                insert.execute(params![tenant.as_bytes(), campaign, counter.key(), n])?;
            }
        }
        drop(insert);
        self.booked.write(tx.conn)?;
        looks.take(tx)
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

impl Tx<'_> {
    /// Appends one event.
    pub(super) fn journal(&self, tenant: TenantId, body: EventBody) -> Fallible<()> {
        let mut random = [0; 10];
        self.shared.entropy.fill(&mut random);
        let id = EventId::mint(self.now, random);
        let (text, changes) = match &body {
            EventBody::Messages { changes } => (None, Some(pack(changes))),
            other => (Some(to_json(other)?), None),
        };
        self.conn
            .prepare_cached(
                "INSERT INTO journal (id, tenant, at, body, changes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id.as_bytes(), tenant.as_bytes(), micros(self.now), text, changes])?;
        Ok(())
    }
}

/// Sixteen bytes of id and one of state for each change.
fn pack(changes: &[(MessageId, MessageState)]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(changes.len() * 17);
    for (message, state) in changes {
        packed.extend_from_slice(message.as_bytes());
        packed.push(state_code(*state));
    }
    packed
}

/// Reads what [`pack`] wrote; `None` when it is something else.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<(MessageId, MessageState)>> {
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
        changes.note_state(tenant, message, MessageState::Attempting, MessageState::Accepted);
        changes.note_state(tenant, message, MessageState::Accepted, MessageState::Read);
        assert_eq!(changes.changed(), [(tenant, message, MessageState::Read)]);
        changes.note_state(tenant, message, MessageState::Read, MessageState::Attempting);
        assert_eq!(changes.changed(), []);
    }
}
