//! The room of recurring campaigns.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{
    CampaignId, EventBody, NewSchedule, Schedule, ScheduleAction, ScheduleId, ScheduleName, ScheduleRun,
    ScheduleState, SkippedRun, Slot, TenantId, micros,
};
use wa_core::port::store::{
    CreateCampaign, CreateSchedule, DueSchedules, RunSchedule, ScheduleOutcome, Schedules, StoreError,
};
use wa_core::port::{AdminScope, Scope};
use wa_core::rules::schedule::{self as rule, Step};

use super::archive;
use super::audience::create_campaign;
use super::codec::{at, id, int, json, named, opt_at, opt_micros, parsed, to_json, uint};
use super::error::{Fallible, Fault};
use super::numbers::session_of;
use super::reader::Snapshot;
use super::writer::Tx;
use super::{Durability, SqliteStore, page_size};
use crate::common::changes::Changes;

const COLUMNS: &str = "id, name, spec, state, next_number, next_civil, next_at, runs, skipped, created_at";

const DUE: &str = "SELECT tenant, id FROM schedule WHERE next_at <= ?1 \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = schedule.tenant AND t.held_since IS NULL) \
     ORDER BY next_at, tenant, id LIMIT ?2";
const NEXT: &str = "SELECT min(next_at) FROM schedule WHERE next_at > ?1 \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = schedule.tenant AND t.held_since IS NULL)";
const TO_LAUNCH: &str = "SELECT c.tenant, c.id FROM campaign c WHERE c.state IN ('draft', 'launching') \
     AND EXISTS (SELECT 1 FROM schedule_run r WHERE r.tenant = c.tenant AND r.campaign = c.id) \
     AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = c.tenant AND t.held_since IS NULL) \
     ORDER BY c.tenant, c.id LIMIT ?1";

#[cfg(test)]
pub(super) const HOT: &[&str] = &[DUE, NEXT, TO_LAUNCH];

#[async_trait]
impl Schedules for SqliteStore {
    async fn create_schedule(&self, scope: &Scope, new: &NewSchedule) -> Result<CreateSchedule, StoreError> {
        let (tenant, new) = (scope.tenant(), new.clone());
        self.write(Durability::Normal, move |tx| create(tx, tenant, &new)).await
    }

    async fn schedule(&self, scope: &Scope, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| by_id(snapshot.conn, tenant, id)).await
    }

    async fn schedule_named(
        &self,
        scope: &Scope,
        name: &ScheduleName,
    ) -> Result<Option<Schedule>, StoreError> {
        let (tenant, name) = (scope.tenant(), name.clone());
        self.read(move |snapshot| by_name(snapshot.conn, tenant, &name)).await
    }

    async fn all_schedules(
        &self,
        scope: &Scope,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<Schedule>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
            let mut statement = snapshot.conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM schedule WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
            ))?;
            let rows = statement.query_map(params![tenant.as_bytes(), after, page_size(limit)], schedule)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduleId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        let tenant = scope.tenant();
        self.read(move |snapshot| {
            let mut statement = snapshot.conn.prepare_cached(
                "SELECT number, civil, due_at, campaign, made_at FROM schedule_run \
                 WHERE tenant = ?1 AND schedule = ?2 AND number > ?3 ORDER BY number LIMIT ?4",
            )?;
            let key = params![tenant.as_bytes(), id.as_bytes(), int(after), page_size(limit)];
            Ok(statement.query_map(key, run_row)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn act_on_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        action: ScheduleAction,
    ) -> Result<ScheduleOutcome, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Full, move |tx| act(tx, tenant, id, action)).await
    }

    async fn due_schedules(&self, _scope: &AdminScope, limit: u32) -> Result<DueSchedules, StoreError> {
        self.read(move |snapshot| due(snapshot, limit)).await
    }

    async fn run_schedule(
        &self,
        scope: &Scope,
        id: ScheduleId,
        fresh: CampaignId,
    ) -> Result<RunSchedule, StoreError> {
        let tenant = scope.tenant();
        self.write(Durability::Normal, move |tx| run(tx, tenant, id, fresh)).await
    }
}

