//! Outbox: what is due, and the protocol by which it is sent.
//!
//! A message's life in tables: a campaign's frozen messages lie in a *feed* (one per campaign and
//! session, read in id order), everything else that waits has a *due row*. Begin moves a message
//! out of both into an *attempt*; outcomes merge into the attempt's *facts*; what was never
//! attempted is *closed* with a reason.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::model::{
    AttemptKey, BatchId, Breaker, CampaignContent, CampaignId, Category, ContactId, Content, HoldReason,
    Lane, LanguageCode, MessageId, MessageState, Money, NewMessage, Outcome, Recipient, SessionId,
    SkipReason, TemplateName, TenantId,
};
use crate::port::{Scope, WorkerScope};
use crate::rules::judge::Judge;

/// The room of the send protocol.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes a message in as a due row, once per caller's key. Takes no gate: eligibility is judged at begin.
    ///
    /// A session that is not the tenant's is told first, whatever the key was used for.
    ///
    /// - `enqueue_is_idempotent_by_key`: the same key and message, whatever its id and times, give the first message; without a key its id is the key.
    /// - `another_body_under_a_key_is_refused`: and nothing is taken in.
    /// - `keys_of_two_tenants_do_not_meet`: the same key in two tenants is two messages.
    /// - `enqueue_needs_an_own_session`: a foreign or unknown session takes nothing in.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError>;

    /// Cancels a message that has not begun.
    ///
    /// - `a_cancelled_message_never_begins`: it is skipped as `cancelled`.
    /// - `a_begun_message_cannot_be_cancelled`: and its state is named.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn cancel(&self, scope: &Scope, message: MessageId) -> Result<CancelMessage, StoreError>;

    /// Reads what a session could begin now. Writes nothing.
    ///
    /// Order: due rows whose time has come, transactional before bulk, then earliest first; then
    /// feeds of running campaigns by campaign id, in id order. Messages of campaigns that are not
    /// running are left out. A session that the scope does not hold gives an empty page.
    ///
    /// - `due_writes_nothing`: reading twice gives the same page.
    /// - `due_gives_transactional_first`: whatever the order in which they were taken in.
    /// - `due_respects_due_at`: nothing before its time; `next_at` names the next one.
    /// - `due_leaves_out_paused_campaigns`: and gives them again after resume.
    /// - `due_is_bounded_by_limit`: at most `limit` messages.
    /// - `due_skips_named_campaigns`: those in `skip` are left out.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError>;

    /// The point of no return: judges a batch of one session and commits its attempts durably.
    ///
    /// All facts are read after the locks, at one instant of the store's clock. What is not there to
    /// begin is gone, whatever its group. Of the others the judge first admits or refuses each campaign
    /// (and the messages without campaign) as a group, then judges each message in order, with quota
    /// and tier as the batch has used them so far. He hears of a breaker only while it is open.
    ///
    /// The tier's slots are those of a transport and portfolio, whichever tenants share it. A slot
    /// lasts from the latest attempt that relies on it and was not given back. A batch id is known for
    /// a week at least.
    ///
    /// Send: an attempt with number `n`, and the message leaves feed or due row. Wait: a due row with
    /// reason and time. Skip: closed with the reason. Stop: this message and all later ones of its
    /// feed stay where they are. Pause: its campaign is paused, and everything of it stays where it is. A refused group stays where it is as a whole.
    ///
    /// - `begin_commits_an_attempt_per_permit`: every attempt given is there after a reopen.
    /// - `begin_is_refused_without_a_live_lease`: a scope whose epoch has passed, or whose lease has ended, begins nothing.
    /// - `begin_takes_each_message_once`: a message that was begun, closed or cancelled meanwhile is not begun again, and is named in `gone`.
    /// - `begin_twice_begins_once`: the same items under another batch id begin nothing.
    /// - `begin_refuses_a_used_batch_id`: a batch id that is known, also by `abandon`, begins nothing.
    /// - `begin_moves_the_feed_in_order`: of a feed's items, those still in it must continue it exactly; if not, none of them begins and all are named in `gone`.
    /// - `begin_leaves_one_fact_per_message`: each item ends as an attempt, a due row, a closed row, or is untouched.
    /// - `begin_reserves_quota_exactly`: a limit is reached exactly and never passed, within a batch and across batches.
    /// - `begin_reserves_the_tier_exactly`: unique recipients outside windows in 24 hours; one who has a slot needs no other.
    /// - `begin_reserves_the_budget_exactly`: the least budget that a message falls under is reached and never passed, by the dearest price that each message can become.
    /// - `begin_pauses_a_campaign_whose_budget_is_spent`: with its reason and events, once no price that is not settled can make room; it goes on when it is resumed.
    /// - `begin_holds_an_unknown_price_under_a_budget`: also one in another currency.
    /// - `begin_counts_free_service_messages`: those of a number and month on the account's clock, until they are given back.
    /// - `begin_sees_what_committed_before`: consent, window, breaker, pause and settings as they are at its own instant.
    /// - `begin_writes_the_price`: the estimate counts in cost until it is given back; an unknown one counts as unpriced.
    /// - `begin_writes_the_journal`: changes of state are in the journal, in the same commit.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unknown`](super::StoreErrorKind::Unknown) when the commit may have happened:
    /// call [`abandon`](Self::abandon) and send nothing.
    async fn begin(
        &self,
        scope: &WorkerScope,
        batch: &BeginBatch,
        judge: Arc<dyn Judge>,
    ) -> Result<Begun, StoreError>;

    /// Makes sure that a batch whose commit is unknown is not sent and never will be.
    ///
    /// - `abandon_gives_a_committed_batch_back`: its attempts become not sent, also those that a sweep put in doubt meanwhile; quota and slots are given back, the messages are due again.
    /// - `abandon_bars_a_batch_that_never_came`: a later begin with that id begins nothing.
    /// - `abandon_can_be_repeated`: the second call changes nothing.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn abandon(&self, scope: &WorkerScope, batch: BatchId) -> Result<Abandoned, StoreError>;

    /// Merges outcomes of attempts. Never fenced: an outcome is a fact, whoever brings it.
    ///
    /// Facts accumulate and keep the earliest instant. What follows is in the same commit: a definite
    /// non-delivery gives quota, slot and cost back once; a message to be tried again gets a due row;
    /// a class that stops a session or template opens its breaker; a marketing opt-out is recorded.
    /// An open breaker is replaced only by one that lasts longer; it keeps its `since`, and is news (in
    /// the answer and the journal) only with another reason or code. Who opts out and is no contact
    /// becomes one, under the message's id. Whatever provider id an attempt was ever given finds it; the
    /// statuses that waited for one are merged with its outcome, and what follows, follows from all of them.
    ///
    /// - `settle_merges_and_repeats_safely`: the same facts twice, in any order, give the same state.
    /// - `settle_is_not_fenced`: a worker whose lease passed can still bring its outcome.
    /// - `settle_gives_back_once`: quota, tier slot and cost return on the first definite non-delivery only.
    /// - `settle_schedules_a_retry`: by the tenant's policy, and no more often than it allows.
    /// - `settle_puts_a_throttled_message_back`: without using up a retry.
    /// - `settle_opens_a_breaker`: a dead credential stops its session, in the same commit.
    /// - `settle_records_a_marketing_opt_out`: a refusal of class `opted_out` sets the contact's consent.
    /// - `settle_names_unknown_attempts`: an attempt that is not there is named, the rest is merged.
    /// - `settle_joins_waiting_statuses`: statuses that came before the provider's id was known are merged with it.
    /// - `an_in_doubt_attempt_is_not_overridden_by_another`: whatever is learnt of one attempt leaves another in doubt, and so the message, and schedules nothing.
    /// - `settle_writes_the_journal`: changes of state are in the journal, in the same commit.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError>;

    /// Marks attempts of the held sessions in doubt whose `end_by` passed `grace` ago or longer.
    ///
    /// - `sweep_never_makes_pending`: an attempt without outcome becomes in doubt, and its message is not begun again.
    /// - `sweep_waits_for_the_grace`: not before `end_by + grace`; `next_at` names when.
    /// - `sweep_leaves_settled_attempts_alone`: an attempt with an outcome is not touched.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Outbox) = |_| {};

