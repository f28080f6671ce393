//! Messages in doubt: what their policy makes of them, and what somebody says about them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};
use wa_core::model::{
    CampaignState, EventBody, Fact, Lane, MessageId, MessageState, Outcome, Resolution, SessionId, TenantId,
    TenantSettings, TransportName, micros,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{Recover, Recovered, ResolveMessage};
use wa_core::rules::doubt::{self, Decision, Evidence};
use wa_core::rules::status::merge_outcome;

use super::holds;
use super::merge::Merger;
use crate::common::changes::Changes;
use crate::common::doubt::{Beside, Decided};
use crate::sqlite::codec::{at, id, named, opt_at, opt_json, opt_micros, opt_named, parsed, uint};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{PUT_DUE, Stored};
use crate::sqlite::page_size;
use crate::sqlite::writer::Tx;

const WAITING: &str = "SELECT look_at, tenant, message FROM doubt \
     WHERE session = ?1 AND look_at <= ?2 ORDER BY look_at, tenant, message LIMIT ?3";
const NEXT_LOOK: &str = "SELECT min(look_at) FROM doubt WHERE session = ?1 AND look_at IS NOT NULL";
const PUT_LOOK: &str = "UPDATE doubt SET look_at = ?3, given_up_at = ?4 WHERE tenant = ?1 AND message = ?2";
const LOOK_ANEW: &str = "UPDATE doubt SET look_at = ?2 WHERE tenant = ?1 AND given_up_at IS NULL";
const BESIDE: &str = "SELECT s.in_doubt, c.in_doubt, c.state, coalesce(c.lane, s.lane), \
     CASE WHEN m.campaign IS NULL THEN s.valid_until ELSE c.valid_until END FROM message m \
     LEFT JOIN campaign c ON c.tenant = m.tenant AND c.id = m.campaign \
     LEFT JOIN single s ON s.tenant = m.tenant AND s.message = m.id \
     WHERE m.tenant = ?1 AND m.id = ?2";
const BACKLOG: &str = "SELECT EXISTS (SELECT 1 FROM raw WHERE projected_at IS NULL AND transport = ?1)";
/// How many attempts beside an instant were heard of by webhook, which brings the provider's id.
const HEARD: &str = "SELECT count(*) FROM (SELECT 1 FROM (SELECT tenant, message, n FROM attempt \
         WHERE session = ?1 AND begun_at >= ?2 AND begun_at <= ?3 ORDER BY begun_at LIMIT ?4) a \
     CROSS JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE r.provider_id IS NOT NULL AND r.facts & ?5 <> 0 LIMIT ?6)";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[WAITING, NEXT_LOOK, PUT_LOOK, LOOK_ANEW, BESIDE, BACKLOG, HEARD];

/// Looks at everything in doubt of a tenant again: another policy holds.
pub(in crate::sqlite) fn look_anew(tx: &Tx<'_>, tenant: TenantId) -> Fallible<()> {
    tx.conn.prepare_cached(LOOK_ANEW)?.execute(params![tenant.as_bytes(), micros(tx.now)])?;
    Ok(())
}

pub(super) fn recover(tx: &Tx<'_>, scope: &WorkerScope, ask: &Recover) -> Fallible<Recovered> {
    let Recover { grace, limit } = *ask;
    let (limit, mut held, mut waiting) = (page_size(limit), Vec::new(), Vec::new());
    for (session, _) in scope.sessions() {
        if !holds(tx.conn, scope, session, tx.now)? {
            continue;
        }
        held.push(session);
        let mut statement = tx.conn.prepare_cached(WAITING)?;
        let found = statement.query_map(params![session.as_bytes(), micros(tx.now), limit], |row| {
            Ok((at(row, 0)?, id::<TenantId>(row, 1)?, id::<MessageId>(row, 2)?, session))
        })?;
        for found in found {
            waiting.push(found?);
        }
    }
    waiting.sort_unstable();
    waiting.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut looking = Looking { tx, grace: span(grace), settings: HashMap::new(), heard: HashMap::new() };
    let (mut decided, mut changes) = (Decided::default(), Changes::default());
    for (_, tenant, message, session) in waiting {
        let mut stored = Stored::load(tx.conn, tenant, message)?
            .ok_or(Fault::Broken("a message in doubt is not there"))?;
        let beside = beside(tx.conn, tenant, message)?;
        let decision = looking.decide(&stored, &beside, session)?;
        if decision == Decision::Resend {
            put_resend(tx, &mut stored, session, beside.lane, &mut changes)?;
        }
        let (look_at, given_up_at) = decided.note((tenant, session, message), decision, tx.now);
        put_look(tx.conn, tenant, message, look_at, given_up_at)?;
    }
    let mut next_at = None;
    for session in held {
        let mut statement = tx.conn.prepare_cached(NEXT_LOOK)?;
        let next = statement.query_row(params![session.as_bytes()], |row| opt_at(row, 0))?;
        next_at = [next_at, next].into_iter().flatten().min();
    }
    let recovered = decided.finish(next_at, &mut changes);
    tx.write(changes)?;
    Ok(recovered)
}

/// One step, with what it learns on its way.
struct Looking<'a> {
    tx: &'a Tx<'a>,
    grace: TimeDelta,
    settings: HashMap<TenantId, TenantSettings>,
    heard: HashMap<(SessionId, DateTime<Utc>), u32>,
}

