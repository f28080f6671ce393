//! Attempts that were taken and never heard of.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{AlertSettings, EventBody, MessageId, SessionId, TenantId, TenantSettings};
use wa_core::port::WorkerScope;
use wa_core::port::store::{Listened, StoreError};
use wa_core::rules::silence::{Ear, Heard, hear};

use super::merge::settings_of_all;
use crate::common::changes::Changes;
use crate::postgres::codec::{ago, facts, get, id, int, opt_at, ts, uint, uuids};
use crate::postgres::error::Fallible;
use crate::postgres::tx::{Access, Locks, Tx};
use crate::postgres::{PostgresStore, page_size};

/// The sessions that a worker holds, in order, with what was heard of them.
const HELD: &str = "SELECT u.session, l.tenant, h.upto, h.silent, h.deaf \
     FROM unnest($1::uuid[], $2::bigint[]) AS u (session, epoch) \
     CROSS JOIN LATERAL (SELECT x.tenant FROM session_lease x \
         WHERE x.session = u.session AND x.epoch = u.epoch AND x.worker = $3 AND x.until > $4 LIMIT 1) l \
     LEFT JOIN LATERAL (SELECT x.upto, x.silent, x.deaf FROM listened x \
         WHERE x.session = u.session LIMIT 1) h ON true \
     ORDER BY u.session";
/// The sessions that have attempts between two instants.
const READY: &str = "SELECT u.session \
     FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS u (session, since, until) \
     CROSS JOIN LATERAL (SELECT 1 FROM attempt x \
         WHERE x.session = u.session AND x.begun_at > u.since AND x.begun_at <= u.until \
         ORDER BY x.begun_at LIMIT 1) a";
const LAST_OF_CHUNK: &str = "SELECT max(c.begun_at) FROM (SELECT begun_at FROM attempt \
     WHERE session = $1 AND begun_at > $2 AND begun_at <= $3 ORDER BY begun_at LIMIT $4) c";
/// Those that began together in the order of their ids.
const CHUNK: &str = "SELECT a.message, a.n, \
     r.not_sent_at, r.rejected_at, r.accepted_at, r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, \
     r.played_at, r.failed_at, r.released_at, r.code, r.class, r.title, r.details, r.provider_id, r.charge \
     FROM attempt a \
     LEFT JOIN LATERAL (SELECT * FROM result x \
         WHERE x.tenant = a.tenant AND x.message = a.message AND x.n = a.n LIMIT 1) r ON true \
     WHERE a.session = $1 AND a.begun_at > $2 AND a.begun_at <= $3 ORDER BY a.begun_at, a.message, a.n";
const MORE: &str = "SELECT begun_at FROM attempt \
     WHERE session = $1 AND begun_at > $2 AND begun_at <= $3 ORDER BY begun_at LIMIT 1";
const PUT_SILENT: &str = "INSERT INTO silent (tenant, message, n) SELECT $1, u.message, u.n \
     FROM unnest($2::uuid[], $3::bigint[]) AS u (message, n) ON CONFLICT DO NOTHING";
const PUT_LISTENED: &str = "INSERT INTO listened (tenant, session, upto, silent, deaf) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (session) DO UPDATE SET upto = excluded.upto, \
     silent = excluded.silent, deaf = excluded.deaf";

pub(super) async fn listen(
    store: &PostgresStore,
    scope: &WorkerScope,
    limit: u32,
) -> Result<Listened, StoreError> {
    let mut tx = store.open(Access::Engine).await?;
    let listened = locked(&mut tx, scope, limit).await;
    tx.end(listened).await
}

/// Locks only those sessions of which there is something to hear: no status comes meanwhile.
async fn locked(tx: &mut Tx, scope: &WorkerScope, limit: u32) -> Fallible<Listened> {
    let mut listened = Listened::default();
    tx.tick().await?;
    let held = held_by(tx, scope).await?;
    let tenants: BTreeSet<TenantId> = held.iter().map(|held| held.tenant).collect();
    let settings = settings_of_all(tx.conn(), tenants.into_iter().collect()).await?;
    let ready = ready(tx, &held, &settings).await?;
    if ready.is_empty() {
        return Ok(listened);
    }
    let shared = Arc::clone(&tx.shared);
    let locks = held.iter().filter(|held| ready.contains(&held.session));
    let locks =
        locks.fold(Locks::none(), |locks, held| locks.and_session(&shared, held.tenant, held.session));
    tx.lock(locks).await?;
    // The lease and the place may have been another's while the locks were waited for.
    let mut changes = Changes::default();
    for held in held_by(tx, scope).await?.into_iter().filter(|held| ready.contains(&held.session)) {
        let alerts = alerts_of(&settings, held.tenant);
        listen_to(tx, held, &alerts, limit, &mut changes, &mut listened).await?;
    }
    tx.write(changes).await?;
    Ok(listened)
}

/// A session that a worker holds.
struct Held {
    session: SessionId,
    tenant: TenantId,
    /// What began up to here was listened to.
    upto: Option<DateTime<Utc>>,
    ear: Ear,
}

