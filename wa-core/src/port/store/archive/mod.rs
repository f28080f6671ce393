//! Archive: the store's lives, what keeps one of them from repeating what another has sent, whether all is
//! well, and tenants on their way out of one store and into another.

mod audience;
mod message;
mod moving;
mod record;
mod reference;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Campaign, CampaignId, Finding, IncarnationId, ReconcileCause, ReconcileNeed, TenantId};
use crate::port::{AdminScope, Scope};

pub(crate) use moving::PAGE;
pub use moving::{ArchiveHead, HeldTenant, ImportTenant, ImportTenantStep, RecordSink, UnfinishedImport};
pub use record::{
    ArchivedAddress, ArchivedAttempt, ArchivedBreaker, ArchivedCampaign, ArchivedContact,
    ArchivedConversation, ArchivedDoubt, ArchivedDue, ArchivedEntryPoint, ArchivedImport, ArchivedImportLine,
    ArchivedImportPhone, ArchivedInbound, ArchivedList, ArchivedListened, ArchivedMember, ArchivedMessage,
    ArchivedNews, ArchivedNotice, ArchivedPrices, ArchivedResult, ArchivedRun, ArchivedSchedule,
    ArchivedSession, ArchivedSingle, ArchivedSuppressed, ArchivedTemplate, ArchivedTenant, Record,
    RecordKind,
};
pub use reference::Reference;

