//! What follows from outcomes. Source: the design's §4 and Meta, Error codes.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::{
    AttemptKey, BreakerReason, Consent, DeliveryFacts, Fact, HoldReason, MessageId, Outcome, RejectClass,
    TenantId, TenantSettings,
};
use wa_core::rules::retry::Next;
use wa_core::rules::settle::{Consequences, Merge, breaker_for, consequences};
use wa_core::rules::status::{merge_outcome, merge_status};

use super::{any_class, any_instant, epoch, failure, only};

/// A message as a store keeps it: the facts of its attempts, and what was given back.
#[derive(Default)]
struct Message {
    attempts: Vec<DeliveryFacts>,
    given_back: Vec<u32>,
    redriven: usize,
}

fn key() -> AttemptKey {
    AttemptKey {
        tenant: TenantId::from_uuid(uuid::Uuid::from_u128(1)),
        message: MessageId::from_uuid(uuid::Uuid::from_u128(2)),
        n: 1,
    }
}

#[expect(clippy::indexing_slicing, reason = "a test names places that it made")]
impl Message {
    fn with_attempts(count: usize) -> Self {
        Self { attempts: vec![DeliveryFacts::default(); count], given_back: vec![0; count], redriven: 0 }
    }

    fn merge(&mut self, place: usize, change: impl FnOnce(&mut DeliveryFacts)) -> Consequences {
        let before = self.attempts[place].clone();
        change(&mut self.attempts[place]);
        let chain: Vec<&DeliveryFacts> = self.attempts.iter().collect();
        let merge = Merge {
            key: key(),
            before: &before,
            chain: &chain,
            place,
            redriven: self.redriven,
            retry_after: None,
        };
        let then = consequences(&merge, &TenantSettings::default(), epoch());
        if then.gives_back {
            self.attempts[place].add(Fact::Released, epoch());
            self.given_back[place] += 1;
        }
        then
    }

    fn outcome(&mut self, place: usize, outcome: &Outcome) -> Consequences {
        self.merge(place, |facts| {
            merge_outcome(facts, outcome, epoch());
        })
    }

    fn failed(&mut self, place: usize, code: i64, class: RejectClass) -> Consequences {
        let failure = failure(code, class);
        self.merge(place, |facts| {
            merge_status(facts, Fact::Failed, Some(&failure), "wamid.1", None, epoch());
        })
    }
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: "wamid.1".to_owned() }
}

fn rejected(class: RejectClass) -> Outcome {
    Outcome::Rejected(failure(1, class))
}

#[derive(Debug, Clone)]
enum News {
    Outcome(Outcome),
    Status(Fact, Option<RejectClass>),
}

fn any_news() -> impl Strategy<Value = News> {
    prop_oneof![
        Just(News::Outcome(Outcome::NotSent)),
        Just(News::Outcome(Outcome::Ambiguous)),
        Just(News::Outcome(accepted())),
        any_class().prop_map(|class| News::Outcome(rejected(class))),
        proptest::sample::select(vec![Fact::Sent, Fact::Delivered, Fact::Read])
            .prop_map(|fact| News::Status(fact, None)),
        proptest::option::of(any_class()).prop_map(|class| News::Status(Fact::Failed, class)),
    ]
}

proptest! {
    #[test]
    fn an_attempt_gives_back_at_most_once_and_only_when_definitely_undelivered(
        news in proptest::collection::vec((0..3_usize, any_news(), any_instant()), 1..25),
    ) {
        let mut message = Message::with_attempts(3);
        for (place, news, at) in news {
            let then = message.merge(place, |facts| { apply(facts, &news, at); });
            let facts = &message.attempts[place];
            prop_assert!(!then.gives_back || facts.is_definitely_undelivered());
            // What is definitely undelivered has given back, no later than it became so.
            prop_assert!(!facts.is_definitely_undelivered() || message.given_back[place] == 1);
            prop_assert!(message.given_back.iter().all(|times| *times <= 1));
            let all_dead = message.attempts.iter().all(DeliveryFacts::is_definitely_undelivered);
            prop_assert!(then.next.is_none() || all_dead, "tried again while another may deliver");
        }
    }

    #[test]
    fn the_same_news_again_has_no_consequences(
        news in proptest::collection::vec((any_news(), any_instant()), 1..10),
    ) {
        let mut message = Message::with_attempts(1);
        for (news, at) in &news { message.merge(0, |facts| apply(facts, news, *at)); }
        let nothing =
            Consequences { gives_back: false, next: None, withdraws: false, breaker: None, consent: None };
        for (news, at) in &news {
            let then = message.merge(0, |facts| apply(facts, news, *at));
            // What may be delivered waits for no other attempt, however often that is said.
            prop_assert_eq!(Consequences { withdraws: false, ..then }, nothing.clone());
        }
    }

    #[test]
    fn a_message_that_died_is_either_put_back_or_failed_exactly_once(
        news in proptest::collection::vec((any_news(), any_instant()), 1..10),
    ) {
        let mut message = Message::with_attempts(1);
        let mut deaths = 0;
        for (news, at) in &news {
            let before = message.attempts[0].is_definitely_undelivered();
            let then = message.merge(0, |facts| apply(facts, news, *at));
            let died = !before && message.attempts[0].is_definitely_undelivered();
            prop_assert_eq!(then.next.is_some(), died);
            deaths += usize::from(died);
        }
        prop_assert!(deaths <= 2, "refused, then taken after all, then failed: not more");
    }
}

