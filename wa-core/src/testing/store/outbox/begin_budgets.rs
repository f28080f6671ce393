//! Budgets that begin keeps, and prices that it counts on.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{
    BudgetOf, Campaign, CampaignAction, CampaignState, Category, Content, EventBody, Fact, HoldReason, Money,
    NewCampaign, NewMessage, Period, Phone, PriceBook, Recipient, RejectClass, Session, StatusUpdate,
    TenantBudget, TenantSettings,
};
use crate::port::store::{BegunBatch, CostOf, DueQuery};
use crate::port::{Scope, WorkerScope};
use crate::rules::judge::Verdict;
use crate::testing::store::judges::Scripted;
use crate::testing::store::ledger::{at_metas_prices, heard, pricing, used};
use crate::testing::store::world::{World, accepted, found, must, only, rejected, template, value};

fn usd(micros: i64) -> Money {
    Money { micros, currency: value("USD") }
}

/// A running campaign of marketing, 25,000 micros a message, with a budget.
async fn campaign(w: &World, scope: &Scope, sessions: &[&Session], members: usize, budget: i64) -> Campaign {
    let (list, _) = w.list(scope, members).await;
    let sessions: Vec<_> = sessions.iter().map(|session| session.id).collect();
    let new = NewCampaign { budget: Some(usd(budget)), ..w.new_campaign(&list, &sessions) };
    let draft = w.draft(scope, &new).await;
    w.launch(scope, draft.id, 1_000).await
}

async fn stored(w: &World, scope: &Scope, campaign: &Campaign) -> Campaign {
    found(w.audience().campaign(scope, campaign.id).await)
}

/// The provider takes everything of a batch and charges it as marketing.
async fn charged(w: &World, session: &Session, batch: &BegunBatch) {
    for attempt in &batch.attempts {
        let name = format!("wamid.{}.{}", attempt.key.message, attempt.key.n);
        w.settle(attempt.key, accepted(&name)).await;
        let status = w.status(session, &name, Fact::Sent);
        heard(w, StatusUpdate { pricing: Some(pricing("regular", "marketing")), ..status }).await;
    }
}

pub(crate) async fn begin_reserves_the_budget_exactly(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let own = w.own().await;
    let limits = |monthly, total| TenantSettings {
        prices: Some(PriceBook::meta()),
        budget: TenantBudget { monthly, total },
        ..TenantSettings::default()
    };
    // The least of the budgets that a message falls under counts.
    for (place, (own_budget, monthly, total)) in
        [(5, None, None), (9, Some(12), None), (9, Some(90), Some(19))].into_iter().enumerate()
    {
        let of = |messages: i64| usd(messages * 25_000 + 24_999);
        w.put_settings(&scope, &limits(monthly.map(of), total.map(of))).await;
        let campaign = campaign(&w, &scope, &[&first, &second], 12, of(own_budget).micros).await;
        let before = used(&w, &scope, BudgetOf::Total).await;
        assert_eq!(before.open, 0, "everything before is settled");
        let room = [5, 7, 7].get(place).copied().expect("three rounds");
        let page = w.due(&own, first.id).await.messages;
        let head = page.get(..3).expect("six messages of each session");
        let judge = crate::testing::store::world::standard();
        let one = w.begin(&own, first.id, head, judge).await;
        assert_eq!(one.attempts.len(), 3);
        let two = w.begin_due(&own, second.id).await;
        let three = w.begin_due(&own, first.id).await;
        assert_eq!(two.attempts.len() + three.attempts.len() + 3, room, "exactly, across batches");
        let last = if three.stopped.is_empty() { &two } else { &three };
        assert_eq!(last.stopped.first().map(|it| it.why), Some(HoldReason::BudgetSpent));
        let spent = used(&w, &scope, BudgetOf::Campaign(campaign.id)).await;
        let room = i64::try_from(room).expect("few");
        assert_eq!((spent.committed, spent.open), (room * 25_000, room * 25_000));
        // As long as prices that are not settled may make room, the campaign only waits.
        assert_eq!(stored(&w, &scope, &campaign).await.state, CampaignState::Running);

        // What was definitely not delivered makes room for exactly one.
        let (failed, kept) = one.attempts.split_first().expect("three");
        w.settle(failed.key, rejected(RejectClass::Recipient, 131_026)).await;
        let again = w.begin_due(&own, first.id).await;
        let more = w.begin_due(&own, second.id).await;
        assert_eq!(again.attempts.len() + more.attempts.len(), 1);
        let spent = used(&w, &scope, BudgetOf::Campaign(campaign.id)).await;
        assert_eq!(spent.committed, room * 25_000, "reached and never passed");
        let one = BegunBatch { attempts: kept.to_vec(), ..one };
        for (session, batch) in
            [(&first, &one), (&second, &two), (&first, &three), (&first, &again), (&second, &more)]
        {
            charged(&w, session, batch).await;
        }
        let cost = must(w.ledger().cost(&scope, &CostOf::Campaign(campaign.id)).await);
        assert_eq!(cost.micros.values().sum::<i64>(), room * 25_000, "what is spent is what was kept");
        w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    }
    let month = BudgetOf::Month(Period::of(w.now()));
    assert_eq!(used(&w, &scope, month).await.committed, 19 * 25_000);
}

