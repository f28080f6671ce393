//! The room of webhooks.

mod decided;
mod heard;
mod shown;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::heard::{Hearing, told_of};
use super::flaws::flawed;
use super::journal::Entries;
use super::merge::{Merged, News};
use super::state::{BodyRow, State};
use super::{MemoryStore, behind, page};
use crate::model::{
    AttemptKey, ContactId, Conversation, ConversationAction, ConversationId, NumberId, RawId, SessionId,
    SessionState, StatusUpdate, TenantId, TransportName,
};
use crate::port::store::{
    Assignment, ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Inbox, KeptRaw,
    Projected, ProjectedEvent, Projection, RawBody, StoreError, StoredInbound, WindowEntry, WindowFilter,
    WindowKey, WindowView,
};
use crate::port::{AdminScope, Scope};
use crate::rules::{conversation, effects};

#[async_trait]
impl Inbox for MemoryStore {
    async fn keep(&self, _: &AdminScope, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        Ok(self.write(|state, _| {
            let keep = |body: &RawBody| {
                let mut rows = state.bodies.values();
                let same = |row: &&BodyRow| {
                    row.body.transport == body.transport
                        && row.body.body == body.body
                        && !flawed!(state, KeepsABodyTwice)
                };
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
            let keys = flawed!(state, RepeatsABody => super::from(after), behind(after));
            let rows = state.bodies.range(keys).map(|(_, row)| row);
            page(rows.filter(|row| !row.projected).map(|row| row.body.clone()), limit)
        }))
    }

    async fn project(&self, _: &AdminScope, projections: &[Projection]) -> Result<Projected, StoreError> {
        Ok(self.write(|state, now| {
            let (mut merged, mut projected) = (Merged::default(), Projected::default());
            for projection in projections {
                match state.bodies.get_mut(&projection.raw) {
                    Some(row) if !row.projected => row.projected = true,
                    Some(_) if flawed!(state, ProjectsAgain) => {}
                    Some(_) | None => continue,
                }
                for event in &projection.events {
                    apply(state, projection, event, now, &mut merged, &mut projected);
                }
            }
            projected.changed = merged.entries.net();
            projected.sessions.sort_by_key(|session| session.id);
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
        Ok(self.read(|state, now| {
            let tenant = state.tenants.get(&scope.tenant())?;
            tenant.window(session, tenant.contacts.resolve(contact), now)
        }))
    }

    async fn windows(
        &self,
        scope: &Scope,
        filter: &WindowFilter,
        after: Option<WindowKey>,
        limit: u32,
    ) -> Result<Vec<WindowEntry>, StoreError> {
        Ok(self.read(|state, now| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let all = tenant.windows(now);
            let wanted = all.into_iter().filter(|it| {
                filter.session.is_none_or(|session| it.session == session)
                    && (!filter.open_only || it.window.is_open() || flawed!(tenant, ListsClosedWindows))
                    && after.is_none_or(|after| {
                        it.key() > after || (it.key() == after && flawed!(tenant, RepeatsAWindow))
                    })
            });
            page(wanted, limit)
        }))
    }

    async fn inbound(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredInbound>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let keys = flawed!(tenant, RepeatsAnInboundMessage => super::from(after), behind(after));
            page(tenant.inbound.range(keys).map(|(_, heard)| tenant.whole(heard)), limit)
        }))
    }

