//! Jobs: the calls on store, transports and billing that the worker wants made.
//!
//! A job takes what it needs with it and gives back what it found; the worker is not borrowed
//! while it runs.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;

use super::entitle::entitle;
use super::ports::Ports;
use super::question::look_back;
use super::scheduler::{self, round};
use super::turn::{Turn, TurnDone};
use crate::model::{BatchId, Lane, SessionId, SessionReport};
use crate::port::store::{
    Abandoned, AcquireSessions, DispatchState, DuePage, DueQuery, Lease, Listened, Presence, RecentAttempt,
    Recover, Recovered, StoreError, Swept,
};
use crate::port::{Scope, SessionRef, Transport, TransportError, TransportErrorKind, WorkerScope};
use crate::rules::spread::{Round, Spread, Step, spread};

/// How many attempts of a number are listened to in one call.
const LISTEN_AT_ONCE: u32 = 1_000;

/// How many messages in doubt are looked at in one call.
const RECOVER_AT_ONCE: u32 = 500;

/// A call to make.
#[derive(Debug)]
pub(crate) enum Job {
    Turn(Turn, WorkerScope),
    Read(SessionId, Lane, DueQuery, WorkerScope),
    Lease(LeaseRound),
    Report(SessionRef, Arc<dyn Transport>),
    Sweep(WorkerScope, Duration),
    Listen(WorkerScope),
    Recover(WorkerScope, Duration),
    Advance,
    Abandon(BatchId, usize, WorkerScope),
    Release(SessionId, DispatchState, WorkerScope),
    Entitle,
    Prune { raw: Duration, events: Duration },
}

/// What a call gave.
#[derive(Debug)]
pub(crate) enum Done {
    Turn(TurnDone),
    Read(SessionId, Lane, Result<DuePage, StoreError>),
    Lease(Result<Leased, StoreError>),
    Report(SessionRef, Result<SessionReport, TransportError>, Result<(), StoreError>),
    Sweep(Result<Swept, StoreError>),
    Listen(Result<Listened, StoreError>),
    Recover(Result<Recovered, StoreError>),
    Advance(Result<scheduler::Round, StoreError>),
    Abandon(BatchId, usize, Result<Abandoned, StoreError>),
    Release(SessionId, Result<bool, StoreError>),
    Entitle,
    Prune,
}

/// What the worker holds after a round of leasing.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) kept: Vec<SessionId>,
    pub(crate) fresh: Vec<(Lease, Vec<RecentAttempt>)>,
    /// Sessions that are left for others to take.
    pub(crate) left: u32,
    /// Whether one should change hands.
    pub(crate) step: Step,
}

/// A round of leasing: what is held is prolonged, and what is free is shared with the other workers.
#[derive(Debug)]
pub(crate) struct LeaseRound {
    pub(crate) scope: WorkerScope,
    pub(crate) lease: Duration,
    /// How many sessions this worker would hold at most.
    pub(crate) most: u32,
    /// Whether others have left for too long what is theirs to take.
    pub(crate) overdue: bool,
    /// How long a message is under way at most.
    pub(crate) within: Duration,
}

