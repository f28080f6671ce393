//! Windows: who may be written to freely, and until when.
//!
//! Invariant: a row is the latest chain of the pair's user messages, as the rule makes it; what the
//! business wrote is read from where it stands.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{ContactId, DeliveryFacts, Fact, SessionId, TenantId, from_micros, micros};
use wa_core::port::store::{StoredInbound, WindowEntry, WindowFilter, WindowKey, WindowView};
use wa_core::rules::window::{self, Chain};

use super::project::Projecting;
use crate::sqlite::audience::join::{Reached, reached};
use crate::sqlite::codec::{at, facts, id, opt_at, opt_micros, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::page_size;
use crate::sqlite::reader::Snapshot;

/// What a pair wrote that opens windows, latest first, from before an instant.
pub(in crate::sqlite) const EARLIER: &str = "SELECT at FROM inbound \
     WHERE session = ?1 AND contact = ?2 AND at < ?3 AND opens = 1 ORDER BY at DESC";
/// What was sent to an address from an instant on, oldest first.
pub(in crate::sqlite) const SENT: &str = "SELECT a.begun_at, r.not_sent_at, r.rejected_at, r.accepted_at, \
     r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, r.played_at, r.failed_at, r.released_at, r.code, \
     r.class, r.title, r.details, r.provider_id, r.charge \
     FROM attempt a LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.session = ?1 AND a.recipient = ?2 AND a.begun_at >= ?3 ORDER BY a.begun_at";
/// What was typed on the business's own phone from an instant on, oldest first.
pub(in crate::sqlite) const ECHOES: &str = "SELECT at FROM inbound \
     WHERE session = ?1 AND contact = ?2 AND at >= ?3 AND echo = 1 AND asks = 1 ORDER BY at";
/// The first of them.
pub(in crate::sqlite) const FIRST_ECHO: &str = "SELECT at FROM inbound \
     WHERE session = ?1 AND contact = ?2 AND at >= ?3 AND echo = 1 AND asks = 1 ORDER BY at LIMIT 1";
pub(in crate::sqlite) const OF_TENANT: &str = "SELECT session, contact, last_user_message_at, opened_at, \
     user_messages, referral_at FROM window \
     WHERE tenant = ?1 AND (last_user_message_at, session, contact) > (?2, ?3, ?4) \
     AND last_user_message_at > ?5 ORDER BY last_user_message_at, session, contact LIMIT ?6";
pub(in crate::sqlite) const OF_SESSION: &str = "SELECT session, contact, last_user_message_at, opened_at, \
     user_messages, referral_at FROM window \
     WHERE tenant = ?1 AND session = ?7 AND (last_user_message_at, session, contact) > (?2, ?3, ?4) \
     AND last_user_message_at > ?5 ORDER BY last_user_message_at, contact LIMIT ?6";

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Kept {
    chain: Chain,
    referral_at: Option<DateTime<Utc>>,
}

impl Projecting<'_> {
    /// Takes a user's message in, which must not be stored yet.
    pub(super) fn open_window(&self, tenant: TenantId, heard: &StoredInbound) -> Fallible<()> {
        let (conn, session, contact) = (self.tx.conn, heard.session, heard.contact);
        let known = read(conn, tenant, session, contact)?;
        let chain = known.map(|kept| kept.chain);
        let earlier = || match chain {
            Some(chain) => written_before(conn, session, contact, chain.opened_at),
            None => Ok(Vec::new()),
        };
        let chain = Chain::heard(chain, heard.at, earlier)?;
        let came = heard.referral.as_ref().map(|_| heard.at);
        let referral_at = known.and_then(|kept| kept.referral_at).max(came);
        write(conn, tenant, session, contact, Kept { chain, referral_at })
    }
}

/// The window of a pair, by the snapshot's clock.
pub(super) fn one(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
) -> Fallible<Option<WindowView>> {
    let Some(kept) = read(snapshot.conn, tenant, session, contact)? else { return Ok(None) };
    Ok(Some(view(snapshot, tenant, session, contact, kept)?))
}

