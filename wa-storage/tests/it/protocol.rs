//! The send protocol on this store's tables: feeds, due rows, facts, counts.

use std::sync::Arc;
use std::time::Duration;

use wa_core::model::{
    BatchId, Breaker, BreakerReason, BreakerScope, CampaignAction, CampaignState, Category, Consent,
    ConsentSource, Currency, Entitlement, EventBody, HoldReason, Lane, MessageState, Outcome, Period,
    PriceList, RejectClass, SessionReport, SkipReason, StreamPosition, TenantSettings, Tier,
};
use wa_core::port::store::{Abandoned, ActOutcome, Begun, CancelMessage, CostOf, DueSource, Enqueue, Store};
use wa_core::rules::judge::{Admission, Facts, GroupFacts, Judge, StandardJudge, Verdict};

use crate::world::{World, accepted, admin, failure, is_feed, template};

#[tokio::test]
async fn a_campaign_goes_from_feed_to_delivered_with_exact_counts() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 20, &[session.id]).await;
    assert_eq!(campaign.state, CampaignState::Running);
    assert_eq!(world.counts(campaign.id).await.pending, 20);
    let begun = world.begin_due(&worker, session.id, 8).await;
    assert_eq!(begun.attempts.len(), 8);
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.pending, counts.attempting), (12, 8));
    for (n, attempt) in begun.attempts.iter().enumerate() {
        let settled = world.settle(attempt.key, accepted(&format!("wamid.{n}"))).await;
        assert_eq!(settled.changed, [(world.tenant, attempt.key.message, MessageState::Accepted)]);
    }
    world.store.audience().advance(&admin()).await.expect("a step");
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.pending, counts.accepted, counts.audience), (12, 8, 20));
    let again = world.begin_due(&worker, session.id, 100).await;
    assert_eq!(again.attempts.len(), 12);
    assert!(world.due(&worker, session.id, 100).await.is_empty());
}

#[tokio::test]
async fn a_stale_page_begins_nothing_twice_and_names_what_is_gone() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.running("news", 6, &[session.id]).await;
    let due = world.due(&worker, session.id, 6).await;
    assert!(is_feed(&due));
    let first = world.batch(session.id, &due[..2]);
    assert!(matches!(world.begin(&worker, &first).await, Begun::Done(done) if done.attempts.len() == 2));
    assert_eq!(world.begin(&worker, &first).await, Begun::UsedBatch);
    let whole = world.batch(session.id, &due);
    let Begun::Done(done) = world.begin(&worker, &whole).await else { panic!("a batch") };
    assert_eq!(done.gone, [due[0].id, due[1].id]);
    assert_eq!(done.attempts.len(), 4, "the rest continues the feed");
}

#[tokio::test]
async fn a_gap_in_a_feed_begins_nothing() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 4, &[session.id]).await;
    let due = world.due(&worker, session.id, 4).await;
    for wrong in
        [vec![due[1].clone()], vec![due[1].clone(), due[0].clone()], vec![due[0].clone(), due[2].clone()]]
    {
        let Begun::Done(done) = world.begin(&worker, &world.batch(session.id, &wrong)).await else {
            panic!("a batch")
        };
        assert_eq!(done.attempts, []);
    }
    assert_eq!(world.due(&worker, session.id, 4).await, due);
    assert_eq!(world.counts(campaign.id).await.pending, 4);
}

#[tokio::test]
async fn two_campaigns_launched_at_one_instant_keep_their_messages_apart() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let first = world.running("one", 5, &[session.id]).await;
    let second = world.draft("two", "one", &[session.id]).await;
    let second = world.launch(second.id, 2).await;
    assert_eq!(first.launched_at, second.launched_at);
    let due = world.due(&worker, session.id, 100).await;
    let of = |id| due.iter().filter(|it| it.campaign.as_ref().is_some_and(|brief| brief.id == id)).count();
    assert_eq!((of(first.id), of(second.id)), (5, 5));
    let begun = world.begin_due(&worker, session.id, 100).await;
    assert_eq!(begun.attempts.len(), 10);
    world.counts(first.id).await;
    world.counts(second.id).await;
}

