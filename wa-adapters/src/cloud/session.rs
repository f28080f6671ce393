//! What Meta says about a number, and calls other than sends.
//!
//! Invariant: an unknown value is `None`, never an error; a call that fails says what the caller can
//! do. Nothing here is retried.

use reqwest::Method;
use serde_json::Value;
use wa_core::model::{NumberId, Phone, Quality, RejectClass, SessionReport, SessionState, Throughput, Tier};
use wa_core::port::{TransportError, TransportErrorKind};

use super::config::ApiVersion;
use super::error::lookup;
use super::send::{CloudTransport, Reply, no_answer};
use super::wire::AnswerBody;

impl CloudTransport {
    pub(super) async fn look_up(&self, number: &NumberId) -> Result<SessionReport, TransportError> {
        let query = format!(
            "?fields=quality_rating,status,throughput,display_phone_number,{}",
            limit_field(self.version())
        );
        let what = "the number cannot be looked up";
        let body = self.call(what, Method::GET, number, &query, None).await?;
        match body {
            Value::Object(_) => Ok(report(&body)),
            _ => Err(unreadable(what)),
        }
    }

    pub(super) async fn mark_read(
        &self,
        number: &NumberId,
        body: Option<Vec<u8>>,
    ) -> Result<(), TransportError> {
        let what = "the message cannot be marked as read";
        let answer = self.call(what, Method::POST, number, "/messages", body).await?;
        match answer.get("success").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            Some(false) => Err(TransportError::new(
                TransportErrorKind::Refused,
                format!("{what}: WhatsApp does not know it, or it is older than 30 days"),
                None,
            )),
            None => Err(unreadable(what)),
        }
    }

    /// Makes a call that is safe to repeat, and reads its answer as JSON.
    async fn call(
        &self,
        what: &str,
        method: Method,
        number: &NumberId,
        rest: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Value, TransportError> {
        let address = self.address(number, rest).ok_or_else(|| {
            let why = "its id is not one of the Cloud API; copy it from WhatsApp Manager";
            TransportError::new(TransportErrorKind::Refused, format!("{what}: {why}"), None)
        })?;
        let timeout = self.call_timeout();
        let reply = self.exchange(method, &address, body, timeout).await.map_err(|error| {
            let why = no_answer(&error, timeout);
            TransportError::new(TransportErrorKind::Unavailable, format!("{what}: {why}"), Some(error.into()))
        })?;
        if (200..300).contains(&reply.status) {
            serde_json::from_slice(&reply.body).map_err(|_| unreadable(what))
        } else {
            Err(refusal(what, &reply))
        }
    }
}

fn unreadable(what: &str) -> TransportError {
    TransportError::new(
        TransportErrorKind::Unavailable,
        format!("{what}: the answer is not what the Cloud API sends; check the address"),
        None,
    )
}

fn refusal(what: &str, reply: &Reply) -> TransportError {
    let status = reply.status;
    let code = serde_json::from_slice::<AnswerBody>(&reply.body).ok().and_then(|answer| answer.error_code());
    let Some(code) = code else {
        let kind = if status == 408 || status == 429 || status >= 500 {
            TransportErrorKind::Unavailable
        } else {
            TransportErrorKind::Refused
        };
        return TransportError::new(kind, format!("{what}: HTTP {status}"), None);
    };
    let entry = lookup(code);
    let kind = match entry.map(|entry| entry.class) {
        Some(RejectClass::Credential) => TransportErrorKind::Credential,
        Some(RejectClass::Retry | RejectClass::Throttled | RejectClass::PairThrottled) => {
            TransportErrorKind::Unavailable
        }
        None if status >= 500 => TransportErrorKind::Unavailable,
        Some(
            RejectClass::Later
            | RejectClass::WindowClosed
            | RejectClass::Recipient
            | RejectClass::OptedOut
            | RejectClass::TemplatePaused
            | RejectClass::Template
            | RejectClass::Request
            | RejectClass::Account
            | RejectClass::Spam
            | RejectClass::Billing
            | RejectClass::Media,
        )
        | None => TransportErrorKind::Refused,
    };
    let title = entry.map_or("not known to this version", |entry| entry.title);
    TransportError::new(kind, format!("{what}: HTTP {status}, error {code} ({title})"), None)
}

/// The field that holds the messaging limit; the Graph API refuses a request for one it lacks.
///
/// Source: Meta, Messaging limits, read December 2025: a limit of the portfolio since v24.0.
fn limit_field(version: ApiVersion) -> &'static str {
    if version.major >= 24 { "whatsapp_business_manager_messaging_limit" } else { "messaging_limit_tier" }
}

/// A number as Meta shows it: with its country code, in groups, with or without a plus.
fn phone(shown: &str) -> Option<Phone> {
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    Phone::from_digits(&digits).ok()
}

fn report(body: &Value) -> SessionReport {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let level = body.get("throughput").and_then(|throughput| throughput.get("level")).and_then(Value::as_str);
    let limit =
        body.get("whatsapp_business_manager_messaging_limit").or_else(|| body.get("messaging_limit_tier"));
    SessionReport {
        state: text("status").and_then(state),
        throughput: level.and_then(throughput),
        tier: limit.and_then(tier),
        quality: text("quality_rating").and_then(quality),
        phone: text("display_phone_number").and_then(phone),
    }
}

/// Source: Meta, Business Messaging `OpenAPI` v23.0, phone number status. A flagged or restricted number
/// still answers its users, so it counts as connected; its limits say the rest.
fn state(status: &str) -> Option<SessionState> {
    match status {
        "CONNECTED" | "FLAGGED" | "RESTRICTED" | "RATE_LIMITED" => Some(SessionState::Connected),
        "DISCONNECTED" | "PENDING" | "MIGRATED" | "UNVERIFIED" | "DELETED" => {
            Some(SessionState::Disconnected)
        }
        "BANNED" => Some(SessionState::Banned),
        _ => None,
    }
}

/// Source: Meta, Throughput, read May 2026.
fn throughput(level: &str) -> Option<Throughput> {
    match level {
        "STANDARD" => Some(Throughput::DEFAULT),
        "HIGH" => Throughput::try_from(1_000).ok(),
        _ => None,
    }
}

/// Source: Meta, Messaging limits, read December 2025; webhooks write the same limit as a number, with
/// −1 for unlimited.
pub(super) fn tier(limit: &Value) -> Option<Tier> {
    if let Some(number) = limit.as_i64() {
        return if number == -1 {
            Some(Tier::Unlimited)
        } else {
            u32::try_from(number).ok().filter(|limit| *limit > 0).map(Tier::Limited)
        };
    }
    let name = limit.as_str()?;
    let name = name.strip_prefix("TIER_").unwrap_or(name);
    if name == "UNLIMITED" {
        return Some(Tier::Unlimited);
    }
    // Whatever step comes next is written as the known ones are: 250, 1K, 2K, 10K, 100K.
    let limit = match name.strip_suffix('K') {
        Some(thousands) => thousands.parse::<u32>().ok()?.checked_mul(1_000)?,
        None => name.parse().ok()?,
    };
    (limit > 0).then_some(Tier::Limited(limit))
}

pub(super) fn quality(rating: &str) -> Option<Quality> {
    match rating {
        "GREEN" => Some(Quality::Green),
        "YELLOW" => Some(Quality::Yellow),
        "RED" => Some(Quality::Red),
        "UNKNOWN" | "NA" => Some(Quality::Unknown),
        _ => None,
    }
}
