//! Reports: the read side. No method scans messages to draw a number.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{CampaignCounts, CampaignId, MessageId, MessageView};
use crate::port::Scope;

/// The room of reports.
#[async_trait]
pub trait Reports: Send + Sync {
    /// How many messages of a campaign are where.
    ///
    /// - `counts_equal_a_recount`: at every moment what a recount over `recipients` gives.
    /// - `counts_add_up`: the audience is the sum of the exclusive states.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn counts(&self, scope: &Scope, campaign: CampaignId)
    -> Result<Option<CampaignCounts>, StoreError>;

    /// One message with its attempts.
    ///
    /// - `a_foreign_message_is_missing`: another tenant's message is `None`.
    /// - `a_message_shows_its_chain_of_attempts`: every attempt in order with its facts.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn message(&self, scope: &Scope, id: MessageId) -> Result<Option<MessageView>, StoreError>;

    /// A campaign's messages, in order of their ids.
    ///
    /// - `recipients_are_paged_by_id`: pages neither repeat nor miss a message, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn recipients(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// Messages of the tenant whose last word is in doubt, in order of their ids.
    ///
    /// - `in_doubt_lists_exactly_those_in_doubt`: resolved ones leave the list.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn in_doubt(
        &self,
        scope: &Scope,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Reports) = |_| {};
