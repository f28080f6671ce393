//! Meta's error codes as data: what each means for the next step, and what a person can do.
//!
//! Invariant: the table is sorted, no code stands in it twice, and each entry has an advice. A code
//! that is not in it is never guessed at: answered to a send it leaves the attempt in doubt, in a
//! `failed` status it is final.

mod table;

use serde_json::Value;
use wa_core::model::{FailureCode, FailureDetails, RejectClass};

/// What is known about one code, or about a range of codes with one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorEntry {
    /// The lowest code.
    pub first: i64,
    /// The highest code; the same as `first` for a single one.
    pub last: i64,
    /// What it means, in short.
    pub title: &'static str,
    /// What it means for the next step.
    pub class: RejectClass,
    /// Whether it may strike after the message was taken, so that answered to a send it proves
    /// nothing. In a `failed` status it is definite all the same.
    pub strikes_late: bool,
    /// What to do about it, for a reader who is not a developer.
    pub advice: &'static str,
}

/// The whole table, in rising order of the codes.
#[must_use]
pub fn errors() -> &'static [ErrorEntry] {
    table::ERRORS
}

/// What is known about a code.
///
/// ```
/// use wa_adapters::cloud::lookup;
/// use wa_core::model::RejectClass;
/// assert_eq!(lookup(131_047).map(|entry| entry.class), Some(RejectClass::WindowClosed));
/// assert_eq!(lookup(250).map(|entry| entry.first), Some(200));
/// assert!(lookup(999_999).is_none());
/// ```
#[must_use]
pub fn lookup(code: i64) -> Option<&'static ErrorEntry> {
    let place = errors().partition_point(|entry| entry.last < code);
    errors().get(place).filter(|entry| entry.first <= code)
}

/// What to do about a code, in plain words; there is an answer for codes that are not known, too.
///
/// ```
/// use wa_adapters::cloud::advice;
/// assert!(advice(190).contains("access token"));
/// assert!(advice(999_999).contains("newer"));
/// ```
#[must_use]
pub fn advice(code: i64) -> &'static str {
    lookup(code).map_or(UNKNOWN_ADVICE, |entry| entry.advice)
}

const UNKNOWN_ADVICE: &str = "WhatsApp gave a reason that is newer than this version. \
     Look the number up in Meta's list of Cloud API error codes, and update this library.";

/// The failure that a `failed` status reports.
///
/// Such a status is definite whatever the code, and without a known meaning nothing says that
/// another try would end better.
pub(super) fn reported(code: Option<i64>) -> FailureCode {
    let (code, title) = match code {
        Some(code) => match lookup(code) {
            Some(entry) => return entry.failure(code),
            None => (code, "a failure that this version does not know"),
        },
        None => (0, "a failure without a reason"),
    };
    FailureCode { code, class: RejectClass::Request, title: title.to_owned(), details: None }
}

/// Meta's own words about an error, from its `error_data`: an object with `details`, or a text.
///
/// Source: Meta, Error codes, read May 2026.
pub(super) fn details(error_data: &Value) -> Option<FailureDetails> {
    error_data.get("details").unwrap_or(error_data).as_str().and_then(FailureDetails::new)
}

impl ErrorEntry {
    /// This entry as the failure of one attempt.
    pub(super) fn failure(&self, code: i64) -> FailureCode {
        FailureCode { code, class: self.class, title: self.title.to_owned(), details: None }
    }
}
