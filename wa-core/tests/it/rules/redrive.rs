//! Which messages may be put back by hand: everything else may be a second message to somebody.

use chrono::TimeDelta;
use wa_core::model::{CampaignState, DeliveryFacts, MessageState, RejectClass, SkipReason};
use wa_core::rules::redrive::{self, Redrive, decide};

use super::{at, epoch, refused};

#[test]
fn only_failed_messages_and_those_whose_reason_may_pass_go_back() {
    let facts = refused(RejectClass::Recipient);
    let reasons = SkipReason::ALL.iter().map(|reason| Some(*reason)).chain([None]);
    for reason in reasons {
        for state in MessageState::ALL {
            let decided = decide(*state, reason, &[&facts], Some(CampaignState::Running), epoch());
            let goes = *state == MessageState::Failed
                || (*state == MessageState::Skipped && reason.is_some_and(redrive::may_return));
            let expected = if goes { Redrive::Again(epoch()) } else { Redrive::Never };
            assert_eq!(decided, expected, "{state} {reason:?}");
            let cancelled = decide(*state, reason, &[&facts], Some(CampaignState::Cancelled), epoch());
            assert_eq!(cancelled, Redrive::Never, "{state} of a cancelled campaign");
        }
    }
}

#[test]
fn what_somebody_decided_and_what_is_over_does_not_return() {
    let returning: Vec<_> = SkipReason::ALL.iter().copied().filter(|it| redrive::may_return(*it)).collect();
    let expected = [
        SkipReason::WindowClosed,
        SkipReason::Cooldown,
        SkipReason::FrequencyCap,
        SkipReason::QuietHours,
        SkipReason::NotOptedIn,
        SkipReason::NotAllowed,
    ];
    assert_eq!(returning, expected);
}

#[test]
fn who_is_to_be_left_alone_is_left_alone_for_a_day_and_twice_as_long_each_time() {
    for (refusals, days) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let facts = refused(RejectClass::Later);
        let chain: Vec<&DeliveryFacts> = vec![&facts; refusals];
        let decided = decide(MessageState::Failed, None, &chain, None, at(60));
        assert_eq!(decided, Redrive::Again(epoch() + TimeDelta::days(days)));
        let late = epoch() + TimeDelta::days(30);
        assert_eq!(decide(MessageState::Failed, None, &chain, None, late), Redrive::Again(late));
    }
}
