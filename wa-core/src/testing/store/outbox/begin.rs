//! The point of no return: what begin takes, refuses and leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    BatchId, Breaker, BreakerReason, BreakerScope, CampaignAction, CampaignState, Category, Consent,
    ConsentSource, Entitlement, HoldReason, Market, MessageId, MessageState, NewMessage, PriceList, Quality,
    RejectClass, SessionReport, SessionSetting, SessionState, SkipReason, TenantSettings, WarmUp,
};
use crate::port::store::{
    Abandoned, Begun, BegunBatch, CancelMessage, CostOf, DueMessage, DueSource, Stopped,
};
use crate::rules::budget::BudgetFacts;
use crate::rules::judge::Verdict;
use crate::testing::scope;
use crate::testing::store::judges::{RefusesAll, Remembering, Scripted};
use crate::testing::store::world::{
    START_WITHIN, TIMEOUT, World, found, holding, must, only, rejected, sorted, standard, template, value,
};

fn messages(batch: &BegunBatch) -> Vec<MessageId> {
    batch.attempts.iter().map(|attempt| attempt.key.message).collect()
}

fn ids(page: &[DueMessage]) -> Vec<MessageId> {
    page.iter().map(|message| message.id).collect()
}

/// Some of a page, by their places.
fn pick(page: &[DueMessage], places: &[usize]) -> Vec<DueMessage> {
    places.iter().filter_map(|place| page.get(*place).cloned()).collect()
}

pub(crate) async fn begin_commits_an_attempt_per_permit(mut w: World) {
    let (scope, session, own) = w.one().await;
    w.campaign(&scope, session.id, 3).await;
    for _ in 0..2 {
        w.single(&scope, session.id).await;
    }
    let page = w.due(&own, session.id).await.messages;
    assert!(page.iter().all(|message| message.n == 1 && message.tenant == scope.tenant()));
    w.pass(3);
    let at = w.now();
    let begun = w.begin(&own, session.id, &page, standard()).await;
    assert_eq!(begun.at, Some(at), "the instant at which it was judged");
    assert_eq!(messages(&begun), ids(&page), "one attempt per message, in the order of the items");
    for attempt in &begun.attempts {
        assert_eq!((attempt.key.tenant, attempt.key.n), (scope.tenant(), 1));
        assert_eq!((attempt.start_by, attempt.end_by), (at + START_WITHIN, at + START_WITHIN + TIMEOUT));
    }
    assert!(w.due_ids(&own, session.id).await.is_empty(), "what was begun is not due");

    w.reopen().await;
    for attempt in &begun.attempts {
        let stored = only(w.view(&scope, attempt.key.message).await.attempts);
        assert_eq!((stored.n, stored.begun_at, stored.end_by), (1, at, attempt.end_by));
    }
}

pub(crate) async fn begin_is_refused_without_a_live_lease(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let lease = Duration::from_secs(15);
    let first = holding(w.worker, &w.acquire(w.worker, lease, 10).await);
    let id = w.single(&scope, session.id).await;
    let page = w.due(&first, session.id).await.messages;
    assert_eq!(ids(&page), [id]);

    // At the very instant of its end another worker can have it.
    w.pass(15);
    let refused = w.try_begin(&first, &w.batch(session.id, &page), standard()).await;
    assert_eq!(refused, Begun::LeaseLost, "the lease has ended");
    let other = w.another_worker();
    let second = holding(other, &w.acquire(other, lease, 10).await);
    assert!(second.epoch(session.id) > first.epoch(session.id));
    let refused = w.try_begin(&first, &w.batch(session.id, &page), standard()).await;
    assert_eq!(refused, Begun::LeaseLost, "the epoch has passed, though a lease is alive");
    let nobody = scope::worker(w.worker, []);
    let refused = w.try_begin(&nobody, &w.batch(session.id, &page), standard()).await;
    assert_eq!(refused, Begun::LeaseLost, "a scope without the session");

    let view = w.view(&scope, id).await;
    assert_eq!((view.state, view.attempts.len()), (MessageState::Pending, 0), "nothing happened");
    assert!(w.due(&nobody, session.id).await.messages.is_empty(), "who holds nothing reads nothing");
    let begun = w.begin(&second, session.id, &page, standard()).await;
    assert_eq!(messages(&begun), [id], "the owner begins it");
}