impl Looking<'_> {
    fn decide(&mut self, stored: &Stored, beside: &Beside, session: SessionId) -> Fallible<Decision> {
        let (conn, now, grace) = (self.tx.conn, self.tx.now, self.grace);
        let settings = match self.settings.entry(stored.tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(settings_of(conn, stored.tenant)?.unwrap_or_default()),
        };
        let decision = stored.recover(beside, settings, grace, None, now);
        if decision != Decision::Ask {
            return Ok(decision);
        }
        let transport: TransportName = conn
            .prepare_cached("SELECT transport FROM session WHERE id = ?1")?
            .query_row(params![session.as_bytes()], |row| parsed(row, 0))?;
        let backlog =
            conn.prepare_cached(BACKLOG)?.query_row(params![transport.as_str()], |row| row.get(0))?;
        let mut least = u32::MAX;
        for (_, begun_at) in stored.doubtful() {
            let known = self.heard.get(&(session, begun_at)).copied();
            let heard = known.map_or_else(|| heard_beside(conn, session, begun_at), Ok)?;
            self.heard.insert((session, begun_at), heard);
            least = least.min(heard);
        }
        let evidence = Some(Evidence { backlog, heard: least });
        Ok(stored.recover(beside, settings, grace, evidence, now))
    }
}

fn heard_beside(conn: &Connection, session: SessionId, begun_at: DateTime<Utc>) -> Fallible<u32> {
    let statuses = [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed];
    let mask: u16 = statuses.into_iter().map(Fact::bit).sum();
    let key = params![
        session.as_bytes(),
        micros(begun_at - doubt::BESIDE),
        micros(begun_at + doubt::BESIDE),
        doubt::MOST_LOOKED_AT,
        mask,
        doubt::ENOUGH
    ];
    Ok(conn.prepare_cached(HEARD)?.query_row(key, |row| uint(row, 0))?)
}

