//! The room of webhooks.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::merge::{Merged, News};
use super::state::{BodyRow, State};
use super::{MemoryStore, behind, page};
use crate::model::{
    AttemptKey, Consent, ConsentSource, ContactAttributes, ContactId, EventBody, InboundMessage, RawId,
    SessionId, SessionState, StatusUpdate, TenantId, TransportName,
};
use crate::port::store::{
    Inbox, KeptRaw, Projected, ProjectedEvent, Projection, RawBody, StoreError, StoredInbound, WindowView,
};
use crate::port::{AdminScope, Scope};
use crate::rules::window;

#[async_trait]
impl Inbox for MemoryStore {
    async fn keep(&self, _: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        Ok(self.write(|state, _| {
            let keep = |body: &RawBody| {
                let mut rows = state.bodies.values();
                let same =
                    |row: &&BodyRow| row.body.transport == body.transport && row.body.body == body.body;
                if let Some(known) = rows.find(same) {
                    return KeptRaw { id: known.body.id, known: true };
                }
                state.bodies.insert(body.id, BodyRow { body: body.clone(), projected: false });
                KeptRaw { id: body.id, known: false }
            };
            bodies.iter().map(keep).collect()
        }))
    }

    async fn unprojected(
        &self,
        _: &AdminScope,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Vec<RawBody>, StoreError> {
        Ok(self.read(|state, _| {
            let rows = state.bodies.range(behind(after)).map(|(_, row)| row);
            page(rows.filter(|row| !row.projected).map(|row| row.body.clone()), limit)
        }))
    }

    async fn project(&self, _: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError> {
        Ok(self.write(|state, now| {
            let (mut merged, mut projected) = (Merged::default(), Projected::default());
            for projection in projections {
                match state.bodies.get_mut(&projection.raw) {
                    Some(row) if !row.projected => row.projected = true,
                    Some(_) | None => continue,
                }
                for event in &projection.events {
                    apply(state, projection, event, now, &mut merged, &mut projected);
                }
            }
            projected.changed = merged.entries.net();
            state.enter(merged.entries, now);
            projected
        }))
    }

    async fn window(
        &self,
        scope: &Scope,
        session: SessionId,
        contact: ContactId,
    ) -> Result<Option<WindowView>, StoreError> {
        Ok(self.read(|state, _| {
            let last_user_message_at =
                *state.tenants.get(&scope.tenant())?.windows.get(&(session, contact))?;
            Some(WindowView { last_user_message_at })
        }))
    }

    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        Ok(self.read(|state, _| {
            let rows = state.tenants.get(&scope.tenant()).map(|row| row.inbound.range(behind(after)));
            page(rows.into_iter().flatten().map(|(_, inbound)| inbound.clone()), limit)
        }))
    }

    async fn prune(&self, _: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(self.write(|state, _| {
            let had = state.bodies.len();
            state.bodies.retain(|_, row| !row.projected || row.body.received_at >= before);
            state.digests.retain(|_, id| state.bodies.contains_key(id));
            u64::try_from(had - state.bodies.len()).unwrap_or(u64::MAX)
        }))
    }
}

fn apply(
    state: &mut State,
    projection: &Projection,
    event: &ProjectedEvent,
    now: DateTime<Utc>,
    merged: &mut Merged,
    projected: &mut Projected,
) {
    match event {
        ProjectedEvent::Status { attempt, update } => {
            if state.numbered(&projection.transport, &update.number).next().is_none() {
                projected.foreign += 1;
                return;
            }
            match find(state, &projection.transport, *attempt, update) {
                Found::Attempt(key) => {
                    state.merge(key, News::Status(update), now, merged);
                }
                Found::Foreign => projected.foreign += 1,
                Found::Nothing => {
                    projected.waiting += 1;
                    wait(state, &projection.transport, update);
                }
            }
        }
        ProjectedEvent::Message { message, fresh_contact, consent } => {
            let routes: Vec<_> = state
                .numbered(&projection.transport, &message.number)
                .filter(|(_, session)| session.state != SessionState::Deleted)
                .map(|(tenant, session)| (tenant, session.id))
                .collect();
            if routes.is_empty() {
                projected.foreign += 1;
            }
            for (tenant, session) in routes {
                let heard = Heard { message, received_at: projection.received_at, session };
                if heard.store(state, tenant, *fresh_contact, *consent, now, merged) {
                    projected.inbound += 1;
                }
            }
        }
        ProjectedEvent::Unknown { field: _ } => projected.unknown += 1,
    }
}

/// What a status is about.
enum Found {
    Attempt(AttemptKey),
    /// Its tag names an attempt of another number.
    Foreign,
    Nothing,
}

/// The attempt that a status is about: the one that its tag names, else the one with its provider id.
fn find(
    state: &State,
    transport: &TransportName,
    tagged: Option<AttemptKey>,
    update: &StatusUpdate,
) -> Found {
    let is_own = |key: &AttemptKey| {
        let address = state.tenants.get(&key.tenant).and_then(|tenant| tenant.address_of(*key));
        address.map(|(own, number)| own == *transport && number == update.number)
    };
    match tagged.and_then(|key| Some((key, is_own(&key)?))) {
        Some((key, true)) => return Found::Attempt(key),
        Some((_, false)) => return Found::Foreign,
        None => {}
    }
    let named = state.provider_ids.get(&update.provider_id).into_iter().flatten().copied();
    let mut own = named.filter(|key| is_own(key) == Some(true));
    own.next().map_or(Found::Nothing, Found::Attempt)
}

/// Keeps a status until a settle brings its provider id.
fn wait(state: &mut State, transport: &TransportName, update: &StatusUpdate) {
    if update.provider_id.is_empty() {
        return;
    }
    let key = (transport.clone(), update.number.clone(), update.provider_id.clone());
    let waiting = state.waiting.entry(key).or_default();
    if !waiting.contains(update) {
        waiting.push(update.clone());
    }
}

/// A user's message on its way into one session.
struct Heard<'a> {
    message: &'a InboundMessage,
    received_at: DateTime<Utc>,
    session: SessionId,
}

