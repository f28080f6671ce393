//! What becomes of a message in doubt, case by case.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::{
    AttemptKey, CampaignState, DeliveryFacts, Fact, InDoubtPolicy, MessageId, RejectClass, SkipReason,
    TenantId, TenantSettings,
};
use wa_core::rules::doubt::{
    BESIDE, Case, Decision, ENOUGH, Evidence, FINAL_AFTER, Link, MOST_RESENDS, bars_resend, decide,
    is_heard_of, policy,
};

use super::{at, epoch, only, refused};

const AFTER: i64 = 600;
const GRACE: i64 = 10;
/// From a begin to the end of its request.
const REQUEST: i64 = 35;

fn resend() -> InDoubtPolicy {
    InDoubtPolicy::ResendAfter { after: Duration::from_secs(600) }
}

fn proven() -> InDoubtPolicy {
    InDoubtPolicy::ResendAfterProvenSilence { after: Duration::from_secs(600) }
}

const PROOF: Option<Evidence> = Some(Evidence { backlog: false, heard: ENOUGH });

/// A message as a test describes it: its attempts begin at these seconds.
#[derive(Clone)]
struct Message {
    attempts: Vec<(i64, DeliveryFacts)>,
    policy: InDoubtPolicy,
    queued: bool,
    closed: Option<SkipReason>,
    campaign: Option<CampaignState>,
    valid_until: Option<DateTime<Utc>>,
    /// The attempts that another life of the store began.
    former: Vec<u16>,
}

impl Message {
    fn doubtful(policy: InDoubtPolicy) -> Self {
        let attempts = vec![(0, only(Fact::InDoubt))];
        let former = Vec::new();
        Self { attempts, policy, queued: false, closed: None, campaign: None, valid_until: None, former }
    }

    fn and(mut self, second: i64, facts: DeliveryFacts) -> Self {
        self.attempts.push((second, facts));
        self
    }