#[tokio::test]
async fn a_feed_passes_over_what_was_closed_before_and_during() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let contacts = world.contacts("news", 6).await;
    let campaign = world.draft("news", "news", &[session.id]).await;
    world.launch(campaign.id, 4).await;
    let due = world.due(&worker, session.id, 100).await;
    let outbox = world.store.outbox();
    let scope = world.scope();
    assert_eq!(outbox.cancel(&scope, due[2].id).await.expect("an answer"), CancelMessage::Cancelled);
    assert_eq!(outbox.cancel(&scope, due[2].id).await.expect("an answer"), CancelMessage::Cancelled);
    let audience = world.store.audience();
    let opted_out = Consent::OptedOut;
    audience.set_consent(&scope, contacts[4], opted_out, ConsentSource::Caller).await.expect("an answer");
    let Begun::Done(done) = world.begin(&worker, &world.batch(session.id, &due)).await else {
        panic!("a batch")
    };
    assert_eq!(done.gone, [due[2].id]);
    assert_eq!(done.skips, [(due[4].id, SkipReason::OptedOut)]);
    assert_eq!(done.attempts.len(), 4);
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.attempting, counts.skipped, counts.pending), (4, 2, 0));
}

#[tokio::test]
async fn cancel_moves_the_range_and_the_rows_and_leaves_what_began() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 10, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 3).await;
    let retry = Outcome::Rejected(failure(131_000, RejectClass::Retry));
    world.settle(begun.attempts[0].key, retry.clone()).await;
    let act = world.store.audience().act(&world.scope(), campaign.id, CampaignAction::Cancel).await;
    assert!(matches!(act.expect("an answer"), ActOutcome::Moved(_)));
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.skipped, counts.attempting, counts.pending), (8, 2, 0));
    assert_eq!(counts.reasons["skipped:cancelled"], 8);
    // What fails after the cancellation is not put back.
    world.settle(begun.attempts[1].key, retry).await;
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.skipped, counts.attempting, counts.pending), (9, 1, 0));
    assert!(world.due(&worker, session.id, 100).await.is_empty());
}

#[tokio::test]
async fn evidence_of_delivery_takes_a_scheduled_retry_back() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 1, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 1).await;
    let key = begun.attempts[0].key;
    let settled = world.settle(key, Outcome::Rejected(failure(1, RejectClass::Retry))).await;
    assert_eq!(settled.due_at, Some(world.now() + chrono::TimeDelta::seconds(5)));
    assert_eq!(world.view(key.message).await.state, MessageState::Held);
    world.settle(key, accepted("wamid.1")).await;
    world.clock.advance(Duration::from_secs(10));
    assert!(world.due(&worker, session.id, 10).await.is_empty(), "it is not sent again");
    assert_eq!(world.view(key.message).await.state, MessageState::Accepted);
    world.counts(campaign.id).await;
}

#[tokio::test]
async fn a_retry_is_a_second_attempt_and_counts_as_one() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 1, &[session.id]).await;
    let first = world.begin_due(&worker, session.id, 1).await.attempts[0].key;
    world.settle(first, Outcome::Rejected(failure(1, RejectClass::Retry))).await;
    world.clock.advance(Duration::from_secs(5));
    let due = world.due(&worker, session.id, 10).await;
    assert_eq!((due[0].n, due[0].source), (2, DueSource::Row));
    let second = world.begin_due(&worker, session.id, 1).await.attempts[0].key;
    assert_eq!(second.n, 2);
    world.settle(second, accepted("wamid.2")).await;
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.accepted, counts.retries), (1, 1));
    assert_eq!(world.view(first.message).await.attempts.len(), 2);
}

