//! Prices: what is expected, what is settled, and what a budget keeps.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::{
    BudgetUse, Category, Charge, ChargedCategory, Currency, DeliveryFacts, Estimate, Fact, Market, Money,
    PriceBook, PriceList, PriceReason, PricingKind, RateCategory, Rates, WebhookPricing,
};
use wa_core::model::{DatedPolicy, PricePolicy};
use wa_core::port::store::Cost;
use wa_core::rules::budget::{BudgetFacts, BudgetLine, BudgetVerdict, PATIENCE, check};
use wa_core::rules::cost::{self, CostCounter};
use wa_core::rules::price::{
    FREE_SERVICE_MESSAGES, PriceFacts, Quote, Sold, booking, charge, estimate, shown,
};

fn on(text: &str) -> DateTime<Utc> {
    format!("{text}T12:00:00Z").parse().expect("an instant")
}

fn usd() -> Currency {
    "USD".parse().expect("a currency")
}

fn facts(book: &PriceBook) -> PriceFacts<'_> {
    PriceFacts { book: Some(book), market: Market::India, ..PriceFacts::none() }
}

/// Meta's prices, the first policy with rates as well.
fn known() -> PriceBook {
    let rates = || Rates::MetaUsdOctober2026;
    let dated = |text: &str, policy| DatedPolicy { from: text.parse().expect("an instant"), policy };
    PriceBook::new(vec![
        dated("2025-07-01T00:00:00Z", PricePolicy::MetaJuly2025 { rates: rates() }),
        dated("2026-10-01T00:00:00Z", PricePolicy::MetaOctober2026 { rates: rates() }),
    ])
    .expect("a book")
}

#[test]
fn the_first_guides_matrix_charges_templates_outside_the_window() {
    let book = PriceBook::from(PriceList::inr_defaults());
    use Category::{Authentication, Marketing, Service, Utility};
    for (category, in_window, micros, reason, reserve) in [
        (Service, true, 0, PriceReason::WithinWindow, 0),
        (Utility, true, 0, PriceReason::WithinWindow, 750_000),
        (Utility, false, 350_000, PriceReason::Charged, 750_000),
        (Marketing, true, 0, PriceReason::WithinWindow, 750_000),
        (Marketing, false, 750_000, PriceReason::Charged, 750_000),
        (Authentication, false, 300_000, PriceReason::Charged, 300_000),
    ] {
        let got = estimate(&facts(&book), category, in_window, on("2026-11-01"));
        assert_eq!(got.amount.map(|money| money.micros), Some(micros), "{category:?} {in_window}");
        assert_eq!(got.reserve.map(|money| money.micros), Some(reserve), "{category:?} {in_window}");
        assert_eq!((got.reason, got.counts_as_service), (reason, false));
    }
}

#[test]
fn metas_policies_differ_by_date_window_and_entry_point() {
    use Category::{Authentication, Marketing, Service, Utility};
    use PriceReason::{Charged, EntryPoint, FreeTier, WithinWindow};
    let book = known();
    let (old, new) = (on("2026-09-30"), on("2026-10-01"));
    for (now, category, in_window, micros, reason) in [
        (old, Marketing, true, 11_800, Charged),
        (old, Authentication, true, 1_400, Charged),
        (old, Utility, true, 0, WithinWindow),
        (old, Utility, false, 1_400, Charged),
        (old, Service, true, 0, WithinWindow),
        (new, Marketing, true, 11_800, Charged),
        (new, Utility, true, 1_400, Charged),
        (new, Service, true, 0, FreeTier),
    ] {
        let got = estimate(&facts(&book), category, in_window, now);
        let seen = (got.amount.map(|money| money.micros), got.reason);
        assert_eq!(seen, (Some(micros), reason), "{now} {category:?} {in_window}");
        let led_here = PriceFacts { entry_point_until: Some(now + TimeDelta::seconds(1)), ..facts(&book) };
        let got = estimate(&led_here, category, in_window, now);
        assert_eq!((got.amount.map(|it| it.micros), got.reason), (Some(0), EntryPoint));
        let over = PriceFacts { entry_point_until: Some(now), ..facts(&book) };
        assert_eq!(estimate(&over, category, in_window, now).reason, reason, "72 hours are over");
    }
    // The thousandth is free, the next one is not; both may become dearer than free.
    for (used, micros) in [(FREE_SERVICE_MESSAGES - 1, 0), (FREE_SERVICE_MESSAGES, 1_400)] {
        let got = estimate(&PriceFacts { service_used: used, ..facts(&book) }, Service, true, new);
        assert_eq!(got.amount.map(|money| money.micros), Some(micros));
        assert_eq!((got.reserve.map(|it| it.micros), got.counts_as_service), (Some(1_400), true));
    }
    let code = estimate(&facts(&book), Authentication, false, new);
    assert_eq!(code.reserve.map(|money| money.micros), Some(30_400), "it may count as international");
}