/// What became of a message handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueue {
    /// It is in.
    Queued(MessageId),
    /// The key was used for the same message before.
    Known(MessageId),
    /// The key was used for another message.
    Different(MessageId),
    /// The session is not the tenant's.
    NoSession,
}

/// What became of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelMessage {
    /// It will not be sent.
    Cancelled,
    /// It is past cancelling.
    TooLate(MessageState),
    /// There is no such message.
    Missing,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueQuery {
    /// Of this session.
    pub session: SessionId,
    /// Of this lane only, or of both.
    pub lane: Option<Lane>,
    /// At most this many.
    pub limit: u32,
    /// Leave these campaigns out.
    pub skip: Vec<CampaignId>,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePage {
    /// The store's time.
    pub at: DateTime<Utc>,
    /// The messages, in the order in which they should begin.
    pub messages: Vec<DueMessage>,
    /// When the next due row of the session and lane comes due, if one waits; also one that is left out.
    pub next_at: Option<DateTime<Utc>>,
}

/// A message that could begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMessage {
    /// The tenant.
    pub tenant: TenantId,
    /// The message.
    pub id: MessageId,
    /// The number that its next attempt has: 1 + attempts so far.
    pub n: u16,
    /// Its campaign; all messages of a page share one value.
    pub campaign: Option<Arc<CampaignBrief>>,
    /// Its contact, if it belongs to one.
    pub contact: Option<ContactId>,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it says.
    pub body: DueBody,
    /// Its lane.
    pub lane: Lane,
    /// Until when it may begin.
    pub valid_until: Option<DateTime<Utc>>,
    /// Where it waits.
    pub source: DueSource,
}

