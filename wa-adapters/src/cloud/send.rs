//! The transport: one permit, at most one request.
//!
//! Invariant: whatever the server does, `send` writes one request or none. Redirects and reqwest's
//! retries are off. Beneath them hyper gives a request a second connection only while not one byte
//! of it was written to the first (an idle connection that turned out to be closed), which is still
//! one request; the connection tests hold it to that.
//!
//! `start_by` is checked as the last thing before the request is handed to the client. Making a
//! connection may then take up to the connect time-out, so the first byte can follow a little later;
//! the permit's time-out runs from the check, so the request is over by the attempt's `end_by`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, redirect, retry};
use serde::Serialize;
use wa_core::model::{Category, FailureCode, NumberId, Outcome, RejectClass, SessionReport};
use wa_core::port::{
    Acknowledge, Capabilities, Clock, SendOutcome, SendPermit, SessionRef, SystemClock, Transport,
    TransportError,
};
use wa_core::rules::classify::{Answer, Exchange, classify};

use super::config::{ApiVersion, CloudConfig, CloudConfigError};
use super::error::{lookup, reported};
use super::wire::{AnswerBody, ReadBody, SendBody, Unsendable};

/// Sends through the Cloud API, for every number that the access token may use.
pub struct CloudTransport {
    http: Client,
    config: CloudConfig,
    clock: Arc<dyn Clock>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// Empty when it was longer than any answer of Meta's.
    pub(super) body: Vec<u8>,
}

/// Answers of Meta's have a few hundred bytes; more is not read.
const LONGEST_ANSWER: usize = 256 * 1024;
/// Below the idle time-outs of usual servers, so that a closing connection is rarely picked.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);
/// Meta, error 131062: a user id is not enough for this message.
const CODE_TO_USER_ID: i64 = 131_062;
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl CloudTransport {
    /// Makes a transport that goes by the machine's clock.
    ///
    /// # Errors
    /// [`CloudConfigError::Client`] when the HTTP client cannot start.
    pub fn new(config: &CloudConfig) -> Result<Self, CloudConfigError> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// Makes a transport that goes by this clock; it must be the one that permits are made by.
    ///
    /// # Errors
    /// [`CloudConfigError::Client`] when the HTTP client cannot start.
    pub fn with_clock(config: &CloudConfig, clock: Arc<dyn Clock>) -> Result<Self, CloudConfigError> {
        let http = Client::builder()
            .user_agent(concat!("wa-kit/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .https_only(config.base_url().starts_with("https://"))
            .connect_timeout(config.connect_timeout())
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(|error| CloudConfigError::Client(error.into()))?;
        Ok(Self { http, config: config.clone(), clock })
    }

    pub(super) const fn version(&self) -> ApiVersion {
        self.config.version()
    }

    pub(super) const fn call_timeout(&self) -> Duration {
        self.config.call_timeout()
    }

    /// The address of something of a number; `None` when the id would change the path.
    pub(super) fn address(&self, number: &NumberId, rest: &str) -> Option<String> {
        let number = number.as_str();
        let is_plain =
            number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        is_plain.then(|| format!("{}/{number}{rest}", self.config.base_url()))
    }

    /// Makes one request and reads its answer.
    pub(super) async fn exchange(
        &self,
        method: Method,
        address: &str,
        body: Option<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self
            .http
            .request(method, address)
            .header(AUTHORIZATION, self.config.authorization().clone())
            .timeout(timeout);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, retry_after, body })
    }
}

#[async_trait]
impl Transport for CloudTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { codes_to_user_ids: false, ..Capabilities::ALL }
    }

    fn advice(&self, code: i64) -> Option<&'static str> {
        lookup(code).map(|entry| entry.advice)
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        let marketing = self.config.marketing_messages().filter(|marketing| marketing.takes(&permit));
        let path = if marketing.is_some() { "/marketing_messages" } else { "/messages" };
        let Some(address) = self.address(&permit.session().number, path) else {
            return refused_here("the number id is not one of the Cloud API; copy it from WhatsApp Manager");
        };
        if sends_a_code_to_a_user_id(&permit) {
            return refused_as(CODE_TO_USER_ID);
        }
        let body = match SendBody::of(&permit, marketing) {
            Ok(body) => body,
            Err(Unsendable(what)) => {
                return refused_here(&format!("{what} cannot be sent through the Cloud API by this version"));
            }
        };
        let Some(body) = json(&body) else {
            return refused_here("the message cannot be written as JSON");
        };
        if self.clock.monotonic() >= permit.start_by() {
            return SendOutcome::NotSent { why: "its time to start was over".to_owned() };
        }
        let result = self.exchange(Method::POST, &address, Some(body), permit.timeout()).await;
        let outcome = outcome(result, permit.timeout());
        tracing::debug!(
            tenant = %permit.attempt().tenant,
            message = %permit.attempt().message,
            n = permit.attempt().n,
            outcome = name(&outcome),
            "sent to the cloud api"
        );
        outcome
    }

    async fn session(&self, session: &SessionRef) -> Result<SessionReport, TransportError> {
        self.look_up(&session.number).await
    }

    async fn acknowledge(&self, session: &SessionRef, read: &Acknowledge) -> Result<(), TransportError> {
        self.mark_read(&session.number, json(&ReadBody::of(read))).await
    }
}

