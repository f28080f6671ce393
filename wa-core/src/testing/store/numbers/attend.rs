//! The cases of `attend`: which workers there are, and what nobody holds.

use std::time::Duration;

use super::LEASE;
use crate::model::{Outcome, SessionReport, SessionState, WorkerId};
use crate::port::store::{Attendance, DispatchState, Presence};
use crate::rules::spread::Fellow;
use crate::testing::scope;
use crate::testing::store::world::{World, found, holding, must, only};

async fn attend(w: &World, worker: WorkerId, most: u32) -> Attendance {
    let presence = Presence { worker, lease: LEASE, most };
    let attendance = must(w.numbers().attend(&scope::admin(worker), &presence).await);
    assert_eq!(attendance.at, w.now(), "the store's now");
    assert!(attendance.workers.is_sorted_by_key(|fellow| fellow.worker), "in order of ids");
    attendance
}

/// Two workers in order of their ids.
fn two(w: &World) -> [WorkerId; 2] {
    let mut two = [w.another_worker(), w.another_worker()];
    two.sort();
    two
}

fn ids(attendance: &Attendance) -> Vec<WorkerId> {
    attendance.workers.iter().map(|fellow| fellow.worker).collect()
}

pub(crate) async fn attend_makes_a_worker_known(w: World) {
    let [first, second] = two(&w);
    let alone = attend(&w, first, 7).await;
    let fellow = Fellow { worker: first, held: 0, most: 7, since: w.now() };
    assert_eq!((alone.workers, alone.free), (vec![fellow], 0));
    w.pass(5);
    assert_eq!(ids(&attend(&w, second, 10_000).await), [first, second], "although neither holds anything");
    w.pass(9);
    assert_eq!(ids(&attend(&w, second, 10_000).await), [first, second]);
    w.pass(1);
    let left = attend(&w, second, 3).await;
    assert_eq!(ids(&left), [second], "who says nothing for so long is gone");
    assert_eq!(only(left.workers).most, 3, "what it said last");
}

pub(crate) async fn attend_keeps_since_when(w: World) {
    let [first, second] = two(&w);
    let came = w.now();
    for _ in 0..4 {
        let own = only(attend(&w, first, 5).await.workers);
        assert_eq!(own.since, came);
        w.pass(14);
    }
    w.pass(1);
    let own = only(attend(&w, first, 5).await.workers);
    assert_eq!(own.since, w.now(), "it was gone, and has come anew");
    w.pass(1);
    let both = attend(&w, second, 5).await.workers;
    assert_eq!(both.iter().map(|it| it.since).collect::<Vec<_>>(), [w.after(-1), w.now()]);
}

pub(crate) async fn attend_counts_what_each_holds(w: World) {
    let scope = w.tenant("one").await;
    let [first, second] = two(&w);
    attend(&w, first, 10).await;
    attend(&w, second, 10).await;
    for _ in 0..5 {
        w.session(&scope).await;
    }
    let held = |all: &Attendance| all.workers.iter().map(|it| it.held).collect::<Vec<_>>();
    let all = attend(&w, first, 10).await;
    assert_eq!((held(&all), all.free), (vec![0, 0], 5), "those that were never held are free");
    let own = holding(first, &w.acquire(first, LEASE, 3).await);
    w.pass(10);
    let lease = only(w.acquire(second, LEASE, 1).await);
    let all = attend(&w, second, 10).await;
    assert_eq!((held(&all), all.free), (vec![3, 1], 1));
    let given = only(own.sessions().map(|(session, _)| session).take(1).collect::<Vec<_>>());
    assert!(must(w.numbers().release(&own, given, &DispatchState::default()).await));
    let all = attend(&w, first, 10).await;
    assert_eq!((held(&all), all.free), (vec![2, 1], 2), "a released one is free");
    w.pass(5);
    let all = attend(&w, first, 10).await;
    assert_eq!((held(&all), all.free), (vec![0, 1], 4), "and so are those whose lease has ended");
    let deleted = SessionReport { state: Some(SessionState::Deleted), ..SessionReport::default() };
    found(w.numbers().report_session(&scope, given, &deleted).await);
    let all = attend(&w, first, 10).await;
    assert_eq!(all.free, 3, "a deleted one is nobody's");
    // Unless somebody must sweep it.
    let taken = w.acquire(first, Duration::from_secs(60), 10).await;
    assert_eq!(taken.len(), 3, "what is free is what can be acquired");
    let own = holding(first, &taken);
    let last = taken.first().expect("three leases").session.id;
    let attempt = w.begun(&scope, last, &own).await;
    found(w.numbers().report_session(&scope, last, &deleted).await);
    assert!(must(w.numbers().release(&own, last, &DispatchState::default()).await));
    assert_eq!(attend(&w, first, 10).await.free, 1);
    w.settle(attempt.key, Outcome::NotSent).await;
    assert_eq!(attend(&w, first, 10).await.free, 0);
    assert_eq!(lease.epoch, 1);
}

pub(crate) async fn attend_without_room_takes_leave(w: World) {
    let [first, second] = two(&w);
    attend(&w, first, 5).await;
    attend(&w, second, 5).await;
    w.pass(1);
    assert_eq!(ids(&attend(&w, first, 0).await), [second], "it is gone for itself");
    assert_eq!(ids(&attend(&w, second, 5).await), [second], "and for the others");
    assert_eq!(ids(&attend(&w, first, 0).await), [second], "taking leave again changes nothing");
    let back = attend(&w, first, 1).await;
    assert_eq!(ids(&back), [first, second]);
    assert_eq!(back.workers.first().map(|it| it.since), Some(w.now()));
}