pub(super) fn list(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    filter: WindowFilter,
    after: Option<WindowKey>,
    limit: u32,
) -> Fallible<Vec<WindowEntry>> {
    let WindowFilter { session, open_only } = filter;
    let closed = if open_only { micros(snapshot.now).saturating_sub(day()) } else { i64::MIN };
    let (from, from_session, from_contact) = match &after {
        Some(WindowKey { last_user_message_at, session, contact }) => {
            (micros(*last_user_message_at), session.as_bytes().as_slice(), contact.as_bytes().as_slice())
        }
        None => (i64::MIN, [].as_slice(), [].as_slice()),
    };
    let read = |row: &Row<'_>| Ok((id(row, 0)?, id(row, 1)?, kept(row, 2)?));
    let conn = snapshot.conn;
    let size = page_size(limit);
    let rows: Vec<(SessionId, ContactId, Kept)> = match session {
        None => conn
            .prepare_cached(OF_TENANT)?
            .query_map(params![tenant.as_bytes(), from, from_session, from_contact, closed, size], read)?
            .collect::<rusqlite::Result<_>>()?,
        Some(session) => conn
            .prepare_cached(OF_SESSION)?
            .query_map(
                params![
                    tenant.as_bytes(),
                    from,
                    from_session,
                    from_contact,
                    closed,
                    size,
                    session.as_bytes()
                ],
                read,
            )?
            .collect::<rusqlite::Result<_>>()?,
    };
    let mut entries = Vec::with_capacity(rows.len());
    for (session, contact, kept) in rows {
        let window = view(snapshot, tenant, session, contact, kept)?;
        entries.push(WindowEntry { session, contact, window });
    }
    Ok(entries)
}

/// One window of two contacts that are one; their messages are the kept one's already.
pub(in crate::sqlite) fn join(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    kept: ContactId,
    gone: ContactId,
) -> Fallible<()> {
    if let Some(other) = read(conn, tenant, session, gone)? {
        let own = read(conn, tenant, session, kept)?;
        let all = written_before(conn, session, kept, DateTime::<Utc>::MAX_UTC)?;
        let referral_at = own.and_then(|own| own.referral_at).max(other.referral_at);
        let chain = Chain::of(all).unwrap_or(other.chain);
        write(conn, tenant, session, kept, Kept { chain, referral_at })?;
        conn.prepare_cached("DELETE FROM window WHERE tenant = ?1 AND session = ?2 AND contact = ?3")?
            .execute(params![tenant.as_bytes(), session.as_bytes(), gone.as_bytes()])?;
    }
    let told: Option<Option<DateTime<Utc>>> = conn
        .prepare_cached(
            "DELETE FROM entry_point WHERE tenant = ?1 AND session = ?2 AND contact = ?3 RETURNING until",
        )?
        .query_row(params![tenant.as_bytes(), session.as_bytes(), gone.as_bytes()], |row| opt_at(row, 0))
        .optional()?;
    match told.flatten() {
        Some(until) => note_entry_point(conn, tenant, session, kept, until),
        None => Ok(()),
    }
}

/// Keeps the end of a free entry point that a webhook names; the latest counts.
pub(super) fn note_entry_point(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    until: DateTime<Utc>,
) -> Fallible<()> {
    conn.prepare_cached(
        "INSERT INTO entry_point (tenant, session, contact, until) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (tenant, session, contact) DO UPDATE SET until = max(until, excluded.until)",
    )?
    .execute(params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes(), micros(until)])?;
    Ok(())
}

/// Makes the window of a pair anew from everything that it wrote.
pub(in crate::sqlite) fn remake(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
) -> Fallible<()> {
    let all = written_before(conn, session, contact, DateTime::<Utc>::MAX_UTC)?;
    let Some(chain) = Chain::of(all) else { return Ok(()) };
    let referral_at = conn
        .prepare_cached(
            "SELECT max(at) FROM inbound \
             WHERE session = ?1 AND contact = ?2 AND opens = 1 AND referral IS NOT NULL",
        )?
        .query_row(params![session.as_bytes(), contact.as_bytes()], |row| opt_at(row, 0))?;
    write(conn, tenant, session, contact, Kept { chain, referral_at })
}

/// Visits what was sent to a contact from an instant on, oldest first per address, until told to stop.
pub(super) fn sent_since(
    conn: &Connection,
    session: SessionId,
    reached: &[Reached],
    since: DateTime<Utc>,
    mut visit: impl FnMut(DateTime<Utc>, &DeliveryFacts) -> bool,
) -> Fallible<()> {
    for Reached { key, since: from, until } in reached {
        let from = from.map_or(since, |from| from.max(since));
        let mut statement = conn.prepare_cached(SENT)?;
        let mut rows = statement.query(params![session.as_bytes(), key, micros(from)])?;
        while let Some(row) = rows.next()? {
            let begun_at = at(row, 0)?;
            if until.is_some_and(|until| begun_at >= until) || !visit(begun_at, &facts(row, 1)?) {
                break;
            }
        }
    }
    Ok(())
}

/// When something was first typed on the business's own phone, from an instant on.
pub(super) fn first_echo_since(
    conn: &Connection,
    session: SessionId,
    contact: ContactId,
    since: DateTime<Utc>,
) -> Fallible<Option<DateTime<Utc>>> {
    let first = conn
        .prepare_cached(FIRST_ECHO)?
        .query_row(params![session.as_bytes(), contact.as_bytes(), micros(since)], |row| at(row, 0))
        .optional()?;
    Ok(first)
}

