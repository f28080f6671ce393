//! The room of recurring campaigns.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    CampaignId, EventBody, NewSchedule, Schedule, ScheduleAction, ScheduleId, ScheduleName, ScheduleRun,
    ScheduleState, SkippedRun, Slot, TenantId,
};
use wa_core::port::store::{
    CreateCampaign, CreateSchedule, DueSchedules, News, RunSchedule, ScheduleOutcome, Schedules, StoreError,
};
use wa_core::port::{AdminScope, Scope};
use wa_core::rules::schedule::{self as rule, Step};

use super::archive;
use super::audience::create_campaign;
use super::codec::{at, id, int, json, named, opt_at, opt_uint, parsed, to_json, ts, uint};
use super::error::{Fallible, Fault};
use super::numbers::session_of;
use super::tx::{Access, Locks, Tx};
use super::{PostgresStore, page_size};
use crate::common::changes::Changes;

const COLUMNS: &str = "id, name, spec, state, next_number, next_civil, next_at, runs, skipped, created_at";

const DUE: &str = "SELECT tenant, id FROM schedule WHERE next_at <= $1 \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = schedule.tenant AND t.held_since IS NULL) \
     ORDER BY next_at, tenant, id LIMIT $2";
const NEXT: &str = "SELECT min(next_at) FROM schedule WHERE next_at > $1 \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = schedule.tenant AND t.held_since IS NULL)";
const TO_LAUNCH: &str = "SELECT c.tenant, c.id FROM campaign c WHERE c.state IN ('draft', 'launching') \
     AND EXISTS (SELECT 1 FROM schedule_run r WHERE r.tenant = c.tenant AND r.campaign = c.id) \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = c.tenant AND t.held_since IS NULL) \
     ORDER BY c.tenant, c.id LIMIT $1";

#[async_trait]
impl Schedules for PostgresStore {
    async fn create_schedule(&self, scope: &Scope, new: &NewSchedule) -> Result<CreateSchedule, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = create(&mut tx, tenant, new).await;
        tx.end(done).await
    }

    async fn schedule(&self, scope: &Scope, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = by_id(tx.conn(), tenant, id).await;
        tx.close(found).await
    }

    async fn schedule_named(
        &self,
        scope: &Scope,
        name: &ScheduleName,
    ) -> Result<Option<Schedule>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = by_name(tx.conn(), tenant, name).await;
        tx.close(found).await
    }

    async fn all_schedules(
        &self,
        scope: &Scope,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<Schedule>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = page(tx.conn(), tenant, after, limit).await;
        tx.close(found).await
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduleId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.read(Access::Tenant(tenant)).await?;
        let found = runs(tx.conn(), tenant, id, after, limit).await;
        tx.close(found).await
    }

    async fn act_on_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        action: ScheduleAction,
    ) -> Result<ScheduleOutcome, StoreError> {
        let tenant = scope.tenant();
        let mut tx = self.write(Access::Tenant(tenant), Locks::tenant(&self.shared, tenant)).await?;
        let done = act(&mut tx, tenant, id, action).await;
        tx.end_telling(done, News::Work).await
    }

    async fn due_schedules(&self, _scope: &AdminScope, limit: u32) -> Result<DueSchedules, StoreError> {
        let mut tx = self.read(Access::Engine).await?;
        let found = due(&mut tx, limit).await;
        tx.close(found).await
    }

    async fn run_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        fresh: CampaignId,
    ) -> Result<RunSchedule, StoreError> {
        let tenant = scope.tenant();
        let locks = Locks::tenant(&self.shared, tenant).and_store(&self.shared);
        let mut tx = self.write(Access::Tenant(tenant), locks).await?;
        let done = run(&mut tx, tenant, id, fresh).await;
        tx.end_telling(done, News::Work).await
    }
}

