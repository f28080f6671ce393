//! Bad input, each with the message that a user sees.

use std::time::Duration;

use wa_adapters::cloud::{CloudConfig, CloudConfigBuilder, CloudWebhooks};
use wa_core::model::{InboundEvent, from_micros};
use wa_core::port::{ReceivedWebhook, WebhookSource};

use super::support::{APP_SECRET, config, signature};

fn refused(builder: CloudConfigBuilder, expected: &str) {
    let message = builder.build().expect_err("a refusal").to_string();
    println!("config: {message}");
    assert_eq!(message, expected);
}

#[test]
fn a_configuration_that_cannot_work_says_what_to_do() {
    let url = |url: &str| config().graph_url(url);
    refused(
        url("graph.facebook.com"),
        "the Graph API address is not a URL; write it like https://graph.facebook.com",
    );
    refused(
        url("ftp://graph.facebook.com"),
        "the Graph API address starts with ftp://; it must start with https://",
    );
    refused(
        url("http://graph.facebook.com"),
        "plain http to graph.facebook.com would send the access token readable; use https:// (http is for localhost only)",
    );
    refused(
        url("http://localhost.example.org"),
        "plain http to localhost.example.org would send the access token readable; use https:// (http is for localhost only)",
    );
    for (address, part) in [
        ("https://me:pass@graph.facebook.com", "a user name or password"),
        ("https://graph.facebook.com/?access_token=x", "a query"),
        ("https://graph.facebook.com/#v26.0", "a fragment"),
    ] {
        refused(
            url(address),
            &format!(
                "the Graph API address has {part}; give only host and path, such as https://graph.facebook.com"
            ),
        );
    }
    refused(
        CloudConfig::builder(),
        "the access token is empty; create one for a system user in Business Settings",
    );
    refused(
        config().app_secret(" "),
        "the app secret is empty; find it in the app dashboard under Settings, Basic",
    );
    refused(
        config().previous_app_secret(""),
        "the previous app secret is empty; leave it out if there is none",
    );
    refused(
        config().verify_token(""),
        "the verify token is empty; choose any text and enter it in the app dashboard",
    );
    refused(
        config().app_secret("abc\n"),
        "the app secret holds white space at its start or end; copy it again without line breaks or spaces",
    );
    refused(
        config().access_token("EAAG x"),
        "the access token holds a space or a character that is not ASCII; copy it again without line breaks or spaces",
    );
    refused(
        config().access_token("EAAG\nx"),
        "the access token holds a control character; copy it again without line breaks or spaces",
    );
    refused(
        config().connect_timeout(Duration::ZERO),
        "the connect time-out is 0 ms; it must be 1 to 60000 ms",
    );
    refused(
        config().call_timeout(Duration::from_secs(61)),
        "the call time-out is 61000 ms; it must be 1 to 60000 ms",
    );
}

