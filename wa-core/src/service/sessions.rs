//! The sessions of a tenant.

use super::error::KitError;
use super::tenant::TenantHandle;
use crate::model::{
    Breaker, BreakerScope, GapSetting, NewSession, Phone, Session, SessionId, SessionReport, SessionSetting,
    TemplateKey, TemplateRecord, WarmUp,
};
use crate::port::SessionRef;
use crate::port::store::AddSession;

/// The sending numbers of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Sessions<'a> {
    tenant: &'a TenantHandle,
}

/// A number to send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// The name under which its transport is registered with the kit.
    pub transport: String,
    /// The provider's id of the number, such as Meta's phone number id.
    pub id: String,
    /// The account whose messaging limit it shares with others; its own id when `None`.
    pub portfolio: Option<String>,
    /// The account that it belongs to, such as Meta's WhatsApp business account id. Without one the number
    /// hears nothing of what the provider decides about the account and its templates.
    pub account: Option<String>,
    /// The number as people dial it; asked of the provider when `None`.
    pub phone: Option<Phone>,
}

impl Number {
    /// A number of the Cloud API, registered under the transport name `cloud`.
    pub fn cloud(phone_number_id: impl Into<String>) -> Self {
        Self {
            transport: "cloud".to_owned(),
            id: phone_number_id.into(),
            portfolio: None,
            account: None,
            phone: None,
        }
    }

    /// Names the account that it belongs to.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }
}

impl<'a> Sessions<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    /// Adds a number, or finds it again. Safe to call at every start.
    ///
    /// # Errors
    /// When no transport of that name is registered, the plan allows no more, there is no such
    /// tenant, or the store fails.
    pub async fn add(self, number: &Number) -> Result<Session, KitError> {
        let inner = &self.tenant.kit.inner;
        let transport = number.transport.parse()?;
        if !inner.ports.transports.contains_key(&transport) {
            return Err(KitError::NoTransport(transport));
        }
        let new = NewSession {
            id: SessionId::mint(inner.ports.clock.now(), inner.ports.draw()),
            transport,
            number: number.id.parse()?,
            portfolio: number.portfolio.clone().unwrap_or_else(|| number.id.clone()),
            account: number.account.clone(),
            phone: number.phone,
        };
        match inner.ports.store.numbers().add_session(&self.tenant.scope, &new).await? {
            AddSession::Added(session) => {
                inner.work.raise();
                Ok(session)
            }
            AddSession::Known(session) => Ok(session),
            AddSession::OverPlan { limit } => Err(KitError::OverPlan { limit }),
            AddSession::NoTenant => Err(KitError::NoTenant),
        }
    }

    /// One session.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn get(self, id: SessionId) -> Result<Session, KitError> {
        let store = self.tenant.kit.store();
        store.numbers().session(&self.tenant.scope, id).await?.ok_or(KitError::NoSession(Some(id)))
    }

    /// The sessions in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(self, after: Option<SessionId>, limit: u32) -> Result<Vec<Session>, KitError> {
        Ok(self.tenant.kit.store().numbers().sessions(&self.tenant.scope, after, limit).await?)
    }

    /// Asks the provider about the number now, and stores what it says.
    ///
    /// # Errors
    /// When the provider does not answer or the session is unknown.
    pub async fn check(self, id: SessionId) -> Result<Session, KitError> {
        let (session, transport) = self.reach(id).await?;
        let report = transport.session(&session).await?;
        let numbers = self.tenant.kit.store().numbers();
        let stored = numbers.report_session(&self.tenant.scope, id, &report).await?;
        stored.ok_or(KitError::NoSession(Some(id)))
    }

    /// Takes over what the caller knows about a number; `None` fields stay as they are.
    ///
    /// # Errors
    /// When the session is unknown or the store fails.
    pub async fn report(self, id: SessionId, report: &SessionReport) -> Result<Session, KitError> {
        let numbers = self.tenant.kit.store().numbers();
        let stored = numbers.report_session(&self.tenant.scope, id, report).await?;
        stored.ok_or(KitError::NoSession(Some(id)))
    }

    /// Sets how many messages a day a new number may send, or ends its warm-up; it binds every message
    /// that begins afterwards.
    ///
    /// # Errors
    /// When a cap is out of range, the session is unknown or the store fails.
    pub async fn set_warm_up(self, id: SessionId, warm_up: Option<WarmUp>) -> Result<Session, KitError> {
        self.set(id, SessionSetting::WarmUp(warm_up)).await
    }

    /// Sets the pause between two messages of a number.
    ///
    /// # Errors
    /// When it is out of range, the session is unknown or the store fails.
    pub async fn set_gap(self, id: SessionId, gap: GapSetting) -> Result<Session, KitError> {
        self.set(id, SessionSetting::Gap(gap)).await
    }

    async fn set(self, id: SessionId, change: SessionSetting) -> Result<Session, KitError> {
        change.validate()?;
        let stored = self.tenant.kit.store().numbers().set_session(&self.tenant.scope, id, &change).await?;
        self.tenant.kit.inner.work.raise();
        stored.ok_or(KitError::NoSession(Some(id)))
    }

    /// What is stopped, and why.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn breakers(self) -> Result<Vec<Breaker>, KitError> {
        Ok(self.tenant.kit.store().numbers().breakers(&self.tenant.scope).await?)
    }

    /// The templates of its accounts as the provider last spoke of them, in order of their keys; `after` is
    /// exclusive. Only what webhooks said since the account was named is here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn templates(
        self,
        after: Option<&TemplateKey>,
        limit: u32,
    ) -> Result<Vec<TemplateRecord>, KitError> {
        Ok(self.tenant.kit.store().numbers().templates(&self.tenant.scope, after, limit).await?)
    }

    /// Lets a stopped session or template go on, once its cause is gone; `false` when it was not stopped.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reset(self, what: &BreakerScope) -> Result<bool, KitError> {
        let reset = self.tenant.kit.store().numbers().reset_breaker(&self.tenant.scope, what).await?;
        self.tenant.kit.inner.work.raise();
        Ok(reset)
    }

    /// A session with the transport that serves it.
    pub(crate) async fn reach(
        self,
        id: SessionId,
    ) -> Result<(SessionRef, std::sync::Arc<dyn crate::port::Transport>), KitError> {
        let session = self.get(id).await?;
        let transports = &self.tenant.kit.inner.ports.transports;
        let Some(transport) = transports.get(&session.transport) else {
            return Err(KitError::NoTransport(session.transport));
        };
        let reference = SessionRef {
            tenant: self.tenant.id(),
            id: session.id,
            transport: session.transport,
            number: session.number,
        };
        Ok((reference, std::sync::Arc::clone(transport)))
    }
}