/// When something was typed on the business's own phone, from an instant on, oldest first.
fn echoes_since(
    conn: &Connection,
    session: SessionId,
    contact: ContactId,
    since: DateTime<Utc>,
) -> Fallible<Vec<DateTime<Utc>>> {
    let mut statement = conn.prepare_cached(ECHOES)?;
    let rows = statement
        .query_map(params![session.as_bytes(), contact.as_bytes(), micros(since)], |row| at(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn view(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    kept: Kept,
) -> Fallible<WindowView> {
    let conn = snapshot.conn;
    let mut view = WindowView::of(kept.chain, snapshot.now);
    let reached = reached(conn, tenant, contact)?;
    let mut business = 0_u64;
    sent_since(conn, session, &reached, view.opened_at, |begun_at, facts| {
        let is_in = begun_at < view.closes_at;
        business += u64::from(is_in && !facts.is_definitely_undelivered());
        is_in
    })?;
    let echoes = echoes_since(conn, session, contact, view.opened_at)?;
    business += u64::try_from(echoes.iter().filter(|at| **at < view.closes_at).count()).unwrap_or(u64::MAX);
    view.business_messages = business;
    view.referral_at = kept.referral_at;
    view.free_until = free_until(conn, tenant, session, contact, kept.referral_at)?;
    Ok(view)
}

/// Until when everything to a contact is free after an advertisement led it here, if one did.
pub(in crate::sqlite) fn free_until(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    referral_at: Option<DateTime<Utc>>,
) -> Fallible<Option<DateTime<Utc>>> {
    let mut answered = None::<DateTime<Utc>>;
    if let Some(came) = referral_at {
        let last = window::end(came);
        let reached = reached(conn, tenant, contact)?;
        sent_since(conn, session, &reached, came, |begun_at, facts| {
            let arrived =
                [Fact::Delivered, Fact::Read, Fact::Played].into_iter().filter_map(|fact| facts.at(fact));
            answered = answered.into_iter().chain(arrived).min();
            begun_at < last
        })?;
        answered = answered.into_iter().chain(first_echo_since(conn, session, contact, came)?).min();
    }
    let told = conn
        .prepare_cached("SELECT until FROM entry_point WHERE tenant = ?1 AND session = ?2 AND contact = ?3")?
        .query_row(params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes()], |row| at(row, 0))
        .optional()?;
    Ok(window::entry_until(referral_at, answered, told))
}

fn read(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
) -> Fallible<Option<Kept>> {
    let found = conn
        .prepare_cached(
            "SELECT last_user_message_at, opened_at, user_messages, referral_at FROM window \
             WHERE tenant = ?1 AND session = ?2 AND contact = ?3",
        )?
        .query_row(params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes()], |row| kept(row, 0))
        .optional()?;
    Ok(found)
}

fn kept(row: &Row<'_>, index: usize) -> rusqlite::Result<Kept> {
    let chain = Chain {
        last_user_message_at: at(row, index)?,
        opened_at: at(row, index + 1)?,
        user_messages: uint(row, index + 2)?,
    };
    Ok(Kept { chain, referral_at: opt_at(row, index + 3)? })
}

fn write(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    kept: Kept,
) -> Fallible<()> {
    let Kept { chain, referral_at } = kept;
    let Chain { opened_at, last_user_message_at, user_messages } = chain;
    conn.prepare_cached(
        "INSERT INTO window (tenant, session, contact, last_user_message_at, opened_at, user_messages, \
         referral_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (tenant, session, contact) DO UPDATE SET \
         last_user_message_at = excluded.last_user_message_at, opened_at = excluded.opened_at, \
         user_messages = excluded.user_messages, referral_at = excluded.referral_at",
    )?
    .execute(params![
        tenant.as_bytes(),
        session.as_bytes(),
        contact.as_bytes(),
        micros(last_user_message_at),
        micros(opened_at),
        crate::sqlite::codec::int(user_messages),
        opt_micros(referral_at)
    ])?;
    Ok(())
}

/// The instants of what a pair wrote before another one, latest first.
fn written_before(
    conn: &Connection,
    session: SessionId,
    contact: ContactId,
    before: DateTime<Utc>,
) -> Fallible<Vec<DateTime<Utc>>> {
    let mut statement = conn.prepare_cached(EARLIER)?;
    let rows = statement
        .query_map(params![session.as_bytes(), contact.as_bytes(), micros(before)], |row| at(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The length of a window in microseconds.
fn day() -> i64 {
    micros(window::end(from_micros(0)))
}
