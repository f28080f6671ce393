//! What an HTTP exchange proves about a send: a pure, total function.
//!
//! Unknown things are ambiguous by construction; there is no permissive default. Only a refusal
//! that the provider is documented to make before it processes a message counts as one.

use crate::model::{FailureCode, Outcome};

/// What is known about one exchange with a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// No byte of the request can have reached the provider: no address, no connection, no TLS, or it was never tried.
    NeverLeft,
    /// The request may have reached the provider, and no complete answer came back.
    NoAnswer,
    /// An answer came back.
    Answer {
        /// The HTTP status.
        status: u16,
        /// What the body says.
        body: Answer,
    },
}

/// What the body of an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The provider's message id.
    Taken {
        /// The id.
        provider_id: String,
    },
    /// An error in the provider's own form, with a code that its table knows.
    KnownError {
        /// The failure.
        failure: FailureCode,
        /// Whether the table calls this code a fault of the provider that may strike after acceptance.
        may_strike_late: bool,
    },
    /// An error in the provider's own form, with a code that its table does not know.
    UnknownError {
        /// The provider's number.
        code: i64,
    },
    /// Anything else.
    Unreadable,
}

/// Decides what an exchange proves.
///
/// ```
/// use wa_core::{model::Outcome, rules::classify::{classify, Answer, Exchange}};
/// assert_eq!(classify(Exchange::NeverLeft), Outcome::NotSent);
/// assert_eq!(classify(Exchange::NoAnswer), Outcome::Ambiguous);
/// let odd = Exchange::Answer { status: 502, body: Answer::Unreadable };
/// assert_eq!(classify(odd), Outcome::Ambiguous);
/// ```
#[must_use]
pub fn classify(exchange: Exchange) -> Outcome {
    match exchange {
        Exchange::NeverLeft => Outcome::NotSent,
        Exchange::NoAnswer => Outcome::Ambiguous,
        Exchange::Answer { status: 200..=299, body: Answer::Taken { provider_id } } => {
            Outcome::Accepted { provider_id }
        }
        Exchange::Answer {
            status: 400..=407 | 409..=499,
            body: Answer::KnownError { failure, may_strike_late: false },
        } => Outcome::Rejected(failure),
        Exchange::Answer {
            status: _,
            body:
                Answer::Taken { .. }
                | Answer::KnownError { .. }
                | Answer::UnknownError { .. }
                | Answer::Unreadable,
        } => Outcome::Ambiguous,
    }
}
