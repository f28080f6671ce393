//! Merging outcomes: what is known of an attempt, whoever brings it and however often.

use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{AttemptKey, DeliveryFacts, Fact, MessageId, MessageState, Outcome, RejectClass};
use crate::port::store::{AttemptFact, Begun, ProjectedEvent};
use crate::testing::store::world::{World, accepted, holding, must, only, orders, rejected, standard};

/// The facts with the provider's id, which differs from message to message, left out.
fn anonymous(facts: &DeliveryFacts) -> DeliveryFacts {
    let mut anonymous = facts.clone();
    anonymous.provider_id = facts.provider_id.as_ref().map(|_| String::new());
    anonymous
}

pub(crate) async fn settle_merges_and_repeats_safely(w: World) {
    let (scope, session, own) = w.one().await;
    let at = |seconds| w.now() + TimeDelta::seconds(seconds);
    let refusal = |code| rejected(RejectClass::Recipient, code);
    // Each script is merged in every order, as one batch and one by one; all must end alike.
    let taken: fn(&str) -> Vec<(i64, Outcome)> =
        |id| vec![(3, Outcome::Ambiguous), (2, accepted(id)), (1, accepted(id)), (3, Outcome::Ambiguous)];
    let mut ends: Vec<(&str, Vec<_>)> = vec![("taken", Vec::new()), ("refused", Vec::new())];
    for (script, ends) in &mut ends {
        for (turn, order) in orders(4).into_iter().enumerate() {
            let key = w.begun(&scope, session.id, &own).await.key;
            let outcomes = match *script {
                "taken" => taken(&format!("wamid.{}", w.count())),
                _ => vec![(2, Outcome::Ambiguous), (1, refusal(5)), (4, refusal(3)), (1, refusal(5))],
            };
            let facts: Vec<AttemptFact> = order
                .iter()
                .filter_map(|place| outcomes.get(*place))
                .map(|(seconds, outcome)| AttemptFact { at: at(*seconds), ..w.fact(key, outcome.clone()) })
                .collect();
            if turn % 2 == 0 {
                must(w.outbox().settle(&facts).await);
            } else {
                for fact in &facts {
                    must(w.outbox().settle(std::slice::from_ref(fact)).await);
                }
            }
            let before = w.view(&scope, key.message).await;
            let repeated = must(w.outbox().settle(&facts).await);
            assert!(repeated.changed.is_empty(), "a repeat changes no state: {repeated:?}");
            assert_eq!(w.view(&scope, key.message).await, before, "nor anything else");
            ends.push((before.state, anonymous(&only(before.attempts).facts)));
        }
    }
    for (script, ends) in ends {
        let first = ends.first().expect("every order was tried").clone();
        assert!(ends.iter().all(|end| *end == first), "{script}: every order ends alike: {ends:?}");
        let (state, facts) = first;
        match script {
            "taken" => {
                assert_eq!(state, MessageState::Accepted);
                assert_eq!(facts.at(Fact::Accepted), Some(at(1)), "the earliest instant counts");
            }
            _ => {
                assert_eq!(state, MessageState::Failed);
                assert_eq!(facts.at(Fact::Rejected), Some(at(1)));
                assert!(facts.failure.is_some());
            }
        }
    }
}

pub(crate) async fn settle_is_not_fenced(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let lease = Duration::from_secs(15);
    let frozen = holding(w.worker, &w.acquire(w.worker, lease, 1).await);
    let attempt = w.begun(&scope, session.id, &frozen).await;
    w.pass(100);
    let other = w.another_worker();
    let own = holding(other, &w.acquire(other, lease, 1).await);
    must(w.outbox().sweep(&own, Duration::from_secs(10)).await);
    assert_eq!(w.state(&scope, attempt.key.message).await, MessageState::InDoubt);
    w.single(&scope, session.id).await;
    let batch = w.batch(session.id, &w.due(&own, session.id).await.messages);
    assert_eq!(w.try_begin(&frozen, &batch, standard()).await, Begun::LeaseLost);

    // The worker wakes up with the only copy of the provider's id.
    let settled = w.settle(attempt.key, accepted("wamid.1")).await;
    assert_eq!(settled.changed, [(scope.tenant(), attempt.key.message, MessageState::Accepted)]);
    assert!(settled.unknown.is_empty());
    let view = w.view(&scope, attempt.key.message).await;
    assert_eq!(view.state, MessageState::Accepted);
    assert_eq!(only(view.attempts).facts.provider_id.as_deref(), Some("wamid.1"));
}

pub(crate) async fn settle_names_unknown_attempts(w: World) {
    let (scope, session, own) = w.one().await;
    let other = w.tenant("other").await;
    let key = w.begun(&scope, session.id, &own).await.key;
    let pending = w.single(&scope, session.id).await;
    let unknown = [
        AttemptKey { message: w.mint(MessageId::mint), ..key },
        AttemptKey { n: 9, ..key },
        AttemptKey { tenant: other.tenant(), ..key },
        AttemptKey { message: pending, ..key },
    ];
    let mut facts: Vec<AttemptFact> = unknown.iter().map(|key| w.fact(*key, accepted("wamid.0"))).collect();
    facts.insert(2, w.fact(key, accepted("wamid.1")));
    let settled = must(w.outbox().settle(&facts).await);
    let (mut named, mut expected) = (settled.unknown, unknown.to_vec());
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(
        settled.changed,
        [(scope.tenant(), key.message, MessageState::Accepted)],
        "the rest is merged"
    );
    assert_eq!(w.view(&scope, key.message).await.attempts.len(), 1, "no attempt comes into being");
    assert_eq!(w.state(&scope, pending).await, MessageState::Pending);
}

