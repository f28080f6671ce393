//! Number look-ups and read receipts.

use serde_json::json;
use wa_core::model::{Phone, Quality, SessionReport, SessionState, Throughput, Tier};
use wa_core::port::{Acknowledge, Transport, TransportErrorKind, Typing};

use super::support::{Behaviour, NUMBER, Server, TOKEN, answer, config, graph_error, session, transport};
use wa_adapters::cloud::CloudTransport;

async fn report(body: &serde_json::Value) -> SessionReport {
    let server = Server::start(Behaviour::Answer(answer(200, "", &body.to_string()))).await;
    server.transport().session(&session(NUMBER)).await.expect("a report")
}

#[tokio::test]
async fn a_number_is_reported_as_meta_describes_it() {
    let full = json!({
        "id": NUMBER, "quality_rating": "YELLOW", "status": "CONNECTED", "throughput": {"level": "HIGH"},
        "whatsapp_business_manager_messaging_limit": "TIER_100K", "display_phone_number": "+1 631-555-5555",
    });
    let expected = SessionReport {
        state: Some(SessionState::Connected),
        throughput: Throughput::try_from(1_000).ok(),
        tier: Some(Tier::Limited(100_000)),
        quality: Some(Quality::Yellow),
        phone: Phone::from_digits("16315555555").ok(),
    };
    assert_eq!(report(&full).await, expected);
}

#[tokio::test]
async fn every_level_and_limit_of_meta_is_known() {
    for (level, per_second) in [("STANDARD", Some(80)), ("HIGH", Some(1_000)), ("NOT_APPLICABLE", None)] {
        let got = report(&json!({"throughput": {"level": level}})).await.throughput;
        assert_eq!(got.map(Throughput::per_second), per_second, "{level}");
    }
    for (limit, tier) in [
        (json!("TIER_50"), Some(Tier::Limited(50))),
        (json!("TIER_250"), Some(Tier::Limited(250))),
        (json!("TIER_1K"), Some(Tier::Limited(1_000))),
        (json!("TIER_2K"), Some(Tier::Limited(2_000))),
        (json!("TIER_10K"), Some(Tier::Limited(10_000))),
        (json!("TIER_100K"), Some(Tier::Limited(100_000))),
        (json!("TIER_30"), Some(Tier::Limited(30))),
        (json!("TIER_5K"), Some(Tier::Limited(5_000))),
        (json!("TIER_0"), None),
        (json!("TIER_5000000K"), None),
        (json!("TIER_UNLIMITED"), Some(Tier::Unlimited)),
        (json!(2_000), Some(Tier::Limited(2_000))),
        (json!(-1), Some(Tier::Unlimited)),
        (json!(0), None),
        (json!("TIER_NOT_SET"), None),
        (json!({"a": 1}), None),
    ] {
        for field in ["whatsapp_business_manager_messaging_limit", "messaging_limit_tier"] {
            assert_eq!(report(&json!({field: limit})).await.tier, tier, "{field} {limit}");
        }
    }
    for (status, state) in [
        ("CONNECTED", Some(SessionState::Connected)),
        ("DISCONNECTED", Some(SessionState::Disconnected)),
        ("BANNED", Some(SessionState::Banned)),
        ("SOMETHING_NEW", None),
    ] {
        assert_eq!(report(&json!({"status": status})).await.state, state, "{status}");
    }
}

#[tokio::test]
async fn what_is_missing_or_unknown_is_none() {
    for body in [json!({}), json!({"status": 7, "throughput": "HIGH", "quality_rating": null})] {
        assert_eq!(report(&body).await, SessionReport::default(), "{body}");
    }
}

#[tokio::test]
async fn a_field_is_only_asked_for_where_the_version_has_it() {
    for (version, field) in [
        ("v23.0", "messaging_limit_tier"),
        ("v24.0", "whatsapp_business_manager_messaging_limit"),
        ("v100.0", "whatsapp_business_manager_messaging_limit"),
    ] {
        let server = Server::start(Behaviour::Answer(answer(200, "", "{}"))).await;
        transport(format!("{}/{version}", server.url())).session(&session(NUMBER)).await.expect("a report");
        let line = server.requests()[0].head.lines().next().expect("a line").to_owned();
        let fields = format!("quality_rating,status,throughput,display_phone_number,{field}");
        assert_eq!(line, format!("get /{version}/{NUMBER}?fields={fields} http/1.1"));
    }
}

#[tokio::test]
async fn a_failed_call_says_what_the_caller_can_do() {
    for (status, body, kind, message) in [
        (401, graph_error(190), TransportErrorKind::Credential, "HTTP 401, error 190 (access token expired)"),
        (
            400,
            graph_error(33),
            TransportErrorKind::Refused,
            "HTTP 400, error 33 (phone number id is wrong or deleted)",
        ),
        (
            400,
            graph_error(80_008),
            TransportErrorKind::Unavailable,
            "HTTP 400, error 80008 (too many management calls)",
        ),
        (
            500,
            graph_error(131_000),
            TransportErrorKind::Unavailable,
            "HTTP 500, error 131000 (something went wrong at Meta)",
        ),
        (400, graph_error(77), TransportErrorKind::Refused, "HTTP 400, error 77 (not known to this version)"),
        (502, "<html>".to_owned(), TransportErrorKind::Unavailable, "HTTP 502"),
        (404, "<html>".to_owned(), TransportErrorKind::Refused, "HTTP 404"),
        (
            200,
            "<html>".to_owned(),
            TransportErrorKind::Unavailable,
            "the answer is not what the Cloud API sends; check the address",
        ),
    ] {
        let server = Server::start(Behaviour::Answer(answer(status, "", &body))).await;
        let error = server.transport().session(&session(NUMBER)).await.expect_err("a failure");
        assert_eq!(error.kind(), kind, "HTTP {status} {body}");
        assert_eq!(error.to_string(), format!("the number cannot be looked up: {message}"));
        assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
    }
}

#[tokio::test]
async fn a_receipt_for_an_unknown_message_is_refused() {
    let read = Acknowledge { provider_id: "wamid.old".to_owned(), typing: Typing::Hidden };
    let server = Server::start(Behaviour::Answer(answer(200, "", r#"{"success":false}"#))).await;
    let error = server.transport().acknowledge(&session(NUMBER), &read).await.expect_err("a failure");
    assert_eq!(error.kind(), TransportErrorKind::Refused);
}

#[tokio::test]
async fn a_call_without_answer_can_be_repeated() {
    let server = Server::start(Behaviour::Silent).await;
    let config = config().graph_url(server.url()).call_timeout(std::time::Duration::from_millis(100)).build();
    let transport = CloudTransport::new(&config.expect("a configuration")).expect("a transport");
    let error = transport.session(&session(NUMBER)).await.expect_err("a failure");
    assert_eq!(error.kind(), TransportErrorKind::Unavailable);
    assert_eq!(error.to_string(), "the number cannot be looked up: no answer within 100 ms");
    assert_eq!(server.requests().len(), 1);
}
