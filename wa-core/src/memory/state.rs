//! What the reference store keeps, and what follows from it.
//!
//! Invariant: a message waits in at most one place (its campaign's feed or a due row), and a closed
//! message in none. A message that waits has no attempt that is known to be able to deliver; one that
//! waits to be sent again has one of which nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::archive::Arriving;
use super::contacts::Contacts;
use super::doubt::DoubtRow;
use super::flaws::flawed;
use crate::model::{
    AttemptKey, AttemptView, BatchId, Breaker, BreakerScope, Campaign, CampaignCounts, CampaignId, Chosen,
    ContactId, ConversationId, DeliveryFacts, Entitlement, Event, EventId, Fact, Fingerprint, HoldReason,
    ImportId, ImportProgress, InDoubtPolicy, Lane, LanguageCode, ListName, MessageId, MessageState,
    MessageView, NumberId, Period, Phone, PriceBook, ProviderMessageId, RawId, Recipient, ReconcileNeed,
    Schedule, ScheduleId, ScheduleRun, SendKey, Session, SessionId, SkipReason, StatusUpdate, StreamPosition,
    TemplateContent, TemplateKey, TemplateName, TemplateRecord, Tenant, TenantId, TenantSettings, Thread,
    TransportName, WorkerId,
};
use crate::port::store::{
    DispatchState, DueBody, RawBody, ReaderName, ReportedLine, StoreIdentity, StoredInbound,
};
use crate::port::{Notice, WorkerScope};
use crate::rules::alert::Meter;
use crate::rules::cost;
use crate::rules::effects::Topic;
use crate::rules::price::{self, Quote};
use crate::rules::silence::Ear;
use crate::rules::status::{MessageFacts, message_state};
use crate::rules::tally::{self, Counter, Standing};
use crate::rules::touch::Touch;

/// Everything in the store.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) identity: Option<StoreIdentity>,
    /// That nothing may begin until somebody says so.
    pub(super) awaits: Option<ReconcileNeed>,
    pub(super) tenants: BTreeMap<TenantId, TenantRow>,
    /// Tenants whose import is not finished.
    pub(super) arriving: BTreeMap<TenantId, Arriving>,
    /// Imported tenants that nobody has let go on yet, and since when.
    pub(super) held: BTreeMap<TenantId, DateTime<Utc>>,
    pub(super) leases: BTreeMap<SessionId, LeaseRow>,
    pub(super) workers: BTreeMap<WorkerId, WorkerRow>,
    pub(super) batches: BTreeMap<BatchId, BatchFate>,
    /// Which attempts have a provider id; follows from the attempts, kept for speed.
    pub(super) provider_ids: BTreeMap<String, BTreeSet<AttemptKey>>,
    /// Statuses whose provider id no attempt has yet.
    pub(super) waiting: BTreeMap<(TransportName, NumberId, String), Vec<StatusUpdate>>,
    pub(super) bodies: BTreeMap<RawId, BodyRow>,
    /// Which bodies are known; follows from the bodies, kept for speed.
    pub(super) digests: BTreeMap<(TransportName, Fingerprint), RawId>,
    pub(super) events: BTreeMap<StreamPosition, Event>,
    pub(super) last_position: StreamPosition,
    pub(super) readers: BTreeMap<ReaderName, StreamPosition>,
    /// What is broken.
    #[cfg(feature = "mutants")]
    pub(super) mutant: Option<crate::testing::Mutant>,
    #[cfg(feature = "mutants")]
    pub(super) flaw: Option<crate::testing::Flaw>,
}

