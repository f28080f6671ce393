//! What a schedule does next: wait, run a slot, or skip what was missed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::recur;
use crate::model::{MissedRuns, Recurrence, Schedule, ScheduleAction, ScheduleState, Slot};

/// A run that begins so late is still in time, whatever is said about missed ones.
pub const IN_TIME: Duration = Duration::from_secs(300);

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing before its next instant; nothing at all if it is not active.
    Wait,
    /// One slot becomes a campaign.
    Run {
        /// The slot.
        slot: Slot,
        /// When it was due.
        due_at: DateTime<Utc>,
        /// What comes after it.
        next: Option<(Slot, DateTime<Utc>)>,
    },
    /// Slots become no campaign.
    Skip {
        /// The first of them.
        first: Slot,
        /// How many, at least one.
        slots: u64,
        /// What comes after them.
        next: Option<(Slot, DateTime<Utc>)>,
    },
    /// No slot is left.
    End,
}

/// Decides about the slot that comes next.
#[must_use]
pub fn step(schedule: &Schedule, now: DateTime<Utc>) -> Step {
    match schedule.state {
        ScheduleState::Active => {}
        ScheduleState::Paused | ScheduleState::Ended => return Step::Wait,
    }
    let recurrence = &schedule.spec.recurrence;
    let Some((slot, due_at)) = schedule.next.zip(schedule.next_at) else { return Step::End };
    if due_at > now {
        return Step::Wait;
    }
    let (within, last_only) = match schedule.spec.missed {
        MissedRuns::Skip => (IN_TIME, true),
        MissedRuns::RunLatest { within } => (within.max(IN_TIME), true),
        MissedRuns::RunAll { within } => (within.max(IN_TIME), false),
    };
    let in_time = |at: DateTime<Utc>| {
        now.signed_duration_since(at) <= TimeDelta::from_std(within).unwrap_or(TimeDelta::MAX)
    };
    // The last one that is due is skipped too if it is late; with `RunAll` the first that is not late runs.
    let last = recur::last_until(recurrence, now).filter(|(last, _)| last.number > slot.number);
    let runs = in_time(due_at) && !(last_only && last.is_some());
    if runs {
        return Step::Run { slot, due_at, next: recur::next_after(recurrence, due_at) };
    }
    let edge = TimeDelta::from_std(within).ok().and_then(|within| now.checked_sub_signed(within));
    let next = match last {
        None => recur::next_after(recurrence, due_at),
        Some(last) if last_only => Some(last),
        // The first one that is not too late: right before the edge nothing is.
        Some(last) => edge
            .and_then(|edge| recur::next_after(recurrence, edge - TimeDelta::microseconds(1)))
            .or(Some(last)),
    };
    let slots = next.map_or_else(
        || last.map_or(slot, |(last, _)| last).number.saturating_sub(slot.number) + 1,
        |(next, _)| next.number.saturating_sub(slot.number),
    );
    Step::Skip { first: slot, slots, next }
}

/// What a new or resumed schedule runs first: what passed before is not made up for.
#[must_use]
pub fn first(recurrence: &Recurrence, now: DateTime<Utc>) -> Option<(Slot, DateTime<Utc>)> {
    // A slot at this very instant counts.
    recur::next_after(recurrence, now - TimeDelta::microseconds(1))
}

/// The state that an action leads to; `None` if it is not possible.
#[must_use]
pub const fn act(state: ScheduleState, action: ScheduleAction) -> Option<ScheduleState> {
    match (action, state) {
        (ScheduleAction::Pause, ScheduleState::Active | ScheduleState::Paused) => Some(ScheduleState::Paused),
        (ScheduleAction::Resume, ScheduleState::Active | ScheduleState::Paused) => {
            Some(ScheduleState::Active)
        }
        (ScheduleAction::End, ScheduleState::Active | ScheduleState::Paused | ScheduleState::Ended) => {
            Some(ScheduleState::Ended)
        }
        (ScheduleAction::Pause | ScheduleAction::Resume, ScheduleState::Ended) => None,
    }
}

/// The instants at which a schedule runs next; those of a paused one if it were resumed at `now`.
#[must_use]
pub fn upcoming(schedule: &Schedule, now: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
    let recurrence = &schedule.spec.recurrence;
    let start = match schedule.state {
        ScheduleState::Active => schedule.next_at,
        ScheduleState::Paused => first(recurrence, now).map(|(_, at)| at),
        ScheduleState::Ended => None,
    };
    let later = |at: &DateTime<Utc>| recur::next_after(recurrence, *at).map(|(_, at)| at);
    std::iter::successors(start, later).take(most).collect()
}
