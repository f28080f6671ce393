//! Ownership across handles on one file: each behaves like a process of its own.

use std::time::Duration;

use wa_core::model::{MessageState, StreamPosition};
use wa_core::port::store::{AttemptFact, Begun, DispatchState, Store};
use wa_core::testing::scope;

use crate::world::{LEASE, World, accepted, acquire, admin, worker_id};

#[tokio::test]
async fn a_new_process_takes_over_at_once_and_knows_what_is_in_doubt() {
    let mut world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 3, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 2).await;
    world.settle(begun.attempts[0].key, accepted("wamid.1")).await;
    world.reopen();
    let leases = acquire(&world.store, 2).await;
    assert_eq!(leases.len(), 1, "without waiting for the lease to end");
    assert_eq!((leases[0].epoch, leases[0].quiet_until, leases[0].unsettled_deaths), (2, None, 1));
    assert_eq!(world.view(begun.attempts[1].key.message).await.state, MessageState::InDoubt);
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.in_doubt, counts.accepted, counts.pending), (1, 1, 1));
    let events = world.store.journal().read(&admin(), StreamPosition(0), 100).await.expect("events");
    let told = format!("{events:?}");
    assert!(told.contains("InDoubt"), "the journal says so: {told}");
    let batch = world.batch(session.id, &[]);
    assert_eq!(world.begin(&worker, &batch).await, Begun::LeaseLost);
}

#[tokio::test]
async fn a_second_handle_waits_for_leases_to_end_while_the_first_lives() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.running("news", 1, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 1).await;
    let other = world.another();
    assert_eq!(acquire(&other, 2).await, [], "the lease of the first is alive");
    world.clock.advance(LEASE);
    let leases = acquire(&other, 2).await;
    assert_eq!((leases[0].epoch, leases[0].unsettled_deaths), (2, 1));
    assert_eq!(leases[0].quiet_until, Some(begun.attempts[0].end_by));
    assert_eq!(world.view(begun.attempts[0].key.message).await.state, MessageState::Attempting);
    assert_eq!(world.store.numbers().heartbeat(&worker, LEASE).await.expect("an answer"), []);
    // The first one's outcome is a fact all the same.
    let fact = AttemptFact {
        attempt: begun.attempts[0].key,
        at: world.now(),
        outcome: accepted("wamid.1"),
        retry_after: None,
    };
    world.store.outbox().settle(&[fact]).await.expect("an answer");
    assert_eq!(world.view(begun.attempts[0].key.message).await.state, MessageState::Accepted);
}

#[tokio::test]
async fn an_owner_without_the_lock_is_not_taken_for_dead() {
    let mut world = World::new().await;
    world.held("1", 1).await;
    let living = world.another();
    world.clock.advance(LEASE);
    assert_eq!(acquire(&living, 2).await.len(), 1, "it came by time, without the lock");
    world.reopen();
    assert_eq!(acquire(&world.store, 3).await, [], "the lock is free, its former holder owned nothing");
    world.clock.advance(LEASE);
    assert_eq!(acquire(&world.store, 3).await.len(), 1);
}

#[tokio::test]
async fn two_workers_of_one_handle_do_not_bury_each_other() {
    let world = World::new().await;
    world.held("1", 1).await;
    assert_eq!(acquire(&world.store, 2).await, []);
    world.add_session("2").await;
    assert_eq!(acquire(&world.store, 2).await.len(), 1);
    assert_eq!(acquire(&world.store, 1).await, []);
}

#[tokio::test]
async fn a_released_session_passes_its_state_on_once() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let state = DispatchState { releases: vec![1, 2, 3] };
    let numbers = world.store.numbers();
    assert!(numbers.release(&worker, session.id, &state).await.expect("an answer"));
    assert!(!numbers.release(&worker, session.id, &state).await.expect("an answer"));
    let leases = acquire(&world.store, 2).await;
    assert_eq!((leases[0].state.clone(), leases[0].unsettled_deaths), (Some(state.clone()), 0));
    let second = scope::worker(worker_id(2), [(session.id, leases[0].epoch)]);
    world.clock.advance(LEASE);
    assert!(!numbers.release(&second, session.id, &state).await.expect("an answer"), "it has ended");
    assert_eq!(acquire(&world.store, 3).await[0].state, None);
}

#[tokio::test]
async fn meters_are_rebuilt_from_what_was_begun() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.running("news", 4, &[session.id]).await;
    let first = world.begin_due(&worker, session.id, 2).await;
    world.settle(first.attempts[0].key, wa_core::model::Outcome::NotSent).await;
    world.clock.advance(Duration::from_secs(3));
    world.begin_due(&worker, session.id, 2).await;
    let numbers = world.store.numbers();
    let all = numbers.recent(&worker, session.id, first.at.expect("an instant")).await.expect("a list");
    assert_eq!(all.len(), 3, "the one that was not sent is left out");
    assert!(all.is_sorted_by_key(|attempt| attempt.begun_at));
    let late = numbers.recent(&worker, session.id, world.now()).await.expect("a list");
    assert_eq!(late.len(), 2);
}

#[tokio::test]
async fn a_dead_owner_takes_no_attempt_of_a_living_one_before_it_along() {
    let world = World::new().await;
    let guard = world.another();
    assert_eq!(acquire(&guard, 3).await, [], "it has the lock and no session yet");
    let (session, worker) = world.held("1", 1).await;
    world.running("news", 1, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 1).await;
    world.clock.advance(LEASE);
    assert_eq!(acquire(&guard, 3).await[0].quiet_until, Some(begun.attempts[0].end_by));
    guard.close();
    let leases = acquire(&world.another(), 4).await;
    assert_eq!(leases[0].epoch, 3, "the second owner is known to be dead");
    assert_eq!(leases[0].quiet_until, Some(begun.attempts[0].end_by), "the first one may still send");
    assert_eq!(world.view(begun.attempts[0].key.message).await.state, MessageState::Attempting);
}
