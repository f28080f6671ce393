//! The cases of the Ledger room.

mod money;
mod settling;

use std::collections::BTreeMap;

pub(super) use money::*;
pub(super) use settling::*;

use crate::model::{
    CampaignId, Category, Entitlement, HoldReason, NewMessage, Outcome, Period, PriceList, RateCategory,
    RejectClass, TenantSettings,
};
use crate::port::store::{CategoryCost, Cost, CostOf};
use crate::testing::store::world::{World, accepted, found, must, only, rejected, standard, template, value};

pub(super) async fn set_entitlement_binds_the_next_begin(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(1)).await;
    w.campaign(&scope, session.id, 4).await;
    let begun = w.begin_due(&own, session.id).await;
    assert_eq!(begun.attempts.len(), 1);
    assert_eq!(only(begun.stopped).why, HoldReason::QuotaFull);
    let page = w.due(&own, session.id).await.messages;

    w.put_quota(&scope, Some(2)).await;
    let first = page.get(..2).expect("three are left");
    let begun = w.begin(&own, session.id, first, standard()).await;
    assert_eq!(begun.attempts.len(), 1, "an upgrade lets go on, as far as it reaches");
    let suspended = Entitlement { suspended: true, ..Entitlement::unlimited() };
    assert!(must(w.ledger().set_entitlement(&scope, &suspended).await));
    let rest = page.get(1..).expect("three are left");
    let begun = w.begin(&own, session.id, rest, standard()).await;
    assert!(begun.attempts.is_empty(), "a suspension stops: {begun:?}");
    assert_eq!(only(begun.stopped).why, HoldReason::TenantPaused);
    assert!(must(w.ledger().set_entitlement(&scope, &Entitlement::unlimited()).await));
    assert_eq!(w.begin(&own, session.id, rest, standard()).await.attempts.len(), 2);
    assert!(!must(w.ledger().set_entitlement(&w.nobody(), &suspended).await));
}

pub(super) async fn entitlement_is_unlimited_until_set(mut w: World) {
    let scope = w.tenant("one").await;
    assert_eq!(found(w.ledger().entitlement(&scope).await), Entitlement::unlimited());
    let usage = found(w.ledger().usage(&scope, Period::of(w.now())).await);
    assert_eq!((usage.used, usage.limit), (0, None));
    assert_eq!(must(w.ledger().entitlement(&w.nobody()).await), None);
    let plan = Entitlement {
        plan: "Pro".to_owned(),
        messages_per_month: Some(10_000),
        sessions: Some(3),
        suspended: true,
    };
    assert!(must(w.ledger().set_entitlement(&scope, &plan).await));
    w.reopen().await;
    assert_eq!(found(w.ledger().entitlement(&scope).await), plan);
}

pub(super) async fn usage_counts_begun_messages(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(100)).await;
    let month = Period::of(w.now());
    let used = async |month| found(w.ledger().usage(&scope, month).await).used;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(w.begun(&scope, session.id, &own).await.key);
    }
    w.single(&scope, session.id).await;
    assert_eq!(used(month).await, 5, "what waits does not count");
    let [taken, doubtful, lost, refused, retried] = begun.try_into().expect("five attempts");
    w.settle(taken, accepted("wamid.1")).await;
    w.settle(doubtful, Outcome::Ambiguous).await;
    assert_eq!(used(month).await, 5, "what was taken, and what may have been, counts");
    w.settle(lost, Outcome::NotSent).await;
    w.settle(refused, rejected(RejectClass::Recipient, 131_026)).await;
    w.settle(retried, rejected(RejectClass::Retry, 1)).await;
    assert_eq!(used(month).await, 2, "what was given back does not");
    w.pass(60);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 3, "the one that waited and two again");
    assert_eq!(used(month).await, 5, "each attempt once");

    let usage = found(w.ledger().usage(&scope, month).await);
    assert_eq!((usage.period, usage.limit, usage.resets_at), (month, Some(100), month.end()));
    // A new month starts from nothing, and the old one keeps its count.
    w.clock.set(month.end());
    let next = Period::of(w.now());
    assert_ne!(next, month);
    assert_eq!(used(next).await, 0);
    w.begun(&scope, session.id, &own).await;
    assert_eq!((used(month).await, used(next).await), (5, 1));
    // What is given back goes to the month in which it was begun.
    w.settle(doubtful, rejected(RejectClass::Recipient, 131_026)).await;
    assert_eq!((used(month).await, used(next).await), (4, 1));
    assert_eq!(must(w.ledger().usage(&w.nobody(), month).await), None);
}

