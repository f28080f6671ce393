//! What an examination of a store finds.

use super::message::names;
use super::{MessageId, TenantId};

/// What must hold in every store, whatever happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// The file is whole, with its indexes.
    File,
    /// A tenant's rows are kept from others by the database too.
    Isolation,
    /// Of a message's attempts at most one may have been delivered.
    OneDelivery,
    /// Every outcome is of an attempt that is kept, and every attempt has one or is watched.
    Attempts,
    /// A message waits in one place, or in none once it is closed or was begun.
    OnePlace,
    /// The counts of a campaign add up to its audience.
    Counts,
    /// What is counted of a messaging limit is what is taken of it.
    Tier,
    /// What is counted of a plan's quota is what was begun and not given back.
    Quota,
}

names!(Invariant {
    File = "file",
    Isolation = "isolation",
    OneDelivery = "one_delivery",
    Attempts = "attempts",
    OnePlace = "one_place",
    Counts = "counts",
    Tier = "tier",
    Quota = "quota",
});

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What should hold.
    pub invariant: Invariant,
    /// Whose it is, if it is a tenant's.
    pub tenant: Option<TenantId>,
    /// Of which message, if it is of one.
    pub message: Option<MessageId>,
    /// What was seen, in a line for a person; it names ids, and neither contents nor addresses.
    pub line: String,
}
