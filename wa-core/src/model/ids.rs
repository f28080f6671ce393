//! Identifiers: newtypes over `UUIDv7`, and the mint that makes campaign messages in order.
//!
//! Ids of different things cannot be mixed up, and none can be guessed from another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::micros;
use chrono::{DateTime, Utc};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a fresh id from an instant (milliseconds are kept) and ten random bytes.
            #[must_use]
            pub fn mint(now: DateTime<Utc>, random: [u8; 10]) -> Self {
                Self(v7(now, random))
            }

            /// Wraps a UUID that was stored or received earlier.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// The sixteen bytes of the UUID, most significant first.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

id! {
    /// Identifies one batch of begun attempts.
    BatchId;
    /// Identifies a campaign.
    CampaignId;
    /// Identifies a contact of one tenant.
    ContactId;
    /// Identifies one event of the journal; stable over redelivery.
    EventId;
    /// Identifies one import of a file.
    ImportId;
    /// Identifies one life of a store; a restored backup gets a new one.
    IncarnationId;
    /// Identifies one installation, so that two may share a WhatsApp account.
    InstanceId;
    /// Identifies a message.
    MessageId;
    /// Identifies one stored webhook body.
    RawId;
    /// Identifies a schedule of recurring campaigns.
    ScheduleId;
    /// Identifies a session, that is, one sending WhatsApp number.
    SessionId;
    /// Identifies a tenant.
    TenantId;
    /// Identifies one running worker; a restarted process is a new worker.
    WorkerId;
}

fn v7(now: DateTime<Utc>, random: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(millis(now), &random).into_uuid()
}

fn millis(now: DateTime<Utc>) -> u64 {
    u64::try_from(micros(now) / 1_000).unwrap_or(0)
}

/// Mints the message ids of one campaign and session in strictly rising order.
///
/// All ids carry the campaign's launch instant, then ten bits for the place of the session, then 32 bits
/// of ordinal, then 32 random bits. So the messages of one session are one contiguous range of
/// ids, whatever happened between two chunks of the launch.
///
/// ```
/// use wa_core::model::{from_micros, IdMint};
/// let mint = IdMint::new(from_micros(1_700_000_000_000_000), 0);
/// assert!(mint.message(1, [255; 4]) < mint.message(2, [0; 4]));
/// assert!(mint.message(u32::MAX, [255; 4]) <= mint.last());
/// assert!(mint.last() < IdMint::new(from_micros(1_700_000_000_000_000), 1).first());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMint {
    launched_at: DateTime<Utc>,
    place: u16,
}

impl IdMint {
    /// The most sessions that one campaign can spread over.
    pub const MAX_SESSIONS: u16 = 1_024;

    /// A mint for the session at `place` (0 to 1,023; higher places are clamped).
    #[must_use]
    pub fn new(launched_at: DateTime<Utc>, place: u16) -> Self {
        Self { launched_at, place: place.min(Self::MAX_SESSIONS - 1) }
    }

    /// The id of the message with this ordinal.
    #[must_use]
    pub fn message(&self, ordinal: u32, random: [u8; 4]) -> MessageId {
        MessageId(self.id(ordinal, random))
    }

    /// The lowest id that this mint can make.
    #[must_use]
    pub fn first(&self) -> MessageId {
        MessageId(self.id(0, [0; 4]))
    }

    /// The highest id that this mint can make.
    #[must_use]
    pub fn last(&self) -> MessageId {
        MessageId(self.id(u32::MAX, [255; 4]))
    }

    fn id(&self, ordinal: u32, random: [u8; 4]) -> Uuid {
        // UUIDv7 has 12 + 62 free bits: place takes 10, ordinal 32, chance 32.
        let free: u128 = (u128::from(self.place) << 64)
            | (u128::from(ordinal) << 32)
            | u128::from(u32::from_be_bytes(random));
        let high = (free >> 62) & 0xfff;
        let low = free & ((1 << 62) - 1);
        let time = u128::from(millis(self.launched_at)) & 0xffff_ffff_ffff;
        Uuid::from_u128((time << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::from_micros;

    #[test]
    fn a_minted_campaign_id_is_a_version_7_uuid() {
        let id = IdMint::new(from_micros(1_790_000_000_000_000), 1_023).message(u32::MAX, [1; 4]);
        assert_eq!(id.as_uuid().get_version_num(), 7);
        assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn ordinals_that_cross_the_split_of_the_bits_keep_their_order() {
        let mint = IdMint::new(from_micros(1_790_000_000_000_000), 3);
        let mut before = mint.first();
        for ordinal in [1, 2, (1 << 29) + 1, 1 << 30, (1 << 30) + 1, 1 << 31, u32::MAX - 1] {
            let id = mint.message(ordinal, [9; 4]);
            assert!(id > before, "ordinal {ordinal}");
            before = id;
        }
    }
}
