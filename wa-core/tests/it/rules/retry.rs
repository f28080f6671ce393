//! Source of the claims: the design's default of 5, 10 and 15 seconds; Meta, Error codes.

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use wa_core::model::{
    AttemptKey, DeliveryFacts, Fact, HoldReason, MessageId, RejectClass, RetryBackoff, TenantId,
    TenantSettings,
};
use wa_core::rules::retry::{Next, next, word};

use super::{any_class, epoch, only, refused};

fn ask(chain: &[DeliveryFacts], retry_after: Option<Duration>) -> Next {
    let chain: Vec<&DeliveryFacts> = chain.iter().collect();
    next(&chain, &TenantSettings::default(), retry_after, 0, epoch())
}

fn again(seconds: i64, why: HoldReason) -> Next {
    Next::Again { at: epoch() + TimeDelta::seconds(seconds), why }
}

#[test]
fn a_passing_fault_is_tried_again_after_5_10_and_15_seconds_and_no_fourth_time() {
    let fault = refused(RejectClass::Retry);
    for (failures, wait) in [(1, 5), (2, 10), (3, 15)] {
        assert_eq!(ask(&vec![fault.clone(); failures], None), again(wait, HoldReason::Retry));
    }
    assert_eq!(ask(&vec![fault.clone(); 4], None), Next::Fail);
    assert_eq!(ask(&vec![fault; 40], None), Next::Fail);
}

#[test]
fn throttles_and_requests_that_never_left_use_up_no_retry() {
    for other in [refused(RejectClass::Throttled), refused(RejectClass::PairThrottled), only(Fact::NotSent)] {
        let mut chain = vec![other.clone(); 30];
        chain.push(refused(RejectClass::Retry));
        assert_eq!(ask(&chain, None), again(5, HoldReason::Retry));
        chain.push(other.clone());
        assert_ne!(ask(&chain, None), Next::Fail);
        chain.push(refused(RejectClass::Retry));
        assert_eq!(ask(&chain, None), again(10, HoldReason::Retry));
    }
}

#[test]
fn each_class_has_its_own_consequence() {
    for class in RejectClass::ALL {
        let expected = match class {
            RejectClass::Retry => Some(HoldReason::Retry),
            RejectClass::Throttled => Some(HoldReason::Throttled),
            RejectClass::PairThrottled => Some(HoldReason::PairThrottled),
            RejectClass::Credential | RejectClass::Account | RejectClass::Spam | RejectClass::Billing => {
                Some(HoldReason::SessionStopped)
            }
            RejectClass::TemplatePaused => Some(HoldReason::TemplateStopped),
            RejectClass::Later
            | RejectClass::WindowClosed
            | RejectClass::Recipient
            | RejectClass::OptedOut
            | RejectClass::Template
            | RejectClass::Request
            | RejectClass::Media => None,
        };
        let got = match ask(&[refused(class)], None) {
            Next::Again { why, .. } => Some(why),
            Next::Fail => None,
        };
        assert_eq!(got, expected, "{class:?}");
    }
}

#[test]
fn a_failure_that_gives_no_reason_is_not_tried_again() {
    // It did leave, so it is not like a request that never did.
    for fact in [Fact::Failed, Fact::Rejected] {
        assert_eq!(ask(&[only(fact)], None), Next::Fail);
    }
}

#[test]
fn the_provider_may_ask_for_more_time_but_not_for_less() {
    let chain = [refused(RejectClass::Throttled)];
    assert_eq!(ask(&chain, Some(Duration::from_secs(90))), again(90, HoldReason::Throttled));
    assert_eq!(ask(&chain, Some(Duration::ZERO)), ask(&chain, None));
    for absurd in [Duration::from_secs(1_000_000), Duration::from_secs(u64::MAX), Duration::MAX] {
        assert_eq!(ask(&chain, Some(absurd)), again(86_400, HoldReason::Throttled));
    }
}

#[test]
fn a_throttled_pair_waits_a_power_of_four() {
    for (refusals, wait) in [(1, 1), (2, 4), (3, 16), (4, 64)] {
        let chain = vec![refused(RejectClass::PairThrottled); refusals];
        assert_eq!(ask(&chain, None), again(wait, HoldReason::PairThrottled));
    }
}

#[test]
fn own_waits_are_kept_and_the_last_one_repeats() {
    let settings =
        TenantSettings { max_retries: 4, retry_after_seconds: vec![7, 9], ..TenantSettings::default() };
    let fault = refused(RejectClass::Retry);
    let waits: Vec<Next> = (1..=5).map(|n| next(&vec![&fault; n], &settings, None, 0, epoch())).collect();
    let retry = |seconds| again(seconds, HoldReason::Retry);
    assert_eq!(waits, [retry(7), retry(9), retry(9), retry(9), Next::Fail]);
    let never = TenantSettings { max_retries: 0, ..TenantSettings::default() };
    assert_eq!(next(&[&fault], &never, None, 0, epoch()), Next::Fail);
}

