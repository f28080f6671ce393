//! The room of sessions: numbers, leases, breakers.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::state::{AttemptRow, LeaseRow, State, TenantRow, WorkerRow};
use super::{MemoryStore, behind, id_taken, later, page};
use crate::model::{
    Breaker, BreakerScope, EventBody, Fact, NewSession, NumberId, Quality, Session, SessionId, SessionReport,
    SessionSetting, SessionSettings, SessionState, TemplateKey, TemplateRecord, TenantId, Throughput, Tier,
    TransportName, WorkerId,
};
use crate::port::store::{
    AcquireSessions, AddSession, Attendance, DispatchState, Lease, Numbers, Presence, RecentAttempt, Route,
    StoreError,
};
use crate::port::{AdminScope, Scope, WorkerScope};
use crate::rules::effects::Topic;
use crate::rules::judge;
use crate::rules::spread::Fellow;

/// The most attempts that `recent` gives.
const RECENT: usize = 100_000;

#[async_trait]
impl Numbers for MemoryStore {
    async fn add_session(&self, scope: &Scope, new: &NewSession) -> Result<AddSession, StoreError> {
        self.write(|state, now| {
            let id_is_taken = state.owner(new.id).is_some();
            flawed!(state, GivesANumberToOneTenant => {
                if let Some((owner, _)) = state.numbered(&new.transport, &new.number).next()
                    && owner != scope.tenant()
                {
                    return Ok(AddSession::OverPlan { limit: 0 });
                }
            });
            let Some(row) = state.tenants.get_mut(&scope.tenant()) else {
                return Ok(flawed!(state, AddsASessionToNobody => AddSession::OverPlan { limit: 0 }, AddSession::NoTenant));
            };
            let mut sessions = row.sessions.values_mut();
            let is_same = |it: &&mut Session| it.transport == new.transport && it.number == new.number;
            if let Some(known) = sessions.find(is_same) {
                if !flawed!(row, LearnsNoAccount) {
                    known.account = new.account.clone().or_else(|| known.account.take());
                }
                known.phone = new.phone.or(known.phone);
                flawed!(row, AnswersWithANewSessionId => {
                    return Ok(AddSession::Known(Session { id: new.id, ..known.clone() }));
                });
                return Ok(AddSession::Known(known.clone()));
            }
            let living = row.sessions.values().filter(|it| it.state != SessionState::Deleted).count();
            if let Some(limit) = row.entitlement.sessions
                && u32::try_from(living).unwrap_or(u32::MAX)
                    >= flawed!(row, PassesTheSessionLimitByOne => limit + 1, limit)
            {
                return Ok(AddSession::OverPlan { limit });
            }
            if id_is_taken {
                return Err(id_taken("session"));
            }
            let session = fresh_session(new, now);
            row.sessions.insert(session.id, session.clone());
            Ok(AddSession::Added(session))
        })
    }

