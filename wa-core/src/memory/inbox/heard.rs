//! What users wrote, what a person of the business typed, and what became known about users.

use chrono::{DateTime, Utc};

use crate::memory::flaws::flawed;
use crate::memory::journal::Entries;
use crate::memory::state::TenantRow;
use crate::model::{
    Consent, ConsentSource, ContactAttributes, ContactId, ConversationId, Echo, EventBody, InboundBody,
    InboundMessage, Preference, PreferenceChoice, Recipient, Seen, SessionId, Thread, UserChange,
};
use crate::port::store::{Direction, StoredInbound, target};
use crate::rules::address::moved;
use crate::rules::consent::ConsentNews;
use crate::rules::conversation::{self, Told, Writer};

/// Something on its way into one session.
pub(super) struct Hearing {
    pub(super) session: SessionId,
    /// The id for a contact that is new.
    pub(super) fresh: ContactId,
    pub(super) now: DateTime<Utc>,
}

impl Hearing {
    /// Stores a user's message, unless it is known; whether it was new.
    pub(super) fn message(
        &self,
        tenant: &mut TenantRow,
        message: &InboundMessage,
        at: DateTime<Utc>,
        consent: Option<Consent>,
        entries: &mut Entries,
    ) -> bool {
        let InboundMessage {
            number: _,
            provider_id,
            from,
            parent: _,
            profile_name,
            username,
            at: _,
            body,
            context,
            referral,
            group,
            standby: _,
        } = message;
        if tenant.has_heard(self.session, provider_id) && !flawed!(tenant, StoresAMessageTwice) {
            return false;
        }
        let none = ContactAttributes::new();
        let contact = flawed!(
            tenant,
            MergesNobodyWhoWrites => tenant.contacts.upsert(self.fresh, from, &none, self.now),
            tenant.meet(self.fresh, from, &none, self.now, entries)
        );
        let seen = |name: &Option<String>| name.clone().map(|value| Seen { at, value });
        tenant.contacts.note_names(contact, seen(profile_name), seen(username));
        let heard = StoredInbound {
            position: tenant.next_position(),
            session: self.session,
            contact,
            direction: Direction::Inbound,
            from: from.clone(),
            provider_id: provider_id.clone(),
            at,
            body: body.clone(),
            context: context.clone().filter(|_| !flawed!(tenant, DropsTheContext)),
            referral: referral.clone(),
            group: group.clone(),
            edited: None,
            revoked_at: None,
            reactions: Vec::new(),
        };
        tenant.inbound.insert(heard.position, heard);
        let provider_id = provider_id.clone();
        if !flawed!(tenant, HearsSilently) {
            entries
                .note(tenant.tenant.id, EventBody::Inbound { session: self.session, contact, provider_id });
        }
        if group.is_none() {
            self.converse(tenant, contact, body, Writer::User, at, entries);
        }
        if let Some(said) = consent {
            let at = flawed!(tenant, OrdersWordsAsTheyCame => self.now, at);
            let news = ConsentNews::of_word(said, at);
            let source = flawed!(tenant, TakesAStopWordForACallersDecision => ConsentSource::Caller, ConsentSource::StopWord);
            tenant.consents(contact, news, source, self.now, entries);
        }
        true
    }

    /// Stores an echo, unless it is known; whether it was new. One that names nobody is about the
    /// message that it hangs on, if that is known.
    pub(super) fn echo(
        &self,
        tenant: &mut TenantRow,
        echo: &Echo,
        at: DateTime<Utc>,
        entries: &mut Entries,
    ) -> bool {
        let Echo { number: _, provider_id, to, at: _, body } = echo;
        if tenant.has_heard(self.session, provider_id) && !flawed!(tenant, StoresAnEchoTwice) {
            return false;
        }
        let earlier = target(body).and_then(|target| tenant.heard_as(self.session, target));
        let (contact, from) = match (to, earlier) {
            (Some(to), _) => {
                let contact = tenant.meet(self.fresh, to, &ContactAttributes::new(), self.now, entries);
                (contact, to.clone())
            }
            (None, Some(earlier)) => (earlier.contact, earlier.from.clone()),
            (None, None) => return false,
        };
        let heard = StoredInbound {
            position: tenant.next_position(),
            session: self.session,
            contact,
            direction: Direction::Echo,
            from,
            provider_id: provider_id.clone(),
            at,
            body: body.clone(),
            context: None,
            referral: None,
            group: None,
            edited: None,
            revoked_at: None,
            reactions: Vec::new(),
        };
        tenant.inbound.insert(heard.position, heard);
        let provider_id = provider_id.clone();
        entries.note(tenant.tenant.id, EventBody::Echo { session: self.session, contact, provider_id });
        self.converse(tenant, contact, body, Writer::Business, at, entries);
        true
    }

    /// Notes what a user wants about marketing.
    pub(super) fn preference(
        &self,
        tenant: &mut TenantRow,
        preference: &Preference,
        at: DateTime<Utc>,
        entries: &mut Entries,
    ) {
        let Preference { number: _, recipient, at: _, category: _, choice } = preference;
        let news = match choice {
            PreferenceChoice::Stop => ConsentNews::NoMarketing(at),
            PreferenceChoice::Resume if flawed!(tenant, LiftsAStopByAPreference) => {
                ConsentNews::Set(Consent::Allowed, self.now)
            }
            PreferenceChoice::Resume | PreferenceChoice::Signup => ConsentNews::Marketing(at),
            PreferenceChoice::Other(_) => return,
        };
        let contact = tenant.meet(self.fresh, recipient, &ContactAttributes::new(), self.now, entries);
        tenant.consents(contact, news, ConsentSource::Provider, self.now, entries);
    }

