//! A small webhook source, and the ways in which it can be wrong.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use wa_core::model::{Fact, InboundEvent, StatusUpdate};
use wa_core::port::{Challenge, ReceivedWebhook, WebhookRefusal, WebhookSource};
use wa_core::testing::webhook_suite::{self, Sample, WebhookFixture};

/// What is wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LetsUnsignedIn,
    LetsShortSignaturesIn,
    TakesTheFirstOfTwo,
    TakesTheLastOfTwo,
    KnowsNamesInOneCase,
    SignsTrimmedBodies,
    SignsTheStartOnly,
    ParsesFirst,
    DropsUnknownKinds,
    RefusesUnknownFields,
    StopsAtAnUnknownKind,
    PanicsAtText,
    PanicsAtALargeNumber,
    PanicsDeepDown,
    GivesUpAtABadEvent,
    StopsAtABadEvent,
}

#[derive(Debug)]
struct Source(Fault);

fn mac(body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(b"secret").expect("a key of any length");
    mac.update(body);
    mac
}

impl Source {
    /// The signed part of a body.
    fn signed<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        match self.0 {
            Fault::SignsTrimmedBodies => body.trim_ascii(),
            Fault::SignsTheStartOnly => body.get(..64).unwrap_or(body),
            _ => body,
        }
    }

    fn event(&self, item: &Value, at: DateTime<Utc>) -> Option<InboundEvent> {
        let id = item.get("id").and_then(Value::as_str)?;
        if self.0 == Fault::PanicsAtALargeNumber {
            let n = item.get("n").and_then(Value::as_f64).unwrap_or(0.0);
            assert!(n < 1e20, "a number like that");
        }
        let is_strange = item.as_object().is_some_and(|item| item.len() > 3);
        if self.0 == Fault::RefusesUnknownFields && is_strange {
            return None;
        }
        let number = "1".parse().expect("a number");
        Some(InboundEvent::Status(StatusUpdate::new(number, id, Fact::Delivered, at)))
    }
}

impl WebhookSource for Source {
    fn challenge(&self, _query: &str) -> Result<Challenge, WebhookRefusal> {
        Err(WebhookRefusal::WrongChallenge)
    }

    fn verify(&self, webhook: &ReceivedWebhook<'_>) -> Result<(), WebhookRefusal> {
        let is_name = |(name, _): &&(&str, &[u8])| name.eq_ignore_ascii_case("signature");
        let given = match self.0 {
            Fault::TakesTheFirstOfTwo => webhook.headers.iter().find(is_name).map(|(_, value)| *value),
            Fault::TakesTheLastOfTwo => webhook.headers.iter().rfind(is_name).map(|(_, value)| *value),
            Fault::KnowsNamesInOneCase => webhook
                .headers
                .iter()
                .find(|(name, _)| *name == "Signature")
                .and_then(|_| webhook.only("signature")),
            _ => webhook.only("signature"),
        };
        if self.0 == Fault::ParsesFirst {
            serde_json::from_slice::<Value>(webhook.body).map_err(|_| WebhookRefusal::WrongSignature)?;
        }
        let Some(given) = given.and_then(|value| hex::decode(value).ok()) else {
            let is_let_in = self.0 == Fault::LetsUnsignedIn;
            return if is_let_in { Ok(()) } else { Err(WebhookRefusal::NoSignature) };
        };
        let mac = mac(self.signed(webhook.body));
        let verdict = match self.0 {
            Fault::LetsShortSignaturesIn if !given.is_empty() => mac.verify_truncated_left(&given),
            _ => mac.verify_slice(&given),
        };
        verdict.map_err(|_| WebhookRefusal::WrongSignature)
    }

    fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Vec<InboundEvent> {
        if self.0 == Fault::PanicsAtText {
            std::str::from_utf8(body).expect("text");
        }
        if self.0 == Fault::PanicsDeepDown {
            assert!(!body.starts_with(b"[[[[[[[["), "too deep");
        }
        let Ok(Value::Array(items)) = serde_json::from_slice(body) else { return Vec::new() };
        let mut events = Vec::new();
        for item in &items {
            let unknown = InboundEvent::Unknown { field: "?".to_owned() };
            if item.get("kind").and_then(Value::as_str) != Some("delivered") {
                match self.0 {
                    Fault::DropsUnknownKinds => continue,
                    Fault::StopsAtAnUnknownKind => {
                        events.push(unknown);
                        break;
                    }
                    _ => events.push(unknown),
                }
                continue;
            }
            match (self.event(item, received_at), self.0) {
                (Some(event), _) => events.push(event),
                (None, Fault::GivesUpAtABadEvent) => return Vec::new(),
                (None, Fault::StopsAtABadEvent) => break,
                (None, _) => {}
            }
        }
        events
    }
}

struct Fixture(Fault);

impl WebhookFixture for Fixture {
    fn source(&self) -> Arc<dyn WebhookSource> {
        Arc::new(Source(self.0))
    }

    fn sign(&self, body: &[u8]) -> Vec<(String, Vec<u8>)> {
        let signed = mac(Source(self.0).signed(body)).finalize().into_bytes();
        vec![("Signature".to_owned(), hex::encode(signed).into_bytes())]
    }

    fn body(&self, samples: &[Sample]) -> Vec<u8> {
        let item = |sample: &Sample| match sample {
            Sample::Good(n) => json!({"kind": "delivered", "id": format!("id-{n}"), "n": n}),
            Sample::GoodWithAnUnknownField(n) => {
                json!({"kind": "delivered", "id": format!("id-{n}"), "n": n, "colour": "red"})
            }
            Sample::Bad => json!({"kind": "delivered", "n": 7}),
            Sample::Unknown => json!({"kind": "waved", "id": "id-1"}),
        };
        Value::Array(samples.iter().map(item).collect()).to_string().into_bytes()
    }
}

const UNSIGNED: &str = "a_body_without_a_valid_signature_is_refused";
const RAW: &str = "the_signature_covers_the_raw_bytes";
const UNKNOWN: &str = "parse_keeps_what_it_does_not_know";
const PANICS: &str = "parse_never_panics";
const SIBLINGS: &str = "one_bad_event_does_not_hide_its_siblings";

/// Each fault with the one clause that it breaks.
const FAULTS: [(Fault, &str); 16] = [
    (Fault::LetsUnsignedIn, UNSIGNED),
    (Fault::LetsShortSignaturesIn, UNSIGNED),
    (Fault::TakesTheFirstOfTwo, UNSIGNED),
    (Fault::TakesTheLastOfTwo, UNSIGNED),
    (Fault::KnowsNamesInOneCase, UNSIGNED),
    (Fault::SignsTrimmedBodies, RAW),
    (Fault::SignsTheStartOnly, RAW),
    (Fault::ParsesFirst, RAW),
    (Fault::DropsUnknownKinds, UNKNOWN),
    (Fault::RefusesUnknownFields, UNKNOWN),
    (Fault::StopsAtAnUnknownKind, UNKNOWN),
    (Fault::PanicsAtText, PANICS),
    (Fault::PanicsAtALargeNumber, PANICS),
    (Fault::PanicsDeepDown, PANICS),
    (Fault::GivesUpAtABadEvent, SIBLINGS),
    (Fault::StopsAtABadEvent, SIBLINGS),
];

#[test]
fn the_webhook_suite_tells_each_fault_by_its_clause() {
    webhook_suite::check_all(&Fixture(Fault::None));
    for (fault, clause) in FAULTS {
        let is_broken = |clause: &&str| {
            let check = AssertUnwindSafe(|| webhook_suite::check(&Fixture(fault), clause));
            std::panic::catch_unwind(check).is_err()
        };
        let broken: Vec<&str> =
            webhook_suite::cases().iter().map(|case| case.clause).filter(is_broken).collect();
        assert_eq!(broken, [clause], "{fault:?}");
    }
    let told: BTreeSet<&str> = FAULTS.iter().map(|(_, clause)| *clause).collect();
    let all: BTreeSet<&str> = webhook_suite::cases().iter().map(|case| case.clause).collect();
    assert_eq!(told, all, "each clause has a fault that breaks it");
}

mod a_right_one {
    use super::{Fault, Fixture};

    wa_core::webhook_conformance!(Fixture(Fault::None));
}
