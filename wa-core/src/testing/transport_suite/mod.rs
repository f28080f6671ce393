//! The conformance suite of the Transport seam: one case per named clause of its contract.
//!
//! Each case starts a provider of its own on a loopback port, plain HTTP/1.1, which misbehaves as the
//! clause asks for: it closes a connection in the middle, redirects, fails, answers late or not at
//! all. It keeps the bytes that it was sent, so that besides the outcome every case checks that no
//! permit became more than one request. The provider is one blocking thread and needs no runtime.
//!
//! Not proved here: TLS, and what a provider's finer answers mean. An adapter tests these itself.
//!
//! # How to prove an own transport
//!
//! Say how a transport is pointed at an address and what the provider's answers look like, and name
//! the suite in a test file. Each clause becomes one `#[tokio::test]`, in a module `transport`:
//!
//! ```
//! use std::sync::Arc;
//! use wa_core::model::{Content, RejectClass, SessionId, TenantId};
//! use wa_core::port::{Clock, SessionRef, Transport};
//! use wa_core::testing::ScriptedTransport; // yours
//! use wa_core::testing::transport_suite::{ProviderAnswer, Refusal, TransportFixture};
//!
//! struct MyFixture;
//!
//! impl TransportFixture for MyFixture {
//!     fn transport(&self, origin: &str, clock: Arc<dyn Clock>) -> Arc<dyn Transport> {
//!         assert!(origin.starts_with("http://127.0.0.1:")); // where yours is to send to
//!         Arc::new(ScriptedTransport::new(clock))
//!     }
//!     fn session(&self) -> SessionRef {
//!         SessionRef {
//!             tenant: TenantId::from_uuid(uuid::Uuid::from_u128(1)),
//!             id: SessionId::from_uuid(uuid::Uuid::from_u128(2)),
//!             transport: "mine".parse().expect("a name"),
//!             number: "106540352242922".parse().expect("a number"),
//!         }
//!     }
//!     fn content(&self) -> Content {
//!         Content::text("hello").expect("a text")
//!     }
//!     fn accepted(&self, n: u32) -> (ProviderAnswer, String) {
//!         let id = format!("message-{n}");
//!         (ProviderAnswer { status: 201, body: format!(r#"{{"id":"{id}"}}"#) }, id)
//!     }
//!     fn refusals(&self) -> Vec<Refusal> {
//!         let body = r#"{"error":"no such user"}"#.to_owned();
//!         vec![Refusal { answer: ProviderAnswer { status: 404, body }, class: RejectClass::Recipient }]
//!     }
//!     fn unproven(&self) -> Vec<ProviderAnswer> {
//!         vec![ProviderAnswer { status: 503, body: r#"{"error":"overloaded"}"#.to_owned() }]
//!     }
//! }
//!
//! wa_core::transport_conformance!(MyFixture);
//! # assert_eq!(MyFixture.accepted(1).1, "message-1");
//! ```

mod cases;
mod provider;

use std::fmt;
use std::sync::Arc;

use futures::future::LocalBoxFuture;

use crate::model::{Content, RejectClass};
use crate::port::{Clock, SessionRef, Transport};

/// Makes transports for the suite, and says how their provider talks.
pub trait TransportFixture: Send + Sync {
    /// A fresh transport whose provider is at `origin` (`http://127.0.0.1:<port>`), and which goes by `clock`.
    fn transport(&self, origin: &str, clock: Arc<dyn Clock>) -> Arc<dyn Transport>;

    /// A number that the transport can send from.
    fn session(&self) -> SessionRef;

    /// Something that the transport can send.
    fn content(&self) -> Content;

    /// How the provider accepts its `n`-th message, and the id that it gives to it; another id for each `n`.
    fn accepted(&self, n: u32) -> (ProviderAnswer, String);

    /// Answers that prove a refusal; at least one.
    fn refusals(&self) -> Vec<Refusal>;

    /// Answers in the provider's own form that prove neither, such as its error for a fault of its own.
    ///
    /// The suite adds server errors without a body, pages of proxies and acceptances without an id.
    fn unproven(&self) -> Vec<ProviderAnswer>;
}

/// An answer of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, sent as `application/json`.
    pub body: String,
}

/// An answer that proves a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The answer.
    pub answer: ProviderAnswer,
    /// What it means.
    pub class: RejectClass,
}

/// One case: a clause of the contract and the check that it holds.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause.
    pub clause: &'static str,
    run: for<'a> fn(&'a dyn TransportFixture) -> LocalBoxFuture<'a, ()>,
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
pub async fn check(fixture: &dyn TransportFixture, clause: &str) {
    let case = cases().into_iter().find(|case| case.clause == clause);
    let case = case.expect("the suite has a case of this name");
    (case.run)(fixture).await;
}

/// Checks every clause.
///
/// # Panics
/// When one does not hold.
pub async fn check_all(fixture: &dyn TransportFixture) {
    for case in cases() {
        (case.run)(fixture).await;
    }
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    crate::__transport_clauses! { __suite_cases [] }
}

/// The one list of cases; everything else is made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_clauses {
    ($with:ident $args:tt) => {
        $crate::$with! { $args
            send_makes_at_most_one_request
            send_after_the_deadline_does_not_leave
            send_ends_within_the_timeout
            send_reports_acceptance_with_an_id
            send_calls_a_lost_reply_ambiguous
            send_calls_a_refused_connection_not_sent
            send_calls_a_server_error_ambiguous
            send_calls_a_proven_refusal_rejected
            send_passes_the_tag_on
        }
    };
}

/// Makes one `#[tokio::test]` per clause of the Transport contract, in a module `transport`.
///
/// Takes an expression that makes a
/// [`TransportFixture`](crate::testing::transport_suite::TransportFixture); it is evaluated in each
/// test, with the names of the place where the macro stands. The crate that uses it needs tokio with
/// `rt` and `macros`.
#[macro_export]
macro_rules! transport_conformance {
    ($fixture:expr) => {
        $crate::__transport_clauses! { __suite_tests [transport transport_suite $fixture] }
    };
}
