//! The conformance suite of the Billing seam.
//!
//! A test opens a fixture and runs each case, or all of them by [`check_all`]:
//!
//! ```
//! use std::sync::Arc;
//! use wa_core::model::{Entitlement, Tenant, TenantId, from_micros};
//! use wa_core::port::{Billing, BillingError, UsageReport};
//! use wa_core::testing::billing::{BillingFixture, check_all};
//!
//! #[derive(Debug, Default)]
//! struct Free;
//!
//! #[async_trait::async_trait]
//! impl Billing for Free {
//!     async fn entitlement(&self, _: &Tenant) -> Result<Entitlement, BillingError> {
//!         Ok(Entitlement::unlimited())
//!     }
//!     async fn report(&self, _: &UsageReport) -> Result<(), BillingError> {
//!         Ok(())
//!     }
//! }
//!
//! struct MyFixture;
//!
//! #[async_trait::async_trait]
//! impl BillingFixture for MyFixture {
//!     async fn open(&self) -> Arc<dyn Billing> {
//!         Arc::new(Free)
//!     }
//!     async fn counted(&self, _: &dyn Billing, _: TenantId) -> Option<u64> {
//!         None // this one counts nothing
//!     }
//! }
//! # futures::FutureExt::now_or_never(check_all(&MyFixture)).expect("nothing waits");
//! ```

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{Period, Tenant, TenantId, from_micros};
use crate::port::{Billing, UsageReport};

/// Opens billings for the suite.
#[async_trait]
pub trait BillingFixture: Send + Sync {
    /// A billing to which no usage was reported and which knows no subscription.
    async fn open(&self) -> Arc<dyn Billing>;

    /// How many messages the provider counted for a tenant; `None` where it counts none.
    async fn counted(&self, billing: &dyn Billing, tenant: TenantId) -> Option<u64>;
}

/// The clauses, each with a function of its name.
pub const CLAUSES: [&str; 3] =
    ["entitlement_answers_for_every_tenant", "entitlement_is_stable", "report_is_idempotent_by_key"];

/// Checks every clause.
///
/// # Panics
/// When one does not hold.
pub async fn check_all(fixture: &dyn BillingFixture) {
    entitlement_answers_for_every_tenant(fixture).await;
    entitlement_is_stable(fixture).await;
    report_is_idempotent_by_key(fixture).await;
}

fn tenant(name: &str, byte: u8) -> Tenant {
    let created_at = from_micros(1_794_320_000_123_457);
    Tenant { id: TenantId::mint(created_at, [byte; 10]), name: name.parse().expect("a name"), created_at }
}

/// A tenant without subscription gets the fallback plan, not an error.
///
/// # Panics
/// When that does not hold.
pub async fn entitlement_answers_for_every_tenant(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let mut answers = Vec::new();
    for (place, name) in (1_u8..).zip(["nobody knows me", "nor me", "Müller & Søn", "'; drop table"]) {
        answers.push(billing.entitlement(&tenant(name, place)).await.expect("an answer, not an error"));
    }
    let first = answers.first().expect("four answers");
    assert!(answers.iter().all(|answer| answer == first), "one fallback for all: {answers:?}");
}

/// Two calls without a change between them give the same answer.
///
/// # Panics
/// When that does not hold.
pub async fn entitlement_is_stable(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let (one, other) = (tenant("one", 1), tenant("other", 2));
    let first = billing.entitlement(&one).await.expect("an answer");
    billing.entitlement(&other).await.expect("an answer");
    assert_eq!(billing.entitlement(&one).await.expect("an answer"), first);
    let report = UsageReport { key: "a".to_owned(), tenant: one.id, period: month(), messages: 1 };
    billing.report(&report).await.expect("it is told");
    assert_eq!(billing.entitlement(&one).await.expect("an answer"), first, "usage changes no plan");
}

/// The same key reported twice counts once.
///
/// # Panics
/// When that does not hold.
pub async fn report_is_idempotent_by_key(fixture: &dyn BillingFixture) {
    let billing = fixture.open().await;
    let (one, other) = (tenant("one", 1), tenant("other", 2));
    let of = |key: &str, tenant: &Tenant, messages| UsageReport {
        key: key.to_owned(),
        tenant: tenant.id,
        period: month(),
        messages,
    };
    for report in [
        of("one-2026-11-a", &one, 70),
        of("one-2026-11-a", &one, 70),
        of("other-2026-11-a", &other, 5),
        of("one-2026-11-b", &one, 30),
        of("one-2026-11-a", &one, 70),
    ] {
        billing.report(&report).await.expect("a repeat is no error");
    }
    if let Some(counted) = fixture.counted(billing.as_ref(), one.id).await {
        assert_eq!(counted, 100, "each key once");
        assert_eq!(fixture.counted(billing.as_ref(), other.id).await, Some(5), "each for its tenant");
    }
}

fn month() -> Period {
    Period::of(from_micros(1_794_320_000_123_457))
}
