//! What events name, what stands for it, and whose rows are locked for them.
//!
//! Invariant: a status is merged, or made to wait, by whoever holds every session of its number; everything
//! else is done by whoever holds the tenant by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{AttemptKey, Fact, NumberId, SessionId, TenantId, TransportName};
use wa_core::port::store::{ProjectedEvent, Projection, Route};
use wa_core::rules::effects;

use super::status::{Place, Told};
use crate::postgres::codec::{get, id, text};
use crate::postgres::error::Fallible;
use crate::postgres::outbox::merge::needs::{self, Needs};
use crate::postgres::tx::{Locks, Tx};

/// A number under a transport.
type Number<'a> = (&'a str, &'a str);

/// How much of what belongs to a number an event may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// The attempts of its sessions.
    Attempts,
    /// Whatever their tenants have.
    Tenants,
}

/// What events name.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    numbers: BTreeMap<Number<'a>, Reach>,
    accounts: BTreeSet<(&'a str, String)>,
    /// The statuses, in order.
    pub(super) statuses: Vec<Told<'a>>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(projections: impl IntoIterator<Item = &'a Projection>) -> Self {
        let mut asked = Self::default();
        for projection in projections {
            for event in &projection.events {
                asked.add(projection, event);
            }
        }
        asked
    }

    fn add(&mut self, projection: &'a Projection, event: &'a ProjectedEvent) {
        let Projection { raw, transport, received_at, events: _ } = projection;
        let (number, reach) = match event {
            ProjectedEvent::Status { attempt, batch, update } => {
                let (raw, received_at) = (*raw, *received_at);
                let tagged = attempt.map(|key| (key, *batch));
                self.statuses.push(Told { raw, transport, received_at, tagged, update });
                let binds = update.failure.as_ref().is_some_and(needs::binds);
                (&update.number, if binds { Reach::Tenants } else { Reach::Attempts })
            }
            ProjectedEvent::Message { message, fresh_contact: _, consent: _ } => {
                (&message.number, Reach::Tenants)
            }
            ProjectedEvent::Echo { echo, fresh_contact: _ } => (&echo.number, Reach::Tenants),
            ProjectedEvent::UserChanged { change } => (&change.number, Reach::Tenants),
            ProjectedEvent::Preference { preference, fresh_contact: _ } => {
                (&preference.number, Reach::Tenants)
            }
            ProjectedEvent::Decision { event } => {
                if let Some(ruling) = effects::ruling(event) {
                    self.accounts.insert((transport.as_str(), text(&ruling.account).into_owned()));
                }
                return;
            }
            ProjectedEvent::Unknown { field: _ } => return,
        };
        let known = self.numbers.entry((transport.as_str(), number.as_str())).or_insert(reach);
        *known = reach.max(*known);
    }

    /// Lets every event reach as far as any could.
    pub(super) fn with_the_longest_reach(&mut self) {
        self.numbers.values_mut().for_each(|reach| *reach = Reach::Tenants);
    }

    /// Whose rows the events are about.
    pub(super) async fn concerned(
        &self,
        conn: &mut PgConnection,
        numbers: &Numbers<'_>,
        places: &[Place],
    ) -> Fallible<Held> {
        let mut held = Held::default();
        for (number, reach) in &self.numbers {
            for of in numbers.of(number.0, number.1) {
                match reach {
                    Reach::Attempts => drop(held.sessions.insert((of.tenant, of.session))),
                    Reach::Tenants => drop(held.tenants.insert(of.tenant)),
                }
            }
        }
        for (Told { update, .. }, place) in self.statuses.iter().zip(places) {
            if let Place::Of(key, _) = place {
                held.need(*key, Needs::of_status(update.fact, update.failure.as_ref()));
            }
        }
        held.tenants.extend(self.of_accounts(conn).await?);
        Ok(held)
    }

    /// The tenants of the accounts.
    async fn of_accounts(&self, conn: &mut PgConnection) -> Fallible<Vec<TenantId>> {
        if self.accounts.is_empty() {
            return Ok(Vec::new());
        }
        let (transports, accounts): (Vec<&str>, Vec<&str>) =
            self.accounts.iter().map(|(transport, account)| (*transport, account.as_str())).unzip();
        let found = sqlx::query(
            "SELECT DISTINCT s.tenant FROM unnest($1::text[], $2::text[]) AS u (transport, account) \
             CROSS JOIN LATERAL (SELECT x.tenant FROM session x WHERE x.transport = u.transport \
                 AND x.account = u.account AND x.state <> 'deleted' OFFSET 0) s",
        )
        .bind(transports)
        .bind(accounts)
        .try_map(|row: PgRow| id(&row, 0))
        .fetch_all(conn)
        .await?;
        Ok(found)
    }
}

/// A session of a number.
#[derive(Debug, Clone, Copy)]
struct OfNumber {
    tenant: TenantId,
    session: SessionId,
    is_deleted: bool,
}

/// Every session of the numbers that events name, deleted ones included, in the order of their tenants; by
/// transport and number.
#[derive(Debug)]
pub(super) struct Numbers<'a>(HashMap<&'a str, HashMap<&'a str, Vec<OfNumber>>>);

