//! What somebody says about a message in doubt.

use super::recover::{RIPE, doubtful, recover, resend, set_policy, tagged};
use crate::model::{
    CampaignAction, EventBody, Fact, HoldReason, MessageId, MessageState, NewMessage, Outcome, RejectClass,
    Resolution, SkipReason,
};
use crate::port::Scope;
use crate::port::store::ResolveMessage;
use crate::testing::store::world::{World, accepted, must, only, rejected};

async fn resolve(w: &World, scope: &Scope, message: MessageId, resolution: Resolution) -> ResolveMessage {
    must(w.outbox().resolve(scope, message, resolution).await)
}

pub(crate) async fn resolve_decides_a_message_in_doubt(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(9)).await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let [one, two] = w.begin_due(&own, session.id).await.attempts.try_into().expect("two");
    for key in [one.key, two.key] {
        w.settle(key, Outcome::Ambiguous).await;
    }
    w.pass(60);
    let before = w.events().await.len();
    let told = resolve(&w, &scope, one.key.message, Resolution::Delivered).await;
    assert_eq!(told, ResolveMessage::Resolved(MessageState::Delivered));
    let facts = only(w.view(&scope, one.key.message).await.attempts).facts;
    assert_eq!((facts.at(Fact::Delivered), facts.has(Fact::InDoubt)), (Some(w.now()), true));
    assert_eq!(w.used(&scope).await, 2);

    let told = resolve(&w, &scope, two.key.message, Resolution::Undelivered).await;
    assert_eq!(told, ResolveMessage::Resolved(MessageState::Failed));
    assert_eq!(w.used(&scope).await, 1, "what it took is given back");
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.delivered, counts.failed, counts.in_doubt), (1, 1, 0));
    assert!(must(w.reports().in_doubt(&scope, None, 10).await).is_empty());
    let told: Vec<_> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    for (message, resolution, state) in [
        (one.key.message, Resolution::Delivered, MessageState::Delivered),
        (two.key.message, Resolution::Undelivered, MessageState::Failed),
    ] {
        assert!(told.contains(&EventBody::Resolved { message, resolution }), "{told:?}");
        assert!(told.contains(&EventBody::Messages { changes: vec![(message, state)] }), "{told:?}");
    }

    // All attempts in doubt are decided at once.
    set_policy(&w, &scope, resend()).await;
    let key = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE);
    recover(&w, &own).await;
    let again = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(again, Outcome::Ambiguous).await;
    let told = resolve(&w, &scope, key.message, Resolution::Undelivered).await;
    assert_eq!(told, ResolveMessage::Resolved(MessageState::Failed));
    let view = w.view(&scope, key.message).await;
    assert!(view.attempts.iter().all(|it| it.facts.has(Fact::Rejected) && it.facts.has(Fact::InDoubt)));
}

pub(crate) async fn resolve_resends_once(w: World) {
    let (scope, session, own) = w.one().await;
    let key = doubtful(&w, &scope, &session, &own).await;
    let before = w.events().await.len();
    let at = w.now();
    assert_eq!(resolve(&w, &scope, key.message, Resolution::Resend).await, ResolveMessage::Requeued(at));
    let told: Vec<_> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    assert_eq!(told, [EventBody::Resolved { message: key.message, resolution: Resolution::Resend }]);
    let view = w.view(&scope, key.message).await;
    assert_eq!((view.state, view.held), (MessageState::InDoubt, Some((HoldReason::Resend, at))));
    w.pass(5);
    assert_eq!(resolve(&w, &scope, key.message, Resolution::Resend).await, ResolveMessage::Requeued(at));
    assert_eq!(w.events().await.len(), before + 1);
    assert_eq!(recover(&w, &own).await.resent, []);
    // The template that may have gone out does not hold up the one that is to follow.
    let again = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!((again.message, again.n), (key.message, 2));
    let not = ResolveMessage::Not(MessageState::Attempting);
    assert_eq!(resolve(&w, &scope, key.message, Resolution::Resend).await, not);
    w.settle(again, accepted("wamid.2")).await;
    let not = ResolveMessage::Not(MessageState::Accepted);
    assert_eq!(resolve(&w, &scope, key.message, Resolution::Resend).await, not);

    // Also after it was given up on, and after the next attempt was cancelled.
    let lost = doubtful(&w, &scope, &session, &own).await;
    w.clock.set(w.now() + crate::rules::doubt::FINAL_AFTER);
    recover(&w, &own).await;
    assert!(w.view(&scope, lost.message).await.given_up_at.is_some());
    let now = w.now();
    assert_eq!(resolve(&w, &scope, lost.message, Resolution::Resend).await, ResolveMessage::Requeued(now));
    assert_eq!(w.view(&scope, lost.message).await.given_up_at, None);
    must(w.outbox().cancel(&scope, lost.message).await);
    assert!(w.due(&own, session.id).await.messages.is_empty());
    assert_eq!(resolve(&w, &scope, lost.message, Resolution::Resend).await, ResolveMessage::Requeued(now));
    assert_eq!(only(w.begin_due(&own, session.id).await.attempts).key.n, 2);
}

