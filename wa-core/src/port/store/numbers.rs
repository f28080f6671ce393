//! Numbers: sessions, who owns them, what stops them, and the templates of their accounts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;

use super::StoreError;
use crate::model::{
    Breaker, BreakerScope, NewSession, NumberId, Session, SessionId, SessionReport, SessionSetting,
    TemplateKey, TemplateRecord, TenantId, TransportName, WorkerId,
};
use crate::port::{AdminScope, Scope, WorkerScope};
use crate::rules::spread::Fellow;

/// The room of sessions.
#[async_trait]
pub trait Numbers: Send + Sync {
    /// Adds a number, or finds it again.
    ///
    /// - `add_session_is_idempotent_by_number`: the same transport and number of a tenant give the same session.
    /// - `add_session_keeps_the_plans_limit`: beyond the entitlement's number of sessions nothing is added; deleted ones do not count.
    /// - `add_session_learns_the_account`: an account or phone that is named for a known session is kept from then on.
    /// - `add_session_needs_its_tenant`: an unknown tenant adds nothing.
    /// - `two_tenants_may_add_one_number`: neither learns of the other.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Result<AddSession, StoreError>;

    /// One session.
    ///
    /// - `a_foreign_session_is_missing`: another tenant's session is `None`.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn session(&self, scope: &Scope, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// The tenant's sessions, in order of their ids.
    ///
    /// - `sessions_are_paged_by_id`: pages neither repeat nor miss a session, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Takes over what a provider said; `None` fields stay as they are. It is news as of the store's now: an
    /// older event on the same topic changes nothing any more.
    ///
    /// - `report_session_keeps_what_is_not_said`: only `Some` fields change, and `checked_at` is set.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Result<Option<Session>, StoreError>;

    /// Changes one setting of a session. Ordered before every later begin.
    ///
    /// - `set_session_changes_one_setting`: the others stay, and it is read back equal, also after a reopen.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Result<Option<Session>, StoreError>;

    /// Which sessions stand for a provider's number; deleted ones left out.
    ///
    /// - `route_finds_every_tenant_of_a_number`: one entry per tenant that added it under this transport.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn route(
        &self,
        scope: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Result<Vec<Route>, StoreError>;

    /// Makes a worker known to the others, and tells it who else there is and how much is free.
    ///
    /// A worker is known until `lease` has passed since it last said so, or, where the store knows at once that
    /// it is dead (a file lock), until then. What it answers is what `rules::spread` decides from; nothing but
    /// the list of workers changes, except what the death of one does to its sessions by
    /// [`acquire`](Self::acquire). Calling it again prolongs.
    ///
    /// - `attend_makes_a_worker_known`: others see it, whether it holds sessions or not, in order of ids, until `lease` after the store's now.
    /// - `attend_keeps_since_when`: `since` is when it first attended without a gap; after one it starts anew.
    /// - `attend_counts_what_each_holds`: live leases of each, and as `free` what `acquire` would give.
    /// - `attend_without_room_takes_leave`: with `most` 0 a worker is forgotten at once.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn attend(&self, scope: &AdminScope, presence: &Presence) -> Result<Attendance, StoreError>;

    /// Takes ownership of sessions that nobody holds, oldest first, at most `most`.
    ///
    /// Free are sessions that were never held, were released, whose lease ended, or whose owner is
    /// known to be dead. Sessions that this worker holds already are not given again. A deleted
    /// session is given only while it has attempts without outcome, which somebody has to sweep.
    ///
    /// - `acquire_raises_the_epoch`: each acquisition of a session has a higher epoch than all before.
    /// - `acquire_gives_a_session_to_one_worker`: a session with a live lease is not given to another worker.
    /// - `acquire_after_the_lease_ended_names_the_quiet_time`: `quiet_until` is the latest `end_by` of attempts without outcome begun under earlier epochs, if in the future.
    /// - `acquire_counts_unsettled_deaths`: a takeover that finds open attempts of the former epoch raises `unsettled_deaths`.
    /// - `acquire_passes_a_released_state_on`: the state given to `release` comes back once.
    ///
    /// Where the store knows at once that the former owner is dead (a file lock), its leases end
    /// at once, its open attempts become in doubt at once, and there is no quiet time.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn acquire(&self, scope: &AdminScope, ask: &AcquireSessions) -> Result<Vec<Lease>, StoreError>;

