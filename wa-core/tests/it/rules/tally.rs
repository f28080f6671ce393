//! The counts of a campaign, kept along changes, against a recount of every message.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wa_core::model::{
    CampaignCounts, Currency, Fact, FailureCode, MessageState, RateCategory, RejectClass, SkipReason,
};
use wa_core::rules::cost::CostCounter;
use wa_core::rules::tally::{Counter, Standing, apply, delta};

use super::{failure, only, refused};

fn any_standing() -> impl Strategy<Value = Standing> {
    let skip = proptest::sample::select(SkipReason::ALL);
    (proptest::sample::select(MessageState::ALL), skip, 0..3_i64).prop_map(|(state, reason, code)| {
        let mut facts = refused(RejectClass::Recipient);
        let class = if code % 2 == 0 { RejectClass::Recipient } else { RejectClass::Retry };
        facts.failure = (code > 0).then(|| failure(code, class));
        Standing::new(state, Some(reason), &[&facts]).waiting(code == 1)
    })
}

/// The counts by looking at every message, written anew from the documentation of the fields.
fn recount(messages: &BTreeMap<u8, Standing>) -> CampaignCounts {
    use MessageState::{
        Accepted, Attempting, Delivered, Failed, Held, InDoubt, Pending, Played, Read, Sent, Skipped,
    };
    let count = |states: &[MessageState]| {
        u64::try_from(messages.values().filter(|it| states.contains(&it.state)).count()).expect("a count")
    };
    let mut reasons = BTreeMap::new();
    for reason in messages.values().filter_map(|it| it.reason.clone()) {
        *reasons.entry(reason).or_insert(0) += 1;
    }
    CampaignCounts {
        audience: u64::try_from(messages.len()).expect("a count"),
        pending: count(&[Pending, Held]),
        attempting: count(&[Attempting]),
        accepted: count(&[Accepted, Sent, Delivered, Read, Played]),
        failed: count(&[Failed]),
        critical: u64::try_from(messages.values().filter(|it| it.critical).count()).expect("a count"),
        in_doubt: count(&[InDoubt]),
        resending: u64::try_from(messages.values().filter(|it| it.resends).count()).expect("a count"),
        skipped: count(&[Skipped]),
        sent: count(&[Sent, Delivered, Read, Played]),
        delivered: count(&[Delivered, Read, Played]),
        read: count(&[Read, Played]),
        reasons,
        ..CampaignCounts::default()
    }
}

fn assert_sound(counts: &CampaignCounts) {
    let CampaignCounts { audience, pending, attempting, accepted, failed, in_doubt, skipped, .. } = counts;
    assert_eq!(*audience, pending + attempting + accepted + failed + in_doubt + skipped);
    assert!(counts.critical <= counts.failed);
    assert!(counts.resending <= counts.in_doubt);
    assert!(counts.read <= counts.delivered);
    assert!(counts.delivered <= counts.sent);
    assert!(counts.sent <= counts.accepted);
    assert_eq!(counts.reasons.values().sum::<u64>(), failed + skipped);
}