impl Job {
    /// What it does, in a word, for traces.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Turn(..) => "turn",
            Self::Read(..) => "read",
            Self::Lease(..) => "lease",
            Self::Report(..) => "report",
            Self::Sweep(..) => "sweep",
            Self::Listen(..) => "listen",
            Self::Recover(..) => "recover",
            Self::Advance => "advance",
            Self::Abandon(..) => "abandon",
            Self::Release(..) => "release",
            Self::Entitle => "entitle",
            Self::Prune { .. } => "prune",
        }
    }

    pub(crate) async fn run(self, ports: &Ports) -> Done {
        let store = &ports.store;
        match self {
            Self::Turn(turn, scope) => Done::Turn(turn.run(ports, scope).await),
            Self::Read(session, lane, query, scope) => {
                Done::Read(session, lane, store.outbox().due(&scope, &query).await)
            }
            Self::Lease(round) => Done::Lease(hold(ports, &round).await),
            Self::Report(session, transport) => {
                let asked = AssertUnwindSafe(transport.session(&session)).catch_unwind().await;
                let report = asked.unwrap_or_else(|_| {
                    let kind = TransportErrorKind::Unavailable;
                    Err(TransportError::new(kind, "the transport panicked", None))
                });
                let mut stored = Ok(());
                if let Ok(report) = &report {
                    let scope = Scope::new(session.tenant);
                    stored = store.numbers().report_session(&scope, session.id, report).await.map(drop);
                }
                Done::Report(session, report, stored)
            }
            Self::Sweep(scope, grace) => Done::Sweep(store.outbox().sweep(&scope, grace).await),
            Self::Listen(scope) => Done::Listen(store.outbox().listen(&scope, LISTEN_AT_ONCE).await),
            Self::Recover(scope, grace) => {
                let ask = Recover { grace, limit: RECOVER_AT_ONCE };
                Done::Recover(store.outbox().recover(&scope, &ask).await)
            }
            Self::Advance => Done::Advance(round(ports).await),
            Self::Abandon(batch, size, scope) => {
                Done::Abandon(batch, size, store.outbox().abandon(&scope, batch).await)
            }
            Self::Release(session, state, scope) => {
                Done::Release(session, store.numbers().release(&scope, session, &state).await)
            }
            Self::Entitle => {
                if let Err(error) = entitle_all(ports).await {
                    tracing::warn!(%error, "entitlements were not brought up to date");
                }
                Done::Entitle
            }
            Self::Prune { raw, events } => {
                if let Err(error) = prune(ports, raw, events).await {
                    tracing::warn!(%error, "old rows were not removed");
                }
                Done::Prune
            }
        }
    }
}

async fn hold(ports: &Ports, round: &LeaseRound) -> Result<Leased, StoreError> {
    let LeaseRound { scope, lease, most, overdue, within } = round;
    let (numbers, worker, lease) = (ports.store.numbers(), ports.worker, *lease);
    let kept = numbers.heartbeat(scope, lease).await?;
    let there = numbers.attend(&ports.admin(), &Presence { worker, lease, most: *most }).await?;
    // Who died within a lease of its coming is forgotten within another.
    let age = TimeDelta::from_std(2 * lease).unwrap_or(TimeDelta::MAX);
    let Spread { take, step } = spread(
        worker,
        &Round {
            fellows: &there.workers,
            free: there.free,
            overdue: *overdue,
            settled_before: there.at.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC),
        },
    );
    let ask = AcquireSessions { worker, lease, most: take };
    let leases = if take == 0 { Vec::new() } else { numbers.acquire(&ports.admin(), &ask).await? };
    let left = there.free.saturating_sub(u32::try_from(leases.len()).unwrap_or(u32::MAX));
    let mut fresh = Vec::with_capacity(leases.len());
    for lease in leases {
        let id = lease.session.id;
        let own = WorkerScope::new(ports.worker, [(id, lease.epoch)].into());
        let recent = numbers.recent(&own, id, ports.clock.now() - look_back(*within)).await?;
        fresh.push((lease, recent));
    }
    Ok(Leased { kept, fresh, left, step })
}

async fn entitle_all(ports: &Ports) -> Result<(), StoreError> {
    if ports.billing.is_none() {
        return Ok(());
    }
    let mut after = None;
    loop {
        let page = ports.store.directory().tenants(&ports.admin(), after, 500).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for tenant in &page {
            entitle(ports, tenant).await?;
        }
    }
}

async fn prune(ports: &Ports, raw: Duration, events: Duration) -> Result<(), StoreError> {
    let now = ports.clock.now();
    let before = |keep| now - TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
    ports.store.inbox().prune(&ports.admin(), before(raw)).await?;
    ports.store.journal().prune_events(&ports.admin(), before(events)).await?;
    Ok(())
}
