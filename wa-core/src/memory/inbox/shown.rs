//! Windows and conversations, counted anew from what was written each time.

use chrono::{DateTime, Utc};

use crate::memory::flaws::flawed;
use crate::memory::state::{AttemptRow, State, TenantRow};
use crate::model::{
    AttemptKey, ChargedCategory, Chosen, ContactId, Content, Conversation, ConversationId, DeliveryFacts,
    Fact, MessageId, SessionId, StatusUpdate,
};
use crate::port::store::{
    ConversationMessage, Direction, DueBody, Reacted, StoredInbound, WindowEntry, WindowView,
};
use crate::rules::conversation::asks;
use crate::rules::window::{self, Chain};

impl TenantRow {
    /// The latest chain of user messages of a pair.
    pub(in crate::memory) fn user_chain(&self, session: SessionId, contact: ContactId) -> Option<Chain> {
        let mut at: Vec<_> =
            self.heard(session, contact).filter(|it| it.opens_window()).map(|it| it.at).collect();
        at.sort_by_key(|at| std::cmp::Reverse(*at));
        flawed!(self, TakesTheMessagesAsTheyCame => {
            at = self.heard(session, contact).filter(|it| it.opens_window()).map(|it| it.at).collect();
            at.reverse();
        });
        Chain::of(at)
    }

    pub(in crate::memory) fn window(
        &self,
        session: SessionId,
        contact: ContactId,
        now: DateTime<Utc>,
    ) -> Option<WindowView> {
        let mut view = WindowView::of(self.user_chain(session, contact)?, now);
        let is_in = |at: DateTime<Utc>| (view.opened_at..view.closes_at).contains(&at);
        let sent = self.sent(session, contact);
        let own = sent.iter().filter(|(_, it)| {
            let may_be_there = !it.facts.is_definitely_undelivered() || flawed!(self, CountsWhatDidNotArrive);
            is_in(it.begun_at) && may_be_there
        });
        let echoes = self.echoes(session, contact).filter(|at| is_in(*at));
        view.business_messages = u64::try_from(own.count() + echoes.count()).unwrap_or(u64::MAX);
        let came = self.heard(session, contact).filter(|it| it.opens_window() && it.referral.is_some());
        view.referral_at = came.map(|it| it.at).max();
        let answered = view.referral_at.and_then(|came| {
            let own = sent
                .iter()
                .filter(|(_, it)| it.begun_at >= came)
                .filter_map(|(_, it)| delivered_at(&it.facts));
            own.chain(self.echoes(session, contact).filter(|at| *at >= came)).min()
        });
        let answered = flawed!(self, CountsTheEntryPointFromTheReferral => view.referral_at, answered);
        let told = self.entries_told.get(&(session, contact)).copied();
        view.free_until = window::entry_until(view.referral_at, answered, told);
        Some(view)
    }

    pub(super) fn windows(&self, now: DateTime<Utc>) -> Vec<WindowEntry> {
        let mut pairs: Vec<_> = self.inbound.values().map(|it| (it.session, it.contact)).collect();
        pairs.sort();
        pairs.dedup();
        let entry = |(session, contact)| {
            let window = self.window(session, contact, now)?;
            Some(WindowEntry { session, contact, window })
        };
        let mut all: Vec<_> = pairs.into_iter().filter_map(entry).collect();
        all.sort_by_key(WindowEntry::key);
        all
    }

    /// The conversation by the id of the contact that stayed.
    pub(in crate::memory) fn same(&self, id: ConversationId) -> ConversationId {
        ConversationId { contact: self.contacts.resolve(id.contact), ..id }
    }

    pub(in crate::memory) fn conversation(&self, id: ConversationId) -> Option<Conversation> {
        let thread = self.threads.get(&id)?.clone();
        let ConversationId { session, contact } = id;
        let first_response_at = thread.first_inbound_at.and_then(|first| {
            let sent = self.sent(session, contact);
            let own = sent
                .iter()
                .filter(|(_, it)| !it.facts.is_definitely_undelivered())
                .map(|(_, it)| it.begun_at);
            let all = own.chain(self.echoes(session, contact)).filter(|at| *at >= first);
            flawed!(self, ShowsTheLastResponse => all.max(), all.min())
        });
        Some(thread.show(id, first_response_at))
    }

