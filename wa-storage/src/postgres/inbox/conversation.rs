//! Conversations: rows of their own for who looks after them, and what was written, read from where
//! it stands.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use wa_core::model::{
    CampaignContent, CampaignId, Chosen, Content, Conversation, ConversationAction, ConversationId,
    ConversationState, MessageId, MessageView, SessionId, TenantId, Thread,
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
use crate::postgres::audience::contacts::standing_for;
use crate::postgres::audience::join::{Reached, reached};
use crate::postgres::codec::{at, id, int, json, named, opt_at, opt_json, opt_parsed, ts, uint};
use crate::postgres::error::Fallible;
use crate::postgres::message::{into_views, load_all, pattern};
use crate::postgres::page_size;
use crate::postgres::prices::Books;
use crate::postgres::tx::Tx;

const THREAD: &str = "state, assigned, unread, started_at, last_message_at, first_inbound_at, closed_at";
const FIRST_SENT: &str = "SELECT a.begun_at, a.message FROM attempt a \
     WHERE a.tenant = $1 AND a.session = $2 AND a.recipient = $3 AND (a.begun_at, a.message) > ($4, $5) \
     AND ($6::timestamptz IS NULL OR a.begun_at < $6) AND a.n = 1 ORDER BY a.begun_at, a.message LIMIT $7";
const HEARD: &str = "SELECT i.position, i.session, i.contact, i.echo, i.phone, i.bsuid, \
     i.provider_id, i.at, i.body, i.context, i.referral, i.chat FROM inbound i \
     WHERE i.tenant = $1 AND i.session = $2 AND i.contact = $3 AND (i.at, i.position) > ($4, $5) AND i.asks \
     ORDER BY i.at, i.position LIMIT $6";

impl Projecting<'_> {
    /// Takes a message that asks for attention into its conversation.
    pub(super) async fn converse(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        heard: &StoredInbound,
        writer: Writer,
    ) -> Fallible<()> {
        let key = ConversationId { session: heard.session, contact: heard.contact };
        let known = read(tx.conn(), tenant, key).await?;
        let (thread, told) = conversation::heard(known, writer, heard.at);
        write(tx.conn(), tenant, key, &thread).await?;
        if let Some(told) = told {
            self.merger.changes.event(tenant, told_of(key, &thread, told));
        }
        Ok(())
    }
}

pub(super) async fn act(
    tx: &mut Tx,
    tenant: TenantId,
    key: ConversationId,
    action: &ConversationAction,
) -> Fallible<Option<Conversation>> {
    let key = same(tx.conn(), tenant, key).await?;
    let Some(known) = read(tx.conn(), tenant, key).await? else { return Ok(None) };
    let (thread, told) = conversation::act(known, action, tx.now);
    write(tx.conn(), tenant, key, &thread).await?;
    let mut changes = Changes::default();
    if let Some(told) = told {
        changes.event(tenant, told_of(key, &thread, told));
    }
    tx.write(changes).await?;
    Ok(Some(show(tx.conn(), tenant, key, thread).await?))
}

pub(super) async fn one(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
) -> Fallible<Option<Conversation>> {
    let key = same(&mut *conn, tenant, key).await?;
    let Some(thread) = read(&mut *conn, tenant, key).await? else { return Ok(None) };
    Ok(Some(show(conn, tenant, key, thread).await?))
}

pub(super) async fn list(
    conn: &mut PgConnection,
    tenant: TenantId,
    filter: &ConversationFilter,
    after: Option<ConversationKey>,
    limit: u32,
) -> Fallible<Vec<Conversation>> {
    let ConversationFilter { state, assigned, session } = filter;
    let mut sql: QueryBuilder<Postgres> =
        QueryBuilder::new(format!("SELECT session, contact, {THREAD} FROM conversation WHERE tenant = "));
    sql.push_bind(tenant.as_uuid());
    if let Some(state) = state {
        sql.push(" AND state = ").push_bind(state.as_str());
    }
    match assigned {
        None => {}
        Some(Assignment::Nobody) => {
            sql.push(" AND assigned IS NULL");
        }
        Some(Assignment::To(agent)) => {
            sql.push(" AND assigned = ").push_bind(agent.as_str());
        }
    }
    if let Some(session) = session {
        sql.push(" AND session = ").push_bind(session.as_uuid());
    }
    if let Some(ConversationKey { last_message_at, id }) = after {
        sql.push(" AND (last_message_at, session, contact) < (").push_bind(ts(last_message_at));
        sql.push(", ").push_bind(id.session.as_uuid());
        sql.push(", ").push_bind(id.contact.as_uuid()).push(")");
    }
    sql.push(" ORDER BY last_message_at DESC, session DESC, contact DESC LIMIT ").push_bind(page_size(limit));
    let rows: Vec<(ConversationId, Thread)> = sql
        .build()
        .try_map(|row: PgRow| {
            Ok((ConversationId { session: id(&row, 0)?, contact: id(&row, 1)? }, thread(&row, 2)?))
        })
        .fetch_all(&mut *conn)
        .await?;
    let mut shown = Vec::with_capacity(rows.len());
    for (key, thread) in rows {
        shown.push(show(&mut *conn, tenant, key, thread).await?);
    }
    Ok(shown)
}

