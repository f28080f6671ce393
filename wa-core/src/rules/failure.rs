//! What is to be said about a message that failed for good.

use chrono::{DateTime, Utc};

use crate::model::{DeliveryFacts, Fact, FailureCode, RejectClass};

/// A failed message in short, as lists are filtered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The provider's code, where it gave one.
    pub code: Option<i64>,
    /// What the code means.
    pub class: Option<RejectClass>,
    /// Whether it was tried again as often as it may be, for a failure that could have passed.
    pub critical: bool,
    /// When its last attempt failed.
    pub at: DateTime<Utc>,
}

impl Failure {
    /// What is to be said about a message of which every attempt is definitely undelivered, oldest first.
    #[must_use]
    pub fn of(chain: &[&DeliveryFacts]) -> Option<Self> {
        let last = chain.last()?;
        let at =
            [Fact::Failed, Fact::Rejected, Fact::NotSent].into_iter().filter_map(|it| last.at(it)).min()?;
        let shown = shown(chain);
        Some(Self {
            code: shown.map(|failure| failure.code),
            class: shown.map(|failure| failure.class),
            critical: is_critical(chain),
            at,
        })
    }
}

/// The failure that stands for a message: that of the latest attempt that has one.
#[must_use]
pub fn shown<'a>(chain: &[&'a DeliveryFacts]) -> Option<&'a FailureCode> {
    chain.iter().rev().find_map(|facts| facts.failure.as_ref())
}

/// The name of a failed message's reason, as counted: `failed:<code>`, where the code may be `unknown`
/// or `not_sent`.
#[must_use]
pub fn reason(chain: &[&DeliveryFacts]) -> String {
    // A provider may report a failure without saying which.
    let refused = chain.iter().any(|it| it.has(Fact::Rejected) || it.has(Fact::Failed));
    let other = if refused { "failed:unknown" } else { "failed:not_sent" };
    shown(chain).map_or_else(|| other.to_owned(), |it| format!("failed:{}", it.code))
}

/// Whether a message that failed is critical: its last failure could have passed, and no retry is left.
///
/// Of those that ask for a day's patience only one that was tried again is: the first is the provider's
/// everyday "not to this person today".
#[must_use]
pub fn is_critical(chain: &[&DeliveryFacts]) -> bool {
    let class = |facts: &&DeliveryFacts| facts.failure.as_ref().map(|failure| failure.class);
    match chain.last().and_then(class) {
        Some(RejectClass::Retry) => true,
        Some(RejectClass::Later) => {
            chain.iter().filter(|facts| class(facts) == Some(RejectClass::Later)).count() > 1
        }
        Some(
            RejectClass::Throttled
            | RejectClass::PairThrottled
            | RejectClass::WindowClosed
            | RejectClass::Recipient
            | RejectClass::OptedOut
            | RejectClass::TemplatePaused
            | RejectClass::Template
            | RejectClass::Request
            | RejectClass::Credential
            | RejectClass::Account
            | RejectClass::Spam
            | RejectClass::Billing
            | RejectClass::Media,
        )
        | None => false,
    }
}