#[tokio::test]
async fn quota_tier_and_cost_go_back_once() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let scope = world.scope();
    let usd: Currency = "USD".parse().expect("a currency");
    let settings = TenantSettings {
        prices: Some(PriceList { currency: usd, per_message: [(Category::Marketing, 25_000)].into() }.into()),
        ..TenantSettings::default()
    };
    world.store.directory().put_settings(&scope, &settings).await.expect("an answer");
    let plan = Entitlement { messages_per_month: Some(3), ..Entitlement::unlimited() };
    world.store.ledger().set_entitlement(&scope, &plan).await.expect("an answer");
    let report = SessionReport { tier: Some(Tier::Limited(2)), ..SessionReport::default() };
    world.store.numbers().report_session(&scope, session.id, &report).await.expect("an answer");
    let campaign = world.running("news", 5, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 5).await;
    assert_eq!(begun.attempts.len(), 2, "the tier lets two through");
    assert_eq!(begun.stopped[0].why, HoldReason::TierFull);
    let ledger = world.store.ledger();
    let period = Period::of(world.now());
    let used = async || ledger.usage(&scope, period).await.expect("an answer").expect("the tenant").used;
    let cost = async |of| ledger.cost(&scope, &of).await.expect("an answer").micros.get(&usd).copied();
    assert_eq!(
        (used().await, cost(CostOf::Everything).await, cost(CostOf::Campaign(campaign.id)).await),
        (2, Some(50_000), Some(50_000))
    );
    let refused = Outcome::Rejected(failure(131_026, RejectClass::Recipient));
    for _ in 0..2 {
        world.settle(begun.attempts[0].key, refused.clone()).await;
        world.settle(begun.attempts[0].key, Outcome::NotSent).await;
    }
    assert_eq!((used().await, cost(CostOf::Everything).await), (1, Some(25_000)));
    let next = world.begin_due(&worker, session.id, 5).await;
    assert_eq!(next.attempts.len(), 1, "the slot that came back");
    let report = SessionReport { tier: Some(Tier::Unlimited), ..SessionReport::default() };
    world.store.numbers().report_session(&scope, session.id, &report).await.expect("an answer");
    let last = world.begin_due(&worker, session.id, 5).await;
    assert_eq!((last.attempts.len(), last.stopped[0].why), (1, HoldReason::QuotaFull));
    assert_eq!(used().await, 3);
    world.counts(campaign.id).await;
}

#[tokio::test]
async fn a_slot_that_two_attempts_share_goes_back_with_the_second() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let scope = world.scope();
    let report = SessionReport { tier: Some(Tier::Limited(1)), ..SessionReport::default() };
    world.store.numbers().report_session(&scope, session.id, &report).await.expect("an answer");
    world.enqueue(session.id, 1, Lane::Bulk).await;
    world.enqueue(session.id, 1, Lane::Bulk).await;
    let begun = world.begin_due(&worker, session.id, 5).await;
    assert_eq!(begun.attempts.len(), 2, "one person, one slot");
    let refused = Outcome::Rejected(failure(131_026, RejectClass::Recipient));
    world.settle(begun.attempts[0].key, refused.clone()).await;
    world.enqueue(session.id, 2, Lane::Bulk).await;
    let held = world.begin_due(&worker, session.id, 5).await;
    assert_eq!(held.attempts, [], "the other attempt still counts at the provider");
    world.settle(begun.attempts[1].key, refused).await;
    world.clock.advance(Duration::from_secs(10));
    let retry = world.begin_due(&worker, session.id, 5).await;
    assert_eq!(retry.waits, [], "{retry:?}");
}