    fn converse(
        &self,
        tenant: &mut TenantRow,
        contact: ContactId,
        body: &InboundBody,
        writer: Writer,
        at: DateTime<Utc>,
        entries: &mut Entries,
    ) {
        if !conversation::asks(body.kind()) {
            return;
        }
        let id = ConversationId { session: self.session, contact };
        let (thread, told) = conversation::heard(tenant.threads.remove(&id), writer, at);
        if let Some(told) = told {
            entries.note(tenant.tenant.id, told_of(id, &thread, told));
        }
        tenant.threads.insert(id, thread);
    }
}

/// The event about a change of a thread.
pub(super) fn told_of(id: ConversationId, thread: &Thread, told: Told) -> EventBody {
    let ConversationId { session, contact } = id;
    match told {
        Told::Opened => EventBody::ConversationOpened { session, contact },
        Told::Closed => EventBody::ConversationClosed { session, contact },
        Told::Assigned => {
            EventBody::ConversationAssigned { session, contact, agent: thread.assigned.clone() }
        }
    }
}

impl TenantRow {
    fn has_heard(&self, session: SessionId, provider_id: &str) -> bool {
        self.heard_as(session, provider_id).is_some()
    }

    fn heard_as(&self, session: SessionId, provider_id: &str) -> Option<&StoredInbound> {
        self.inbound.values().find(|it| it.session == session && it.provider_id == provider_id)
    }

    fn next_position(&self) -> u64 {
        self.inbound.last_key_value().map_or(0, |(position, _)| *position) + 1
    }

    /// The contact of these addresses, brought up to date, or a new one. Two contacts that turn out to
    /// be one become one.
    pub(in crate::memory) fn meet(
        &mut self,
        fresh: ContactId,
        who: &Recipient,
        attributes: &ContactAttributes,
        now: DateTime<Utc>,
        entries: &mut Entries,
    ) -> ContactId {
        if let Some((stays, goes)) = self.contacts.two_in_one(who) {
            self.join(stays, goes, now, entries);
        }
        self.contacts.upsert(fresh, who, attributes, now)
    }

    /// Adds what is heard about a contact's consent, and tells it if the consent changed.
    pub(in crate::memory) fn consents(
        &mut self,
        contact: ContactId,
        news: ConsentNews,
        source: ConsentSource,
        now: DateTime<Utc>,
        entries: &mut Entries,
    ) {
        if let Some(consent) = self.contacts.hear(contact, news, source, now) {
            entries.consented(self.tenant.id, contact, consent, source);
        }
    }

    /// Makes one contact of two, with everything that hangs on them.
    fn join(&mut self, stays: ContactId, goes: ContactId, now: DateTime<Utc>, entries: &mut Entries) {
        for list in self.lists.values_mut() {
            let Some(number) = list.numbers.remove(&goes) else { continue };
            if list.numbers.contains_key(&stays) {
                list.members.remove(&number);
            } else {
                list.members.insert(number, stays);
                list.numbers.insert(stays, number);
            }
        }
        for heard in self.inbound.values_mut().filter(|it| it.contact == goes) {
            heard.contact = stays;
        }
        for (session, _) in self.sessions.clone() {
            if let Some(told) = self.entries_told.remove(&(session, goes)) {
                let known = self.entries_told.entry((session, stays)).or_insert(told);
                *known = told.max(*known);
            }
            let (kept, gone) =
                (ConversationId { session, contact: stays }, ConversationId { session, contact: goes });
            if let Some(other) = self.threads.remove(&gone) {
                let joined = match self.threads.remove(&kept) {
                    Some(own) => conversation::joined(own, other),
                    None => other,
                };
                self.threads.insert(kept, joined);
            }
        }
        let consent = self.contacts.merge(stays, goes, now);
        entries.note(self.tenant.id, EventBody::ContactsMerged { contact: stays, alias: goes });
        if let Some(consent) = consent {
            entries.consented(self.tenant.id, stays, consent, ConsentSource::Merge);
        }
    }

    /// Moves a contact to its new addresses, once.
    pub(super) fn follow(
        &mut self,
        change: &UserChange,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
        entries: &mut Entries,
    ) {
        let UserChange { number: _, provider_id: _, at: _, change: kind, old, new } = change;
        let Some(contact) = self.contacts.find(old) else { return };
        if self.contacts.was_left(old, at) {
            return;
        }
        let holders = [
            new.phone().and_then(|phone| self.contacts.find(&phone.into())),
            new.bsuid().and_then(|bsuid| self.contacts.find(&bsuid.clone().into())),
        ];
        for holder in holders.into_iter().flatten().filter(|holder| *holder != contact) {
            if self.contacts.resolve(holder) == holder {
                // Whoever wrote under the new address already is the same person.
                self.join(contact, holder, now, entries);
            }
        }
        let Some(before) = self.contacts.get(contact).map(|it| it.recipient.clone()) else { return };
        let Some(to) = moved(*kind, &before, new) else { return };
        if to != before {
            self.contacts.move_to(contact, to, at);
            entries.note(self.tenant.id, EventBody::ContactMoved { contact });
        }
    }
}