pub(super) async fn messages(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
    after: Option<ConversationPlace>,
    limit: u32,
) -> Fallible<Vec<ConversationMessage>> {
    let key = same(&mut *conn, tenant, key).await?;
    if read(&mut *conn, tenant, key).await?.is_none() {
        return Ok(Vec::new());
    }
    let size = page_size(limit);
    let mut found = heard_after(&mut *conn, tenant, key, after, size).await?;
    found.extend(sent_after(&mut *conn, tenant, key, after, size).await?);
    found.sort_by_key(|(place, _)| place.rank());
    // Who came back to a former address is reached there twice.
    found.dedup_by_key(|(place, _)| *place);
    found.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let mut places = Vec::with_capacity(found.len());
    let (mut was_heard, mut was_sent) = (Vec::new(), Vec::new());
    for (place, stored) in found {
        was_heard.extend(stored);
        match place {
            ConversationPlace::Heard(..) => {}
            ConversationPlace::Sent(at, message) => was_sent.push((at, message)),
        }
        places.push(place);
    }
    let mut was_heard = whole(&mut *conn, tenant, was_heard).await?.into_iter();
    let mut was_sent = sent(conn, tenant, key, was_sent).await?;
    let messages = places.into_iter().filter_map(|place| match place {
        // In the order of their places.
        ConversationPlace::Heard(..) => Some(ConversationMessage::Heard(Box::new(was_heard.next()?))),
        ConversationPlace::Sent(_, message) => was_sent.remove(&message),
    });
    Ok(messages.collect())
}

/// What was heard behind a place, in order.
async fn heard_after(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
    after: Option<ConversationPlace>,
    size: i64,
) -> Fallible<Vec<(ConversationPlace, Option<StoredInbound>)>> {
    // What was heard comes before what was sent at the same instant.
    let (from, position) = match after {
        None => (DateTime::<Utc>::MIN_UTC, 0),
        Some(ConversationPlace::Heard(at, position)) => (at, int(position)),
        Some(ConversationPlace::Sent(at, _)) => (at, i64::MAX),
    };
    let found = sqlx::query(HEARD)
        .bind(tenant.as_uuid())
        .bind(key.session.as_uuid())
        .bind(key.contact.as_uuid())
        .bind(ts(from))
        .bind(position)
        .bind(size)
        .try_map(|row: PgRow| {
            let heard = heard(&row)?;
            Ok((ConversationPlace::Heard(heard.at, heard.position), Some(heard)))
        })
        .fetch_all(conn)
        .await?;
    Ok(found)
}

/// The places behind another one of what was sent, in order by address.
async fn sent_after(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
    after: Option<ConversationPlace>,
    size: i64,
) -> Fallible<Vec<(ConversationPlace, Option<StoredInbound>)>> {
    let sent_after = match after {
        None => (DateTime::<Utc>::MIN_UTC, Uuid::nil()),
        Some(ConversationPlace::Heard(at, _)) => (at, Uuid::nil()),
        Some(ConversationPlace::Sent(at, message)) => (at, message.as_uuid()),
    };
    let mut found = Vec::new();
    for Reached { key: address, since, until } in reached(&mut *conn, tenant, key.contact).await? {
        let since = since.filter(|since| *since > sent_after.0);
        let (from, message) = since.map_or(sent_after, |since| (since, Uuid::nil()));
        let places = sqlx::query(FIRST_SENT)
            .bind(tenant.as_uuid())
            .bind(key.session.as_uuid())
            .bind(address)
            .bind(ts(from))
            .bind(message)
            .bind(until.map(ts))
            .bind(size)
            .try_map(|row: PgRow| Ok((ConversationPlace::Sent(at(&row, 0)?, id(&row, 1)?), None)))
            .fetch_all(&mut *conn)
            .await?;
        found.extend(places);
    }
    Ok(found)
}

/// Messages of the library, as they stand in a conversation.
async fn sent(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
    places: Vec<(DateTime<Utc>, MessageId)>,
) -> Fallible<HashMap<MessageId, ConversationMessage>> {
    let wanted: Vec<_> = places.iter().map(|(_, message)| (tenant, *message)).collect();
    let mut known = load_all(&mut *conn, &wanted).await?;
    let (mut stored, mut beside) = (Vec::new(), Vec::new());
    for (at, message) in places {
        let Some(found) = known.remove(&(tenant, message)) else { continue };
        let chosen = found.attempts.last().map(|attempt| attempt.content).unwrap_or_default();
        beside.push((at, content(&mut *conn, tenant, found.campaign, message, chosen).await?.map(Box::new)));
        stored.push(found);
    }
    let views = into_views(&mut *conn, stored, &mut Books::default()).await?;
    let on: BTreeSet<(SessionId, String)> =
        views.iter().flat_map(names).map(|name| (key.session, name.to_owned())).collect();
    let hanging = hanging(conn, tenant, on.into_iter().collect()).await?;
    let mut messages = HashMap::new();
    for (view, (at, content)) in views.into_iter().zip(beside) {
        let on = names(&view).filter_map(|name| hanging.get(&(key.session, name.to_owned())));
        let mut hangs: Vec<StoredInbound> = on.flatten().cloned().collect();
        hangs.sort_by_key(|it| it.position);
        let reactions = Reacted::latest(&hangs);
        let id = view.id;
        messages.insert(id, ConversationMessage::Sent { at, view: Box::new(view), content, reactions });
    }
    Ok(messages)
}