#[test]
fn what_nobody_said_is_unknown_and_never_0() {
    let book = PriceBook::meta();
    let (before, july) = (on("2025-06-30"), on("2026-09-30"));
    assert_eq!(estimate(&facts(&book), Category::Utility, true, before), Estimate::unknown());
    assert_eq!(estimate(&PriceFacts::none(), Category::Marketing, true, july), Estimate::unknown());
    let charged = estimate(&facts(&book), Category::Marketing, true, july);
    assert_eq!((charged.amount, charged.reason), (None, PriceReason::Unknown));
    let free = estimate(&facts(&book), Category::Utility, true, july);
    assert_eq!(free.amount, Some(Money { micros: 0, currency: usd() }), "what is free is known to be");
}

fn pricing(kind: Option<&str>, category: Option<&str>, billable: Option<bool>) -> WebhookPricing {
    WebhookPricing {
        billable,
        kind: kind.map(PricingKind::from),
        category: category.map(ChargedCategory::from),
        ..WebhookPricing::default()
    }
}

const KINDS: &[&str] =
    &["regular", "free_customer_service", "free_entry_point", "free_group_customer_service", "new"];
const CATEGORIES: &[&str] =
    &["marketing", "marketing_lite", "utility", "authentication_international", "service", "group_x"];

fn any_pricing() -> impl Strategy<Value = WebhookPricing> {
    (
        proptest::option::of(proptest::sample::select(KINDS)),
        proptest::option::of(proptest::sample::select(CATEGORIES)),
        proptest::option::of(any::<bool>()),
    )
        .prop_map(|(kind, category, billable)| pricing(kind, category, billable))
}

fn any_fact() -> impl Strategy<Value = Fact> {
    proptest::sample::select(vec![Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed])
}

fn sold<'a>(book: &'a PriceBook, facts: &'a DeliveryFacts) -> Sold<'a> {
    let begun_at = on("2026-11-01");
    let estimate = estimate(
        &PriceFacts { book: Some(book), market: Market::India, ..PriceFacts::none() },
        Category::Utility,
        false,
        begun_at,
    );
    let quote = Quote { category: Category::Utility, estimate };
    Sold { quote, begun_at, market: Market::India, book: Some(book), facts }
}

proptest! {
    #[test]
    fn neither_order_nor_number_of_webhooks_matters(
        words in proptest::collection::vec((any_fact(), any_pricing(), 0..5_i64), 1..6),
        again in proptest::collection::vec(0..6_usize, 0..6),
    ) {
        let add = |facts: &mut DeliveryFacts, (fact, pricing, at): &(Fact, WebhookPricing, i64)| {
            facts.add(*fact, on("2026-11-02") + TimeDelta::seconds(*at));
            facts.add_charge(charge(pricing, *fact));
        };
        let (mut one, mut other) = (DeliveryFacts::default(), DeliveryFacts::default());
        words.iter().for_each(|word| add(&mut one, word));
        words.iter().rev().for_each(|word| add(&mut other, word));
        again.iter().filter_map(|place| words.get(*place)).for_each(|word| add(&mut other, word));
        let book = known();
        let (one, other) = (sold(&book, &one), sold(&book, &other));
        prop_assert_eq!(booking(&one), booking(&other));
        prop_assert_eq!(shown(&one), shown(&other));
        // What a budget keeps is never less than what is charged.
        if let Some(booked) = booking(&one) {
            let kept = booked.kept.map_or(0, |money| money.micros);
            prop_assert!(booked.amount.is_none_or(|money| money.micros <= kept));
        }
    }

    #[test]
    fn totals_kept_by_changes_equal_a_recount(
        changes in proptest::collection::vec((0..5_usize, any_fact(), any_pricing()), 1..40),
    ) {
        let book = known();
        let mut attempts = vec![DeliveryFacts::default(); 5];
        let mut kept: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
        let mut note = |changes: Vec<(CostCounter, i64)>| {
            changes.iter().for_each(|(counter, n)| *kept.entry(counter.key()).or_default() += n);
        };
        for facts in &attempts {
            note(cost::delta(None, booking(&sold(&book, facts)).as_ref()));
        }
        for (place, fact, pricing) in changes {
            let old = booking(&sold(&book, &attempts[place]));
            attempts[place].add(fact, on("2026-11-02"));
            attempts[place].add_charge(charge(&pricing, fact));
            note(cost::delta(old.as_ref(), booking(&sold(&book, &attempts[place])).as_ref()));
        }
        let counters = kept.into_iter().map(|(key, n)| (CostCounter::from_key(&key).expect("a counter"), n));
        let mut recount = Cost::default();
        for facts in &attempts {
            for (counter, n) in booking(&sold(&book, facts)).iter().flat_map(cost::counted_in) {
                cost::apply(&mut recount, &counter, n);
            }
        }
        prop_assert_eq!(cost::total(counters), recount);
    }

    #[test]
    fn no_sequence_of_begins_and_prices_passes_a_budget(
        limit in 0..200_000_i64,
        // A provider keeps its word; one that makes it dearer charges what no budget can know.
        words in proptest::collection::vec(any_pricing(), 20),
        steps in proptest::collection::vec((0..3_u8, 0..20_usize, any_fact()), 1..80),
    ) {
        let book = known();
        let now = on("2026-11-01");
        let mut begun: Vec<DeliveryFacts> = Vec::new();
        let used = |begun: &[DeliveryFacts]| {
            let mut used = BudgetUse::default();
            for booked in begun.iter().filter_map(|facts| booking(&sold(&book, facts))) {
                let kept = booked.kept.map_or(0, |money| money.micros);
                used.committed += kept;
                used.open += if booked.settled { 0 } else { kept };
            }
            used
        };
        for (what, place, fact) in steps {
            if what == 0 {
                let line = BudgetLine {
                    limit: Money { micros: limit, currency: usd() },
                    used: used(&begun),
                    last_begun_at: Some(now),
                };
                let facts = BudgetFacts { campaign: Some(line), ..BudgetFacts::default() };
                let quote = sold(&book, &DeliveryFacts::default()).quote;
                match check(&facts, &quote.estimate, now) {
                    BudgetVerdict::Fits => begun.push(DeliveryFacts::default()),
                    BudgetVerdict::MayFitLater => prop_assert!(line.used.open > 0),
                    BudgetVerdict::Spent => prop_assert!(line.used.committed + 11_800 > limit),
                    BudgetVerdict::PriceUnknown => prop_assert!(false, "the price is known"),
                }
            } else if let Some(facts) = begun.get_mut(place) {
                // What the policy does not foresee for a utility template is no charge of it.
                let pricing = words.get(place).filter(|pricing| {
                    pricing.category != Some(ChargedCategory::AuthenticationInternational)
                });
                // What was reported as failed stays so.
                let fact = if facts.has(Fact::Failed) { Fact::Sent } else { fact };
                facts.add(fact, now);
                facts.charge = pricing.map(|pricing| charge(pricing, Fact::Sent));
            }
            prop_assert!(used(&begun).committed <= limit, "{:?} of {}", used(&begun), limit);
        }
    }
}

