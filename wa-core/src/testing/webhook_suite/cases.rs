//! The cases: what a source must refuse, keep and survive.

use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};

use super::noise::{Noise, with_odd_values};
use super::{Sample, WebhookFixture};
use crate::model::{InboundEvent, from_micros};
use crate::port::{ReceivedWebhook, WebhookRefusal, WebhookSource};

use Sample::{Bad, Good, GoodWithAnUnknownField, Unknown};

const SEED: u64 = 0x5eed_0000_0b0d_1e55;
const BODIES: usize = 4_000;
const DEPTH: usize = 100_000;

type Headers = Vec<(String, Vec<u8>)>;

pub(super) fn a_body_without_a_valid_signature_is_refused(fixture: &dyn WebhookFixture) {
    let source = fixture.source();
    let body = fixture.body(&[Good(1), Good(2)]);
    let signed = fixture.sign(&body);
    let foreign = fixture.sign(&fixture.body(&[Good(3)]));
    assert!(!signed.is_empty(), "the fixture signs");
    assert_eq!(signed.len(), foreign.len(), "the fixture signs every body the same way");

    let passes = |headers: &Headers, what: &str| {
        assert_eq!(verify(source.as_ref(), headers, &body), Ok(()), "{what}");
    };
    let is_refused = |headers: &Headers, what: &str| {
        let verdict = verify(source.as_ref(), headers, &body);
        assert!(verdict.is_err(), "{what} passes: {headers:?}");
    };
    passes(&signed, "the right signature");
    passes(&renamed(&signed, str::to_ascii_lowercase), "the right signature, names in small letters");
    passes(&renamed(&signed, str::to_ascii_uppercase), "the right signature, names in capitals");
    let mut among_others = vec![("host".to_owned(), b"example.org".to_vec())];
    among_others.extend(signed.iter().cloned());
    passes(&among_others, "the right signature among other headers");

    is_refused(&Vec::new(), "no signature");
    is_refused(&foreign, "the signature of another body");
    for (place, ((name, value), (_, of_another))) in signed.iter().zip(&foreign).enumerate() {
        let with = |values: &[&[u8]]| -> Headers {
            let own = values.iter().map(|value| (name.clone(), value.to_vec()));
            let mut headers = signed.clone();
            headers.splice(place..=place, own);
            headers
        };
        let mut changed = value.clone();
        let middle = changed.len() / 2;
        if let Some(byte) = changed.get_mut(middle) {
            *byte ^= 1;
        }
        let half = value.get(..middle).unwrap_or_default();
        let wrong: [(&str, &[&[u8]]); 9] = [
            ("one header too few", &[]),
            ("an empty value", &[b""]),
            ("half a value", &[half]),
            ("a changed value", &[&changed]),
            ("a value that is no text", &[b"\xff\x00\xff"]),
            ("a doubled header", &[value, value]),
            ("a doubled header, the first wrong", &[of_another, value]),
            ("a doubled header, the second wrong", &[value, of_another]),
            ("a doubled header, one empty", &[b"", value]),
        ];
        for (what, values) in wrong {
            is_refused(&with(values), what);
        }
        // A header stands twice also when its names differ in case.
        let mut doubled = signed.clone();
        doubled.push((name.to_ascii_uppercase(), value.clone()));
        doubled.push((name.to_ascii_lowercase(), value.clone()));
        is_refused(&doubled, "a doubled header in another case");
    }
}

pub(super) fn the_signature_covers_the_raw_bytes(fixture: &dyn WebhookFixture) {
    let source = fixture.source();
    let body = fixture.body(&[Good(1), Good(2)]);
    let signed = fixture.sign(&body);
    let is_refused = |changed: &[u8], what: &str| {
        let verdict = verify(source.as_ref(), &signed, changed);
        assert!(verdict.is_err(), "{what} passes: {}", String::from_utf8_lossy(changed));
    };
    for place in 0..body.len() {
        let mut changed = body.clone();
        if let Some(byte) = changed.get_mut(place) {
            *byte ^= 1;
        }
        is_refused(&changed, "a body with a changed byte");
    }
    // These say the same to most readers.
    for (before, after) in
        [("", " "), (" ", ""), ("", "\n"), ("", "\r\n"), ("\u{feff}", ""), ("", "\0"), ("\t", "\t")]
    {
        let changed = [before.as_bytes(), &body, after.as_bytes()].concat();
        is_refused(&changed, "a body with more around it");
    }
    is_refused(body.get(1..).unwrap_or_default(), "a body without its first byte");
    is_refused(body.get(..body.len() - 1).unwrap_or_default(), "a body without its last byte");
    is_refused(b"", "an empty body");

    // Nothing is parsed before: what nobody can read passes when it is signed.
    let half = body.get(..body.len() / 2).unwrap_or_default();
    for odd in [b"".as_slice(), b"\xff\xfe\x00", b"not json", b"{\"a\":", b" {} ", b"\r\n", half] {
        let verdict = verify(source.as_ref(), &fixture.sign(odd), odd);
        assert_eq!(verdict, Ok(()), "signed: {}", String::from_utf8_lossy(odd));
    }
}

