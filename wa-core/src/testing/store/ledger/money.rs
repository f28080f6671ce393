//! Totals of parts, contacts and budgets.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::settling::{at_metas_prices, heard, pricing, sent};
use crate::model::{
    BudgetOf, BudgetUse, CampaignId, Category, Content, Currency, Fact, MessageView, NewMessage, Period,
    PriceReason, RateCategory, RejectClass, StatusUpdate,
};
use crate::port::Scope;
use crate::port::store::{CategoryCost, ContactSpend, Cost, CostOf, LastTemplate};
use crate::testing::store::world::{World, accepted, found, must, only, rejected, template, value};

/// What attempts of these messages cost, counted from what a report shows of them.
pub(in crate::testing::store) fn recount<'a>(views: impl IntoIterator<Item = &'a MessageView>) -> Cost {
    let mut cost = Cost::default();
    for attempt in views.into_iter().flat_map(|view| &view.attempts) {
        let price = &attempt.price;
        if price.reason == PriceReason::GivenBack {
            continue;
        }
        let part: &mut CategoryCost = cost.by_category.entry(price.category).or_default();
        cost.messages += 1;
        part.messages += 1;
        cost.settled += u64::from(price.settled);
        part.settled += u64::from(price.settled);
        match price.amount {
            Some(money) => {
                *cost.micros.entry(money.currency).or_default() += money.micros;
                *part.micros.entry(money.currency).or_default() += money.micros;
            }
            None => {
                cost.unpriced += 1;
                part.unpriced += 1;
            }
        }
    }
    cost
}

pub(in crate::testing::store) async fn cost_of_a_campaign_contact_and_period_is_the_sum_of_its_attempts(
    w: World,
) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    let start = w.now();
    let mut campaigns: Vec<CampaignId> = Vec::new();
    let mut keys = Vec::new();
    for round in 0..3_u64 {
        campaigns.push(w.campaign(&scope, session.id, 3).await.id);
        w.single(&scope, session.id).await;
        let begun = w.begin_due(&own, session.id).await.attempts;
        assert_eq!(begun.len(), 4);
        for (place, attempt) in begun.iter().enumerate() {
            let name = format!("wamid.{round}.{place}");
            match place {
                0 => drop(w.settle(attempt.key, rejected(RejectClass::Recipient, 131_026)).await),
                1 => drop(w.settle(attempt.key, accepted(&name)).await),
                _ => {
                    w.settle(attempt.key, accepted(&name)).await;
                    let category = if place == 2 { "utility" } else { "beer" };
                    let pricing = Some(pricing("regular", category));
                    let status = w.status(&session, &name, Fact::Sent);
                    heard(&w, StatusUpdate { pricing, ..status }).await;
                }
            }
        }
        keys.extend(begun.into_iter().map(|attempt| attempt.key));
        w.pass(3_600);
    }
    let mut views = Vec::new();
    for key in &keys {
        views.push(w.view(&scope, key.message).await);
    }
    let cost = async |of| must(w.ledger().cost(&scope, &of).await);
    assert_eq!(cost(CostOf::Everything).await, recount(&views));
    for campaign in campaigns {
        let of: Vec<_> = views.iter().filter(|view| view.campaign == Some(campaign)).collect();
        assert_eq!(cost(CostOf::Campaign(campaign)).await, recount(of));
    }
    for hour in 0..4_i64 {
        let (from, to) = (start + TimeDelta::hours(hour), start + TimeDelta::hours(hour + 1));
        let begun =
            |view: &&MessageView| view.attempts.iter().all(|attempt| (from..to).contains(&attempt.begun_at));
        let of: Vec<_> = views.iter().filter(begun).collect();
        assert_eq!(of.len(), if hour < 3 { 4 } else { 0 });
        assert_eq!(cost(CostOf::Between { from, to }).await, recount(of), "hour {hour}");
    }
    for view in &views {
        if let Some(contact) = must(w.audience().find_contact(&scope, &view.recipient).await) {
            assert_eq!(cost(CostOf::Contact(contact.id)).await, recount([view]));
        }
    }
    let nobody = w.mint(crate::model::ContactId::mint);
    assert_eq!(cost(CostOf::Contact(nobody)).await, Cost::default());
}

