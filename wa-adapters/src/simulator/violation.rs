//! What the judge writes down about a broken rule.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rule that a request broke, with the request.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Violation {
    /// When the request came.
    pub at: DateTime<Utc>,
    /// The rule: one of the names in the statistics, such as `window` or `quiet_hours`.
    pub rule: String,
    /// What was wrong, in words.
    pub details: String,
    /// The code of the refusal, or of the failure that follows; none when it was sent.
    pub code: Option<u32>,
    /// The sending number's id.
    pub number: String,
    /// The id that the request was answered with; none when it was refused.
    pub wamid: Option<String>,
    /// The body of the request.
    pub request: Value,
}

impl fmt::Debug for Violation {
    /// Without the request, which names the recipient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Violation")
            .field("at", &self.at)
            .field("rule", &self.rule)
            .field("details", &self.details)
            .field("code", &self.code)
            .field("number", &self.number)
            .field("wamid", &self.wamid)
            .finish_non_exhaustive()
    }
}
