//! Windows: who may be written to freely, and until when.
//!
//! Invariant: a row is the latest chain of the pair's user messages, as the rule makes it; what the
//! business wrote is read from where it stands.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{ContactId, DeliveryFacts, Fact, SessionId, TenantId};
use wa_core::port::store::{StoredInbound, WindowEntry, WindowFilter, WindowKey, WindowView};
use wa_core::rules::window::{self, Chain};

use super::project::Projecting;
use crate::postgres::audience::join::{Reached, reached};
use crate::postgres::codec::{ago, at, facts, get, id, int, opt_at, ts, uint};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::page_size;
use crate::postgres::tx::Tx;

/// What a pair wrote that opens windows, latest first, from before an instant.
const EARLIER: &str = "SELECT at FROM inbound \
     WHERE tenant = $1 AND session = $2 AND contact = $3 AND at < $4 AND opens ORDER BY at DESC";
/// What was sent to an address behind a place and before an instant, oldest first, a few attempts of it. A
/// message that was tried twice at one instant is not cut in two.
const SENT: &str = "SELECT a.begun_at, r.not_sent_at, r.rejected_at, r.accepted_at, \
     r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, r.played_at, r.failed_at, r.released_at, r.code, \
     r.class, r.title, r.details, r.provider_id, r.charge, a.message \
     FROM (SELECT x.begun_at, x.tenant, x.message, x.n FROM attempt x \
         WHERE x.tenant = $1 AND x.session = $2 AND x.recipient = $3 AND (x.begun_at, x.message) > ($4, $5) \
         AND ($6::timestamptz IS NULL OR x.begun_at < $6) \
         ORDER BY x.begun_at, x.message FETCH FIRST $7 ROWS WITH TIES) a \
     LEFT JOIN LATERAL (SELECT * FROM result x \
         WHERE x.tenant = a.tenant AND x.message = a.message AND x.n = a.n LIMIT 1) r ON true \
     ORDER BY a.begun_at, a.message";
/// How many attempts are read at once; nearly always few are asked for.
const AT_ONCE: u32 = 50;
/// What was typed on the business's own phone from an instant on and before another one.
const ECHOES: &str = "SELECT count(*) FROM inbound \
     WHERE tenant = $1 AND session = $2 AND contact = $3 AND at >= $4 AND at < $5 AND echo AND asks";
/// The first thing that was typed on the business's own phone from an instant on.
const FIRST_ECHO: &str = "SELECT at FROM inbound \
     WHERE tenant = $1 AND session = $2 AND contact = $3 AND at >= $4 AND echo AND asks ORDER BY at LIMIT 1";
const OF_TENANT: &str = "SELECT session, contact, last_user_message_at, opened_at, \
     user_messages, referral_at FROM service_window \
     WHERE tenant = $1 AND (last_user_message_at, session, contact) > ($2, $3, $4) \
     AND last_user_message_at > $5 ORDER BY last_user_message_at, session, contact LIMIT $6";
const OF_SESSION: &str = "SELECT session, contact, last_user_message_at, opened_at, \
     user_messages, referral_at FROM service_window \
     WHERE tenant = $1 AND session = $7 AND (last_user_message_at, session, contact) > ($2, $3, $4) \
     AND last_user_message_at > $5 ORDER BY last_user_message_at, contact LIMIT $6";

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Kept {
    chain: Chain,
    referral_at: Option<DateTime<Utc>>,
}

impl Projecting<'_> {
    /// Takes a user's message in, which must not be stored yet.
    pub(super) async fn open_window(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        heard: &StoredInbound,
    ) -> Fallible<()> {
        let (conn, session, contact) = (tx.conn(), heard.session, heard.contact);
        let known = read(&mut *conn, tenant, session, contact).await?;
        let chain = known.map(|kept| kept.chain);
        // Only a message that joins a chain at its beginning asks for what came before.
        let chain = match (Chain::heard(chain, heard.at, || Err(())), chain) {
            (Ok(chain), _) => chain,
            (Err(()), before) => {
                let opened_at = before.map_or(heard.at, |chain| chain.opened_at);
                let earlier = written_before(&mut *conn, tenant, session, contact, opened_at).await?;
                Chain::heard(before, heard.at, || Ok::<_, Fault>(earlier))?
            }
        };
        let came = heard.referral.as_ref().map(|_| heard.at);
        let referral_at = known.and_then(|kept| kept.referral_at).max(came);
        write(conn, tenant, session, contact, Kept { chain, referral_at }).await
    }
}