pub(in crate::testing::store) async fn contact_spend_counts_what_was_sent(w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    w.without_cooldown(&scope).await;
    let contact = w.contact(&scope).await;
    let spend = async || found(w.ledger().contact_spend(&scope, contact.id).await);
    assert_eq!(spend().await, ContactSpend::default());
    w.user_writes(&session, contact.recipient.clone()).await;
    let mut last = w.now();
    for content in [
        template("offer", Category::Marketing),
        template("notice", Category::Utility),
        Content::text("hello").expect("a text"),
    ] {
        w.pass(1);
        let is_template = !matches!(content, Content::Text(_));
        let message = NewMessage { content, ..w.message(session.id, contact.recipient.clone()) };
        w.enqueue(&scope, &message).await;
        w.begin_due(&own, session.id).await;
        last = if is_template { w.now() } else { last };
    }
    sent(&w, &scope, &session, &own, template("other", Category::Utility)).await;
    let name = value("notice");
    let seen = spend().await;
    assert_eq!((seen.cost.messages, seen.templates), (3, 2), "{seen:?}");
    assert_eq!(seen.cost.micros.values().sum::<i64>(), 28_400, "one of the month's free texts among them");
    let expected = LastTemplate { name, language: value("en_US"), at: last };
    assert_eq!(seen.last_template, Some(expected.clone()));
    // What did not arrive was not sent to anybody.
    w.pass(1);
    let message = NewMessage {
        content: template("late", Category::Marketing),
        ..w.message(session.id, contact.recipient.clone())
    };
    w.enqueue(&scope, &message).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    assert_eq!(spend().await.templates, 3);
    w.settle(key, rejected(RejectClass::Recipient, 131_026)).await;
    assert_eq!(spend().await.last_template, Some(expected));
    assert_eq!(must(w.ledger().contact_spend(&w.nobody(), contact.id).await), None);
}

/// How much of a budget is used, in the only currency of these cases.
pub(in crate::testing::store) async fn used(w: &World, scope: &Scope, of: BudgetOf) -> BudgetUse {
    let used: BTreeMap<Currency, BudgetUse> = must(w.ledger().budget_use(scope, of).await);
    assert!(
        used.values().all(|it| *it != BudgetUse::default()),
        "a currency of which nothing is used is left out"
    );
    used.values().copied().next().unwrap_or_default()
}

pub(in crate::testing::store) async fn budget_use_is_the_sum_of_attempts(w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    let campaign = w.campaign(&scope, session.id, 1).await.id;
    let marketing = only(w.begin_due(&own, session.id).await.attempts).key;
    let mut utility = Vec::new();
    for _ in 0..3 {
        utility.push(sent(&w, &scope, &session, &own, template("notice", Category::Utility)).await);
    }
    let month = BudgetOf::Month(Period::of(w.now()));
    let of_campaign = BudgetOf::Campaign(campaign);
    let check = async |of, committed, open| {
        assert_eq!(used(&w, &scope, of).await, BudgetUse { committed, open }, "{of:?}");
    };
    check(of_campaign, 25_000, 25_000).await;
    // A utility template may be charged as marketing, so that much is kept for it.
    for of in [month, BudgetOf::Total] {
        check(of, 100_000, 100_000).await;
    }
    let [cheap, strange, dead] = utility.try_into().expect("three");
    w.settle(cheap, accepted("wamid.1")).await;
    let word = |name: &str, category: &str| StatusUpdate {
        pricing: Some(pricing("regular", category)),
        ..w.status(&session, name, Fact::Sent)
    };
    heard(&w, word("wamid.1", "utility")).await;
    check(BudgetOf::Total, 78_400, 75_000).await;
    w.settle(strange, accepted("wamid.2")).await;
    heard(&w, word("wamid.2", "beer")).await;
    // What is charged in a way that is not known may be as dear as was kept.
    check(BudgetOf::Total, 78_400, 50_000).await;
    w.settle(dead, rejected(RejectClass::Recipient, 131_026)).await;
    check(BudgetOf::Total, 53_400, 25_000).await;
    w.settle(marketing, crate::model::Outcome::Ambiguous).await;
    check(of_campaign, 25_000, 25_000).await;
    // A month keeps what was begun in it.
    w.clock.set(Period::of(w.now()).end());
    check(month, 53_400, 25_000).await;
    check(BudgetOf::Month(Period::of(w.now())), 0, 0).await;
    let cost = must(w.ledger().cost(&scope, &CostOf::Everything).await);
    assert!(cost.by_category.contains_key(&RateCategory::Utility));
    w.settle(marketing, rejected(RejectClass::Recipient, 131_026)).await;
    check(of_campaign, 0, 0).await;
}