proptest! {
    #[test]
    fn counts_kept_by_changes_equal_a_recount(
        changes in proptest::collection::vec((any::<u8>().prop_map(|id| id % 12), any_standing()), 1..120),
    ) {
        let mut messages: BTreeMap<u8, Standing> = BTreeMap::new();
        let mut kept = CampaignCounts::default();
        let mut folded: BTreeMap<String, i64> = BTreeMap::new();
        for (id, standing) in changes {
            let mut sum: BTreeMap<Counter, i64> = BTreeMap::new();
            for (counter, change) in delta(messages.get(&id), &standing) {
                *sum.entry(counter.clone()).or_default() += change;
                *folded.entry(counter.key()).or_default() += change;
                apply(&mut kept, &counter, change);
            }
            // A message stands in one state: a change moves each counter by one at most.
            prop_assert!(sum.values().all(|change| (-1..=1).contains(change)));
            messages.insert(id, standing);
            prop_assert_eq!(&kept, &recount(&messages));
            assert_sound(&kept);
        }
        // A store folds the changes by key first, and in whatever order.
        let mut from_store = CampaignCounts::default();
        for (key, change) in folded {
            apply(&mut from_store, &Counter::from_key(&key).expect("a counter"), change);
        }
        prop_assert_eq!(from_store, kept);
    }

    #[test]
    fn an_equal_standing_changes_nothing(standing in any_standing()) {
        prop_assert!(delta(Some(&standing), &standing).is_empty());
    }

    #[test]
    fn a_change_and_its_reverse_cancel_out(a in any_standing(), b in any_standing()) {
        let mut counts = CampaignCounts::default();
        for (counter, change) in delta(None, &a) { apply(&mut counts, &counter, change); }
        let before = counts.clone();
        for (counter, change) in delta(Some(&a), &b).into_iter().chain(delta(Some(&b), &a)) {
            apply(&mut counts, &counter, change);
        }
        prop_assert_eq!(counts, before);
    }

    #[test]
    fn a_counter_survives_its_text_form(code in any::<i64>(), reason in "[a-z_]{1,12}:[a-z0-9_:-]{0,12}") {
        let euro: Currency = "EUR".parse().expect("a currency");
        let counters = [
            Counter::Audience, Counter::Pending, Counter::Attempting, Counter::Accepted, Counter::Failed,
            Counter::InDoubt, Counter::Resending, Counter::Skipped, Counter::Sent, Counter::Delivered, Counter::Read,
            Counter::Retries, Counter::Reason(reason),
            Counter::Cost(CostCounter::Micros(RateCategory::Marketing, euro)),
            Counter::Cost(CostCounter::Priced(RateCategory::AuthenticationInternational, euro)),
            Counter::Cost(CostCounter::Unpriced(RateCategory::Service)),
            Counter::Cost(CostCounter::Settled(RateCategory::Utility)),
            Counter::Reason(format!("failed:{code}")),
        ];
        for counter in counters {
            prop_assert_eq!(Counter::from_key(&counter.key()), Some(counter));
        }
    }
}

#[test]
fn a_key_that_no_counter_has_is_none() {
    for key in ["", "audiences", "cost.", "cost.micros.marketing", "cost.unpriced.beer", "Read"] {
        assert_eq!(Counter::from_key(key), None, "{key}");
    }
}

#[test]
fn cost_that_was_given_back_leaves_no_trace() {
    let euro =
        Counter::Cost(CostCounter::Micros(RateCategory::Marketing, "EUR".parse().expect("a currency")));
    let mut counts = CampaignCounts::default();
    apply(&mut counts, &euro, 25_000);
    apply(&mut counts, &euro, 25_000);
    assert_eq!(counts.cost.get("EUR"), Some(&50_000));
    apply(&mut counts, &euro, -50_000);
    assert_eq!(counts, CampaignCounts::default());
}

#[test]
fn the_reason_of_a_failure_is_the_code_of_the_latest_attempt_that_has_one() {
    let code = |code| FailureCode { code, ..failure(0, RejectClass::Recipient) };
    let with = |number| {
        let mut facts = only(Fact::Rejected);
        facts.failure = Some(code(number));
        facts
    };
    let reason = |attempts: &[&wa_core::model::DeliveryFacts]| {
        Standing::new(MessageState::Failed, None, attempts).reason
    };
    assert_eq!(reason(&[&with(1), &with(131_026)]).as_deref(), Some("failed:131026"));
    assert_eq!(reason(&[&with(1), &only(Fact::NotSent)]).as_deref(), Some("failed:1"));
    assert_eq!(reason(&[&only(Fact::NotSent)]).as_deref(), Some("failed:not_sent"));
    assert_eq!(reason(&[&only(Fact::Failed)]).as_deref(), Some("failed:unknown"));
    assert_eq!(reason(&[&only(Fact::NotSent), &only(Fact::Failed)]).as_deref(), Some("failed:unknown"));
}

#[test]
fn only_skipped_and_failed_messages_have_a_reason() {
    for state in MessageState::ALL {
        let standing = Standing::new(*state, Some(SkipReason::Expired), &[]);
        let expected = matches!(state, MessageState::Skipped | MessageState::Failed);
        assert_eq!(standing.reason.is_some(), expected, "{state:?}");
    }
    assert_eq!(
        Standing::new(MessageState::Skipped, Some(SkipReason::Expired), &[]).reason.as_deref(),
        Some("skipped:expired"),
    );
}
