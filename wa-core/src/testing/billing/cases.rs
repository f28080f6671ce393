//! The cases, each named after its clause.

use futures::future::join_all;

use super::{BillingFixture, Subscribed};
use crate::model::{Period, Tenant, TenantId, from_micros};
use crate::port::{Billing, UsageReport};

/// The middle of a month, and of the one before.
const NOW: i64 = 1_794_320_000_123_457;
const A_MONTH_AGO: i64 = NOW - 31 * 86_400 * 1_000_000;

fn tenant(name: &str, byte: u8) -> Tenant {
    let created_at = from_micros(NOW);
    Tenant { id: TenantId::mint(created_at, [byte; 10]), name: name.parse().expect("a name"), created_at }
}

fn month() -> Period {
    Period::of(from_micros(NOW))
}

fn last_month() -> Period {
    Period::of(from_micros(A_MONTH_AGO))
}

fn report(key: &str, tenant: &Tenant, period: Period, messages: u64) -> UsageReport {
    UsageReport { key: key.to_owned(), tenant: tenant.id, period, messages }
}

async fn tell(billing: &dyn Billing, reports: &[&UsageReport]) {
    for report in reports {
        billing.report(report).await.expect("it is told");
    }
}

pub(super) async fn entitlement_answers_for_every_tenant(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let mut answers = Vec::new();
    for (place, name) in (1_u8..).zip(["nobody knows me", "nor me", "Müller & Søn", "'; drop table"]) {
        answers.push(billing.entitlement(&tenant(name, place)).await.expect("an answer, not an error"));
    }
    let first = answers.first().expect("four answers");
    assert!(answers.iter().all(|answer| answer == first), "one fallback for all: {answers:?}");
}

pub(super) async fn entitlement_is_the_tenants_own(fixture: &dyn BillingFixture) {
    let Some(Subscribed { billing, tenants }) = fixture.subscribed().await else { return };
    assert!(tenants.len() >= 2, "at least two tenants have subscriptions");
    let (_, first) = tenants.first().expect("two tenants");
    assert!(tenants.iter().any(|(_, own)| own != first), "they may not all do the same");
    let fallback = billing.entitlement(&tenant("nobody knows me", 200)).await.expect("an answer");
    // Forth and back, with a stranger in between: what was asked before must not matter.
    for (tenant, own) in tenants.iter().chain(tenants.iter().rev()) {
        assert_eq!(&billing.entitlement(tenant).await.expect("an answer"), own, "of {:?}", tenant.name);
        let stranger = self::tenant("nobody knows me", 200);
        assert_eq!(billing.entitlement(&stranger).await.expect("an answer"), fallback);
    }
}

pub(super) async fn entitlement_is_stable(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let (one, other) = (tenant("one", 1), tenant("other", 2));
    let first = billing.entitlement(&one).await.expect("an answer");
    billing.entitlement(&other).await.expect("an answer");
    assert_eq!(billing.entitlement(&one).await.expect("an answer"), first);
    tell(billing.as_ref(), &[&report("a", &one, month(), 1)]).await;
    assert_eq!(billing.entitlement(&one).await.expect("an answer"), first, "usage changes no plan");
}

pub(super) async fn entitlement_says_when_it_failed(fixture: &dyn BillingFixture) {
    let Some(billing) = fixture.unreachable().await else { return };
    for _ in 0..2 {
        let answer = billing.entitlement(&tenant("one", 1)).await;
        assert!(answer.is_err(), "nobody was asked, and the answer is {answer:?}");
    }
}

pub(super) async fn report_is_idempotent_by_key(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let one = tenant("one", 1);
    let (a, b) = (report("one-a", &one, month(), 70), report("one-b", &one, month(), 30));
    tell(billing.as_ref(), &[&a, &a, &b, &a]).await;
    let counted = fixture.counted(billing.as_ref(), one.id, month()).await;
    assert!(counted.is_none_or(|counted| counted == 100), "each key once: {counted:?}");
}

pub(super) async fn report_keeps_the_first_of_a_key(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let one = tenant("one", 1);
    tell(billing.as_ref(), &[&report("one-a", &one, month(), 70)]).await;
    for messages in [71, 0, 69] {
        // Whether it is refused or passed over is the provider's affair.
        let _ = billing.report(&report("one-a", &one, month(), messages)).await;
        let counted = fixture.counted(billing.as_ref(), one.id, month()).await;
        assert!(counted.is_none_or(|counted| counted == 70), "after {messages}: {counted:?}");
    }
}

pub(super) async fn reports_at_once_count_once(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let one = tenant("one", 1);
    let same = report("one-a", &one, month(), 70);
    // One that comes second may be told so; the report is told all the same.
    let told = join_all((0..8).map(|_| billing.report(&same))).await;
    assert!(told.iter().any(Result::is_ok), "nobody could tell it");
    tell(billing.as_ref(), &[&same]).await;
    let counted = fixture.counted(billing.as_ref(), one.id, month()).await;
    assert!(counted.is_none_or(|counted| counted == 70), "once: {counted:?}");
}

pub(super) async fn reports_of_tenants_and_months_stand_apart(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let (one, other) = (tenant("one", 1), tenant("other", 2));
    let reports = [
        (&one, last_month(), 3),
        (&one, month(), 50),
        (&other, last_month(), 700),
        (&other, month(), 11_000),
    ];
    for (place, (tenant, period, messages)) in reports.into_iter().enumerate() {
        tell(billing.as_ref(), &[&report(&format!("key-{place}"), tenant, period, messages)]).await;
    }
    for (tenant, period, messages) in reports {
        let counted = fixture.counted(billing.as_ref(), tenant.id, period).await;
        assert!(counted.is_none_or(|counted| counted == messages), "{period} gives {counted:?}");
    }
}

pub(super) async fn reports_may_come_in_any_order(fixture: &dyn BillingFixture) {
    let one = tenant("one", 1);
    let (old, new) = (report("old", &one, last_month(), 5), report("new", &one, month(), 70));
    let late = report("late", &one, month(), 200);
    for order in [[&old, &new, &late], [&new, &old, &late], [&late, &new, &old], [&new, &late, &old]] {
        let billing = fixture.open().await;
        tell(billing.as_ref(), &order).await;
        for (period, messages) in [(last_month(), 5), (month(), 270)] {
            let counted = fixture.counted(billing.as_ref(), one.id, period).await;
            assert!(counted.is_none_or(|it| it == messages), "{order:?} gives {counted:?} in {period}");
        }
    }
}

pub(super) async fn report_says_when_it_failed(fixture: &dyn BillingFixture) {
    let Some(billing) = fixture.unreachable().await else { return };
    for _ in 0..2 {
        let told = billing.report(&report("one-a", &tenant("one", 1), month(), 70)).await;
        assert!(told.is_err(), "the report is lost silently");
    }
}
