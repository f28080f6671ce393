//! What happens to people without a send; the journal keeps it.

use serde::{Deserialize, Serialize};

use super::clock::Micros;

/// Something that changed about a person without a send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    /// The user wrote (or the window was opened by hand, without a message id).
    Wrote {
        at: Micros,
        number: String,
        user: String,
        message_id: Option<String>,
        /// From an advertisement that opens a free entry point.
        #[serde(default)]
        referred: bool,
    },
    /// The user stopped or resumed marketing messages.
    Preference { user: String, stop: bool },
    /// The webhook receiver has learned that the user stopped, or wants messages again.
    Told { user: String, stop: bool, at: Micros },
    /// A business-scoped user id and a phone number, or an older id, are one person.
    Met { user_id: String, person: String },
    /// The user has left a phone number for another.
    Moved { from: String, to: String },
}
