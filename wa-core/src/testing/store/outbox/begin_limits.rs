//! Limits and prices that begin reserves.

use std::time::Duration;

use crate::model::{
    Category, MessageId, NewMessage, NewSession, Recipient, RejectClass, Session, SessionId, TenantSettings,
    Tier,
};
use crate::port::store::{BegunBatch, CostOf};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{World, accepted, must, only, rejected, standard, template};

pub(crate) async fn begin_reserves_quota_exactly(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let own = w.own().await;
    w.put_quota(&scope, Some(5)).await;
    let (list, _) = w.list(&scope, 12).await;
    let draft = w.draft(&scope, &w.new_campaign(&list, &[first.id, second.id])).await;
    let campaign = w.launch(&scope, draft.id, 100).await;

    let page = w.due(&own, first.id).await.messages;
    let head = page.get(..3).expect("six messages of each session");
    assert_eq!(w.begin(&own, first.id, head, standard()).await.attempts.len(), 3);
    assert_eq!(w.used(&scope).await, 3);
    let across = w.begin_due(&own, second.id).await;
    assert_eq!(across.attempts.len(), 2, "up to the limit within one batch, whatever the session");
    let stopped = only(across.stopped);
    assert_eq!(stopped.why, crate::model::HoldReason::QuotaFull);
    assert_eq!(stopped.campaign, Some(campaign.id));
    assert_eq!(w.used(&scope).await, 5, "the limit is reached exactly");
    for session in [first.id, second.id] {
        assert!(w.begin_due(&own, session).await.attempts.is_empty(), "and never passed");
    }
    assert_eq!(w.used(&scope).await, 5);
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.attempting, counts.pending), (5, 7), "nothing is lost over it");

    // What was definitely not delivered makes room for exactly one.
    let failed = across.attempts.first().expect("two attempts").key;
    w.settle(failed, rejected(RejectClass::Recipient, 131_026)).await;
    assert_eq!(w.used(&scope).await, 4);
    assert_eq!(w.begin_due(&own, first.id).await.attempts.len(), 1);
    assert_eq!(w.used(&scope).await, 5);

    // A single message beyond the limit waits and is not lost.
    let single = w.single(&scope, first.id).await;
    let waits = w.begin_due(&own, first.id).await.waits;
    assert_eq!(waits.iter().map(|(id, _, _)| *id).collect::<Vec<_>>(), [single]);
}

async fn offer(w: &World, scope: &Scope, session: &Session, to: impl Into<Recipient>) -> MessageId {
    // Rows that are due at one instant have no order among them.
    w.clock.advance(Duration::from_micros(1));
    let content = template("offer", Category::Marketing);
    w.enqueue(scope, &NewMessage { content, ..w.message(session.id, to) }).await
}

async fn begun(w: &World, own: &WorkerScope, session: SessionId) -> (usize, usize) {
    let BegunBatch { attempts, waits, .. } = w.begin_due(own, session).await;
    (attempts.len(), waits.len())
}

pub(crate) async fn begin_reserves_the_tier_exactly(w: World) {
    let scope = w.tenant("one").await;
    let portfolio = |new: NewSession| NewSession { portfolio: "shared".to_owned(), ..new };
    let first = w.session_of(&scope, &portfolio(w.new_session()), Tier::Limited(2)).await;
    let second = w.session_of(&scope, &portfolio(w.new_session()), Tier::Limited(2)).await;
    let alone = w.session_of(&scope, &w.new_session(), Tier::Limited(2)).await;
    let own = w.own().await;
    let settings = TenantSettings { template_cooldown: None, ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let [ada, bea, cem, dot] = [(); 4].map(|()| w.fresh_phone());

    // Within one batch: a recipient counts once, and the third one waits.
    for to in [ada, ada, bea, cem] {
        offer(&w, &scope, &first, to).await;
    }
    assert_eq!(begun(&w, &own, first.id).await, (3, 1), "two people, one of them twice; the third waits");
    // Across batches and sessions of the portfolio.
    offer(&w, &scope, &second, ada).await;
    offer(&w, &scope, &second, dot).await;
    assert_eq!(begun(&w, &own, second.id).await, (1, 1), "who has a slot needs no other");
    offer(&w, &scope, &alone, dot).await;
    assert_eq!(begun(&w, &own, alone.id).await, (1, 0), "another portfolio has its own limit");
    // Inside a window no slot is needed, and none is taken.
    let eve = w.fresh_phone();
    w.user_writes(&second, eve).await;
    offer(&w, &scope, &second, eve).await;
    w.pass(1);
    assert_eq!(begun(&w, &own, second.id).await, (1, 0));

    // Slots end after the moving day, and then exactly two are free.
    w.pass(24 * 3_600 + 61);
    assert_eq!(begun(&w, &own, first.id).await, (1, 0), "the one who waited");
    assert_eq!(begun(&w, &own, second.id).await, (1, 0), "and the other one");
    offer(&w, &scope, &first, ada).await;
    assert_eq!(begun(&w, &own, first.id).await, (0, 1), "a slot that ended must be taken anew");
}

pub(crate) async fn begin_writes_the_price(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_price(&scope, 25_000).await;
    let campaign = w.campaign(&scope, session.id, 3).await;
    let unpriced = w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let batch = w.begin(&own, session.id, &page, standard()).await;
    for attempt in &batch.attempts {
        let expected = (attempt.key.message != unpriced).then_some(25_000);
        assert_eq!(attempt.price.map(|price| price.micros), expected);
    }
    let euros = |cost: &crate::port::store::Cost| cost.micros.values().sum::<i64>();
    let cost = must(w.ledger().cost(&scope, &CostOf::Everything).await);
    assert_eq!((euros(&cost), cost.unpriced), (75_000, 1));
    let cost = must(w.ledger().cost(&scope, &CostOf::Campaign(campaign.id)).await);
    assert_eq!((euros(&cost), cost.unpriced), (75_000, 0));
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.cost.get("EUR"), counts.unpriced), (Some(&75_000), 0));

    // Until it is given back; acceptance gives nothing back.
    let mut of_campaign = batch.attempts.iter().filter(|attempt| attempt.key.message != unpriced);
    let (refused, taken) = (of_campaign.next().expect("three"), of_campaign.next().expect("three"));
    w.settle(refused.key, rejected(RejectClass::Recipient, 131_026)).await;
    w.settle(taken.key, accepted("wamid.1")).await;
    let single = batch.attempts.iter().find(|attempt| attempt.key.message == unpriced).expect("begun");
    w.settle(single.key, rejected(RejectClass::Recipient, 131_026)).await;
    let cost = must(w.ledger().cost(&scope, &CostOf::Everything).await);
    assert_eq!((euros(&cost), cost.unpriced), (50_000, 0));
    assert_eq!(w.counts(&scope, campaign.id).await.cost.get("EUR"), Some(&50_000));
    // A later price list changes no attempt that was begun.
    w.put_price(&scope, 1).await;
    assert_eq!(euros(&must(w.ledger().cost(&scope, &CostOf::Everything).await)), 50_000);
}
