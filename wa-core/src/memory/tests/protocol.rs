//! Walks through the send protocol.

use super::*;
use crate::model::Chosen;
use crate::rules::judge::{Admission, Facts, GroupFacts, Judge, Verdict};

#[tokio::test]
async fn a_message_walks_from_the_queue_to_delivered() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    assert_eq!(bench.state(message).await, MessageState::Pending);
    let begun = bench.begun(100, &bench.due().await).await;
    assert_eq!(begun.attempts[0].key, bench.key(message, 1));
    assert_eq!(begun.attempts[0].end_by, bench.now() + chrono::TimeDelta::seconds(35));
    assert!(bench.due().await.is_empty());
    let settled = bench.settle(message, 1, accepted("wamid.1")).await;
    assert_eq!(settled.changed, [(bench.tenant, message, MessageState::Accepted)]);
    let projected = bench.project(200, vec![status(None, "wamid.1", Fact::Delivered, bench.now())]).await;
    assert_eq!(projected.changed, [(bench.tenant, message, MessageState::Delivered)]);
    let events = bench.store.journal().read(&bench.admin, StreamPosition(0), 10).await.expect("events");
    let states: Vec<_> = events
        .iter()
        .map(|event| match &event.body {
            EventBody::Messages { changes } => changes[0],
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [MessageState::Attempting, MessageState::Accepted, MessageState::Delivered];
    assert_eq!(states, expected.map(|state| (message, state)));
}

#[tokio::test]
async fn a_passing_failure_is_tried_as_often_as_the_policy_says() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    for (n, wait) in [(1, 5), (2, 10), (3, 15)] {
        let begun = bench.begun(100 + u128::from(n), &bench.due().await).await;
        assert_eq!(begun.attempts[0].key.n, n);
        let settled = bench.settle(message, n, refused(RejectClass::Retry)).await;
        assert_eq!(settled.due_at, Some(bench.now() + chrono::TimeDelta::seconds(wait)));
        assert_eq!(bench.used().await, 0, "a refusal gives its quota back");
        bench.pass(u64::try_from(wait).expect("a wait") - 1);
        assert!(bench.due().await.is_empty(), "not before its time");
        bench.pass(1);
    }
    bench.begun(200, &bench.due().await).await;
    bench.settle(message, 4, refused(RejectClass::Retry)).await;
    assert_eq!(bench.state(message).await, MessageState::Failed);
    bench.pass(3_000);
    assert!(bench.due().await.is_empty());
}

#[tokio::test]
async fn an_abandoned_batch_gives_everything_back() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    let batch = bench.batch(100, &bench.due().await);
    bench.begin(&batch).await;
    assert_eq!(bench.used().await, 1);
    let abandon = || bench.store.abandon(&bench.worker, batch.id);
    assert_eq!(abandon().await.expect("an answer"), Abandoned::WasCommitted(1));
    assert_eq!(abandon().await.expect("an answer"), Abandoned::WasCommitted(0));
    assert_eq!(bench.used().await, 0);
    assert_eq!(bench.state(message).await, MessageState::Held);
    bench.pass(60);
    assert_eq!(bench.due().await[0].n, 2);
    assert_eq!(bench.begin(&batch).await, Begun::UsedBatch);
}

#[tokio::test]
async fn a_batch_that_never_came_is_barred() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    let batch = bench.batch(100, &bench.due().await);
    for _ in 0..2 {
        let abandoned = bench.store.abandon(&bench.worker, batch.id).await.expect("an answer");
        assert_eq!(abandoned, Abandoned::NeverCame);
    }
    assert_eq!(bench.begin(&batch).await, Begun::UsedBatch);
    assert_eq!(bench.state(message).await, MessageState::Pending);
}

#[tokio::test]
async fn an_attempt_without_outcome_becomes_in_doubt_until_its_tag_comes_back() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    bench.begun(100, &bench.due().await).await;
    let sweep = || bench.store.sweep(&bench.worker, Duration::from_secs(10));
    bench.pass(44);
    let swept = sweep().await.expect("a sweep");
    assert_eq!(swept, Swept { in_doubt: vec![], next_at: Some(bench.now() + chrono::TimeDelta::seconds(1)) });
    bench.pass(1);
    assert_eq!(sweep().await.expect("a sweep").in_doubt, [bench.key(message, 1)]);
    assert_eq!(bench.state(message).await, MessageState::InDoubt);
    assert!(bench.due().await.is_empty());
    assert_eq!(bench.used().await, 1, "what may have been sent counts");
    let sent = status(Some(bench.key(message, 1)), "wamid.1", Fact::Sent, bench.now());
    bench.project(200, vec![sent]).await;
    assert_eq!(bench.state(message).await, MessageState::Sent);
    assert!(bench.store.in_doubt(&bench.scope, None, 10).await.expect("a page").is_empty());
}

