//! Messages in doubt: which are sent again by their policy, when, and which never.

use std::time::Duration;

use crate::model::{
    AttemptKey, CampaignAction, CampaignState, EventBody, Fact, HoldReason, InDoubtPolicy, IncarnationId,
    MessageId, MessageState, NewCampaign, NewMessage, Outcome, ReconcileCause, RejectClass, Resolution,
    Session, SkipReason, TenantSettings,
};
use crate::port::store::{CancelMessage, ProjectedEvent, Recover, Recovered, ResolveMessage};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{World, accepted, must, only, rejected, sorted};

const GRACE: Duration = Duration::from_secs(10);
/// The wait of every policy here.
const AFTER: u64 = 600;
/// From the begin of an attempt to the end of its request, and the wait after it.
pub(super) const RIPE: u64 = 35 + AFTER;

pub(super) fn resend() -> InDoubtPolicy {
    InDoubtPolicy::ResendAfter { after: Duration::from_secs(AFTER) }
}

fn proven() -> InDoubtPolicy {
    InDoubtPolicy::ResendAfterProvenSilence { after: Duration::from_secs(AFTER) }
}

pub(super) async fn set_policy(w: &World, scope: &Scope, in_doubt: InDoubtPolicy) {
    let settings = TenantSettings { in_doubt, template_cooldown: None, ..TenantSettings::default() };
    w.put_settings(scope, &settings).await;
}

pub(super) async fn recover(w: &World, own: &WorkerScope) -> Recovered {
    must(w.outbox().recover(own, &Recover { grace: GRACE, limit: 1_000 }).await)
}

/// A message whose first attempt is in doubt.
pub(super) async fn doubtful(w: &World, scope: &Scope, session: &Session, own: &WorkerScope) -> AttemptKey {
    let key = w.begun(scope, session.id, own).await.key;
    w.settle(key, Outcome::Ambiguous).await;
    key
}

/// So many messages that were taken and heard of.
async fn heard(w: &World, scope: &Scope, session: &Session, own: &WorkerScope, count: usize) {
    for _ in 0..count {
        let key = w.begun(scope, session.id, own).await.key;
        let name = format!("wamid.{}", key.message);
        w.settle(key, accepted(&name)).await;
        let update = w.status(session, &name, Fact::Sent);
        w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    }
}

pub(super) async fn tagged(w: &World, session: &Session, key: AttemptKey, fact: Fact) {
    let update = w.status(session, &format!("wamid.late.{}", key.n), fact);
    w.hear(vec![ProjectedEvent::Status { attempt: Some(key), batch: None, update }]).await;
}

fn ids(found: &[(crate::model::TenantId, MessageId)]) -> Vec<MessageId> {
    found.iter().map(|(_, id)| *id).collect()
}

pub(crate) async fn recover_never_resends_by_itself(w: World) {
    let (scope, session, own) = w.one().await;
    let default = doubtful(&w, &scope, &session, &own).await;
    heard(&w, &scope, &session, &own, 5).await;
    for policy in [InDoubtPolicy::AtMostOnce, InDoubtPolicy::Manual] {
        set_policy(&w, &scope, policy).await;
        for _ in 0..15 {
            w.pass(86_400);
            let Recovered { resent, given_up, next_at: _ } = recover(&w, &own).await;
            assert_eq!((resent, given_up), (vec![], vec![]), "{policy:?}");
            let due = w.due(&own, session.id).await;
            assert!(due.messages.is_empty() && due.next_at.is_none(), "{policy:?}: {due:?}");
        }
    }
    let view = w.view(&scope, default.message).await;
    assert_eq!((view.state, view.attempts.len(), view.held), (MessageState::InDoubt, 1, None));
}

