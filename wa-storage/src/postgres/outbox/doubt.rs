//! Messages in doubt: what their policy makes of them, and what somebody says about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{
    CampaignState, EventBody, Fact, Lane, MessageId, MessageState, Outcome, Resolution, SessionId, TenantId,
    TenantSettings,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{News, Recover, Recovered, ResolveMessage, StoreError};
use wa_core::rules::doubt::{self, Decision, Evidence};
use wa_core::rules::status::merge_outcome;

use super::merge::needs::{self, Needs};
use super::merge::{Merger, settings_of_all};
use crate::common::changes::Changes;
use crate::common::doubt::{Beside, Decided};
use crate::postgres::codec::{id, int, named, opt_at, opt_json, opt_named, ts, uint, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message::{DueRow, Stored, load, load_all, put_due, shown_state};
use crate::postgres::tx::{Access, Locks, Tx};
use crate::postgres::{PostgresStore, page_size};

/// The sessions that a worker holds, in order, with when the first of their doubts is looked at.
const HELD: &str = "SELECT u.session, l.tenant, d.look_at \
     FROM unnest($1::uuid[], $2::bigint[]) AS u (session, epoch) \
     CROSS JOIN LATERAL (SELECT x.tenant FROM session_lease x \
         WHERE x.session = u.session AND x.epoch = u.epoch AND x.worker = $3 AND x.until > $4 LIMIT 1) l \
     LEFT JOIN LATERAL (SELECT x.look_at FROM doubt x \
         WHERE x.session = u.session AND x.look_at IS NOT NULL ORDER BY x.look_at LIMIT 1) d ON true \
     ORDER BY u.session";
const WAITING: &str = "SELECT w.look_at, w.tenant, w.message, u.session FROM unnest($1::uuid[]) AS u (session) \
     CROSS JOIN LATERAL (SELECT x.look_at, x.tenant, x.message FROM doubt x \
         WHERE x.session = u.session AND x.look_at IS NOT NULL AND x.look_at <= $2 \
         ORDER BY x.look_at, x.tenant, x.message LIMIT $3) w \
     ORDER BY w.look_at, w.tenant, w.message LIMIT $3";
const PUT_LOOKS: &str = "UPDATE doubt d SET look_at = u.look_at, given_up_at = u.given_up_at \
     FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) \
     AS u (tenant, message, look_at, given_up_at) WHERE d.tenant = u.tenant AND d.message = u.message";
const BESIDE: &str = "SELECT u.tenant, u.message, s.in_doubt, c.in_doubt, c.state, coalesce(c.lane, s.lane), \
     CASE WHEN m.campaign IS NULL THEN s.valid_until ELSE c.valid_until END \
     FROM unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     CROSS JOIN LATERAL (SELECT x.campaign FROM message x \
         WHERE x.tenant = u.tenant AND x.id = u.message LIMIT 1) m \
     LEFT JOIN LATERAL (SELECT x.in_doubt, x.state, x.lane, x.valid_until FROM campaign x \
         WHERE x.tenant = u.tenant AND x.id = m.campaign LIMIT 1) c ON true \
     LEFT JOIN LATERAL (SELECT x.in_doubt, x.lane, x.valid_until FROM single x \
         WHERE x.tenant = u.tenant AND x.message = u.message LIMIT 1) s ON true";
const BACKLOG: &str = "SELECT EXISTS (SELECT 1 FROM raw x WHERE x.projected_at IS NULL \
     AND x.transport = (SELECT s.transport FROM session s WHERE s.id = $1))";
/// How many attempts beside an instant were heard of by webhook, which brings the provider's id.
const HEARD: &str = "SELECT count(*) FROM (SELECT 1 FROM (SELECT x.tenant, x.message, x.n FROM attempt x \
         WHERE x.session = $1 AND x.begun_at >= $2 AND x.begun_at <= $3 ORDER BY x.begun_at LIMIT $4) a \
     CROSS JOIN LATERAL (SELECT 1 FROM result x \
         WHERE x.tenant = a.tenant AND x.message = a.message AND x.n = a.n \
         AND x.provider_id IS NOT NULL AND x.facts & $5 <> 0 LIMIT 1) r LIMIT $6) h";
const REOPEN: &str = "DELETE FROM closed c USING unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     WHERE c.tenant = u.tenant AND c.message = u.message";

type Key = (TenantId, MessageId);

/// Looks at everything in doubt of a tenant again: another policy holds.
pub(in crate::postgres) async fn look_anew(tx: &mut Tx, tenant: TenantId) -> Fallible<()> {
    let now = tx.now;
    sqlx::query("UPDATE doubt SET look_at = $2 WHERE tenant = $1 AND given_up_at IS NULL")
        .bind(tenant.as_uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn recover(
    store: &PostgresStore,
    scope: &WorkerScope,
    ask: &Recover,
) -> Result<Recovered, StoreError> {
    let mut tx = store.open(Access::Engine).await?;
    // Who holds the sessions is told by the answer, and nobody else can begin what waits now.
    let recovered = locked(&mut tx, scope, ask).await;
    tx.end(recovered).await
}

/// Locks only those sessions of which something is to be looked at: most steps find nothing, and should keep
/// nobody waiting.
async fn locked(tx: &mut Tx, scope: &WorkerScope, ask: &Recover) -> Fallible<Recovered> {
    tx.tick().await?;
    let held = held_by(tx, scope).await?;
    let ready = |held: &Held, now| held.look_at.is_some_and(|at| at <= now);
    let now = tx.now;
    let over: BTreeSet<SessionId> =
        held.iter().filter(|held| ready(held, now)).map(|held| held.session).collect();
    if over.is_empty() {
        let next_at = held.iter().filter_map(|held| held.look_at).min();
        return Ok(Recovered { next_at, ..Recovered::default() });
    }
    let shared = Arc::clone(&tx.shared);
    let locks = held.iter().filter(|held| over.contains(&held.session));
    let locks =
        locks.fold(Locks::none(), |locks, held| locks.and_session(&shared, held.tenant, held.session));
    tx.lock(locks).await?;
    // The lease may have been another's while the locks were waited for.
    let sessions = held_by(tx, scope).await?.into_iter().map(|held| held.session);
    let sessions = sessions.filter(|session| over.contains(session)).collect();
    let (decided, mut changes) = look(tx, sessions, ask).await?;
    let next_at = held_by(tx, scope).await?.iter().filter_map(|held| held.look_at).min();
    let recovered = decided.finish(next_at, &mut changes);
    tx.write(changes).await?;
    Ok(recovered)
}

/// A session that a worker holds.
struct Held {
    session: SessionId,
    tenant: TenantId,
    look_at: Option<DateTime<Utc>>,
}

async fn held_by(tx: &mut Tx, scope: &WorkerScope) -> Fallible<Vec<Held>> {
    let (sessions, epochs): (Vec<SessionId>, Vec<i64>) =
        scope.sessions().map(|(session, epoch)| (session, int(epoch))).unzip();
    let held = sqlx::query(HELD)
        .bind(uuids(sessions))
        .bind(epochs)
        .bind(scope.worker().as_uuid())
        .bind(tx.now)
        .try_map(|row: PgRow| {
            Ok(Held { session: id(&row, 0)?, tenant: id(&row, 1)?, look_at: opt_at(&row, 2)? })
        })
        .fetch_all(tx.conn())
        .await?;
    Ok(held)
}

/// Looks at what is in doubt of these sessions and whose time has come.
async fn look(tx: &mut Tx, sessions: Vec<SessionId>, ask: &Recover) -> Fallible<(Decided, Changes)> {
    let now = tx.now;
    let waiting: Vec<(Key, SessionId)> = sqlx::query(WAITING)
        .bind(uuids(sessions))
        .bind(now)
        .bind(page_size(ask.limit))
        .try_map(|row: PgRow| Ok(((id(&row, 1)?, id(&row, 2)?), id(&row, 3)?)))
        .fetch_all(tx.conn())
        .await?;
    let keys: Vec<Key> = waiting.iter().map(|(key, _)| *key).collect();
    let mut known = load_all(tx.conn(), &keys).await?;
    let besides = besides(tx.conn(), &keys).await?;
    let tenants: BTreeSet<TenantId> = keys.iter().map(|(tenant, _)| *tenant).collect();
    let settings = settings_of_all(tx.conn(), tenants.into_iter().collect()).await?;
    let grace = TimeDelta::from_std(ask.grace).unwrap_or(TimeDelta::MAX);
    let (mut decided, mut changes) = (Decided::default(), Changes::default());
    let (mut heard, mut backlogs) = (HashMap::new(), HashMap::new());
    let (mut due, mut looks) = (Vec::new(), Vec::with_capacity(waiting.len()));
    for (key, session) in waiting {
        let missing = Fault::Broken("a message in doubt is not there");
        let (Some(mut stored), Some(beside)) = (known.remove(&key), besides.get(&key)) else {
            return Err(missing);
        };
        let Some(settings) = settings.get(&stored.tenant) else { return Err(missing) };
        let mut decision = stored.recover(beside, settings, grace, None, now);
        if decision == Decision::Ask {
            let evidence = evidence(tx.conn(), &stored, session, &mut heard, &mut backlogs).await?;
            decision = stored.recover(beside, settings, grace, Some(evidence), now);
        }
        if decision == Decision::Resend {
            // By itself nothing is sent again that is closed.
            let (row, _) = stored.resend(now, &mut changes);
            let (tenant, message, campaign) = (stored.tenant, stored.id, stored.campaign);
            due.push(DueRow { tenant, message, session, lane: beside.lane, due: row, campaign });
        }
        looks.push((key, decided.note((key.0, session, key.1), decision, now)));
    }
    put_due(tx.conn(), &due).await?;
    put_looks(tx.conn(), &looks).await?;
    Ok((decided, changes))
}

/// What is heard of others, read once for what began together.
async fn evidence(
    conn: &mut PgConnection,
    stored: &Stored,
    session: SessionId,
    heard: &mut HashMap<(SessionId, DateTime<Utc>), u32>,
    backlogs: &mut HashMap<SessionId, bool>,
) -> Fallible<Evidence> {
    let backlog = match backlogs.get(&session) {
        Some(known) => *known,
        None => {
            let found = sqlx::query_scalar(BACKLOG).bind(session.as_uuid()).fetch_one(&mut *conn).await?;
            backlogs.insert(session, found);
            found
        }
    };
    let mut least = u32::MAX;
    for (_, begun_at) in stored.doubtful() {
        let count = match heard.get(&(session, begun_at)) {
            Some(known) => *known,
            None => {
                let found = heard_beside(conn, session, begun_at).await?;
                heard.insert((session, begun_at), found);
                found
            }
        };
        least = least.min(count);
    }
    Ok(Evidence { backlog, heard: least })
}

async fn heard_beside(conn: &mut PgConnection, session: SessionId, begun_at: DateTime<Utc>) -> Fallible<u32> {
    let statuses = [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed];
    let mask: u16 = statuses.into_iter().map(Fact::bit).sum();
    let row = sqlx::query(HEARD)
        .bind(session.as_uuid())
        .bind(ts(begun_at - doubt::BESIDE))
        .bind(ts(begun_at + doubt::BESIDE))
        .bind(i64::from(doubt::MOST_LOOKED_AT))
        .bind(i64::from(mask))
        .bind(i64::from(doubt::ENOUGH))
        .fetch_one(conn)
        .await?;
    Ok(uint(&row, 0)?)
}

pub(super) async fn resolve(
    store: &PostgresStore,
    tenant: TenantId,
    message: MessageId,
    resolution: Resolution,
) -> Result<ResolveMessage, StoreError> {
    loop {
        // What failed gives back slots, which are those of every tenant that shares a limit.
        let mut tx = store.open(Access::Engine).await?;
        match decide(&mut tx, tenant, message, resolution).await {
            Ok(Some(answer)) => return tx.end_telling(Ok(answer), News::Due).await,
            // Nothing was written yet.
            Ok(None) => tx.close(Ok(())).await?,
            Err(fault) => return tx.end(Err(fault)).await,
        }
    }
}

/// Records what somebody says, under the locks of all attempts; `None` where another one began meanwhile.
async fn decide(
    tx: &mut Tx,
    tenant: TenantId,
    message: MessageId,
    resolution: Resolution,
) -> Fallible<Option<ResolveMessage>> {
    let Some(before) = load(tx.conn(), tenant, message).await? else {
        return Ok(Some(ResolveMessage::Missing));
    };
    let needs = Needs::of_outcome(&Outcome::NotSent);
    let needs: BTreeMap<_, _> = before.keys().map(|key| (key, needs)).collect();
    let shared = Arc::clone(&tx.shared);
    let locks = needs::locks(tx, &needs, Locks::tenant(&shared, tenant)).await?;
    tx.lock(locks).await?;
    let Some(stored) = load(tx.conn(), tenant, message).await? else {
        return Ok(Some(ResolveMessage::Missing));
    };
    if stored.attempts.len() != before.attempts.len() {
        return Ok(None);
    }
    let state = stored.standing().state;
    if state != MessageState::InDoubt {
        // What lies in a feed waits, or was cancelled with it.
        let shown = shown_state(tx.conn(), stored).await?;
        return Ok(Some(ResolveMessage::Not(shown)));
    }
    if resolution == Resolution::Resend {
        return send_again(tx, stored).await.map(Some);
    }
    let (now, mut merger) = (tx.now, Merger::new());
    merger.changes.event(tenant, EventBody::Resolved { message, resolution });
    let doubtful: Vec<_> = stored.doubtful().into_iter().map(|(key, _)| key).collect();
    merger.prepare_retries(tx, &doubtful).await?;
    match resolution {
        Resolution::Resend => {}
        Resolution::Delivered => {
            if let Some(last) = doubtful.last() {
                let add = |facts: &mut wa_core::model::DeliveryFacts| facts.add(Fact::Delivered, now);
                merger.merge(tx, *last, None, None, add).await?;
            }
        }
        Resolution::Undelivered => {
            let outcome = Outcome::Rejected(doubt::undelivered_by_hand());
            for key in doubtful {
                merger.merge(tx, key, None, None, |facts| merge_outcome(facts, &outcome, now)).await?;
            }
        }
    }
    let state = merger.changes.state_of(tenant, message).unwrap_or(state);
    merger.finish(tx).await?;
    Ok(Some(ResolveMessage::Resolved(state)))
}

/// Lets a message wait for another attempt because somebody says so.
async fn send_again(tx: &mut Tx, mut stored: Stored) -> Fallible<ResolveMessage> {
    if let Some(due) = stored.due {
        return Ok(ResolveMessage::Requeued(due.at));
    }
    let (now, key) = (tx.now, (stored.tenant, stored.id));
    let (tenant, message) = key;
    let missing = Fault::Broken("a message in doubt is not there");
    let besides = besides(tx.conn(), &[key]).await?;
    let Some(beside) = besides.get(&key) else { return Err(missing) };
    let settings: HashMap<TenantId, TenantSettings> = settings_of_all(tx.conn(), vec![tenant]).await?;
    let Some(settings) = settings.get(&tenant) else { return Err(missing) };
    let barred = stored.in_doubt(beside, settings, TimeDelta::zero(), |case| doubt::bars_resend(case, now));
    if let Some(reason) = barred {
        return Ok(ResolveMessage::Barred(reason));
    }
    let Some(session) = stored.attempts.last().map(|attempt| attempt.session) else { return Err(missing) };
    let mut changes = Changes::default();
    changes.event(tenant, EventBody::Resolved { message, resolution: Resolution::Resend });
    let (due, was_closed) = stored.resend(now, &mut changes);
    if was_closed {
        sqlx::query(REOPEN).bind(uuids([tenant])).bind(uuids([message])).execute(tx.conn()).await?;
    }
    let campaign = stored.campaign;
    put_due(tx.conn(), &[DueRow { tenant, message, session, lane: beside.lane, due, campaign }]).await?;
    put_looks(tx.conn(), &[(key, (Some(now), None))]).await?;
    tx.write(changes).await?;
    Ok(ResolveMessage::Requeued(now))
}

type Look = (Key, (Option<DateTime<Utc>>, Option<DateTime<Utc>>));

/// Writes when messages are looked at again, and since when they are given up on.
async fn put_looks(conn: &mut PgConnection, looks: &[Look]) -> Fallible<()> {
    if looks.is_empty() {
        return Ok(());
    }
    sqlx::query(PUT_LOOKS)
        .bind(uuids(looks.iter().map(|((tenant, _), _)| *tenant)))
        .bind(uuids(looks.iter().map(|((_, message), _)| *message)))
        .bind(looks.iter().map(|(_, (look_at, _))| look_at.map(ts)).collect::<Vec<_>>())
        .bind(looks.iter().map(|(_, (_, given_up_at))| given_up_at.map(ts)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// What decides about messages in doubt and lies beside them, in one statement.
async fn besides(conn: &mut PgConnection, keys: &[Key]) -> Fallible<HashMap<Key, Beside>> {
    let found: Vec<(Key, Beside)> = sqlx::query(BESIDE)
        .bind(uuids(keys.iter().map(|(tenant, _)| *tenant)))
        .bind(uuids(keys.iter().map(|(_, message)| *message)))
        .try_map(|row: PgRow| {
            let beside = Beside {
                own: opt_json(&row, 2)?,
                of_campaign: opt_json(&row, 3)?,
                campaign: opt_named(&row, 4, CampaignState::from_name)?,
                lane: named(&row, 5, Lane::from_name)?,
                valid_until: opt_at(&row, 6)?,
            };
            Ok(((id(&row, 0)?, id(&row, 1)?), beside))
        })
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().collect())
}