/// Everything of one tenant.
#[derive(Debug, Clone)]
pub(super) struct TenantRow {
    pub(super) tenant: Tenant,
    pub(super) settings: TenantSettings,
    pub(super) entitlement: Entitlement,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) breakers: BTreeMap<BreakerScope, Breaker>,
    pub(super) contacts: Contacts,
    pub(super) lists: BTreeMap<ListName, ListRow>,
    pub(super) imports: BTreeMap<ImportId, ImportState>,
    pub(super) campaigns: BTreeMap<CampaignId, CampaignRow>,
    pub(super) schedules: BTreeMap<ScheduleId, Schedule>,
    /// By schedule and number of the slot.
    pub(super) schedule_runs: BTreeMap<(ScheduleId, u64), ScheduleRun>,
    pub(super) messages: BTreeMap<MessageId, MessageRow>,
    pub(super) keys: BTreeMap<SendKey, MessageId>,
    pub(super) due: BTreeMap<MessageId, DueRow>,
    pub(super) closed: BTreeMap<MessageId, SkipReason>,
    pub(super) attempts: BTreeMap<(MessageId, u16), AttemptRow>,
    /// Messages of users and echoes, without what hangs on them.
    pub(super) inbound: BTreeMap<u64, StoredInbound>,
    /// The ends of free entry points that webhooks named.
    pub(super) entries_told: BTreeMap<(SessionId, ContactId), DateTime<Utc>>,
    pub(super) threads: BTreeMap<ConversationId, Thread>,
    pub(super) templates: BTreeMap<TemplateKey, TemplateRecord>,
    /// The latest instant of news on each topic.
    pub(super) news: BTreeMap<(SessionId, Topic), DateTime<Utc>>,
    pub(super) notices: BTreeMap<EventId, Notice>,
    /// Addresses that are never written to, and since when.
    pub(super) suppressed: BTreeMap<String, DateTime<Utc>>,
    /// How many attempts a message had when it was last put back by hand.
    pub(super) redriven: BTreeMap<MessageId, u16>,
    /// What is remembered of campaigns that had failures.
    pub(super) meters: BTreeMap<CampaignId, Meter>,
    /// How far each session's attempts were listened to, and what was heard.
    pub(super) listened: BTreeMap<SessionId, (DateTime<Utc>, Ear)>,
    /// Messages that are in doubt.
    pub(super) doubts: BTreeMap<MessageId, DoubtRow>,
    /// Attempts that were found silent, whatever was heard of them since.
    pub(super) silent: BTreeSet<(MessageId, u16)>,
    /// What is broken.
    #[cfg(feature = "mutants")]
    pub(super) mutant: Option<crate::testing::Mutant>,
    #[cfg(feature = "mutants")]
    pub(super) flaw: Option<crate::testing::Flaw>,
}

/// Who owns a session.
#[derive(Debug, Clone)]
pub(super) struct LeaseRow {
    /// `None` once it was released.
    pub(super) worker: Option<WorkerId>,
    pub(super) epoch: u64,
    pub(super) until: DateTime<Utc>,
    pub(super) passed_on: Option<DispatchState>,
    pub(super) unsettled_deaths: u32,
}

/// A worker that has made itself known.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkerRow {
    pub(super) since: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) most: u32,
}

/// What became of a batch id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchFate {
    /// Its begin was committed.
    Begun,
    /// It was abandoned before it came.
    Barred,
}

/// A webhook body.
#[derive(Debug, Clone)]
pub(super) struct BodyRow {
    pub(super) body: RawBody,
    pub(super) projected: bool,
}

/// The members of a list, numbered in the order in which they joined, from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct ListRow {
    pub(super) members: BTreeMap<u64, ContactId>,
    pub(super) numbers: BTreeMap<ContactId, u64>,
    /// The number of the latest member that there ever was, 0 before the first: none is given twice.
    pub(super) last: u64,
}

/// An import.
#[derive(Debug, Clone)]
pub(super) struct ImportState {
    pub(super) list: ListName,
    pub(super) progress: ImportProgress,
    pub(super) phones: BTreeSet<Phone>,
    pub(super) report: BTreeMap<u64, ReportedLine>,
}

/// A campaign and how far it is.
#[derive(Debug, Clone)]
pub(super) struct CampaignRow {
    pub(super) campaign: Campaign,
    /// The instant in the ids of its messages, unlike that of any other campaign of the tenant.
    pub(super) minted_at: Option<DateTime<Utc>>,
    /// The highest member number that belongs to it, fixed by the first chunk.
    pub(super) last_member: u64,
    /// The highest member number that is frozen.
    pub(super) frozen_to: u64,
    /// Messages so far.
    pub(super) audience: u64,
    /// Whether the whole audience is frozen.
    pub(super) is_frozen: bool,
    pub(super) feeds: BTreeMap<SessionId, Feed>,
}

