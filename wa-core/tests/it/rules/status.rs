//! Source of the claims: Meta, Webhooks: order is not guaranteed, repeats are, `delivered` may be missing.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::{
    DeliveryFacts, Fact, FailureCode, HoldReason, MessageState, Outcome, RejectClass, SkipReason,
};
use wa_core::rules::status::{MessageFacts, merge_outcome, merge_status, message_state};

use super::{any_class, any_instant, at, epoch, failure, only};

#[derive(Debug, Clone)]
enum News {
    Outcome(Outcome),
    Status(Fact, Option<FailureCode>, String),
}

fn any_failure() -> impl Strategy<Value = FailureCode> {
    (0..4_i64, any_class(), "[ab]").prop_map(|(code, class, title)| FailureCode {
        code,
        class,
        title,
        details: None,
    })
}

fn any_news() -> impl Strategy<Value = News> {
    let id = || prop_oneof![4 => Just("wamid.1".to_owned()), 1 => Just("wamid.0".to_owned())];
    prop_oneof![
        id().prop_map(|provider_id| News::Outcome(Outcome::Accepted { provider_id })),
        Just(News::Outcome(Outcome::Ambiguous)),
        Just(News::Outcome(Outcome::NotSent)),
        any_failure().prop_map(|failure| News::Outcome(Outcome::Rejected(failure))),
        (proptest::sample::select(vec![Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played]), id())
            .prop_map(|(fact, id)| News::Status(fact, None, id)),
        (proptest::option::of(any_failure()), id()).prop_map(|(failure, id)| News::Status(
            Fact::Failed,
            failure,
            id
        )),
    ]
}

fn merge(facts: &mut DeliveryFacts, news: &News, at: DateTime<Utc>) -> bool {
    match news {
        News::Outcome(outcome) => merge_outcome(facts, outcome, at),
        News::Status(fact, failure, id) => merge_status(facts, *fact, failure.as_ref(), id, None, at),
    }
}

fn state(attempts: &[DeliveryFacts]) -> MessageState {
    let attempts: Vec<&DeliveryFacts> = attempts.iter().collect();
    message_state(&MessageFacts { attempts: &attempts, closed: None, queued: None })
}

/// Every order of up to seven pieces of news, by Heap's algorithm.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    fn heap<T: Clone>(size: usize, items: &mut Vec<T>, found: &mut Vec<Vec<T>>) {
        if size <= 1 {
            found.push(items.clone());
            return;
        }
        for place in 0..size {
            heap(size - 1, items, found);
            items.swap(if size.is_multiple_of(2) { place } else { 0 }, size - 1);
        }
    }
    let mut found = Vec::new();
    heap(items.len(), &mut items.to_vec(), &mut found);
    found
}

#[test]
fn every_permutation_and_repetition_of_statuses_gives_the_same_state() {
    let status = |fact, failure: Option<FailureCode>| News::Status(fact, failure, "wamid.1".to_owned());
    let taken = News::Outcome(Outcome::Accepted { provider_id: "wamid.1".to_owned() });
    let expired = Some(failure(131_026, RejectClass::Recipient));
    let sets = [
        (vec![taken.clone(), status(Fact::Sent, None)], MessageState::Sent),
        (
            vec![taken.clone(), status(Fact::Sent, None), status(Fact::Delivered, None)],
            MessageState::Delivered,
        ),
        (
            vec![
                taken.clone(),
                status(Fact::Sent, None),
                status(Fact::Delivered, None),
                status(Fact::Read, None),
            ],
            MessageState::Read,
        ),
        (vec![status(Fact::Sent, None), status(Fact::Read, None)], MessageState::Read),
        (vec![status(Fact::Read, None), status(Fact::Played, None)], MessageState::Played),
        (
            vec![taken.clone(), status(Fact::Sent, None), status(Fact::Failed, expired.clone())],
            MessageState::Failed,
        ),
        (
            vec![taken.clone(), status(Fact::Failed, expired.clone()), status(Fact::Delivered, None)],
            MessageState::Delivered,
        ),
        (vec![News::Outcome(Outcome::Ambiguous), status(Fact::Delivered, None)], MessageState::Delivered),
        (vec![News::Outcome(Outcome::Ambiguous), status(Fact::Failed, expired)], MessageState::Failed),
        (vec![News::Outcome(Outcome::Ambiguous), taken], MessageState::Accepted),
    ];
    let mut tried = 0;
    for (set, expected) in sets {
        let stamped: Vec<(News, DateTime<Utc>)> = set.into_iter().zip((0..).map(|n| at(n * 60))).collect();
        let mut twice = stamped.clone();
        twice.extend(stamped.iter().take(3).cloned());
        let merged = |order: &[(News, DateTime<Utc>)]| {
            let mut facts = DeliveryFacts::default();
            for (news, at) in order {
                merge(&mut facts, news, *at);
            }
            facts
        };
        let first = merged(&stamped);
        for order in permutations(&stamped).into_iter().chain(permutations(&twice)) {
            let facts = merged(&order);
            assert_eq!(facts, first, "{order:?}");
            assert_eq!(state(&[facts]), expected, "{order:?}");
            tried += 1;
        }
    }
    println!("{tried} orders of status updates gave the same state as the first");
}

