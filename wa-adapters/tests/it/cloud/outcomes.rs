//! What each answer of a server proves about a send.

use wa_core::model::RejectClass;
use wa_core::port::{SendOutcome, Transport};

use super::support::{Behaviour, Server, TOKEN, answer, graph_error, permit_to, phone};
use wa_core::model::Content;

/// What is expected, without its wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Accepted,
    Rejected(RejectClass, Option<u64>),
    Ambiguous,
}

async fn check(status: u16, headers: &str, body: &str, expected: Proof) {
    let server = Server::start(Behaviour::Answer(answer(status, headers, body))).await;
    let permit = permit_to(phone().into(), Content::text("hi").expect("a text"), 1);
    let outcome = server.transport().send(permit).await;
    let proof = match &outcome {
        SendOutcome::Accepted { provider_id } => {
            assert_eq!(provider_id, "wamid.A");
            Some(Proof::Accepted)
        }
        SendOutcome::Rejected { failure, retry_after } => {
            Some(Proof::Rejected(failure.class, retry_after.map(|wait| wait.as_secs())))
        }
        SendOutcome::Ambiguous { .. } => Some(Proof::Ambiguous),
        SendOutcome::NotSent { .. } => None,
    };
    let shown: String = body.chars().take(80).collect();
    assert_eq!(proof, Some(expected), "HTTP {status} {shown}: {outcome:?}");
    assert_eq!(server.requests().len(), 1, "HTTP {status} {shown}");
    assert!(!format!("{outcome:?}").contains(TOKEN), "the token that Meta echoed is passed on: {outcome:?}");
}

#[tokio::test]
async fn only_an_id_in_a_2xx_is_an_acceptance() {
    let taken = r#"{"messaging_product":"whatsapp","contacts":[{"input":"1","wa_id":""}],"messages":[{"id":"wamid.A","message_status":"held_for_quality_assessment"}]}"#;
    check(200, "", taken, Proof::Accepted).await;
    check(202, "", taken, Proof::Accepted).await;
    check(400, "", taken, Proof::Ambiguous).await;
    check(500, "", taken, Proof::Ambiguous).await;
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"messages":[]}"#,
        r#"{"messages":[{"id":""}]}"#,
        r#"{"messages":[{"id":7}]}"#,
    ] {
        check(200, "", body, Proof::Ambiguous).await;
    }
    check(200, "", r#"{"messages":[{"id":"wam"#, Proof::Ambiguous).await;
    check(200, "", &format!("{}{taken}", " ".repeat(300 * 1024)), Proof::Ambiguous).await;
    check(200, "", &graph_error(131_047), Proof::Ambiguous).await;
}

#[tokio::test]
async fn only_a_known_definite_code_in_a_4xx_is_a_refusal() {
    for (status, code, class) in [
        (400, 131_047, RejectClass::WindowClosed),
        (401, 190, RejectClass::Credential),
        (403, 230, RejectClass::Credential),
        (400, 131_056, RejectClass::PairThrottled),
        (429, 130_429, RejectClass::Throttled),
        (400, 80_007, RejectClass::Throttled),
        (400, 131_026, RejectClass::Recipient),
        (400, 131_050, RejectClass::OptedOut),
        (404, 132_001, RejectClass::Template),
        (400, 132_015, RejectClass::TemplatePaused),
        (400, 131_048, RejectClass::Spam),
        (400, 131_042, RejectClass::Billing),
        (403, 368, RejectClass::Account),
        (400, 100, RejectClass::Request),
    ] {
        check(status, "", &graph_error(code), Proof::Rejected(class, None)).await;
        // The same code proves nothing when the server says that it failed itself, or timed out.
        for status in [200, 307, 408, 500, 503] {
            check(status, "", &graph_error(code), Proof::Ambiguous).await;
        }
    }
    for code in [1, 2, 131_000, 131_016, 131_057, 134_101, 999_999, -1, i64::MAX] {
        check(400, "", &graph_error(code), Proof::Ambiguous).await;
    }
    for status in [400, 401, 403, 404, 429] {
        check(status, "", "<html>no</html>", Proof::Ambiguous).await;
        check(status, "", r#"{"error":"no"}"#, Proof::Ambiguous).await;
        check(status, "", r#"{"error":{"message":"no code"}}"#, Proof::Ambiguous).await;
    }
}

#[tokio::test]
async fn what_meta_says_beside_a_code_is_passed_on() {
    for (error_data, expected) in [
        (
            r#"{"messaging_product":"whatsapp","details":"body: number of params (1) is wrong"}"#,
            Some("body: number of params (1) is wrong"),
        ),
        (r#""in one text""#, Some("in one text")),
        ("null", None),
        ("[7]", None),
    ] {
        let body = format!(r#"{{"error":{{"code":132000,"message":"m","error_data":{error_data}}}}}"#);
        let server = Server::start(Behaviour::Answer(answer(400, "", &body))).await;
        let permit = permit_to(phone().into(), Content::text("hi").expect("a text"), 1);
        let SendOutcome::Rejected { failure, .. } = server.transport().send(permit).await else {
            panic!("a refusal: {body}")
        };
        assert_eq!((failure.code, failure.details.as_ref().map(|it| it.as_str())), (132_000, expected));
    }
}

#[tokio::test]
async fn the_wait_that_meta_asks_for_is_passed_on() {
    let slow = graph_error(130_429);
    let throttled = |wait| Proof::Rejected(RejectClass::Throttled, wait);
    check(429, "retry-after: 7\r\n", &slow, throttled(Some(7))).await;
    check(429, "retry-after: 99999999\r\n", &slow, throttled(Some(86_400))).await;
    for unreadable in
        ["", "retry-after: soon\r\n", "retry-after: -1\r\n", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n"]
    {
        check(429, unreadable, &slow, throttled(None)).await;
    }
}