    /// Everything that stands for itself in a conversation.
    pub(super) fn written(&self, id: ConversationId) -> Vec<ConversationMessage> {
        let ConversationId { session, contact } = id;
        if !self.threads.contains_key(&id) {
            return Vec::new();
        }
        let heard = self.heard(session, contact).filter(|it| it.group.is_none() && asks(it.kind()));
        let heard = heard.map(|it| ConversationMessage::Heard(Box::new(self.whole(it))));
        let first = self.sent(session, contact).into_iter().filter(|((_, n), _)| *n == 1);
        let sent = first.filter_map(|((message, _), attempt)| {
            let view = self.view(message)?;
            let names = view.attempts.iter().filter_map(|it| it.facts.provider_id.as_deref());
            let mut hanging: Vec<_> = names.flat_map(|name| self.hanging(session, name)).collect();
            hanging.sort_by_key(|it| it.position);
            Some(ConversationMessage::Sent {
                at: attempt.begun_at,
                content: self.content(message).map(Box::new),
                reactions: Reacted::latest(&hanging),
                view: Box::new(view),
            })
        });
        heard.chain(sent).collect()
    }

    /// A stored message with what hangs on it.
    pub(super) fn whole(&self, heard: &StoredInbound) -> StoredInbound {
        heard.clone().with(&self.hanging(heard.session, &heard.provider_id))
    }

    fn hanging(&self, session: SessionId, provider_id: &str) -> Vec<StoredInbound> {
        let all = self.inbound.values();
        let hanging = all.filter(|it| it.session == session && it.target() == Some(provider_id)).cloned();
        flawed!(self, HangsOneThingOnAMessage => hanging.take(1).collect(), hanging.collect())
    }

    fn heard(&self, session: SessionId, contact: ContactId) -> impl Iterator<Item = &StoredInbound> {
        let is_in = move |of| of == session || flawed!(self, SharesAWindow);
        self.inbound.values().filter(move |it| is_in(it.session) && it.contact == contact)
    }

    fn echoes(&self, session: SessionId, contact: ContactId) -> impl Iterator<Item = DateTime<Utc>> {
        let all = self.heard(session, contact);
        all.filter(|it| it.direction == Direction::Echo && asks(it.kind())).map(|it| it.at)
    }

    /// The attempts of a session that went to a contact.
    fn sent(&self, session: SessionId, contact: ContactId) -> Vec<((MessageId, u16), &AttemptRow)> {
        let reached = self.contacts.reached(contact);
        let went = |(key, attempt): &(&(MessageId, u16), &AttemptRow)| {
            let to = self.messages.get(&key.0).map(|message| message.recipient.key());
            attempt.session == session
                && reached.iter().any(|it| Some(it.key) == to && it.holds(attempt.begun_at))
        };
        self.attempts.iter().filter(went).map(|(key, attempt)| (*key, attempt)).collect()
    }

    /// What a message said at its latest attempt.
    fn content(&self, id: MessageId) -> Option<Content> {
        let message = self.messages.get(&id)?;
        let chosen = self.chain(id).last().map(|(_, attempt)| attempt.content).unwrap_or_default();
        let values = match (&message.body, chosen) {
            (DueBody::Own(content), Chosen::Own) => return Some(content.clone()),
            (DueBody::Own(_), Chosen::Fallback) => return message.fallback.clone().map(Content::Template),
            (DueBody::Values(values), _) => values,
        };
        let campaign = &self.campaigns.get(&message.campaign?)?.campaign;
        let content = match chosen {
            Chosen::Own => &campaign.content,
            Chosen::Fallback => campaign.fallback.as_ref()?,
        };
        content.fill_from(&campaign.columns(), values).ok()
    }
}

/// When an attempt is first known to have arrived.
fn delivered_at(facts: &DeliveryFacts) -> Option<DateTime<Utc>> {
    [Fact::Delivered, Fact::Read, Fact::Played].into_iter().filter_map(|fact| facts.at(fact)).min()
}

/// Keeps the end of a free entry point that a status names.
pub(super) fn note_entry_point(state: &mut State, key: AttemptKey, update: &StatusUpdate) {
    let Some(ends) = update
        .conversation
        .as_ref()
        .and_then(|it| it.expires_at.filter(|_| it.origin == Some(ChargedCategory::ReferralConversion)))
    else {
        return;
    };
    let Some(tenant) = state.tenants.get_mut(&key.tenant) else { return };
    let Some(attempt) = tenant.attempts.get(&(key.message, key.n)) else { return };
    let session = attempt.session;
    let contact = tenant.messages.get(&key.message).and_then(|message| tenant.contact_of(message));
    let Some(contact) = contact else { return };
    let known = tenant.entries_told.entry((session, contact)).or_insert(ends);
    *known = ends.max(*known);
}
