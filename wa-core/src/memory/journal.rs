//! The room of events, and the entries that the other rooms write.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::state::State;
use super::{MemoryStore, behind, page};
use crate::model::{
    Breaker, BreakerScope, CampaignId, CampaignState, Consent, ConsentSource, ContactId, Event, EventBody,
    EventId, MessageId, MessageState, StreamPosition, TenantId,
};
use crate::port::store::{Journal, ReaderName, StoreError};
use crate::port::{AdminScope, Notice, Scope};

/// What one call has to tell.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// In the order in which they happened.
    events: Vec<(TenantId, EventBody)>,
    /// The state of each message that changed, before and after, in the order of the first changes.
    states: Vec<(TenantId, MessageId, MessageState, MessageState)>,
}

impl Entries {
    pub(super) fn note(&mut self, tenant: TenantId, body: EventBody) {
        self.events.push((tenant, body));
    }

    pub(super) fn moved(&mut self, tenant: TenantId, campaign: CampaignId, state: CampaignState) {
        self.note(tenant, EventBody::Campaign { campaign, state });
    }

    pub(super) fn consented(
        &mut self,
        tenant: TenantId,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) {
        self.note(tenant, EventBody::Consent { contact, consent, source });
    }

    /// A breaker was opened; only that of a session is an event.
    pub(super) fn stopped(&mut self, tenant: TenantId, breaker: &Breaker) {
        if let BreakerScope::Session(session) = breaker.scope {
            let Breaker { scope: _, reason, code, until: _, since: _ } = *breaker;
            self.note(tenant, EventBody::SessionStopped { session, reason, code });
        }
    }

    pub(super) fn changed(
        &mut self,
        tenant: TenantId,
        message: MessageId,
        old: MessageState,
        new: MessageState,
    ) {
        let known = self.states.iter_mut().find(|(owner, id, ..)| (*owner, *id) == (tenant, message));
        match known {
            // Several changes in one call are one: nobody can see what lay between.
            Some((.., now)) => *now = new,
            None if old != new => self.states.push((tenant, message, old, new)),
            None => {}
        }
    }

    /// The messages whose state is another than before the call, each once, with both states.
    pub(super) fn differing(
        &self,
    ) -> impl Iterator<Item = &(TenantId, MessageId, MessageState, MessageState)> {
        self.states.iter().filter(|(_, _, old, new)| old != new)
    }

    /// The messages whose state is another than before the call, each once.
    pub(super) fn net(&self) -> Vec<(TenantId, MessageId, MessageState)> {
        self.differing().map(|(tenant, message, _, new)| (*tenant, *message, *new)).collect()
    }
}

impl State {
    /// Writes what a call has to tell: one event of changes per tenant, then the others.
    pub(super) fn enter(&mut self, entries: Entries, now: DateTime<Utc>) {
        let mut by_tenant: BTreeMap<TenantId, Vec<_>> = BTreeMap::new();
        for (tenant, message, state) in entries.net() {
            by_tenant.entry(tenant).or_default().push((message, state));
        }
        for (tenant, message, old, new) in entries.differing() {
            if let Some(tenant) = self.tenants.get_mut(tenant) {
                tenant.doubts(*message, *old, *new, now);
            }
        }
        let failures = self.failures(&entries);
        let alerts = self.look_at_campaigns(&entries, now);
        let changes =
            by_tenant.into_iter().map(|(tenant, changes)| (tenant, EventBody::Messages { changes }));
        let failures =
            failures.into_iter().map(|(tenant, failures)| (tenant, EventBody::Undeliverable { failures }));
        for (tenant, body) in changes.chain(failures).chain(entries.events).chain(alerts) {
            let position = StreamPosition(self.last_position.0 + 1);
            self.last_position = position;
            let event = Event { id: event_id(now, position), position, tenant, at: now, body };
            self.events.insert(position, event);
        }
    }
}

/// The id of the event at a position: the position takes the place of chance, so ids differ.
fn event_id(now: DateTime<Utc>, position: StreamPosition) -> EventId {
    let [a, b, c, d, e, f, g, h] = position.0.to_be_bytes();
    EventId::mint(now, [0, 0, a, b, c, d, e, f, g, h])
}

#[async_trait]
impl Journal for MemoryStore {
    async fn read(
        &self,
        _: &AdminScope,
        after: StreamPosition,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        Ok(self.read(|state, _| {
            let keys = flawed!(state, RepeatsAnEvent => super::from(Some(after)), behind(Some(after)));
            flawed!(state, LosesAnEvent => {
                let rows = state.events.range(keys).skip(usize::from(after.0 > 0 && limit == 3));
                return page(rows.map(|(_, event)| event.clone()), limit);
            });
            page(state.events.range(keys).map(|(_, event)| event.clone()), limit)
        }))
    }

    async fn position(&self, _: &AdminScope, reader: &ReaderName) -> Result<StreamPosition, StoreError> {
        // Who asks where it stands is about to read: from now on nothing is pruned before it.
        Ok(self.write(|state, _| {
            flawed!(state, GivesReadersOnePosition => {
                let known = state.readers.values().max().copied().unwrap_or_default();
                return *state.readers.entry(reader.clone()).or_insert(known);
            });
            *state.readers.entry(reader.clone()).or_default()
        }))
    }

    async fn acknowledge(
        &self,
        _: &AdminScope,
        reader: &ReaderName,
        position: StreamPosition,
    ) -> Result<(), StoreError> {
        self.write(|state, _| {
            let known = state.readers.entry(reader.clone()).or_default();
            *known = flawed!(state, LetsAReaderGoBack => position, position.max(*known));
        });
        Ok(())
    }

    async fn prune_events(&self, _: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(self.write(|state, _| {
            let passed = state.readers.values().min().copied();
            let passed = flawed!(state, PrunesUnreadEvents => None, passed);
            let is_old =
                |event: &Event| event.at < before && passed.is_none_or(|passed| event.position <= passed);
            let had = state.events.len();
            state.events.retain(|_, event| !is_old(event));
            u64::try_from(had - state.events.len()).unwrap_or(u64::MAX)
        }))
    }

    async fn keep_notice(&self, scope: &Scope, notice: &Notice) -> Result<bool, StoreError> {
        Ok(self.write(|state, _| {
            let tenant = state.tenants.get_mut(&scope.tenant()).filter(|_| notice.tenant == scope.tenant());
            let Some(tenant) = tenant else { return false };
            tenant.notices.entry(notice.id).or_insert_with(|| notice.clone());
            true
        }))
    }

    async fn notices(
        &self,
        scope: &Scope,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        Ok(self.read(|state, _| {
            let keys = flawed!(state, RepeatsANotice => super::from(after), behind(after));
            let notices = state.tenants.get(&scope.tenant()).map(|row| row.notices.range(keys));
            page(notices.into_iter().flatten().map(|(_, notice)| notice.clone()), limit)
        }))
    }
}
