//! One round of the scheduler: runs that have come, audiences to freeze, campaigns that move with time.
//!
//! Every round is bounded, and every step of it is a commit of its own that the store decides. What
//! an interruption leaves, the next round of any worker takes up: a run that was made and not launched
//! is found again, and a run is never made twice. Workers that do it at once do no harm.

use chrono::{DateTime, Utc};

use super::ports::Ports;
use crate::model::CampaignId;
use crate::port::Scope;
use crate::port::store::{LaunchChunk, LaunchStep, RunSchedule, StoreError, StoreErrorKind};

/// How many schedules, and how many runs, one round takes on.
const AT_ONCE: u32 = 16;
/// Members frozen in one commit; sends wait for one at most.
const CHUNK: u32 = 500;

/// What a round of the scheduler did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Whether campaigns moved, so that more may be due.
    pub(crate) moved: bool,
    /// Whether the journal grew.
    pub(crate) told: bool,
    /// Whether there is more to do at once.
    pub(crate) more: bool,
    /// When something comes next.
    pub(crate) next_at: Option<DateTime<Utc>>,
}

/// Does one round.
pub(crate) async fn round(ports: &Ports) -> Result<Round, StoreError> {
    let store = &ports.store;
    let mut round = Round::default();
    let found = store.schedules().due_schedules(&ports.admin(), AT_ONCE).await?;
    for (tenant, schedule) in &found.due {
        let fresh = CampaignId::mint(ports.clock.now(), ports.draw());
        let ran = store.schedules().run_schedule(&Scope::new(*tenant), *schedule, fresh).await;
        let Some(ran) = unless_broken(ran)? else { continue };
        match ran {
            // The store says what is to be launched, and what is due next.
            RunSchedule::Ran(run) => {
                tracing::info!(%tenant, %schedule, campaign = %run.campaign, slot = %run.slot.civil, "a run was made");
                (round.told, round.more) = (true, true);
            }
            RunSchedule::Skipped { first, slots, why } => {
                tracing::warn!(%tenant, %schedule, first = %first.civil, slots, ?why, "runs were skipped");
                (round.told, round.more) = (true, true);
            }
            RunSchedule::Waits(_) | RunSchedule::Missing => {}
        }
    }
    for (tenant, campaign) in &found.launch {
        let chunk = LaunchChunk { size: CHUNK, seed: ports.draw() };
        let launched = store.audience().launch(&Scope::new(*tenant), *campaign, &chunk).await;
        let Some(launched) = unless_broken(launched)? else { continue };
        match launched {
            LaunchStep::Frozen { .. } => (round.told, round.more) = (true, true),
            LaunchStep::Done(_) => (round.told, round.moved) = (true, true),
            // Somebody paused or cancelled it meanwhile, or another worker was faster.
            LaunchStep::NotLaunchable(_) | LaunchStep::Missing => {}
        }
    }
    let advanced = store.audience().advance(&ports.admin()).await?;
    round.moved |= !advanced.moved.is_empty();
    round.told |= !advanced.moved.is_empty();
    round.next_at = advanced.next_at.into_iter().chain(found.next_at).min();
    Ok(round)
}

/// One schedule that the store cannot take on must not hold up the others.
fn unless_broken<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == StoreErrorKind::Broken => {
            tracing::error!(%error, "a run of a schedule cannot be made or launched");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