/// A campaign's messages of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    pub(super) ids: BTreeSet<MessageId>,
    /// The last message that was passed over.
    pub(super) next_id: Option<MessageId>,
}

/// A message; where it waits and what became of it lies beside it.
#[derive(Debug, Clone)]
pub(super) struct MessageRow {
    pub(super) campaign: Option<CampaignId>,
    pub(super) session: SessionId,
    pub(super) contact: Option<ContactId>,
    pub(super) recipient: Recipient,
    pub(super) body: DueBody,
    pub(super) reply_to: Option<ProviderMessageId>,
    /// What a single message says instead outside the window.
    pub(super) fallback: Option<TemplateContent>,
    pub(super) lane: Lane,
    pub(super) valid_until: Option<DateTime<Utc>>,
    /// What a single message says of itself.
    pub(super) in_doubt: Option<InDoubtPolicy>,
}

/// A message that waits outside a feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct DueRow {
    pub(super) due_at: DateTime<Utc>,
    pub(super) why: Option<HoldReason>,
}

/// An attempt.
#[derive(Debug, Clone)]
pub(super) struct AttemptRow {
    pub(super) session: SessionId,
    pub(super) epoch: u64,
    pub(super) batch: BatchId,
    pub(super) begun_at: DateTime<Utc>,
    pub(super) end_by: DateTime<Utc>,
    /// Whether another life of the store began it.
    pub(super) former: bool,
    pub(super) content: Chosen,
    /// What its recipient got, if it was a template.
    pub(super) touch: Option<Touch>,
    /// The day of its session's warm-up that it counts in.
    pub(super) warm_up_day: Option<i32>,
    pub(super) quote: Quote,
    /// The prices by which it is settled.
    pub(super) book: Option<Arc<PriceBook>>,
    /// The month on the account's clock at its begin.
    pub(super) month: Period,
    /// The transport and portfolio in which it keeps its recipient's slot taken.
    pub(super) slot_of: Option<(TransportName, String)>,
    pub(super) facts: DeliveryFacts,
}

impl State {
    /// What was begun so far was begun in another life of the store.
    pub(super) fn begin_another_life(&mut self) {
        let attempts = self.tenants.values_mut().flat_map(|tenant| tenant.attempts.values_mut());
        attempts.for_each(|attempt| attempt.former = true);
    }

    /// The tenant that a session belongs to.
    pub(super) fn owner(&self, session: SessionId) -> Option<&TenantRow> {
        self.tenants.values().find(|tenant| tenant.sessions.contains_key(&session))
    }

    /// Whether there is such an attempt and it was begun in this batch, where that is said.
    pub(super) fn was_begun_in(&self, key: AttemptKey, batch: Option<BatchId>) -> bool {
        let tenant = self.tenants.get(&key.tenant);
        let attempt = tenant.and_then(|tenant| tenant.attempts.get(&(key.message, key.n)));
        attempt.is_some_and(|attempt| batch.is_none_or(|batch| attempt.batch == batch))
    }

