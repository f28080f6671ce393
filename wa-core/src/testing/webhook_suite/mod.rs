//! The conformance suite of the `WebhookSource` seam: one case per named clause of its contract.
//!
//! The suite composes bodies out of [`Sample`]s through the fixture, which knows the provider's form,
//! and compares what the source makes of a whole body with what it makes of each part alone.
//!
//! Not proved here: that signatures are compared in constant time, and that events are translated
//! rightly. The first cannot be seen from outside; the second is what recorded bodies are for.
//!
//! # How to prove an own source
//!
//! Say how the provider signs and how its bodies look, and name the suite in a test file. Each clause
//! becomes one `#[test]`, in a module `webhook`:
//!
//! ```
//! use std::sync::Arc;
//! use chrono::{DateTime, Utc};
//! use hmac::{Hmac, KeyInit, Mac};
//! use serde_json::{Value, json};
//! use wa_core::model::{Fact, InboundEvent, StatusUpdate};
//! use wa_core::port::{Challenge, ReceivedWebhook, WebhookRefusal, WebhookSource};
//! use wa_core::testing::webhook_suite::{Sample, WebhookFixture};
//!
//! fn mac(body: &[u8]) -> Hmac<sha2::Sha256> {
//!     let mut mac = Hmac::new_from_slice(b"the secret").expect("a key of any length");
//!     mac.update(body);
//!     mac
//! }
//!
//! #[derive(Debug)]
//! struct MySource;
//!
//! impl WebhookSource for MySource {
//!     fn challenge(&self, _: &str) -> Result<Challenge, WebhookRefusal> {
//!         Err(WebhookRefusal::WrongChallenge) // this provider sends none
//!     }
//!     fn verify(&self, webhook: &ReceivedWebhook<'_>) -> Result<(), WebhookRefusal> {
//!         let given = webhook.only("x-signature").and_then(|value| hex::decode(value).ok());
//!         let given = given.ok_or(WebhookRefusal::NoSignature)?;
//!         mac(webhook.body).verify_slice(&given).map_err(|_| WebhookRefusal::WrongSignature)
//!     }
//!     fn parse(&self, body: &[u8], at: DateTime<Utc>) -> Vec<InboundEvent> {
//!         let Ok(Value::Array(items)) = serde_json::from_slice(body) else { return Vec::new() };
//!         let event = |item: &Value| match item["delivered"].as_str() {
//!             Some(id) => {
//!                 let number = "1".parse().expect("a number");
//!                 InboundEvent::Status(StatusUpdate::new(number, id, Fact::Delivered, at))
//!             }
//!             None => InboundEvent::Unknown { field: String::new() },
//!         };
//!         items.iter().map(event).collect()
//!     }
//! }
//!
//! struct MyFixture;
//!
//! impl WebhookFixture for MyFixture {
//!     fn source(&self) -> Arc<dyn WebhookSource> {
//!         Arc::new(MySource)
//!     }
//!     fn sign(&self, body: &[u8]) -> Vec<(String, Vec<u8>)> {
//!         vec![("X-Signature".to_owned(), hex::encode(mac(body).finalize().into_bytes()).into_bytes())]
//!     }
//!     fn body(&self, samples: &[Sample]) -> Vec<u8> {
//!         let item = |sample: &Sample| match sample {
//!             Sample::Good(n) => json!({"delivered": format!("id-{n}")}),
//!             Sample::GoodWithAnUnknownField(n) => json!({"delivered": format!("id-{n}"), "colour": "red"}),
//!             Sample::Bad => json!({"delivered": {"no": "id"}}),
//!             Sample::Unknown => json!({"waved": "id-1"}),
//!         };
//!         Value::Array(samples.iter().map(item).collect()).to_string().into_bytes()
//!     }
//! }
//!
//! wa_core::webhook_conformance!(MyFixture);
//! # wa_core::testing::webhook_suite::check_all(&MyFixture);
//! ```

mod cases;
mod noise;

use std::fmt;
use std::sync::Arc;

use crate::port::WebhookSource;

/// Makes sources for the suite, and bodies as their provider would send them.
pub trait WebhookFixture: Send + Sync {
    /// A source that knows the secret which [`sign`](Self::sign) uses.
    fn source(&self) -> Arc<dyn WebhookSource>;

    /// The headers that sign a body: names and values of all that the signature needs, and no others.
    fn sign(&self, body: &[u8]) -> Vec<(String, Vec<u8>)>;

    /// One body that reports these events, in this order; without any, what the provider sends then.
    fn body(&self, samples: &[Sample]) -> Vec<u8>;
}

/// One event of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// An event that the source knows: the same for the same number, another for another.
    Good(u32),
    /// The good event of this number, with one more field that nobody knows.
    GoodWithAnUnknownField(u32),
    /// An event of a kind that the source knows which cannot be translated, such as one without its id.
    Bad,
    /// An event of a kind that nobody knows.
    Unknown,
}

/// One case: a clause of the contract and the check that it holds.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause.
    pub clause: &'static str,
    run: fn(&dyn WebhookFixture),
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
pub fn check(fixture: &dyn WebhookFixture, clause: &str) {
    let case = cases().into_iter().find(|case| case.clause == clause);
    (case.expect("the suite has a case of this name").run)(fixture);
}

/// Checks every clause.
///
/// # Panics
/// When one does not hold.
pub fn check_all(fixture: &dyn WebhookFixture) {
    for case in cases() {
        (case.run)(fixture);
    }
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    crate::__webhook_clauses! { __webhook_cases [] }
}

/// The one list of cases; everything else is made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __webhook_clauses {
    ($with:ident $args:tt) => {
        $crate::$with! { $args
            a_body_without_a_valid_signature_is_refused
            the_signature_covers_the_raw_bytes
            parse_keeps_what_it_does_not_know
            parse_never_panics
            one_bad_event_does_not_hide_its_siblings
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __webhook_cases {
    ([] $($clause:ident)*) => {
        vec![$(Case { clause: stringify!($clause), run: cases::$clause }),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __webhook_tests {
    ([$fixture:expr] $($clause:ident)*) => {
        mod webhook {
            #[allow(unused_imports)] // a fixture may be named by its full path
            use super::*;
            $(
                #[test]
                fn $clause() {
                    $crate::testing::webhook_suite::check(&$fixture, stringify!($clause));
                }
            )*
        }
    };
}

/// Makes one `#[test]` per clause of the `WebhookSource` contract, in a module `webhook`.
///
/// Takes an expression that makes a
/// [`WebhookFixture`](crate::testing::webhook_suite::WebhookFixture); it is evaluated in each test,
/// with the names of the place where the macro stands.
#[macro_export]
macro_rules! webhook_conformance {
    ($fixture:expr) => {
        $crate::__webhook_clauses! { __webhook_tests [$fixture] }
    };
}
