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
