//! Taking messages in and cancelling them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    MessageId, MessageState, NewMessage, ProviderMessageId, RejectClass, SendKey, SessionId, SkipReason,
};
use crate::port::store::{CancelMessage, Enqueue};
use crate::testing::store::judges::Scripted;
use crate::testing::store::world::{World, accepted, must, only, rejected, sorted, template, value};

fn keyed(message: NewMessage, key: &str) -> NewMessage {
    NewMessage { key: Some(value::<SendKey>(key)), ..message }
}

pub(crate) async fn enqueue_is_idempotent_by_key(mut w: World) {
    let (scope, session, own) = w.one().await;
    let first = keyed(w.message(session.id, w.fresh_phone()), "order-17");
    assert_eq!(must(w.outbox().enqueue(&scope, &first).await), Enqueue::Queued(first.id));
    w.pass(1);
    let again = NewMessage {
        id: w.mint(MessageId::mint),
        due_at: w.now(),
        valid_until: Some(w.after(600)),
        ..first.clone()
    };
    assert_eq!(must(w.outbox().enqueue(&scope, &again).await), Enqueue::Known(first.id));
    assert_eq!(w.due_ids(&own, session.id).await, [first.id], "one call or two, one message is due");
    assert_eq!(must(w.reports().message(&scope, again.id).await), None);

    // The key still names the message after it has left, and after a restart.
    let begun = w.begin_due(&own, session.id).await;
    w.settle(begun.attempts.first().expect("it begins").key, accepted("wamid.1")).await;
    w.reopen().await;
    assert_eq!(must(w.outbox().enqueue(&scope, &again).await), Enqueue::Known(first.id));
    assert_eq!(w.state(&scope, first.id).await, MessageState::Accepted);

    // Without a key two equal messages are two, and the same call repeated is one.
    let one = w.message(session.id, first.recipient.clone());
    let two = NewMessage { id: w.mint(MessageId::mint), ..one.clone() };
    w.enqueue(&scope, &one).await;
    w.enqueue(&scope, &two).await;
    assert_eq!(must(w.outbox().enqueue(&scope, &one).await), Enqueue::Known(one.id));
}

pub(crate) async fn another_body_under_a_key_is_refused(w: World) {
    let (scope, session, own) = w.one().await;
    let first = keyed(w.message(session.id, w.fresh_phone()), "order-17");
    w.enqueue(&scope, &first).await;
    let other_content = NewMessage {
        id: w.mint(MessageId::mint),
        content: template("another", crate::model::Category::Utility),
        ..first.clone()
    };
    let other_recipient =
        NewMessage { id: w.mint(MessageId::mint), recipient: w.fresh_phone().into(), ..first.clone() };
    let other_policy = NewMessage {
        id: w.mint(MessageId::mint),
        in_doubt: Some(crate::model::InDoubtPolicy::Manual),
        ..first.clone()
    };
    for other in [other_content, other_recipient, other_policy] {
        assert_eq!(must(w.outbox().enqueue(&scope, &other).await), Enqueue::Different(first.id));
        assert_eq!(must(w.reports().message(&scope, other.id).await), None, "nothing is taken in");
    }
    assert_eq!(w.due_ids(&own, session.id).await, [first.id]);

    let campaign = w.campaign(&scope, session.id, 1).await;
    let frozen = only(w.recipients(&scope, campaign.id).await);
    let other = NewMessage { id: frozen.id, ..w.message(session.id, w.fresh_phone()) };
    assert_eq!(must(w.outbox().enqueue(&scope, &other).await), Enqueue::Different(frozen.id));
    assert_eq!(only(w.recipients(&scope, campaign.id).await), frozen, "it stays as it was");
}

pub(crate) async fn keys_of_two_tenants_do_not_meet(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, at_b) = (w.session(&a).await, w.session(&b).await);
    let own = w.own().await;
    let first = keyed(w.message(at_a.id, w.fresh_phone()), "order-17");
    let second = keyed(w.message(at_b.id, w.fresh_phone()), "order-17");
    assert_eq!(must(w.outbox().enqueue(&a, &first).await), Enqueue::Queued(first.id));
    assert_eq!(must(w.outbox().enqueue(&b, &second).await), Enqueue::Queued(second.id));
    assert_eq!(w.due_ids(&own, at_a.id).await, [first.id]);
    assert_eq!(w.due_ids(&own, at_b.id).await, [second.id]);
}

