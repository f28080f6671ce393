//! The engine's steps, driven single-threaded on manual time.

mod cluster;
mod contents;
mod doubt;
mod failures;
mod faults;
mod limits;
mod overheard;
mod ownership;
mod provider;
mod restored;
mod running;
mod schedules;
mod simulation;
mod spreading;
mod stage;
mod stalls;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use futures::executor::block_on;

use self::faults::{Call, Fault, FaultyStore};
use self::stage::{Stage, most_in_a_second, rejected};
use crate::model::*;
use crate::port::store::*;
use crate::port::{Clock, SendOutcome};
use crate::service::EngineConfig;
use crate::testing::Reply;

#[test]
fn a_message_goes_from_the_queue_to_the_provider_and_is_accepted() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(1));
    let view = stage.view(id);
    assert_eq!(view.state, MessageState::Accepted);
    assert_eq!(view.attempts.len(), 1);
    assert_eq!(stage.transport.sent().len(), 1);
}

#[test]
fn a_campaign_keeps_its_numbers_throughput_and_reaches_everybody_once() {
    let mut stage = Stage::new(20, EngineConfig::default());
    let campaign = stage.campaign(200);
    stage.wake();
    stage.run_for(Duration::from_secs(12));
    let sent = stage.transport.sent();
    assert_eq!(sent.len(), 200);
    let instants: Vec<_> = sent.iter().map(|request| request.at).collect();
    assert!(most_in_a_second(&instants) <= 20);
    let counts = stage.counts(campaign);
    assert_eq!((counts.audience, counts.accepted, counts.pending), (200, 200, 0));
    let state = block_on(stage.tenant.campaigns().get(campaign)).expect("a campaign").state;
    assert_eq!(state, CampaignState::Completed);
}

#[test]
fn never_more_is_open_than_may_be_in_doubt() {
    for bound in [1, 2, 7, 64] {
        let config = EngineConfig { max_in_doubt_per_crash: bound, ..EngineConfig::default() };
        let mut stage = Stage::new(1_000, config);
        let campaign = stage.campaign(150);
        stage.wake();
        stage.run_for(Duration::from_secs(60));
        assert_eq!(stage.counts(campaign).accepted, 150, "bound {bound}");
        assert!(stage.most_open <= bound, "{} open at bound {bound}", stage.most_open);
        assert!(stage.most_open >= bound.min(2), "the bound {bound} is used");
    }
}

#[test]
fn a_reply_that_never_comes_leaves_the_message_in_doubt_for_good() {
    let mut stage = Stage::new(80, EngineConfig::default());
    stage.transport.then(Reply::Never);
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(40));
    assert_eq!(stage.view(id).state, MessageState::Attempting);
    stage.run_for(Duration::from_secs(20));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    assert_eq!(stage.transport.sent().len(), 1, "it is not sent again");
}

#[test]
fn a_status_with_the_attempts_tag_resolves_it() {
    let mut stage = Stage::new(80, EngineConfig::default());
    stage.transport.then(Reply::Outcome(SendOutcome::Ambiguous { why: "time-out".to_owned() }));
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(1));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    let tag = stage.transport.sent()[0].tag.clone();
    stage.status(&tag.replace(".1.", ".2."), Fact::Delivered);
    assert_eq!(stage.view(id).state, MessageState::InDoubt, "a forged tag resolves nothing");
    stage.status(&tag, Fact::Delivered);
    assert_eq!(stage.view(id).state, MessageState::Delivered);
}

#[test]
fn a_throttle_uses_up_no_retry_and_slows_the_number_down() {
    let mut stage = Stage::new(80, EngineConfig::default());
    for _ in 0..6 {
        stage.transport.then(rejected(RejectClass::Throttled, 130_429));
    }
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(300));
    let view = stage.view(id);
    assert_eq!(view.state, MessageState::Accepted);
    assert_eq!(view.attempts.len(), 7);
}

#[test]
fn a_passing_failure_is_tried_again_after_5_10_and_15_seconds_and_no_more() {
    let mut stage = Stage::new(80, EngineConfig::default());
    for _ in 0..9 {
        stage.transport.then(rejected(RejectClass::Retry, 131_000));
    }
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(600));
    assert_eq!(stage.view(id).state, MessageState::Failed);
    let at: Vec<_> = stage.transport.sent().iter().map(|request| request.at).collect();
    let gaps: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).num_seconds()).collect();
    assert_eq!(gaps, [5, 10, 15]);
}