pub(crate) async fn recover_resends_after_its_time(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    w.put_quota(&scope, Some(9)).await;
    let begun = w.begun(&scope, session.id, &own).await;
    let first = begun.key;
    w.settle(first, Outcome::Ambiguous).await;
    let ripe_at = begun.end_by + Duration::from_secs(AFTER);
    let early = recover(&w, &own).await;
    assert_eq!(early, Recovered { next_at: Some(ripe_at), ..Recovered::default() });
    w.clock.set(ripe_at - Duration::from_micros(1));
    assert_eq!(recover(&w, &own).await, early, "a moment too early");
    assert!(w.due(&own, session.id).await.messages.is_empty());

    w.clock.set(ripe_at);
    assert_eq!(recover(&w, &own).await.resent, [(scope.tenant(), first.message)]);
    let view = w.view(&scope, first.message).await;
    assert_eq!(view.state, MessageState::InDoubt, "it stays in doubt while it waits");
    assert_eq!(view.held, Some((HoldReason::Resend, ripe_at)));
    assert!(recover(&w, &own).await.resent.is_empty(), "once");
    let second = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!((second.message, second.n), (first.message, 2), "the next attempt of the same chain");
    assert_eq!(w.state(&scope, first.message).await, MessageState::Attempting);
    assert_eq!(w.used(&scope).await, 2, "both may have been sent, so both count");
    w.settle(second, accepted("wamid.2")).await;
    let view = w.view(&scope, first.message).await;
    assert_eq!((view.state, view.held), (MessageState::Accepted, None));
    assert!(view.attempts.iter().any(|it| it.n == 1 && it.facts.has(Fact::InDoubt)), "it stays a fact");
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await, Recovered::default());

    // Where the wait is over before a request can have ended, its end and the grace are waited for.
    set_policy(&w, &scope, InDoubtPolicy::ResendAfter { after: Duration::from_secs(60) }).await;
    let begun = w.begun(&scope, session.id, &own).await;
    w.settle(begun.key, Outcome::Ambiguous).await;
    let ask = Recover { grace: Duration::from_secs(300), limit: 10 };
    w.clock.set(begun.end_by + Duration::from_secs(299));
    assert!(must(w.outbox().recover(&own, &ask).await).resent.is_empty());
    w.clock.set(begun.end_by + Duration::from_secs(300));
    assert_eq!(ids(&must(w.outbox().recover(&own, &ask).await).resent), [begun.key.message]);
}

pub(crate) async fn recover_resends_what_is_proven_silent(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, proven()).await;
    // Too long before it to say anything about it.
    heard(&w, &scope, &session, &own, 5).await;
    w.pass(301);
    let key = doubtful(&w, &scope, &session, &own).await;
    heard(&w, &scope, &session, &own, 2).await;
    // Taken, and never heard of: the number may be deaf.
    let silent = w.begun(&scope, session.id, &own).await.key;
    w.settle(silent, accepted("wamid.silent")).await;
    w.pass(RIPE);
    let told = recover(&w, &own).await;
    assert_eq!(told.resent, [], "two are no proof");
    assert!(told.next_at.is_some_and(|at| at > w.now()), "it is looked at again: {told:?}");
    // Nor are others that begin too late.
    heard(&w, &scope, &session, &own, 5).await;
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await.resent, []);

    // The third is heard of, but something that was received waits to be read: it may be about this one.
    let update = w.status(&session, "wamid.silent", Fact::Delivered);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    let unread = w.kept(Vec::new()).await;
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await.resent, [], "the inbox has a backlog");
    must(w.inbox().project(&w.admin(), &[unread]).await);
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await.resent, [(scope.tenant(), key.message)]);
    assert_eq!(w.view(&scope, key.message).await.held, Some((HoldReason::Resend, w.now())));

    // Of another number's webhooks nothing follows.
    w.begin_due(&own, session.id).await;
    let other = w.session(&scope).await;
    let its_own = w.own().await;
    doubtful(&w, &scope, &other, &its_own).await;
    heard(&w, &scope, &session, &own, 5).await;
    w.pass(RIPE);
    assert_eq!(recover(&w, &its_own).await.resent, []);
}

