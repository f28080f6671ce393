//! Source of the claims: the design's list of what is definite. Everything else is ambiguous.

use wa_core::model::{Outcome, RejectClass};
use wa_core::rules::classify::{Answer, Exchange, classify};

use super::failure;

fn answers() -> Vec<(&'static str, Answer)> {
    let known = |may_strike_late| Answer::KnownError {
        failure: failure(131_026, RejectClass::Recipient),
        may_strike_late,
    };
    vec![
        ("taken", Answer::Taken { provider_id: "wamid.1".to_owned() }),
        ("known", known(false)),
        ("late", known(true)),
        ("unknown", Answer::UnknownError { code: 999_999 }),
        ("unreadable", Answer::Unreadable),
    ]
}

#[test]
fn only_what_is_documented_as_definite_is_definite() {
    let mut definite = 0;
    for status in 100..=599_u16 {
        for (name, body) in answers() {
            let got = classify(Exchange::Answer { status, body });
            let success = (200..300).contains(&status);
            let refusal = (400..500).contains(&status) && status != 408;
            let expected = match name {
                "taken" if success => Outcome::Accepted { provider_id: "wamid.1".to_owned() },
                "known" if refusal => Outcome::Rejected(failure(131_026, RejectClass::Recipient)),
                _ => Outcome::Ambiguous,
            };
            definite += usize::from(expected != Outcome::Ambiguous);
            assert_eq!(got, expected, "{status} {name}");
        }
    }
    assert_eq!(definite, 100 + 99);
}

#[test]
fn statuses_out_of_every_range_prove_nothing() {
    for status in [0, 99, 600, 999, u16::MAX] {
        for (name, body) in answers() {
            assert_eq!(classify(Exchange::Answer { status, body }), Outcome::Ambiguous, "{status} {name}");
        }
    }
}

#[test]
fn a_server_error_or_a_timeout_in_the_answer_proves_nothing_whatever_the_body() {
    for status in (500..=599).chain([408]) {
        for (name, body) in answers() {
            assert_eq!(classify(Exchange::Answer { status, body }), Outcome::Ambiguous, "{status} {name}");
        }
    }
}

#[test]
fn without_an_answer_only_a_request_that_never_left_is_definite() {
    assert_eq!(classify(Exchange::NeverLeft), Outcome::NotSent);
    assert_eq!(classify(Exchange::NoAnswer), Outcome::Ambiguous);
}
