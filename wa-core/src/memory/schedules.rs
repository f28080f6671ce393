//! The room of recurring campaigns.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::audience::create_campaign;
use super::flaws::flawed;
use super::journal::Entries;
use super::state::TenantRow;
use super::{MemoryStore, behind, id_taken, page};
use crate::model::{
    CampaignId, CampaignState, EventBody, NewSchedule, Schedule, ScheduleAction, ScheduleId, ScheduleName,
    ScheduleRun, ScheduleState, SkippedRun, Slot,
};
use crate::port::store::{
    CreateCampaign, CreateSchedule, DueSchedules, RunSchedule, ScheduleOutcome, Schedules, StoreError,
    StoreErrorKind,
};
use crate::port::{AdminScope, Scope};
use crate::rules::schedule::{self, Step};

#[async_trait]
impl Schedules for MemoryStore {
    async fn create_schedule(&self, scope: &Scope, new: &NewSchedule) -> Result<CreateSchedule, StoreError> {
        self.write(|state, now| {
            let unknown = |session| Ok(CreateSchedule::UnknownSession(session));
            let sessions = &new.spec.sessions;
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else {
                return unknown(sessions.first().copied());
            };
            if let Some(known) = named(tenant, &new.name) {
                let definition =
                    NewSchedule { id: known.id, name: known.name.clone(), spec: known.spec.clone() };
                let same = definition.definition() == new.definition();
                let known = known.clone();
                flawed!(tenant, AnswersWithANewScheduleId => {
                    if same {
                        return Ok(CreateSchedule::Known(Schedule { id: new.id, ..known }));
                    }
                });
                return Ok(if same || flawed!(tenant, TakesAnotherSchedule) {
                    CreateSchedule::Known(known)
                } else {
                    CreateSchedule::Different(known)
                });
            }
            let foreign = sessions.iter().find(|session| !tenant.sessions.contains_key(session));
            if (foreign.is_some() && !flawed!(tenant, SchedulesOnAForeignSession)) || sessions.is_empty() {
                return unknown(foreign.copied());
            }
            if tenant.schedules.contains_key(&new.id) {
                return Err(id_taken("schedule"));
            }
            let from =
                flawed!(tenant, LeavesTheFirstSlotOut => now + chrono::TimeDelta::microseconds(1), now);
            let made = Schedule::start(new, schedule::first(&new.spec.recurrence, from), now);
            tenant.schedules.insert(new.id, made.clone());
            Ok(CreateSchedule::Created(made))
        })
    }

    async fn schedule(&self, scope: &Scope, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        Ok(self.read(|state, _| state.tenants.get(&scope.tenant())?.schedules.get(&id).cloned()))
    }

    async fn schedule_named(
        &self,
        scope: &Scope,
        name: &ScheduleName,
    ) -> Result<Option<Schedule>, StoreError> {
        Ok(self.read(|state, _| named(state.tenants.get(&scope.tenant())?, name).cloned()))
    }

    async fn all_schedules(
        &self,
        scope: &Scope,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<Schedule>, StoreError> {
        Ok(self.read(|state, _| {
            let keys = flawed!(state, RepeatsASchedule => super::from(after), behind(after));
            let rows = state.tenants.get(&scope.tenant()).map(|row| row.schedules.range(keys));
            page(rows.into_iter().flatten().map(|(_, it)| it.clone()), limit)
        }))
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduleId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        Ok(self.read(|state, _| {
            let runs = state.tenants.get(&scope.tenant()).map(|row| row.schedule_runs.iter());
            let own = runs.into_iter().flatten().filter(|((of, number), _)| {
                *number > after && (*of == id || flawed!(state, ShowsTheRunsOfAllSchedules))
            });
            page(own.map(|(_, run)| run.clone()), limit)
        }))
    }

    async fn act_on_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        action: ScheduleAction,
    ) -> Result<ScheduleOutcome, StoreError> {
        Ok(self.write(|state, now| {
            let tenant = state.tenants.get_mut(&scope.tenant());
            let Some(known) = tenant.and_then(|tenant| tenant.schedules.get_mut(&id)) else {
                return ScheduleOutcome::Missing;
            };
            let to = schedule::act(known.state, action);
            let to = flawed!(state, ResumesAnEndedSchedule => to.or(Some(ScheduleState::Active)), to);
            let Some(to) = to else {
                return ScheduleOutcome::Illegal(known.clone());
            };
            if to == known.state {
                return ScheduleOutcome::Unchanged(known.clone());
            }
            let first = match to {
                ScheduleState::Active => {
                    let from = flawed!(state, MakesUpForAPause => known.created_at, now);
                    schedule::first(&known.spec.recurrence, from)
                }
                ScheduleState::Paused | ScheduleState::Ended => None,
            };
            known.go_on(to, first);
            let moved = known.clone();
            let mut entries = Entries::default();
            entries.note(scope.tenant(), EventBody::Schedule { schedule: id, state: moved.state });
            state.enter(entries, now);
            ScheduleOutcome::Moved(moved)
        }))
    }

