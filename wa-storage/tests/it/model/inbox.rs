//! The calls of a script on webhooks.

use chrono::TimeDelta;
use wa_core::model::{
    AttemptKey, ChargedCategory, Fact, RawId, StatusUpdate, TransportName, WebhookConversation,
};
use wa_core::port::store::{ProjectedEvent, Projection, RawBody, WindowFilter};

use super::script::{Script, Step};
use super::stores::every;
use crate::world::admin;

impl Script {
    fn status(&self) -> ProjectedEvent {
        let place =
            usize::try_from(self.roll(u64::try_from(self.attempts.len()).expect("few") + 1)).expect("few");
        let late = self.attempts.len().saturating_sub(4);
        let place = if self.percent(60) { place.max(late) } else { place };
        let attempt = self.attempts.get(place).copied();
        let own = attempt.and_then(|(_, session)| self.sessions.get(&session)).map(|it| it.number);
        let number = own.filter(|_| self.percent(95)).unwrap_or_else(|| self.roll(4));
        let facts = [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed];
        let fact = *self.pick(&facts).expect("five");
        let ago = i64::try_from(self.roll(5)).expect("small");
        let update = StatusUpdate {
            failure: (fact == Fact::Failed).then(|| self.failure()),
            conversation: self.percent(10).then(|| WebhookConversation {
                id: None,
                origin: Some(ChargedCategory::ReferralConversion),
                expires_at: Some(self.now() + TimeDelta::hours(i64::try_from(self.roll(3)).expect("few"))),
            }),
            pricing: self.pricing(),
            ..StatusUpdate::new(
                self.number(number),
                self.provider_id(place),
                fact,
                self.now() - TimeDelta::seconds(ago),
            )
        };
        let stray = || AttemptKey {
            tenant: self.tenant(),
            message: wa_core::model::MessageId::from_uuid(uuid::Uuid::from_u128(3)),
            n: 1,
        };
        let tag = match self.roll(10) {
            0 => Some(stray()),
            1..=5 => attempt.map(|(key, _)| key),
            _ => None,
        };
        // Hardly ever that of the attempt: a tag of a life that is lost.
        let batch = self.roll(8) == 0;
        let batch = self.batches.last().filter(|_| batch).map(|(id, _)| *id);
        ProjectedEvent::Status { attempt: tag, batch, update }
    }

    fn event(&mut self) -> ProjectedEvent {
        match self.roll(20) {
            0 => ProjectedEvent::Unknown { field: "flows".to_owned() },
            1..=6 => self.written(),
            7..=9 => self.told_of_user(),
            10..=12 => self.decided(),
            _ => self.status(),
        }
    }

    pub(super) fn known_number(&self) -> u64 {
        let (session, _) = self.session();
        self.sessions.get(&session).map_or(0, |known| known.number)
    }

    async fn keep(&mut self) -> Step {
        let transport: TransportName =
            (if self.percent(85) { "cloud" } else { "openwa" }).parse().expect("a name");
        let new = RawBody {
            id: RawId::from_uuid(self.uuid()),
            transport,
            body: format!("body {}", self.roll(400)).into_bytes(),
            received_at: self.now(),
        };
        let bodies = [new];
        let kept = every!(self.stores, s => s.inbox().keep(&admin(), &bodies));
        let good = kept.as_ref().is_ok_and(|it| !it[0].known);
        if good {
            self.bodies.extend(bodies);
        }
        self.tell("keep", good, kept);
        Ok(())
    }

    /// Notes who has got messages.
    async fn listen(&mut self) -> Step {
        self.heard.clear();
        for tenant in self.tenants() {
            let of = wa_core::testing::scope::tenant(tenant);
            if every!(self.stores, s => s.inbox().inbound(&of, None, 1)).is_ok_and(|it| !it.is_empty()) {
                self.heard.push(tenant);
            }
        }
        Ok(())
    }

    async fn project(&mut self) -> Step {
        self.keep().await?;
        let Some(raw) = self.pick_late(&self.bodies).cloned() else { return Ok(()) };
        let mut events = Vec::new();
        for _ in 0..1 + self.roll(4) {
            events.push(self.event());
        }
        let RawBody { id, transport, received_at, .. } = raw;
        let projection = Projection { raw: id, transport, received_at, events };
        let projections = [projection];
        let done = every!(self.stores, s => s.inbox().project(&admin(), &projections));
        self.listen().await?;
        if done.is_ok() && self.percent(85) {
            self.bodies.retain(|it| it.id != id);
        }
        let good = done.as_ref().is_ok_and(|it| *it != wa_core::port::store::Projected::default());
        self.tell("project", good, (projections, done));
        Ok(())
    }

    pub(super) async fn inbox(&mut self) -> Step {
        match self.roll(29) {
            20..=28 => self.converse().await?,
            0..=3 => self.keep().await?,
            4..=13 => self.project().await?,
            14 => {
                self.keep().await?;
                let (after, limit) =
                    (self.pick(&self.bodies).map(|it| it.id).filter(|_| self.percent(20)), self.limit());
                let page = every!(self.stores, s => s.inbox().unprojected(&admin(), after, limit));
                self.tell("unprojected", page.is_ok_and(|it| !it.is_empty()), after);
            }
            15 | 16 => {
                // Mostly a pair that has one, or at least has talked.
                let (session, owner) = self.session();
                let tenant = self.pick(&self.heard).copied().filter(|_| self.percent(90)).unwrap_or(owner);
                let scope = self.scope_of(tenant);
                let every = WindowFilter::default();
                let windows = every!(self.stores, s => s.inbox().windows(&scope, &every, None, 100));
                let heard =
                    every!(self.stores, s => s.inbox().inbound(&scope, None, 100)).unwrap_or_default();
                let (tenant_of, contact) = self.contact();
                let heard = self.pick(&heard).map(|it| (it.session, it.contact));
                let opened = windows.unwrap_or_default();
                let opened = self.pick(&opened).map(|it| (it.session, it.contact));
                let pair = opened.filter(|_| self.percent(70)).or(heard).filter(|_| self.percent(90));
                if pair.is_none() && self.percent(80) {
                    return Ok(());
                }
                let (session, contact) = pair.unwrap_or((session, contact));
                let window = every!(self.stores, s => s.inbox().window(&scope, session, contact));
                self.tell("window", window.is_ok_and(|it| it.is_some()), (session, contact, tenant_of));
            }
            17 | 18 => {
                for _ in 0..2 {
                    if self.heard.is_empty() {
                        self.project().await?;
                    }
                }
                let nobody = self.heard.is_empty() || self.percent(5);
                let tenant = if nobody { self.tenant() } else { *self.pick(&self.heard).expect("some") };
                let after = self.percent(20).then(|| self.roll(3));
                let (scope, limit) = (self.scope_of(tenant), self.limit());
                let page = every!(self.stores, s => s.inbox().inbound(&scope, after, limit));
                self.tell("inbound", page.is_ok_and(|it| !it.is_empty()), after);
            }
            _ => {
                let before = self.now() - TimeDelta::seconds(i64::try_from(self.roll(9)).expect("small"));
                let gone = every!(self.stores, s => s.inbox().prune(&admin(), before));
                self.tell("prune", gone.is_ok(), gone);
            }
        }
        Ok(())
    }
}
