//! The conformance suite of the Billing seam: one case per named clause of its contract.
//!
//! # How to prove an own billing
//!
//! Say how a billing is opened, with subscriptions and without, how it stands when its provider is out of
//! reach, and what the provider counted; and name the suite in a test file. Each clause becomes one
//! `#[tokio::test]`, in a module `billing`:
//!
//! ```
//! use std::sync::Arc;
//! use wa_core::model::{Entitlement, Period, Tenant, TenantId};
//! use wa_core::port::{Billing, BillingError, UsageReport};
//! use wa_core::testing::billing::{BillingFixture, Subscribed};
//!
//! #[derive(Debug, Default)]
//! struct Free; // yours
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
//!     async fn subscribed(&self) -> Option<Subscribed> {
//!         None // this one knows no subscriptions
//!     }
//!     async fn unreachable(&self) -> Option<Arc<dyn Billing>> {
//!         None // and asks nobody
//!     }
//!     async fn counted(&self, _: &dyn Billing, _: TenantId, _: Period) -> Option<u64> {
//!         None // nor does it count
//!     }
//! }
//!
//! wa_core::billing_conformance!(MyFixture);
//! # let all = wa_core::testing::billing::check_all(&MyFixture);
//! # futures::FutureExt::now_or_never(all).expect("nothing waits");
//! ```
//!
//! A clause about what cannot be (subscriptions, an outage, a count) holds where the fixture says so.

mod cases;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;

use crate::model::{Entitlement, Period, Tenant, TenantId};
use crate::port::Billing;

/// Opens billings for the suite.
#[async_trait]
pub trait BillingFixture: Send + Sync {
    /// A billing to which no usage was reported and which knows no subscription.
    async fn open(&self) -> Arc<dyn Billing>;

    /// A billing that knows subscriptions; `None` where there are none.
    async fn subscribed(&self) -> Option<Subscribed>;

    /// A billing whose provider is out of reach; `None` where it needs none.
    async fn unreachable(&self) -> Option<Arc<dyn Billing>>;

    /// How many messages the provider counted for a tenant in a month; `None` where it counts none.
    async fn counted(&self, billing: &dyn Billing, tenant: TenantId, period: Period) -> Option<u64>;
}

/// A billing that knows subscriptions.
#[derive(Debug)]
pub struct Subscribed {
    /// The billing.
    pub billing: Arc<dyn Billing>,
    /// Tenants with what each may do by its subscription: at least two, and not the same for all.
    pub tenants: Vec<(Tenant, Entitlement)>,
}

/// One case: a clause of the contract and the check that it holds.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause.
    pub clause: &'static str,
    run: for<'a> fn(&'a dyn BillingFixture) -> LocalBoxFuture<'a, ()>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.clause)
    }
}

/// Checks one clause.
///
/// # Panics
/// When it does not hold, or there is none of this name.
pub async fn check(fixture: &dyn BillingFixture, clause: &str) {
    let case = cases().into_iter().find(|case| case.clause == clause);
    let case = case.expect("the suite has a case of this name");
    (case.run)(fixture).await;
}

/// Checks every clause.
///
/// # Panics
/// When one does not hold.
pub async fn check_all(fixture: &dyn BillingFixture) {
    for case in cases() {
        (case.run)(fixture).await;
    }
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    crate::__billing_clauses! { __suite_cases [] }
}

/// The one list of cases; everything else is made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __billing_clauses {
    ($with:ident $args:tt) => {
        $crate::$with! { $args
            entitlement_answers_for_every_tenant
            entitlement_is_the_tenants_own
            entitlement_is_stable
            entitlement_says_when_it_failed
            report_is_idempotent_by_key
            report_keeps_the_first_of_a_key
            reports_at_once_count_once
            reports_of_tenants_and_months_stand_apart
            reports_may_come_in_any_order
            report_says_when_it_failed
        }
    };
}

/// Makes one `#[tokio::test]` per clause of the Billing contract, in a module `billing`.
///
/// Takes an expression that makes a [`BillingFixture`](crate::testing::billing::BillingFixture); it is
/// evaluated in each test, with the names of the place where the macro stands. The crate that uses it
/// needs tokio with `rt` and `macros`.
#[macro_export]
macro_rules! billing_conformance {
    ($fixture:expr) => {
        $crate::__billing_clauses! { __suite_tests [billing billing $fixture] }
    };
}