    async fn conversations(
        &self,
        scope: &Scope,
        filter: &ConversationFilter,
        after: Option<ConversationKey>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let ConversationFilter { state, assigned, session } = filter;
            let mut all: Vec<_> = tenant.threads.keys().filter_map(|id| tenant.conversation(*id)).collect();
            all.sort_by_key(|it| std::cmp::Reverse(ConversationKey::from(it)));
            let wanted = all.into_iter().filter(|it| {
                state.is_none_or(|state| it.state == state)
                    && session.is_none_or(|session| it.id.session == session)
                    && after.is_none_or(|after| {
                        let key = ConversationKey::from(it);
                        key < after || (key == after && flawed!(tenant, RepeatsAConversation))
                    })
                    && match assigned {
                        Some(Assignment::Nobody) if flawed!(tenant, ListsTheAssignedAsNobodys) => true,
                        None => true,
                        Some(Assignment::Nobody) => it.assigned.is_none(),
                        Some(Assignment::To(agent)) => it.assigned.as_ref() == Some(agent),
                    }
            });
            page(wanted, limit)
        }))
    }

    async fn conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.read(|state, _| {
            let tenant = state.tenants.get(&scope.tenant())?;
            let own = tenant.conversation(tenant.same(id));
            flawed!(state, ShowsAForeignConversation => super::flaws::anybodys_conversation(state, id), own)
        }))
    }

    async fn conversation_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        after: Option<ConversationPlace>,
        limit: u32,
    ) -> Result<Vec<ConversationMessage>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let mut all = tenant.written(tenant.same(id));
            all.sort_by_key(|it| it.place().rank());
            flawed!(tenant, ListsAConversationAsItCame => { super::flaws::as_it_came(&mut all); });
            let later = |it: &ConversationMessage| after.is_none_or(|after| it.place().rank() > after.rank());
            page(all.into_iter().filter(later), limit)
        }))
    }

    async fn act_on_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        action: &ConversationAction,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.write(|state, now| {
            let tenant = state.tenants.get_mut(&scope.tenant())?;
            let id = tenant.same(id);
            let thread = tenant.threads.get(&id)?.clone();
            let (thread, told) = conversation::act(thread, action, now);
            let mut entries = Entries::default();
            let is_told = |_: &_| {
                !(flawed!(tenant, AssignsSilently) && matches!(action, ConversationAction::Assign(_)))
            };
            if let Some(told) = told.filter(is_told) {
                entries.note(scope.tenant(), told_of(id, &thread, told));
            }
            tenant.threads.insert(id, thread);
            let shown = tenant.conversation(id);
            state.enter(entries, now);
            shown
        }))
    }

    async fn prune(&self, _: &AdminScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(self.write(|state, _| {
            let had = state.bodies.len();
            let is_read = |row: &BodyRow| row.projected || flawed!(state, PrunesUnreadBodies);
            state.bodies.retain(|_, row| !is_read(row) || row.body.received_at >= before);
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
        ProjectedEvent::Status { attempt, batch, update } => {
            if state.numbered(&projection.transport, &update.number).next().is_none() {
                projected.foreign += 1;
                return;
            }
            let tagged = attempt.filter(|key| state.was_begun_in(*key, *batch));
            match find(state, &projection.transport, tagged, update) {
                Found::Attempt(key) => {
                    state.merge(key, News::Status(update), now, merged);
                    if !flawed!(state, ForgetsTheToldEntryPoint) {
                        shown::note_entry_point(state, key, update);
                    }
                }
                Found::Foreign => projected.foreign += 1,
                Found::Nothing => {
                    projected.waiting += 1;
                    wait(state, &projection.transport, update);
                }
            }
        }
        ProjectedEvent::Message { message, fresh_contact, consent } => {
            let routes = living(state, projection, &message.number);
            projected.foreign += u64::from(routes.is_empty());
            for (tenant, session) in routes {
                let Some(tenant) = state.tenants.get_mut(&tenant) else { continue };
                let hearing = Hearing { session, fresh: *fresh_contact, now };
                let at = message.at.min(projection.received_at);
                let at = flawed!(tenant, BelievesAFutureStamp => message.at, at);
                if hearing.message(tenant, message, at, *consent, &mut merged.entries) {
                    projected.inbound += 1;
                    projected.metered.push((session, at));
                }
            }
        }
        ProjectedEvent::Echo { echo, fresh_contact } => {
            let routes = living(state, projection, &echo.number);
            projected.foreign += u64::from(routes.is_empty());
            for (tenant, session) in routes {
                let Some(tenant) = state.tenants.get_mut(&tenant) else { continue };
                let hearing = Hearing { session, fresh: *fresh_contact, now };
                let at = echo.at.min(projection.received_at);
                if hearing.echo(tenant, echo, at, &mut merged.entries) {
                    projected.metered.push((session, at));
                }
            }
        }
        ProjectedEvent::UserChanged { change } => {
            let routes = living(state, projection, &change.number);
            projected.foreign += u64::from(routes.is_empty());
            for (tenant, _) in routes {
                let Some(tenant) = state.tenants.get_mut(&tenant) else { continue };
                let at = change.at.min(projection.received_at);
                tenant.follow(change, at, now, &mut merged.entries);
            }
        }
        ProjectedEvent::Preference { preference, fresh_contact } => {
            let routes = living(state, projection, &preference.number);
            projected.foreign += u64::from(routes.is_empty());
            for (tenant, session) in routes {
                let Some(tenant) = state.tenants.get_mut(&tenant) else { continue };
                let hearing = Hearing { session, fresh: *fresh_contact, now };
                let at = preference.at.min(projection.received_at);
                hearing.preference(tenant, preference, at, &mut merged.entries);
            }
        }
        ProjectedEvent::Decision { event } => match effects::ruling(event) {
            Some(ruling) => decided::carry_out(state, projection, &ruling, now, merged, projected),
            None => projected.unknown += 1,
        },
        ProjectedEvent::Unknown { field: _ } => projected.unknown += 1,
    }
}

/// The sessions that a number stands for under the body's transport, deleted ones left out.
fn living(state: &State, projection: &Projection, number: &NumberId) -> Vec<(TenantId, SessionId)> {
    let all = state.numbered(&projection.transport, number);
    let living = all.filter(|(_, session)| session.state != SessionState::Deleted);
    living.map(|(tenant, session)| (tenant, session.id)).collect()
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
