//! Connections that break: what was proven, and that at most one request was written.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpListener;
use wa_adapters::cloud::CloudTransport;
use wa_core::model::Content;
use wa_core::port::{SendOutcome, Transport};

use super::support::{
    Behaviour, NUMBER, Server, answer, clock, config, permit_to, phone, plain_permit, transport,
};

const ACCEPTED: &str = r#"{"messages":[{"id":"wamid.A"}]}"#;

fn plain() -> wa_core::port::SendPermit {
    permit_to(phone().into(), Content::text("hi").expect("a text"), 1)
}

fn is_ambiguous(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::Ambiguous { .. })
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let outcome = transport(format!("http://{address}")).send(plain()).await;
    let SendOutcome::NotSent { why } = &outcome else { panic!("{outcome:?}") };
    assert!(why.starts_with("no connection: "), "{why}");
}

#[tokio::test]
async fn a_failed_tls_handshake_is_not_sent() {
    // Answers the handshake with plain HTTP, then not at all.
    for behaviour in [Behaviour::CloseAtOnce, Behaviour::Silent] {
        let server = Server::start(behaviour.clone()).await;
        let outcome = transport(server.url().replace("http://", "https://")).send(plain()).await;
        assert!(matches!(outcome, SendOutcome::NotSent { .. }), "{behaviour:?}: {outcome:?}");
        assert!(server.requests().iter().all(|request| !request.head.contains("post ")), "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_first_byte_is_ambiguous() {
    let whole = answer(200, "", ACCEPTED);
    let half_headers = whole.get(..20).expect("longer").to_vec();
    let half_body = whole.get(..whole.len() - 9).expect("longer").to_vec();
    for (name, behaviour) in [
        ("closed without reading", Behaviour::CloseAtOnce),
        ("closed before an answer", Behaviour::Cut(Vec::new())),
        ("closed after half the headers", Behaviour::Cut(half_headers)),
        ("closed after half the body", Behaviour::Cut(half_body)),
        ("not HTTP", Behaviour::Cut(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())),
    ] {
        let server = Server::start(behaviour).await;
        let outcome = server.transport().send(plain()).await;
        assert!(is_ambiguous(&outcome), "{name}: {outcome:?}");
        assert!(server.requests().len() <= 1, "{name}");
        assert_eq!(server.connections(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_ambiguous() {
    for behaviour in [Behaviour::Silent, Behaviour::Drip] {
        let server = Server::start(behaviour.clone()).await;
        let permit = plain_permit(NUMBER, Duration::from_secs(5), Duration::from_millis(150));
        let outcome = server.transport().send(permit).await;
        assert_eq!(
            outcome,
            SendOutcome::Ambiguous { why: "no answer within 150 ms".to_owned() },
            "{behaviour:?}"
        );
        assert_eq!(server.requests().len(), 1, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(Behaviour::Answer(answer(200, "", ACCEPTED))).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/v26.0/{NUMBER}/messages\r\n", elsewhere.url());
        let server = Server::start(Behaviour::Answer(answer(status, &location, ""))).await;
        let outcome = server.transport().send(plain()).await;
        assert!(is_ambiguous(&outcome), "HTTP {status}: {outcome:?}");
        assert_eq!(server.requests().len(), 1, "HTTP {status}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_permit_past_its_start_leaves_nothing() {
    let server = Server::start(Behaviour::Answer(answer(200, "", ACCEPTED))).await;
    let clock = clock();
    let config = config().graph_url(server.url()).build().expect("a configuration");
    let transport = CloudTransport::with_clock(&config, clock.clone()).expect("a transport");
    clock.advance(Duration::from_secs(5));
    for late in [Duration::ZERO, Duration::from_millis(4_999), Duration::from_secs(5)] {
        let outcome = transport.send(plain_permit(NUMBER, late, Duration::from_secs(10))).await;
        assert!(matches!(outcome, SendOutcome::NotSent { .. }), "{outcome:?}");
    }
    assert_eq!(server.connections(), 0);
    let in_time = Duration::from_micros(5_000_001);
    let outcome = transport.send(plain_permit(NUMBER, in_time, Duration::from_secs(10))).await;
    assert!(matches!(outcome, SendOutcome::Accepted { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_number_that_would_change_the_path_leaves_nothing() {
    let server = Server::start(Behaviour::Answer(answer(200, "", ACCEPTED))).await;
    for number in ["..", "1/../2", "1?x=", "1#", "%2e%2e", "1\\2"] {
        let permit = plain_permit(number, Duration::from_secs(5), Duration::from_secs(10));
        let outcome = server.transport().send(permit).await;
        assert!(matches!(outcome, SendOutcome::Rejected { .. }), "{number}: {outcome:?}");
    }
    assert_eq!(server.connections(), 0);
}

/// A pooled connection that the server closes is the one place where an HTTP client may repeat a
/// request by itself. Each tag may stand in the server's log once, whatever was closed when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_pooled_connection_never_repeats_a_request() {
    let reply = answer(200, "", ACCEPTED);
    for (name, behaviour) in [
        ("closes as it answers", Behaviour::AnswerAndClose(reply.clone())),
        ("closes on the second request", Behaviour::AnswerOnce(reply)),
    ] {
        let server = Server::start(behaviour).await;
        let transport = server.transport();
        let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
        for message in 0..400 {
            let permit = permit_to(phone().into(), Content::text("hi").expect("a text"), message);
            let outcome = match transport.send(permit).await {
                SendOutcome::Accepted { .. } => "accepted",
                SendOutcome::Ambiguous { .. } => "ambiguous",
                SendOutcome::NotSent { .. } | SendOutcome::Rejected { .. } => "impossible",
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
        let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for request in server.requests() {
            *seen.entry(request.body).or_default() += 1;
        }
        let repeated = seen.values().filter(|count| **count > 1).count();
        println!("{name}: 400 sends, {outcomes:?}, {} requests, {repeated} repeated", seen.len());
        assert_eq!(repeated, 0, "{name}");
        assert!(!outcomes.contains_key("impossible"), "{name}: {outcomes:?}");
        assert!(outcomes.get("accepted").is_some_and(|count| *count >= 200), "{name}: {outcomes:?}");
    }
}