    /// Prolongs the leases of the scope; returns those that are still held.
    ///
    /// - `heartbeat_prolongs_held_leases`: they end `lease` after the store's now.
    /// - `heartbeat_leaves_out_lost_sessions`: a session with a higher epoch or an ended lease is not returned and not prolonged.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Result<Vec<SessionId>, StoreError>;

    /// Gives a session back at once; `false` when it was not held.
    ///
    /// - `release_frees_at_once`: another worker can acquire the session right after.
    /// - `a_stale_release_changes_nothing`: a worker whose epoch has passed frees nothing.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn release(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        state: &DispatchState,
    ) -> Result<bool, StoreError>;

    /// Attempts of a session begun at or after an instant, oldest first, those not sent left out.
    ///
    /// - `recent_gives_what_meters_are_rebuilt_from`: every attempt since the instant, at most 100,000, the latest kept.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<RecentAttempt>, StoreError>;

    /// Opens a breaker, or changes an open one. Ordered before every later begin, and written to the
    /// journal if the session was not stopped before, or for another reason or code.
    ///
    /// - `an_open_breaker_binds_the_next_begin`: what it stops is not begun.
    /// - `a_foreign_session_gets_no_breaker`: `false`, and nothing changes.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Result<bool, StoreError>;

    /// Closes a breaker; `false` when none was open.
    ///
    /// - `a_reset_breaker_lets_go`: what it stopped can begin again, and the journal says so for a session.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Result<bool, StoreError>;

    /// The tenant's open breakers, in order of their scopes; those whose time is over left out.
    ///
    /// - `breakers_lists_open_ones`: an ended or reset breaker is not listed.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn breakers(&self, scope: &Scope) -> Result<Vec<Breaker>, StoreError>;

    /// The tenant's templates as the provider last spoke of them, in order of their keys.
    ///
    /// - `templates_shows_the_latest_of_each_part`: status, rating and category each as of the latest event by the provider's clock, whatever the order.
    /// - `templates_are_paged_by_key`: pages neither repeat nor miss a template, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Numbers) = |_| {};

/// What became of an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddSession {
    /// It is new.
    Added(Session),
    /// The tenant had it already.
    Known(Session),
    /// The plan allows no more.
    OverPlan {
        /// How many it allows.
        limit: u32,
    },
    /// There is no such tenant.
    NoTenant,
}

/// A session that stands for a provider's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
}

/// A request for sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquireSessions {
    /// Who wants them.
    pub worker: WorkerId,
    /// How long the leases last without heartbeat.
    pub lease: Duration,
    /// At most this many.
    pub most: u32,
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Which worker.
    pub worker: WorkerId,
    /// For how long it counts as there.
    pub lease: Duration,
    /// How many sessions it would hold at most; none when it is about to leave.
    pub most: u32,
}

/// Who is there, and what nobody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendance {
    /// The store's now.
    pub at: DateTime<Utc>,
    /// The workers that are known, in order of their ids.
    pub workers: Vec<Fellow>,
    /// Sessions that could be acquired.
    pub free: u32,
}

/// Ownership of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The tenant.
    pub tenant: TenantId,
    /// The session as stored.
    pub session: Session,
    /// The epoch under which it is held.
    pub epoch: u64,
    /// When the lease ends without heartbeat.
    pub until: DateTime<Utc>,
    /// Nothing may be sent before.
    pub quiet_until: Option<DateTime<Utc>>,
    /// What the former owner passed on.
    pub state: Option<DispatchState>,
    /// How often in a row an owner died with open attempts.
    pub unsettled_deaths: u32,
}

/// What one owner of a session passes on to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DispatchState {
    /// How long before the hand-over each of the latest releases was, oldest first, in microseconds: no
    /// clock of either owner is in it, since they differ.
    pub releases: Vec<i64>,
}

/// An attempt as rate meters need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentAttempt {
    /// [`Recipient::key`](crate::model::Recipient::key).
    pub recipient: u64,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
}
