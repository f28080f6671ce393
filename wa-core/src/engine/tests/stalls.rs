//! What must not stop, starve or spin: outages, slow providers, and numbers that share a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::executor::block_on;

use super::faults::{Call, Fault, FaultyStore};
use super::stage::{Stage, rejected};
use crate::engine::job::Job;
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::store::*;
use crate::port::{Clock, Scope, SendOutcome};
use crate::service::EngineConfig;
use crate::testing::{ManualClock, Reply};

/// A stage whose store fails some calls until an instant of the manual clock.
fn failing(
    config: EngineConfig,
    fails: &'static [Call],
    fault: Fault,
    from: Duration,
    until: Duration,
    in_order: bool,
) -> (Stage, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let stage = Stage::on_clock(20, config, move |inner, clock: Arc<ManualClock>| {
        let store = FaultyStore::new(inner, move |call| {
            let strikes = fails.contains(&call) && (from..until).contains(&clock.monotonic());
            strikes.then(|| {
                count.fetch_add(1, Ordering::SeqCst);
                fault
            })
        });
        Arc::new(if in_order { store.in_order() } else { store })
    });
    (stage, refused)
}

/// Runs every other job until a turn is to be made, which is left to the caller.
fn up_to_turn(stage: &mut Stage) -> Job {
    loop {
        let mut jobs = stage.worker.jobs();
        let turn = jobs.iter().position(|job| matches!(job, Job::Turn(_, _))).map(|at| jobs.remove(at));
        jobs.into_iter().for_each(|job| stage.run(job));
        if let Some(turn) = turn {
            return turn;
        }
    }
}

const DOWN: Fault = Fault::Before(StoreErrorKind::Unavailable);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn outcomes_that_cannot_be_stored_are_tried_again_with_a_pause_and_none_is_lost() {
    let (mut stage, refused) =
        failing(EngineConfig::default(), &[Call::Settle], DOWN, SECOND, 11 * SECOND, false);
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(30 * SECOND);
    let refused = refused.load(Ordering::SeqCst);
    assert!((5..=40).contains(&refused), "{refused} calls in ten seconds of outage");
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100);
    assert!(stage.worker.is_quiet());
}

#[test]
fn a_store_that_takes_no_begin_is_asked_with_a_pause_and_the_campaign_goes_on_after_it() {
    let (mut stage, refused) =
        failing(EngineConfig::default(), &[Call::Begin, Call::Due], DOWN, SECOND, 11 * SECOND, false);
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(30 * SECOND);
    let refused = refused.load(Ordering::SeqCst);
    assert!((5..=40).contains(&refused), "{refused} calls in ten seconds of outage");
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100);
}

#[test]
fn while_outcomes_cannot_be_stored_no_more_is_begun_than_the_bound_allows() {
    for in_order in [false, true] {
        let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
        let (mut stage, _) = failing(config, &[Call::Settle], DOWN, SECOND, 31 * SECOND, in_order);
        stage.campaign(400);
        stage.wake();
        stage.run_for(30 * SECOND);
        // A store that is handed both at once may fail the first and take the second, once.
        let most = if in_order { 32 } else { 16 };
        assert!(stage.most_open <= most, "{} open, in order: {in_order}", stage.most_open);
    }
}

#[test]
fn an_outcome_that_the_store_never_takes_does_not_hold_up_the_others() {
    let config = EngineConfig { max_in_doubt_per_crash: 8, ..EngineConfig::default() };
    let mut stage = Stage::on(20, config, |inner| Arc::new(FaultyStore::new(inner, |_| None)));
    let provider_id = FaultyStore::POISON.to_owned();
    stage.transport.then(Reply::Outcome(SendOutcome::Accepted { provider_id }));
    let campaign = stage.campaign(50);
    stage.wake();
    stage.run_for(60 * SECOND);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.in_doubt, counts.pending), (49, 1, 0));
    assert_eq!(stage.transport.sent().len(), 50);
}

