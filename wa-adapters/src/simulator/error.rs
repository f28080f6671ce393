//! The Graph API's refusals: code, HTTP status and body.
//!
//! Source: Meta, Cloud API error codes, read May 2026.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Which rule a request broke; counted in the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    // Rules of WhatsApp.
    Window,
    Pair,
    Throughput,
    Tier,
    OptOut,
    Misaddressed,
    // Rules of the house.
    RepeatedTag,
    QuietHours,
    Cooldown,
    Frequency,
    Budget,
    NotAllowed,
    WarmUp,
}

impl Breach {
    pub(crate) const ALL: [Self; 13] = [
        Self::Window,
        Self::Pair,
        Self::Throughput,
        Self::Tier,
        Self::OptOut,
        Self::Misaddressed,
        Self::RepeatedTag,
        Self::QuietHours,
        Self::Cooldown,
        Self::Frequency,
        Self::Budget,
        Self::NotAllowed,
        Self::WarmUp,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Pair => "pair",
            Self::Throughput => "throughput",
            Self::Tier => "tier",
            Self::OptOut => "opt_out",
            Self::Misaddressed => "misaddressed",
            Self::RepeatedTag => "repeated_tag",
            Self::QuietHours => "quiet_hours",
            Self::Cooldown => "cooldown",
            Self::Frequency => "frequency",
            Self::Budget => "budget",
            Self::NotAllowed => "not_allowed",
            Self::WarmUp => "warm_up",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|breach| breach.name() == name)
    }
}

/// An answer of the Graph API that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    pub(crate) subcode: Option<u32>,
    pub(crate) details: String,
    /// The limit that was broken; none for bad requests and for injected faults.
    pub(crate) breach: Option<Breach>,
}

impl Refusal {
    pub(crate) fn new(code: u32, details: impl Into<String>) -> Self {
        Self { code, subcode: None, details: details.into(), breach: None }
    }

    /// 100 / 33: the object is not there.
    pub(crate) fn no_such_object(id: &str) -> Self {
        let details = format!(
            "Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation"
        );
        Self { subcode: Some(33), ..Self::new(100, details) }
    }

    pub(crate) fn breaking(breach: Breach, code: u32, details: impl Into<String>) -> Self {
        Self { breach: Some(breach), ..Self::new(code, details) }
    }

    fn status(&self) -> StatusCode {
        status(self.code)
    }

    fn body(&self) -> Value {
        let title = title(self.code);
        let mut error = json!({
            "message": format!("(#{}) {title}", self.code),
            "type": if self.code == 190 { "OAuthException" } else { "GraphMethodException" },
            "code": self.code,
            "error_data": { "messaging_product": "whatsapp", "details": self.details },
            "fbtrace_id": "AsimulatedTraceIdXXXXXX",
        });
        if let (Some(subcode), Some(object)) = (self.subcode, error.as_object_mut()) {
            object.insert("error_subcode".to_owned(), json!(subcode));
        }
        json!({ "error": error })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        json_response(self.status(), &self.body())
    }
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body.to_string()).into_response()
}

fn status(code: u32) -> StatusCode {
    match code {
        190 => StatusCode::UNAUTHORIZED,
        368 | 131_031 => StatusCode::FORBIDDEN,
        2 => StatusCode::SERVICE_UNAVAILABLE,
        131_000 | 131_057 | 134_102 => StatusCode::INTERNAL_SERVER_ERROR,
        2500 | 132_001 => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// What a code is called, in a refusal as in a `failed` status.
pub(crate) const fn title(code: u32) -> &'static str {
    match code {
        2 => "Service temporarily unavailable",
        100 => "Invalid parameter",
        190 => "Access token has expired",
        368 => "Temporarily blocked for policies violations",
        2500 => "Unknown path components",
        130_429 => "Rate limit hit",
        131_000 => "Something went wrong",
        131_008 => "Required parameter is missing",
        131_009 => "Parameter value is not valid",
        131_031 => "Account has been locked",
        131_041 => "Group unknown",
        131_055 => "Method not allowed",
        131_057 => "Account in maintenance mode",
        130_472 => "User's number is part of an experiment",
        130_497 => "Business account is restricted from messaging users in this country",
        131_053 => "Media upload error",
        131_061 => "Template with maximum price is not supported here",
        131_063 => "Marketing messages are disabled on Cloud API",
        131_064 => "Message limit reached because of template misclassification",
        134_100 => "Only marketing messages are supported",
        134_101 => "Template is syncing",
        134_102 => "Template unavailable for use",
        131_021 => "Recipient cannot be sender",
        131_026 => "Message undeliverable",
        131_047 => "Re-engagement message",
        131_048 => "Spam rate limit hit",
        131_049 => "This message was not delivered to maintain healthy ecosystem engagement",
        131_050 => "User's stopped marketing messages",
        131_051 => "Unsupported message type",
        131_056 => "Pair rate limit hit",
        131_062 => "Business-scoped user id recipients are not supported for this message",
        132_000 => "Number of parameters does not match the expected number of params",
        132_001 => "Template name does not exist in the translation",
        132_005 => "Translated text too long",
        132_012 => "Parameter format does not match format in the created template",
        132_015 => "Template is paused",
        132_016 => "Template is disabled",
        2_388_019 => "Message template limit exceeded",
        _ => "Unknown error",
    }
}