pub(crate) async fn begin_pauses_a_campaign_whose_budget_is_spent(w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    let campaign = campaign(&w, &scope, &[&session], 5, 50_000).await;
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(batch.attempts.len(), 2);
    charged(&w, &session, &batch).await;
    let single = w.single(&scope, session.id).await;
    let before = w.events().await.len();
    let spent = w.begin_due(&own, session.id).await;
    assert_eq!(spent.attempts.iter().map(|it| it.key.message).collect::<Vec<_>>(), [single]);
    let stopped = only(spent.stopped);
    assert_eq!((stopped.campaign, stopped.why), (Some(campaign.id), HoldReason::BudgetSpent));
    let paused = stored(&w, &scope, &campaign).await;
    assert_eq!((paused.state, paused.paused_for), (CampaignState::Paused, Some(HoldReason::BudgetSpent)));
    let id = campaign.id;
    let told: Vec<_> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    assert!(told.contains(&EventBody::BudgetSpent { campaign: id }), "{told:?}");
    assert!(told.contains(&EventBody::Campaign { campaign: id, state: CampaignState::Paused }), "{told:?}");
    assert_eq!(w.counts(&scope, id).await.pending, 3, "nothing is lost over it");
    assert!(w.due(&own, session.id).await.messages.is_empty());

    // Raised and resumed it goes on where it stopped.
    found(w.audience().set_budget(&scope, id, Some(usd(100_000))).await);
    let resumed = w.act(&scope, id, CampaignAction::Resume).await;
    assert_eq!((resumed.state, resumed.paused_for), (CampaignState::Running, None));
    assert_eq!(stored(&w, &scope, &campaign).await.paused_for, None);
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(batch.attempts.len(), 2);

    // Prices that never come keep nobody waiting for ever.
    assert_eq!(stored(&w, &scope, &campaign).await.state, CampaignState::Running);
    w.pass(3_601);
    assert!(w.begin_due(&own, session.id).await.attempts.is_empty());
    assert_eq!(stored(&w, &scope, &campaign).await.state, CampaignState::Paused);

    // A judge may pause for other reasons; a message without campaign waits for a minute.
    let lone = w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let judge = Scripted::new([(lone, Verdict::Pause { why: HoldReason::Poison })]);
    let begun = w.begin(&own, session.id, &page, Arc::new(judge)).await;
    assert_eq!(begun.waits, [(lone, HoldReason::Poison, w.after(60))]);
}