#[test]
fn a_dead_token_stops_the_session_and_loses_nothing() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(Duration::from_millis(200));
    let before = stage.transport.sent().len();
    assert!(before > 0);
    stage.token_is_valid.store(false, Ordering::SeqCst);
    stage.run_for(Duration::from_secs(60));
    let refused = stage.transport.sent().len() - before;
    assert!((1..=64).contains(&refused), "{refused} requests although the token is dead");
    let breakers = block_on(stage.tenant.sessions().breakers()).expect("breakers");
    assert_eq!(breakers.iter().map(|it| it.reason).collect::<Vec<_>>(), [BreakerReason::Credential]);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.pending, counts.failed), (before as u64, 100 - before as u64, 0));
    stage.token_is_valid.store(true, Ordering::SeqCst);
    let scope = BreakerScope::Session(stage.session);
    assert!(block_on(stage.tenant.sessions().reset(&scope)).expect("reset"));
    stage.wake();
    stage.run_for(Duration::from_secs(60));
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100 + refused, "nobody was accepted twice");
}

#[test]
fn after_a_pause_only_what_has_begun_goes_out() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(200);
    stage.wake();
    stage.run_for(Duration::from_secs(3));
    let before = stage.transport.sent().len();
    let live = stage.worker.status().open;
    block_on(stage.tenant.campaigns().pause(campaign)).expect("paused");
    stage.run_for(Duration::from_secs(60));
    let after = stage.transport.sent().len();
    assert!(after - before <= live, "{} more although {live} were live", after - before);
    block_on(stage.tenant.campaigns().resume(campaign)).expect("resumed");
    stage.wake();
    stage.run_for(Duration::from_secs(20));
    assert_eq!(stage.counts(campaign).accepted, 200);
    assert_eq!(stage.transport.sent().len(), 200);
}

#[test]
fn a_one_time_code_does_not_wait_behind_a_campaign() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    stage.campaign(400);
    stage.wake();
    stage.run_for(Duration::from_secs(3));
    let id = stage.send(stage.single(4_915_199_999_999));
    let asked_at = stage.clock.now();
    stage.wake();
    stage.run_for(Duration::from_secs(5));
    let sent = stage.transport.sent();
    let sent = sent.iter().find(|request| request.attempt.message == id).expect("it was sent");
    let waited = sent.at - asked_at;
    assert!(waited < TimeDelta::seconds(1), "it waited {waited}");
}

#[test]
fn an_opt_out_in_mid_campaign_is_obeyed() {
    let config = EngineConfig { max_in_doubt_per_crash: 1, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(50);
    stage.wake();
    stage.run_for(Duration::from_millis(500));
    let last = Phone::try_from(4_915_100_000_049).expect("a phone");
    block_on(async {
        let contacts = stage.tenant.contacts();
        let contact = contacts.find(&last.into()).await.expect("found").expect("a contact");
        contacts.set_consent(contact.id, Consent::OptedOut).await.expect("opted out");
    });
    stage.run_for(Duration::from_secs(20));
    assert!(stage.transport.sent().iter().all(|request| request.recipient.phone() != Some(last)));
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.skipped), (49, 1));
    assert_eq!(counts.reasons.get("skipped:opted_out"), Some(&1));
}

#[test]
fn a_stopped_worker_gives_what_has_not_left_back_and_another_goes_on() {
    let mut stage = Stage::new(20, EngineConfig::default());
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(Duration::from_secs(1));
    stage.worker.stop();
    stage.worker.give_up_waiting();
    stage.run_for(Duration::from_millis(100));
    assert!(stage.worker.is_quiet());
    let ports = stage.worker.ports().clone();
    for job in stage.worker.release_all() {
        block_on(job.run(&ports));
    }
    let first = stage.transport.sent().len();
    assert!(first < 100);
    let (worker, intake) = stage.kit.steps();
    (stage.worker, stage.intake) = (worker, intake);
    stage.run_for(Duration::from_secs(30));
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100, "nobody twice");
    let instants: Vec<_> = stage.transport.sent().iter().map(|request| request.at).collect();
    assert!(most_in_a_second(&instants) <= 20, "the ring was handed over");
}

#[test]
fn a_begin_of_unknown_fate_is_abandoned_and_everybody_is_reached_once() {
    for fault in [Fault::Before(StoreErrorKind::Unknown), Fault::After(StoreErrorKind::Unknown)] {
        let mut once = Some(fault);
        let mut stage = Stage::on(80, EngineConfig::default(), move |inner| {
            Arc::new(FaultyStore::new(inner, move |call| once.take_if(|_| call == Call::Begin)))
        });
        let campaign = stage.campaign(100);
        stage.wake();
        stage.run_for(Duration::from_secs(30));
        let counts = stage.counts(campaign);
        assert_eq!((counts.accepted, counts.in_doubt, counts.pending), (100, 0, 0), "{fault:?}");
        assert_eq!(stage.transport.sent().len(), 100, "{fault:?}");
    }
}
