//! The legal moves of a campaign.

use chrono::{DateTime, Utc};

use crate::model::{CampaignAction, CampaignState};

/// What an action does to a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It goes to this state.
    To(CampaignState),
    /// It is there already.
    Stay,
    /// The action is not possible.
    Illegal,
}

/// What an action does in a state. `frozen` says whether the whole audience is frozen.
#[must_use]
pub fn act(
    state: CampaignState,
    action: CampaignAction,
    frozen: bool,
    start_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Move {
    use CampaignState::{Cancelled, Completed, Draft, Launching, NeedsReconcile, Paused, Running, Scheduled};
    match (action, state) {
        (CampaignAction::Pause, Launching | Scheduled | Running) => Move::To(Paused),
        (CampaignAction::Pause, Paused)
        | (CampaignAction::Resume, Launching | Scheduled | Running)
        | (CampaignAction::Cancel, Cancelled) => Move::Stay,
        (CampaignAction::Resume, Paused | NeedsReconcile) => {
            if frozen {
                Move::To(launched(start_at, now))
            } else {
                Move::To(Launching)
            }
        }
        (CampaignAction::Cancel, Draft | Launching | Scheduled | Running | Paused | NeedsReconcile) => {
            Move::To(Cancelled)
        }
        (CampaignAction::Pause, Draft | NeedsReconcile | Completed | Cancelled)
        | (CampaignAction::Resume, Draft | Completed | Cancelled)
        | (CampaignAction::Cancel, Completed) => Move::Illegal,
    }
}

/// The state of a campaign whose audience is frozen.
#[must_use]
pub fn launched(start_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> CampaignState {
    if start_at.is_some_and(|start_at| start_at > now) {
        CampaignState::Scheduled
    } else {
        CampaignState::Running
    }
}

/// Whether a campaign would send without anybody's doing. `of_run` says whether it is a schedule's, whose
/// drafts are launched by the scheduler.
#[must_use]
pub fn goes_on(state: CampaignState, of_run: impl FnOnce() -> bool) -> bool {
    match state {
        CampaignState::Launching | CampaignState::Scheduled | CampaignState::Running => true,
        CampaignState::Draft => of_run(),
        CampaignState::Paused
        | CampaignState::NeedsReconcile
        | CampaignState::Completed
        | CampaignState::Cancelled => false,
    }
}

/// Where time and progress move a campaign, if anywhere. `open` counts the messages that wait, are being
/// sent, or are in doubt and wait to be sent again.
#[must_use]
pub fn advance(
    state: CampaignState,
    start_at: Option<DateTime<Utc>>,
    open: u64,
    now: DateTime<Utc>,
) -> Option<CampaignState> {
    match state {
        CampaignState::Scheduled => {
            (launched(start_at, now) == CampaignState::Running).then_some(CampaignState::Running)
        }
        CampaignState::Running => (open == 0).then_some(CampaignState::Completed),
        // A failed webhook, or silence, can put a message of a completed campaign back for another try.
        CampaignState::Completed => (open > 0).then_some(CampaignState::Running),
        CampaignState::Draft
        | CampaignState::Launching
        | CampaignState::Paused
        | CampaignState::NeedsReconcile
        | CampaignState::Cancelled => None,
    }
}
