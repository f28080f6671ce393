//! Failed messages of a tenant: listed with advice, and put back by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::campaigns::Campaigns;
use super::error::KitError;
use super::messages::Messages;
use super::tenant::TenantHandle;
use crate::model::{CampaignAlert, CampaignId, MessageId, MessageView, SessionId};
use crate::port::Transport;
use crate::port::store::{FailureFilter, Redrive, RedriveOf, RetryMessage};
use crate::rules::advice;

/// Messages put back with one commit.
const CHUNK: u32 = 500;

/// A message that failed, with what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedMessage {
    /// The message; [`MessageView::failure`] names the provider's code, title and details.
    pub message: MessageView,
    /// Whether it was tried again as often as it may be, for a failure that could have passed.
    pub critical: bool,
    /// What to do about it, in plain words.
    pub advice: &'static str,
}

/// What a redrive did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedriveReport {
    /// Messages that wait for another attempt.
    pub requeued: u64,
    /// Messages that fitted and stay as they are, such as those of a cancelled campaign.
    pub refused: u64,
}

impl Messages<'_> {
    /// Messages that failed for good and fit, in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn failed(
        self,
        filter: &FailureFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<FailedMessage>, KitError> {
        let tenant = self.tenant();
        let page = tenant.kit.store().reports().failed(&tenant.scope, filter, after, limit).await?;
        let mut advisers = Advisers::new(tenant);
        let mut failed = Vec::with_capacity(page.len());
        for message in page {
            let advice = advisers.advice(&message).await?;
            failed.push(FailedMessage { critical: message.is_critical(), advice, message });
        }
        Ok(failed)
    }

    /// Messages that were taken and never heard of for as long as the tenant's alerts say, in order of
    /// their ids; `after` is exclusive. A running engine finds them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn silent(self, after: Option<MessageId>, limit: u32) -> Result<Vec<MessageView>, KitError> {
        let tenant = self.tenant();
        Ok(tenant.kit.store().reports().silent(&tenant.scope, after, limit).await?)
    }

    /// Puts a message that failed back for one more attempt; one that may have been delivered, or was
    /// given up on purpose, stays as it is.
    ///
    /// It stays the same message: the attempt is the next of its chain, its retries count anew, and
    /// every rule is asked again before it goes. Safe to call twice.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn retry(self, id: MessageId) -> Result<RetryMessage, KitError> {
        let tenant = self.tenant();
        let outcome = tenant.kit.store().outbox().retry(&tenant.scope, id).await?;
        tell_engine(tenant);
        match outcome {
            RetryMessage::Missing => Err(KitError::NoMessage),
            RetryMessage::Requeued(_) | RetryMessage::Not(_) => Ok(outcome),
        }
    }

    /// Puts all messages back that fit, as [`retry`](Self::retry) does, chunk by chunk.
    ///
    /// Safe to call twice, and to call again when it was interrupted: a message that was put back is
    /// not put back again before it failed again.
    ///
    /// # Errors
    /// When the store fails; what was put back until then stays so.
    pub async fn redrive(self, of: &RedriveOf) -> Result<RedriveReport, KitError> {
        let tenant = self.tenant();
        let mut report = RedriveReport::default();
        let mut ask = Redrive { of: of.clone(), after: None, limit: CHUNK };
        loop {
            // One walk in the order of the ids meets no message twice, whatever fails meanwhile.
            let done = tenant.kit.store().outbox().redrive(&tenant.scope, &ask).await?;
            tell_engine(tenant);
            report.requeued += done.requeued;
            report.refused += done.refused;
            match done.next {
                Some(next) => ask.after = Some(next),
                None => return Ok(report),
            }
        }
    }
}

impl Campaigns<'_> {
    /// Puts the failed messages of a campaign back that fit the rest of the filter. A completed
    /// campaign goes on for them; a paused one sends them when it is resumed.
    ///
    /// # Errors
    /// When the tenant has no such campaign or the store fails.
    pub async fn redrive(self, id: CampaignId, filter: FailureFilter) -> Result<RedriveReport, KitError> {
        self.counts(id).await?;
        let filter = FailureFilter { campaign: Some(id), ..filter };
        self.tenant().messages().redrive(&RedriveOf::Failed(filter)).await
    }

    /// The last alert about a campaign: why it was paused, or that it fails more than it should.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn alert(self, id: CampaignId) -> Result<Option<CampaignAlert>, KitError> {
        let tenant = self.tenant();
        Ok(tenant.kit.store().reports().alert(&tenant.scope, id).await?)
    }
}

pub(super) fn tell_engine(tenant: &TenantHandle) {
    tenant.kit.inner.work.raise();
    tenant.kit.inner.journal.raise();
}

/// Who knows what to do about a code: the transport of each session, asked for once.
pub(super) struct Advisers<'a> {
    tenant: &'a TenantHandle,
    known: BTreeMap<SessionId, Option<Arc<dyn Transport>>>,
}

impl<'a> Advisers<'a> {
    pub(super) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant, known: BTreeMap::new() }
    }

    /// What to do about a failed message: the transport's advice for the code, or that for the class.
    pub(super) async fn advice(&mut self, message: &MessageView) -> Result<&'static str, KitError> {
        let Some(failure) = message.failure() else { return Ok(advice::WITHOUT_REASON) };
        let session = message.session;
        if !self.known.contains_key(&session) {
            let numbers = self.tenant.kit.store().numbers();
            let found = numbers.session(&self.tenant.scope, session).await?;
            let transports = &self.tenant.kit.inner.ports.transports;
            let transport = found.and_then(|session| transports.get(&session.transport)).map(Arc::clone);
            self.known.insert(session, transport);
        }
        let transport = self.known.get(&session).and_then(Option::as_ref);
        let own = transport.and_then(|transport| transport.advice(failure.code));
        Ok(own.unwrap_or_else(|| advice::advice(failure.class)))
    }
}