pub(super) async fn usage_is_the_tenants_own(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, at_b) = (w.session(&a).await, w.session(&b).await);
    let own = w.own().await;
    w.put_quota(&a, Some(2)).await;
    w.put_quota(&b, Some(2)).await;
    for _ in 0..2 {
        w.begun(&a, at_a.id, &own).await;
    }
    assert_eq!((w.used(&a).await, w.used(&b).await), (2, 0));
    w.begun(&b, at_b.id, &own).await;
    assert_eq!((w.used(&a).await, w.used(&b).await), (2, 1), "a full quota is nobody else's");
}

pub(super) async fn cost_is_the_sum_of_attempts(w: World) {
    let (scope, session, own) = w.one().await;
    let price = async |currency: &str, micros| {
        let prices =
            PriceList { currency: value(currency), per_message: [(Category::Marketing, micros)].into() };
        let settings = TenantSettings { prices: Some(prices.into()), ..TenantSettings::default() };
        w.put_settings(&scope, &settings).await;
    };
    let cost = async |campaign: Option<CampaignId>| must(w.ledger().cost(&scope, &part(campaign)).await);
    assert_eq!(cost(None).await, Cost::default());
    price("EUR", 30).await;
    let first = w.campaign(&scope, session.id, 3).await;
    let of_first = w.begin_due(&own, session.id).await.attempts;
    price("USD", 7).await;
    let second = w.campaign(&scope, session.id, 2).await;
    w.begin_due(&own, session.id).await;
    let utility = NewMessage {
        content: template("receipt", Category::Utility),
        ..w.message(session.id, w.fresh_phone())
    };
    w.enqueue(&scope, &utility).await;
    w.begin_due(&own, session.id).await;

    let (eur, usd) = (value("EUR"), value("USD"));
    let marketing = |messages, micros: &[_]| {
        let micros: BTreeMap<_, _> = micros.iter().copied().collect();
        (RateCategory::Marketing, CategoryCost { messages, micros, ..CategoryCost::default() })
    };
    let of_one = |messages, micros: &[_]| Cost {
        messages,
        micros: micros.iter().copied().collect(),
        by_category: [marketing(messages, micros)].into(),
        ..Cost::default()
    };
    let unknown = CategoryCost { messages: 1, unpriced: 1, ..CategoryCost::default() };
    let whole = Cost {
        messages: 6,
        micros: [(eur, 90), (usd, 14)].into(),
        unpriced: 1,
        settled: 0,
        by_category: [marketing(5, &[(eur, 90), (usd, 14)]), (RateCategory::Utility, unknown)].into(),
    };
    assert_eq!(cost(None).await, whole);
    assert_eq!(cost(Some(first.id)).await, of_one(3, &[(eur, 90)]));
    assert_eq!(cost(Some(second.id)).await, of_one(2, &[(usd, 14)]));
    let other = w.tenant("other").await;
    assert_eq!(must(w.ledger().cost(&other, &CostOf::Everything).await), Cost::default());
    assert_eq!(must(w.ledger().cost(&other, &CostOf::Campaign(first.id)).await), Cost::default());

    // Retries cost again; what was given back does not.
    price("EUR", 30).await;
    let retried = of_first.first().expect("three attempts").key;
    w.settle(retried, rejected(RejectClass::Retry, 1)).await;
    assert_eq!(cost(Some(first.id)).await.micros, [(eur, 60)].into());
    w.pass(60);
    let again = only(w.begin_due(&own, session.id).await.attempts);
    assert_eq!(cost(Some(first.id)).await.micros, [(eur, 90)].into());
    w.settle(again.key, accepted("wamid.1")).await;
    assert_eq!(cost(Some(first.id)).await.micros, [(eur, 90)].into());
    for attempt in of_first.iter().skip(1).map(|attempt| attempt.key).chain([again.key]) {
        // The last one was taken: a refusal of it that comes late is no non-delivery.
        w.settle(attempt, rejected(RejectClass::Recipient, 131_026)).await;
    }
    assert_eq!(cost(Some(first.id)).await.micros, [(eur, 30)].into());
}

fn part(campaign: Option<CampaignId>) -> CostOf {
    campaign.map_or(CostOf::Everything, CostOf::Campaign)
}