    async fn session(&self, scope: &Scope, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.read(|state, _| {
            let own = state.tenants.get(&scope.tenant())?;
            flawed!(state, ShowsAForeignSession => state.owner(id)?, own).sessions.get(&id).cloned()
        }))
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        Ok(self.read(|state, _| {
            let keys = flawed!(state, RepeatsASession => super::from(after), behind(after));
            let rows = state.tenants.get(&scope.tenant()).map(|row| row.sessions.range(keys));
            page(rows.into_iter().flatten().map(|(_, session)| session.clone()), limit)
        }))
    }

    async fn report_session(
        &self,
        scope: &Scope,
        id: SessionId,
        report: &SessionReport,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.write(|state, now| {
            let tenant = state.tenants.get_mut(&scope.tenant())?;
            let session = tenant.sessions.get_mut(&id)?;
            flawed!(tenant, ForgetsWhatIsNotReported => { session.tier = Tier::Unlimited; });
            session.take_over(report);
            session.checked_at = Some(now);
            let session = session.clone();
            for topic in Topic::of(report) {
                tenant.is_news(id, topic, now);
            }
            Some(session)
        }))
    }

    async fn set_session(
        &self,
        scope: &Scope,
        id: SessionId,
        change: &SessionSetting,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.write(|state, _| {
            let session = state.tenants.get_mut(&scope.tenant())?.sessions.get_mut(&id)?;
            flawed!(state, ResetsOtherSettings => { session.settings = SessionSettings::default(); });
            session.settings.apply(change);
            Some(session.clone())
        }))
    }

    async fn route(
        &self,
        _: &AdminScope,
        transport: &TransportName,
        number: &NumberId,
    ) -> Result<Vec<Route>, StoreError> {
        Ok(self.read(|state, _| {
            let living = state
                .numbered(transport, number)
                .filter(|(_, session)| session.state != SessionState::Deleted)
                .map(|(tenant, session)| Route { tenant, session: session.id });
            flawed!(state, RoutesToOneTenant => living.take(1).collect(), living.collect())
        }))
    }

    async fn attend(&self, _: &AdminScope, presence: &Presence) -> Result<Attendance, StoreError> {
        Ok(self.write(|state, now| attend(state, presence, now)))
    }

    async fn acquire(&self, _: &AdminScope, ask: &AcquireSessions) -> Result<Vec<Lease>, StoreError> {
        Ok(self.write(|state, now| acquire(state, ask, now)))
    }

    async fn heartbeat(&self, scope: &WorkerScope, lease: Duration) -> Result<Vec<SessionId>, StoreError> {
        Ok(self.write(|state, now| {
            let held: Vec<_> = scope
                .sessions()
                .map(|(session, _)| session)
                .filter(|session| {
                    let at = flawed!(state, RevivesALostLease => DateTime::<Utc>::MIN_UTC, now);
                    state.held(scope, *session, at).is_some()
                })
                .collect();
            for session in &held {
                if let Some(row) = state.leases.get_mut(session) {
                    row.until = later(now, flawed!(state, ProlongsALeaseByHalf => lease / 2, lease));
                }
            }
            held
        }))
    }

    async fn release(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        passed_on: &DispatchState,
    ) -> Result<bool, StoreError> {
        Ok(self.write(|state, now| {
            let held = state.held(scope, session, now).is_some();
            if let Some(row) = state.leases.get_mut(&session).filter(|_| held) {
                row.worker = None;
                row.until = now;
                row.passed_on = Some(passed_on.clone());
            }
            held
        }))
    }

    async fn recent(
        &self,
        scope: &WorkerScope,
        session: SessionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<RecentAttempt>, StoreError> {
        Ok(self.read(|state, now| {
            let Some((_, tenant)) = state.held(scope, session, now) else { return Vec::new() };
            tenant.recent(session, since)
        }))
    }

    async fn open_breaker(&self, scope: &Scope, breaker: &Breaker) -> Result<bool, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return false };
            let is_own = tenant.sessions.contains_key(&session_of(&breaker.scope));
            if !is_own && !flawed!(tenant, StopsAForeignSession) {
                return false;
            }
            let known = tenant.breakers.insert(breaker.scope.clone(), breaker.clone());
            let is_known = |known: Breaker| {
                judge::is_open(&known, now) && (known.reason, known.code) == (breaker.reason, breaker.code)
            };
            if !known.is_some_and(is_known) {
                entries.stopped(scope.tenant(), breaker);
            }
            state.enter(entries, now);
            true
        }))
    }

    async fn reset_breaker(&self, scope: &Scope, what: &BreakerScope) -> Result<bool, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return false };
            let was_open = tenant.breakers.remove(what).is_some_and(|known| judge::is_open(&known, now));
            if was_open
                && let BreakerScope::Session(session) = what
                && !flawed!(tenant, ResumesSilently)
            {
                entries.note(scope.tenant(), EventBody::SessionResumed { session: *session });
            }
            state.enter(entries, now);
            was_open
        }))
    }

    async fn breakers(&self, scope: &Scope) -> Result<Vec<Breaker>, StoreError> {
        Ok(self.read(|state, now| {
            let breakers = state.tenants.get(&scope.tenant()).map(|row| row.breakers.values());
            breakers.into_iter().flatten().filter(|it| judge::is_open(it, now)).cloned().collect()
        }))
    }

    async fn templates(
        &self,
        scope: &Scope,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, StoreError> {
        Ok(self.read(|state, _| {
            let keys =
                flawed!(state, RepeatsATemplate => super::from(after.cloned()), behind(after.cloned()));
            let rows = state.tenants.get(&scope.tenant()).map(|row| row.templates.range(keys));
            page(rows.into_iter().flatten().map(|(_, record)| record.clone()), limit)
        }))
    }
}

fn fresh_session(new: &NewSession, now: DateTime<Utc>) -> Session {
    let NewSession { id, transport, number, portfolio, account, phone } = new.clone();
    Session {
        id,
        transport,
        number,
        portfolio,
        account,
        phone,
        state: SessionState::Connected,
        throughput: Throughput::DEFAULT,
        tier: Tier::Unlimited,
        quality: Quality::Unknown,
        created_at: now,
        checked_at: None,
        settings: SessionSettings::default(),
    }
}

impl TenantRow {
    /// Attempts of a session since an instant, oldest first, those not sent left out; the latest of them.
    pub(super) fn recent(&self, session: SessionId, since: DateTime<Utc>) -> Vec<RecentAttempt> {
        let mut recent: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, it)| it.session == session && it.begun_at >= since)
            .filter(|(_, it)| !it.facts.has(Fact::NotSent) || flawed!(self, RemembersWhatDidNotLeave))
            .filter_map(|((id, _), it)| {
                let recipient = self.messages.get(id)?.recipient.key();
                Some(RecentAttempt { recipient, begun_at: it.begun_at })
            })
            .collect();
        recent.sort_by_key(|it| it.begun_at);
        recent.split_off(recent.len().saturating_sub(RECENT))
    }
}

