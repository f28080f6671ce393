//! The conformance suite of the Notifier seam: one case per named clause of its contract.
//!
//! # How to prove an own notifier
//!
//! Say how a notifier is opened, how it stands when its receiver is out of reach, and what the receiver
//! shows; and name the suite in a test file. Each clause becomes one `#[tokio::test]`, in a module
//! `notifier`:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use wa_core::model::TenantId;
//! use wa_core::port::{Notice, Notifier, NotifyError};
//! use wa_core::testing::notifier::{NotifierFixture, Shown};
//!
//! #[derive(Debug, Default)]
//! struct Board(Mutex<Vec<Notice>>); // yours
//!
//! #[async_trait::async_trait]
//! impl Notifier for Board {
//!     async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
//!         let mut board = self.0.lock().expect("a lock");
//!         if !board.iter().any(|known| known.id == notice.id) {
//!             board.push(notice.clone());
//!         }
//!         Ok(())
//!     }
//! }
//!
//! #[derive(Default)]
//! struct MyFixture(Mutex<Arc<Board>>);
//!
//! #[async_trait::async_trait]
//! impl NotifierFixture for MyFixture {
//!     async fn open(&self) -> Arc<dyn Notifier> {
//!         let board = Arc::new(Board::default());
//!         *self.0.lock().expect("a lock") = board.clone();
//!         board
//!     }
//!     async fn shown(&self, tenant: TenantId) -> Option<Vec<Shown>> {
//!         let board = self.0.lock().expect("a lock").clone();
//!         let notices = board.0.lock().expect("a lock");
//!         let own = notices.iter().filter(|notice| notice.tenant == tenant);
//!         Some(own.map(Shown::whole).collect())
//!     }
//!     async fn unreachable(&self) -> Option<Arc<dyn Notifier>> {
//!         None // a board is always there
//!     }
//!     async fn unreachable_for(&self, _: TenantId) -> Option<Arc<dyn Notifier>> {
//!         None
//!     }
//!     async fn stuttering(&self) -> Option<Arc<dyn Notifier>> {
//!         None
//!     }
//! }
//!
//! wa_core::notifier_conformance!(MyFixture::default());
//! # let fixture = MyFixture::default();
//! # let all = wa_core::testing::notifier::check_all(&fixture);
//! # futures::FutureExt::now_or_never(all).expect("nothing waits");
//! ```
//!
//! A clause about what cannot be (an outage, a look at what is shown) holds where the fixture says so.

mod cases;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;

use crate::model::{EventId, TenantId, from_micros};
use crate::port::{Notice, Notifier};

/// Opens notifiers for the suite.
#[async_trait]
pub trait NotifierFixture: Send + Sync {
    /// A notifier whose receiver has seen nothing yet and knows the suite's [`tenants`].
    async fn open(&self) -> Arc<dyn Notifier>;

    /// What the receiver of the notifier that was opened last shows a tenant, in order; `None` where that
    /// cannot be looked at, or where it cannot tell repeats apart.
    async fn shown(&self, tenant: TenantId) -> Option<Vec<Shown>>;

    /// A notifier whose receiver is out of reach; `None` where that cannot be.
    async fn unreachable(&self) -> Option<Arc<dyn Notifier>>;

    /// A notifier that can reach everybody but those of one tenant; `None` where that cannot be.
    async fn unreachable_for(&self, tenant: TenantId) -> Option<Arc<dyn Notifier>>;

    /// A notifier whose receiver takes what it is sent, but whose first answer about each notice is lost;
    /// `None` where that cannot be.
    async fn stuttering(&self) -> Option<Arc<dyn Notifier>>;
}

/// A notice as a receiver shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: EventId,
    /// All that is shown of it, as a person or a program reads it: without quoting, escapes or mark-up.
    pub text: String,
}

impl Shown {
    /// A notice of which everything is shown.
    #[must_use]
    pub fn whole(notice: &Notice) -> Self {
        let mut words = Vec::new();
        let value = serde_json::to_value(&notice.kind).unwrap_or_default();
        for (name, value) in value.as_object().into_iter().flatten() {
            let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            words.push(format!("{name}: {plain}"));
        }
        Self { id: notice.id, text: words.join("\n") }
    }
}

/// The tenants to which the suite's notices go.
#[must_use]
pub fn tenants() -> [TenantId; 2] {
    [5, 6].map(|byte| TenantId::mint(from_micros(cases::NOW), [byte; 10]))
}

/// One case: a clause of the contract and the check that it holds.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause.
    pub clause: &'static str,
    run: for<'a> fn(&'a dyn NotifierFixture) -> LocalBoxFuture<'a, ()>,
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
pub async fn check(fixture: &dyn NotifierFixture, clause: &str) {
    let case = cases().into_iter().find(|case| case.clause == clause);
    let case = case.expect("the suite has a case of this name");
    (case.run)(fixture).await;
}

/// Checks every clause.
///
/// # Panics
/// When one does not hold.
pub async fn check_all(fixture: &dyn NotifierFixture) {
    for case in cases() {
        (case.run)(fixture).await;
    }
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    crate::__notifier_clauses! { __suite_cases [] }
}

/// The one list of cases; everything else is made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __notifier_clauses {
    ($with:ident $args:tt) => {
        $crate::$with! { $args
            notify_takes_every_kind
            notify_keeps_every_word
            notify_can_be_repeated
            notify_at_once_is_shown_once
            notify_keeps_tenants_apart
            notify_says_when_it_failed
            notify_fails_for_one_tenant_alone
            notify_is_shown_once_after_a_failure
        }
    };
}

/// Makes one `#[tokio::test]` per clause of the Notifier contract, in a module `notifier`.
///
/// Takes an expression that makes a [`NotifierFixture`](crate::testing::notifier::NotifierFixture); it is
/// evaluated in each test, with the names of the place where the macro stands. The crate that uses it
/// needs tokio with `rt` and `macros`.
#[macro_export]
macro_rules! notifier_conformance {
    ($fixture:expr) => {
        $crate::__notifier_clauses! { __suite_tests [notifier notifier $fixture] }
    };
}
