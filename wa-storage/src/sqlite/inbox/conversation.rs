//! Conversations: rows of their own for who looks after them, and what was written, read from where
//! it stands.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use wa_core::model::{
    CampaignContent, CampaignId, Chosen, Content, Conversation, ConversationAction, ConversationId,
    ConversationState, MessageId, TenantId, Thread, micros,
};
use wa_core::port::store::{
    Assignment, CampaignBrief, ConversationFilter, ConversationKey, ConversationMessage, ConversationPlace,
    Reacted, StoredInbound,
};
use wa_core::rules::conversation::{self, Writer};

use super::message::{hanging, heard, whole};
use super::project::Projecting;
use super::window::{first_echo_since, sent_since};
use crate::common::changes::Changes;
use crate::common::inbox::told_of;
use crate::sqlite::audience::contacts::standing_for;
use crate::sqlite::audience::join::{Reached, reached};
use crate::sqlite::codec::{at, id, int, json, named, opt_at, opt_json, opt_micros, opt_parsed, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::message::{Stored, pattern};
use crate::sqlite::page_size;
use crate::sqlite::prices::Books;
use crate::sqlite::reader::Snapshot;
use crate::sqlite::writer::Tx;

const THREAD: &str = "state, assigned, unread, started_at, last_message_at, first_inbound_at, closed_at";
pub(in crate::sqlite) const FIRST_SENT: &str = "SELECT a.begun_at, a.message FROM attempt a \
     WHERE a.session = ?1 AND a.recipient = ?2 AND (a.begun_at > ?3 OR (a.begun_at = ?3 AND a.message > ?4)) \
     AND a.begun_at >= ?3 AND a.n = 1 ORDER BY a.begun_at, a.message LIMIT ?5";
pub(in crate::sqlite) const HEARD: &str = "SELECT i.position, i.session, i.contact, i.echo, i.phone, i.bsuid, \
     i.provider_id, i.at, i.body, i.context, i.referral, i.chat FROM inbound i \
     WHERE i.session = ?1 AND i.contact = ?2 AND i.at >= ?3 AND (i.at > ?3 OR i.position > ?4) AND i.asks = 1 \
     ORDER BY i.at, i.position LIMIT ?5";

impl Projecting<'_> {
    /// Takes a message that asks for attention into its conversation.
    pub(super) fn converse(
        &mut self,
        tenant: TenantId,
        heard: &StoredInbound,
        writer: Writer,
    ) -> Fallible<()> {
        let key = ConversationId { session: heard.session, contact: heard.contact };
        let known = read(self.tx.conn, tenant, key)?;
        let (thread, told) = conversation::heard(known, writer, heard.at);
        write(self.tx.conn, tenant, key, &thread)?;
        if let Some(told) = told {
            self.merger.changes.event(tenant, told_of(key, &thread, told));
        }
        Ok(())
    }
}

pub(super) fn act(
    tx: &Tx<'_>,
    tenant: TenantId,
    key: ConversationId,
    action: &ConversationAction,
) -> Fallible<Option<Conversation>> {
    let key = same(tx.conn, tenant, key)?;
    let Some(known) = read(tx.conn, tenant, key)? else { return Ok(None) };
    let (thread, told) = conversation::act(known, action, tx.now);
    write(tx.conn, tenant, key, &thread)?;
    let mut changes = Changes::default();
    if let Some(told) = told {
        changes.event(tenant, told_of(key, &thread, told));
    }
    tx.write(changes)?;
    Ok(Some(show(tx.conn, tenant, key, thread)?))
}

pub(super) fn one(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    key: ConversationId,
) -> Fallible<Option<Conversation>> {
    let key = same(snapshot.conn, tenant, key)?;
    let Some(thread) = read(snapshot.conn, tenant, key)? else { return Ok(None) };
    Ok(Some(show(snapshot.conn, tenant, key, thread)?))
}