pub(crate) async fn recover_keeps_to_the_narrowest_policy(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let say = |in_doubt| NewMessage { in_doubt, ..w.message(session.id, w.fresh_phone()) };
    let (tenants, own_word) = (say(None), say(Some(InDoubtPolicy::AtMostOnce)));
    w.enqueue(&scope, &tenants).await;
    w.enqueue(&scope, &own_word).await;
    let (list, _) = w.list(&scope, 1).await;
    let new = NewCampaign { in_doubt: Some(InDoubtPolicy::Manual), ..w.new_campaign(&list, &[session.id]) };
    let draft = w.draft(&scope, &new).await;
    w.launch(&scope, draft.id, 10).await;
    for attempt in w.begin_due(&own, session.id).await.attempts {
        w.settle(attempt.key, Outcome::Ambiguous).await;
    }
    w.pass(RIPE);
    assert_eq!(ids(&recover(&w, &own).await.resent), [tenants.id]);

    // And the other way round. What the tenant changes holds at once, also for what is in doubt already.
    let (scope, session, own) = {
        let scope = w.tenant("two").await;
        let session = w.session(&scope).await;
        (scope, session, w.own().await)
    };
    let own_word = NewMessage { in_doubt: Some(resend()), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(&scope, &own_word).await;
    let single = w.single(&scope, session.id).await;
    let (list, _) = w.list(&scope, 1).await;
    let new = NewCampaign { in_doubt: Some(resend()), ..w.new_campaign(&list, &[session.id]) };
    let draft = w.draft(&scope, &new).await;
    w.launch(&scope, draft.id, 10).await;
    let begun = w.begin_due(&own, session.id).await.attempts;
    let of_campaign = only(w.recipients(&scope, draft.id).await).id;
    for attempt in begun {
        w.settle(attempt.key, Outcome::Ambiguous).await;
    }
    w.pass(RIPE);
    let resent = ids(&recover(&w, &own).await.resent);
    assert_eq!(sorted(resent), sorted([own_word.id, of_campaign]));
    set_policy(&w, &scope, resend()).await;
    assert_eq!(ids(&recover(&w, &own).await.resent), [single]);
}

pub(crate) async fn recover_leaves_alone_what_is_over(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    let late = NewMessage { valid_until: Some(w.after(300)), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(&scope, &late).await;
    for attempt in w.begin_due(&own, session.id).await.attempts {
        w.settle(attempt.key, Outcome::Ambiguous).await;
    }
    w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    w.pass(RIPE);
    assert_eq!(recover(&w, &own).await.resent, [], "cancelled, and expired");

    let stubborn = doubtful(&w, &scope, &session, &own).await;
    for n in 2..=4_u16 {
        w.pass(RIPE);
        assert_eq!(ids(&recover(&w, &own).await.resent), [stubborn.message], "before {n}");
        let again = only(w.begin_due(&own, session.id).await.attempts).key;
        assert_eq!(again.n, n);
        w.settle(again, Outcome::Ambiguous).await;
    }
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await.resent, [], "often enough");
    assert_eq!(w.state(&scope, stubborn.message).await, MessageState::InDoubt);
}

pub(crate) async fn recover_leaves_another_life_alone(w: World) {
    let (scope, session, own) = w.one().await;
    must(w.directory().identity(&w.admin(), &w.identity(1)).await);
    set_policy(&w, &scope, resend()).await;
    let former = doubtful(&w, &scope, &session, &own).await;
    let fresh = w.mint(IncarnationId::mint);
    must(w.archive().suspend(&w.admin(), fresh, ReconcileCause::Restored).await);
    assert!(must(w.archive().lift(&w.admin()).await));
    let later = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE + 60);
    let Recovered { resent, given_up, next_at } = recover(&w, &own).await;
    assert_eq!((ids(&resent), given_up), (vec![later.message], vec![]), "only what this life began");
    assert!(next_at.is_some(), "the other is still looked at");
    w.pass(86_400);
    assert!(recover(&w, &own).await.resent.is_empty());
    assert_eq!(w.state(&scope, former.message).await, MessageState::InDoubt);

    // Whoever knows better may say so.
    let said = must(w.outbox().resolve(&scope, former.message, Resolution::Resend).await);
    assert_eq!(said, ResolveMessage::Requeued(w.now()));
}

pub(crate) async fn recover_tries_a_failed_resend_again(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let key = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE);
    recover(&w, &own).await;
    for (outcome, wait) in
        [(Outcome::NotSent, 2), (rejected(RejectClass::Retry, 1), 5), (rejected(RejectClass::Retry, 1), 10)]
    {
        let again = only(w.begin_due(&own, session.id).await.attempts).key;
        let settled = w.settle(again, outcome.clone()).await;
        assert_eq!(settled.due_at, None, "a definite end of one schedules nothing");
        assert_eq!(w.state(&scope, key.message).await, MessageState::InDoubt, "after {outcome:?}");
        w.pass(wait - 1);
        assert_eq!(recover(&w, &own).await.resent, [], "not at once after {outcome:?}");
        w.pass(1);
        assert_eq!(ids(&recover(&w, &own).await.resent), [key.message], "after {outcome:?}");
    }
    let last = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(last, rejected(RejectClass::Recipient, 131_026)).await;
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await.resent, [], "that does not pass");
    assert_eq!(w.state(&scope, key.message).await, MessageState::InDoubt, "nobody knows about the first");
}