    /// The epoch and tenant under which a scope holds a session now.
    pub(super) fn held(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Option<(u64, &TenantRow)> {
        let epoch = scope.epoch(session)?;
        let lease = self.leases.get(&session)?;
        let holds = lease.worker == Some(scope.worker()) && lease.epoch == epoch && lease.until > now;
        holds.then_some(epoch).zip(self.owner(session))
    }

    /// The tenants and sessions that stand for a provider's number, deleted ones included.
    pub(super) fn numbered(
        &self,
        transport: &TransportName,
        number: &NumberId,
    ) -> impl Iterator<Item = (TenantId, &Session)> {
        self.tenants.values().flat_map(move |tenant| {
            let is_own = |session: &Session| session.transport == *transport;
            tenant
                .sessions
                .values()
                .filter(move |session| is_own(session) && session.number == *number)
                .map(|session| (tenant.tenant.id, session))
        })
    }
}

impl ListRow {
    /// Puts a contact on the list, if it is not there.
    pub(super) fn join(&mut self, contact: ContactId) {
        if !self.numbers.contains_key(&contact) {
            self.last += 1;
            self.members.insert(self.last, contact);
            self.numbers.insert(contact, self.last);
        }
    }
}

impl CampaignRow {
    /// Every message, in id order.
    pub(super) fn messages(&self) -> BTreeSet<MessageId> {
        self.feeds.values().flat_map(|feed| feed.ids.iter().copied()).collect()
    }
}

impl Feed {
    /// The messages that were not passed over, in order; some of them may be closed.
    pub(super) fn rest(&self) -> impl Iterator<Item = MessageId> {
        self.ids.range(super::behind(self.next_id)).copied()
    }

    fn holds(&self, id: MessageId) -> bool {
        self.ids.contains(&id) && self.next_id.is_none_or(|passed| id > passed)
    }
}

impl AttemptRow {
    /// Whether it counts in quota and slots.
    pub(super) fn counts(&self) -> bool {
        !self.facts.has(Fact::Released)
    }