#[test]
fn what_is_not_wanted_now_is_tried_again_a_day_later_and_then_after_growing_waits() {
    let settings = TenantSettings { later_retries: 3, ..TenantSettings::default() };
    let later = refused(RejectClass::Later);
    let day = 86_400;
    let ask = |n: usize, settings: &TenantSettings| next(&vec![&later; n], settings, None, 0, epoch());
    for (refusals, wait) in [(1, day), (2, 2 * day), (3, 4 * day)] {
        assert_eq!(ask(refusals, &settings), again(wait, HoldReason::Later));
    }
    assert_eq!(ask(4, &settings), Next::Fail);
    assert_eq!(ask(1, &TenantSettings::default()), Next::Fail, "by default nobody is asked twice");
}

#[test]
fn growing_waits_grow_up_to_their_cap() {
    let backoff = RetryBackoff { base_seconds: 5, factor: 3, cap_seconds: 100, jitter_percent: 0 };
    let settings =
        TenantSettings { max_retries: 5, retry_backoff: Some(backoff), ..TenantSettings::default() };
    let fault = refused(RejectClass::Retry);
    let waits: Vec<Next> =
        (1..=6).map(|n| next(&vec![&fault; n], &settings, None, u64::MAX, epoch())).collect();
    let retry = |seconds| again(seconds, HoldReason::Retry);
    assert_eq!(waits, [retry(5), retry(15), retry(45), retry(100), retry(100), Next::Fail]);
}

#[test]
fn chance_is_the_same_for_the_same_attempt_and_spreads_different_ones() {
    let key = |message: u128, n| AttemptKey {
        tenant: TenantId::from_uuid(uuid::Uuid::from_u128(1)),
        message: MessageId::from_uuid(uuid::Uuid::from_u128(message)),
        n,
    };
    assert_eq!(word(key(7, 1)), word(key(7, 1)));
    assert_ne!(word(key(7, 1)), word(key(7, 2)));
    // Ids of one campaign differ in a few low bits only.
    let mut buckets = [0_u32; 8];
    for message in 0..8_000 {
        let place = usize::try_from(word(key(message, 1)) % 8).expect("small");
        buckets[place] += 1;
    }
    assert!(buckets.iter().all(|count| (850..=1_150).contains(count)), "{buckets:?}");
}

#[test]
fn a_message_without_attempts_has_nothing_to_repeat() {
    assert_eq!(ask(&[], None), Next::Fail);
}

proptest! {
    #[test]
    fn chance_shortens_a_wait_by_no_more_than_it_may(
        word in any::<u64>(), retry in 1..=10_usize, jitter_percent in 0..=100_u8, base_seconds in 1..=60_u32,
    ) {
        let cap_seconds = 600;
        let backoff = RetryBackoff { base_seconds, factor: 2, cap_seconds, jitter_percent };
        let settings =
            TenantSettings { max_retries: 10, retry_backoff: Some(backoff), ..TenantSettings::default() };
        let fault = refused(RejectClass::Retry);
        let Next::Again { at, .. } = next(&vec![&fault; retry], &settings, None, word, epoch()) else {
            return Err(TestCaseError::fail("gave up"));
        };
        let wait = (at - epoch()).num_seconds();
        let full = i64::from(base_seconds.saturating_mul(2_u32.saturating_pow(u32::try_from(retry - 1).expect("few"))).min(600));
        prop_assert!(wait >= 1 && wait <= full, "{wait} of {full}");
        prop_assert!(wait * 100 >= full * i64::from(100 - jitter_percent) - 100, "{wait} of {full}");
    }

    #[test]
    fn a_request_that_never_leaves_is_tried_for_ever_within_a_minute(count in 1..3_000_usize) {
        let Next::Again { at, why } = ask(&vec![only(Fact::NotSent); count], None) else {
            return Err(TestCaseError::fail("gave up"));
        };
        prop_assert_eq!(why, HoldReason::NotSent);
        prop_assert!(at > epoch() && at - epoch() <= TimeDelta::seconds(60));
    }

    #[test]
    fn no_chain_gets_more_than_its_retries(
        classes in proptest::collection::vec(proptest::option::of(any_class()), 1..60), max_retries in 0..=10_u8,
    ) {
        let settings = TenantSettings { max_retries, ..TenantSettings::default() };
        let mut chain: Vec<DeliveryFacts> = Vec::new();
        let mut retries = 0;
        for class in classes {
            chain.push(class.map_or_else(|| only(Fact::NotSent), refused));
            let refs: Vec<&DeliveryFacts> = chain.iter().collect();
            match next(&refs, &settings, None, 0, epoch()) {
                Next::Again { at, why } => {
                    prop_assert!(at > epoch());
                    retries += usize::from(why == HoldReason::Retry);
                }
                Next::Fail => break,
            }
        }
        prop_assert!(retries <= usize::from(max_retries));
    }

    #[test]
    fn the_end_of_the_chain_decides(
        before in proptest::collection::vec(any_class(), 0..10),
        last in proptest::sample::select(vec![RejectClass::Recipient, RejectClass::Request, RejectClass::Template]),
    ) {
        let mut chain: Vec<DeliveryFacts> = before.into_iter().map(refused).collect();
        chain.push(refused(last));
        prop_assert_eq!(ask(&chain, None), Next::Fail);
    }
}