pub(super) fn parse_keeps_what_it_does_not_know(fixture: &dyn WebhookFixture) {
    let parse = |samples: &[Sample]| parse(fixture, samples);
    let alone = parse(&[Unknown]);
    assert!(!alone.is_empty(), "an unknown kind is dropped");
    assert!(alone.iter().all(is_unknown), "an unknown kind became {alone:?}");

    for samples in [[Unknown, Good(1), Good(2)], [Good(1), Unknown, Good(2)], [Good(1), Good(2), Unknown]] {
        let events = parse(&samples);
        assert_eq!(known(&events), known(&parse(&[Good(1), Good(2)])), "beside an unknown kind");
        assert!(events.iter().any(is_unknown), "an unknown kind is dropped among known ones: {events:?}");
    }

    let plain = parse(&[Good(1)]);
    assert_eq!(parse(&[GoodWithAnUnknownField(1)]), plain, "an unknown field changes the event");
    let events = parse(&[Good(2), GoodWithAnUnknownField(1)]);
    assert_eq!(events, parse(&[Good(2), Good(1)]), "an unknown field changes its siblings");
}

pub(super) fn parse_never_panics(fixture: &dyn WebhookFixture) {
    let source = fixture.source();
    let survives = |body: &[u8], what: &str| {
        let parsed = std::panic::catch_unwind(AssertUnwindSafe(|| source.parse(body, received_at())));
        assert!(parsed.is_ok(), "{what}: {}", String::from_utf8_lossy(body).escape_debug());
    };
    let examples = [
        fixture.body(&[Good(1), Good(2), Good(3)]),
        fixture.body(&[Good(1), Bad, GoodWithAnUnknownField(2)]),
        fixture.body(&[Unknown, Good(1)]),
        fixture.body(&[]),
    ];
    for example in &examples {
        for cut in 0..=example.len() {
            survives(example.get(..cut).unwrap_or_default(), "a body that ends early");
        }
    }
    for opening in [b"[".as_slice(), b"{\"a\":", b"[{\"entry\":"] {
        survives(&opening.repeat(DEPTH), "a body that is deeply nested");
    }
    for body in with_odd_values(&examples) {
        survives(&body, "a body with an odd value");
    }
    let noise = Noise::new(SEED, &examples);
    for n in 0..BODIES {
        survives(&noise.body(), &format!("body {n} of seed {SEED:#x}"));
    }
}

pub(super) fn one_bad_event_does_not_hide_its_siblings(fixture: &dyn WebhookFixture) {
    let goods = [Good(1), Good(2), Good(3)];
    let one_by_one: Vec<_> = goods.iter().flat_map(|good| known(&parse(fixture, &[*good]))).collect();
    for (place, event) in one_by_one.iter().enumerate() {
        let again = one_by_one.iter().skip(place + 1).any(|other| other == event);
        assert!(!again, "the fixture makes another event for each number: {event:?}");
    }
    assert!(one_by_one.len() >= goods.len(), "the source knows the good events: {one_by_one:?}");
    assert_eq!(known(&parse(fixture, &goods)), one_by_one, "without a bad event");

    let alone = parse(fixture, &[Bad]);
    assert!(known(&alone).is_empty(), "a bad event became {alone:?}");
    for place in 0..=goods.len() {
        let mut samples = goods.to_vec();
        samples.insert(place, Bad);
        assert_eq!(known(&parse(fixture, &samples)), one_by_one, "with a bad event at place {place}");
    }
    let among_bad_ones = [Bad, Good(1), Bad, Good(2), Bad, Good(3), Bad];
    assert_eq!(known(&parse(fixture, &among_bad_ones)), one_by_one, "with a bad event on every side");
}

fn verify(source: &dyn WebhookSource, headers: &Headers, body: &[u8]) -> Result<(), WebhookRefusal> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    source.verify(&ReceivedWebhook { headers: &headers, body })
}

fn parse(fixture: &dyn WebhookFixture, samples: &[Sample]) -> Vec<InboundEvent> {
    fixture.source().parse(&fixture.body(samples), received_at())
}

fn known(events: &[InboundEvent]) -> Vec<InboundEvent> {
    events.iter().filter(|event| !is_unknown(event)).cloned().collect()
}

const fn is_unknown(event: &InboundEvent) -> bool {
    matches!(event, InboundEvent::Unknown { .. })
}

fn renamed(headers: &Headers, name: fn(&str) -> String) -> Headers {
    headers.iter().map(|(old, value)| (name(old), value.clone())).collect()
}

fn received_at() -> DateTime<Utc> {
    from_micros(1_794_320_000_123_457)
}
