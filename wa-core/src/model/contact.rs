//! Contacts, their attributes and their consent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::ContactId;
use super::message::names;
use super::recipient::Recipient;
use super::value::{is_label, text_value};

/// Free attributes of a contact, by column name.
pub type ContactAttributes = BTreeMap<String, String>;

/// The name of a contact list, unique per tenant: 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListName(String);

/// Whether a contact may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Everything that the rules allow.
    Allowed,
    /// No marketing; the provider said so (131050, `user_preferences`).
    NoMarketing,
    /// Nothing any more: the person said STOP or was imported as opted out.
    OptedOut,
    /// Nothing: the tenant blocked the contact.
    Blocked,
    /// Everything that the rules allow, and the person asked for it: a recorded opt-in.
    OptedIn,
}

/// What is kept of everything that was heard about a contact's consent; the consent follows from it
/// by [`effective`](crate::rules::consent::effective).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRecord {
    /// What a caller decided: allowed, no marketing or blocked. An opt-out is kept as a stop.
    pub set: Consent,
    /// The latest stop: of the person, of a file, or of a caller.
    pub stopped_at: Option<DateTime<Utc>>,
    /// The latest resume word.
    pub resumed_at: Option<DateTime<Utc>>,
    /// When the person last told the provider to stop marketing.
    pub no_marketing_at: Option<DateTime<Utc>>,
    /// When the person last told the provider to resume marketing.
    pub marketing_at: Option<DateTime<Utc>>,
}

impl Default for ConsentRecord {
    fn default() -> Self {
        Self {
            set: Consent::Allowed,
            stopped_at: None,
            resumed_at: None,
            no_marketing_at: None,
            marketing_at: None,
        }
    }
}

/// A word about a person, and when it was heard.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// What.
    pub value: String,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What a change of consent came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentSource {
    /// A stop word that the person wrote.
    StopWord,
    /// The provider's preference event or error.
    Provider,
    /// An imported file.
    Import,
    /// A call of the embedding application.
    Caller,
    /// Two contacts turned out to be one person; the stricter consent counts.
    Merge,
}

/// One person that a tenant writes to.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// Its addresses.
    pub recipient: Recipient,
    /// Its attributes.
    pub attributes: ContactAttributes,
    /// The profile name that the person shows, as last seen.
    pub profile_name: Option<Seen>,
    /// The person's user name, as last seen.
    pub username: Option<Seen>,
    /// Whether it may be written to.
    pub consent: Consent,
    /// When the consent last changed.
    pub consent_at: Option<DateTime<Utc>>,
    /// What the change came from; `None` while it never changed.
    pub consent_source: Option<ConsentSource>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

names!(Consent {
    Allowed = "allowed",
    NoMarketing = "no_marketing",
    OptedOut = "opted_out",
    Blocked = "blocked",
    OptedIn = "opted_in",
});

names!(ConsentSource {
    StopWord = "stop_word",
    Provider = "provider",
    Import = "import",
    Caller = "caller",
    Merge = "merge",
});

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Attributes are personal data; their names are enough to find a fault.
        f.debug_struct("Contact")
            .field("id", &self.id)
            .field("recipient", &self.recipient)
            .field("attributes", &self.attributes.keys())
            .field("consent", &self.consent)
            .finish_non_exhaustive()
    }
}

text_value!(ListName, "a list name", "1 to 200 characters without control characters", is_label);