    fn ask<T>(&self, ask: impl FnOnce(&Case<'_>) -> T) -> T {
        let link = |(n, (begun, facts)): (u16, &'_ (i64, DeliveryFacts))| (n, at(*begun), facts.clone());
        let owned: Vec<_> = (1..).zip(&self.attempts).map(link).collect();
        let chain: Vec<_> = owned
            .iter()
            .map(|(n, begun_at, facts)| Link {
                n: *n,
                begun_at: *begun_at,
                end_by: *begun_at + TimeDelta::seconds(REQUEST),
                former: self.former.contains(n),
                facts,
            })
            .collect();
        let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(1));
        let message = MessageId::from_uuid(uuid::Uuid::from_u128(2));
        ask(&Case {
            key: AttemptKey { tenant, message, n: 1 },
            policy: self.policy,
            chain: &chain,
            queued: self.queued,
            closed: self.closed,
            campaign: self.campaign,
            valid_until: self.valid_until,
            grace: TimeDelta::seconds(GRACE),
        })
    }

    fn at(&self, second: i64, evidence: Option<Evidence>) -> Decision {
        self.ask(|case| decide(case, &TenantSettings::default(), evidence, at(second)))
    }
}

fn keep(second: i64) -> Decision {
    Decision::Keep { look_at: Some(at(second)) }
}

const FINAL: i64 = 37 * 86_400;
const RIPE: i64 = REQUEST + AFTER;

#[test]
fn the_narrowest_policy_holds() {
    let settings = TenantSettings { in_doubt: proven(), ..TenantSettings::default() };
    let manual = Some(InDoubtPolicy::Manual);
    for (message, campaign, expected) in [
        (None, None, proven()),
        (None, manual, InDoubtPolicy::Manual),
        (Some(resend()), manual, resend()),
        (Some(InDoubtPolicy::AtMostOnce), None, InDoubtPolicy::AtMostOnce),
    ] {
        assert_eq!(policy(message, campaign, &settings), expected);
    }
    assert_eq!(policy(None, None, &TenantSettings::default()), InDoubtPolicy::AtMostOnce);
}

#[test]
fn at_most_once_waits_for_a_webhook_and_then_gives_up() {
    let message = Message::doubtful(InDoubtPolicy::AtMostOnce);
    for second in [0, RIPE, 86_400, FINAL - 2] {
        assert_eq!(message.at(second, PROOF), keep(FINAL));
    }
    assert_eq!(message.at(FINAL, PROOF), Decision::GiveUp);
    assert_eq!(FINAL_AFTER, TimeDelta::days(30 + 7));
}

#[test]
fn what_a_person_decides_waits_for_a_person() {
    let message = Message::doubtful(InDoubtPolicy::Manual);
    for second in [0, RIPE, FINAL, 10 * FINAL] {
        assert_eq!(message.at(second, PROOF), Decision::Keep { look_at: None });
    }
}

#[test]
fn a_resend_waits_for_its_time() {
    let message = Message::doubtful(resend());
    assert_eq!(message.at(0, None), keep(RIPE));
    assert_eq!(message.at(RIPE - 2, None), keep(RIPE));
    assert_eq!(message.at(RIPE, None), Decision::Resend);
    assert_eq!(message.at(FINAL - 1, None), Decision::Resend);
    assert_eq!(message.at(FINAL, None), Decision::GiveUp);
    // A request that may still be under way is waited for.
    let short = InDoubtPolicy::ResendAfter { after: Duration::from_secs(1) };
    assert_eq!(Message::doubtful(short).at(0, None), keep(REQUEST + GRACE));
}

#[test]
fn silence_is_proven_by_enough_others_and_an_empty_inbox() {
    let message = Message::doubtful(proven());
    assert_eq!(message.at(RIPE - 2, PROOF), keep(RIPE), "not before its time");
    assert_eq!(message.at(RIPE, None), Decision::Ask);
    assert_eq!(message.at(RIPE, PROOF), Decision::Resend);
    for (backlog, heard) in [(false, 0), (false, ENOUGH - 1), (true, ENOUGH), (true, 100)] {
        let evidence = Some(Evidence { backlog, heard });
        let Decision::Keep { look_at: Some(look_at) } = message.at(RIPE, evidence) else {
            panic!("{evidence:?} proves nothing");
        };
        assert!(look_at >= at(RIPE + 60) && look_at < at(RIPE + 600), "{look_at}");
        assert_eq!(message.at(FINAL, evidence), Decision::GiveUp);
    }
    // The longer it is silent the more seldom it is looked at.
    let nothing = Some(Evidence { backlog: false, heard: 0 });
    assert_eq!(message.at(10 * 86_400, nothing), keep(10 * 86_400 + 6 * 3_600));
    assert_eq!(BESIDE, TimeDelta::minutes(5));
}

#[test]
fn only_a_webhook_proves_that_webhooks_come() {
    for status in [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed] {
        let mut facts = only(status);
        assert!(!is_heard_of(&facts), "somebody may have said so");
        facts.provider_id = Some("wamid.1".to_owned());
        assert!(is_heard_of(&facts));
    }
    let mut facts = only(Fact::Accepted);
    facts.provider_id = Some("wamid.1".to_owned());
    assert!(!is_heard_of(&facts), "that is the answer to the request");
}

#[test]
fn what_is_over_is_not_sent_again() {
    let base = Message::doubtful(resend());
    let over = [
        Message { closed: Some(SkipReason::OptedOut), ..base.clone() },
        Message { campaign: Some(CampaignState::Cancelled), ..base.clone() },
        Message { valid_until: Some(at(RIPE)), ..base.clone() },
    ];
    for message in over {
        assert_eq!(message.at(0, None), keep(FINAL));
        assert_eq!(message.at(RIPE, None), keep(FINAL));
        assert_eq!(message.at(FINAL, None), Decision::GiveUp);
    }
    for state in [CampaignState::Running, CampaignState::Completed, CampaignState::Paused] {
        let message = Message { campaign: Some(state), ..base.clone() };
        assert_eq!(message.at(RIPE, None), Decision::Resend, "{state:?}");
    }
    let late = Message { valid_until: Some(at(RIPE + 1)), ..base.clone() };
    assert_eq!(late.at(RIPE, None), Decision::Resend, "just in time");
    let queued = Message { queued: true, ..base };
    assert_eq!(queued.at(RIPE, None), keep(FINAL), "once");
    assert_eq!(queued.at(FINAL, None), keep(FINAL + 86_400), "what waits is not given up on");
}

#[test]
fn what_is_not_in_doubt_is_left_alone() {
    for facts in [only(Fact::Accepted), only(Fact::Rejected), DeliveryFacts::default()] {
        let message = Message { attempts: vec![(0, facts)], ..Message::doubtful(resend()) };
        assert_eq!(message.at(RIPE, None), Decision::Keep { look_at: None });
    }
    let under_way = Message::doubtful(resend()).and(RIPE, DeliveryFacts::default());
    assert_eq!(under_way.at(RIPE + 1, None), Decision::Keep { look_at: None });
}

#[test]
fn each_wait_is_counted_from_the_latest_attempt_in_doubt() {
    let twice = Message::doubtful(resend()).and(1_000, only(Fact::InDoubt));
    assert_eq!(twice.at(1_100, None), keep(1_000 + RIPE));
    assert_eq!(twice.at(1_000 + RIPE, None), Decision::Resend);
    assert_eq!(twice.at(FINAL, None), Decision::Resend, "nor is it given up on before");
    assert_eq!(twice.at(1_000 + FINAL, None), Decision::GiveUp);
    let mut often = Message::doubtful(resend());
    for turn in 1..=i64::try_from(MOST_RESENDS).expect("few") {
        assert_eq!(often.at(turn * 1_000, None), Decision::Resend);
        often = often.and(turn * 1_000, only(Fact::InDoubt));
    }
    assert!(matches!(often.at(86_400, None), Decision::Keep { .. }), "often enough");
}

#[test]
fn a_resend_that_failed_is_tried_again_as_any_message_is() {
    // `refused` says no at the epoch.
    let passing = Message::doubtful(resend()).and(0, refused(RejectClass::Retry));
    assert_eq!(passing.at(RIPE, None), Decision::Resend);
    let mut dead = Message::doubtful(resend());
    for _ in 0..4 {
        dead = dead.and(0, refused(RejectClass::Retry));
    }
    assert_eq!(dead.at(RIPE, None), keep(FINAL), "three retries are used up");
    let later = Message::doubtful(resend()).and(0, refused(RejectClass::Recipient));
    assert_eq!(later.at(RIPE, None), keep(FINAL));
    let mut unsent = DeliveryFacts::default();
    unsent.add(Fact::NotSent, at(RIPE));
    assert_eq!(Message::doubtful(resend()).and(RIPE, unsent).at(RIPE, None), keep(RIPE + 2));
    assert_eq!(epoch(), at(0));
}

#[test]
fn a_resend_by_hand_is_barred_by_what_is_over() {
    let base = Message::doubtful(InDoubtPolicy::AtMostOnce);
    let barred = |message: &Message| message.ask(|case| bars_resend(case, at(100)));
    assert_eq!(barred(&base), None);
    let cancelled = Message { campaign: Some(CampaignState::Cancelled), ..base.clone() };
    assert_eq!(barred(&cancelled), Some(SkipReason::Cancelled));
    let expired = Message { valid_until: Some(at(100)), ..base.clone() };
    assert_eq!(barred(&expired), Some(SkipReason::Expired));
    for reason in SkipReason::ALL.iter().copied() {
        let closed = Message { closed: Some(reason), ..base.clone() };
        let passes = wa_core::rules::redrive::may_return(reason) || reason == SkipReason::Cancelled;
        assert_eq!(barred(&closed).is_none(), passes, "{reason:?}");
    }
}

proptest! {
    #[test]
    fn nothing_is_sent_again_that_no_policy_allows(
        policy in proptest::sample::select(vec![InDoubtPolicy::AtMostOnce, InDoubtPolicy::Manual]),
        attempts in proptest::collection::vec((0..10_000_i64, any_facts()), 1..5),
        second in 0..2 * FINAL,
        heard in 0..10_u32,
    ) {
        let message = Message { attempts, ..Message::doubtful(policy) };
        let decision = message.at(second, Some(Evidence { backlog: false, heard }));
        prop_assert!(!matches!(decision, Decision::Resend | Decision::Ask));
    }

    #[test]
    fn nothing_is_sent_again_before_its_time_or_without_proof(
        attempts in proptest::collection::vec((0..10_000_i64, any_facts()), 1..5),
        second in 0..FINAL,
        backlog in any::<bool>(),
        heard in 0..5_u32,
    ) {
        let message = Message { attempts: attempts.clone(), ..Message::doubtful(proven()) };
        let decision = message.at(second, Some(Evidence { backlog, heard }));
        prop_assert!(decision != Decision::Ask, "the evidence was given");
        if decision == Decision::Resend {
            prop_assert!(!backlog && heard >= ENOUGH);
            let taken = attempts.iter().any(|(_, facts)| facts.is_taken());
            prop_assert!(!taken, "what may be delivered is not in doubt");
            let doubtful = attempts.iter().filter(|(_, facts)| facts.has(Fact::InDoubt));
            prop_assert!(doubtful.clone().count() > 0);
            prop_assert!(doubtful.clone().all(|(begun, _)| second >= begun + RIPE));
        }
        if let Decision::Keep { look_at: Some(look_at) } = decision {
            prop_assert!(look_at > at(second), "it is looked at again, later");
        }
    }
}

fn any_facts() -> impl Strategy<Value = DeliveryFacts> {
    proptest::sample::select(vec![
        only(Fact::InDoubt),
        only(Fact::NotSent),
        refused(RejectClass::Retry),
        refused(RejectClass::Recipient),
        DeliveryFacts::default(),
    ])
}

#[test]
fn what_another_life_began_is_not_sent_again_by_itself() {
    for policy in [resend(), proven()] {
        let mut message = Message::doubtful(policy);
        assert_eq!(message.at(REQUEST + AFTER, PROOF), Decision::Resend);
        message.former = vec![1];
        assert_eq!(message.at(REQUEST + AFTER, PROOF), keep(FINAL));
        assert_eq!(message.at(FINAL, PROOF), Decision::GiveUp);
        assert_eq!(message.ask(|case| bars_resend(case, at(REQUEST))), None, "by hand it may be");

        // What this life began afterwards does not make up for it.
        let mut message = message.and(1_000, only(Fact::InDoubt));
        assert_eq!(message.at(1_000 + REQUEST + AFTER, PROOF), keep(FINAL + 1_000));
        message.former = vec![2];
        assert_eq!(message.at(1_000 + REQUEST + AFTER, PROOF), keep(FINAL + 1_000));
    }
}