pub(crate) async fn recover_gives_up_for_good(w: World) {
    let (scope, session, own) = w.one().await;
    let lost = doubtful(&w, &scope, &session, &own).await;
    let begun_at = w.now();
    let manual =
        NewMessage { in_doubt: Some(InDoubtPolicy::Manual), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(&scope, &manual).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, Outcome::Ambiguous).await;
    let final_at = begun_at + crate::rules::doubt::FINAL_AFTER;
    assert_eq!(recover(&w, &own).await.next_at, Some(final_at), "37 days after its begin");
    w.clock.set(final_at - Duration::from_micros(1));
    assert_eq!(recover(&w, &own).await.given_up, []);
    w.clock.set(final_at);
    let told = recover(&w, &own).await;
    assert_eq!(told, Recovered { given_up: vec![(scope.tenant(), lost.message)], ..Recovered::default() });
    let view = w.view(&scope, lost.message).await;
    assert_eq!((view.state, view.given_up_at), (MessageState::InDoubt, Some(final_at)));
    assert_eq!(w.view(&scope, manual.id).await.given_up_at, None, "that waits for a person");
    let listed = must(w.reports().in_doubt(&scope, None, 10).await);
    assert_eq!(sorted(listed.iter().map(|it| it.id)), sorted([lost.message, manual.id]), "both stay listed");
    assert!(listed.iter().any(|it| it.given_up_at == Some(final_at)));
    // Neither time nor another policy brings it back; news of it does.
    set_policy(&w, &scope, resend()).await;
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await, Recovered::default());
    tagged(&w, &session, lost, Fact::Delivered).await;
    let view = w.view(&scope, lost.message).await;
    assert_eq!((view.state, view.given_up_at), (MessageState::Delivered, None));
}

pub(crate) async fn recover_goes_on_where_it_stopped(mut w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(doubtful(&w, &scope, &session, &own).await.message);
        w.pass(1);
    }
    w.pass(RIPE);
    let mut resent = Vec::new();
    for step in 0..20 {
        let told = must(w.outbox().recover(&own, &Recover { grace: GRACE, limit: 2 }).await);
        assert!(told.resent.len() <= 2, "{told:?}");
        resent.extend(ids(&told.resent));
        if step == 1 {
            w.reopen().await;
        }
        if told.next_at.is_none_or(|at| at > w.now()) {
            break;
        }
    }
    assert_eq!(resent, expected, "each once, and those first that have waited longest");
}

pub(crate) async fn recover_needs_a_live_lease(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let key = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE);
    let nobody = crate::testing::scope::worker(w.another_worker(), []);
    assert_eq!(recover(&w, &nobody).await, Recovered::default());
    let epoch = own.epoch(session.id).expect("it is held");
    let stale = crate::testing::scope::worker(own.worker(), [(session.id, epoch + 1)]);
    assert_eq!(recover(&w, &stale).await, Recovered::default());
    assert_eq!(ids(&recover(&w, &own).await.resent), [key.message]);
}

pub(crate) async fn recover_writes_the_journal(w: World) {
    let (scope, session, own) = w.one().await;
    let lost = doubtful(&w, &scope, &session, &own).await.message;
    w.clock.set(w.now() + crate::rules::doubt::FINAL_AFTER);
    let again = NewMessage { in_doubt: Some(resend()), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(&scope, &again).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, Outcome::Ambiguous).await;
    w.pass(RIPE);
    let before = w.events().await.len();
    recover(&w, &own).await;
    let told: Vec<_> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    let expected = [
        EventBody::Resend { session: session.id, messages: vec![again.id] },
        EventBody::GivenUp { session: session.id, messages: vec![lost] },
    ];
    assert_eq!(told, expected);
    recover(&w, &own).await;
    assert_eq!(w.events().await.len(), before + 2, "what changes nothing is not written");
}

