//! What is put back by hand, and what never is.

use crate::model::{
    CampaignAction, CampaignId, Category, Fact, MessageId, MessageState, NewMessage, Outcome, RejectClass,
    SkipReason, TenantSettings,
};
use crate::port::store::{FailureFilter, ProjectedEvent, Redrive, RedriveOf, Redriven, RetryMessage};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{World, accepted, must, only, rejected, sorted, template};

fn bad_number() -> Outcome {
    rejected(RejectClass::Recipient, 131_026)
}

/// Walks through everything that fits, in chunks; how many were put back and refused.
async fn walk(w: &World, scope: &Scope, of: &RedriveOf, limit: u32) -> (u64, u64) {
    let (mut after, mut sum) = (None, (0, 0));
    for _ in 0..1_000 {
        let ask = Redrive { of: of.clone(), after, limit };
        let Redriven { requeued, refused, next } = must(w.outbox().redrive(scope, &ask).await);
        assert!(requeued + refused <= u64::from(limit), "a chunk is bounded");
        sum = (sum.0 + requeued, sum.1 + refused);
        match next {
            Some(next) => after = Some(next),
            None => return sum,
        }
    }
    panic!("the walk does not end");
}

fn all_failed() -> RedriveOf {
    RedriveOf::Failed(FailureFilter::default())
}

fn of_campaign(campaign: CampaignId) -> RedriveOf {
    RedriveOf::Failed(FailureFilter { campaign: Some(campaign), ..FailureFilter::default() })
}

pub(crate) async fn retry_adds_an_attempt_to_the_chain(w: World) {
    let (scope, session, own) = w.one().await;
    let settings = TenantSettings { max_retries: 1, ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    let mut key = only(w.begin_due(&own, session.id).await.attempts).key;
    let id = key.message;
    for _ in 0..2 {
        w.settle(key, rejected(RejectClass::Retry, 131_000)).await;
        w.pass(60);
        if let [next] = w.begin_due(&own, session.id).await.attempts.as_slice() {
            key = next.key;
        }
    }
    assert_eq!((key.n, w.state(&scope, id).await), (2, MessageState::Failed));
    must(w.audience().advance(&w.admin()).await);
    assert_eq!(must(w.outbox().retry(&scope, id).await), RetryMessage::Requeued(w.now()));
    assert_eq!(w.state(&scope, id).await, MessageState::Pending);
    assert_eq!(w.told(&scope).await.get(&id), Some(&MessageState::Pending), "the journal tells it");
    assert_eq!(must(w.outbox().retry(&scope, id).await), RetryMessage::Not(MessageState::Pending));
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.failed, counts.critical, counts.pending), (0, 0, 1));
    assert!(counts.reasons.is_empty());

    // A campaign that was done goes on for it.
    must(w.audience().advance(&w.admin()).await);
    let again = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!((again.message, again.n), (id, 3), "one more attempt of the same message");
    assert!(
        w.settle(again, rejected(RejectClass::Retry, 131_000)).await.due_at.is_some(),
        "a retry of its own"
    );
    w.pass(60);
    let last = only(w.begin_due(&own, session.id).await.attempts).key;
    assert!(w.settle(last, rejected(RejectClass::Retry, 131_000)).await.due_at.is_none(), "and no more");
    assert_eq!(w.view(&scope, id).await.attempts.len(), 4);
    assert_eq!(w.counts(&scope, campaign.id).await.critical, 1);
    assert_eq!(must(w.outbox().retry(&scope, w.mint(MessageId::mint)).await), RetryMessage::Missing);

    // Who should be left alone for a day is left alone.
    let key = w.begun(&scope, session.id, &own).await.key;
    w.settle(key, rejected(RejectClass::Later, 131_049)).await;
    let tomorrow = w.after(86_400);
    assert_eq!(must(w.outbox().retry(&scope, key.message).await), RetryMessage::Requeued(tomorrow));
    assert!(!w.due_ids(&own, session.id).await.contains(&key.message));
}