/// The names that a provider gave the attempts of a message.
fn names(view: &MessageView) -> impl Iterator<Item = &str> {
    view.attempts.iter().filter_map(|attempt| attempt.facts.provider_id.as_deref())
}

/// What a message said.
async fn content(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: Option<CampaignId>,
    message: MessageId,
    chosen: Chosen,
) -> Fallible<Option<Content>> {
    let Some(campaign) = campaign else { return pattern(conn, tenant, None, message, chosen).await };
    let found: Option<(CampaignContent, Option<CampaignContent>, Option<Vec<String>>)> = sqlx::query(
        "SELECT c.content, c.fallback, m.params FROM campaign c \
         JOIN message m ON m.tenant = c.tenant AND m.id = $3 WHERE c.tenant = $1 AND c.id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.as_uuid())
    .bind(message.as_uuid())
    .try_map(|row: PgRow| Ok((json(&row, 0)?, opt_json(&row, 1)?, opt_json(&row, 2)?)))
    .fetch_optional(conn)
    .await?;
    let Some((content, fallback, values)) = found else { return Ok(None) };
    let brief = CampaignBrief::new(campaign, content, fallback, None);
    let said = match chosen {
        Chosen::Own => Some(&brief.content),
        Chosen::Fallback => brief.fallback.as_ref(),
    };
    Ok(said.and_then(|said| said.fill_from(&brief.columns, &values.unwrap_or_default()).ok()))
}

/// One conversation of two contacts that are one.
pub(in crate::postgres) async fn join(
    conn: &mut PgConnection,
    tenant: TenantId,
    kept: ConversationId,
    gone: ConversationId,
) -> Fallible<()> {
    let Some(other) = read(&mut *conn, tenant, gone).await? else { return Ok(()) };
    let joined = match read(&mut *conn, tenant, kept).await? {
        Some(own) => conversation::joined(own, other),
        None => other,
    };
    sqlx::query("DELETE FROM conversation WHERE tenant = $1 AND session = $2 AND contact = $3")
        .bind(tenant.as_uuid())
        .bind(gone.session.as_uuid())
        .bind(gone.contact.as_uuid())
        .execute(&mut *conn)
        .await?;
    write(conn, tenant, kept, &joined).await
}

/// The conversation by the id of the contact that stayed.
async fn same(conn: &mut PgConnection, tenant: TenantId, key: ConversationId) -> Fallible<ConversationId> {
    Ok(ConversationId { contact: standing_for(conn, tenant, key.contact).await?, ..key })
}

async fn show(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
    thread: Thread,
) -> Fallible<Conversation> {
    let mut first = None;
    if let Some(since) = thread.first_inbound_at {
        let reached = reached(&mut *conn, tenant, key.contact).await?;
        sent_since(&mut *conn, tenant, key.session, &reached, since, |begun_at, facts| {
            let may_arrive = !facts.is_definitely_undelivered();
            if may_arrive {
                first = first.into_iter().chain([begun_at]).min();
            }
            !may_arrive
        })
        .await?;
        let echo = first_echo_since(conn, tenant, key.session, key.contact, since).await?;
        first = first.into_iter().chain(echo).min();
    }
    Ok(thread.show(key, first))
}

async fn read(conn: &mut PgConnection, tenant: TenantId, key: ConversationId) -> Fallible<Option<Thread>> {
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {THREAD} FROM conversation WHERE tenant = $1 AND session = $2 AND contact = $3"
    )))
    .bind(tenant.as_uuid())
    .bind(key.session.as_uuid())
    .bind(key.contact.as_uuid())
    .try_map(|row: PgRow| thread(&row, 0))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

fn thread(row: &PgRow, index: usize) -> Result<Thread, Error> {
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

async fn write(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: ConversationId,
    thread: &Thread,
) -> Fallible<()> {
    let Thread { state, assigned, unread, started_at, last_message_at, first_inbound_at, closed_at } = thread;
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO conversation (tenant, session, contact, {THREAD}) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (tenant, session, contact) DO UPDATE SET state = excluded.state, \
         assigned = excluded.assigned, unread = excluded.unread, started_at = excluded.started_at, \
         last_message_at = excluded.last_message_at, first_inbound_at = excluded.first_inbound_at, \
         closed_at = excluded.closed_at"
    )))
    .bind(tenant.as_uuid())
    .bind(key.session.as_uuid())
    .bind(key.contact.as_uuid())
    .bind(state.as_str())
    .bind(assigned.as_ref().map(|agent| agent.as_str()))
    .bind(int(*unread))
    .bind(*started_at)
    .bind(*last_message_at)
    .bind(*first_inbound_at)
    .bind(*closed_at)
    .execute(conn)
    .await?;
    Ok(())
}