impl Held {
    fn after(&self) -> DateTime<Utc> {
        ts(self.upto.unwrap_or(DateTime::<Utc>::MIN_UTC))
    }
}

/// The sessions that a worker holds now.
async fn held_by(tx: &mut Tx, scope: &WorkerScope) -> Fallible<Vec<Held>> {
    let (sessions, epochs): (Vec<SessionId>, Vec<i64>) =
        scope.sessions().map(|(session, epoch)| (session, int(epoch))).unzip();
    let held = sqlx::query(HELD)
        .bind(uuids(sessions))
        .bind(epochs)
        .bind(scope.worker().as_uuid())
        .bind(tx.now)
        .try_map(|row: PgRow| {
            let upto = opt_at(&row, 2)?;
            let ear = match upto {
                Some(_) => Ear { silent: uint(&row, 3)?, deaf: get(&row, 4)? },
                None => Ear::default(),
            };
            Ok(Held { session: id(&row, 0)?, tenant: id(&row, 1)?, upto, ear })
        })
        .fetch_all(tx.conn())
        .await?;
    Ok(held)
}

fn alerts_of(settings: &HashMap<TenantId, TenantSettings>, tenant: TenantId) -> AlertSettings {
    settings.get(&tenant).map(|settings| settings.alerts.clone()).unwrap_or_default()
}

/// Until when attempts began whose time has come.
fn until(alerts: &AlertSettings, now: DateTime<Utc>) -> DateTime<Utc> {
    ago(now, TimeDelta::seconds(i64::from(alerts.silent_after_seconds)))
}

/// The sessions with attempts whose time has come.
async fn ready(
    tx: &mut Tx,
    held: &[Held],
    settings: &HashMap<TenantId, TenantSettings>,
) -> Fallible<BTreeSet<SessionId>> {
    let now = tx.now;
    let ends = held.iter().map(|held| until(&alerts_of(settings, held.tenant), now));
    let ready = sqlx::query(READY)
        .bind(uuids(held.iter().map(|held| held.session)))
        .bind(held.iter().map(Held::after).collect::<Vec<_>>())
        .bind(ends.collect::<Vec<_>>())
        .try_map(|row: PgRow| id(&row, 0))
        .fetch_all(tx.conn())
        .await?;
    Ok(ready.into_iter().collect())
}

async fn listen_to(
    tx: &mut Tx,
    held: Held,
    alerts: &AlertSettings,
    limit: u32,
    changes: &mut Changes,
    listened: &mut Listened,
) -> Fallible<()> {
    let (after, until) = (held.after(), until(alerts, tx.now));
    let Held { session, tenant, upto: _, mut ear } = held;
    let last: Option<DateTime<Utc>> = sqlx::query_scalar(LAST_OF_CHUNK)
        .bind(session.as_uuid())
        .bind(after)
        .bind(until)
        .bind(page_size(limit))
        .fetch_one(tx.conn())
        .await?;
    let Some(last) = last else { return Ok(()) };
    let (mut silent, mut numbers, mut became_deaf) = (Vec::new(), Vec::new(), false);
    for (message, n, heard) in chunk(tx.conn(), session, after, last).await? {
        became_deaf |= ear.listen(heard, alerts.deaf_after);
        if heard == Heard::Silence {
            silent.push(message);
            numbers.push(n);
        }
    }
    if !silent.is_empty() {
        sqlx::query(PUT_SILENT)
            .bind(tenant.as_uuid())
            .bind(uuids(silent.iter().copied()))
            .bind(numbers)
            .execute(tx.conn())
            .await?;
    }
    sqlx::query(PUT_LISTENED)
        .bind(tenant.as_uuid())
        .bind(session.as_uuid())
        .bind(last)
        .bind(i64::from(ear.silent))
        .bind(ear.deaf)
        .execute(tx.conn())
        .await?;
    let more = sqlx::query(MORE).bind(session.as_uuid()).bind(last).bind(until);
    listened.more |= more.fetch_optional(tx.conn()).await?.is_some();
    listened.silent.extend(silent.iter().map(|message| (tenant, *message)));
    if !silent.is_empty() {
        changes.event(tenant, EventBody::Silent { session, messages: silent });
    }
    if became_deaf {
        listened.deaf.push((tenant, session));
        changes.event(tenant, EventBody::SessionDeaf { session, silent: ear.silent });
    }
    Ok(())
}

/// What the attempts of a session show that began after an instant and up to another, in order.
async fn chunk(
    conn: &mut PgConnection,
    session: SessionId,
    after: DateTime<Utc>,
    last: DateTime<Utc>,
) -> Fallible<Vec<(MessageId, i64, Heard)>> {
    let chunk = sqlx::query(CHUNK)
        .bind(session.as_uuid())
        .bind(after)
        .bind(last)
        .try_map(|row: PgRow| Ok((id(&row, 0)?, get(&row, 1)?, hear(&facts(&row, 2)?))))
        .fetch_all(conn)
        .await?;
    Ok(chunk)
}
