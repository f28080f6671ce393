//! Webhooks, and what they say.

use chrono::{DateTime, Utc};

use super::{TRANSPORT, World, must, only, value};
use crate::model::{
    AccountChange, AccountUpdate, Category, Consent, ContactId, Echo, Fact, InboundBody, InboundEvent,
    InboundMessage, NewSession, Quality, RawId, Recipient, Session, StatusUpdate, TemplateCategoryChange,
    TemplateEvent, TemplateQuality, TemplateRef, TemplateStatus, Tier,
};
use crate::port::Scope;
use crate::port::store::{Projected, ProjectedEvent, Projection, RawBody};

impl World {
    pub(in crate::testing::store) fn raw(&self, bytes: &[u8]) -> RawBody {
        RawBody {
            id: self.mint(RawId::mint),
            transport: value(TRANSPORT),
            body: bytes.to_vec(),
            received_at: self.now(),
        }
    }

    /// Keeps a body of its own for these events and gives their projection.
    pub(in crate::testing::store) async fn kept(&self, events: Vec<ProjectedEvent>) -> Projection {
        let raw = self.raw(format!("body {}", self.count()).as_bytes());
        let kept = only(must(self.inbox().keep(&self.admin(), std::slice::from_ref(&raw)).await));
        assert!(!kept.known, "the body is new");
        Projection { raw: kept.id, transport: raw.transport, received_at: raw.received_at, events }
    }

    /// Receives a webhook that says this.
    pub(in crate::testing::store) async fn hear(&self, events: Vec<ProjectedEvent>) -> Projected {
        let projection = self.kept(events).await;
        must(self.inbox().project(&self.admin(), &[projection]).await)
    }

    pub(in crate::testing::store) fn status(
        &self,
        session: &Session,
        provider_id: &str,
        fact: Fact,
    ) -> StatusUpdate {
        StatusUpdate::new(session.number.clone(), provider_id, fact, self.now())
    }

    pub(in crate::testing::store) fn wrote(
        &self,
        session: &Session,
        from: impl Into<Recipient>,
    ) -> InboundMessage {
        let id = format!("inbound.{}", self.count());
        InboundMessage::new(session.number.clone(), id, from, self.now(), InboundBody::text("hello"))
    }

    pub(in crate::testing::store) fn inbound(
        &self,
        message: InboundMessage,
        consent: Option<Consent>,
    ) -> ProjectedEvent {
        ProjectedEvent::Message { message, fresh_contact: self.mint(ContactId::mint), consent }
    }

    /// A user writes to a session now, which opens the window.
    pub(in crate::testing::store) async fn user_writes(&self, session: &Session, from: impl Into<Recipient>) {
        let projected = self.hear(vec![self.inbound(self.wrote(session, from), None)]).await;
        assert_eq!(projected.inbound, 1, "an inbound message is new");
    }

    /// A session of an account that others are decided about.
    pub(in crate::testing::store) async fn of_account(&self, scope: &Scope, account: &str) -> Session {
        let new = NewSession { account: Some(account.to_owned()), ..self.new_session() };
        self.session_of(scope, &new, Tier::Unlimited).await
    }

    /// Receives what the provider decided.
    pub(in crate::testing::store) async fn decide(&self, event: InboundEvent) -> Projected {
        self.hear(vec![ProjectedEvent::Decision { event }]).await
    }

    pub(in crate::testing::store) fn template_status(
        &self,
        name: &str,
        event: TemplateEvent,
        at: DateTime<Utc>,
    ) -> InboundEvent {
        InboundEvent::TemplateStatus(TemplateStatus {
            account: "waba.1".to_owned(),
            template: self.template_ref(name),
            category: None,
            event,
            reason: None,
            title: None,
            description: None,
            recommendation: None,
            disable_date: None,
            at,
        })
    }

    pub(in crate::testing::store) fn template_quality(
        &self,
        name: &str,
        new: Quality,
        at: DateTime<Utc>,
    ) -> InboundEvent {
        let (account, template) = ("waba.1".to_owned(), self.template_ref(name));
        InboundEvent::TemplateQuality(TemplateQuality { account, template, previous: None, new, at })
    }

    pub(in crate::testing::store) fn template_category(
        &self,
        name: &str,
        to: Category,
        is_final: bool,
        at: DateTime<Utc>,
    ) -> InboundEvent {
        let (account, template) = ("waba.1".to_owned(), self.template_ref(name));
        let change =
            TemplateCategoryChange { account, template, from: None, to, is_final, effective_at: None, at };
        InboundEvent::TemplateCategory(change)
    }

    fn template_ref(&self, name: &str) -> TemplateRef {
        TemplateRef { id: None, name: Some(value(name)), language: Some(value("en_US")) }
    }

    pub(in crate::testing::store) fn account_update(
        &self,
        change: AccountChange,
        at: DateTime<Utc>,
    ) -> InboundEvent {
        InboundEvent::Account(AccountUpdate {
            account: "waba.1".to_owned(),
            display_phone_number: None,
            name: "ACCOUNT_UPDATE".to_owned(),
            change,
            at,
        })
    }

    pub(in crate::testing::store) fn typed(
        &self,
        session: &Session,
        to: impl Into<Recipient>,
        text: &str,
    ) -> Echo {
        Echo {
            number: session.number.clone(),
            provider_id: format!("echo.{}", self.count()),
            to: Some(to.into()),
            at: self.now(),
            body: InboundBody::text(text),
        }
    }

    pub(in crate::testing::store) fn echo(&self, echo: Echo) -> ProjectedEvent {
        ProjectedEvent::Echo { echo, fresh_contact: self.mint(ContactId::mint) }
    }
}
