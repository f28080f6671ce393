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
    /// The counts of a campaign, and of its tenant, are what its messages give.
    Counts,
    /// What is counted of a messaging limit is what is taken of it.
    Tier,
    /// What is counted of a plan's quota is what was begun and not given back.
    Quota,
    /// What went only because its window was open began while it was.
    ///
    /// By the messages of users that are stored, whoever's they are by now; not by the guard, which no store
    /// keeps, and with a minute for clocks that differ. Of what an imported tenant brought it cannot be told.
    Window,
    /// Nothing began to somebody who had refused it before, or whose address was suppressed before.
    ///
    /// Only the present refusal is known, with its instant: what went before it cannot be told, where it was
    /// taken back and given again. Of a single message, which names no contact, it can be told only where its
    /// contact has one address and never had another. A refusal from a file counts a minute later.
    Consent,
    /// What is kept of budgets is what their attempts cost, or may cost.
    ///
    /// Whether a limit was passed cannot be told: limits change, and so do prices until they are settled.
    Budgets,
    /// What is counted in advance of questions is what a recount gives: free messages, days of warm-up, reports
    /// by time, and windows.
    Recount,
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
    Window = "window",
    Consent = "consent",
    Budgets = "budgets",
    Recount = "recount",
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