/// The window of a pair, by the snapshot's clock.
pub(super) async fn one(
    tx: &mut Tx,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
) -> Fallible<Option<WindowView>> {
    let Some(kept) = read(tx.conn(), tenant, session, contact).await? else { return Ok(None) };
    Ok(Some(view(tx, tenant, session, contact, kept).await?))
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: WindowFilter,
    after: Option<WindowKey>,
    limit: u32,
) -> Fallible<Vec<WindowEntry>> {
    let WindowFilter { session, open_only } = filter;
    let closed = if open_only { ago(tx.now, window::LENGTH) } else { ts(DateTime::<Utc>::MIN_UTC) };
    let (from, from_session, from_contact) = match after {
        Some(WindowKey { last_user_message_at, session, contact }) => {
            (ts(last_user_message_at), session.as_uuid(), contact.as_uuid())
        }
        None => (ts(DateTime::<Utc>::MIN_UTC), Uuid::nil(), Uuid::nil()),
    };
    let sql = if session.is_some() { OF_SESSION } else { OF_TENANT };
    let mut page = sqlx::query(sql)
        .bind(tenant.as_uuid())
        .bind(from)
        .bind(from_session)
        .bind(from_contact)
        .bind(closed)
        .bind(page_size(limit));
    if let Some(session) = session {
        page = page.bind(session.as_uuid());
    }
    let rows: Vec<(SessionId, ContactId, Kept)> = page
        .try_map(|row: PgRow| Ok((id(&row, 0)?, id(&row, 1)?, kept(&row, 2)?)))
        .fetch_all(tx.conn())
        .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for (session, contact, kept) in rows {
        let window = view(tx, tenant, session, contact, kept).await?;
        entries.push(WindowEntry { session, contact, window });
    }
    Ok(entries)
}