pub(crate) async fn begin_takes_each_message_once(w: World) {
    let (scope, session, own) = w.one().await;
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(w.single(&scope, session.id).await);
    }
    let page = w.due(&own, session.id).await.messages;
    let [begun, closed, cancelled, retried, fresh] = ids(&page).try_into().expect("five messages are due");
    let of = |id: MessageId| page.iter().filter(move |message| message.id == id).cloned().collect::<Vec<_>>();

    w.begin(&own, session.id, &of(begun), standard()).await;
    let skips = Scripted::new([(closed, Verdict::Skip(SkipReason::Blocked))]);
    w.begin(&own, session.id, &of(closed), Arc::new(skips)).await;
    assert_eq!(must(w.outbox().cancel(&scope, cancelled).await), CancelMessage::Cancelled);
    let tried = only(w.begin(&own, session.id, &of(retried), standard()).await.attempts);
    w.settle(tried.key, rejected(RejectClass::Retry, 1)).await;
    w.pass(60);

    let again = w.begin(&own, session.id, &page, standard()).await;
    assert_eq!(messages(&again), [fresh], "only what is still there begins");
    assert_eq!(sorted(again.gone), sorted([begun, closed, cancelled, retried]), "the others are named");
    assert_eq!(w.view(&scope, begun).await.attempts.len(), 1);
    assert_eq!(w.state(&scope, closed).await, MessageState::Skipped);
    assert_eq!(w.state(&scope, cancelled).await, MessageState::Skipped);
    assert_eq!(
        w.view(&scope, retried).await.attempts.len(),
        1,
        "its attempt 1 exists; attempt 2 was not asked"
    );
    let due = only(w.due(&own, session.id).await.messages);
    assert_eq!((due.id, due.n), (retried, 2));
}

pub(crate) async fn begin_twice_begins_once(w: World) {
    let (scope, session, own) = w.one().await;
    w.campaign(&scope, session.id, 3).await;
    w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let first = w.begin(&own, session.id, &page, standard()).await;
    assert_eq!(first.attempts.len(), 4);
    let before = w.snapshot(&scope).await;
    let second = w.begin(&own, session.id, &page, standard()).await;
    assert!(second.attempts.is_empty(), "nothing begins twice: {second:?}");
    assert_eq!(sorted(second.gone), sorted(ids(&page)));
    assert_eq!(w.snapshot(&scope).await, before, "and nothing changes");
}

pub(crate) async fn begin_refuses_a_used_batch_id(w: World) {
    let (scope, session, own) = w.one().await;
    w.single(&scope, session.id).await;
    let used = w.batch(session.id, &w.due(&own, session.id).await.messages);
    assert!(matches!(w.try_begin(&own, &used, standard()).await, Begun::Done(_)));
    assert_eq!(w.try_begin(&own, &used, standard()).await, Begun::UsedBatch, "the same batch again");

    let id = w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let mut next = w.batch(session.id, &page);
    next.id = used.id;
    assert_eq!(w.try_begin(&own, &next, standard()).await, Begun::UsedBatch, "other items under its id");
    next.id = w.mint(BatchId::mint);
    assert_eq!(must(w.outbox().abandon(&own, next.id).await), Abandoned::NeverCame);
    assert_eq!(w.try_begin(&own, &next, standard()).await, Begun::UsedBatch, "an abandoned id");
    let view = w.view(&scope, id).await;
    assert_eq!((view.state, view.attempts.len()), (MessageState::Pending, 0));
    assert_eq!(messages(&w.begin(&own, session.id, &page, standard()).await), [id]);
}

