//! Sessions: sending WhatsApp numbers, and what their provider says about them.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::SessionId;
use super::message::names;
use super::phone::Phone;
use super::settings::SessionSettings;
use super::value::{ValueError, is_token, text_value};

/// The name under which a transport is registered, such as `cloud`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransportName(String);

/// The provider's id of a number, such as Meta's phone number id: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NumberId(String);

/// Messages a second that a number takes, in and out: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Throughput(u32);

/// How many people a portfolio may write to outside open windows in a moving 24 hours.
///
/// Source: Meta, Messaging limits, read December 2025.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// At most this many.
    Limited(u32),
    /// As many as wanted.
    Unlimited,
}

/// Meta's quality rating of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Good.
    Green,
    /// Getting worse.
    Yellow,
    /// Bad.
    Red,
    /// Not rated.
    Unknown,
}

/// The states of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Can send.
    Connected,
    /// Cannot send at present.
    Disconnected,
    /// Stopped by the provider.
    Banned,
    /// Removed by the tenant.
    Deleted,
}

/// A number as a tenant adds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id, minted by the kit; kept only if the number is new to the tenant.
    pub id: SessionId,
    /// Which transport sends for it.
    pub transport: TransportName,
    /// The provider's id of the number.
    pub number: NumberId,
    /// The provider's id of the account whose limits it shares; the number itself when unknown.
    pub portfolio: String,
    /// The provider's id of the account that it belongs to, such as Meta's WhatsApp business account:
    /// what is decided about that account reaches the session. Without one nothing of the kind does.
    pub account: Option<String>,
    /// The number as people dial it, by which the provider names it in decisions.
    pub phone: Option<Phone>,
}

/// A stored session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Which transport sends for it.
    pub transport: TransportName,
    /// The provider's id of the number.
    pub number: NumberId,
    /// The provider's id of the account whose limits it shares.
    pub portfolio: String,
    /// The provider's id of the account that it belongs to.
    pub account: Option<String>,
    /// The number as people dial it.
    pub phone: Option<Phone>,
    /// Its state.
    pub state: SessionState,
    /// Messages a second.
    pub throughput: Throughput,
    /// People a day outside windows.
    pub tier: Tier,
    /// The provider's rating.
    pub quality: Quality,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When the provider last answered about it.
    pub checked_at: Option<DateTime<Utc>>,
    /// What the tenant set for it.
    pub settings: SessionSettings,
}

/// What a provider says about a number; `None` where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// Its state.
    pub state: Option<SessionState>,
    /// Messages a second.
    pub throughput: Option<Throughput>,
    /// People a day outside windows.
    pub tier: Option<Tier>,
    /// The rating.
    pub quality: Option<Quality>,
    /// The number as people dial it.
    pub phone: Option<Phone>,
}

impl Session {
    /// Takes over what a provider says about it; what is not said stays.
    pub fn take_over(&mut self, report: &SessionReport) {
        let SessionReport { state, throughput, tier, quality, phone } = report;
        self.state = state.unwrap_or(self.state);
        self.throughput = throughput.unwrap_or(self.throughput);
        self.tier = tier.unwrap_or(self.tier);
        self.quality = quality.unwrap_or(self.quality);
        self.phone = phone.or(self.phone);
    }
}

names!(Quality { Green = "green", Yellow = "yellow", Red = "red", Unknown = "unknown" });
names!(SessionState {
    Connected = "connected",
    Disconnected = "disconnected",
    Banned = "banned",
    Deleted = "deleted",
});

impl Throughput {
    /// What a number has until its provider says otherwise.
    ///
    /// Source: Meta, Throughput, read May 2026: 80 messages a second by default.
    pub const DEFAULT: Self = Self(80);

    /// What a number has after the provider's throughput upgrade.
    ///
    /// Source: Meta, Throughput, read May 2026: up to 1,000 messages a second.
    pub const UPGRADED: Self = Self(1_000);

    /// Messages a second.
    #[must_use]
    pub const fn per_second(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Throughput {
    type Error = ValueError;
    fn try_from(per_second: u32) -> Result<Self, ValueError> {
        if (1..=10_000).contains(&per_second) {
            Ok(Self(per_second))
        } else {
            Err(ValueError::new("a throughput", "1 to 10,000 messages a second"))
        }
    }
}

impl From<Throughput> for u32 {
    fn from(throughput: Throughput) -> Self {
        throughput.0
    }
}

impl Tier {
    /// The limit as a number, `None` for unlimited.
    #[must_use]
    pub const fn limit(self) -> Option<u32> {
        match self {
            Self::Limited(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }

    /// The tier with this limit.
    #[must_use]
    pub const fn from_limit(limit: Option<u32>) -> Self {
        match limit {
            Some(limit) => Self::Limited(limit),
            None => Self::Unlimited,
        }
    }
}

text_value!(TransportName, "a transport name", "1 to 128 visible ASCII characters", |text| is_token(
    text, 128
));
text_value!(NumberId, "a number id", "1 to 128 visible ASCII characters", |text| is_token(text, 128));

impl fmt::Display for TransportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NumberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