/// The room of backups and of what follows them.
///
/// A store that was restored from a backup, or that failed over to an older replica, has messages in it
/// that wait and were sent all the same. So it begins nothing until somebody has said that it may.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Whether the store waits for that word, and since when.
    ///
    /// A store notices by itself what it can notice when it is opened; its own documentation says what that is.
    ///
    /// - `a_new_store_waits_for_nobody`: also after a reopen.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn awaits(&self, scope: &AdminScope) -> Result<Option<ReconcileNeed>, StoreError>;

    /// Starts another life of the store: `fresh` becomes its incarnation, every campaign that would go on by
    /// itself needs to be reconciled, and nothing begins until [`lift`](Self::lift). Ordered before every
    /// later begin, and written to the journal. Safe to repeat: it stays waiting for its first cause.
    ///
    /// What would go on by itself is what is launching, scheduled or running, and the draft of a schedule's run.
    ///
    /// - `suspend_binds_the_next_begin`: of every tenant; campaigns, single messages, retries; also of a page read before.
    /// - `suspend_holds_what_would_go_on`: and leaves what is a draft, paused, completed or cancelled.
    /// - `suspend_starts_a_new_incarnation`: instance and tag key stay, also after a reopen.
    /// - `suspend_keeps_the_first_cause`: the store waits since then, also after a reopen.
    /// - `suspend_stops_schedules`: none is due, and none makes a run.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn suspend(
        &self,
        scope: &AdminScope,
        fresh: IncarnationId,
        cause: ReconcileCause,
    ) -> Result<ReconcileNeed, StoreError>;

    /// Campaigns that need to be reconciled, in order of their tenants and ids; `after` is exclusive.
    ///
    /// - `unreconciled_is_paged_by_key`: pages neither repeat nor miss a campaign.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn unreconciled(
        &self,
        scope: &AdminScope,
        after: Option<(TenantId, CampaignId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Campaign)>, StoreError>;

    /// Lets the store begin again; `false` when it did not wait. Campaigns stay as they are until each
    /// is resumed. Schedules go on with their next slot.
    ///
    /// - `lift_lets_singles_go`: and campaigns once they are resumed, those whose audience is not frozen too.
    /// - `lift_makes_up_for_no_slot`: what came while the store waited, or before, is not run.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn lift(&self, scope: &AdminScope) -> Result<bool, StoreError>;

    /// Looks for what should hold and does not, at one instant: at most `limit` findings of each invariant, in
    /// the order of the invariants, then by tenant and message. Reads everything; a store need not look for
    /// what it cannot get wrong: one that counts when it is asked keeps no number that could differ.
    ///
    /// What a later event has hidden is no finding: [`Invariant`](crate::model::Invariant) says of each what
    /// can be told. Instants are those of the store's clock; one that was set back makes findings of what it
    /// has put out of order.
    ///
    /// - `examine_finds_nothing_in_a_sound_store`: whatever became of its messages.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn examine(&self, scope: &AdminScope, limit: u32) -> Result<Vec<Finding>, StoreError>;

    /// Gives everything of one tenant, as it is at one instant; `false` where there is no such tenant, and the
    /// sink hears nothing. The sink gets the head first and then pages of at most 1,000 records in their order.
    /// It may call the store, but not wait for a second export of it. Writes nothing and holds up no writer.
    ///
    /// What belongs to the installation is left out: leases, workers, batch ids of others, bodies of webhooks,
    /// statuses that wait for their attempt, the journal and its readers.
    ///
    /// - `export_gives_records_in_order`: by kind and key, each once, whatever the size of the pages.
    /// - `export_is_of_one_instant`: what is written while it runs is not in it.
    /// - `export_holds_nothing_of_others`: the records of a tenant do not change with those of another one.
    /// - `export_holds_no_secret`: the key of tags is not in it; nothing else in a store is secret.
    /// - `export_of_nobody_gives_nothing`: the sink is not called.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind), and what the sink refused with.
    ///
    /// # Cancel safety
    /// Dropping it ends the snapshot; the sink has got whole pages.
    async fn export(&self, scope: &Scope, sink: &mut dyn RecordSink) -> Result<bool, StoreError>;

    /// Takes the next records of an export in, in one commit. A tenant whose import is not finished is none:
    /// nobody sees, owns or sends for anything of it, and no webhook finds it. The kit gives no scope of it, and no
    /// clause says what one would show. With the last chunk it is there,
    /// with everything that follows from its records, and it is held until
    /// [`release_tenant`](Self::release_tenant): nothing of it begins, none of its schedules runs and none of
    /// its campaigns moves by itself.
    ///
    /// Attempts that were open stay open until a worker owns their session and their time is over; then they
    /// come into doubt like those of any lost worker.
    ///
    /// - `import_brings_everything_back`: an export of what was imported is the one that it was imported from.
    /// - `import_derives_what_follows`: counts, reports, costs, budgets, usage, windows and lists answer as before.
    /// - `import_is_hidden_until_it_is_finished`: and there all at once, also after a reopen; no other tenant gets its id.
    /// - `import_goes_on_where_it_stopped`: a chunk that was taken, or comes too early, changes nothing; also after a reopen.
    /// - `import_of_another_file_is_elsewhere`: what came before decides whether a chunk follows.
    /// - `import_refuses_what_is_taken`: the id or the name of a tenant.
    /// - `import_refuses_what_is_missing`: a record that names what did not come before it; the chunk changes nothing.
    /// - `an_imported_tenant_is_held`: singles, retries and campaigns; it can be read and changed.
    /// - `an_imported_open_attempt_comes_into_doubt`: once a worker sweeps.
    /// - `an_imported_tenant_takes_its_slots`: of the messaging limit, from the tenants of this store as well.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind); nothing of the chunk was taken in then, unless it says `Unknown`.
    async fn import_tenant(
        &self,
        scope: &AdminScope,
        chunk: &ImportTenant,
    ) -> Result<ImportTenantStep, StoreError>;

    /// Imports of tenants that are not finished, in order of the tenants' ids.
    ///
    /// - `unfinished_imports_are_listed`: with how far each is, and not once they are finished.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn unfinished_imports(&self, scope: &AdminScope) -> Result<Vec<UnfinishedImport>, StoreError>;

    /// Throws an unfinished import away; `false` when there is none. May take several commits: what an
    /// interruption leaves is thrown away by the next call, and takes no records meanwhile.
    ///
    /// - `a_discarded_import_leaves_nothing`: its tenant can be imported anew.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn discard_import(&self, scope: &AdminScope, tenant: TenantId) -> Result<bool, StoreError>;

    /// Imported tenants that nobody has let go on yet, in order of their ids; `after` is exclusive.
    ///
    /// - `held_tenants_are_paged_by_id`: pages neither repeat nor miss one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn held_tenants(
        &self,
        scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<HeldTenant>, StoreError>;

    /// Lets an imported tenant go on; `false` when it is not held. Every campaign that would go on by itself
    /// needs to be reconciled then, and schedules go on with their next slot. In the journal, in the same commit.
    ///
    /// - `release_lets_singles_go`: and campaigns once each is resumed.
    /// - `release_makes_up_for_no_slot`: what came while the tenant was held, or before, is not run.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn release_tenant(&self, scope: &AdminScope, tenant: TenantId) -> Result<bool, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Archive) = |_| {};