pub(super) fn resolve(
    tx: &Tx<'_>,
    tenant: TenantId,
    message: MessageId,
    resolution: Resolution,
) -> Fallible<ResolveMessage> {
    let Some(mut stored) = Stored::load(tx.conn, tenant, message)? else {
        return Ok(ResolveMessage::Missing);
    };
    stored.learn_from_feed(tx.conn)?;
    let state = stored.standing().state;
    if state != MessageState::InDoubt {
        return Ok(ResolveMessage::Not(state));
    }
    let mut merger = Merger::new(tx);
    merger.changes.event(tenant, EventBody::Resolved { message, resolution });
    match resolution {
        Resolution::Resend => return send_again(tx, stored, merger.changes),
        Resolution::Delivered => {
            if let Some((last, _)) = stored.doubtful().last() {
                merger.merge(*last, None, None, |facts| facts.add(Fact::Delivered, tx.now))?;
            }
        }
        Resolution::Undelivered => {
            let outcome = Outcome::Rejected(doubt::undelivered_by_hand());
            for (key, _) in stored.doubtful() {
                merger.merge(key, None, None, |facts| merge_outcome(facts, &outcome, tx.now))?;
            }
        }
    }
    let state = merger.changes.state_of(tenant, message).unwrap_or(state);
    merger.finish()?;
    Ok(ResolveMessage::Resolved(state))
}

/// Lets a message wait for another attempt because somebody says so.
fn send_again(tx: &Tx<'_>, mut stored: Stored, mut changes: Changes) -> Fallible<ResolveMessage> {
    let (tenant, message) = (stored.tenant, stored.id);
    if let Some(due) = stored.due {
        return Ok(ResolveMessage::Requeued(due.at));
    }
    let beside = beside(tx.conn, tenant, message)?;
    let settings = settings_of(tx.conn, tenant)?.unwrap_or_default();
    let barred =
        stored.in_doubt(&beside, &settings, TimeDelta::zero(), |case| doubt::bars_resend(case, tx.now));
    if let Some(reason) = barred {
        return Ok(ResolveMessage::Barred(reason));
    }
    let session = stored.session(tx.conn)?;
    put_resend(tx, &mut stored, session, beside.lane, &mut changes)?;
    put_look(tx.conn, tenant, message, Some(tx.now), None)?;
    tx.write(changes)?;
    Ok(ResolveMessage::Requeued(tx.now))
}

fn put_resend(
    tx: &Tx<'_>,
    stored: &mut Stored,
    session: SessionId,
    lane: Lane,
    changes: &mut Changes,
) -> Fallible<()> {
    let (due, was_closed) = stored.resend(tx.now, changes);
    let (tenant, message) = (stored.tenant, stored.id);
    if was_closed {
        tx.conn
            .prepare_cached("DELETE FROM closed WHERE tenant = ?1 AND message = ?2")?
            .execute(params![tenant.as_bytes(), message.as_bytes()])?;
    }
    tx.conn.prepare_cached(PUT_DUE)?.execute(params![
        tenant.as_bytes(),
        message.as_bytes(),
        session.as_bytes(),
        super::lane_rank(lane),
        micros(due.at),
        due.n,
        stored.campaign.as_ref().map(|id| id.as_bytes()),
        due.why.map(|why| why.as_str())
    ])?;
    Ok(())
}

fn put_look(
    conn: &Connection,
    tenant: TenantId,
    message: MessageId,
    look_at: Option<DateTime<Utc>>,
    given_up_at: Option<DateTime<Utc>>,
) -> Fallible<()> {
    let key = params![tenant.as_bytes(), message.as_bytes(), opt_micros(look_at), opt_micros(given_up_at)];
    conn.prepare_cached(PUT_LOOK)?.execute(key)?;
    Ok(())
}

fn beside(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<Beside> {
    let key = params![tenant.as_bytes(), message.as_bytes()];
    let found = conn.prepare_cached(BESIDE)?.query_row(key, |row| {
        Ok(Beside {
            own: opt_json(row, 0)?,
            of_campaign: opt_json(row, 1)?,
            campaign: opt_named(row, 2, CampaignState::from_name)?,
            lane: named(row, 3, Lane::from_name)?,
            valid_until: opt_at(row, 4)?,
        })
    })?;
    Ok(found)
}

fn span(grace: Duration) -> TimeDelta {
    TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX)
}