pub(crate) async fn begin_moves_the_feed_in_order(w: World) {
    let (scope, session, own) = w.one().await;
    w.campaign(&scope, session.id, 5).await;
    let page = w.due(&own, session.id).await.messages;
    let order = ids(&page);
    assert_eq!(order, sorted(order.clone()), "a feed is read in id order");

    for (places, what) in [
        (&[1, 2][..], "a batch that leaves the first one out"),
        (&[0, 2], "one with a gap"),
        (&[1, 0], "one out of order"),
    ] {
        let wrong = pick(&page, places);
        let begun = w.begin(&own, session.id, &wrong, standard()).await;
        assert!(begun.attempts.is_empty(), "{what} begins nothing: {begun:?}");
        assert_eq!(sorted(begun.gone), sorted(ids(&wrong)), "{what}");
        assert_eq!(w.due_ids(&own, session.id).await, order, "and nothing is lost by {what}");
    }

    let head = w.begin(&own, session.id, &pick(&page, &[0, 1]), standard()).await;
    assert_eq!(messages(&head), order.get(..2).expect("five messages"));
    // What has left the feed is named; what is still in it goes on exactly where the feed stands.
    let overlap = w.begin(&own, session.id, &pick(&page, &[1, 2]), standard()).await;
    assert_eq!((messages(&overlap), overlap.gone), (ids(&pick(&page, &[2])), ids(&pick(&page, &[1]))));
    let ahead = w.begin(&own, session.id, &pick(&page, &[0, 4]), standard()).await;
    assert!(ahead.attempts.is_empty(), "{ahead:?}");
    let tail = w.begin(&own, session.id, &pick(&page, &[3, 4]), standard()).await;
    assert_eq!(messages(&tail), order.get(3..).expect("five messages"));
    assert!(w.due_ids(&own, session.id).await.is_empty());
}

pub(crate) async fn begin_leaves_one_fact_per_message(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 6).await;
    let mut singles = Vec::new();
    for _ in 0..3 {
        singles.push(w.single(&scope, session.id).await);
    }
    let page = w.due(&own, session.id).await.messages;
    let (rows, feed): (Vec<_>, Vec<_>) = page.iter().partition(|message| message.source == DueSource::Row);
    let rows: [MessageId; 3] = rows.iter().map(|it| it.id).collect::<Vec<_>>().try_into().expect("3 rows");
    let feed: [MessageId; 6] = feed.iter().map(|it| it.id).collect::<Vec<_>>().try_into().expect("6 in feed");

    // A group that is refused stays where it is, as a whole.
    let until = w.after(77);
    let refused =
        w.begin(&own, session.id, &page, Arc::new(RefusesAll(HoldReason::TenantPaused, until))).await;
    assert!(refused.stopped.iter().all(|it| !it.feed_only), "{:?}", refused.stopped);
    let stopped: BTreeSet<_> = refused.stopped.iter().map(|it| (it.campaign, it.why, it.until)).collect();
    let why = HoldReason::TenantPaused;
    assert_eq!(stopped, [(None, why, Some(until)), (Some(campaign.id), why, Some(until))].into());
    assert!(refused.attempts.is_empty() && refused.waits.is_empty() && refused.skips.is_empty());
    assert_eq!(w.due(&own, session.id).await.messages, page, "and is due as before");

    let wait = Verdict::Wait { until: w.after(60), why: HoldReason::TierFull };
    let skip = Verdict::Skip(SkipReason::WindowClosed);
    // A row has nothing behind it to stop.
    let stays = Verdict::Stop { until: w.after(60), ask_at: w.after(10), why: HoldReason::TierFull };
    let stop = Verdict::Stop { until: w.after(50), ask_at: w.after(30), why: HoldReason::QuotaFull };
    let judge =
        Scripted::new([(feed[1], wait), (feed[2], skip), (feed[4], stop), (rows[1], stays), (rows[2], skip)]);
    let done = w.begin(&own, session.id, &page, Arc::new(judge)).await;
    assert_eq!(messages(&done), [rows[0], feed[0], feed[3]]);
    let waits = sorted(done.waits.clone());
    let held = |id| (id, HoldReason::TierFull, w.after(60));
    assert_eq!(waits, sorted([held(feed[1]), held(rows[1])]));
    let skipped = |id| (id, SkipReason::WindowClosed);
    assert_eq!(sorted(done.skips.clone()), sorted([skipped(feed[2]), skipped(rows[2])]));
    let stopped = only(done.stopped.clone());
    let expected = Stopped {
        campaign: Some(campaign.id),
        feed_only: true,
        why: HoldReason::QuotaFull,
        until: Some(w.after(30)),
    };
    assert_eq!(stopped, expected);
    assert!(done.gone.is_empty(), "{done:?}");

    let expected = BTreeMap::from([
        (rows[0], MessageState::Attempting),
        (rows[1], MessageState::Held),
        (rows[2], MessageState::Skipped),
        (feed[0], MessageState::Attempting),
        (feed[1], MessageState::Held),
        (feed[2], MessageState::Skipped),
        (feed[3], MessageState::Attempting),
        (feed[4], MessageState::Pending),
        (feed[5], MessageState::Pending),
    ]);
    for (id, state) in &expected {
        assert_eq!(
            w.state(&scope, *id).await,
            *state,
            "the message at {:?}",
            ids(&page).iter().position(|it| it == id)
        );
    }
    let view = w.view(&scope, feed[1]).await;
    assert_eq!(view.held, Some((HoldReason::TierFull, w.after(60))));
    assert_eq!(w.view(&scope, feed[2]).await.skipped, Some(SkipReason::WindowClosed));
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.pending, counts.attempting, counts.skipped), (3, 2, 1));

    let rest = w.due(&own, session.id).await;
    assert_eq!(ids(&rest.messages), [feed[4], feed[5]], "what was stopped is where it was");
    assert_eq!(rest.next_at, Some(w.after(60)), "what waits has its time");
    w.pass(60);
    let last = w.begin_due(&own, session.id).await;
    assert_eq!(sorted(messages(&last)), sorted([rows[1], feed[1], feed[4], feed[5]]), "each once");
    assert!(w.due_ids(&own, session.id).await.is_empty());
}