pub(crate) async fn enqueue_keeps_what_is_quoted(mut w: World) {
    let (scope, session, own) = w.one().await;
    let quoted = Some(value::<ProviderMessageId>("wamid.HBgLMTU1NTAwMDAwMDE="));
    let reply =
        keyed(NewMessage { reply_to: quoted.clone(), ..w.message(session.id, w.fresh_phone()) }, "answer-1");
    let plain = w.message(session.id, w.fresh_phone());
    w.enqueue(&scope, &reply).await;
    w.enqueue(&scope, &plain).await;
    let again = NewMessage { id: w.mint(MessageId::mint), ..reply.clone() };
    assert_eq!(must(w.outbox().enqueue(&scope, &again).await), Enqueue::Known(reply.id));
    for other in [None, Some(value("wamid.another"))] {
        let other = NewMessage { reply_to: other, ..again.clone() };
        assert_eq!(must(w.outbox().enqueue(&scope, &other).await), Enqueue::Different(reply.id));
    }
    w.reopen().await;
    let due = w.due(&own, session.id).await.messages;
    let quotes: BTreeMap<_, _> = due.iter().map(|due| (due.id, due.reply_to.clone())).collect();
    assert_eq!(quotes, BTreeMap::from([(reply.id, quoted.clone()), (plain.id, None)]));

    let begun = w.begin_due(&own, session.id).await;
    let attempt = begun.attempts.iter().find(|attempt| attempt.key.message == reply.id);
    w.settle(attempt.expect("it begins").key, rejected(RejectClass::Retry, 5)).await;
    w.pass(600);
    let due = w.due(&own, session.id).await.messages;
    let retry = due.iter().find(|due| due.id == reply.id).expect("it is tried again");
    assert_eq!((retry.n, &retry.reply_to), (2, &quoted), "a retry quotes what the first attempt quoted");
}

pub(crate) async fn enqueue_needs_an_own_session(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, _at_b) = (w.session(&a).await, w.session(&b).await);
    let own = w.own().await;
    let foreign = w.message(at_a.id, w.fresh_phone());
    let unknown = w.message(w.mint(SessionId::mint), w.fresh_phone());
    for message in [foreign, unknown] {
        assert_eq!(must(w.outbox().enqueue(&b, &message).await), Enqueue::NoSession);
        assert_eq!(must(w.reports().message(&b, message.id).await), None);
        assert_eq!(must(w.reports().message(&a, message.id).await), None);
    }
    assert!(w.due_ids(&own, at_a.id).await.is_empty(), "nothing was taken in for the owner either");
}

pub(crate) async fn a_cancelled_message_never_begins(w: World) {
    let (scope, session, own) = w.one().await;
    let (kept, cancelled) = (w.single(&scope, session.id).await, w.single(&scope, session.id).await);
    let campaign = w.campaign(&scope, session.id, 3).await;
    let page = w.due(&own, session.id).await.messages;
    let of_campaign = w.recipients(&scope, campaign.id).await;
    let in_feed = of_campaign.get(1).expect("three messages").id;

    for id in [cancelled, in_feed] {
        assert_eq!(must(w.outbox().cancel(&scope, id).await), CancelMessage::Cancelled);
        let view = w.view(&scope, id).await;
        assert_eq!((view.state, view.skipped), (MessageState::Skipped, Some(SkipReason::Cancelled)));
    }
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.skipped, counts.pending), (1, 2));
    assert_eq!(counts.reasons.get("skipped:cancelled"), Some(&1));

    let before = w.snapshot(&scope).await;
    assert_eq!(must(w.outbox().cancel(&scope, cancelled).await), CancelMessage::Cancelled, "and stays so");
    assert_eq!(w.snapshot(&scope).await, before);

    // A page that was read before must not bring them back, nor may they hold up the others.
    let stale = w.begin(&own, session.id, &page, Arc::new(Scripted::default())).await;
    assert!(stale.attempts.iter().all(|attempt| attempt.key.message != cancelled));
    assert!(stale.attempts.iter().all(|attempt| attempt.key.message != in_feed));
    assert!(stale.gone.contains(&cancelled));
    let fresh = w.begin_due(&own, session.id).await;
    let begun = stale.attempts.iter().chain(&fresh.attempts).map(|attempt| attempt.key.message);
    let others = of_campaign.iter().map(|view| view.id).filter(|id| *id != in_feed).chain([kept]);
    assert_eq!(sorted(begun), sorted(others), "all others begin, each once");
    assert!(w.due_ids(&own, session.id).await.is_empty());

    assert_eq!(must(w.outbox().cancel(&scope, w.mint(MessageId::mint)).await), CancelMessage::Missing);
}

pub(crate) async fn a_begun_message_cannot_be_cancelled(w: World) {
    let (scope, session, own) = w.one().await;
    let key = w.begun(&scope, session.id, &own).await.key;
    for (outcome, state) in
        [(None, MessageState::Attempting), (Some(accepted("wamid.1")), MessageState::Accepted)]
    {
        if let Some(outcome) = outcome {
            w.settle(key, outcome).await;
        }
        let before = w.snapshot(&scope).await;
        assert_eq!(must(w.outbox().cancel(&scope, key.message).await), CancelMessage::TooLate(state));
        assert_eq!(w.state(&scope, key.message).await, state);
        assert_eq!(w.snapshot(&scope).await, before, "a refused cancellation changes nothing");
    }
}