pub(crate) async fn begin_holds_an_unknown_price_under_a_budget(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = campaign(&w, &scope, &[&session], 2, 50_000).await;
    let stops = async |why: &str| {
        let begun = w.begin_due(&own, session.id).await;
        assert!(begun.attempts.is_empty(), "{why}");
        assert_eq!(only(begun.stopped).why, HoldReason::PriceUnknown, "{why}");
    };
    stops("there are no prices").await;
    w.put_price(&scope, 25_000).await;
    stops("another currency cannot be compared").await;
    assert_eq!(stored(&w, &scope, &campaign).await.state, CampaignState::Running);
    at_metas_prices(&w, &scope).await;
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 2);

    // Without a budget what is unknown goes, and counts as unpriced.
    w.put_settings(&scope, &TenantSettings::default()).await;
    w.single(&scope, session.id).await;
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 1);
    assert_eq!(must(w.ledger().cost(&scope, &CostOf::Everything).await).unpriced, 1);
}

/// So many texts to somebody who has just written.
async fn texts(w: &World, scope: &Scope, session: &Session, count: u64) -> Phone {
    let talker = w.fresh_phone();
    w.user_writes(session, talker).await;
    let content = Content::text("hello").expect("a text");
    for _ in 0..count {
        let message = NewMessage { content: content.clone(), ..w.message(session.id, talker) };
        w.enqueue(scope, &message).await;
    }
    talker
}

async fn begin_at_most(w: &World, own: &WorkerScope, session: &Session, limit: u32) -> BegunBatch {
    let ask = DueQuery { session: session.id, lane: None, limit, skip: Vec::new(), skip_feeds: Vec::new() };
    let page = must(w.outbox().due(own, &ask).await).messages;
    w.begin(own, session.id, &page, crate::testing::store::world::standard()).await
}

async fn text_to(w: &World, scope: &Scope, session: &Session, own: &WorkerScope, to: Phone) -> Option<i64> {
    let content = Content::text("one more").expect("a text");
    let message = NewMessage { content, ..w.message(session.id, Recipient::from(to)) };
    w.enqueue(scope, &message).await;
    only(w.begin_due(own, session.id).await.attempts).price.map(|price| price.micros)
}

pub(crate) async fn begin_counts_free_service_messages(w: World) {
    let (scope, session, own) = w.one().await;
    let other = w.session(&scope).await;
    let own = match own.epoch(other.id) {
        Some(_) => own,
        None => {
            let more = w.own().await;
            let both = [&own, &more].into_iter().flat_map(|scope| scope.sessions().collect::<Vec<_>>());
            crate::testing::scope::worker(w.worker, both)
        }
    };
    at_metas_prices(&w, &scope).await;
    let talker = texts(&w, &scope, &session, 1_002).await;
    let batch = begin_at_most(&w, &own, &session, 999).await;
    assert_eq!(batch.attempts.len(), 999);
    let batch = [batch.attempts, begin_at_most(&w, &own, &session, 10).await.attempts].concat();
    let prices: Vec<_> = batch.iter().map(|attempt| attempt.price.map(|price| price.micros)).collect();
    let (free, charged) = prices.split_at(1_000);
    assert!(free.iter().all(|price| *price == Some(0)), "the first thousand are free");
    assert_eq!(charged, [Some(3_400), Some(3_400)], "within a batch too");

    assert_eq!(text_to(&w, &scope, &session, &own, talker).await, Some(3_400));
    w.user_writes(&other, talker).await;
    assert_eq!(text_to(&w, &scope, &other, &own, talker).await, Some(0), "each number has its own");
    // What did not arrive was none: four of them bring the count below a thousand.
    for attempt in batch.iter().take(4) {
        w.settle(attempt.key, rejected(RejectClass::Recipient, 131_026)).await;
    }
    assert_eq!(text_to(&w, &scope, &session, &own, talker).await, Some(0));
    assert_eq!(text_to(&w, &scope, &session, &own, talker).await, Some(3_400));
    // A month on the account's clock later all are free again.
    let end: DateTime<Utc> = Period::of(w.now()).end();
    w.clock.set(end);
    w.clock.advance(Duration::from_secs(1));
    w.user_writes(&session, talker).await;
    assert_eq!(text_to(&w, &scope, &session, &own, talker).await, Some(0));
    assert_eq!(template("notice", Category::Utility).category(), Category::Utility);
}