proptest! {
    #[test]
    fn the_order_and_repetition_of_news_do_not_matter(
        (news, shuffled) in proptest::collection::vec((any_news(), any_instant()), 1..10)
            .prop_flat_map(|news| {
                let mut doubled = news.clone();
                doubled.extend(news.iter().take(4).cloned());
                (Just(news), Just(doubled).prop_shuffle())
            }),
    ) {
        let mut facts = (DeliveryFacts::default(), DeliveryFacts::default());
        for (news, at) in &news { merge(&mut facts.0, news, *at); }
        for (news, at) in &shuffled { merge(&mut facts.1, news, *at); }
        prop_assert_eq!(&facts.0, &facts.1);
        prop_assert_eq!(state(&[facts.0]), state(&[facts.1]));
    }

    #[test]
    fn a_merge_says_whether_it_changed_anything(
        news in proptest::collection::vec((any_news(), any_instant()), 1..12),
    ) {
        let mut facts = DeliveryFacts::default();
        for (news, at) in news {
            let before = facts.clone();
            let changed = merge(&mut facts, &news, at);
            prop_assert_eq!(changed, before != facts);
            prop_assert!(!merge(&mut facts, &news, at), "the second time");
        }
    }

    #[test]
    fn facts_never_regress(news in proptest::collection::vec((any_news(), any_instant()), 1..12)) {
        let mut facts = DeliveryFacts::default();
        for (news, at) in news {
            let before = facts.clone();
            merge(&mut facts, &news, at);
            for fact in Fact::ALL {
                match (before.at(fact), facts.at(fact)) {
                    (Some(old), Some(new)) => prop_assert!(new <= old),
                    (Some(_), None) => prop_assert!(false, "{fact:?} was lost"),
                    (None, _) => {}
                }
            }
            prop_assert!(facts.is_delivered() || !before.is_delivered());
            prop_assert!(facts.is_taken() || !before.is_taken());
        }
    }

    #[test]
    fn evidence_of_delivery_beats_every_failure(
        news in proptest::collection::vec((any_news(), any_instant()), 0..10),
        fact in proptest::sample::select(vec![Fact::Delivered, Fact::Read, Fact::Played]),
    ) {
        let mut facts = DeliveryFacts::default();
        facts.add(fact, epoch());
        for (news, at) in news { merge(&mut facts, &news, at); }
        prop_assert!(!facts.is_definitely_undelivered());
        let shown = state(&[facts]);
        prop_assert!(matches!(shown, MessageState::Delivered | MessageState::Read | MessageState::Played));
    }

    #[test]
    fn a_message_is_failed_only_if_every_attempt_is_definite(
        attempts in proptest::collection::vec(proptest::collection::vec((any_news(), any_instant()), 0..5), 1..4),
    ) {
        let attempts: Vec<DeliveryFacts> = attempts.into_iter().map(|news| {
            let mut facts = DeliveryFacts::default();
            for (news, at) in news { merge(&mut facts, &news, at); }
            facts
        }).collect();
        let shown = state(&attempts);
        let all_dead = attempts.iter().all(DeliveryFacts::is_definitely_undelivered);
        prop_assert_eq!(shown == MessageState::Failed, all_dead);
        let best = if attempts.iter().any(|it| it.has(Fact::Played)) { Some(MessageState::Played) }
            else if attempts.iter().any(|it| it.has(Fact::Read)) { Some(MessageState::Read) }
            else if attempts.iter().any(|it| it.has(Fact::Delivered)) { Some(MessageState::Delivered) }
            else { None };
        if let Some(best) = best { prop_assert_eq!(shown, best); }
        let mut turned = attempts;
        turned.reverse();
        prop_assert_eq!(state(&turned), shown);
    }
}

#[test]
fn a_rejection_of_attempt_2_leaves_attempt_1_in_doubt() {
    let (doubt, no) = (only(Fact::InDoubt), only(Fact::Rejected));
    assert_eq!(state(&[doubt.clone(), no.clone()]), MessageState::InDoubt);
    assert_eq!(state(&[doubt.clone(), only(Fact::NotSent)]), MessageState::InDoubt);
    assert_eq!(state(&[doubt.clone(), only(Fact::Failed)]), MessageState::InDoubt);
    assert_eq!(state(&[doubt, only(Fact::Accepted)]), MessageState::Accepted);
    assert_eq!(state(&[no.clone(), no]), MessageState::Failed);
}

#[test]
fn a_rejection_settles_the_doubt_about_its_own_attempt() {
    let mut facts = only(Fact::InDoubt);
    merge_outcome(&mut facts, &Outcome::Rejected(failure(131_026, RejectClass::Recipient)), at(40));
    assert_eq!(state(&[facts]), MessageState::Failed);
}

#[test]
fn what_is_waiting_and_closed_is_told_apart() {
    let dead = only(Fact::Rejected);
    let show = |attempts: &[&DeliveryFacts], closed, queued| {
        message_state(&MessageFacts { attempts, closed, queued })
    };
    assert_eq!(show(&[], None, Some(None)), MessageState::Pending);
    assert_eq!(show(&[], None, Some(Some(HoldReason::TierFull))), MessageState::Held);
    assert_eq!(show(&[], Some(SkipReason::Expired), None), MessageState::Skipped);
    assert_eq!(show(&[&dead], None, Some(Some(HoldReason::Retry))), MessageState::Held);
    assert_eq!(show(&[&dead], Some(SkipReason::Cancelled), None), MessageState::Skipped);
    assert_eq!(show(&[&dead], None, None), MessageState::Failed);
    let open = DeliveryFacts::default();
    assert_eq!(show(&[&open], None, None), MessageState::Attempting);
    assert_eq!(show(&[&only(Fact::InDoubt)], Some(SkipReason::Cancelled), None), MessageState::InDoubt);
}

#[test]
fn of_two_live_attempts_the_further_one_is_shown() {
    let mut sent = only(Fact::Accepted);
    sent.add(Fact::Sent, epoch() + TimeDelta::seconds(1));
    for attempts in [[only(Fact::Accepted), sent.clone()], [sent.clone(), only(Fact::Accepted)]] {
        assert_eq!(state(&attempts), MessageState::Sent);
    }
}