pub(crate) async fn settle_joins_waiting_statuses(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(9)).await;
    let (read, failed) =
        (w.begun(&scope, session.id, &own).await.key, w.begun(&scope, session.id, &own).await.key);
    let status = |id: &str, fact| ProjectedEvent::Status {
        attempt: None,
        batch: None,
        update: w.status(&session, id, fact),
    };
    let mut failure = w.status(&session, "wamid.failed", Fact::Failed);
    failure.failure = Some(crate::testing::store::world::failure(RejectClass::Recipient, 131_026));
    let projected = w
        .hear(vec![
            status("wamid.read", Fact::Read),
            status("wamid.read", Fact::Sent),
            ProjectedEvent::Status { attempt: None, batch: None, update: failure },
        ])
        .await;
    assert_eq!(projected.waiting, 3, "nobody knows these ids yet");
    assert_eq!(w.state(&scope, read.message).await, MessageState::Attempting);

    let settled = w.settle(read, accepted("wamid.read")).await;
    assert_eq!(settled.changed, [(scope.tenant(), read.message, MessageState::Read)]);
    let facts = only(w.view(&scope, read.message).await.attempts).facts;
    assert!([Fact::Accepted, Fact::Sent, Fact::Read].into_iter().all(|fact| facts.has(fact)), "{facts:?}");

    // With the same consequences as if it had come later.
    assert_eq!(w.used(&scope).await, 2);
    let settled = w.settle(failed, accepted("wamid.failed")).await;
    assert_eq!(settled.changed, [(scope.tenant(), failed.message, MessageState::Failed)]);
    assert_eq!(w.used(&scope).await, 1);

    // And they are used up: another attempt does not inherit them.
    let next = w.begun(&scope, session.id, &own).await.key;
    w.settle(next, accepted("wamid.next")).await;
    assert_eq!(w.state(&scope, next.message).await, MessageState::Accepted);
}

pub(crate) async fn an_in_doubt_attempt_is_not_overridden_by_another(w: World) {
    let (scope, session, own) = w.one().await;
    let first = w.begun(&scope, session.id, &own).await.key;
    w.settle(first, rejected(RejectClass::Retry, 1)).await;
    w.pass(60);
    let second = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!((second.message, second.n), (first.message, 2));
    w.settle(second, Outcome::Ambiguous).await;
    assert_eq!(w.state(&scope, first.message).await, MessageState::InDoubt);

    // News of the other attempt, definite as it is, says nothing about this one.
    for outcome in [Outcome::NotSent, rejected(RejectClass::Retry, 2), rejected(RejectClass::Throttled, 3)] {
        let settled = w.settle(first, outcome).await;
        assert!(settled.changed.is_empty(), "{settled:?}");
        assert_eq!(settled.due_at, None, "nothing is scheduled");
    }
    assert_eq!(w.state(&scope, first.message).await, MessageState::InDoubt);
    w.pass(86_400);
    let due = w.due(&own, session.id).await;
    assert!(due.messages.is_empty() && due.next_at.is_none(), "no third attempt: {due:?}");
    let listed = only(must(w.reports().in_doubt(&scope, None, 10).await));
    assert_eq!(listed.id, first.message);
}

pub(crate) async fn settle_writes_the_journal(w: World) {
    let (scope, session, own) = w.one().await;
    w.campaign(&scope, session.id, 5).await;
    let begun = w.begin_due(&own, session.id).await.attempts;
    let outcomes = [
        accepted("wamid.1"),
        Outcome::Ambiguous,
        Outcome::NotSent,
        rejected(RejectClass::Retry, 1),
        rejected(RejectClass::Recipient, 2),
    ];
    let facts: Vec<AttemptFact> =
        begun.iter().zip(outcomes).map(|(attempt, outcome)| w.fact(attempt.key, outcome)).collect();
    let settled = must(w.outbox().settle(&facts).await);
    let told = w.told(&scope).await;
    let expected = [
        MessageState::Accepted,
        MessageState::InDoubt,
        MessageState::Held,
        MessageState::Held,
        MessageState::Failed,
    ];
    for (attempt, expected) in begun.iter().zip(expected) {
        let id = attempt.key.message;
        assert_eq!(w.state(&scope, id).await, expected);
        assert_eq!(told.get(&id), Some(&expected), "the journal says so");
        assert!(settled.changed.contains(&(scope.tenant(), id, expected)), "and so does the answer");
    }
    let events = w.events().await;
    must(w.outbox().settle(&facts).await);
    assert_eq!(w.events().await, events, "what changes nothing is not written again");
}