/// The session that a breaker is about.
fn session_of(scope: &BreakerScope) -> SessionId {
    match scope {
        BreakerScope::Session(session) | BreakerScope::Template(session, _, _) => *session,
    }
}

fn attend(state: &mut State, presence: &Presence, now: DateTime<Utc>) -> Attendance {
    let Presence { worker, lease, most } = *presence;
    state
        .workers
        .retain(|_, row| flawed!(state, RemembersAWorkerTooLong => row.until >= now, row.until > now));
    if most == 0 && !flawed!(state, RemembersWhoTookLeave) {
        state.workers.remove(&worker);
    } else {
        let since = state.workers.get(&worker).filter(|_| !flawed!(state, StartsEachAttendanceAnew));
        let since = since.map_or(now, |row| row.since);
        state.workers.insert(worker, WorkerRow { since, until: later(now, lease), most });
    }
    let held = |worker: WorkerId| {
        let held = state
            .leases
            .values()
            .filter(|it| it.worker == Some(worker) && (it.until > now || flawed!(state, CountsEndedLeases)));
        let held = held.count();
        u32::try_from(held).unwrap_or(u32::MAX)
    };
    let fellow = |(worker, row): (&WorkerId, &WorkerRow)| {
        let WorkerRow { since, until: _, most } = *row;
        Fellow { worker: *worker, held: held(*worker), most, since }
    };
    Attendance {
        at: now,
        workers: state.workers.iter().map(fellow).collect(),
        free: u32::try_from(free(state, now).count()).unwrap_or(u32::MAX),
    }
}

/// The sessions that could be acquired.
fn free(state: &State, now: DateTime<Utc>) -> impl Iterator<Item = (TenantId, &Session)> {
    let is_held = move |id: &SessionId| {
        state.leases.get(id).is_some_and(|lease| lease.worker.is_some() && lease.until > now)
    };
    let all = state.tenants.values();
    let all = all.flat_map(|tenant| tenant.sessions.values().map(move |session| (tenant, session)));
    let free = all.filter(move |(tenant, session)| {
        let is_wanted = session.state != SessionState::Deleted || open(tenant, session.id).next().is_some();
        is_wanted && !is_held(&session.id)
    });
    free.map(|(tenant, session)| (tenant.tenant.id, session))
}

fn acquire(state: &mut State, ask: &AcquireSessions, now: DateTime<Utc>) -> Vec<Lease> {
    let seen_at = flawed!(state, GivesASessionToTwo => later(now, Duration::from_secs(1)), now);
    let mut free: Vec<_> = free(state, seen_at).map(|(tenant, session)| (tenant, session.clone())).collect();
    free.sort_by_key(|(_, session)| (session.created_at, session.id));
    free.truncate(usize::try_from(ask.most).unwrap_or(usize::MAX));
    let mut leases = Vec::new();
    for (tenant, session) in free {
        let Some(row) = state.tenants.get(&tenant) else { continue };
        let former = state.leases.remove(&session.id);
        let died = former.as_ref().is_some_and(|former| {
            former.worker.is_some() && open(row, session.id).any(|it| it.epoch == former.epoch)
        });
        let deaths = former.as_ref().map_or(0, |former| former.unsettled_deaths);
        let taken = LeaseRow {
            worker: Some(ask.worker),
            epoch: former.as_ref().map_or(0, |former| {
                former.epoch - u64::from(flawed!(state, KeepsTheEpoch) && former.worker.is_none())
            }) + 1,
            until: later(now, ask.lease),
            passed_on: flawed!(state, PassesAStateOnTwice => former.as_ref().and_then(|it| it.passed_on.clone()), None),
            unsettled_deaths: if died {
                deaths.saturating_add(u32::from(!flawed!(state, CountsNoDeath)))
            } else {
                0
            },
        };
        leases.push(Lease {
            tenant,
            epoch: taken.epoch,
            until: taken.until,
            quiet_until: {
                let ends = open(row, session.id).map(|it| it.end_by);
                flawed!(state, NamesTheFirstQuietTime => ends.min(), ends.max())
                    .filter(|end_by| *end_by > now)
            },
            state: former.and_then(|former| former.passed_on),
            unsettled_deaths: taken.unsettled_deaths,
            session: session.clone(),
        });
        state.leases.insert(session.id, taken);
    }
    leases
}

/// The attempts of a session about which nobody has said anything.
fn open(tenant: &TenantRow, session: SessionId) -> impl Iterator<Item = &AttemptRow> {
    tenant.attempts.values().filter(move |it| it.session == session && it.is_open())
}
