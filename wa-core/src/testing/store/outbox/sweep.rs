//! Attempts that never got an outcome.

use std::time::Duration;

use crate::model::{Fact, MessageState, RejectClass};
use crate::port::store::{DueMessage, Swept};
use crate::testing::scope;
use crate::testing::store::world::{World, accepted, must, only, rejected, standard};

const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn sweep_never_makes_pending(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(9)).await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let page: Vec<DueMessage> = w.due(&own, session.id).await.messages;
    let begun = w.begin(&own, session.id, &page, standard()).await;
    let keys: Vec<_> = begun.attempts.iter().map(|attempt| attempt.key).collect();
    w.pass(60);
    let stranger = scope::worker(w.another_worker(), []);
    assert_eq!(must(w.outbox().sweep(&stranger, GRACE).await), Swept::default(), "held sessions only");

    let swept = must(w.outbox().sweep(&own, GRACE).await);
    let mut in_doubt = swept.in_doubt;
    in_doubt.sort();
    assert_eq!(in_doubt, keys, "every attempt without outcome");
    assert_eq!(swept.next_at, None);
    for key in &keys {
        let view = w.view(&scope, key.message).await;
        assert_eq!(view.state, MessageState::InDoubt);
        assert!(only(view.attempts).facts.has(Fact::InDoubt));
        assert_eq!(
            w.told(&scope).await.get(&key.message),
            Some(&MessageState::InDoubt),
            "in the journal too"
        );
    }
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.in_doubt, counts.attempting, counts.pending), (2, 0, 0));
    assert_eq!(w.used(&scope).await, 2, "they may have been sent, so they count");

    assert!(must(w.outbox().sweep(&own, GRACE).await).in_doubt.is_empty(), "once is enough");
    w.pass(86_400);
    let due = w.due(&own, session.id).await;
    assert!(due.messages.is_empty() && due.next_at.is_none(), "it never becomes due: {due:?}");
    let again = w.begin(&own, session.id, &page, standard()).await;
    assert!(again.attempts.is_empty(), "and is not begun again: {again:?}");
}

pub(crate) async fn sweep_waits_for_the_grace(w: World) {
    let (scope, session, own) = w.one().await;
    let first = w.begun(&scope, session.id, &own).await;
    w.pass(5);
    let second = w.begun(&scope, session.id, &own).await;

    w.clock.set(first.end_by + GRACE - Duration::from_micros(1));
    let early = must(w.outbox().sweep(&own, GRACE).await);
    assert_eq!(early.in_doubt, [], "not before the end of the request and the grace");
    assert_eq!(early.next_at, Some(first.end_by + GRACE));
    assert_eq!(w.state(&scope, first.key.message).await, MessageState::Attempting);

    w.clock.set(first.end_by + GRACE + Duration::from_micros(1));
    let late = must(w.outbox().sweep(&own, GRACE).await);
    assert_eq!(late.in_doubt, [first.key]);
    assert_eq!(late.next_at, Some(second.end_by + GRACE), "and says when the next one would be");
    assert_eq!(w.state(&scope, second.key.message).await, MessageState::Attempting);
}

pub(crate) async fn sweep_leaves_settled_attempts_alone(w: World) {
    let (scope, session, own) = w.one().await;
    for outcome in [
        accepted("wamid.1"),
        rejected(RejectClass::Recipient, 131_026),
        rejected(RejectClass::Retry, 1),
        crate::model::Outcome::NotSent,
        crate::model::Outcome::Ambiguous,
    ] {
        let attempt = w.begun(&scope, session.id, &own).await;
        w.settle(attempt.key, outcome).await;
    }
    w.pass(3_600);
    let before = w.snapshot(&scope).await;
    assert_eq!(must(w.outbox().sweep(&own, GRACE).await), Swept::default());
    assert_eq!(w.snapshot(&scope).await, before);
}