fn create(tx: &Tx<'_>, tenant: TenantId, new: &NewSchedule) -> Fallible<CreateSchedule> {
    if let Some(known) = by_name(tx.conn, tenant, &new.name)? {
        let stored = NewSchedule { id: known.id, name: known.name.clone(), spec: known.spec.clone() };
        let same = stored.definition() == new.definition();
        return Ok(if same { CreateSchedule::Known(known) } else { CreateSchedule::Different(known) });
    }
    if new.spec.sessions.is_empty() {
        return Ok(CreateSchedule::UnknownSession(None));
    }
    for session in &new.spec.sessions {
        if session_of(tx.conn, tenant, *session)?.is_none() {
            return Ok(CreateSchedule::UnknownSession(Some(*session)));
        }
    }
    let made = Schedule::start(new, rule::first(&new.spec.recurrence, tx.now), tx.now);
    tx.conn
        .prepare_cached(&format!(
            "INSERT INTO schedule (tenant, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        ))?
        .execute(params![
            tenant.as_bytes(),
            made.id.as_bytes(),
            made.name.as_str(),
            to_json(&made.spec)?,
            made.state.as_str(),
            made.next.map(|slot| int(slot.number)),
            made.next.map(|slot| slot.civil.to_string()),
            opt_micros(made.next_at),
            int(made.runs),
            int(made.skipped),
            micros(made.created_at)
        ])?;
    Ok(CreateSchedule::Created(made))
}

fn act(tx: &Tx<'_>, tenant: TenantId, id: ScheduleId, action: ScheduleAction) -> Fallible<ScheduleOutcome> {
    let Some(mut known) = by_id(tx.conn, tenant, id)? else { return Ok(ScheduleOutcome::Missing) };
    let Some(to) = rule::act(known.state, action) else { return Ok(ScheduleOutcome::Illegal(known)) };
    if to == known.state {
        return Ok(ScheduleOutcome::Unchanged(known));
    }
    let first = match to {
        ScheduleState::Active => rule::first(&known.spec.recurrence, tx.now),
        ScheduleState::Paused | ScheduleState::Ended => None,
    };
    known.go_on(to, first);
    store(tx, tenant, &known)?;
    tx.journal(tenant, EventBody::Schedule { schedule: id, state: known.state })?;
    Ok(ScheduleOutcome::Moved(known))
}

fn due(snapshot: &Snapshot<'_>, limit: u32) -> Fallible<DueSchedules> {
    let (conn, now) = (snapshot.conn, micros(snapshot.now));
    if archive::need(conn)?.is_some() {
        return Ok(DueSchedules::default());
    }
    let pair = |row: &Row<'_>| Ok((id(row, 0)?, id(row, 1)?));
    let due = conn
        .prepare_cached(DUE)?
        .query_map(params![now, page_size(limit)], pair)?
        .collect::<rusqlite::Result<_>>()?;
    let pair = |row: &Row<'_>| Ok((id(row, 0)?, id(row, 1)?));
    let launch = conn
        .prepare_cached(TO_LAUNCH)?
        .query_map(params![page_size(limit)], pair)?
        .collect::<rusqlite::Result<_>>()?;
    let next_at = conn.prepare_cached(NEXT)?.query_row(params![now], |row| opt_at(row, 0))?;
    Ok(DueSchedules { due, launch, next_at })
}

fn run(tx: &Tx<'_>, tenant: TenantId, id: ScheduleId, fresh: CampaignId) -> Fallible<RunSchedule> {
    let Some(mut known) = by_id(tx.conn, tenant, id)? else { return Ok(RunSchedule::Missing) };
    if archive::need(tx.conn)?.is_some() || archive::is_held(tx.conn, tenant)? {
        return Ok(RunSchedule::Waits(known.state));
    }
    let step = rule::step(&known, tx.now);
    if let Step::Run { slot, due_at: _, next } = &step
        && let Some(run) = run_of(tx.conn, tenant, id, slot.number)?
    {
        // Paused and resumed in the instant of its slot, or by a clock that went back: it has run.
        known.go_on(ScheduleState::Active, *next);
        store(tx, tenant, &known)?;
        if known.state == ScheduleState::Ended {
            tx.journal(tenant, EventBody::Schedule { schedule: id, state: known.state })?;
        }
        return Ok(RunSchedule::Ran(run));
    }
    let (told, next) = match step {
        Step::Wait => return Ok(RunSchedule::Waits(known.state)),
        Step::End => (RunSchedule::Waits(ScheduleState::Ended), None),
        Step::Skip { first, slots, next } => {
            (RunSchedule::Skipped { first, slots, why: SkippedRun::Missed }, next)
        }
        Step::Run { slot, due_at, next } => (make(tx, tenant, &known, slot, due_at, fresh)?, next),
    };
    let mut changes = Changes::default();
    match &told {
        RunSchedule::Ran(run) => {
            known.runs += 1;
            record(tx, tenant, id, run)?;
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
    store(tx, tenant, &known)?;
    tx.write(changes)?;
    Ok(told)
}

/// Leaves out the slots that have come, of every tenant.
pub(super) fn pass_over(tx: &Tx<'_>, only: Option<TenantId>) -> Fallible<()> {
    let mut passed: Vec<(TenantId, Schedule)> = tx
        .conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, tenant FROM schedule WHERE state = 'active' AND next_at < ?1 \
             AND (?2 IS NULL OR tenant = ?2) \
             AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = schedule.tenant) ORDER BY tenant, id"
        ))?
        .query_map(params![micros(tx.now), only.as_ref().map(|of| of.as_bytes())], |row| {
            Ok((id(row, 10)?, schedule(row)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (tenant, known) in &mut passed {
        known.go_on(ScheduleState::Active, rule::first(&known.spec.recurrence, tx.now));
        store(tx, *tenant, known)?;
        if known.state == ScheduleState::Ended {
            tx.journal(*tenant, EventBody::Schedule { schedule: known.id, state: known.state })?;
        }
    }
    Ok(())
}

/// The run of a slot, if it was made.
fn run_of(
    conn: &Connection,
    tenant: TenantId,
    schedule: ScheduleId,
    number: u64,
) -> Fallible<Option<ScheduleRun>> {
    let found = conn
        .prepare_cached(
            "SELECT number, civil, due_at, campaign, made_at FROM schedule_run \
             WHERE tenant = ?1 AND schedule = ?2 AND number = ?3",
        )?
        .query_row(params![tenant.as_bytes(), schedule.as_bytes(), int(number)], run_row)
        .optional()?;
    Ok(found)
}

/// Makes the campaign of a slot.
fn make(
    tx: &Tx<'_>,
    tenant: TenantId,
    schedule: &Schedule,
    slot: Slot,
    due_at: DateTime<Utc>,
    fresh: CampaignId,
) -> Fallible<RunSchedule> {
    let new = schedule.campaign(fresh, &slot, due_at);
    let new = new.map_err(|_| Fault::Broken("a schedule's name is too long"))?;
    let skipped = |why| RunSchedule::Skipped { first: slot, slots: 1, why };
    Ok(match create_campaign(tx, tenant, &new)? {
        CreateCampaign::Created(campaign) | CreateCampaign::Known(campaign) => {
            RunSchedule::Ran(ScheduleRun { slot, due_at, campaign: campaign.id, made_at: tx.now })
        }
        CreateCampaign::Different(_) => skipped(SkippedRun::NameTaken),
        CreateCampaign::UnknownSession(_) => skipped(SkippedRun::NoSession),
    })
}

fn record(tx: &Tx<'_>, tenant: TenantId, schedule: ScheduleId, run: &ScheduleRun) -> Fallible<()> {
    let ScheduleRun { slot, due_at, campaign, made_at } = run;
    tx.conn
        .prepare_cached(
            "INSERT INTO schedule_run (tenant, schedule, number, civil, due_at, campaign, made_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            tenant.as_bytes(),
            schedule.as_bytes(),
            int(slot.number),
            slot.civil.to_string(),
            micros(*due_at),
            campaign.as_bytes(),
            micros(*made_at)
        ])?;
    Ok(())
}

/// Writes what changes of a schedule.
fn store(tx: &Tx<'_>, tenant: TenantId, schedule: &Schedule) -> Fallible<()> {
    let Schedule { id, name: _, spec: _, state, next, next_at, runs, skipped, created_at: _ } = schedule;
    tx.conn
        .prepare_cached(
            "UPDATE schedule SET state = ?3, next_number = ?4, next_civil = ?5, next_at = ?6, runs = ?7, \
             skipped = ?8 WHERE tenant = ?1 AND id = ?2",
        )?
        .execute(params![
            tenant.as_bytes(),
            id.as_bytes(),
            state.as_str(),
            next.map(|slot| int(slot.number)),
            next.map(|slot| slot.civil.to_string()),
            opt_micros(*next_at),
            int(*runs),
            int(*skipped)
        ])?;
    Ok(())
}

fn by_id(conn: &Connection, tenant: TenantId, id: ScheduleId) -> Fallible<Option<Schedule>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM schedule WHERE tenant = ?1 AND id = ?2"))?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], schedule)
        .optional()?;
    Ok(found)
}

fn by_name(conn: &Connection, tenant: TenantId, name: &ScheduleName) -> Fallible<Option<Schedule>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM schedule WHERE tenant = ?1 AND name = ?2"))?
        .query_row(params![tenant.as_bytes(), name.as_str()], schedule)
        .optional()?;
    Ok(found)
}

fn schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    let next = match row.get_ref(4)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(Slot { number: uint(row, 4)?, civil: parsed(row, 5)? }),
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

fn run_row(row: &Row<'_>) -> rusqlite::Result<ScheduleRun> {
    Ok(ScheduleRun {
        slot: Slot { number: uint(row, 0)?, civil: parsed(row, 1)? },
        due_at: at(row, 2)?,
        campaign: id(row, 3)?,
        made_at: at(row, 4)?,
    })
}