pub(crate) async fn begin_sees_what_committed_before(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let contact = w.contact(&scope).await;
    let marketing = NewMessage {
        content: template("offer", Category::Marketing),
        ..w.message(session.id, contact.recipient.clone())
    };
    w.enqueue(&scope, &marketing).await;
    let page = w.due(&own, session.id).await.messages;
    assert_eq!(page.len(), 3);

    // All of this is committed after the page was read, and before begin.
    w.pass(2);
    let wrote_at = w.now();
    w.user_writes(&session, contact.recipient.clone()).await;
    w.pass(2);
    found(w.audience().set_consent(&scope, contact.id, Consent::NoMarketing, ConsentSource::Caller).await);
    let breaker = Breaker {
        scope: BreakerScope::Template(session.id, value("offer"), value("en_US")),
        reason: BreakerReason::TemplatePaused,
        code: 132_015,
        until: Some(w.after(600)),
        since: w.now(),
    };
    assert!(must(w.numbers().open_breaker(&scope, &breaker).await));
    let prices = PriceList { currency: value("EUR"), per_message: [(Category::Marketing, 9)].into() };
    let settings = TenantSettings { prices: Some(prices.clone().into()), ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    w.put_quota(&scope, Some(5)).await;
    let yellow = SessionReport { quality: Some(Quality::Yellow), ..SessionReport::default() };
    found(w.numbers().report_session(&scope, session.id, &yellow).await);
    let warm_up = SessionSetting::WarmUp(Some(WarmUp { since: Some(w.now()), caps: vec![7] }));
    found(w.numbers().set_session(&scope, session.id, &warm_up).await);
    assert_eq!(must(w.audience().suppress(&scope, std::slice::from_ref(&contact.recipient)).await), Some(1));
    w.act(&scope, campaign.id, CampaignAction::Pause).await;

    let judge = Arc::new(Remembering::default());
    let done = w.begin(&own, session.id, &page, judge.clone()).await;
    assert_eq!(judge.instants(), [w.now()].into(), "everything is judged at one instant");
    assert_eq!(done.at, Some(w.now()), "which is the store's own");
    let states: BTreeMap<_, _> = judge.groups().into_iter().map(|(it, _)| (it.campaign, it)).collect();
    assert_eq!(states.keys().copied().collect::<Vec<_>>(), [None, Some(CampaignState::Paused)]);
    assert_eq!(judge.groups().len(), 2, "each group is admitted once");
    let seen = only(judge.messages());
    assert_eq!((seen.message, seen.campaign), (marketing.id, None));
    assert_eq!(seen.facts.consent, Consent::NoMarketing);
    assert_eq!(seen.facts.last_user_message_at, Some(wrote_at));
    assert_eq!(seen.facts.template_breaker.map(|it| it.scope), Some(breaker.scope));
    assert_eq!(seen.facts.price.book.as_deref(), Some(&prices.into()));
    assert_eq!(seen.facts.price.market, Market::NorthAmerica);
    assert_eq!(seen.facts.budget, BudgetFacts::default());
    assert_eq!((seen.facts.quota.limit, seen.facts.quota.used), (Some(5), 0));
    assert_eq!(seen.facts.tier.limit, None);
    assert_eq!(*seen.facts.settings, settings, "whatever the tenant set");
    assert_eq!(seen.facts.session.quality, Quality::Yellow);
    assert!(seen.facts.suppressed);
    let day = seen.facts.warm_up.expect("the warm-up has begun");
    assert_eq!((day.day.cap, day.used), (7, 0));
    assert!(done.attempts.is_empty(), "{done:?}");

    // And what stops a whole session or tenant.
    w.act(&scope, campaign.id, CampaignAction::Resume).await;
    let page = w.due(&own, session.id).await.messages;
    let breaker = Breaker {
        scope: BreakerScope::Session(session.id),
        reason: BreakerReason::Spam,
        code: 131_048,
        until: None,
        since: w.now(),
    };
    assert!(must(w.numbers().open_breaker(&scope, &breaker).await));
    let report = SessionReport { state: Some(SessionState::Banned), ..SessionReport::default() };
    found(w.numbers().report_session(&scope, session.id, &report).await);
    w.put_settings(&scope, &TenantSettings { paused: true, ..settings }).await;
    let suspended = Entitlement { suspended: true, ..Entitlement::unlimited() };
    assert!(must(w.ledger().set_entitlement(&scope, &suspended).await));
    let judge = Arc::new(Remembering::default());
    let done = w.begin(&own, session.id, &page, judge.clone()).await;
    assert!(done.attempts.is_empty(), "{done:?}");
    let (group, _) = judge.groups().into_iter().next().expect("a group is judged");
    assert!(group.tenant_paused && group.suspended);
    assert_eq!(group.session, SessionState::Banned);
    assert_eq!(group.breaker.map(|it| it.reason), Some(BreakerReason::Spam));
    assert_eq!(group.campaign, Some(CampaignState::Running));
}

pub(crate) async fn begin_writes_the_journal(w: World) {
    let (scope, session, own) = w.one().await;
    w.campaign(&scope, session.id, 4).await;
    w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let [_, feed_first, feed_second, _, _]: [MessageId; 5] = ids(&page).try_into().expect("five are due");
    let judge = Scripted::new([
        (feed_first, Verdict::Wait { until: w.after(60), why: HoldReason::TierFull }),
        (feed_second, Verdict::Skip(SkipReason::Expired)),
    ]);
    let before = w.events().await.len();
    let done = w.begin(&own, session.id, &page, Arc::new(judge)).await;
    assert_eq!((done.attempts.len(), done.waits.len(), done.skips.len()), (3, 1, 1));
    let told = w.told(&scope).await;
    for id in ids(&page) {
        assert_eq!(told.get(&id), Some(&w.state(&scope, id).await), "the journal says what became of {id:?}");
    }
    let events = w.events().await;
    assert!(events.len() > before);
    assert!(events.iter().skip(before).all(|event| event.at == w.now() && event.tenant == scope.tenant()));
}

pub(crate) async fn abandon_gives_a_committed_batch_back(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_price(&scope, 25_000).await;
    w.put_quota(&scope, Some(3)).await;
    let campaign = w.campaign(&scope, session.id, 3).await;
    let page = w.due(&own, session.id).await.messages;
    let batch = w.batch(session.id, &page);
    assert!(matches!(w.try_begin(&own, &batch, standard()).await, Begun::Done(_)));
    assert_eq!(w.used(&scope).await, 3);

    assert_eq!(must(w.outbox().abandon(&own, batch.id).await), Abandoned::WasCommitted(3));
    assert_eq!(w.used(&scope).await, 0, "quota is given back");
    let cost = must(w.ledger().cost(&scope, &CostOf::Everything).await);
    assert_eq!(cost.micros.values().sum::<i64>(), 0, "and cost");
    for id in ids(&page) {
        let view = w.view(&scope, id).await;
        let attempt = only(view.attempts);
        assert!(attempt.facts.has(crate::model::Fact::NotSent), "{attempt:?}");
        assert!(matches!(view.state, MessageState::Held | MessageState::Pending), "{:?}", view.state);
    }
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.pending, counts.attempting, counts.failed), (3, 0, 0));

    w.pass(600);
    let again = w.due(&own, session.id).await.messages;
    assert_eq!(sorted(ids(&again)), sorted(ids(&page)), "the messages are due again");
    assert!(again.iter().all(|message| message.n == 2));
    let begun = w.begin(&own, session.id, &again, standard()).await;
    assert_eq!(begun.attempts.len(), 3, "and the quota lets them go");

    // It is proof that nothing was sent, also where a sweep came first and could only doubt.
    w.put_quota(&scope, None).await;
    let id = w.single(&scope, session.id).await;
    let late = w.batch(session.id, &w.due(&own, session.id).await.messages);
    assert!(matches!(w.try_begin(&own, &late, standard()).await, Begun::Done(_)));
    w.pass(60);
    must(w.outbox().sweep(&own, Duration::ZERO).await);
    assert_eq!(w.state(&scope, id).await, MessageState::InDoubt);
    assert_eq!(must(w.outbox().abandon(&own, late.id).await), Abandoned::WasCommitted(1));
    assert_eq!(w.state(&scope, id).await, MessageState::Held, "out of doubt, and waiting to go again");
    w.pass(600);
    assert_eq!(w.due_ids(&own, session.id).await, [id]);
}

