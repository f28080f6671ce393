//! Sessions that are spread over workers, and tenants that share one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::executor::block_on;

use super::cluster::Cluster;
use super::stage::most_in_a_second;
use crate::model::*;
use crate::port::Clock;
use crate::service::EngineConfig;

const SECOND: Duration = Duration::from_secs(1);

fn differ(held: &[usize]) -> usize {
    let (low, high) = (held.iter().min(), held.iter().max());
    high.zip(low).map_or(0, |(high, low)| high - low)
}

#[test]
fn one_worker_takes_everything_at_once() {
    let mut cluster = Cluster::new(EngineConfig::default());
    let tenant = cluster.tenant("acme");
    cluster.numbers(&tenant, 30);
    cluster.join();
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(cluster.held(), [30]);
}

#[test]
fn new_numbers_go_to_the_worker_with_the_fewest() {
    let mut cluster = Cluster::new(EngineConfig::default());
    let tenant = cluster.tenant("acme");
    cluster.join();
    cluster.join();
    cluster.join();
    cluster.run_for(6 * SECOND);
    cluster.numbers(&tenant, 7);
    cluster.run_for(6 * SECOND);
    let held = cluster.held();
    assert_eq!((held.iter().sum::<usize>(), differ(&held)), (7, 1), "{held:?}");
}

#[test]
fn a_worker_that_joins_is_handed_its_share_one_at_a_time_and_then_nothing_moves() {
    let mut cluster = Cluster::new(EngineConfig::default());
    let tenant = cluster.tenant("acme");
    let numbers = cluster.numbers(&tenant, 11);
    cluster.join();
    cluster.run_for(6 * SECOND);
    cluster.join();
    cluster.run_for(29 * SECOND);
    assert_eq!(cluster.held(), [11, 0], "it could be gone as fast as it came");
    let mut seen = Vec::new();
    cluster.watch(30 * SECOND, |cluster| {
        let held = cluster.held();
        assert!(held.iter().sum::<usize>() >= 10, "more than one on its way: {held:?}");
        if seen.last() != Some(&held) {
            seen.push(held);
        }
    });
    assert_eq!(seen.last(), Some(&vec![6, 5]));
    let steps = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(steps, 10, "five moves, each out and in: {seen:?}");
    // A third one is handed only what it needs, and what the second had before stays where it is.
    cluster.join();
    cluster.run_for(70 * SECOND);
    assert_eq!(differ(&cluster.held()), 1);
    let before = cluster.held();
    cluster.watch(300 * SECOND, |cluster| assert_eq!(cluster.held(), before, "it is balanced"));
    assert_eq!(before.iter().sum::<usize>(), numbers.len());
}

#[test]
fn a_hand_over_under_load_loses_nothing_doubles_nothing_and_keeps_the_throughput() {
    let config = EngineConfig { lease: 3 * SECOND, heartbeat: SECOND, ..EngineConfig::default() };
    let mut cluster = Cluster::new(config);
    let tenant = cluster.tenant("acme");
    let numbers = cluster.numbers(&tenant, 4);
    for number in &numbers {
        cluster.queue(&tenant, *number, 400);
    }
    cluster.join();
    cluster.run_for(2 * SECOND);
    cluster.join();
    cluster.run_for(30 * SECOND);
    assert_eq!(cluster.held(), [2, 2]);
    let sent = cluster.transport.sent();
    let messages: BTreeSet<_> = sent.iter().map(|request| request.attempt.message).collect();
    assert_eq!((sent.len(), messages.len()), (4 * 400, 4 * 400));
    for number in numbers {
        let at: Vec<_> = sent.iter().filter(|it| it.session == number).map(|it| it.at).collect();
        assert!(most_in_a_second(&at) <= 20, "the ring was passed on");
        let longest = at.windows(2).map(|pair| pair[1] - pair[0]).max().expect("gaps");
        assert!(longest < chrono::TimeDelta::seconds(4), "it waited for {longest}");
    }
}

#[test]
fn a_stopped_workers_sessions_go_at_once_to_those_with_the_fewest() {
    let mut cluster = Cluster::new(EngineConfig::default());
    let tenant = cluster.tenant("acme");
    (0..3).for_each(|_| cluster.join());
    cluster.run_for(6 * SECOND);
    cluster.numbers(&tenant, 9);
    cluster.run_for(6 * SECOND);
    assert_eq!(cluster.held(), [3, 3, 3]);
    cluster.stop(0);
    cluster.run_for(5 * SECOND);
    let held = cluster.held();
    assert_eq!((held.iter().sum::<usize>(), differ(&held)), (9, 1), "at the next heartbeat: {held:?}");
}

#[test]
fn a_dead_workers_sessions_are_taken_when_its_lease_ends() {
    let mut cluster = Cluster::new(EngineConfig::default());
    let tenant = cluster.tenant("acme");
    (0..3).for_each(|_| cluster.join());
    cluster.run_for(6 * SECOND);
    cluster.numbers(&tenant, 9);
    cluster.run_for(6 * SECOND);
    cluster.crash(1);
    cluster.run_for(9 * SECOND);
    assert_eq!(cluster.held(), [3, 3], "its leases live on");
    // What was new meanwhile waits for nobody who is dead longer than that.
    cluster.numbers(&tenant, 12);
    cluster.run_for(12 * SECOND);
    let held = cluster.held();
    assert_eq!((held.iter().sum::<usize>(), differ(&held)), (12, 0), "{held:?}");
}

#[test]
fn a_worker_that_dies_again_and_again_is_handed_nothing() {
    let mut cluster = Cluster::new(EngineConfig::default());
    let tenant = cluster.tenant("acme");
    cluster.numbers(&tenant, 6);
    cluster.join();
    cluster.run_for(6 * SECOND);
    for _ in 0..10 {
        cluster.join();
        cluster.watch(7 * SECOND, |cluster| assert_eq!(cluster.held(), [6, 0]));
        cluster.crash(1);
    }
}

#[test]
fn no_backlog_of_one_tenant_holds_up_a_few_messages_of_another() {
    let config = EngineConfig { max_in_doubt_per_crash: 16, ..EngineConfig::default() };
    let mut cluster = Cluster::new(config);
    let (large, small) = (cluster.tenant("large"), cluster.tenant("small"));
    // More numbers than may have something open at once.
    let numbers = cluster.numbers(&large, 40);
    for number in &numbers {
        cluster.queue(&large, *number, 150);
    }
    cluster.join();
    cluster.run_for(5 * SECOND);
    let mut done = BTreeMap::new();
    let few = cluster.numbers(&small, 1)[0];
    let messages = cluster.queue(&small, few, 10);
    let queued = cluster.clock.now();
    cluster.members[0].worker.wake();
    cluster.run_for(20 * SECOND);
    for request in cluster.transport.sent() {
        done.entry(request.attempt.tenant).or_insert_with(Vec::new).push(request.at);
    }
    let took = |tenant: TenantId| done.get(&tenant).and_then(|at: &Vec<_>| at.last().copied());
    assert_eq!(done.get(&small.id()).map(Vec::len), Some(10));
    let last = took(small.id()).expect("ten were sent") - queued;
    assert!(last < chrono::TimeDelta::seconds(3), "{last}");
    assert!(done.get(&large.id()).map_or(0, Vec::len) > 1_000, "the other one goes on meanwhile");
    for id in messages {
        let view = block_on(small.messages().get(id)).expect("a message");
        assert_eq!(view.state, MessageState::Accepted);
    }
}
