//! Challenges and signatures: what is right passes, and nothing else does.

use proptest::prelude::*;
use wa_adapters::cloud::CloudWebhooks;
use wa_core::model::from_micros;
use wa_core::port::{Challenge, ReceivedWebhook, WebhookRefusal, WebhookSource};

use super::support::{APP_SECRET, config, signature};

const HEADER: &str = "X-Hub-Signature-256";

fn webhooks() -> CloudWebhooks {
    CloudWebhooks::new(&config().previous_app_secret("the-secret-before").build().expect("a configuration"))
}

fn verify(headers: &[(&str, &[u8])], body: &[u8]) -> Result<(), WebhookRefusal> {
    webhooks().verify(&ReceivedWebhook { headers, body })
}

/// What a browser would send, written here and not by the adapter.
fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #[test]
    fn a_body_signed_with_either_secret_passes(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for secret in [APP_SECRET, "the-secret-before"] {
            let right = signature(secret, &body);
            for name in [HEADER, "x-hub-signature-256", "X-HUB-SIGNATURE-256"] {
                prop_assert_eq!(verify(&[("host", b"x"), (name, right.as_bytes())], &body), Ok(()));
            }
        }
    }

    #[test]
    fn a_signature_fits_no_other_body_or_secret(
        body in prop::collection::vec(any::<u8>(), 1..500),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        secret in "[ -~]{1,40}",
    ) {
        let right = signature(APP_SECRET, &body);
        let mut other = body.clone();
        *place.get_mut(&mut other) ^= 1 << bit;
        prop_assert_eq!(verify(&[(HEADER, right.as_bytes())], &other), Err(WebhookRefusal::WrongSignature));
        other.truncate(place.index(body.len()));
        prop_assert_eq!(verify(&[(HEADER, right.as_bytes())], &other), Err(WebhookRefusal::WrongSignature));
        prop_assume!(secret != APP_SECRET && secret != "the-secret-before");
        let foreign = signature(&secret, &body);
        prop_assert_eq!(verify(&[(HEADER, foreign.as_bytes())], &body), Err(WebhookRefusal::WrongSignature));
    }

    #[test]
    fn a_changed_header_never_passes(place in 0_usize..71, byte in any::<u8>()) {
        let body = b"{}";
        let mut header = signature(APP_SECRET, body).into_bytes();
        prop_assume!(header[place] != byte);
        header[place] = byte;
        prop_assert!(verify(&[(HEADER, &header)], body).is_err());
    }

    #[test]
    fn whatever_the_header_is_nothing_panics(header in prop::collection::vec(any::<u8>(), 0..200)) {
        let refused = verify(&[(HEADER, &header)], b"{}").is_err();
        prop_assert!(refused);
    }

    #[test]
    fn a_right_challenge_is_echoed(challenge in "[A-Za-z0-9_-]{1,256}", token in "[ -~äö日]{0,20}[a-z]", first in 0_usize..3) {
        let hooks = CloudWebhooks::new(&config().verify_token(format!("t{token}")).build().expect("a configuration"));
        let mut parts = [
            "hub.mode=subscribe".to_owned(),
            format!("hub.verify_token={}", encode(&format!("t{token}"))),
            format!("hub.challenge={challenge}"),
        ];
        parts.rotate_left(first);
        prop_assert_eq!(hooks.challenge(&parts.join("&")), Ok(Challenge(challenge)));
    }

    #[test]
    fn a_wrong_token_echoes_nothing(token in ".{0,40}", challenge in "[a-z0-9]{1,20}") {
        prop_assume!(token != "verify-me");
        let query = format!("hub.mode=subscribe&hub.verify_token={}&hub.challenge={challenge}", encode(&token));
        prop_assert_eq!(webhooks().challenge(&query), Err(WebhookRefusal::WrongChallenge));
    }

    #[test]
    fn what_is_echoed_is_plain(challenge in ".{0,300}") {
        let query = format!("hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge={}", encode(&challenge));
        match webhooks().challenge(&query) {
            Ok(Challenge(echoed)) => {
                prop_assert_eq!(&echoed, &challenge);
                prop_assert!((1..=256).contains(&echoed.len()));
                prop_assert!(echoed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
            }
            Err(refusal) => prop_assert_eq!(refusal, WebhookRefusal::WrongChallenge),
        }
    }

    #[test]
    fn whatever_the_query_is_nothing_panics(query in ".{0,400}", bytes in "[%&=+.a-f0-9hubmode_]{0,200}") {
        prop_assert!(webhooks().challenge(&query).is_err());
        prop_assert!(webhooks().challenge(&bytes).is_err());
    }

    #[test]
    fn whatever_the_body_is_nothing_panics(body in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let _ = webhooks().parse(&body, from_micros(0));
    }
}

#[test]
fn a_plus_in_a_query_is_a_space() {
    let hooks = CloudWebhooks::new(&config().verify_token("a b+c").build().expect("a configuration"));
    let query = |token: &str| format!("?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1");
    assert_eq!(hooks.challenge(&query("a+b%2Bc")), Ok(Challenge("1".to_owned())));
    assert_eq!(hooks.challenge(&query("a+b+c")), Err(WebhookRefusal::WrongChallenge));
}

#[test]
fn debug_shows_no_secret() {
    let config = config().previous_app_secret("the-secret-before").build().expect("a configuration");
    let shown = format!("{config:?} {:?} {:?}", webhooks(), wa_adapters::cloud::CloudTransport::new(&config));
    for secret in [APP_SECRET, super::support::TOKEN, "the-secret-before", "verify-me"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
