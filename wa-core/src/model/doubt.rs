//! What becomes of a message of which nobody knows whether it was sent.
//!
//! Invariant: whatever the policy, the attempt that is in doubt stays in doubt until somebody who can know
//! says more; a policy only decides whether another attempt follows it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::ValueError;

/// What becomes of a message of which nobody knows whether it was sent.
///
/// Of several that could hold the narrowest does: that of the message, of its campaign, of its tenant.
/// Every wait is counted from when the request of the latest attempt in doubt must have ended. A message
/// is sent again three times at most, never past its `valid_until`, and not once its campaign is cancelled.
///
/// Exhaustive on purpose: a new policy must be decided everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "snake_case")]
pub enum InDoubtPolicy {
    /// It is never sent again by itself: at most one request can reach the provider. After 37 days, when
    /// no webhook can come any more, it is given up on and stays in the reports.
    #[default]
    AtMostOnce,
    /// It is sent again if the provider is proven to be silent about it: other attempts of the number that
    /// began about when this one did were heard of, and nothing that was heard waits to be read.
    ///
    /// Meta promises no order and no time for its webhooks, so a duplicate is unlikely but not impossible.
    ResendAfterProvenSilence {
        /// At least so long: a whole number of seconds, from a minute to 30 days.
        #[serde(rename = "after_seconds", with = "seconds")]
        after: Duration,
    },
    /// It is sent again, whatever was heard. **The recipient may get it twice.**
    ResendAfter {
        /// After so long: a whole number of seconds, from a minute to 30 days.
        #[serde(rename = "after_seconds", with = "seconds")]
        after: Duration,
    },
    /// It waits until a person decides, however long that takes.
    Manual,
}

/// What somebody says about a message that is in doubt.
///
/// Exhaustive on purpose: all that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Send it again, once. **If it was sent after all, the recipient gets it twice.**
    Resend,
    /// It reached its recipient.
    Delivered,
    /// It did not and will not reach its recipient: it failed.
    Undelivered,
}

impl InDoubtPolicy {
    /// The shortest wait that may be set.
    pub const SHORTEST: Duration = Duration::from_secs(60);
    /// The longest wait that may be set.
    pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

    /// After how long it may be sent again by itself; `None` for never.
    #[must_use]
    pub const fn resends_after(self) -> Option<Duration> {
        match self {
            Self::AtMostOnce | Self::Manual => None,
            Self::ResendAfterProvenSilence { after } | Self::ResendAfter { after } => Some(after),
        }
    }

    /// Checks the range of the wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wa_core::model::InDoubtPolicy;
    /// let hour = InDoubtPolicy::ResendAfter { after: Duration::from_secs(3_600) };
    /// assert!(hour.validate().is_ok());
    /// assert!(InDoubtPolicy::ResendAfter { after: Duration::from_secs(1) }.validate().is_err());
    /// ```
    ///
    /// # Errors
    /// When it is not a whole number of seconds from a minute to 30 days.
    pub fn validate(self) -> Result<(), ValueError> {
        let fits = self.resends_after().is_none_or(|after| {
            (Self::SHORTEST..=Self::LONGEST).contains(&after) && after.subsec_nanos() == 0
        });
        if fits {
            Ok(())
        } else {
            Err(ValueError::new("in_doubt.after", "whole seconds from a minute to 30 days"))
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(after: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(after.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_stored_by_names_and_seconds() {
        let after = Duration::from_secs(900);
        let all = [
            (InDoubtPolicy::AtMostOnce, r#"{"policy":"at_most_once"}"#),
            (
                InDoubtPolicy::ResendAfterProvenSilence { after },
                r#"{"policy":"resend_after_proven_silence","after_seconds":900}"#,
            ),
            (InDoubtPolicy::ResendAfter { after }, r#"{"policy":"resend_after","after_seconds":900}"#),
            (InDoubtPolicy::Manual, r#"{"policy":"manual"}"#),
        ];
        for (policy, json) in all {
            assert_eq!(serde_json::to_string(&policy).ok().as_deref(), Some(json));
            assert_eq!(serde_json::from_str(json).ok(), Some(policy));
        }
    }

    #[test]
    fn a_wait_is_whole_seconds_from_a_minute_to_thirty_days() {
        for (after, fits) in [
            (InDoubtPolicy::SHORTEST, true),
            (InDoubtPolicy::LONGEST, true),
            (InDoubtPolicy::SHORTEST - Duration::from_secs(1), false),
            (InDoubtPolicy::LONGEST + Duration::from_secs(1), false),
            (InDoubtPolicy::SHORTEST + Duration::from_millis(1), false),
        ] {
            assert_eq!(InDoubtPolicy::ResendAfter { after }.validate().is_ok(), fits, "{after:?}");
            assert_eq!(
                InDoubtPolicy::ResendAfterProvenSilence { after }.validate().is_ok(),
                fits,
                "{after:?}"
            );
        }
    }
}
