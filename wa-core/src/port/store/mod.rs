//! The Store seam: narrow rooms, each an object-safe trait with a written contract.
//!
//! Methods are intents with their atomicity, never row-level CRUD. What holds in every room:
//!
//! - Every method is atomic: it happens as a whole or not at all.
//! - `a_foreign_id_looks_missing`: in every method, as an answer and in that nothing changes.
//! - An expected negative (stale, closed, missing) is a value in `Ok`; an `Err` says what the
//!   caller may do, by [`StoreErrorKind`].
//! - Methods that depend on time use the store's clock and return the instant they used.
//! - What a call has to tell is in the journal in the same commit: one event per tenant with the
//!   messages whose state is another than before the call, then one per tenant with those of them that
//!   failed for good, then the other events in the order in which they happened, then alerts about
//!   campaigns.
//! - Lists are paged by key; `after` is exclusive, `limit` is clamped to 1 ..= 10,000.
//! - Instants come back in whole microseconds, exactly as they went in.
//!
//! A clause is a list item that starts with a name in backquotes. `wa_core::testing` has a test of
//! that name for each, and compares the two lists.

mod archive;
mod audience;
mod directory;
mod error;
mod inbox;
mod journal;
mod ledger;
mod numbers;
mod outbox;
mod reports;
mod schedules;

use std::fmt::Debug;
use std::sync::Arc;

pub(crate) use archive::PAGE;
pub use archive::{
    Archive, ArchiveHead, ArchivedAddress, ArchivedAttempt, ArchivedBreaker, ArchivedCampaign,
    ArchivedContact, ArchivedConversation, ArchivedDoubt, ArchivedDue, ArchivedEntryPoint, ArchivedImport,
    ArchivedImportLine, ArchivedImportPhone, ArchivedInbound, ArchivedList, ArchivedListened, ArchivedMember,
    ArchivedMessage, ArchivedNews, ArchivedNotice, ArchivedPrices, ArchivedResult, ArchivedRun,
    ArchivedSchedule, ArchivedSession, ArchivedSingle, ArchivedSuppressed, ArchivedTemplate, ArchivedTenant,
    HeldTenant, ImportTenant, ImportTenantStep, Record, RecordKind, RecordSink, Reference, UnfinishedImport,
};
pub use audience::{
    ActOutcome, Advanced, Audience, CreateCampaign, ImportChunk, ImportStep, LaunchChunk, LaunchStep, Member,
    ReportedLine, StartImport, SuppressedAddress, UpsertContact,
};
pub use directory::{Directory, StoreIdentity};
pub use error::{StoreError, StoreErrorKind};
pub use inbox::{
    Assignment, ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace, Direction,
    Edited, Inbox, KeptRaw, Projected, ProjectedEvent, Projection, RawBody, Reacted, StoredInbound,
    WindowEntry, WindowFilter, WindowKey, WindowView, target,
};
pub use journal::{Journal, ReaderName};
pub use ledger::{CategoryCost, ContactSpend, Cost, CostOf, LastTemplate, Ledger};
pub use numbers::{
    AcquireSessions, AddSession, Attendance, DispatchState, Lease, Numbers, Presence, RecentAttempt, Route,
};
pub use outbox::{
    Abandoned, Alternative, AttemptFact, BeginBatch, BeginItem, Begun, BegunAttempt, BegunBatch,
    CampaignBrief, CancelMessage, Consider, Considered, DueBody, DueMessage, DuePage, DueQuery, DueSource,
    Enqueue, Judged, Listened, Outbox, Prepared, Recover, Recovered, Redrive, RedriveOf, Redriven,
    ResolveMessage, RetryMessage, Settled, Stopped, Swept,
};
pub use reports::{FailureFilter, Reports, TrendBy, TrendPoint, TrendQuery};
pub use schedules::{CreateSchedule, DueSchedules, RunSchedule, ScheduleOutcome, Schedules};

/// A store: one object that implements every room on one database.
pub trait Store: Debug + Send + Sync + 'static {
    /// Whether calls are committed in the order in which they were made: none before an earlier one
    /// that succeeds, and possibly both at once.
    ///
    /// If so, the engine hands in what should follow an outcome without waiting for its commit.
    fn commits_in_order(&self) -> bool;
    /// Calls `hear` whenever another process announces something through this store, until it answers that
    /// nobody wants to hear any more.
    ///
    /// A store that cannot be told by others does nothing: what they did is found by asking now and then,
    /// which the engine does anyway. News can be lost, come twice or come for nothing.
    fn subscribe(&self, hear: Hear);
    /// Tenants and their settings.
    fn directory(&self) -> &dyn Directory;
    /// Sessions and their settings, leases, breakers, templates as the provider spoke of them.
    fn numbers(&self) -> &dyn Numbers;
    /// Contacts, consent, suppression, lists, imports, campaigns.
    fn audience(&self) -> &dyn Audience;
    /// Recurring campaigns and their runs.
    fn schedules(&self) -> &dyn Schedules;
    /// Due messages, attempts and their outcomes, what is in doubt, what is put back by hand, who is silent.
    fn outbox(&self) -> &dyn Outbox;
    /// Webhooks, windows, conversations and their messages.
    fn inbox(&self) -> &dyn Inbox;
    /// Quota, cost and budgets.
    fn ledger(&self) -> &dyn Ledger;
    /// Events out and notices.
    fn journal(&self) -> &dyn Journal;
    /// The read side: messages, counts, failures, trends.
    fn reports(&self) -> &dyn Reports;
    /// The store's lives: what a restored store waits for, whether all is well in it, and tenants that move.
    fn archive(&self) -> &dyn Archive;
}

const _OBJECT_SAFE: fn(&dyn Store) = |_| {};

/// What another process did that an engine should look at soon.
///
/// Exhaustive on purpose: a new kind must be decided by every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A message was queued.
    Due,
    /// There is something to own, or what was held up may go on.
    Work,
    /// A session was given back.
    Free,
}

/// Hears news, and says whether it wants to hear more.
pub type Hear = Arc<dyn Fn(News) -> bool + Send + Sync>;

/// The largest page that a store gives.
pub const MAX_PAGE: u32 = 10_000;
