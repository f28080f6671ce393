//! A transport of one's own, proved with the exported suite.
//!
//! The provider here is an imaginary gateway: `POST /numbers/{number}/texts` with a JSON body, answered
//! with `{"id": …}` or `{"error": …}`. What matters is what each answer *proves*: only a refusal that
//! the gateway is known to make before it does anything is `Rejected`; everything else that is not a
//! clear yes is `Ambiguous`, and then nothing is ever sent twice because of it.
//!
//! `cargo run --example custom_transport`

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use wa_kit::model::{
    Content, ContentKind, ContentKinds, FailureCode, RejectClass, SessionId, SessionReport, TenantId,
};
use wa_kit::port::{
    Acknowledge, Capabilities, Clock, SendOutcome, SendPermit, SessionRef, Transport, TransportError,
    TransportErrorKind,
};
use wa_kit::testing::transport_suite::{self, ProviderAnswer, Refusal, TransportFixture};

#[derive(Debug)]
struct Gateway {
    origin: String,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

#[derive(Default, Deserialize)]
struct Answer {
    id: Option<String>,
    error: Option<String>,
}

impl Gateway {
    fn new(origin: &str, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        // One permit is one request: no redirects, and no second try of the client's own.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.retry(reqwest::retry::never()).no_proxy().build()?;
        Ok(Self { origin: origin.to_owned(), http, clock })
    }
}

#[async_trait]
impl Transport for Gateway {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            content: ContentKinds::of(&[ContentKind::Text]),
            quotes: false,
            codes_to_user_ids: false,
            windows: false,
            echo: true,
            read_receipts: false,
            gap: None,
        }
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        let (Content::Text(text), Some(phone)) = (permit.content(), permit.recipient().phone()) else {
            return SendOutcome::NotSent { why: "the gateway sends texts to phones only".to_owned() };
        };
        let url = format!("{}/numbers/{}/texts", self.origin, permit.session().number.as_str());
        let body = json!({ "to": phone.e164(), "text": text.body(), "reference": permit.tag().as_str() });
        let request = self.http.post(url).json(&body).timeout(permit.timeout());
        if self.clock.monotonic() >= permit.start_by() {
            return SendOutcome::NotSent { why: "its time has passed".to_owned() };
        }
        let (status, answer) = match request.send().await {
            Ok(response) => (response.status(), response.json::<Answer>().await.unwrap_or_default()),
            Err(error) if error.is_connect() => {
                return SendOutcome::NotSent { why: "no connection".to_owned() };
            }
            Err(_) => return SendOutcome::Ambiguous { why: "no answer".to_owned() },
        };
        let refused = |class, title: &str| SendOutcome::Rejected {
            failure: FailureCode {
                code: i64::from(status.as_u16()),
                class,
                title: title.to_owned(),
                details: None,
            },
            retry_after: None,
        };
        match (status.as_u16(), answer.id, answer.error.as_deref()) {
            (200..=299, Some(provider_id), None) if !provider_id.is_empty() => {
                SendOutcome::Accepted { provider_id }
            }
            (404, None, Some("no such user")) => refused(RejectClass::Recipient, "no such user"),
            (429, None, Some("too fast")) => refused(RejectClass::Throttled, "too fast"),
            _ => SendOutcome::Ambiguous { why: format!("the answer {status} proves nothing") },
        }
    }

    fn advice(&self, code: i64) -> Option<&'static str> {
        (code == 404).then_some("The gateway does not know this person. Check the number.")
    }

    async fn session(&self, _: &SessionRef) -> Result<SessionReport, TransportError> {
        Ok(SessionReport::default()) // the gateway says nothing about its numbers
    }

    async fn acknowledge(&self, _: &SessionRef, _: &Acknowledge) -> Result<(), TransportError> {
        Err(TransportError::new(TransportErrorKind::Refused, "the gateway knows no read receipts", None))
    }
}

/// How the suite points the transport at a provider of its own, and how that provider talks.
struct Proof;

impl TransportFixture for Proof {
    fn transport(&self, origin: &str, clock: Arc<dyn Clock>) -> Arc<dyn Transport> {
        Arc::new(Gateway::new(origin, clock).expect("an HTTP client"))
    }

    fn session(&self) -> SessionRef {
        SessionRef {
            tenant: TenantId::from_uuid(uuid::Uuid::from_u128(1)),
            id: SessionId::from_uuid(uuid::Uuid::from_u128(2)),
            transport: "gateway".parse().expect("a name"),
            number: "4915112345678".parse().expect("a number"),
        }
    }

    fn content(&self) -> Content {
        Content::text("hello").expect("a text")
    }

    fn accepted(&self, n: u32) -> (ProviderAnswer, String) {
        let id = format!("message-{n}");
        (answer(201, &json!({ "id": id })), id)
    }

    fn refusals(&self) -> Vec<Refusal> {
        let unknown = answer(404, &json!({ "error": "no such user" }));
        let throttled = answer(429, &json!({ "error": "too fast" }));
        vec![
            Refusal { answer: unknown, class: RejectClass::Recipient },
            Refusal { answer: throttled, class: RejectClass::Throttled },
        ]
    }

    fn unproven(&self) -> Vec<ProviderAnswer> {
        vec![answer(503, &json!({ "error": "overloaded" })), answer(400, &json!({ "error": "who knows" }))]
    }
}

fn answer(status: u16, body: &serde_json::Value) -> ProviderAnswer {
    ProviderAnswer { status, body: body.to_string() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for case in transport_suite::cases() {
        transport_suite::check(&Proof, case.clause).await;
        writeln(case.clause)?;
    }
    Ok(())
}

fn writeln(clause: &str) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "kept: {clause}")
}