/// Makes the window of a pair anew from everything that it wrote.
pub(in crate::postgres) async fn remake(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
) -> Fallible<()> {
    let all = written_before(&mut *conn, tenant, session, contact, DateTime::<Utc>::MAX_UTC).await?;
    let Some(chain) = Chain::of(all) else { return Ok(()) };
    let referral_at = sqlx::query(
        "SELECT max(at) FROM inbound \
         WHERE tenant = $1 AND session = $2 AND contact = $3 AND opens AND referral IS NOT NULL",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(contact.as_uuid())
    .try_map(|row: PgRow| opt_at(&row, 0))
    .fetch_one(&mut *conn)
    .await?;
    write(conn, tenant, session, contact, Kept { chain, referral_at }).await
}

/// One window of two contacts that are one; their messages are the kept one's already.
pub(in crate::postgres) async fn join(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    kept: ContactId,
    gone: ContactId,
) -> Fallible<()> {
    if let Some(other) = read(&mut *conn, tenant, session, gone).await? {
        let own = read(&mut *conn, tenant, session, kept).await?;
        let all = written_before(&mut *conn, tenant, session, kept, DateTime::<Utc>::MAX_UTC).await?;
        let referral_at = own.and_then(|own| own.referral_at).max(other.referral_at);
        let chain = Chain::of(all).unwrap_or(other.chain);
        write(&mut *conn, tenant, session, kept, Kept { chain, referral_at }).await?;
        sqlx::query("DELETE FROM service_window WHERE tenant = $1 AND session = $2 AND contact = $3")
            .bind(tenant.as_uuid())
            .bind(session.as_uuid())
            .bind(gone.as_uuid())
            .execute(&mut *conn)
            .await?;
    }
    let told: Option<DateTime<Utc>> = sqlx::query_scalar(
        "DELETE FROM entry_point WHERE tenant = $1 AND session = $2 AND contact = $3 RETURNING until",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(gone.as_uuid())
    .fetch_optional(&mut *conn)
    .await?;
    match told {
        Some(until) => note_entry_point(conn, tenant, session, kept, until).await,
        None => Ok(()),
    }
}

/// Keeps the end of a free entry point that a webhook names; the latest counts.
pub(super) async fn note_entry_point(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    until: DateTime<Utc>,
) -> Fallible<()> {
    sqlx::query(
        "INSERT INTO entry_point AS e (tenant, session, contact, until) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, session, contact) DO UPDATE SET until = greatest(e.until, excluded.until)",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(contact.as_uuid())
    .bind(ts(until))
    .execute(conn)
    .await?;
    Ok(())
}

/// Visits what was sent to a contact from an instant on, oldest first per address, until told to stop.
pub(super) async fn sent_since(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    reached: &[Reached],
    since: DateTime<Utc>,
    mut visit: impl FnMut(DateTime<Utc>, &DeliveryFacts) -> bool + Send,
) -> Fallible<()> {
    for Reached { key, since: from, until } in reached {
        let mut after = (ts(from.map_or(since, |from| from.max(since))), Uuid::nil());
        let mut is_over = false;
        while !is_over {
            let sent: Vec<((DateTime<Utc>, Uuid), DeliveryFacts)> = sqlx::query(SENT)
                .bind(tenant.as_uuid())
                .bind(session.as_uuid())
                .bind(*key)
                .bind(after.0)
                .bind(after.1)
                .bind(until.map(ts))
                .bind(i64::from(AT_ONCE))
                .try_map(|row: PgRow| Ok(((at(&row, 0)?, get(&row, 17)?), facts(&row, 1)?)))
                .fetch_all(&mut *conn)
                .await?;
            let goes_on = sent.iter().all(|((begun_at, _), facts)| visit(*begun_at, facts));
            is_over = !goes_on || u32::try_from(sent.len()).is_ok_and(|n| n < AT_ONCE);
            after = sent.last().map_or(after, |(place, _)| *place);
        }
    }
    Ok(())
}

/// When something was first typed on the business's own phone, from an instant on.
pub(super) async fn first_echo_since(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    since: DateTime<Utc>,
) -> Fallible<Option<DateTime<Utc>>> {
    let first = sqlx::query_scalar(FIRST_ECHO)
        .bind(tenant.as_uuid())
        .bind(session.as_uuid())
        .bind(contact.as_uuid())
        .bind(ts(since))
        .fetch_optional(conn)
        .await?;
    Ok(first)
}

async fn view(
    tx: &mut Tx,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    kept: Kept,
) -> Fallible<WindowView> {
    let mut view = WindowView::of(kept.chain, tx.now);
    let (opened_at, closes_at) = (view.opened_at, view.closes_at);
    let conn = tx.conn();
    let reached = reached(&mut *conn, tenant, contact).await?;
    let mut business = 0_u64;
    sent_since(&mut *conn, tenant, session, &reached, opened_at, |begun_at, facts| {
        let is_in = begun_at < closes_at;
        business += u64::from(is_in && !facts.is_definitely_undelivered());
        is_in
    })
    .await?;
    let echoes: i64 = sqlx::query_scalar(ECHOES)
        .bind(tenant.as_uuid())
        .bind(session.as_uuid())
        .bind(contact.as_uuid())
        .bind(ts(opened_at))
        .bind(ts(closes_at))
        .fetch_one(&mut *conn)
        .await?;
    view.business_messages = business.saturating_add(echoes.unsigned_abs());
    view.referral_at = kept.referral_at;
    view.free_until = free_until(conn, tenant, session, contact, kept.referral_at).await?;
    Ok(view)
}

/// Until when everything to a contact is free after an advertisement led it here, if one did.
pub(in crate::postgres) async fn free_until(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    referral_at: Option<DateTime<Utc>>,
) -> Fallible<Option<DateTime<Utc>>> {
    let mut answered = None::<DateTime<Utc>>;
    if let Some(came) = referral_at {
        let last = window::end(came);
        let reached = reached(&mut *conn, tenant, contact).await?;
        sent_since(&mut *conn, tenant, session, &reached, came, |begun_at, facts| {
            let arrived =
                [Fact::Delivered, Fact::Read, Fact::Played].into_iter().filter_map(|fact| facts.at(fact));
            answered = answered.into_iter().chain(arrived).min();
            begun_at < last
        })
        .await?;
        let echo = first_echo_since(&mut *conn, tenant, session, contact, came).await?;
        answered = answered.into_iter().chain(echo).min();
    }
    let told = sqlx::query_scalar(
        "SELECT until FROM entry_point WHERE tenant = $1 AND session = $2 AND contact = $3",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(contact.as_uuid())
    .fetch_optional(conn)
    .await?;
    Ok(window::entry_until(referral_at, answered, told))
}

async fn read(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
) -> Fallible<Option<Kept>> {
    let found = sqlx::query(
        "SELECT last_user_message_at, opened_at, user_messages, referral_at FROM service_window \
         WHERE tenant = $1 AND session = $2 AND contact = $3",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(contact.as_uuid())
    .try_map(|row: PgRow| kept(&row, 0))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

fn kept(row: &PgRow, index: usize) -> Result<Kept, Error> {
    let chain = Chain {
        last_user_message_at: at(row, index)?,
        opened_at: at(row, index + 1)?,
        user_messages: uint(row, index + 2)?,
    };
    Ok(Kept { chain, referral_at: opt_at(row, index + 3)? })
}

async fn write(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    kept: Kept,
) -> Fallible<()> {
    let Kept { chain, referral_at } = kept;
    let Chain { opened_at, last_user_message_at, user_messages } = chain;
    sqlx::query(
        "INSERT INTO service_window (tenant, session, contact, last_user_message_at, opened_at, \
         user_messages, referral_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (tenant, session, contact) DO UPDATE SET \
         last_user_message_at = excluded.last_user_message_at, opened_at = excluded.opened_at, \
         user_messages = excluded.user_messages, referral_at = excluded.referral_at",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(contact.as_uuid())
    .bind(last_user_message_at)
    .bind(opened_at)
    .bind(int(user_messages))
    .bind(referral_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The instants of what a pair wrote before another one, latest first.
async fn written_before(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    before: DateTime<Utc>,
) -> Fallible<Vec<DateTime<Utc>>> {
    let all = sqlx::query_scalar(EARLIER)
        .bind(tenant.as_uuid())
        .bind(session.as_uuid())
        .bind(contact.as_uuid())
        .bind(ts(before))
        .fetch_all(conn)
        .await?;
    Ok(all)
}
