//! Schedules: recurring campaigns, from their definition to the campaign of each slot.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::model::{
    CampaignId, EventBody, NewSchedule, Schedule, ScheduleAction, ScheduleId, ScheduleName, ScheduleRun,
    ScheduleState, SessionId, SkippedRun, Slot, TenantId,
};
use crate::port::{AdminScope, Scope};

/// The room of schedules.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Creates a schedule, or finds it again by name. It is active from the first slot that is not
    /// before now, and ended if there is none; slots before now are not made up for.
    ///
    /// - `create_schedule_is_idempotent_by_name`: the same definition under the same name gives the same schedule, wherever it stands.
    /// - `another_schedule_under_a_name_is_refused`: and the stored one is given.
    /// - `create_schedule_needs_own_sessions`: a foreign or unknown session is named.
    /// - `a_schedule_starts_with_the_first_slot_from_now_on`: or is ended at once.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn create_schedule(&self, scope: &Scope, new: &NewSchedule) -> Result<CreateSchedule, StoreError>;

    /// One schedule.
    ///
    /// - `a_foreign_schedule_is_missing`: another tenant's schedule is `None`.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn schedule(&self, scope: &Scope, id: ScheduleId) -> Result<Option<Schedule>, StoreError>;

    /// The schedule of a name.
    ///
    /// - `a_schedule_is_found_by_name`: exactly.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn schedule_named(
        &self,
        scope: &Scope,
        name: &ScheduleName,
    ) -> Result<Option<Schedule>, StoreError>;

    /// The tenant's schedules in order of their ids.
    ///
    /// - `schedules_are_paged_by_id`: pages neither repeat nor miss a schedule, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn all_schedules(
        &self,
        scope: &Scope,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<Schedule>, StoreError>;

    /// The runs of a schedule in order of their slots; `after` is a slot's number.
    ///
    /// - `runs_are_paged_by_slot`: every run once, none of another schedule.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduleId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError>;

    /// Pauses, resumes or ends a schedule, and writes it to the journal if it moved. Campaigns that it
    /// has made go on by themselves.
    ///
    /// - `a_paused_schedule_runs_nothing`: nor does an ended one.
    /// - `resume_goes_on_with_the_next_slot`: what passed while it was paused is not made up for.
    /// - `an_ended_schedule_stays_ended`: and the state is named.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn act_on_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        action: ScheduleAction,
    ) -> Result<ScheduleOutcome, StoreError>;

    /// What the scheduler has to do: active schedules whose next slot has come, the oldest first, and
    /// campaigns of runs whose audience is not frozen yet, which are draft or launching. Nothing while the
    /// store waits to be reconciled ([`Archive`](super::Archive)). Writes nothing.
    ///
    /// - `due_schedules_names_what_has_come`: and nothing of a paused or ended schedule.
    /// - `due_schedules_names_runs_to_launch`: until their audience is frozen, also after a reopen.
    /// - `due_schedules_says_when_the_next_one_comes`: the earliest `next_at` in the future.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn due_schedules(&self, scope: &AdminScope, limit: u32) -> Result<DueSchedules, StoreError>;

    /// Takes one schedule one step on, as [`rules::schedule`](crate::rules::schedule) says: a slot
    /// becomes a draft campaign, or slots are skipped. Written to the journal. Does nothing while the store
    /// waits to be reconciled.
    ///
    /// A slot whose campaign cannot be made, because another one has its name or a session is not
    /// the tenant's, is skipped. A campaign of this name and the same definition is the run's.
    ///
    /// - `run_schedule_makes_one_campaign_per_slot`: however often it is called.
    /// - `run_schedule_counts_the_validity_from_the_slot`: `valid_until` is the slot's instant and `valid_for`.
    /// - `run_schedule_skips_what_was_missed`: by its policy, and counts it.
    /// - `run_schedule_skips_a_taken_name`: and goes on with the next slot.
    /// - `run_schedule_ends_with_its_last_slot`: and then does nothing.
    /// - `run_schedule_writes_the_journal`: what was run, skipped and ended.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn run_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        fresh: CampaignId,
    ) -> Result<RunSchedule, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Schedules) = |_| {};

/// What became of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateSchedule {
    /// It is new.
    Created(Schedule),
    /// It was there, the same.
    Known(Schedule),
    /// The name belongs to another definition.
    Different(Schedule),
    /// A session is not the tenant's, or there is none.
    UnknownSession(Option<SessionId>),
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleOutcome {
    /// The schedule moved.
    Moved(Schedule),
    /// It was where the action leads already.
    Unchanged(Schedule),
    /// The action is not possible in its state.
    Illegal(Schedule),
    /// There is no such schedule.
    Missing,
}

impl RunSchedule {
    /// What the journal says of a step of a schedule; `None` where it made no run and skipped none.
    #[must_use]
    pub fn event(&self, schedule: ScheduleId) -> Option<EventBody> {
        match self {
            Self::Ran(ScheduleRun { slot, campaign, due_at: _, made_at: _ }) => {
                Some(EventBody::ScheduleRun { schedule, slot: *slot, campaign: *campaign })
            }
            Self::Skipped { first, slots, why } => {
                Some(EventBody::ScheduleSkipped { schedule, first: *first, slots: *slots, why: *why })
            }
            Self::Waits(_) | Self::Missing => None,
        }
    }
}

/// What the scheduler has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueSchedules {
    /// Schedules whose next slot has come, in order of that slot's instant, then by tenant and id.
    pub due: Vec<(TenantId, ScheduleId)>,
    /// Campaigns of runs to launch, by tenant and id.
    pub launch: Vec<(TenantId, CampaignId)>,
    /// When the next slot comes that is not due.
    pub next_at: Option<DateTime<Utc>>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunSchedule {
    /// A slot became a campaign.
    Ran(ScheduleRun),
    /// Slots became none.
    Skipped {
        /// The first of them.
        first: Slot,
        /// How many.
        slots: u64,
        /// Why.
        why: SkippedRun,
    },
    /// Nothing is due.
    Waits(ScheduleState),
    /// There is no such schedule.
    Missing,
}
