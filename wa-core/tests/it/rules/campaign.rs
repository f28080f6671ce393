//! The legal moves of a campaign, as a table of all states and actions.

use proptest::prelude::*;
use wa_core::model::{CampaignAction, CampaignState};
use wa_core::rules::campaign::{Move, act, advance, launched};

use super::{at, epoch};

use CampaignAction::{Cancel, Pause, Resume};
use CampaignState::{Cancelled, Completed, Draft, Launching, NeedsReconcile, Paused, Running, Scheduled};

const ACTIONS: [CampaignAction; 3] = [Pause, Resume, Cancel];

#[test]
fn every_state_and_action_has_its_move() {
    let to = Move::To;
    // State, then pause, resume and cancel; the audience is frozen and no start is set.
    let table = [
        (Draft, Move::Illegal, Move::Illegal, to(Cancelled)),
        (Launching, to(Paused), Move::Stay, to(Cancelled)),
        (Scheduled, to(Paused), Move::Stay, to(Cancelled)),
        (Running, to(Paused), Move::Stay, to(Cancelled)),
        (Paused, Move::Stay, to(Running), to(Cancelled)),
        (NeedsReconcile, Move::Illegal, to(Running), to(Cancelled)),
        (Completed, Move::Illegal, Move::Illegal, Move::Illegal),
        (Cancelled, Move::Illegal, Move::Illegal, Move::Stay),
    ];
    assert_eq!(table.len(), CampaignState::ALL.len());
    for (state, pause, resume, cancel) in table {
        for (action, expected) in ACTIONS.into_iter().zip([pause, resume, cancel]) {
            assert_eq!(act(state, action, true, None, epoch()), expected, "{action:?} in {state:?}");
        }
    }
}

#[test]
fn resume_goes_on_where_the_campaign_was() {
    for state in [Paused, NeedsReconcile] {
        assert_eq!(act(state, Resume, false, None, epoch()), Move::To(Launching));
        assert_eq!(act(state, Resume, false, Some(at(60)), epoch()), Move::To(Launching));
        assert_eq!(act(state, Resume, true, Some(at(60)), epoch()), Move::To(Scheduled));
        assert_eq!(act(state, Resume, true, Some(at(60)), at(60)), Move::To(Running));
    }
}

#[test]
fn a_start_is_reached_exactly() {
    assert_eq!(launched(Some(at(1)), at(0)), Scheduled);
    assert_eq!(launched(Some(at(1)), at(1)), Running);
    assert_eq!(launched(None, at(0)), Running);
    assert_eq!(advance(Scheduled, Some(at(1)), 9, at(0)), None);
    assert_eq!(advance(Scheduled, Some(at(1)), 9, at(1)), Some(Running));
}

#[test]
fn only_time_and_progress_advance_a_campaign() {
    for state in CampaignState::ALL {
        let (busy, done) = (advance(*state, None, 1, epoch()), advance(*state, None, 0, epoch()));
        let expected = match state {
            Scheduled => (Some(Running), Some(Running)),
            Running => (None, Some(Completed)),
            Completed => (Some(Running), None),
            Draft | Launching | Paused | NeedsReconcile | Cancelled => (None, None),
        };
        assert_eq!((busy, done), expected, "{state:?}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Act(CampaignAction),
    Advance(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::sample::select(&ACTIONS[..]).prop_map(Step::Act),
        (0..2_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn what_is_cancelled_or_paused_starts_only_by_resume(
        state in proptest::sample::select(CampaignState::ALL), steps in proptest::collection::vec(any_step(), 1..20),
        frozen in any::<bool>(), start in proptest::option::of(-100..100_i64),
    ) {
        let (mut state, start) = (state, start.map(at));
        for step in steps {
            let before = state;
            match step {
                Step::Act(action) => match act(state, action, frozen, start, epoch()) {
                    Move::To(next) => {
                        prop_assert_ne!(next, state, "a move to where it is");
                        state = next;
                    }
                    Move::Stay | Move::Illegal => {}
                },
                Step::Advance(open) => state = advance(state, start, open, epoch()).unwrap_or(state),
            }
            if before == Cancelled {
                prop_assert_eq!(state, Cancelled);
            }
            if matches!(before, Paused | NeedsReconcile) && matches!(state, Running | Scheduled | Launching) {
                prop_assert!(matches!(step, Step::Act(Resume)));
            }
            if state == Running && before != Running {
                prop_assert!(start.is_none_or(|start| start <= epoch()) || before == Completed);
            }
        }
    }
}