pub(crate) async fn abandon_bars_a_batch_that_never_came(w: World) {
    let (scope, session, own) = w.one().await;
    let id = w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let batch = w.batch(session.id, &page);
    assert_eq!(must(w.outbox().abandon(&own, batch.id).await), Abandoned::NeverCame);
    assert_eq!(w.try_begin(&own, &batch, standard()).await, Begun::UsedBatch, "it comes too late");
    assert_eq!(w.due(&own, session.id).await.messages, page);
    assert_eq!(
        messages(&w.begin(&own, session.id, &page, standard()).await),
        [id],
        "under another id it goes"
    );
}

pub(crate) async fn abandon_can_be_repeated(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(10)).await;
    let kept = w.begun(&scope, session.id, &own).await;
    w.single(&scope, session.id).await;
    let batch = w.batch(session.id, &w.due(&own, session.id).await.messages);
    w.try_begin(&own, &batch, standard()).await;
    let never = w.mint(BatchId::mint);
    assert_eq!(must(w.outbox().abandon(&own, batch.id).await), Abandoned::WasCommitted(1));
    assert_eq!(must(w.outbox().abandon(&own, never).await), Abandoned::NeverCame);

    let before = w.snapshot(&scope).await;
    assert_eq!(before.used, Some(1), "only the attempt of the other batch counts");
    assert!(matches!(must(w.outbox().abandon(&own, batch.id).await), Abandoned::WasCommitted(_)));
    assert_eq!(must(w.outbox().abandon(&own, never).await), Abandoned::NeverCame);
    assert_eq!(w.snapshot(&scope).await, before, "the second call changes nothing");
    assert_eq!(w.state(&scope, kept.key.message).await, MessageState::Attempting);

    // Nor does it take back an attempt that was begun anew meanwhile.
    w.pass(600);
    let again = only(w.begin_due(&own, session.id).await.attempts);
    must(w.outbox().abandon(&own, batch.id).await);
    assert_eq!(w.state(&scope, again.key.message).await, MessageState::Attempting);
    assert_eq!(w.used(&scope).await, 2);
    assert!(w.due_ids(&own, session.id).await.is_empty());
}
