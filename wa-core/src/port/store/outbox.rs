//! Outbox: what is due, and the protocol by which it is sent.
//!
//! A message's life in tables: a campaign's frozen messages lie in a *feed* (one per campaign and
//! session, read in id order), everything else that waits has a *due row*. Begin moves a message
//! out of both into an *attempt*; outcomes merge into the attempt's *facts*; what was never
//! attempted is *closed* with a reason.

mod begin;
mod doubt;
mod due;
mod prepared;
mod redrive;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{RecentAttempt, StoreError};
use crate::model::{
    AttemptKey, BatchId, Breaker, CampaignId, MessageId, MessageState, NewMessage, Outcome, Resolution,
    Session, SessionId, TenantId,
};
use crate::port::{Scope, WorkerScope};
use crate::rules::judge::{Admission, Judge, Verdict};

pub use begin::{Alternative, BeginBatch, BeginItem, Begun, BegunAttempt, BegunBatch, Stopped};
pub use doubt::{Recover, Recovered, ResolveMessage};
pub use due::{CampaignBrief, DueBody, DueMessage, DuePage, DueQuery, DueSource};
pub use prepared::Prepared;
pub use redrive::{Redrive, RedriveOf, Redriven, RetryMessage};

/// The room of the send protocol.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes a message in as a due row, once per caller's key. Takes no gate: eligibility is judged at begin.
    ///
    /// A session that is not the tenant's is told first, whatever the key was used for.
    ///
    /// - `enqueue_is_idempotent_by_key`: the same key and message, whatever its id and times, give the first message; without a key its id is the key.
    /// - `another_body_under_a_key_is_refused`: and nothing is taken in, also under the id of a campaign's message.
    /// - `keys_of_two_tenants_do_not_meet`: the same key in two tenants is two messages.
    /// - `enqueue_keeps_what_is_quoted`: it is due with the message, also for a retry and after a reopen, and another quote under a key is another body.
    /// - `enqueue_needs_an_own_session`: a foreign or unknown session takes nothing in.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn enqueue(&self, scope: &Scope, message: &NewMessage) -> Result<Enqueue, StoreError>;

    /// Cancels a message that has not begun.
    ///
    /// - `a_cancelled_message_never_begins`: it is skipped as `cancelled`.
    /// - `a_begun_message_cannot_be_cancelled`: and its state is named.
    /// - `cancel_withdraws_a_resend`: a message in doubt stays so, and is not sent again by itself.
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
    /// - `due_skips_named_feeds`: of those in `skip_feeds` only rows of their own are given.
    /// - `due_says_the_pace`: the number's throughput, what its quality leaves to marketing, and its gap, as they are now.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn due(&self, scope: &WorkerScope, ask: &DueQuery) -> Result<DuePage, StoreError>;

    /// The point of no return: judges a batch of one session and commits its attempts durably.
    ///
    /// All facts are read after the locks, at one instant of the store's clock. A recipient's touches
    /// are the templates that it got from any session of the tenant within
    /// [`reach`](crate::rules::touch::reach) and that were not given back, newest first; a message's own
    /// attempts hold it up in nothing. What is not there to begin is gone, whatever its group. Of the others the judge first admits or refuses each campaign
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
    /// - `begin_sees_what_committed_before`: consent, suppression, window, breaker, pause, the session and settings as they are at its own instant.
    /// - `begin_keeps_the_cooldown`: templates to one recipient keep their distance, within a batch, across batches and across the tenant's sessions; what was given back does not count.
    /// - `begin_keeps_the_frequency_cap`: across campaigns and sessions; what was given back does not count.
    /// - `begin_keeps_the_warm_up_cap_exactly`: a day's cap is reached exactly and never passed; what was given back makes room.
    /// - `begin_keeps_safe_mode`: only who is allowed is written to, and the others are skipped.
    /// - `begin_keeps_the_suppression_list`: who is on it is skipped, contact or not, by any address.
    /// - `begin_needs_an_opt_in_where_asked`: marketing without a recorded opt-in is skipped.
    /// - `begin_holds_marketing_of_a_bad_number`: while its rating is red; everything else goes.
    /// - `begin_waits_out_quiet_hours`: from a minute before them on, so that what begins also leaves in time; in the recipient's own zone, else in those of its number, else in the tenant's; what would be too late by then is skipped.
    /// - `begin_falls_back_to_the_template`: outside the window, where the settings say so; the attempt, its price and its template's breaker are those of what goes.
    /// - `begin_reserves_the_budget_exactly`: the least budget that a message falls under is reached and never passed, by the dearest price that each message can become.
    /// - `begin_pauses_a_campaign_whose_budget_is_spent`: with its reason and events, once no price that is not settled can make room; it goes on when it is resumed.
    /// - `begin_holds_an_unknown_price_under_a_budget`: also one in another currency.
    /// - `begin_counts_free_service_messages`: those of a number and month on the account's clock, until they are given back.
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

    /// What [`begin`](Self::begin) would say now of messages of one session, hypothetical or existing.
    ///
    /// The same facts, read at one instant, and the same order: what an earlier item would take is taken
    /// for the later ones. Unlike begin it needs no lease, asks the judge of every item, also behind a
    /// stop and in a refused group, and does not look whether a message is still there to begin. At most
    /// [`MAX_PAGE`](super::MAX_PAGE) items; those behind are left out.
    ///
    /// - `consider_writes_nothing`: whatever the verdicts.
    /// - `consider_answers_as_begin_would`: the same admissions and verdicts from the same facts, item by item.
    /// - `consider_judges_behind_a_stop`: each item gets a verdict, and each group its admission.
    /// - `consider_takes_hypothetical_messages`: ids that no store knows, to whoever has an address.
    /// - `consider_tells_the_taken_slots`: of the whole portfolio, on request.
    /// - `consider_needs_an_own_session`: a foreign or unknown session considers nothing.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn consider(
        &self,
        scope: &Scope,
        ask: &Consider,
        judge: Arc<dyn Judge>,
    ) -> Result<Considered, StoreError>;

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
    /// - `settle_schedules_no_retry_past_the_validity`: a retry that would not begin before `valid_until` closes the message as expired, at once.
    /// - `settle_puts_a_throttled_message_back`: without using up a retry.
    /// - `settle_opens_a_breaker`: a dead credential stops its session, in the same commit.
    /// - `settle_records_a_marketing_opt_out`: a refusal of class `opted_out` sets the contact's consent.
    /// - `settle_names_unknown_attempts`: an attempt that is not there is named, the rest is merged.
    /// - `settle_joins_waiting_statuses`: statuses that came before the provider's id was known are merged with it.
    /// - `an_in_doubt_attempt_is_not_overridden_by_another`: whatever is learnt of one attempt leaves another in doubt, and so the message, and schedules nothing.
    /// - `settle_withdraws_a_resend`: once the provider is known to have taken the message after all, or it failed for good, no other attempt of it is waited for.
    /// - `settle_writes_the_journal`: changes of state are in the journal, in the same commit.
    /// - `settle_tells_of_undeliverable_messages`: those that fail for good, in the same commit, with whether they are critical.
    /// - `settle_tells_of_a_failing_campaign_once`: each time the share of failures crosses the tenant's limit.
    /// - `settle_pauses_a_campaign_that_fails_for_one_reason`: in the same commit, and nothing of it begins until it is resumed.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn settle(&self, facts: &[AttemptFact]) -> Result<Settled, StoreError>;

    /// Puts one message that failed, or was skipped for a reason that may be gone, back by hand.
    ///
    /// It goes into a due row for one more attempt of the same chain, counts its retries anew, and is
    /// judged anew at begin. [`redrive::decide`](crate::rules::redrive::decide) says which messages may
    /// go back and when; a message of a cancelled campaign never does.
    ///
    /// - `retry_adds_an_attempt_to_the_chain`: its next attempt has the next number, and it is tried again as often as a new message is.
    /// - `retry_leaves_alone_what_may_be_delivered`: whatever its state is, it is named.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn retry(&self, scope: &Scope, message: MessageId) -> Result<RetryMessage, StoreError>;

    /// Puts messages back as [`retry`](Self::retry) does, in order of their ids: one chunk.
    ///
    /// Each chunk is one commit. Who goes on with `next` until it is `None` has walked through all.
    ///
    /// - `redrive_requeues_what_fits`: exactly the messages that fit, whatever the size of the chunks.
    /// - `redrive_twice_requeues_once`: a message that was put back is not put back again before it failed again.
    /// - `redrive_never_touches_what_may_be_delivered`: nor what was cancelled, has expired or opted out, whatever is asked for.
    /// - `redrive_takes_skipped_ones_by_their_reason`: and only those whose reason may be gone.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn redrive(&self, scope: &Scope, ask: &Redrive) -> Result<Redriven, StoreError>;

    /// Looks at attempts of the held sessions that began `silent_after_seconds` ago or longer, each once
    /// and in the order in which they began, about so many per session and call.
    ///
    /// One that was taken and of which no status came is silent: it is told in the journal and listed
    /// until a status comes. A number so many of whose attempts in a row are silent is deaf: told once
    /// until one of its attempts is heard of.
    ///
    /// - `listen_finds_silent_messages_once`: not before their time, and each attempt once.
    /// - `listen_finds_a_deaf_session_once`: and again only after it was heard of.
    /// - `listen_goes_on_where_it_stopped`: in chunks of any size, also after a reopen.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn listen(&self, scope: &WorkerScope, limit: u32) -> Result<Listened, StoreError>;

    /// Marks attempts of the held sessions in doubt whose `end_by` passed `grace` ago or longer.
    ///
    /// - `sweep_never_makes_pending`: an attempt without outcome becomes in doubt, and its message is not begun again.
    /// - `sweep_waits_for_the_grace`: not before `end_by + grace`; `next_at` names when.
    /// - `sweep_leaves_settled_attempts_alone`: an attempt with an outcome is not touched.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn sweep(&self, scope: &WorkerScope, grace: Duration) -> Result<Swept, StoreError>;

    /// Looks at messages in doubt of the held sessions whose time has come: by
    /// [`doubt::decide`](crate::rules::doubt::decide) each waits for another attempt from now on, is in
    /// doubt for good, or is looked at again later.
    ///
    /// One that became in doubt is looked at at once, and so are all of a tenant whose policy was changed.
    /// A message that waits for another attempt stays in doubt until that has begun, and its attempts that
    /// are in doubt stay so. Each message is decided once, and nothing is repeated by a repeated call.
    ///
    /// - `recover_never_resends_by_itself`: neither at most once nor by hand, whatever time has passed.
    /// - `recover_resends_after_its_time`: not before the wait and the grace are over; the attempt has the next number, the one in doubt stays.
    /// - `recover_resends_what_is_proven_silent`: only where enough other attempts beside it were heard of, and nothing that was heard waits to be read.
    /// - `recover_keeps_to_the_narrowest_policy`: that of the message, of its campaign, of its tenant; one that the tenant changes holds at once.
    /// - `recover_leaves_alone_what_is_over`: what was cancelled, would have expired, or was sent again often enough.
    /// - `recover_leaves_another_life_alone`: what was begun before the store was restored is not sent again by itself; somebody may say that it is.
    /// - `recover_tries_a_failed_resend_again`: as often as a passing failure is tried again, and not after one that does not pass.
    /// - `recover_gives_up_for_good`: once no webhook can come any more, but never what waits for a person; it stays listed.
    /// - `recover_goes_on_where_it_stopped`: in chunks of any size, also after a reopen.
    /// - `recover_needs_a_live_lease`: a session that the scope does not hold is left alone.
    /// - `recover_writes_the_journal`: what waits again, and what was given up on, in the same commit.
    /// - `a_resend_reopens_its_campaign`: one that is completed runs again until the attempt is over.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn recover(&self, scope: &WorkerScope, ask: &Recover) -> Result<Recovered, StoreError>;

    /// Records what somebody says about a message in doubt.
    ///
    /// What is said of delivery is a fact about its latest attempt in doubt; what is said of failure, about
    /// all of them. What follows, follows as in [`settle`](Self::settle).
    ///
    /// - `resolve_decides_a_message_in_doubt`: delivered, or failed with quota and cost given back.
    /// - `resolve_resends_once`: a second call finds the attempt that waits.
    /// - `resolve_resends_nothing_that_is_over`: its campaign cancelled, its validity passed.
    /// - `resolve_leaves_others_alone`: what is not in doubt stays as it is, and its state is named.
    /// - `late_news_of_a_resolved_message_count`: whatever somebody said.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn resolve(
        &self,
        scope: &Scope,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<ResolveMessage, StoreError>;
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

