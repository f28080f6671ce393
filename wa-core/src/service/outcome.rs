//! Waiting for what becomes of a message, for callers who answer a request with it.

use std::time::Duration;

use super::error::KitError;
use super::messages::Messages;
use super::tenant::TenantHandle;
use crate::engine::look_until;
use crate::model::{MessageId, MessageView};
use crate::rules::status::{Awaited, is_decided};

/// How long a watch looks before it looks anew; of no consequence to its caller.
const WATCH: Duration = Duration::from_secs(3_600);

/// What became of a message within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageOutcome {
    /// The message as it is now.
    pub message: MessageView,
    /// Whether what was waited for happened in time; if not, it may still happen.
    pub in_time: bool,
}

/// The changes of one message, from [`Messages::watch`].
#[derive(Debug)]
pub struct MessageWatch {
    tenant: TenantHandle,
    id: MessageId,
    last: Option<MessageView>,
}

impl Messages<'_> {
    /// Waits until it is known what became of a message, or the time is over.
    ///
    /// Nothing is polled while nothing happens in this process; what another process does is noticed
    /// within half a second.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn outcome(
        self,
        id: MessageId,
        awaited: Awaited,
        wait: Duration,
    ) -> Result<MessageOutcome, KitError> {
        let grew = &self.tenant().kit.inner.journal;
        let (message, in_time) = look_until(grew, wait, async || {
            let message = self.get(id).await?;
            let decided = is_decided(message.state, awaited);
            Ok::<_, KitError>((message, decided))
        })
        .await?;
        Ok(MessageOutcome { message, in_time })
    }

    /// The changes of a message: first what is known now, then each time more is known.
    #[must_use]
    pub fn watch(self, id: MessageId) -> MessageWatch {
        MessageWatch { tenant: self.tenant().clone(), id, last: None }
    }
}

impl MessageWatch {
    /// The message when more is known of it than before; waits until then. It may show several changes
    /// at once, and never shows the same twice.
    ///
    /// # Errors
    /// When the tenant has no such message or the store fails.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<MessageView, KitError> {
        let Self { tenant, id, last } = self;
        loop {
            let (message, changed) = look_until(&tenant.kit.inner.journal, WATCH, async || {
                let message = tenant.messages().get(*id).await?;
                let changed = last.as_ref() != Some(&message);
                Ok::<_, KitError>((message, changed))
            })
            .await?;
            if changed {
                *last = Some(message.clone());
                return Ok(message);
            }
        }
    }
}