pub(super) fn list(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    filter: &ConversationFilter,
    after: Option<ConversationKey>,
    limit: u32,
) -> Fallible<Vec<Conversation>> {
    let ConversationFilter { state, assigned, session } = filter;
    let mut sql = format!("SELECT session, contact, {THREAD} FROM conversation WHERE tenant = ?");
    let mut values = vec![Value::from(tenant.as_bytes().to_vec())];
    if let Some(state) = state {
        sql.push_str(" AND state = ?");
        values.push(Value::from(state.as_str().to_owned()));
    }
    match assigned {
        None => {}
        Some(Assignment::Nobody) => sql.push_str(" AND assigned IS NULL"),
        Some(Assignment::To(agent)) => {
            sql.push_str(" AND assigned = ?");
            values.push(Value::from(agent.as_str().to_owned()));
        }
    }
    if let Some(session) = session {
        sql.push_str(" AND session = ?");
        values.push(Value::from(session.as_bytes().to_vec()));
    }
    if let Some(ConversationKey { last_message_at, id }) = after {
        sql.push_str(" AND (last_message_at, session, contact) < (?, ?, ?)");
        values.push(Value::from(micros(last_message_at)));
        values.push(Value::from(id.session.as_bytes().to_vec()));
        values.push(Value::from(id.contact.as_bytes().to_vec()));
    }
    sql.push_str(" ORDER BY last_message_at DESC, session DESC, contact DESC LIMIT ?");
    values.push(Value::from(page_size(limit)));
    let mut statement = snapshot.conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok((ConversationId { session: id(row, 0)?, contact: id(row, 1)? }, thread(row, 2)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.into_iter().map(|(key, thread)| show(snapshot.conn, tenant, key, thread)).collect()
}

pub(super) fn messages(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    key: ConversationId,
    after: Option<ConversationPlace>,
    limit: u32,
) -> Fallible<Vec<ConversationMessage>> {
    let conn = snapshot.conn;
    let key = same(conn, tenant, key)?;
    if read(conn, tenant, key)?.is_none() {
        return Ok(Vec::new());
    }
    let size = page_size(limit);
    // What was heard comes before what was sent at the same instant.
    let (heard_after, sent_after) = match after {
        None => ((i64::MIN, 0), (i64::MIN, [0; 16])),
        Some(ConversationPlace::Heard(at, position)) => ((micros(at), int(position)), (micros(at), [0; 16])),
        Some(ConversationPlace::Sent(at, message)) => {
            ((micros(at), i64::MAX), (micros(at), *message.as_bytes()))
        }
    };
    let mut statement = conn.prepare_cached(HEARD)?;
    let rows = statement.query_map(
        params![key.session.as_bytes(), key.contact.as_bytes(), heard_after.0, heard_after.1, size],
        heard,
    )?;
    let mut found: Vec<(ConversationPlace, Option<StoredInbound>)> = Vec::new();
    for row in rows {
        let heard = row?;
        found.push((ConversationPlace::Heard(heard.at, heard.position), Some(heard)));
    }
    for Reached { key: address, since, until } in reached(conn, tenant, key.contact)? {
        let (mut from, mut message) = (sent_after.0, sent_after.1);
        if let Some(since) = since.map(micros).filter(|since| *since > from) {
            (from, message) = (since, [0; 16]);
        }
        let mut statement = conn.prepare_cached(FIRST_SENT)?;
        let rows = statement
            .query_map(params![key.session.as_bytes(), address, from, message, size], |row| {
                Ok(ConversationPlace::Sent(at(row, 0)?, id(row, 1)?))
            })?;
        for place in rows {
            let place = place?;
            if until.is_some_and(|until| place.at() >= until) {
                break;
            }
            found.push((place, None));
        }
    }
    found.sort_by_key(|(place, _)| place.rank());
    found.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let mut messages = Vec::with_capacity(found.len());
    for (place, stored) in found {
        match (place, stored) {
            (_, Some(heard)) => messages.push(ConversationMessage::Heard(Box::new(whole(conn, heard)?))),
            (ConversationPlace::Sent(at, message), None) => {
                messages.extend(sent(conn, tenant, key, at, message)?);
            }
            (ConversationPlace::Heard(..), None) => {}
        }
    }
    Ok(messages)
}

fn sent(
    conn: &Connection,
    tenant: TenantId,
    key: ConversationId,
    at: chrono::DateTime<chrono::Utc>,
    message: MessageId,
) -> Fallible<Option<ConversationMessage>> {
    let Some(stored) = Stored::load(conn, tenant, message)? else { return Ok(None) };
    let chosen = stored.attempts.last().map(|attempt| attempt.content).unwrap_or_default();
    let content = content(conn, tenant, stored.campaign, message, chosen)?.map(Box::new);
    let view = stored.into_view(conn, &mut Books::default())?;
    let mut hangs = Vec::new();
    for name in view.attempts.iter().filter_map(|attempt| attempt.facts.provider_id.as_deref()) {
        hangs.extend(hanging(conn, key.session, name)?);
    }
    hangs.sort_by_key(|it| it.position);
    let reactions = Reacted::latest(&hangs);
    Ok(Some(ConversationMessage::Sent { at, view: Box::new(view), content, reactions }))
}

/// What a message said.
fn content(
    conn: &Connection,
    tenant: TenantId,
    campaign: Option<CampaignId>,
    message: MessageId,
    chosen: Chosen,
) -> Fallible<Option<Content>> {
    let Some(campaign) = campaign else { return pattern(conn, tenant, None, message, chosen) };
    let found: Option<(CampaignContent, Option<CampaignContent>, Option<Vec<String>>)> = conn
        .prepare_cached(
            "SELECT c.content, c.fallback, m.params FROM campaign c \
             JOIN message m ON m.tenant = c.tenant AND m.id = ?3 WHERE c.tenant = ?1 AND c.id = ?2",
        )?
        .query_row(params![tenant.as_bytes(), campaign.as_bytes(), message.as_bytes()], |row| {
            Ok((json(row, 0)?, opt_json(row, 1)?, opt_json(row, 2)?))
        })
        .optional()?;
    let Some((content, fallback, values)) = found else { return Ok(None) };
    let brief = CampaignBrief::new(campaign, content, fallback, None);
    let said = match chosen {
        Chosen::Own => Some(&brief.content),
        Chosen::Fallback => brief.fallback.as_ref(),
    };
    Ok(said.and_then(|said| said.fill_from(&brief.columns, &values.unwrap_or_default()).ok()))
}

/// One conversation of two contacts that are one.
pub(in crate::sqlite) fn join(
    conn: &Connection,
    tenant: TenantId,
    kept: ConversationId,
    gone: ConversationId,
) -> Fallible<()> {
    let Some(other) = read(conn, tenant, gone)? else { return Ok(()) };
    let joined = match read(conn, tenant, kept)? {
        Some(own) => conversation::joined(own, other),
        None => other,
    };
    conn.prepare_cached("DELETE FROM conversation WHERE tenant = ?1 AND session = ?2 AND contact = ?3")?
        .execute(params![tenant.as_bytes(), gone.session.as_bytes(), gone.contact.as_bytes()])?;
    write(conn, tenant, kept, &joined)
}

/// The conversation by the id of the contact that stayed.
fn same(conn: &Connection, tenant: TenantId, key: ConversationId) -> Fallible<ConversationId> {
    Ok(ConversationId { contact: standing_for(conn, tenant, key.contact)?, ..key })
}

fn show(conn: &Connection, tenant: TenantId, key: ConversationId, thread: Thread) -> Fallible<Conversation> {
    let mut first = None;
    if let Some(since) = thread.first_inbound_at {
        let reached = reached(conn, tenant, key.contact)?;
        sent_since(conn, key.session, &reached, since, |begun_at, facts| {
            let may_arrive = !facts.is_definitely_undelivered();
            if may_arrive {
                first = first.into_iter().chain([begun_at]).min();
            }
            !may_arrive
        })?;
        let echo = first_echo_since(conn, key.session, key.contact, since)?;
        first = first.into_iter().chain(echo).min();
    }
    Ok(thread.show(key, first))
}

fn read(conn: &Connection, tenant: TenantId, key: ConversationId) -> Fallible<Option<Thread>> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {THREAD} FROM conversation WHERE tenant = ?1 AND session = ?2 AND contact = ?3"
        ))?
        .query_row(params![tenant.as_bytes(), key.session.as_bytes(), key.contact.as_bytes()], |row| {
            thread(row, 0)
        })
        .optional()?;
    Ok(found)
}

fn thread(row: &Row<'_>, index: usize) -> rusqlite::Result<Thread> {
    Ok(Thread {
        state: named(row, index, ConversationState::from_name)?,
        assigned: opt_parsed(row, index + 1)?,
        unread: uint(row, index + 2)?,
        started_at: at(row, index + 3)?,
        last_message_at: at(row, index + 4)?,
        first_inbound_at: opt_at(row, index + 5)?,
        closed_at: opt_at(row, index + 6)?,
    })
}

fn write(conn: &Connection, tenant: TenantId, key: ConversationId, thread: &Thread) -> Fallible<()> {
    let Thread { state, assigned, unread, started_at, last_message_at, first_inbound_at, closed_at } = thread;
    conn.prepare_cached(&format!(
        "INSERT OR REPLACE INTO conversation (tenant, session, contact, {THREAD}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    ))?
    .execute(params![
        tenant.as_bytes(),
        key.session.as_bytes(),
        key.contact.as_bytes(),
        state.as_str(),
        assigned.as_ref().map(|agent| agent.as_str()),
        int(*unread),
        micros(*started_at),
        micros(*last_message_at),
        opt_micros(*first_inbound_at),
        opt_micros(*closed_at)
    ])?;
    Ok(())
}
