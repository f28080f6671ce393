//! The calls of a script on schedules.

use std::time::Duration;

use chrono::TimeDelta;
use wa_core::model::{
    CampaignContent, CampaignId, CivilDateTime, Lane, MissedRuns, NewSchedule, Recurrence, Repeat,
    ScheduleAction, ScheduleId, ScheduleSpec, TenantId, TimeZone,
};
use wa_core::port::store::{CreateSchedule, RunSchedule, ScheduleOutcome};
use wa_core::testing::scope;

use super::script::{Script, Step};
use super::stores::every;
use crate::world::admin;

impl Script {
    fn recurrence(&self) -> Recurrence {
        let zones = ["UTC", "Asia/Kolkata", "America/New_York"];
        let zone: TimeZone = self.pick(&zones).expect("three").parse().expect("a zone");
        let start = self.now() - TimeDelta::days(i64::try_from(self.roll(3)).expect("small"));
        let first = CivilDateTime::at(start + TimeDelta::seconds(70), &zone);
        let every = u16::try_from(1 + self.roll(2)).expect("small");
        let repeat = match self.roll(4) {
            0 => Repeat::Weeks {
                every: 1,
                on: [chrono::Datelike::weekday(&first.date())].into_iter().collect(),
            },
            _ => Repeat::Days { every },
        };
        let recurrence = Recurrence::new(repeat, first, zone);
        if self.percent(30) { recurrence.times(3) } else { recurrence }
    }

    async fn create_schedule(&mut self) -> Step {
        let (session, tenant) = self.session();
        let scope = self.scope_of(tenant);
        let hours = |n: u64| Duration::from_secs(n * 3_600);
        let missed = [
            MissedRuns::Skip,
            MissedRuns::RunLatest { within: hours(30) },
            MissedRuns::RunAll { within: hours(60) },
        ];
        let new = NewSchedule {
            id: ScheduleId::from_uuid(self.uuid()),
            name: format!("schedule {}", self.roll(30)).parse().expect("a name"),
            spec: ScheduleSpec {
                content: CampaignContent::new(self.content("{{name}}")),
                fallback: None,
                list: self.list(),
                sessions: vec![session],
                lane: Lane::Bulk,
                valid_for: self.percent(30).then_some(hours(1)),
                rate: self.percent(20).then_some(5),
                budget: None,
                in_doubt: self.doubt_policy(),
                recurrence: self.recurrence(),
                missed: *self.pick(&missed).expect("three"),
            },
        };
        let made = every!(self.stores, s => s.schedules().create_schedule(&scope, &new));
        if let Ok(CreateSchedule::Created(schedule)) = &made {
            self.schedules.push((scope.tenant(), schedule.id));
        }
        let good = matches!(made, Ok(CreateSchedule::Created(_) | CreateSchedule::Known(_)));
        self.tell("create_schedule", good, (scope, made));
        Ok(())
    }

    fn known_schedule(&self) -> (TenantId, ScheduleId) {
        let known = self.pick_late(&self.schedules).copied().filter(|_| self.percent(96));
        known.unwrap_or((self.tenant(), ScheduleId::from_uuid(uuid::Uuid::from_u128(7))))
    }

    async fn run_schedule(&mut self) -> Step {
        let mut found = every!(self.stores, s => s.schedules().due_schedules(&admin(), 100)).expect("a page");
        if found.due.is_empty() && self.percent(85) {
            self.create_schedule().await?;
            self.stores.clock.advance(Duration::from_secs(75));
            found = every!(self.stores, s => s.schedules().due_schedules(&admin(), 100)).expect("a page");
        }
        let due = self.pick(&found.due).copied().filter(|_| self.percent(90));
        let (tenant, id) = due.unwrap_or_else(|| self.known_schedule());
        let scope = self.scope_of(tenant);
        let fresh = CampaignId::from_uuid(self.uuid());
        let ran = every!(self.stores, s => s.schedules().run_schedule(&scope, id, fresh));
        if let Ok(RunSchedule::Ran(run)) = &ran
            && !self.campaigns.contains(&(tenant, run.campaign))
        {
            self.campaigns.push((tenant, run.campaign));
        }
        let good = matches!(ran, Ok(RunSchedule::Ran(_) | RunSchedule::Skipped { .. }));
        self.tell("run_schedule", good, (id, ran));
        Ok(())
    }

    pub(super) async fn schedules(&mut self) -> Step {
        if self.schedules.is_empty() {
            self.create_schedule().await?;
        }
        let (tenant, id) = self.known_schedule();
        let scope = self.scope_of(tenant);
        match self.roll(14) {
            0..=3 => self.create_schedule().await?,
            4..=7 => self.run_schedule().await?,
            8 => {
                let action = match self.roll(8) {
                    0 => ScheduleAction::End,
                    1..=3 => ScheduleAction::Pause,
                    _ => ScheduleAction::Resume,
                };
                let acted = every!(self.stores, s => s.schedules().act_on_schedule(&scope, id, action));
                let good = matches!(acted, Ok(ScheduleOutcome::Moved(_) | ScheduleOutcome::Unchanged(_)));
                self.tell("act_on_schedule", good, (id, action, acted));
            }
            9 => {
                let found = every!(self.stores, s => s.schedules().schedule(&scope, id));
                self.tell("schedule", found.is_ok_and(|it| it.is_some()), id);
            }
            10 => {
                let of = scope::tenant(tenant);
                let known = every!(self.stores, s => s.schedules().schedule(&of, id)).ok().flatten();
                let name = known.map_or_else(|| "nobody's".parse().expect("a name"), |it| it.name);
                let found = every!(self.stores, s => s.schedules().schedule_named(&scope, &name));
                self.tell("schedule_named", found.is_ok_and(|it| it.is_some()), name);
            }
            11 => {
                let (after, limit) = (self.percent(30).then_some(id), self.limit());
                let page = every!(self.stores, s => s.schedules().all_schedules(&scope, after, limit));
                self.tell("all_schedules", page.is_ok_and(|it| !it.is_empty()), after);
            }
            12 => {
                let (after, limit) = (self.roll(2), self.limit());
                let page = every!(self.stores, s => s.schedules().schedule_runs(&scope, id, after, limit));
                self.tell("schedule_runs", page.is_ok(), id);
            }
            _ => {
                let limit = self.limit();
                let found = every!(self.stores, s => s.schedules().due_schedules(&admin(), limit));
                self.tell("due_schedules", found.is_ok(), found);
            }
        }
        Ok(())
    }

    /// Reads a tenant's schedules and their runs back.
    pub(super) async fn compare_schedules(&self, tenant: TenantId) -> Step {
        let (stores, of) = (&self.stores, scope::tenant(tenant));
        let all = every!(stores, s => s.schedules().all_schedules(&of, None, 1_000)).expect("schedules");
        for schedule in all {
            every!(stores, s => s.schedules().schedule_runs(&of, schedule.id, 0, 1_000)).expect("runs");
        }
        every!(stores, s => s.schedules().due_schedules(&admin(), 1_000)).expect("what is due");
        Ok(())
    }
}