fn apply(facts: &mut DeliveryFacts, news: &News, at: DateTime<Utc>) {
    match news {
        News::Outcome(outcome) => merge_outcome(facts, outcome, at),
        News::Status(fact, class) => {
            let failure = class.map(|class| failure(2, class));
            merge_status(facts, *fact, failure.as_ref(), "wamid.1", None, at)
        }
    };
}

#[test]
fn what_may_have_left_keeps_its_quota() {
    for (outcome, withdraws) in [(Outcome::Ambiguous, false), (accepted(), true)] {
        let then = Message::with_attempts(1).outcome(0, &outcome);
        let nothing = Consequences { gives_back: false, next: None, withdraws, breaker: None, consent: None };
        assert_eq!(then, nothing);
    }
}

#[test]
fn what_never_left_gives_back_and_goes_again() {
    let then = Message::with_attempts(1).outcome(0, &Outcome::NotSent);
    assert!(then.gives_back);
    assert!(matches!(then.next, Some(Next::Again { why: HoldReason::NotSent, .. })));
}

#[test]
fn a_late_failure_report_gives_back_and_stays_a_failure() {
    let mut message = Message::with_attempts(1);
    message.outcome(0, &accepted());
    let then = message.failed(0, 131_026, RejectClass::Recipient);
    assert!(then.gives_back);
    assert_eq!(then.next, Some(Next::Fail));
}

#[test]
fn a_failure_report_after_delivery_gives_nothing_back() {
    let mut message =
        Message { attempts: vec![only(Fact::Delivered)], given_back: vec![0], ..Message::default() };
    let then = message.failed(0, 131_026, RejectClass::Recipient);
    assert_eq!((then.gives_back, then.next), (false, None));
}

#[test]
fn a_rejection_beside_an_attempt_in_doubt_is_not_tried_again() {
    let mut message = Message {
        attempts: vec![only(Fact::InDoubt), DeliveryFacts::default()],
        given_back: vec![0, 0],
        ..Message::default()
    };
    let then = message.outcome(1, &rejected(RejectClass::Retry));
    assert!(then.gives_back);
    assert_eq!(then.next, None);
    // Only when a webhook proves that the first did not arrive either, the message is decided.
    assert!(message.failed(0, 131_026, RejectClass::Recipient).next.is_some());
}

#[test]
fn an_opt_out_at_the_provider_is_recorded_as_no_marketing() {
    let then = Message::with_attempts(1).outcome(0, &rejected(RejectClass::OptedOut));
    assert_eq!(then.consent, Some(Consent::NoMarketing));
    for class in RejectClass::ALL.into_iter().filter(|class| *class != RejectClass::OptedOut) {
        assert_eq!(Message::with_attempts(1).outcome(0, &rejected(class)).consent, None, "{class:?}");
    }
}

#[test]
fn only_what_the_provider_stopped_opens_a_breaker() {
    for class in RejectClass::ALL {
        let expected = match class {
            RejectClass::Credential => Some((false, BreakerReason::Credential, None)),
            RejectClass::Account => Some((false, BreakerReason::Account, None)),
            RejectClass::Billing => Some((false, BreakerReason::Billing, None)),
            RejectClass::Spam => Some((false, BreakerReason::Spam, Some(TimeDelta::hours(6)))),
            RejectClass::TemplatePaused => {
                Some((true, BreakerReason::TemplatePaused, Some(TimeDelta::hours(3))))
            }
            _ => None,
        };
        let rule = breaker_for(&failure(7, class));
        assert_eq!(rule.map(|rule| (rule.template_only, rule.reason, rule.lasts)), expected, "{class:?}");
        assert!(rule.is_none_or(|rule| rule.code == 7));
    }
}

#[test]
fn what_was_put_back_by_hand_counts_its_retries_anew() {
    let mut message = Message::with_attempts(4);
    for place in 0..3 {
        message.outcome(place, &rejected(RejectClass::Retry));
    }
    let last = message.outcome(3, &rejected(RejectClass::Retry));
    assert_eq!(last.next, Some(Next::Fail), "three retries are used up");
    message.attempts.push(DeliveryFacts::default());
    message.given_back.push(0);
    message.redriven = 4;
    let first = message.outcome(4, &rejected(RejectClass::Retry));
    let expected = Next::Again { at: epoch() + TimeDelta::seconds(5), why: HoldReason::Retry };
    assert_eq!(first.next, Some(expected), "as a new message");
}

#[test]
fn a_place_that_is_not_in_the_chain_has_no_consequences() {
    let facts = only(Fact::Rejected);
    let before = DeliveryFacts::default();
    let merge =
        Merge { key: key(), before: &before, chain: &[&facts], place: 1, redriven: 0, retry_after: None };
    let then = consequences(&merge, &TenantSettings::default(), epoch());
    let nothing =
        Consequences { gives_back: false, next: None, withdraws: false, breaker: None, consent: None };
    assert_eq!(then, nothing);
}

#[test]
fn what_waits_is_withdrawn_once_the_message_may_be_delivered_or_failed_for_good() {
    let doubtful =
        || Message { attempts: vec![only(Fact::InDoubt)], given_back: vec![0], ..Message::default() };
    assert!(!doubtful().outcome(0, &Outcome::Ambiguous).withdraws, "nothing new is known");
    assert!(doubtful().outcome(0, &accepted()).withdraws);
    assert!(doubtful().failed(0, 131_026, RejectClass::Recipient).withdraws, "it failed for good");
    assert!(!doubtful().failed(0, 1, RejectClass::Retry).withdraws, "it is tried again");
    let mut both =
        Message { attempts: vec![only(Fact::InDoubt); 2], given_back: vec![0, 0], ..Message::default() };
    assert!(!both.failed(1, 131_026, RejectClass::Recipient).withdraws, "nobody knows about the other");
}