#[tokio::test]
async fn an_abandoned_batch_is_due_again_and_its_id_is_used_up() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 3, &[session.id]).await;
    let due = world.due(&worker, session.id, 3).await;
    let batch = world.batch(session.id, &due);
    world.begin(&worker, &batch).await;
    let outbox = world.store.outbox();
    let abandoned = outbox.abandon(&worker, batch.id).await.expect("an answer");
    assert_eq!(abandoned, Abandoned::WasCommitted(3));
    assert_eq!(outbox.abandon(&worker, batch.id).await.expect("an answer"), Abandoned::WasCommitted(0));
    assert_eq!(world.counts(campaign.id).await.pending, 3);
    let usage = world.store.ledger().usage(&world.scope(), Period::of(world.now())).await.expect("an answer");
    assert_eq!(usage.expect("the tenant").used, 0);
    let never = BatchId::from_uuid(world.uuid());
    assert_eq!(outbox.abandon(&worker, never).await.expect("an answer"), Abandoned::NeverCame);
    assert_eq!(outbox.abandon(&worker, never).await.expect("an answer"), Abandoned::NeverCame);
    world.clock.advance(Duration::from_secs(2));
    let due = world.due(&worker, session.id, 3).await;
    let barred = wa_core::port::store::BeginBatch { id: never, ..world.batch(session.id, &due) };
    assert_eq!(world.begin(&worker, &barred).await, Begun::UsedBatch);
    let again = world.begin_due(&worker, session.id, 3).await;
    assert!(again.attempts.iter().all(|attempt| attempt.key.n == 2));
}

#[tokio::test]
async fn sweep_waits_for_the_grace_and_lists_what_is_in_doubt() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 2, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 2).await;
    let grace = Duration::from_secs(10);
    let outbox = world.store.outbox();
    let swept = outbox.sweep(&worker, grace).await.expect("an answer");
    let end = begun.attempts[0].end_by + chrono::TimeDelta::seconds(10);
    assert_eq!((swept.in_doubt.len(), swept.next_at), (0, Some(end)));
    world.settle(begun.attempts[0].key, accepted("wamid.1")).await;
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(10));
        let held = world.store.numbers().heartbeat(&worker, crate::world::LEASE).await.expect("an answer");
        assert_eq!(held, [session.id]);
    }
    world.clock.advance(Duration::from_secs(5));
    let swept = outbox.sweep(&worker, grace).await.expect("an answer");
    assert_eq!((swept.in_doubt, swept.next_at), (vec![begun.attempts[1].key], None));
    let reports = world.store.reports();
    let listed = reports.in_doubt(&world.scope(), None, 10).await.expect("a page");
    assert_eq!(listed.iter().map(|view| view.id).collect::<Vec<_>>(), [begun.attempts[1].key.message]);
    assert_eq!(world.counts(campaign.id).await.in_doubt, 1);
    world.settle(begun.attempts[1].key, accepted("wamid.2")).await;
    assert!(reports.in_doubt(&world.scope(), None, 10).await.expect("a page").is_empty());
    assert_eq!(world.counts(campaign.id).await.accepted, 2);
}

#[tokio::test]
async fn a_dead_credential_stops_the_session_until_it_is_reset() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.running("news", 3, &[session.id]).await;
    let begun = world.begin_due(&worker, session.id, 1).await;
    let settled =
        world.settle(begun.attempts[0].key, Outcome::Rejected(failure(190, RejectClass::Credential))).await;
    let scope = BreakerScope::Session(session.id);
    let opened: Breaker = Breaker {
        scope: scope.clone(),
        reason: BreakerReason::Credential,
        code: 190,
        until: None,
        since: world.now(),
    };
    assert_eq!(settled.opened, [(world.tenant, opened.clone())]);
    let numbers = world.store.numbers();
    assert_eq!(numbers.breakers(&world.scope()).await.expect("a list"), [opened]);
    let stopped = world.begin_due(&worker, session.id, 5).await;
    assert_eq!((stopped.attempts.len(), stopped.stopped[0].why), (0, HoldReason::SessionStopped));
    assert!(numbers.reset_breaker(&world.scope(), &scope).await.expect("an answer"));
    assert!(!numbers.reset_breaker(&world.scope(), &scope).await.expect("an answer"));
    assert_eq!(world.begin_due(&worker, session.id, 5).await.attempts.len(), 2);
    let events = world.store.journal().read(&admin(), StreamPosition(0), 100).await.expect("events");
    let stops = events.iter().filter(|event| {
        matches!(event.body, EventBody::SessionStopped { .. } | EventBody::SessionResumed { .. })
    });
    assert_eq!(stops.count(), 2);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let world = World::new().await;
    let session = world.add_session("1").await;
    let mut message = world.message(session.id, 1, Lane::Transactional);
    message.key = Some("order-17".parse().expect("a key"));
    let outbox = world.store.outbox();
    let scope = world.scope();
    assert_eq!(outbox.enqueue(&scope, &message).await.expect("an answer"), Enqueue::Queued(message.id));
    let first = message.id;
    message.id = world.message(session.id, 1, Lane::Bulk).id;
    message.due_at = world.now() + chrono::TimeDelta::seconds(9);
    assert_eq!(outbox.enqueue(&scope, &message).await.expect("an answer"), Enqueue::Known(first));
    message.content = template("another");
    assert_eq!(outbox.enqueue(&scope, &message).await.expect("an answer"), Enqueue::Different(first));
}

