//! How a webhook's word settles a price.

use crate::model::{
    AttemptKey, AttemptPrice, Category, Charge, ChargedCategory, Content, Fact, Money, NewMessage, PriceBook,
    PriceList, PriceReason, PricingKind, RateCategory, RejectClass, Session, StatusUpdate, TenantSettings,
    WebhookPricing,
};
use crate::port::store::{Cost, CostOf, ProjectedEvent};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{World, accepted, failure, must, only, orders, template, value};

/// What a webhook says: a kind of price and a category.
pub(in crate::testing::store) fn pricing(kind: &str, category: &str) -> WebhookPricing {
    WebhookPricing {
        kind: Some(PricingKind::from(kind)),
        category: Some(ChargedCategory::from(category)),
        ..WebhookPricing::default()
    }
}

/// Makes Meta's prices those of a tenant.
pub(in crate::testing::store) async fn at_metas_prices(w: &World, scope: &Scope) {
    let settings = TenantSettings { prices: Some(PriceBook::meta()), ..TenantSettings::default() };
    w.put_settings(scope, &settings).await;
}

/// Takes a message to a fresh phone in and begins it; nothing else may be due.
pub(in crate::testing::store) async fn sent(
    w: &World,
    scope: &Scope,
    session: &Session,
    own: &WorkerScope,
    content: Content,
) -> AttemptKey {
    let message = NewMessage { content, ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(scope, &message).await;
    only(w.begin_due(own, session.id).await.attempts).key
}

/// Receives a status of an attempt that has this provider id.
pub(in crate::testing::store) async fn heard(w: &World, update: StatusUpdate) {
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
}

async fn price(w: &World, scope: &Scope, key: AttemptKey) -> AttemptPrice {
    let attempts = w.view(scope, key.message).await.attempts;
    attempts.into_iter().find(|attempt| attempt.n == key.n).expect("the attempt").price
}

async fn everything(w: &World, scope: &Scope) -> Cost {
    must(w.ledger().cost(scope, &CostOf::Everything).await)
}

/// Fact and pricing of each status; category and micros in the end.
type Case = (Vec<(Fact, WebhookPricing)>, RateCategory, i64);

fn usd(micros: i64) -> Option<Money> {
    Some(Money { micros, currency: value("USD") })
}

pub(in crate::testing::store) async fn a_webhook_settles_the_price(w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    let billable =
        |billable, category| WebhookPricing { billable: Some(billable), kind: None, ..pricing("", category) };
    let exempt =
        WebhookPricing { subtype: Some("paid_exempt".to_owned()), ..pricing("regular", "marketing") };
    let cases: Vec<Case> = vec![
        (vec![(Fact::Sent, pricing("regular", "utility"))], RateCategory::Utility, 3_400),
        (vec![(Fact::Sent, pricing("free_customer_service", "utility"))], RateCategory::Utility, 0),
        (vec![(Fact::Sent, pricing("free_entry_point", "referral_conversion"))], RateCategory::Utility, 0),
        (vec![(Fact::Delivered, pricing("regular", "marketing_lite"))], RateCategory::Marketing, 25_000),
        (vec![(Fact::Sent, exempt)], RateCategory::Marketing, 0),
        (vec![(Fact::Sent, billable(true, "marketing"))], RateCategory::Marketing, 25_000),
        (vec![(Fact::Sent, billable(false, "marketing"))], RateCategory::Marketing, 0),
        (
            // The word of a delivery outweighs that of a sending.
            vec![
                (Fact::Sent, pricing("free_customer_service", "utility")),
                (Fact::Delivered, pricing("regular", "marketing")),
                (Fact::Sent, pricing("regular", "utility")),
            ],
            RateCategory::Marketing,
            25_000,
        ),
        (
            // Of equal weight one counts, always the same.
            vec![
                (Fact::Delivered, pricing("regular", "utility")),
                (Fact::Read, pricing("regular", "marketing")),
            ],
            RateCategory::Marketing,
            25_000,
        ),
    ];
    let (mut messages, mut micros) = (0, 0);
    for (statuses, category, expected) in cases {
        for order in orders(statuses.len()) {
            let key = sent(&w, &scope, &session, &own, template("notice", Category::Utility)).await;
            let before = price(&w, &scope, key).await;
            assert_eq!((before.amount, before.settled), (usd(3_400), false));
            assert_eq!((before.estimate, before.reason), (usd(3_400), PriceReason::Charged));
            let name = format!("wamid.{messages}");
            w.settle(key, accepted(&name)).await;
            for place in order.iter().chain(&order) {
                let (fact, pricing) = statuses.get(*place).cloned().expect("a status");
                let update = StatusUpdate { pricing: Some(pricing), ..w.status(&session, &name, fact) };
                heard(&w, update).await;
            }
            // One that says nothing about the price takes nothing away.
            heard(&w, w.status(&session, &name, Fact::Delivered)).await;
            let after = price(&w, &scope, key).await;
            assert_eq!((after.amount, after.category), (usd(expected), category), "{statuses:?} {order:?}");
            assert_eq!((after.estimate, after.sent_as, after.settled), (usd(3_400), Category::Utility, true));
            messages += 1;
            micros += expected;
            let cost = everything(&w, &scope).await;
            assert_eq!((cost.messages, cost.settled, cost.unpriced), (messages, messages, 0));
            assert_eq!(cost.micros.values().sum::<i64>(), micros);
        }
    }
}

pub(in crate::testing::store) async fn a_price_of_an_unknown_category_is_unknown(w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    for (place, what) in
        [pricing("regular", "group_utility"), pricing("sometimes", "utility")].into_iter().enumerate()
    {
        let key = sent(&w, &scope, &session, &own, template("notice", Category::Utility)).await;
        let name = format!("wamid.{place}");
        w.settle(key, accepted(&name)).await;
        heard(&w, StatusUpdate { pricing: Some(what), ..w.status(&session, &name, Fact::Sent) }).await;
        let price = price(&w, &scope, key).await;
        assert_eq!((price.amount, price.reason, price.settled), (None, PriceReason::Unknown, true));
    }
    let cost = everything(&w, &scope).await;
    assert_eq!((cost.messages, cost.unpriced, cost.settled), (2, 2, 2));
    assert!(cost.micros.is_empty(), "unknown is not 0: {cost:?}");
}

pub(in crate::testing::store) async fn an_early_price_waits_for_its_attempt(mut w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    let key = sent(&w, &scope, &session, &own, template("notice", Category::Utility)).await;
    for category in ["utility", "marketing"] {
        let update = StatusUpdate {
            pricing: Some(pricing("regular", category)),
            ..w.status(&session, "wamid.1", Fact::Sent)
        };
        let projected = w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
        assert_eq!(projected.waiting, 1, "both, though they differ in their price only");
    }
    assert!(!price(&w, &scope, key).await.settled);
    w.reopen().await;
    w.settle(key, accepted("wamid.1")).await;
    let settled = price(&w, &scope, key).await;
    assert_eq!((settled.amount, settled.settled), (usd(25_000), true), "the lesser word of the two");
    let charge = only(w.view(&scope, key.message).await.attempts).facts.charge;
    assert_eq!(charge.map(Charge::key).as_deref(), Some("sending regular marketing"));
}

pub(in crate::testing::store) async fn a_failed_message_costs_nothing(w: World) {
    let (scope, session, own) = w.one().await;
    at_metas_prices(&w, &scope).await;
    let dead = failure(RejectClass::Recipient, 131_026);
    // A price, a failure, and in the end evidence that it arrived after all.
    for (place, order) in orders(3).into_iter().enumerate() {
        let key = sent(&w, &scope, &session, &own, template("notice", Category::Utility)).await;
        let name = format!("wamid.{place}");
        w.settle(key, accepted(&name)).await;
        let statuses = [
            StatusUpdate {
                pricing: Some(pricing("regular", "utility")),
                ..w.status(&session, &name, Fact::Sent)
            },
            StatusUpdate { failure: Some(dead.clone()), ..w.status(&session, &name, Fact::Failed) },
            w.status(&session, &name, Fact::Delivered),
        ];
        let without: Vec<_> = order.iter().filter(|place| **place != 2).collect();
        for place in without {
            heard(&w, statuses.get(*place).cloned().expect("a status")).await;
        }
        let failed = price(&w, &scope, key).await;
        assert_eq!((failed.amount, failed.reason), (usd(0), PriceReason::GivenBack), "{order:?}");
        let counted = u64::try_from(place).expect("few");
        assert_eq!(everything(&w, &scope).await.messages, counted, "it does not count");
        heard(&w, statuses.last().cloned().expect("a delivery")).await;
        let cost = everything(&w, &scope).await;
        assert_eq!((cost.messages, cost.settled), (counted + 1, counted + 1), "what arrived is charged");
        assert_eq!(price(&w, &scope, key).await.amount, usd(3_400));
    }
}

pub(in crate::testing::store) async fn a_price_is_settled_by_the_prices_of_its_begin(w: World) {
    let (scope, session, own) = w.one().await;
    let nothing_known = sent(&w, &scope, &session, &own, template("notice", Category::Utility)).await;
    let list = PriceList { currency: value("EUR"), per_message: [(Category::Marketing, 9)].into() };
    let settings = TenantSettings { prices: Some(list.into()), ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let flat = sent(&w, &scope, &session, &own, template("offer", Category::Marketing)).await;
    at_metas_prices(&w, &scope).await;
    for (key, name) in [(nothing_known, "wamid.0"), (flat, "wamid.1")] {
        w.settle(key, accepted(name)).await;
        let update = StatusUpdate {
            pricing: Some(pricing("regular", "marketing")),
            ..w.status(&session, name, Fact::Sent)
        };
        heard(&w, update).await;
    }
    assert_eq!(price(&w, &scope, nothing_known).await.amount, None, "there were no prices when it began");
    let nine = Money { micros: 9, currency: value("EUR") };
    assert_eq!(price(&w, &scope, flat).await.amount, Some(nine));
    let cost = everything(&w, &scope).await;
    assert_eq!((cost.micros, cost.unpriced), ([(value("EUR"), 9)].into(), 1));
}