#[test]
fn a_charge_is_read_by_kind_and_category() {
    for (words, key) in [
        (pricing(Some("regular"), Some("utility"), None), "sending regular utility"),
        (pricing(Some("regular"), Some("marketing_lite"), Some(false)), "sending regular marketing"),
        (pricing(Some("regular"), None, None), "sending regular "),
        (pricing(Some("regular"), Some("group_utility"), Some(true)), "sending unknown "),
        (pricing(Some("free_entry_point"), Some("service"), Some(true)), "sending free.entry_point service"),
        (pricing(Some("regular"), Some("referral_conversion"), None), "sending free.referral "),
        (pricing(None, Some("utility"), Some(true)), "sending regular utility"),
        (pricing(Some("new"), Some("utility"), Some(false)), "sending free.unsaid utility"),
        (pricing(None, Some("utility"), None), "sending unknown "),
    ] {
        assert_eq!(charge(&words, Fact::Sent).key(), key, "{words:?}");
        let delivered = charge(&words, Fact::Delivered);
        assert!(delivered < charge(&words, Fact::Sent), "a delivery's word counts more");
        assert_eq!(Charge::from_key(&delivered.key()), Some(delivered));
    }
}

#[test]
fn a_spent_budget_waits_only_for_prices_that_may_come() {
    let now = on("2026-11-01");
    let fits = |committed, open, last: Option<TimeDelta>| {
        let line = BudgetLine {
            limit: Money { micros: 100, currency: usd() },
            used: BudgetUse { committed, open },
            last_begun_at: last.map(|ago| now - ago),
        };
        let ten = Some(Money { micros: 10, currency: usd() });
        let estimate = Estimate { amount: ten, reserve: ten, ..Estimate::unknown() };
        check(&BudgetFacts { total: Some(line), ..BudgetFacts::default() }, &estimate, now)
    };
    let just = Some(TimeDelta::seconds(1));
    assert_eq!(fits(90, 90, just), BudgetVerdict::Fits, "to the last micro");
    assert_eq!(fits(91, 91, just), BudgetVerdict::MayFitLater);
    assert_eq!(fits(91, 0, just), BudgetVerdict::Spent);
    assert_eq!(fits(99, 5, just), BudgetVerdict::Spent, "what is open would not make room");
    assert_eq!(fits(91, 91, Some(PATIENCE)), BudgetVerdict::Spent, "prices that do not come");
    assert!(!BudgetFacts::default().is_limited());
    let rates = RateCategory::ALL.len();
    assert_eq!(rates, 5);
}