#[test]
fn the_version_is_added_unless_the_address_has_one() {
    for (address, base) in [
        ("https://graph.facebook.com", "https://graph.facebook.com/v26.0"),
        ("https://graph.facebook.com/", "https://graph.facebook.com/v26.0"),
        ("https://graph.facebook.com/v25.0", "https://graph.facebook.com/v25.0"),
        ("https://graph.facebook.com/v25.0//", "https://graph.facebook.com/v25.0"),
        ("https://proxy.example.org/meta", "https://proxy.example.org/meta/v26.0"),
        ("https://proxy.example.org/meta/v9.1/", "https://proxy.example.org/meta/v9.1"),
        ("https://proxy.example.org/v26", "https://proxy.example.org/v26/v26.0"),
        ("https://proxy.example.org/v2x.0", "https://proxy.example.org/v2x.0/v26.0"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/v26.0"),
        ("http://[::1]:9", "http://[::1]:9/v26.0"),
        ("http://localhost:9", "http://localhost:9/v26.0"),
    ] {
        let config = config().graph_url(address).build().expect("a configuration");
        assert_eq!(config.base_url(), base, "{address}");
    }
}

#[test]
fn a_webhook_that_is_refused_says_why() {
    let hooks = CloudWebhooks::new(&config().build().expect("a configuration"));
    let check = |headers: &[(&str, &[u8])], body: &[u8], expected: &str| {
        let message = hooks.verify(&ReceivedWebhook { headers, body }).expect_err("a refusal").to_string();
        println!("signature: {message}");
        assert_eq!(message, expected);
    };
    let no_signature = "the signature header is missing, doubled or malformed";
    let wrong = "the signature does not match the body; check the app secret";
    let name = "X-Hub-Signature-256";
    let right = signature(APP_SECRET, b"{}");
    let upper = right.replace("sha256=", "").to_ascii_uppercase();
    check(&[], b"{}", no_signature);
    check(&[("X-Hub-Signature", right.as_bytes())], b"{}", no_signature);
    check(&[(name, right.as_bytes()), ("x-hub-signature-256", right.as_bytes())], b"{}", no_signature);
    check(&[(name, b"")], b"{}", no_signature);
    check(&[(name, right.replace("sha256", "sha1").as_bytes())], b"{}", no_signature);
    check(&[(name, format!("sha256={upper}").as_bytes())], b"{}", no_signature);
    check(&[(name, right.get(..70).expect("longer").as_bytes())], b"{}", no_signature);
    check(&[(name, format!("{right} ").as_bytes())], b"{}", no_signature);
    check(&[(name, signature("another", b"{}").as_bytes())], b"{}", wrong);
    check(&[(name, right.as_bytes())], b"{ }", wrong);
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    check(&[(name, signature(APP_SECRET, &large).as_bytes())], &large, "the body is larger than 3 MiB");
    let largest = large.get(1..).expect("longer");
    let signed = signature(APP_SECRET, largest);
    let headers: &[(&str, &[u8])] = &[(name, signed.as_bytes())];
    assert_eq!(hooks.verify(&ReceivedWebhook { headers, body: largest }), Ok(()));
}

#[test]
fn a_challenge_that_is_refused_says_why() {
    let hooks = CloudWebhooks::new(&config().build().expect("a configuration"));
    let long = "x".repeat(257);
    for query in [
        "",
        "hub.mode=subscribe&hub.verify_token=verify-me",
        "hub.mode=unsubscribe&hub.verify_token=verify-me&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify-m&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=%3Cscript%3E",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=%4",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.verify_token=verify-me&hub.challenge=1",
        &format!("hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge={long}"),
        &format!("{}hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1", "a=b&".repeat(2_000)),
    ] {
        let message = hooks.challenge(query).expect_err("a refusal").to_string();
        assert_eq!(message, "the challenge is malformed or its verify token is wrong", "{query:.80}");
    }
}

#[test]
fn a_body_that_is_not_metas_gives_no_message_and_no_status() {
    let hooks = CloudWebhooks::new(&config().build().expect("a configuration"));
    let deep = "[".repeat(100_000);
    for body in ["", "{", "not json", "\u{feff}{}", "{\"entry\":", &deep] {
        assert_eq!(hooks.parse(body.as_bytes(), from_micros(0)), [], "{body:.40}");
    }
    for (body, field) in [
        ("{}", ""),
        ("[]", ""),
        ("null", ""),
        (r#"{"object":"page"}"#, "page"),
        (r#"{"object":"page","entry":7}"#, "page"),
        (r#"{"entry":[{}]}"#, "entry"),
        (r#"{"entry":[7]}"#, "entry"),
        (r#"{"entry":[{"changes":[7]}]}"#, ""),
        (r#"{"entry":[{"changes":[{"field":"messages"}]}]}"#, "messages"),
        (r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":{}}}]}]}"#, "messages"),
        (r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[7]}}]}]}"#, "messages.message."),
        (
            r#"{"entry":[{"changes":[{"field":"messages","value":{"statuses":[{"status":"warning"}]}}]}]}"#,
            "messages.status.warning",
        ),
    ] {
        let unknown = InboundEvent::Unknown { field: field.to_owned() };
        assert_eq!(hooks.parse(body.as_bytes(), from_micros(0)), [unknown], "{body}");
    }
}