/// One message in each state that may be or was given up on purpose; with the states.
async fn untouchables(w: &World, scope: &Scope) -> Vec<(MessageId, MessageState)> {
    let session = w.session(scope).await;
    let own = w.own().await;
    let mut all = Vec::new();
    let doubt = w.begun(scope, session.id, &own).await.key;
    w.settle(doubt, Outcome::Ambiguous).await;
    all.push((doubt.message, MessageState::InDoubt));
    let taken = w.begun(scope, session.id, &own).await.key;
    w.settle(taken, accepted("wamid.taken")).await;
    all.push((taken.message, MessageState::Accepted));
    let read = w.begun(scope, session.id, &own).await.key;
    w.settle(read, accepted("wamid.read")).await;
    let update = w.status(&session, "wamid.read", Fact::Read);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    all.push((read.message, MessageState::Read));
    // Reported as failed, and delivered after all.
    let odd = w.begun(scope, session.id, &own).await.key;
    w.settle(odd, bad_number()).await;
    let update = w.status(&session, "wamid.odd", Fact::Delivered);
    w.hear(vec![ProjectedEvent::Status { attempt: Some(odd), batch: None, update }]).await;
    all.push((odd.message, MessageState::Delivered));
    let open = w.begun(scope, session.id, &own).await.key;
    all.push((open.message, MessageState::Attempting));
    let gone = w.single(scope, session.id).await;
    must(w.outbox().cancel(scope, gone).await);
    all.push((gone, MessageState::Skipped));
    let late = NewMessage { valid_until: Some(w.now()), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(scope, &late).await;
    assert_eq!(only(w.begin_due(&own, session.id).await.skips).1, SkipReason::Expired);
    all.push((late.id, MessageState::Skipped));
    all
}

pub(crate) async fn retry_leaves_alone_what_may_be_delivered(w: World) {
    let scope = w.tenant("one").await;
    for (id, state) in untouchables(&w, &scope).await {
        assert_eq!(must(w.outbox().retry(&scope, id).await), RetryMessage::Not(state));
        assert_eq!(w.state(&scope, id).await, state);
    }
}

pub(crate) async fn redrive_never_touches_what_may_be_delivered(w: World) {
    let scope = w.tenant("one").await;
    let all = untouchables(&w, &scope).await;
    let before = w.snapshot(&scope).await;
    let skipped = SkipReason::ALL.iter().map(|reason| RedriveOf::Skipped { reason: *reason, campaign: None });
    for of in skipped.chain([all_failed()]) {
        let (requeued, _) = walk(&w, &scope, &of, 100).await;
        assert_eq!(requeued, 0, "{of:?}");
    }
    assert_eq!(w.snapshot(&scope).await, before);

    // Nor what belongs to a campaign that was cancelled, in whatever way it ended.
    let session = w.session(&scope).await;
    let own = w.own().await;
    let campaign = w.campaign(&scope, session.id, 3).await;
    let key = only(
        w.begin(
            &own,
            session.id,
            w.due(&own, session.id).await.messages.get(..1).expect("three"),
            crate::testing::store::world::standard(),
        )
        .await
        .attempts,
    )
    .key;
    w.settle(key, bad_number()).await;
    w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    assert_eq!(walk(&w, &scope, &of_campaign(campaign.id), 10).await, (0, 1));
    for view in w.recipients(&scope, campaign.id).await {
        let left = must(w.outbox().retry(&scope, view.id).await);
        assert_eq!(left, RetryMessage::Not(view.state), "{view:?}");
    }
    assert_eq!(all.len(), 7);
}

/// A running campaign of so many, all of whose messages failed in turn for one of two reasons.
async fn failed_campaign(
    w: &World,
    scope: &Scope,
    members: usize,
) -> (CampaignId, Vec<MessageId>, WorkerScope) {
    let session = w.session(scope).await;
    let own = w.own().await;
    let campaign = w.campaign(scope, session.id, members).await;
    let begun = w.begin_due(&own, session.id).await.attempts;
    for (place, attempt) in begun.iter().enumerate() {
        let outcome = if place % 2 == 0 { bad_number() } else { rejected(RejectClass::Request, 100) };
        w.settle(attempt.key, outcome).await;
    }
    (campaign.id, begun.iter().map(|attempt| attempt.key.message).collect(), own)
}

pub(crate) async fn redrive_requeues_what_fits(w: World) {
    let scope = w.tenant("one").await;
    let (mine, messages, _) = failed_campaign(&w, &scope, 7).await;
    let (other, ..) = failed_campaign(&w, &scope, 2).await;
    let bad_numbers = RedriveOf::Failed(FailureFilter {
        campaign: Some(mine),
        class: Some(RejectClass::Recipient),
        ..FailureFilter::default()
    });
    assert_eq!(walk(&w, &scope, &bad_numbers, 1).await, (4, 0));
    let states = async || -> Vec<(MessageId, MessageState)> {
        let views = w.recipients(&scope, mine).await;
        views.into_iter().map(|view| (view.id, view.state)).collect()
    };
    for (id, state) in states().await {
        let place = messages.iter().position(|it| *it == id).expect("one of the seven");
        let expected = if place % 2 == 0 { MessageState::Pending } else { MessageState::Failed };
        assert_eq!(state, expected, "the one at {place}");
    }
    assert_eq!(walk(&w, &scope, &of_campaign(mine), 2).await, (3, 0));
    assert_eq!(w.counts(&scope, mine).await.pending, 7);
    assert_eq!(w.counts(&scope, other).await.failed, 2, "those of another campaign stay");
    assert_eq!(walk(&w, &scope, &all_failed(), 100).await, (2, 0));
}

pub(crate) async fn redrive_twice_requeues_once(w: World) {
    let scope = w.tenant("one").await;
    let (mine, messages, own) = failed_campaign(&w, &scope, 4).await;
    let of = of_campaign(mine);
    assert_eq!(walk(&w, &scope, &of, 3).await, (4, 0));
    assert_eq!(walk(&w, &scope, &of, 3).await, (0, 0));
    let session = w.view(&scope, *messages.first().expect("four")).await.session;
    must(w.audience().advance(&w.admin()).await);
    let due = w.due(&own, session).await.messages;
    assert_eq!(due.iter().map(|it| it.n).collect::<Vec<_>>(), [2; 4]);
    let begun = w.begin_due(&own, session).await.attempts;
    assert_eq!(sorted(begun.iter().map(|it| it.key.message)), sorted(messages));
    assert_eq!(walk(&w, &scope, &of, 3).await, (0, 0), "not while they are under way");
    for attempt in &begun {
        w.settle(attempt.key, bad_number()).await;
    }
    assert_eq!(walk(&w, &scope, &of, 3).await, (4, 0), "and again once they failed again");
    let counts = w.counts(&scope, mine).await;
    assert_eq!((counts.audience, counts.pending, counts.retries), (4, 4, 4), "no message is added");
}

pub(crate) async fn redrive_takes_skipped_ones_by_their_reason(w: World) {
    let (scope, session, own) = w.one().await;
    let to = w.fresh_phone();
    let text = NewMessage {
        content: crate::model::Content::text("hello").expect("a text"),
        ..w.message(session.id, to)
    };
    w.enqueue(&scope, &text).await;
    assert_eq!(only(w.begin_due(&own, session.id).await.skips), (text.id, SkipReason::WindowClosed));
    let offer = NewMessage {
        content: template("offer", Category::Utility),
        valid_until: Some(w.now()),
        ..w.message(session.id, to)
    };
    w.enqueue(&scope, &offer).await;
    assert_eq!(only(w.begin_due(&own, session.id).await.skips).1, SkipReason::Expired);
    let skipped = |reason, campaign| RedriveOf::Skipped { reason, campaign };
    let foreign = Some(w.mint(CampaignId::mint));
    assert_eq!(walk(&w, &scope, &skipped(SkipReason::WindowClosed, foreign), 10).await, (0, 0));
    assert_eq!(walk(&w, &scope, &skipped(SkipReason::Expired, None), 10).await, (0, 0));
    assert_eq!(walk(&w, &scope, &all_failed(), 10).await, (0, 0), "skipped is not failed");
    w.user_writes(&session, to).await;
    assert_eq!(walk(&w, &scope, &skipped(SkipReason::WindowClosed, None), 10).await, (1, 0));
    let begun = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!((begun.message, begun.n), (text.id, 1), "it is judged anew, and the window is open");
}
