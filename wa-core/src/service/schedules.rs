//! The recurring campaigns of a tenant.

use chrono::{DateTime, Utc};

use super::error::KitError;
use super::tenant::TenantHandle;
use crate::model::{
    CampaignContent, Content, Lane, ListName, MissedRuns, NewSchedule, Recurrence, Schedule, ScheduleAction,
    ScheduleId, ScheduleName, ScheduleRun, ScheduleSpec, SessionId,
};
use crate::port::store::{CreateSchedule, ScheduleOutcome};
use crate::rules::schedule;

/// The recurring campaigns of one tenant. A running engine makes and launches a campaign at each slot.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, Number}, testing::{ManualClock, ScriptedTransport}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(ManualClock::new("2026-03-26T12:00:00Z".parse()?));
/// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// # let store = Arc::new(MemoryStore::new(clock.clone()));
/// # let kit = Kit::builder(store).clock(clock).transport("cloud", transport).build().await?;
/// use wa_core::model::{Content, Recurrence, Repeat, ScheduleState};
/// use wa_core::service::NewRecurring;
///
/// let tenant = kit.tenants().ensure("acme").await?;
/// let session = tenant.sessions().add(&Number::cloud("100")).await?;
/// let daily = Recurrence::new(
///     Repeat::Days { every: 1 },
///     "2026-03-28 09:00".parse()?,
///     "Europe/Berlin".parse()?,
/// );
/// let content = Content::text("Good morning, {{name}}")?;
/// let new = NewRecurring::new("morning".parse()?, "news".parse()?, content, vec![session.id], daily);
/// let schedule = tenant.schedules().create(new).await?;
/// assert_eq!(schedule.state, ScheduleState::Active);
///
/// // The clocks go forward on the 29th; nine o'clock stays nine o'clock.
/// let next = tenant.schedules().preview(schedule.id, 2).await?;
/// assert_eq!(next[0].to_rfc3339(), "2026-03-28T08:00:00+00:00");
/// assert_eq!(next[1].to_rfc3339(), "2026-03-29T07:00:00+00:00");
/// assert_eq!(tenant.schedules().pause(schedule.id).await?.state, ScheduleState::Paused);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Schedules<'a> {
    tenant: &'a TenantHandle,
}

/// A recurring campaign to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecurring {
    /// Its name, unique per tenant. Its campaigns are named after it and their slot.
    pub name: ScheduleName,
    /// What it does at each slot.
    pub spec: ScheduleSpec,
}

impl NewRecurring {
    /// A bulk campaign at each slot, valid for a day; the latest missed run is made up for within an hour.
    #[must_use]
    pub fn new(
        name: ScheduleName,
        list: ListName,
        content: Content,
        sessions: Vec<SessionId>,
        recurrence: Recurrence,
    ) -> Self {
        let spec = ScheduleSpec {
            content: CampaignContent::new(content),
            fallback: None,
            list,
            sessions,
            lane: Lane::Bulk,
            valid_for: Some(std::time::Duration::from_secs(86_400)),
            rate: None,
            budget: None,
            in_doubt: None,
            recurrence,
            missed: MissedRuns::default(),
        };
        Self { name, spec }
    }
}

impl<'a> Schedules<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// Creates a schedule, or finds the same one again by name. It is active from its first slot that
    /// is not past.
    ///
    /// # Errors
    /// When it is out of range, the name belongs to another definition, a session is unknown, or the
    /// store fails.
    pub async fn create(self, new: NewRecurring) -> Result<Schedule, KitError> {
        let inner = &self.tenant.kit.inner;
        let NewRecurring { name, spec } = new;
        spec.validate()?;
        let id = ScheduleId::mint(inner.ports.clock.now(), inner.ports.draw());
        let new = NewSchedule { id, name, spec };
        match inner.ports.store.schedules().create_schedule(&self.tenant.scope, &new).await? {
            CreateSchedule::Created(schedule) | CreateSchedule::Known(schedule) => {
                inner.work.raise();
                Ok(schedule)
            }
            CreateSchedule::Different(_) => Err(KitError::ScheduleTaken(new.name)),
            CreateSchedule::UnknownSession(session) => Err(KitError::NoSession(session)),
        }
    }

    /// One schedule.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn get(self, id: ScheduleId) -> Result<Schedule, KitError> {
        let found = self.tenant.kit.store().schedules().schedule(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoSchedule)
    }

    /// The schedule of this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(self, name: &ScheduleName) -> Result<Option<Schedule>, KitError> {
        Ok(self.tenant.kit.store().schedules().schedule_named(&self.tenant.scope, name).await?)
    }

    /// The schedules in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(self, after: Option<ScheduleId>, limit: u32) -> Result<Vec<Schedule>, KitError> {
        Ok(self.tenant.kit.store().schedules().all_schedules(&self.tenant.scope, after, limit).await?)
    }

    /// The campaigns that a schedule has made, in order of their slots; `after` is a slot's number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs(self, id: ScheduleId, after: u64, limit: u32) -> Result<Vec<ScheduleRun>, KitError> {
        Ok(self.tenant.kit.store().schedules().schedule_runs(&self.tenant.scope, id, after, limit).await?)
    }

    /// Makes no more campaigns until resumed; those that are made go on.
    ///
    /// # Errors
    /// When it has ended, is unknown, or the store fails.
    pub async fn pause(self, id: ScheduleId) -> Result<Schedule, KitError> {
        self.act(id, ScheduleAction::Pause).await
    }

    /// Goes on with the next slot from now on.
    ///
    /// # Errors
    /// When it has ended, is unknown, or the store fails.
    pub async fn resume(self, id: ScheduleId) -> Result<Schedule, KitError> {
        self.act(id, ScheduleAction::Resume).await
    }

    /// Makes no more campaigns for ever; those that are made go on.
    ///
    /// # Errors
    /// When it is unknown or the store fails.
    pub async fn end(self, id: ScheduleId) -> Result<Schedule, KitError> {
        self.act(id, ScheduleAction::End).await
    }

    /// The next instants of a schedule, at most 1,000; of a paused one, if it were resumed now.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn preview(self, id: ScheduleId, most: usize) -> Result<Vec<DateTime<Utc>>, KitError> {
        let schedule = self.get(id).await?;
        Ok(schedule::upcoming(&schedule, self.tenant.kit.inner.ports.clock.now(), most.min(1_000)))
    }

    async fn act(self, id: ScheduleId, action: ScheduleAction) -> Result<Schedule, KitError> {
        let inner = &self.tenant.kit.inner;
        let outcome = inner.ports.store.schedules().act_on_schedule(&self.tenant.scope, id, action).await?;
        inner.work.raise();
        inner.journal.raise();
        match outcome {
            ScheduleOutcome::Moved(schedule) | ScheduleOutcome::Unchanged(schedule) => Ok(schedule),
            ScheduleOutcome::Illegal(_) => Err(KitError::ScheduleEnded(action)),
            ScheduleOutcome::Missing => Err(KitError::NoSchedule),
        }
    }
}
