//! Intake: verify, store the raw body, answer, then apply what it says.
//!
//! Nothing unverified is stored, nothing is answered with 200 before it is stored, and one bad
//! event never keeps its siblings from being applied.

use futures::channel::oneshot;
use futures::future::join;

use super::ports::Ports;
use crate::model::{AttemptTag, ContactId, InboundEvent, RawId};
use crate::port::store::{
    KeptRaw, Projected, ProjectedEvent, Projection, RawBody, StoreError, StoreErrorKind,
};
use crate::rules::consent;

/// A verified body and where to tell that it is stored.
#[derive(Debug)]
pub(crate) struct IntakeRequest {
    pub(crate) body: RawBody,
    pub(crate) kept: oneshot::Sender<Result<(), StoreErrorKind>>,
}

/// The steps of intake.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    ports: Ports,
}

impl Intake {
    pub(crate) const fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Stores bodies durably; only then may their senders be told 200.
    pub(crate) async fn keep(&self, bodies: &[RawBody]) -> Result<Vec<KeptRaw>, StoreError> {
        self.ports.store.inbox().keep(&self.ports.admin(), bodies).await
    }

    /// Stores bodies and applies them, and others that were stored before, in as few commits as the
    /// store allows. The second result is about applying only.
    pub(crate) async fn keep_and_project(
        &self,
        bodies: &[RawBody],
        before: &[RawBody],
    ) -> (Result<Vec<KeptRaw>, StoreError>, Result<Projected, StoreError>) {
        let all = before.iter().chain(bodies);
        if self.ports.store.commits_in_order() {
            // A body that is known already has been applied, and is not applied again.
            return join(self.keep(bodies), self.project(all)).await;
        }
        match self.keep(bodies).await {
            Ok(kept) => (Ok(kept), self.project(all).await),
            // Their senders come again; what was stored before is applied all the same.
            Err(error) => (Err(error), self.project(before).await),
        }
    }

    /// Applies stored bodies. A body that cannot be applied does not block the others.
    pub(crate) async fn project(
        &self,
        bodies: impl IntoIterator<Item = &RawBody>,
    ) -> Result<Projected, StoreError> {
        let projections: Vec<_> = bodies.into_iter().map(|body| self.translate(body)).collect();
        let inbox = self.ports.store.inbox();
        match inbox.project(&self.ports.admin(), &projections).await {
            Err(error) if error.kind() == StoreErrorKind::Broken && projections.len() > 1 => {
                let mut sum = Projected::default();
                for projection in &projections {
                    match inbox.project(&self.ports.admin(), std::slice::from_ref(projection)).await {
                        Ok(one) => add(&mut sum, one),
                        // It stays stored and not applied, for somebody to look at.
                        Err(error) if error.kind() == StoreErrorKind::Broken => {
                            tracing::error!(raw = %projection.raw, %error, "a webhook body could not be applied");
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(sum)
            }
            Err(error) if error.kind() == StoreErrorKind::Broken => {
                tracing::error!(%error, "a webhook body could not be applied");
                Ok(Projected::default())
            }
            other => other,
        }
    }

    /// Applies one page of what an earlier process stored and did not apply; where the next page starts.
    pub(crate) async fn catch_up(
        &self,
        after: Option<RawId>,
        limit: u32,
    ) -> Result<Option<RawId>, StoreError> {
        let left = self.ports.store.inbox().unprojected(&self.ports.admin(), after, limit).await?;
        let Some(last) = left.last().map(|body| body.id) else { return Ok(None) };
        self.project(&left).await?;
        Ok(Some(last))
    }

    fn translate(&self, raw: &RawBody) -> Projection {
        let source = self.ports.sources.get(&raw.transport);
        let events = source.map(|source| source.parse(&raw.body, raw.received_at)).unwrap_or_default();
        Projection {
            raw: raw.id,
            transport: raw.transport.clone(),
            received_at: raw.received_at,
            events: events.into_iter().map(|event| self.examine(event)).collect(),
        }
    }

    fn examine(&self, event: InboundEvent) -> ProjectedEvent {
        match event {
            InboundEvent::Status(update) => {
                let identity = &self.ports.identity;
                let attempt = update
                    .echo
                    .as_deref()
                    .and_then(|echo| AttemptTag::verify(echo, identity.instance, &identity.tag_key).ok());
                let (attempt, batch) = attempt.unzip();
                ProjectedEvent::Status { attempt, batch, update }
            }
            InboundEvent::Message(message) => ProjectedEvent::Message {
                fresh_contact: self.fresh_contact(),
                consent: message.text().and_then(consent::word),
                message,
            },
            InboundEvent::Echo(echo) => ProjectedEvent::Echo { echo, fresh_contact: self.fresh_contact() },
            InboundEvent::UserChanged(change) => ProjectedEvent::UserChanged { change },
            InboundEvent::Preference(preference) => {
                ProjectedEvent::Preference { preference, fresh_contact: self.fresh_contact() }
            }
            InboundEvent::Unknown { field } => ProjectedEvent::Unknown { field },
            event @ (InboundEvent::TemplateStatus(_)
            | InboundEvent::TemplateQuality(_)
            | InboundEvent::TemplateCategory(_)
            | InboundEvent::TemplateComponents(_)
            | InboundEvent::NumberQuality(_)
            | InboundEvent::NumberName(_)
            | InboundEvent::BusinessCapability(_)
            | InboundEvent::Account(_)
            | InboundEvent::AccountAlert(_)
            | InboundEvent::AccountReview(_)
            | InboundEvent::Security(_)) => ProjectedEvent::Decision { event },
            event @ (InboundEvent::IdentityChanged(_)
            | InboundEvent::Error(_)
            | InboundEvent::History(_)
            | InboundEvent::AppState(_)
            | InboundEvent::Standby(_)
            | InboundEvent::Other(_)) => ProjectedEvent::Unknown { field: event.name().to_owned() },
        }
    }

    fn fresh_contact(&self) -> ContactId {
        ContactId::mint(self.ports.clock.now(), self.ports.draw())
    }
}

fn add(sum: &mut Projected, one: Projected) {
    let Projected { changed, inbound, waiting, foreign, unknown, sessions, metered } = one;
    sum.changed.extend(changed);
    sum.inbound += inbound;
    sum.waiting += waiting;
    sum.foreign += foreign;
    sum.unknown += unknown;
    for session in sessions {
        sum.sessions.retain(|known| known.id != session.id);
        sum.sessions.push(session);
    }
    sum.metered.extend(metered);
}