async fn create(tx: &mut Tx, tenant: TenantId, new: &NewSchedule) -> Fallible<CreateSchedule> {
    if let Some(known) = by_name(tx.conn(), tenant, &new.name).await? {
        let stored = NewSchedule { id: known.id, name: known.name.clone(), spec: known.spec.clone() };
        let same = stored.definition() == new.definition();
        return Ok(if same { CreateSchedule::Known(known) } else { CreateSchedule::Different(known) });
    }
    if new.spec.sessions.is_empty() {
        return Ok(CreateSchedule::UnknownSession(None));
    }
    for session in &new.spec.sessions {
        if session_of(tx.conn(), tenant, *session).await?.is_none() {
            return Ok(CreateSchedule::UnknownSession(Some(*session)));
        }
    }
    let made = Schedule::start(new, rule::first(&new.spec.recurrence, tx.now), tx.now);
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO schedule (tenant, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )))
    .bind(tenant.as_uuid())
    .bind(made.id.as_uuid())
    .bind(made.name.as_str())
    .bind(to_json(&made.spec)?)
    .bind(made.state.as_str())
    .bind(made.next.map(|slot| int(slot.number)))
    .bind(made.next.map(|slot| slot.civil.to_string()))
    .bind(made.next_at.map(ts))
    .bind(int(made.runs))
    .bind(int(made.skipped))
    .bind(made.created_at)
    .execute(tx.conn())
    .await?;
    Ok(CreateSchedule::Created(made))
}

async fn act(
    tx: &mut Tx,
    tenant: TenantId,
    id: ScheduleId,
    action: ScheduleAction,
) -> Fallible<ScheduleOutcome> {
    let Some(mut known) = by_id(tx.conn(), tenant, id).await? else { return Ok(ScheduleOutcome::Missing) };
    let Some(to) = rule::act(known.state, action) else { return Ok(ScheduleOutcome::Illegal(known)) };
    if to == known.state {
        return Ok(ScheduleOutcome::Unchanged(known));
    }
    let first = match to {
        ScheduleState::Active => rule::first(&known.spec.recurrence, tx.now),
        ScheduleState::Paused | ScheduleState::Ended => None,
    };
    known.go_on(to, first);
    store(tx.conn(), tenant, &known).await?;
    tx.journal(tenant, EventBody::Schedule { schedule: id, state: known.state }).await?;
    Ok(ScheduleOutcome::Moved(known))
}

async fn due(tx: &mut Tx, limit: u32) -> Fallible<DueSchedules> {
    let now = tx.now;
    if archive::need(tx.conn()).await?.is_some() {
        return Ok(DueSchedules::default());
    }
    let due = sqlx::query(DUE)
        .bind(now)
        .bind(page_size(limit))
        .try_map(|row: PgRow| Ok((id(&row, 0)?, id(&row, 1)?)))
        .fetch_all(tx.conn())
        .await?;
    let launch = sqlx::query(TO_LAUNCH)
        .bind(page_size(limit))
        .try_map(|row: PgRow| Ok((id(&row, 0)?, id(&row, 1)?)))
        .fetch_all(tx.conn())
        .await?;
    let next_at = sqlx::query_scalar(NEXT).bind(now).fetch_one(tx.conn()).await?;
    Ok(DueSchedules { due, launch, next_at })
}