#[test]
fn a_session_without_its_transport_keeps_nobody_busy() {
    let mut kept = None;
    let mut stage = Stage::on(20, EngineConfig::default(), |inner| {
        kept = Some(inner.clone());
        Arc::new(inner)
    });
    let store: MemoryStore = kept.expect("a store");
    let new = NewSession {
        id: SessionId::mint(stage.clock.now(), [9; 10]),
        transport: "elsewhere".parse().expect("a name"),
        number: "7".parse().expect("a number"),
        portfolio: "7".to_owned(),
        account: None,
        phone: None,
    };
    block_on(store.numbers().add_session(&Scope::new(stage.tenant.id()), &new)).expect("added");
    let campaign = stage.campaign(50);
    stage.wake();
    stage.run_for(30 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 50);
}

#[test]
fn a_session_that_is_taken_anew_gives_back_what_waited_at_its_gate() {
    let config = EngineConfig {
        lease: 3 * SECOND,
        heartbeat: SECOND,
        start_within: 60 * SECOND,
        ..EngineConfig::default()
    };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(SECOND);
    assert!(stage.worker.status().waiting > 0);
    stage.clock.advance(4 * SECOND);
    stage.run_for(300 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.transport.sent().len(), 100);
    assert_eq!(stage.worker.status().open, 0);
}

#[test]
fn a_refusal_of_a_former_epoch_does_not_drop_the_session_that_is_held_again() {
    let mut stage = Stage::new(20, EngineConfig::default());
    stage.run_for(SECOND);
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.wake();
    // The begin is under way when the worker freezes.
    let turn = up_to_turn(&mut stage);
    stage.clock.advance(20 * SECOND);
    let jobs = stage.worker.jobs();
    jobs.into_iter().for_each(|job| stage.run(job));
    assert_eq!(stage.worker.status().sessions, 1, "it is taken anew");
    stage.run(turn);
    stage.run_for(2 * SECOND);
    assert_eq!(stage.view(id).state, MessageState::Accepted);
}

#[test]
fn a_few_requests_that_hang_hold_up_nobody() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(100, config);
    for _ in 0..12 {
        stage.transport.then(Reply::Never);
    }
    let campaign = stage.campaign(200);
    stage.wake();
    stage.run_for(20 * SECOND);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.attempting), (188, 12), "the others go on in the room that is left");
    assert!(stage.most_open <= 16);
}

#[test]
fn requests_that_hang_do_not_hold_up_the_others() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    for _ in 0..5 {
        stage.transport.then(Reply::Never);
    }
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(25 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 95);
}

#[test]
fn a_throttled_number_takes_no_room_from_another() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let other = stage.number("200");
    let Reply::Outcome(SendOutcome::Rejected { failure, .. }) = rejected(RejectClass::Throttled, 130_429)
    else {
        unreachable!("it is a refusal")
    };
    let slow = stage.launch("first", stage.session, 100, |_| {});
    stage.transport.then(Reply::Outcome(SendOutcome::Rejected { failure, retry_after: Some(60 * SECOND) }));
    stage.wake();
    stage.run_for(SECOND);
    let fast = stage.launch("second", other, 400, |_| {});
    stage.wake();
    stage.run_for(22 * SECOND);
    assert_eq!(stage.counts(fast).accepted, 400, "at its own pace");
    stage.run_for(120 * SECOND);
    assert_eq!(stage.counts(slow).accepted, 100);
    let views = block_on(stage.tenant.campaigns().recipients(slow, None, 1_000)).expect("messages");
    let most = views.iter().map(|view| view.attempts.len()).max();
    assert!(most <= Some(3), "{most:?} attempts for one message: begun although nothing could leave");
}

#[test]
fn a_fast_number_leaves_connections_to_the_others() {
    let config = EngineConfig { concurrency: 1, ..EngineConfig::default() };
    let mut stage = Stage::new(1_000, config);
    let other = stage.number("200");
    // Ten a second in all, and each number could use all of them.
    stage.latency = Duration::from_millis(100);
    stage.launch("first", stage.session, 600, |_| {});
    stage.launch("second", other, 600, |_| {});
    stage.wake();
    stage.run_for(10 * SECOND);
    let (first, second) = (stage.sent_from(stage.session).len(), stage.sent_from(other).len());
    assert!(first + second >= 90, "{first} + {second}");
    assert!(first.abs_diff(second) <= 10, "{first} and {second}");
}