    async fn due_schedules(&self, _: &AdminScope, limit: u32) -> Result<DueSchedules, StoreError> {
        Ok(self.read(|state, now| {
            if state.awaits.is_some() && !flawed!(state, NamesSchedulesAfterARestore) {
                return DueSchedules::default();
            }
            let (mut due, mut launch, mut next_at) = (Vec::new(), Vec::new(), None);
            for (id, tenant) in state.tenants.iter().filter(|(id, _)| !state.held.contains_key(id)) {
                for it in tenant.schedules.values() {
                    match it.next_at {
                        Some(at) if at <= now && !(at == now && flawed!(state, NamesADueScheduleLate)) => {
                            due.push((at, *id, it.id));
                        }
                        later => {
                            let all = next_at.into_iter().chain(later);
                            next_at = flawed!(state, NamesTheLastSlotAsNext => all.max(), all.min());
                        }
                    }
                }
                let made =
                    tenant.schedule_runs.values().filter_map(|run| tenant.campaigns.get(&run.campaign));
                let open = made.filter(|row| {
                    row.campaign.state == CampaignState::Draft
                        || (row.campaign.state == CampaignState::Launching
                            && !flawed!(state, ForgetsAHalfLaunchedRun))
                });
                launch.extend(open.map(|row| (*id, row.campaign.id)));
            }
            due.sort_unstable();
            launch.sort_unstable();
            DueSchedules {
                due: page(due.into_iter().map(|(_, tenant, id)| (tenant, id)), limit),
                launch: page(launch.into_iter(), limit),
                next_at,
            }
        }))
    }

    async fn run_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        fresh: CampaignId,
    ) -> Result<RunSchedule, StoreError> {
        self.write(|state, now| {
            let mut entries = Entries::default();
            let waits = (state.awaits.is_some() && !flawed!(state, RunsSchedulesAfterARestore))
                || state.held.contains_key(&scope.tenant());
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else {
                return Ok(RunSchedule::Missing);
            };
            if waits {
                let known = tenant.schedules.get(&id);
                return Ok(known.map_or(RunSchedule::Missing, |known| RunSchedule::Waits(known.state)));
            }
            let ran = run(tenant, id, fresh, now, &mut entries)?;
            state.enter(entries, now);
            Ok(ran)
        })
    }
}

fn named<'a>(tenant: &'a TenantRow, name: &ScheduleName) -> Option<&'a Schedule> {
    tenant.schedules.values().find(|schedule| schedule.name == *name)
}

/// Takes one schedule one step on.
fn run(
    tenant: &mut TenantRow,
    id: ScheduleId,
    fresh: CampaignId,
    now: DateTime<Utc>,
    entries: &mut Entries,
) -> Result<RunSchedule, StoreError> {
    let owner = tenant.tenant.id;
    let Some(mut known) = tenant.schedules.get(&id).cloned() else { return Ok(RunSchedule::Missing) };
    let step = schedule::step(&known, now);
    if let Step::Run { slot, due_at: _, next } = &step
        && !flawed!(tenant, RunsASlotAgain)
        && let Some(run) = tenant.schedule_runs.get(&(id, slot.number)).cloned()
    {
        // Paused and resumed in the instant of its slot, or by a clock that went back: it has run.
        known.go_on(ScheduleState::Active, *next);
        if known.state == ScheduleState::Ended {
            entries.note(owner, EventBody::Schedule { schedule: id, state: known.state });
        }
        tenant.schedules.insert(id, known);
        return Ok(RunSchedule::Ran(run));
    }
    let (told, next) = match step {
        Step::Wait => return Ok(RunSchedule::Waits(known.state)),
        Step::End => (RunSchedule::Waits(ScheduleState::Ended), None),
        Step::Skip { first, slots, next } => (skipped(first, slots, SkippedRun::Missed), next),
        Step::Run { slot, due_at, next } => {
            let new = known.campaign(fresh, &slot, due_at).map_err(|error| {
                StoreError::new(
                    StoreErrorKind::Broken,
                    "a schedule's name is too long",
                    Some(Box::new(error)),
                )
            })?;
            let told = match create_campaign(tenant, &new, now)? {
                CreateCampaign::Created(campaign) | CreateCampaign::Known(campaign) => {
                    RunSchedule::Ran(ScheduleRun { slot, due_at, campaign: campaign.id, made_at: now })
                }
                CreateCampaign::Different(_) => {
                    flawed!(tenant, WaitsForATakenName => { return Ok(skipped(slot, 1, SkippedRun::NameTaken)); });
                    skipped(slot, 1, SkippedRun::NameTaken)
                }
                CreateCampaign::UnknownSession(_) => skipped(slot, 1, SkippedRun::NoSession),
            };
            (told, next)
        }
    };
    match &told {
        RunSchedule::Ran(run) => {
            known.runs += 1;
            tenant.schedule_runs.insert((id, run.slot.number), run.clone());
        }
        RunSchedule::Skipped { slots, .. } => {
            known.skipped += flawed!(tenant, CountsSkippedSlotsOnce => &1, slots)
        }
        RunSchedule::Waits(_) | RunSchedule::Missing => {}
    }
    let is_told = !flawed!(tenant, SkipsASlotSilently) || !matches!(told, RunSchedule::Skipped { .. });
    if let Some(event) = told.event(id).filter(|_| is_told) {
        entries.note(owner, event);
    }
    known.go_on(ScheduleState::Active, next);
    if known.state == ScheduleState::Ended {
        entries.note(owner, EventBody::Schedule { schedule: id, state: known.state });
    }
    tenant.schedules.insert(id, known);
    Ok(told)
}

fn skipped(first: Slot, slots: u64, why: SkippedRun) -> RunSchedule {
    RunSchedule::Skipped { first, slots, why }
}