async fn run(tx: &mut Tx, tenant: TenantId, id: ScheduleId, fresh: CampaignId) -> Fallible<RunSchedule> {
    let Some(mut known) = by_id(tx.conn(), tenant, id).await? else { return Ok(RunSchedule::Missing) };
    if archive::need(tx.conn()).await?.is_some() || archive::is_held(tx.conn(), tenant).await? {
        return Ok(RunSchedule::Waits(known.state));
    }
    let step = rule::step(&known, tx.now);
    if let Step::Run { slot, due_at: _, next } = &step
        && let Some(run) = run_of(tx.conn(), tenant, id, slot.number).await?
    {
        // Paused and resumed in the instant of its slot, or by a clock that went back: it has run.
        known.go_on(ScheduleState::Active, *next);
        store(tx.conn(), tenant, &known).await?;
        if known.state == ScheduleState::Ended {
            tx.journal(tenant, EventBody::Schedule { schedule: id, state: known.state }).await?;
        }
        return Ok(RunSchedule::Ran(run));
    }
    let (told, next) = match step {
        Step::Wait => return Ok(RunSchedule::Waits(known.state)),
        Step::End => (RunSchedule::Waits(ScheduleState::Ended), None),
        Step::Skip { first, slots, next } => {
            (RunSchedule::Skipped { first, slots, why: SkippedRun::Missed }, next)
        }
        Step::Run { slot, due_at, next } => (make(tx, tenant, &known, slot, due_at, fresh).await?, next),
    };
    let mut changes = Changes::default();
    match &told {
        RunSchedule::Ran(run) => {
            known.runs += 1;
            record(tx.conn(), tenant, id, run).await?;
        }
        RunSchedule::Skipped { slots, .. } => known.skipped += slots,
        RunSchedule::Waits(_) | RunSchedule::Missing => {}
    }
    if let Some(event) = told.event(id) {
        changes.event(tenant, event);
    }
    known.go_on(ScheduleState::Active, next);
    if known.state == ScheduleState::Ended {
        changes.event(tenant, EventBody::Schedule { schedule: id, state: known.state });
    }
    store(tx.conn(), tenant, &known).await?;
    tx.write(changes).await?;
    Ok(told)
}

/// Leaves out the slots that have come, of every tenant.
pub(super) async fn pass_over(tx: &mut Tx, only: Option<TenantId>) -> Fallible<()> {
    let now = tx.now;
    let sql = format!(
        "SELECT {COLUMNS}, tenant FROM schedule WHERE state = 'active' AND next_at < $1 \
         AND ($2::uuid IS NULL OR tenant = $2) \
         AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = schedule.tenant) ORDER BY tenant, id FOR UPDATE"
    );
    let passed: Vec<(TenantId, Schedule)> = sqlx::query(AssertSqlSafe(sql))
        .bind(now)
        .bind(only.map(|of| of.as_uuid()))
        .try_map(|row: PgRow| Ok((id(&row, 10)?, schedule(&row)?)))
        .fetch_all(tx.conn())
        .await?;
    let mut changes = Changes::default();
    for (tenant, mut known) in passed {
        known.go_on(ScheduleState::Active, rule::first(&known.spec.recurrence, now));
        store(tx.conn(), tenant, &known).await?;
        if known.state == ScheduleState::Ended {
            changes.event(tenant, EventBody::Schedule { schedule: known.id, state: known.state });
        }
    }
    tx.write(changes).await
}

