//! Archive: the store's lives, what keeps one of them from repeating what another has sent, and whether all is well.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Campaign, CampaignId, Finding, IncarnationId, ReconcileCause, ReconcileNeed, TenantId};
use crate::port::AdminScope;

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
    /// what it cannot get wrong.
    ///
    /// - `examine_finds_nothing_in_a_sound_store`: whatever became of its messages.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn examine(&self, scope: &AdminScope, limit: u32) -> Result<Vec<Finding>, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Archive) = |_| {};