impl Heard<'_> {
    /// Stores it, unless it is known; whether it was new.
    fn store(
        &self,
        state: &mut State,
        tenant_id: TenantId,
        fresh_contact: ContactId,
        consent: Option<Consent>,
        now: DateTime<Utc>,
        merged: &mut Merged,
    ) -> bool {
        let InboundMessage {
            number: _,
            provider_id,
            from,
            parent: _,
            profile_name: _,
            username: _,
            at,
            body,
            context: _,
            referral: _,
            group: _,
            standby: _,
        } = self.message;
        let Some(tenant) = state.tenants.get_mut(&tenant_id) else { return false };
        let mut known = tenant.inbound.values();
        if known.any(|it| it.session == self.session && it.provider_id == *provider_id) {
            return false;
        }
        let contact = tenant.contacts.upsert(fresh_contact, from, &ContactAttributes::new(), now);
        let position = tenant.inbound.last_key_value().map_or(0, |(position, _)| *position) + 1;
        let stored = StoredInbound {
            position,
            session: self.session,
            contact,
            from: from.clone(),
            provider_id: provider_id.clone(),
            at: (*at).min(self.received_at),
            kind: body.kind(),
            text: body.said().map(str::to_owned),
        };
        tenant.inbound.insert(position, stored);
        let window = tenant.windows.get(&(self.session, contact)).copied();
        tenant.windows.insert((self.session, contact), window::merge(window, *at, self.received_at));
        let inbound = EventBody::Inbound { session: self.session, contact, provider_id: provider_id.clone() };
        merged.entries.note(tenant_id, inbound);
        if let Some(opt_out) = consent {
            tenant.opt_out(contact, opt_out, ConsentSource::StopWord, now, &mut merged.entries);
        }
        true
    }
}