#[tokio::test]
async fn statuses_that_came_early_join_in_any_order() {
    let news = ["wamid.1", "settle", "read"];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let bench = Bench::new().await;
        let message = bench.enqueue(10, &phone(1)).await;
        bench.begun(100, &bench.due().await).await;
        for place in order {
            match news[place] {
                "settle" => drop(bench.settle(message, 1, accepted("wamid.1")).await),
                "read" => {
                    drop(bench.project(202, vec![status(None, "wamid.1", Fact::Read, bench.now())]).await);
                }
                _ => {
                    let key = Some(bench.key(message, 1));
                    drop(bench.project(201, vec![status(key, "wamid.1", Fact::Sent, bench.now())]).await);
                }
            }
        }
        let view = bench.view(message).await;
        assert_eq!(view.state, MessageState::Read, "{order:?}");
        assert!(view.attempts[0].facts.has(Fact::Accepted) && view.attempts[0].facts.has(Fact::Sent));
    }
}

#[tokio::test]
async fn evidence_of_delivery_takes_a_scheduled_retry_back() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    bench.begun(100, &bench.due().await).await;
    bench.settle(message, 1, refused(RejectClass::Retry)).await;
    assert_eq!(bench.state(message).await, MessageState::Held);
    let delivered = status(Some(bench.key(message, 1)), "wamid.1", Fact::Delivered, bench.now());
    bench.project(200, vec![delivered]).await;
    bench.pass(60);
    assert_eq!(bench.state(message).await, MessageState::Delivered);
    assert!(bench.due().await.is_empty(), "a second message would follow");
}

#[tokio::test]
async fn a_status_of_another_number_touches_nothing() {
    let bench = Bench::new().await;
    bench.add_session(3).await;
    let message = bench.enqueue(10, &phone(1)).await;
    bench.begun(100, &bench.due().await).await;
    let mut event = status(Some(bench.key(message, 1)), "wamid.1", Fact::Delivered, bench.now());
    if let ProjectedEvent::Status { update, .. } = &mut event {
        update.number = parsed("3");
    }
    let projected = bench.project(200, vec![event.clone()]).await;
    assert_eq!((projected.waiting, projected.foreign), (0, 1), "the tag names an attempt of another number");
    if let ProjectedEvent::Status { update, .. } = &mut event {
        update.number = parsed("4");
    }
    assert_eq!(bench.project(201, vec![event]).await.foreign, 1);
    assert_eq!(bench.state(message).await, MessageState::Attempting);
}

#[tokio::test]
async fn a_dead_credential_stops_its_session_once() {
    let bench = Bench::new().await;
    let (first, second) = (bench.enqueue(10, &phone(1)).await, bench.enqueue(11, &phone(2)).await);
    bench.begun(100, &bench.due().await).await;
    let facts = [first, second].map(|message| bench.fact(message, 1, refused(RejectClass::Credential)));
    let settled = bench.store.settle(&facts).await.expect("a merge");
    assert_eq!(settled.opened.len(), 1);
    bench.pass(60);
    let begun = bench.begun(101, &bench.due().await).await;
    assert_eq!(
        begun.stopped,
        [Stopped { campaign: None, feed_only: false, why: HoldReason::SessionStopped, until: None }]
    );
    assert_eq!((begun.attempts, begun.gone), (vec![], vec![]));
    let scope = BreakerScope::Session(bench.session);
    assert!(bench.store.reset_breaker(&bench.scope, &scope).await.expect("an answer"));
    assert_eq!(bench.begun(102, &bench.due().await).await.attempts.len(), 2);
}