    /// Whether nobody has said anything about it.
    pub(super) fn is_open(&self) -> bool {
        !self.facts.is_settled()
    }
}

impl TenantRow {
    pub(super) fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            settings: TenantSettings::default(),
            entitlement: Entitlement::unlimited(),
            sessions: BTreeMap::new(),
            breakers: BTreeMap::new(),
            contacts: Contacts::default(),
            lists: BTreeMap::new(),
            imports: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            schedules: BTreeMap::new(),
            schedule_runs: BTreeMap::new(),
            messages: BTreeMap::new(),
            keys: BTreeMap::new(),
            due: BTreeMap::new(),
            closed: BTreeMap::new(),
            attempts: BTreeMap::new(),
            inbound: BTreeMap::new(),
            entries_told: BTreeMap::new(),
            threads: BTreeMap::new(),
            templates: BTreeMap::new(),
            news: BTreeMap::new(),
            notices: BTreeMap::new(),
            suppressed: BTreeMap::new(),
            redriven: BTreeMap::new(),
            meters: BTreeMap::new(),
            listened: BTreeMap::new(),
            doubts: BTreeMap::new(),
            silent: BTreeSet::new(),
            #[cfg(feature = "mutants")]
            mutant: None,
            #[cfg(feature = "mutants")]
            flaw: None,
        }
    }

    /// The attempts of a message with their numbers, oldest first.
    pub(super) fn chain(&self, id: MessageId) -> impl Iterator<Item = (u16, &AttemptRow)> {
        self.attempts.range((id, 0)..=(id, u16::MAX)).map(|((_, n), attempt)| (*n, attempt))
    }

    /// The number that a message's next attempt has.
    pub(super) fn next_n(&self, id: MessageId) -> u16 {
        self.chain(id).last().map_or(1, |(n, _)| n.saturating_add(1))
    }

    /// Whether a message waits in its campaign's feed.
    pub(super) fn is_in_feed(&self, id: MessageId) -> bool {
        let feed = self.messages.get(&id).and_then(|message| {
            self.campaigns.get(&message.campaign?).and_then(|row| row.feeds.get(&message.session))
        });
        feed.is_some_and(|feed| feed.holds(id)) && !self.closed.contains_key(&id)
    }

    /// Whether a message waits anywhere, and why.
    pub(super) fn queued(&self, id: MessageId) -> Option<Option<HoldReason>> {
        match self.due.get(&id) {
            Some(due) => Some(due.why),
            None => self.is_in_feed(id).then_some(None),
        }
    }

    /// The state of a message.
    pub(super) fn state_of(&self, id: MessageId) -> MessageState {
        let attempts: Vec<_> = self.chain(id).map(|(_, attempt)| &attempt.facts).collect();
        #[cfg(feature = "mutants")]
        let attempts = super::mutants::folded(self.mutant, attempts);
        message_state(&MessageFacts {
            attempts: &attempts,
            closed: self.closed.get(&id).copied(),
            queued: self.queued(id),
        })
    }

    /// Whether a message waits to be tried again after a failure.
    #[cfg(feature = "mutants")]
    pub(super) fn is_held_back(&self, id: MessageId) -> bool {
        self.state_of(id) == MessageState::Held && self.chain(id).next().is_some()
    }

    /// Closes a message, wherever it waits.
    pub(super) fn close(&mut self, id: MessageId, why: SkipReason) {
        self.due.remove(&id);
        self.closed.insert(id, why);
    }

    /// The contact that a message goes to, if its recipient is one by now.
    pub(super) fn contact_of(&self, message: &MessageRow) -> Option<ContactId> {
        let named = message.contact.map(|contact| self.contacts.resolve(contact));
        named.or_else(|| self.contacts.find(&message.recipient))
    }

    /// The template that an attempt of a message carried, if it did.
    pub(super) fn template_of(
        &self,
        message: &MessageRow,
        chosen: Chosen,
    ) -> Option<(TemplateName, LanguageCode)> {
        let campaign = message.campaign.and_then(|campaign| self.campaigns.get(&campaign));
        let content = match (chosen, &message.body) {
            (Chosen::Own, DueBody::Own(content)) => content,
            (Chosen::Own, DueBody::Values(_)) => campaign?.campaign.content.pattern(),
            (Chosen::Fallback, DueBody::Values(_)) => campaign?.campaign.fallback.as_ref()?.pattern(),
            (Chosen::Fallback, DueBody::Own(_)) => {
                let template = message.fallback.as_ref()?;
                return Some((template.name.clone(), template.language.clone()));
            }
        };
        content.template().map(|template| (template.name.clone(), template.language.clone()))
    }

    /// A message as a report shows it.
    pub(super) fn view(&self, id: MessageId) -> Option<MessageView> {
        let message = self.messages.get(&id)?;
        let state = self.state_of(id);
        let due = self.due.get(&id);
        Some(MessageView {
            id,
            campaign: message.campaign,
            session: message.session,
            recipient: message.recipient.clone(),
            state,
            skipped: self.closed.get(&id).copied().filter(|_| state == MessageState::Skipped),
            held: due.and_then(|due| due.why.map(|why| (why, due.due_at))),
            given_up_at: self.doubts.get(&id).and_then(|row| row.given_up_at),
            attempts: self
                .chain(id)
                .map(|(n, attempt)| AttemptView {
                    n,
                    begun_at: attempt.begun_at,
                    end_by: attempt.end_by,
                    content: attempt.content,
                    facts: flawed!(self, LosesTheDetails => super::flaws::without_details(attempt), attempt.facts.clone()),
                    price: price::shown(&self.sold(message, attempt)),
                })
                .collect(),
        })
    }

    /// How many messages of a campaign are where: a recount.
    pub(super) fn counts(&self, row: &CampaignRow) -> CampaignCounts {
        let mut counts = CampaignCounts::default();
        for id in row.messages() {
            let Some(message) = self.messages.get(&id) else { continue };
            let facts: Vec<_> = self.chain(id).map(|(_, attempt)| &attempt.facts).collect();
            let standing = Standing::new(self.state_of(id), self.closed.get(&id).copied(), &facts);
            let standing = standing.waiting(self.queued(id).is_some());
            for (counter, change) in tally::delta(None, &standing) {
                tally::apply(&mut counts, &counter, change);
            }
            for (n, attempt) in self.chain(id) {
                if n > 1 && !(n == 3 && flawed!(self, CountsNoSecondRetry)) {
                    tally::apply(&mut counts, &Counter::Retries, 1);
                }
                let booking = price::booking(&self.sold(message, attempt));
                for (counter, n) in booking.iter().flat_map(cost::counted_in) {
                    tally::apply(&mut counts, &Counter::Cost(counter), n);
                }
            }
        }
        counts
    }
}
