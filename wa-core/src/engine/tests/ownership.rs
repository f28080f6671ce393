//! Sessions that change hands, workers that freeze, and operators who change their minds.

use std::time::Duration;

use futures::executor::block_on;

use super::stage::{Stage, most_in_a_second};
use crate::engine::job::Job;
use crate::model::*;
use crate::port::Clock;
use crate::service::EngineConfig;
use crate::testing::{Reply, SeededEntropy};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn after_a_takeover_nothing_is_sent_before_the_former_owners_last_request_has_ended() {
    let mut stage = Stage::new(20, EngineConfig::default());
    stage.transport.then(Reply::Never);
    stage.campaign(10);
    stage.wake();
    stage.settle_down();
    assert_eq!(stage.transport.sent().len(), 1, "the others wait at the gate");
    // The process dies; the next one takes the session when the lease has ended.
    (stage.worker, stage.intake) = stage.kit.steps();
    stage.run_for(34 * SECOND);
    assert_eq!(stage.worker.status().sessions, 1);
    assert_eq!(stage.transport.sent().len(), 1, "start within 5 s, 30 s for the request");
    let id = stage.send(stage.single(4_915_199_999_999));
    stage.wake();
    stage.run_for(3 * SECOND);
    assert_eq!(stage.view(id).state, MessageState::Accepted);
}

#[test]
fn a_worker_that_slept_past_its_lease_begins_nothing_and_its_late_outcomes_are_merged() {
    let mut stage = Stage::new(20, EngineConfig { max_in_doubt_per_crash: 4, ..EngineConfig::default() });
    stage.latency = SECOND;
    let campaign = stage.campaign(40);
    stage.wake();
    stage.run_for(2 * SECOND);
    let before = stage.transport.sent().len();
    // Its requests have been answered, and it sleeps before it can say so.
    let fresh = stage.kit.steps().0;
    let mut slept = std::mem::replace(&mut stage.worker, fresh);
    let unheard = slept.status().open;
    assert!(unheard > 0);
    stage.clock.advance(16 * SECOND);
    let jobs = stage.worker.jobs();
    jobs.into_iter().for_each(|job| stage.run(job));
    assert_eq!(stage.worker.status().sessions, 1, "another one has the session");
    std::mem::swap(&mut slept, &mut stage.worker);
    for _ in 0..20 {
        for job in stage.worker.jobs() {
            // Its turns meet a higher epoch; its leases are left out to keep it believing.
            if !matches!(job, Job::Lease(..)) {
                stage.run(job);
            }
        }
        assert!(stage.worker.release().is_empty(), "a request after the lease");
    }
    assert_eq!(stage.transport.sent().len(), before);
    // The answers that it alone has.
    stage.settle_down();
    std::mem::swap(&mut slept, &mut stage.worker);
    stage.run_for(120 * SECOND);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.in_doubt, counts.pending), (40, 0, 0));
    assert_eq!(stage.transport.sent().len(), 40);
}

#[test]
fn fifty_pauses_and_resumes_lose_nobody_and_send_to_nobody_twice() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let campaign = stage.campaign(600);
    let dice = SeededEntropy::new(11);
    stage.wake();
    for _ in 0..50 {
        stage.run_for(Duration::from_millis(dice.next() % 400));
        let live = stage.worker.status().open;
        block_on(stage.tenant.campaigns().pause(campaign)).expect("paused");
        let before = stage.transport.sent().len();
        stage.run_for(Duration::from_millis(dice.next() % 3_000));
        assert!(stage.transport.sent().len() - before <= live);
        block_on(stage.tenant.campaigns().resume(campaign)).expect("resumed");
        if dice.next().is_multiple_of(2) {
            stage.wake();
        }
    }
    stage.run_for(40 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 600);
    assert_eq!(stage.transport.sent().len(), 600);
}

#[test]
fn each_number_keeps_its_throughput_whatever_it_sends_for() {
    let config =
        EngineConfig { max_in_doubt_per_crash: 64, transactional_share: 20, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    let numbers = [stage.session, stage.number("200"), stage.number("300")];
    let mut campaigns = Vec::new();
    for (n, number) in numbers.into_iter().enumerate() {
        for (lane, rate) in [(Lane::Bulk, None), (Lane::Bulk, Some(4)), (Lane::Transactional, Some(7))] {
            let name = format!("launch-{n}-{}", rate.unwrap_or(0));
            campaigns.push(stage.launch(&name, number, 60, |spec| (spec.lane, spec.rate) = (lane, rate)));
            stage.clock.advance(Duration::from_millis(5));
        }
    }
    stage.wake();
    stage.run_for(30 * SECOND);
    for number in numbers {
        let sent = stage.sent_from(number);
        assert!(most_in_a_second(&sent) <= 20);
        assert_eq!(sent.len(), 180);
    }
    assert!(campaigns.iter().all(|id| stage.counts(*id).accepted == 60));
    let span = stage.clock.monotonic();
    assert!(span < 31 * SECOND, "{span:?}");
}