/// The run of a slot, if it was made.
async fn run_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    schedule: ScheduleId,
    number: u64,
) -> Fallible<Option<ScheduleRun>> {
    let found = sqlx::query(
        "SELECT number, civil, due_at, campaign, made_at FROM schedule_run \
         WHERE tenant = $1 AND schedule = $2 AND number = $3",
    )
    .bind(tenant.as_uuid())
    .bind(schedule.as_uuid())
    .bind(int(number))
    .try_map(|row: PgRow| run_row(&row))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// Makes the campaign of a slot.
async fn make(
    tx: &mut Tx,
    tenant: TenantId,
    schedule: &Schedule,
    slot: Slot,
    due_at: DateTime<Utc>,
    fresh: CampaignId,
) -> Fallible<RunSchedule> {
    let new = schedule.campaign(fresh, &slot, due_at);
    let new = new.map_err(|_| Fault::Broken("a schedule's name is too long"))?;
    let skipped = |why| RunSchedule::Skipped { first: slot, slots: 1, why };
    Ok(match create_campaign(tx, tenant, &new).await? {
        CreateCampaign::Created(campaign) | CreateCampaign::Known(campaign) => {
            RunSchedule::Ran(ScheduleRun { slot, due_at, campaign: campaign.id, made_at: tx.now })
        }
        CreateCampaign::Different(_) => skipped(SkippedRun::NameTaken),
        CreateCampaign::UnknownSession(_) => skipped(SkippedRun::NoSession),
    })
}

async fn record(
    conn: &mut PgConnection,
    tenant: TenantId,
    schedule: ScheduleId,
    run: &ScheduleRun,
) -> Fallible<()> {
    let ScheduleRun { slot, due_at, campaign, made_at } = run;
    sqlx::query(
        "INSERT INTO schedule_run (tenant, schedule, number, civil, due_at, campaign, made_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.as_uuid())
    .bind(schedule.as_uuid())
    .bind(int(slot.number))
    .bind(slot.civil.to_string())
    .bind(ts(*due_at))
    .bind(campaign.as_uuid())
    .bind(*made_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what changes of a schedule.
async fn store(conn: &mut PgConnection, tenant: TenantId, schedule: &Schedule) -> Fallible<()> {
    let Schedule { id, name: _, spec: _, state, next, next_at, runs, skipped, created_at: _ } = schedule;
    sqlx::query(
        "UPDATE schedule SET state = $3, next_number = $4, next_civil = $5, next_at = $6, runs = $7, \
         skipped = $8 WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(state.as_str())
    .bind(next.map(|slot| int(slot.number)))
    .bind(next.map(|slot| slot.civil.to_string()))
    .bind(next_at.map(ts))
    .bind(int(*runs))
    .bind(int(*skipped))
    .execute(conn)
    .await?;
    Ok(())
}

async fn by_id(conn: &mut PgConnection, tenant: TenantId, id: ScheduleId) -> Fallible<Option<Schedule>> {
    let found =
        sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM schedule WHERE tenant = $1 AND id = $2")))
            .bind(tenant.as_uuid())
            .bind(id.as_uuid())
            .try_map(|row: PgRow| schedule(&row))
            .fetch_optional(conn)
            .await?;
    Ok(found)
}

async fn by_name(
    conn: &mut PgConnection,
    tenant: TenantId,
    name: &ScheduleName,
) -> Fallible<Option<Schedule>> {
    let found =
        sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM schedule WHERE tenant = $1 AND name = $2")))
            .bind(tenant.as_uuid())
            .bind(name.as_str())
            .try_map(|row: PgRow| schedule(&row))
            .fetch_optional(conn)
            .await?;
    Ok(found)
}

async fn page(
    conn: &mut PgConnection,
    tenant: TenantId,
    after: Option<ScheduleId>,
    limit: u32,
) -> Fallible<Vec<Schedule>> {
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM schedule WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3"
    )))
    .bind(tenant.as_uuid())
    .bind(after.map_or(Uuid::nil(), |after| after.as_uuid()))
    .bind(page_size(limit))
    .try_map(|row: PgRow| schedule(&row))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

async fn runs(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: ScheduleId,
    after: u64,
    limit: u32,
) -> Fallible<Vec<ScheduleRun>> {
    let found = sqlx::query(
        "SELECT number, civil, due_at, campaign, made_at FROM schedule_run \
         WHERE tenant = $1 AND schedule = $2 AND number > $3 ORDER BY number LIMIT $4",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(int(after))
    .bind(page_size(limit))
    .try_map(|row: PgRow| run_row(&row))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

fn schedule(row: &PgRow) -> Result<Schedule, Error> {
    let next = match opt_uint(row, 4)? {
        None => None,
        Some(number) => Some(Slot { number, civil: parsed(row, 5)? }),
    };
    Ok(Schedule {
        id: id(row, 0)?,
        name: parsed(row, 1)?,
        spec: json(row, 2)?,
        state: named(row, 3, ScheduleState::from_name)?,
        next,
        next_at: opt_at(row, 6)?,
        runs: uint(row, 7)?,
        skipped: uint(row, 8)?,
        created_at: at(row, 9)?,
    })
}

fn run_row(row: &PgRow) -> Result<ScheduleRun, Error> {
    Ok(ScheduleRun {
        slot: Slot { number: uint(row, 0)?, civil: parsed(row, 1)? },
        due_at: at(row, 2)?,
        campaign: id(row, 3)?,
        made_at: at(row, 4)?,
    })
}