#[tokio::test]
async fn transactional_rows_come_before_bulk_rows_and_feeds() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.running("news", 2, &[session.id]).await;
    let bulk = world.enqueue(session.id, 7, Lane::Bulk).await;
    world.clock.advance(Duration::from_secs(1));
    let code = world.enqueue(session.id, 8, Lane::Transactional).await;
    let due = world.due(&worker, session.id, 10).await;
    assert_eq!((due[0].id, due[1].id), (code, bulk));
    assert!(is_feed(&due[2..]));
    assert_eq!(world.due(&worker, session.id, 3).await.len(), 3);
}

/// A judge that panics, as an embedder's own might.
#[derive(Debug)]
struct Panics;

impl Judge for Panics {
    fn admit(&self, group: &GroupFacts, now: chrono::DateTime<chrono::Utc>) -> Admission {
        StandardJudge::default().admit(group, now)
    }
    fn judge(&self, _: &Facts<'_>, _: chrono::DateTime<chrono::Utc>) -> Verdict {
        panic!("no verdict")
    }
}

#[tokio::test]
async fn a_judge_that_panics_undoes_its_batch_and_stops_nobody_else() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 2, &[session.id]).await;
    let due = world.due(&worker, session.id, 2).await;
    let batch = world.batch(session.id, &due);
    let broken = world.store.outbox().begin(&worker, &batch, Arc::new(Panics)).await;
    broken.expect_err("no verdict");
    assert_eq!(world.counts(campaign.id).await.pending, 2);
    assert!(matches!(world.begin(&worker, &batch).await, Begun::Done(done) if done.attempts.len() == 2));
}

#[tokio::test]
async fn a_finished_campaign_completes_and_a_late_failure_reopens_it() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 1, &[session.id]).await;
    let audience = world.store.audience();
    assert_eq!(audience.advance(&admin()).await.expect("a step").moved, []);
    let key = world.begin_due(&worker, session.id, 1).await.attempts[0].key;
    world.settle(key, accepted("wamid.1")).await;
    let moved = |state| vec![(world.tenant, campaign.id, state)];
    assert_eq!(audience.advance(&admin()).await.expect("a step").moved, moved(CampaignState::Completed));
    assert_eq!(audience.advance(&admin()).await.expect("a step").moved, []);
    let done = audience.campaign(&world.scope(), campaign.id).await.expect("an answer").expect("it is there");
    assert_eq!(done.completed_at, Some(world.now()));
    // The provider reports late that it failed for a passing reason: one more try.
    let status = crate::inbox::status("wamid.1", wa_core::model::Fact::Failed, world.now());
    let status =
        wa_core::model::StatusUpdate { failure: Some(failure(131_000, RejectClass::Retry)), ..status };
    crate::inbox::project(&world, vec![crate::inbox::untagged(status)]).await;
    assert_eq!(audience.advance(&admin()).await.expect("a step").moved, moved(CampaignState::Running));
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.begin_due(&worker, session.id, 1).await.attempts[0].key.n, 2);
    world.counts(campaign.id).await;
}
