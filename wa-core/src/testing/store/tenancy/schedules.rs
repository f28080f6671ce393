//! A stranger at the room of recurring campaigns.

use async_trait::async_trait;

use super::{Answer, Trespassing};
use crate::model::{
    CampaignId, NewSchedule, Schedule, ScheduleAction, ScheduleId, ScheduleName, ScheduleRun,
};
use crate::port::store::{CreateSchedule, DueSchedules, RunSchedule, ScheduleOutcome, Schedules};
use crate::port::{AdminScope, Scope};

#[async_trait]
impl Schedules for Trespassing {
    async fn create_schedule(&self, scope: &Scope, new: &NewSchedule) -> Answer<CreateSchedule> {
        let told = self.store.schedules().create_schedule(&self.stranger, new).await;
        let first = new.spec.sessions.first().copied();
        self.refused("create_schedule", told, &CreateSchedule::UnknownSession(first));
        self.store.schedules().create_schedule(scope, new).await
    }

    async fn schedule(&self, scope: &Scope, id: ScheduleId) -> Answer<Option<Schedule>> {
        self.refused("schedule", self.store.schedules().schedule(&self.stranger, id).await, &None);
        self.store.schedules().schedule(scope, id).await
    }

    async fn schedule_named(&self, scope: &Scope, name: &ScheduleName) -> Answer<Option<Schedule>> {
        self.refused(
            "schedule_named",
            self.store.schedules().schedule_named(&self.stranger, name).await,
            &None,
        );
        self.store.schedules().schedule_named(scope, name).await
    }

    async fn all_schedules(
        &self,
        scope: &Scope,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Answer<Vec<Schedule>> {
        let told = self.store.schedules().all_schedules(&self.stranger, after, limit).await;
        self.refused("all_schedules", told, &vec![]);
        self.store.schedules().all_schedules(scope, after, limit).await
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduleId,
        after: u64,
        limit: u32,
    ) -> Answer<Vec<ScheduleRun>> {
        let told = self.store.schedules().schedule_runs(&self.stranger, id, after, limit).await;
        self.refused("schedule_runs", told, &vec![]);
        self.store.schedules().schedule_runs(scope, id, after, limit).await
    }

    async fn act_on_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        action: ScheduleAction,
    ) -> Answer<ScheduleOutcome> {
        for action in [ScheduleAction::End, ScheduleAction::Pause, ScheduleAction::Resume] {
            let told = self.store.schedules().act_on_schedule(&self.stranger, id, action).await;
            self.refused("act_on_schedule", told, &ScheduleOutcome::Missing);
        }
        self.store.schedules().act_on_schedule(scope, id, action).await
    }

    async fn due_schedules(&self, scope: &AdminScope, limit: u32) -> Answer<DueSchedules> {
        self.store.schedules().due_schedules(scope, limit).await
    }

    async fn run_schedule(&self, scope: &Scope, id: ScheduleId, fresh: CampaignId) -> Answer<RunSchedule> {
        let told = self.store.schedules().run_schedule(&self.stranger, id, fresh).await;
        self.refused("run_schedule", told, &RunSchedule::Missing);
        self.store.schedules().run_schedule(scope, id, fresh).await
    }
}