pub(crate) async fn resolve_resends_nothing_that_is_over(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    let late = NewMessage { valid_until: Some(w.after(60)), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(&scope, &late).await;
    for attempt in w.begin_due(&own, session.id).await.attempts {
        w.settle(attempt.key, Outcome::Ambiguous).await;
    }
    w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    w.pass(60);
    let cancelled = only(w.recipients(&scope, campaign.id).await).id;
    for (message, reason) in [(cancelled, SkipReason::Cancelled), (late.id, SkipReason::Expired)] {
        let before = w.snapshot(&scope).await;
        let told = resolve(&w, &scope, message, Resolution::Resend).await;
        assert_eq!(told, ResolveMessage::Barred(reason));
        assert_eq!(w.snapshot(&scope).await, before, "nothing changes");
        let told = resolve(&w, &scope, message, Resolution::Delivered).await;
        assert_eq!(told, ResolveMessage::Resolved(MessageState::Delivered), "that can be said all the same");
    }
}

pub(crate) async fn resolve_leaves_others_alone(w: World) {
    let (scope, session, own) = w.one().await;
    let pending = w.enqueue(&scope, &w.message(session.id, w.fresh_phone())).await;
    let attempting = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!(attempting.message, pending);
    let mut all = vec![(pending, MessageState::Attempting)];
    for (outcome, state) in [
        (accepted("wamid.1"), MessageState::Accepted),
        (rejected(RejectClass::Recipient, 131_026), MessageState::Failed),
        (rejected(RejectClass::Retry, 1), MessageState::Held),
    ] {
        let key = w.begun(&scope, session.id, &own).await.key;
        w.settle(key, outcome).await;
        all.push((key.message, state));
    }
    let later = NewMessage { due_at: w.after(3_600), ..w.message(session.id, w.fresh_phone()) };
    all.push((w.enqueue(&scope, &later).await, MessageState::Pending));
    let before = w.snapshot(&scope).await;
    for (message, state) in all {
        for resolution in [Resolution::Resend, Resolution::Delivered, Resolution::Undelivered] {
            assert_eq!(resolve(&w, &scope, message, resolution).await, ResolveMessage::Not(state));
        }
    }
    let missing = w.mint(MessageId::mint);
    assert_eq!(resolve(&w, &scope, missing, Resolution::Resend).await, ResolveMessage::Missing);
    assert_eq!(w.snapshot(&scope).await, before);
}

pub(crate) async fn late_news_of_a_resolved_message_count(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(9)).await;
    let key = doubtful(&w, &scope, &session, &own).await;
    resolve(&w, &scope, key.message, Resolution::Undelivered).await;
    assert_eq!(w.state(&scope, key.message).await, MessageState::Failed);
    tagged(&w, &session, key, Fact::Delivered).await;
    assert_eq!(w.state(&scope, key.message).await, MessageState::Delivered);

    // A word of delivery beats a report of failure, as one of the provider does.
    let key = doubtful(&w, &scope, &session, &own).await;
    resolve(&w, &scope, key.message, Resolution::Delivered).await;
    tagged(&w, &session, key, Fact::Read).await;
    assert_eq!(w.state(&scope, key.message).await, MessageState::Read);
    let told = resolve(&w, &scope, key.message, Resolution::Undelivered).await;
    assert_eq!(told, ResolveMessage::Not(MessageState::Read));
}