impl<'a> Numbers<'a> {
    pub(super) async fn read(conn: &mut PgConnection, asked: &Asked<'a>) -> Fallible<Self> {
        let mut found = HashMap::<_, HashMap<_, _>>::new();
        if asked.numbers.is_empty() {
            return Ok(Self(found));
        }
        let (transports, numbers): (Vec<&str>, Vec<&str>) = asked.numbers.keys().copied().unzip();
        let rows: Vec<(i64, OfNumber)> = sqlx::query(
            "SELECT u.place, s.tenant, s.id, s.state = 'deleted' \
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (transport, number, place) \
             CROSS JOIN LATERAL (SELECT x.tenant, x.id, x.state FROM session x \
                 WHERE x.transport = u.transport AND x.number = u.number OFFSET 0) s \
             ORDER BY u.place, s.tenant",
        )
        .bind(transports)
        .bind(numbers)
        .try_map(|row: PgRow| {
            let of = OfNumber { tenant: id(&row, 1)?, session: id(&row, 2)?, is_deleted: get(&row, 3)? };
            Ok((get(&row, 0)?, of))
        })
        .fetch_all(conn)
        .await?;
        let mut rows = rows.into_iter().peekable();
        for (place, (transport, number)) in (1_i64..).zip(asked.numbers.keys()) {
            let of = std::iter::from_fn(|| rows.next_if(|(at, _)| *at == place).map(|(_, of)| of));
            found.entry(*transport).or_default().insert(*number, of.collect());
        }
        Ok(Self(found))
    }

    /// The sessions that a number stands for under the body's transport.
    pub(super) fn routes(&self, transport: &TransportName, number: &NumberId) -> Vec<Route> {
        let alive = self.of(transport.as_str(), number.as_str()).filter(|of| !of.is_deleted);
        alive.map(|of| Route { tenant: of.tenant, session: of.session }).collect()
    }

    /// Every session of a number under the body's transport, deleted ones included.
    pub(super) fn sessions(
        &self,
        transport: &TransportName,
        number: &NumberId,
    ) -> impl Iterator<Item = SessionId> + use<'a, '_> {
        self.of(transport.as_str(), number.as_str()).map(|of| of.session)
    }

    fn of<'b>(&'b self, transport: &str, number: &str) -> impl Iterator<Item = &'b OfNumber> + use<'a, 'b> {
        self.0.get(transport).and_then(|numbers| numbers.get(number)).into_iter().flatten()
    }
}

/// Whose rows are locked, or to be locked.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// With everything that is theirs.
    tenants: BTreeSet<TenantId>,
    /// With their attempts.
    sessions: BTreeSet<(TenantId, SessionId)>,
    /// With their messages, and what their outcomes may change.
    attempts: BTreeMap<AttemptKey, Needs>,
}

impl Held {
    /// Whether a tenant is held by itself.
    pub(super) fn has(&self, tenant: TenantId) -> bool {
        self.tenants.contains(&tenant)
    }

    /// An attempt gets news.
    pub(super) fn need(&mut self, key: AttemptKey, needs: Needs) {
        let known = self.attempts.entry(key).or_default();
        *known = known.and(needs);
    }

    /// Lets the news of every attempt be that it was not delivered.
    pub(super) fn need_the_worst(&mut self) {
        let worst = Needs::of_status(Fact::Failed, None);
        self.attempts.values_mut().for_each(|needs| *needs = needs.and(worst));
    }

    /// The attempts of which it may turn out that they did not deliver.
    pub(super) fn undelivered(&self) -> Vec<AttemptKey> {
        self.attempts.iter().filter(|(_, needs)| needs.gives_back()).map(|(key, _)| *key).collect()
    }

    pub(super) fn add(&mut self, more: Self) {
        let Self { tenants, sessions, attempts } = more;
        self.tenants.extend(tenants);
        self.sessions.extend(sessions);
        for (key, needs) in attempts {
            self.need(key, needs);
        }
    }

    pub(super) fn covers(&self, needed: &Self) -> bool {
        let Self { tenants, sessions, attempts } = needed;
        let has_needs = |key: &AttemptKey, needs: &Needs| {
            self.attempts.get(key).is_some_and(|known| known.and(*needs) == *known)
        };
        tenants.iter().all(|tenant| self.has(*tenant))
            && sessions.iter().all(|of| self.has(of.0) || self.sessions.contains(of))
            && attempts.iter().all(|(key, needs)| has_needs(key, needs))
    }

    /// Takes the locks, and reads the clock.
    pub(super) async fn lock(&self, tx: &mut Tx) -> Fallible<()> {
        let Self { tenants, sessions, attempts } = self;
        let shared = std::sync::Arc::clone(&tx.shared);
        let mut locks = Locks::none();
        for tenant in tenants {
            locks = locks.and_tenant(&shared, *tenant);
        }
        // A tenant by itself has its sessions to itself.
        for (tenant, session) in sessions.iter().filter(|(tenant, _)| !self.has(*tenant)) {
            locks = locks.and_session(&shared, *tenant, *session);
        }
        if !attempts.is_empty() {
            locks = needs::locks(tx, attempts, locks).await?;
        }
        tx.lock(locks).await
    }
}
