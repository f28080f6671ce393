//! Writes what a transaction changed beside its rows, in one statement.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use uuid::Uuid;
use wa_core::model::{EventBody, EventId, MessageId, TenantId};
use wa_core::port::Entropy;

use super::codec::{campaign_key, to_json, uuids};
use super::error::Fallible;
use super::tx::Tx;
use super::{alerts, booked};
use crate::common::changes::{CampaignLook, Changes, Delta, Written, pack};

/// A statement whose parameters are being bound.
pub(super) type Statement<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// The parts of a statement that write journal, doubts and counts, with the parameters $1 to $13; those of
/// [`booked::PARTS`] go up to [`PARAMETERS`].
const PARTS: &str = "journaled AS (INSERT INTO journal (id, tenant, at, body, changes) \
         SELECT u.id, u.tenant, $1, u.body, u.changes \
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bytea[]) WITH ORDINALITY \
         AS u (id, tenant, body, changes, place) ORDER BY u.place), \
     doubted AS (INSERT INTO doubt (tenant, message, session, look_at) \
         SELECT u.tenant, u.message, a.session, $1 FROM unnest($6::uuid[], $7::uuid[]) AS u (tenant, message) \
         CROSS JOIN LATERAL (SELECT x.session FROM attempt x \
             WHERE x.tenant = u.tenant AND x.message = u.message ORDER BY x.n DESC LIMIT 1) a \
         ON CONFLICT DO NOTHING), \
     resolved AS (DELETE FROM doubt d USING unnest($8::uuid[], $9::uuid[]) AS u (tenant, message) \
         WHERE d.tenant = u.tenant AND d.message = u.message), \
     counted AS (INSERT INTO delta (tenant, campaign, counter, n) \
         SELECT * FROM unnest($10::uuid[], $11::uuid[], $12::text[], $13::bigint[]))";

/// How many parameters [`parts`] take.
pub(super) const PARAMETERS: usize = 28;

/// The parts of a statement that write everything that [`bind`] binds, for a `WITH`.
pub(super) fn parts() -> String {
    format!("{PARTS}, {}", booked::PARTS)
}

/// Binds what [`parts`] take; the campaigns that have to be looked at afterwards.
pub(super) fn bind<'q>(
    statement: Statement<'q>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    written: Written,
) -> Fallible<(Statement<'q>, Vec<CampaignLook>)> {
    let Written { events, doubted, resolved, deltas, booked, looks } = written;
    let (mut ids, mut tenants) = (Vec::<Uuid>::new(), Vec::<Uuid>::new());
    let (mut bodies, mut packed) = (Vec::<Option<String>>::new(), Vec::<Option<Vec<u8>>>::new());
    for (tenant, body) in events {
        let mut random = [0; 10];
        entropy.fill(&mut random);
        ids.push(EventId::mint(now, random).as_uuid());
        tenants.push(tenant.as_uuid());
        let (text, changes) = match body {
            EventBody::Messages { changes } => (None, Some(pack(&changes))),
            other => (Some(to_json(&other)?), None),
        };
        bodies.push(text);
        packed.push(changes);
    }
    let (doubting, doubts): (Vec<TenantId>, Vec<MessageId>) = doubted.into_iter().unzip();
    let (resolving, resolved): (Vec<TenantId>, Vec<MessageId>) = resolved.into_iter().unzip();
    let campaign = |delta: &Delta| campaign_key(delta.campaign);
    let statement = statement
        .bind(now)
        .bind(ids)
        .bind(tenants)
        .bind(bodies)
        .bind(packed)
        .bind(uuids(doubting))
        .bind(uuids(doubts))
        .bind(uuids(resolving))
        .bind(uuids(resolved))
        .bind(uuids(deltas.iter().map(|delta| delta.tenant)))
        .bind(deltas.iter().map(campaign).collect::<Vec<Uuid>>())
        .bind(deltas.iter().map(|delta| delta.counter.key().to_string()).collect::<Vec<_>>())
        .bind(deltas.iter().map(|delta| delta.n).collect::<Vec<_>>());
    Ok((booked::bind(statement, booked), looks))
}

impl Tx {
    /// Writes the journal, the counts and what follows from them.
    pub(super) async fn write(&mut self, changes: Changes) -> Fallible<()> {
        /// Put together once: it is the same for every transaction.
        static WRITE: LazyLock<String> = LazyLock::new(|| format!("WITH {} SELECT 1", parts()));
        let written = changes.finish();
        if written.is_empty() {
            return Ok(());
        }
        let statement = sqlx::query(WRITE.as_str());
        let shared = std::sync::Arc::clone(&self.shared);
        let (statement, looks) = bind(statement, self.now, shared.entropy.as_ref(), written)?;
        statement.execute(self.conn()).await?;
        for look in looks {
            alerts::look_at(self, look).await?;
        }
        Ok(())
    }

    /// Appends one event.
    pub(super) async fn journal(&mut self, tenant: TenantId, body: EventBody) -> Fallible<()> {
        let mut changes = Changes::default();
        changes.event(tenant, body);
        self.write(changes).await
    }
}
