//! Messages of which nobody knows whether they were sent: what a person says about them.

use super::error::KitError;
use super::failures::tell_engine;
use super::messages::Messages;
use crate::model::{MessageId, Resolution};
use crate::port::store::ResolveMessage;

impl Messages<'_> {
    /// Says what became of a message that is in doubt, or sends it again.
    ///
    /// [`Resolution::Resend`] makes one more attempt, whatever the policy: **if the message was sent after
    /// all, its recipient gets it twice**. Every rule is asked again before it goes, and until it has begun
    /// the message stays in doubt. What is said otherwise is a fact about its attempts: a webhook that says
    /// more, or something else, still counts. Safe to call twice.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, Number}, testing::ScriptedTransport};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let clock = Arc::new(SystemClock);
    /// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    /// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
    /// # let tenant = kit.tenants().ensure("acme").await?;
    /// # let session = tenant.sessions().add(&Number::cloud("100")).await?;
    /// # let to = wa_core::model::Phone::parse("+4915112345678", None)?;
    /// use wa_core::model::{Content, MessageState, Resolution};
    /// use wa_core::port::store::ResolveMessage;
    /// use wa_core::service::Message;
    ///
    /// let sent = tenant.messages().send(Message::new(session.id, to, Content::text("Hello")?)).await?;
    /// let answer = tenant.messages().resolve(sent.id, Resolution::Delivered).await?;
    /// assert_eq!(answer, ResolveMessage::Not(MessageState::Pending)); // it is not in doubt
    /// for doubtful in tenant.messages().in_doubt(None, 100).await? {
    ///     tenant.messages().resolve(doubtful.id, Resolution::Undelivered).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn resolve(self, id: MessageId, resolution: Resolution) -> Result<ResolveMessage, KitError> {
        let tenant = self.tenant();
        let outcome = tenant.kit.store().outbox().resolve(&tenant.scope, id, resolution).await?;
        tell_engine(tenant);
        match outcome {
            ResolveMessage::Missing => Err(KitError::NoMessage),
            ResolveMessage::Resolved(_)
            | ResolveMessage::Requeued(_)
            | ResolveMessage::Barred(_)
            | ResolveMessage::Not(_) => Ok(outcome),
        }
    }
}