pub(crate) async fn a_resend_reopens_its_campaign(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let begun = w.begin_due(&own, session.id).await.attempts;
    let [first, second] = begun.try_into().expect("two");
    w.settle(first.key, accepted("wamid.1")).await;
    w.settle(second.key, Outcome::Ambiguous).await;
    let state = async || {
        must(w.audience().advance(&w.admin()).await);
        crate::testing::store::world::found(w.audience().campaign(&scope, campaign.id).await).state
    };
    assert_eq!(state().await, CampaignState::Completed, "in doubt holds up nothing");
    w.pass(RIPE);
    assert_eq!(ids(&recover(&w, &own).await.resent), [second.key.message]);
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.in_doubt, counts.resending, counts.pending), (1, 1, 0));
    assert_eq!(state().await, CampaignState::Running);
    let again = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!((again.message, again.n), (second.key.message, 2));
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.in_doubt, counts.resending, counts.attempting), (0, 0, 1));
    w.settle(again, accepted("wamid.2")).await;
    assert_eq!(state().await, CampaignState::Completed);

    // A cancelled campaign's resend goes with it, and the message stays in doubt.
    let campaign = w.campaign(&scope, session.id, 1).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, Outcome::Ambiguous).await;
    w.pass(RIPE);
    recover(&w, &own).await;
    w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.in_doubt, counts.resending, counts.skipped), (1, 0, 0));
    assert!(w.due(&own, session.id).await.messages.is_empty());
}

pub(crate) async fn settle_withdraws_a_resend(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let failed = Outcome::Rejected(crate::testing::store::world::failure(RejectClass::Recipient, 131_026));
    let nothing_waits = async || {
        let due = w.due(&own, session.id).await;
        assert!(due.messages.is_empty() && due.next_at.is_none(), "{due:?}");
    };
    for (outcome, state) in
        [(accepted("wamid.1"), MessageState::Accepted), (failed.clone(), MessageState::Failed)]
    {
        let key = doubtful(&w, &scope, &session, &own).await;
        w.pass(RIPE);
        recover(&w, &own).await;
        let page = w.due(&own, session.id).await.messages;
        assert_eq!(page.len(), 1);
        w.settle(key, outcome).await;
        let view = w.view(&scope, key.message).await;
        assert_eq!((view.state, view.held, view.attempts.len()), (state, None, 1));
        nothing_waits().await;
        let begun = w.begin(&own, session.id, &page, crate::testing::store::world::standard()).await;
        assert_eq!((begun.attempts.len(), begun.gone), (0, vec![key.message]), "a page read before is stale");
    }
    // A webhook withdraws it as well.
    let key = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE);
    recover(&w, &own).await;
    tagged(&w, &session, key, Fact::Delivered).await;
    assert_eq!(w.state(&scope, key.message).await, MessageState::Delivered);
    nothing_waits().await;

    // What says nothing new withdraws nothing; what may pass is tried again as ever.
    let key = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE);
    recover(&w, &own).await;
    w.settle(key, Outcome::Ambiguous).await;
    assert_eq!(w.due_ids(&own, session.id).await, [key.message]);
    let settled = w.settle(key, rejected(RejectClass::Retry, 1)).await;
    assert_eq!(settled.changed, [(scope.tenant(), key.message, MessageState::Held)]);
    w.pass(5);
    assert_eq!(only(w.begin_due(&own, session.id).await.attempts).key.n, 2);
}

pub(crate) async fn cancel_withdraws_a_resend(w: World) {
    let (scope, session, own) = w.one().await;
    set_policy(&w, &scope, resend()).await;
    let key = doubtful(&w, &scope, &session, &own).await;
    w.pass(RIPE);
    recover(&w, &own).await;
    let too_late = CancelMessage::TooLate(MessageState::InDoubt);
    assert_eq!(must(w.outbox().cancel(&scope, key.message).await), too_late);
    let view = w.view(&scope, key.message).await;
    assert_eq!((view.state, view.held, view.skipped), (MessageState::InDoubt, None, None));
    assert!(w.due(&own, session.id).await.messages.is_empty());
    w.pass(86_400);
    assert_eq!(recover(&w, &own).await.resent, []);
    // Before one waits, too.
    let early = doubtful(&w, &scope, &session, &own).await;
    assert_eq!(must(w.outbox().cancel(&scope, early.message).await), too_late);
    w.pass(RIPE);
    assert_eq!(recover(&w, &own).await.resent, []);
    w.settle(early, rejected(RejectClass::Retry, 1)).await;
    let view = w.view(&scope, early.message).await;
    assert_eq!((view.state, view.skipped), (MessageState::Skipped, Some(SkipReason::Cancelled)));
}