/// What was heard of attempts, or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listened {
    /// Messages with an attempt that is silent.
    pub silent: Vec<(TenantId, MessageId)>,
    /// Sessions that became deaf.
    pub deaf: Vec<(TenantId, SessionId)>,
    /// Whether attempts whose time has come are left.
    pub more: bool,
}

/// Messages to consider, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consider {
    /// The session from which they would go.
    pub session: SessionId,
    /// The messages; their tenant is the scope's.
    pub items: Vec<BeginItem>,
    /// Since when attempts of the session are wanted, to rebuild its meters from; `None` for none.
    pub recent_since: Option<DateTime<Utc>>,
}

/// What begin would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Considered {
    /// It was judged.
    Judged(Box<Judged>),
    /// The session is not the tenant's.
    NoSession,
}

/// Verdicts on messages that nobody begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The store's time at which it was judged.
    pub at: DateTime<Utc>,
    /// The session as it is.
    pub session: Session,
    /// Whether each group may begin, in order of first appearance.
    pub groups: Vec<(Option<CampaignId>, Admission)>,
    /// The verdict on each item, in order.
    pub verdicts: Vec<(MessageId, Verdict)>,
    /// Attempts of the session since the instant asked for, oldest first, those not sent left out; at
    /// most 100,000, the latest kept.
    pub recent: Vec<RecentAttempt>,
    /// Each slot that is taken of the portfolio's messaging limit: when it ends, earliest first, and the
    /// [`key`](crate::model::Recipient::key) of its recipient. None without a limit, and none where no
    /// attempts were asked for.
    pub slots: Vec<(DateTime<Utc>, u64)>,
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