/// What dispatch must know of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignBrief {
    /// The campaign.
    pub id: CampaignId,
    /// What it says.
    pub content: CampaignContent,
    /// At most this many messages a second and session.
    pub rate: Option<u32>,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
pub enum DueBody {
    /// The campaign's content, filled with these values.
    Values(Vec<String>),
    /// Its own content.
    Own(Content),
}

impl std::fmt::Debug for DueBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Values(values) => write!(f, "Values(len={})", values.len()),
            Self::Own(content) => write!(f, "Own({content:?})"),
        }
    }
}

/// Where a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueSource {
    /// In its campaign's feed.
    Feed,
    /// In a due row.
    Row,
}

/// A batch to begin: messages of one session, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginBatch {
    /// Its id, never used before.
    pub id: BatchId,
    /// The session.
    pub session: SessionId,
    /// The messages, as [`Outbox::due`] gave them and in its order.
    pub items: Vec<BeginItem>,
    /// How long after the begin a first byte may be written.
    pub start_within: Duration,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A message to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginItem {
    /// The tenant; that of the session.
    pub tenant: TenantId,
    /// The message.
    pub message: MessageId,
    /// The number of the attempt to begin.
    pub n: u16,
    /// Where it waits.
    pub source: DueSource,
    /// Its campaign.
    pub campaign: Option<CampaignId>,
    /// Its contact.
    pub contact: Option<ContactId>,
    /// Who gets it.
    pub recipient: Recipient,
    /// Its lane.
    pub lane: Lane,
    /// What it is charged as.
    pub category: Category,
    /// Whether it needs an open window.
    pub needs_window: bool,
    /// Its template.
    pub template: Option<(TemplateName, LanguageCode)>,
    /// Until when it may begin.
    pub valid_until: Option<DateTime<Utc>>,
    /// Why it cannot be sent at all, found when its content was made.
    pub unsendable: Option<SkipReason>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It was judged and committed.
    Done(BegunBatch),
    /// The session is not held any more; nothing happened.
    LeaseLost,
    /// The batch id is known; nothing happened.
    UsedBatch,
}

/// A committed batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BegunBatch {
    /// The store's time at which it was judged.
    pub at: Option<DateTime<Utc>>,
    /// Attempts to send now, in the order of the items.
    pub attempts: Vec<BegunAttempt>,
    /// Messages put into due rows.
    pub waits: Vec<(MessageId, HoldReason, DateTime<Utc>)>,
    /// Messages closed.
    pub skips: Vec<(MessageId, SkipReason)>,
    /// Groups left where they were.
    pub stopped: Vec<Stopped>,
    /// Messages that were not there to begin.
    pub gone: Vec<MessageId>,
}

/// An attempt that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunAttempt {
    /// The attempt.
    pub key: AttemptKey,
    /// A first byte may be written until then, by the store's clock.
    pub start_by: DateTime<Utc>,
    /// Its request has ended by then.
    pub end_by: DateTime<Utc>,
    /// The estimated price, if it is known.
    pub price: Option<Money>,
}

/// A group that may not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The campaign, or `None` for messages without one.
    pub campaign: Option<CampaignId>,
    /// Why.
    pub why: HoldReason,
    /// When it is worth asking again, if known.
    pub until: Option<DateTime<Utc>>,
}

/// What a batch that was abandoned turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// It had been committed; this many attempts became not sent.
    WasCommitted(u32),
    /// It had not been committed and never can be.
    NeverCame,
}

/// An outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFact {
    /// The attempt.
    pub attempt: AttemptKey,
    /// When the outcome was seen.
    pub at: DateTime<Utc>,
    /// The outcome.
    pub outcome: Outcome,
    /// How long the provider asks to wait before the next try.
    pub retry_after: Option<Duration>,
}

/// What a merge of outcomes did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Messages whose state changed, with the new one.
    pub changed: Vec<(TenantId, MessageId, MessageState)>,
    /// Attempts that are not there.
    pub unknown: Vec<AttemptKey>,
    /// Breakers that this opened.
    pub opened: Vec<(TenantId, Breaker)>,
    /// The earliest of the due rows that this made.
    pub due_at: Option<DateTime<Utc>>,
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Attempts that became in doubt.
    pub in_doubt: Vec<AttemptKey>,
    /// When the next open attempt would.
    pub next_at: Option<DateTime<Utc>>,
}