impl fmt::Debug for CloudTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudTransport").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What an exchange says, translated for the rule that decides what it proves.
fn outcome(result: Result<Reply, reqwest::Error>, timeout: Duration) -> SendOutcome {
    let (exchange, why, retry_after) = match result {
        Ok(reply) => {
            let retry_after = reply.retry_after;
            let (exchange, why) = answered(reply);
            (exchange, why, retry_after)
        }
        Err(error) => {
            let (exchange, why) = failed(&error, timeout);
            (exchange, why, None)
        }
    };
    match classify(exchange) {
        Outcome::NotSent => SendOutcome::NotSent { why },
        Outcome::Rejected(failure) => SendOutcome::Rejected { failure, retry_after },
        Outcome::Accepted { provider_id } => SendOutcome::Accepted { provider_id },
        Outcome::Ambiguous => SendOutcome::Ambiguous { why },
    }
}

fn answered(reply: Reply) -> (Exchange, String) {
    let Reply { status, retry_after: _, body } = reply;
    let (body, why) = match serde_json::from_slice::<AnswerBody>(&body) {
        Ok(answer) => match (answer.error_code(), answer.error_details(), answer.into_message_id()) {
            (Some(code), details, _) => match lookup(code) {
                Some(entry) => (
                    Answer::KnownError {
                        failure: FailureCode { details, ..entry.failure(code) },
                        may_strike_late: entry.strikes_late,
                    },
                    format!("HTTP {status} with error {code} ({})", entry.title),
                ),
                None => (
                    Answer::UnknownError { code },
                    format!("HTTP {status} with error {code}, which this version does not know"),
                ),
            },
            (None, _, Some(provider_id)) => {
                (Answer::Taken { provider_id }, format!("HTTP {status} with a message id"))
            }
            (None, _, None) => (Answer::Unreadable, format!("HTTP {status} without a message id")),
        },
        Err(_) => (Answer::Unreadable, format!("HTTP {status} with an unreadable body")),
    };
    (Exchange::Answer { status, body }, why)
}

/// Only a request that cannot be built, or whose connection was never made, provably never left.
fn failed(error: &reqwest::Error, timeout: Duration) -> (Exchange, String) {
    if error.is_builder() || error.is_connect() {
        (Exchange::NeverLeft, format!("no connection: {}", root_cause(error)))
    } else {
        (Exchange::NoAnswer, no_answer(error, timeout))
    }
}

/// Why no complete answer came back.
pub(super) fn no_answer(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_connect() {
        format!("no connection: {}", root_cause(error))
    } else if error.is_timeout() {
        format!("no answer within {} ms", timeout.as_millis())
    } else {
        "the connection broke before the answer was complete".to_owned()
    }
}

/// What the system or TLS said: about hosts and certificates, never about headers or bodies.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(200).collect()
}

/// A one-time code to who has no phone number: Meta would refuse it, so no request is made.
///
/// The rules leave such a message out before it begins; this holds for permits that they did not see.
fn sends_a_code_to_a_user_id(permit: &SendPermit) -> bool {
    let is_code = permit.content().category() == Category::Authentication;
    is_code && permit.recipient().phone().is_none()
}

/// The refusal that Meta would answer with.
fn refused_as(code: i64) -> SendOutcome {
    SendOutcome::Rejected { failure: reported(Some(code)), retry_after: None }
}

fn refused_here(title: &str) -> SendOutcome {
    let failure =
        FailureCode { code: 0, class: RejectClass::Request, title: title.to_owned(), details: None };
    SendOutcome::Rejected { failure, retry_after: None }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

fn json(body: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(body).ok()
}

const fn name(outcome: &SendOutcome) -> &'static str {
    match outcome {
        SendOutcome::NotSent { .. } => "not_sent",
        SendOutcome::Rejected { .. } => "rejected",
        SendOutcome::Accepted { .. } => "accepted",
        SendOutcome::Ambiguous { .. } => "ambiguous",
    }
}
