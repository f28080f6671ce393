//! What somebody outside asks the running worker about a number.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::channel::{mpsc, oneshot};

use super::planner::{Kind, Planner, When};
use crate::model::{Gap, Lane, PaceLimit, Recipient, Session, SessionId, micros};
use crate::port::store::{DispatchState, RecentAttempt};
use crate::rules::pace::Pace;
use crate::rules::pair;
use crate::rules::throughput::Micros;

/// How far back attempts matter to a pair's meter, when each may have been under way for so long: its whole burst,
/// one by one.
pub(crate) fn look_back(within: Duration) -> TimeDelta {
    let burst = Duration::from_micros(pair::INTERVAL.saturating_mul(pair::BURST));
    TimeDelta::from_std(burst.saturating_add(within)).unwrap_or(TimeDelta::MAX)
}

/// When one more message could leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) session: SessionId,
    /// [`Recipient::key`].
    pub(crate) recipient: u64,
    pub(crate) lane: Lane,
    pub(crate) marketing: bool,
}

/// How long a number has no room for a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Until all limits of its pace let it go.
    pub(crate) wait: Duration,
    /// The limit that does so last; `None` without a wait.
    pub(crate) why: Option<PaceLimit>,
    /// Until the pair of number and recipient does.
    pub(crate) pair: Duration,
}

/// A question on its way to the worker; no answer when it does not hold the session.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: Asked,
    pub(crate) answer: oneshot::Sender<Option<Room>>,
}

pub(crate) type Questions = mpsc::UnboundedReceiver<Question>;

impl Asked {
    pub(crate) fn new(session: SessionId, to: &Recipient, lane: Lane, marketing: bool) -> Self {
        Self { session, recipient: to.key(), lane, marketing }
    }

    /// What a planner says.
    pub(crate) fn of(&self, planner: &mut Planner, now: Micros) -> Room {
        let kind = Kind { lane: self.lane, campaign: None, marketing: self.marketing };
        let until = |at: Micros| Duration::from_micros(at.saturating_sub(now));
        let When { at, why } = planner.when_to(kind, self.recipient, now);
        Room { wait: until(at), why, pair: until(planner.pair_at(self.recipient, now)) }
    }

    /// What the planner of a worker that took the session over now would say.
    ///
    /// `recent` are the session's attempts since [`look_back`]; one that waits at a gate elsewhere counts as released.
    pub(crate) fn rebuilt(
        &self,
        session: &Session,
        pace: &Pace,
        gap: Option<Gap>,
        recent: &[RecentAttempt],
        at: DateTime<Utc>,
    ) -> Room {
        // Any clock will do; this one began long enough ago for everything that matters.
        let now: Micros = 3_600_000_000;
        let mut planner = Planner::new(session.throughput, 0, 0);
        planner.set_pace(pace, gap, 0);
        let releases = recent.iter().map(|it| micros(at).saturating_sub(micros(it.begun_at))).collect();
        planner.take_over(Some(&DispatchState { releases }), recent, now, at);
        if let Some(last) = recent.last() {
            planner.gap_since(
                now.saturating_sub(u64::try_from(micros(at) - micros(last.begun_at)).unwrap_or(0)),
            );
        }
        self.of(&mut planner, now)
    }
}