#[tokio::test]
async fn a_tier_slot_is_given_back_and_renewed() {
    let bench = Bench::new().await;
    let report = SessionReport { tier: Some(Tier::Limited(1)), ..SessionReport::default() };
    bench.store.report_session(&bench.scope, bench.session, &report).await.expect("a session");
    bench.enqueue(10, &phone(1)).await;
    let second = bench.enqueue(11, &phone(2)).await;
    let begun = bench.begun(100, &bench.due().await).await;
    assert_eq!((begun.attempts.len(), begun.waits[0].0), (1, second));
    bench.settle(begun.attempts[0].key.message, 1, refused(RejectClass::Recipient)).await;
    bench.pass(600);
    assert_eq!(bench.begun(101, &bench.due().await).await.attempts[0].key.message, second);
    // The same person again, late in the day: counted for another day from then.
    bench.pass(23 * 3_600);
    let bench = Bench { worker: bench.acquire(worker(2)).await, ..bench };
    bench.enqueue(12, &phone(2)).await;
    assert_eq!(bench.begun(102, &bench.due().await).await.attempts.len(), 1);
    bench.pass(2 * 3_600);
    let bench = Bench { worker: bench.acquire(worker(3)).await, ..bench };
    bench.enqueue(13, &phone(3)).await;
    assert_eq!(bench.begun(103, &bench.due().await).await.waits.len(), 1);
}

#[tokio::test]
async fn a_takeover_knows_what_the_former_owner_left_open() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    bench.pass(3_590);
    let begun = bench.begun(100, &bench.due().await).await;
    assert!(bench.leases(worker(2)).await.is_empty());
    bench.pass(11);
    let lease = bench.leases(worker(2)).await.remove(0);
    assert_eq!((lease.epoch, lease.unsettled_deaths), (2, 1));
    assert_eq!(lease.quiet_until, Some(begun.attempts[0].end_by));
    assert_eq!(bench.begin(&bench.batch(101, &[])).await, Begun::LeaseLost);
    bench.settle(message, 1, accepted("wamid.1")).await;
    assert_eq!(bench.state(message).await, MessageState::Accepted, "settle is not fenced");
    let new = scope::worker(worker(2), [(bench.session, 2)]);
    let state = DispatchState { releases: vec![1, 2] };
    assert!(!bench.store.release(&bench.worker, bench.session, &state).await.expect("an answer"));
    assert!(bench.store.release(&new, bench.session, &state).await.expect("an answer"));
    let lease = bench.leases(worker(3)).await.remove(0);
    assert_eq!((lease.epoch, lease.unsettled_deaths, lease.state), (3, 0, Some(state)));
}

#[derive(Debug)]
struct Panics;

impl Judge for Panics {
    fn admit(&self, _: &GroupFacts, _: DateTime<Utc>) -> Admission {
        Admission::Admit
    }

    fn judge(&self, facts: &Facts<'_>, _: DateTime<Utc>) -> Verdict {
        assert_eq!(facts.quota.used, 0, "the second message finds the first in the quota");
        let price = Estimate::unknown();
        Verdict::Send(crate::rules::judge::Grant { tier_slot: false, content: Chosen::Own, price })
    }
}

#[tokio::test]
async fn a_judge_that_panics_leaves_the_store_as_it_was() {
    let bench = Bench::new().await;
    bench.enqueue(10, &phone(1)).await;
    bench.enqueue(11, &phone(2)).await;
    let batch = bench.batch(100, &bench.due().await);
    let (store, worker) = (bench.store.clone(), bench.worker.clone());
    let task = batch.clone();
    let runtime = tokio::runtime::Handle::current();
    let panicked = runtime.spawn(async move { store.begin(&worker, &task, Arc::new(Panics)).await }).await;
    assert!(panicked.is_err());
    let Begun::Done(begun) = bench.begin(&batch).await else { panic!("the batch id was not used up") };
    assert_eq!(begun.attempts.len(), 2);
}

#[tokio::test]
async fn a_restored_snapshot_forgets_what_came_after() {
    let bench = Bench::new().await;
    let message = bench.enqueue(10, &phone(1)).await;
    let before = bench.store.snapshot();
    let due = bench.due().await;
    bench.begun(100, &due).await;
    bench.store.clone().restore(&before);
    assert_eq!(bench.state(message).await, MessageState::Pending);
    assert_eq!(bench.begun(100, &due).await.attempts.len(), 1);
}