#[test]
fn a_slow_campaign_does_not_hold_up_another_of_the_same_number() {
    let mut stage = Stage::new(20, EngineConfig::default());
    let slow = stage.launch("slow", stage.session, 600, |spec| spec.rate = Some(1));
    stage.clock.advance(Duration::from_millis(10));
    let fast = stage.launch("fast", stage.session, 300, |_| {});
    stage.wake();
    stage.run_for(20 * SECOND);
    assert!(stage.counts(fast).accepted >= 250, "{}", stage.counts(fast).accepted);
    let slow = stage.counts(slow).accepted;
    assert!((15..=22).contains(&slow), "{slow} of the slow one");
}

#[test]
fn a_one_time_code_goes_before_an_older_campaign_of_another_number() {
    let config = EngineConfig { max_in_doubt_per_crash: 1, ..EngineConfig::default() };
    let mut stage = Stage::new(1_000, config);
    stage.latency = Duration::from_millis(50);
    let other = stage.number("200");
    stage.campaign(400);
    stage.wake();
    stage.run_for(2 * SECOND);
    let content = CampaignContent::new(Stage::template()).fill(&["Ada".to_owned()]).expect("content");
    let phone = Phone::try_from(4_915_199_999_999).expect("a phone");
    let id = stage.send(crate::service::Message::new(other, phone, content));
    stage.wake();
    stage.run_for(SECOND);
    assert_eq!(stage.view(id).state, MessageState::Accepted);
}

#[test]
fn what_waited_at_the_gate_in_vain_uses_up_no_place_of_its_recipient() {
    let mut stage = Stage::new(40, EngineConfig::default());
    stage.run_for(SECOND);
    let ids: Vec<_> = (0..40).map(|_| stage.send(stage.single(4_915_100_000_001))).collect();
    stage.wake();
    stage.run_for(Duration::from_millis(1));
    // A worker that is frozen past the deadline of everything that it has begun.
    stage.clock.advance(6 * SECOND);
    stage.run_for(10 * SECOND);
    assert!(ids.iter().all(|id| stage.view(*id).state == MessageState::Accepted));
}

#[test]
fn what_begins_after_the_worker_gave_up_is_given_back_unsent() {
    let mut stage = Stage::new(20, EngineConfig::default());
    stage.run_for(SECOND);
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.wake();
    let turn = up_to_turn(&mut stage);
    stage.worker.stop();
    stage.worker.give_up_waiting();
    stage.run(turn);
    stage.settle_down();
    assert!(stage.transport.sent().is_empty());
    assert!(stage.worker.is_quiet());
    assert_eq!(stage.view(id).state, MessageState::Held);
}

#[test]
fn a_store_whose_clock_lags_is_not_asked_without_pause() {
    let late = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000 - 2_000_000)));
    let clock = Arc::clone(&late);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut stage = Stage::on(20, EngineConfig::default(), move |_| {
        Arc::new(FaultyStore::new(MemoryStore::new(clock), move |call| {
            count.fetch_add(usize::from(matches!(call, Call::Due | Call::Sweep)), Ordering::SeqCst);
            None
        }))
    });
    stage.transport.then(rejected(RejectClass::Retry, 131_000));
    stage.transport.then(Reply::Never);
    let id = stage.send(stage.single(4_915_100_000_001));
    for _ in 0..1_000 {
        stage.run_for(Duration::from_millis(100));
        late.advance(Duration::from_millis(100));
    }
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked < 1_000, "{asked} questions in 100 seconds");
}

#[test]
fn a_short_deadline_begins_only_what_can_leave_in_time() {
    let config = EngineConfig { start_within: Duration::from_millis(500), ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(100);
    stage.wake();
    stage.run_for(8 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 100);
    assert_eq!(stage.counts(campaign).retries, 0, "nobody was begun in vain");
}

#[test]
fn a_worker_that_polls_often_waits_for_what_is_stopped() {
    let config = EngineConfig { poll_every: Duration::from_millis(10), ..EngineConfig::default() };
    config.validate().expect("as often as may be");
    let mut stage = Stage::new(80, config);
    let id = stage.send(stage.single(4_915_100_000_001));
    let settings = |paused| TenantSettings { paused, ..TenantSettings::default() };
    block_on(stage.tenant.put_settings(&settings(true))).expect("settings");
    stage.run_for(Duration::from_secs(1));
    assert_eq!(stage.view(id).state, MessageState::Pending);
    block_on(stage.tenant.put_settings(&settings(false))).expect("settings");
    stage.run_for(Duration::from_secs(1));
    assert_eq!(stage.view(id).state, MessageState::Accepted);
}
