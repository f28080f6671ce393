//! One message with everything that decides its state: its attempts, its closing, its due row. A batch of
//! messages is read and written in the number of statements that one takes.
//!
//! A subquery behind LATERAL with a LIMIT or an OFFSET is an index lookup for each message; a plain join
//! would be left to statistics, which know nothing of an array's length.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Error, PgConnection};
use uuid::Uuid;
use wa_core::model::{
    CampaignContent, CampaignId, Charge, Chosen, Content, Estimate, Fact, FailureDetails, HoldReason, Lane,
    MessageId, MessageState, MessageView, Money, PriceReason, RateCategory, SessionId, SkipReason, TenantId,
};
use wa_core::rules::price::Quote;

use super::codec::{
    at, facts, get, id, lane_rank, named, opt_at, opt_id, opt_json, opt_named, opt_uint, parsed,
    provider_hash, recipient, text, ts, uint, undecodable, uuids,
};
use super::error::{Fallible, Fault};
use super::prices::Books;
pub(super) use crate::common::message::{Attempt, Due, Stored};

const SELECT_HEADS: &str = "SELECT m.campaign, m.contact, m.phone, m.bsuid, c.reason, d.n, d.why, d.due_at, \
     u.tenant, u.message \
     FROM unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     CROSS JOIN LATERAL (SELECT x.campaign, x.contact, x.phone, x.bsuid FROM message x \
         WHERE x.tenant = u.tenant AND x.id = u.message LIMIT 1) m \
     LEFT JOIN LATERAL (SELECT x.reason FROM closed x \
         WHERE x.tenant = u.tenant AND x.message = u.message LIMIT 1) c ON true \
     LEFT JOIN LATERAL (SELECT x.n, x.why, x.due_at FROM due x \
         WHERE x.tenant = u.tenant AND x.message = u.message LIMIT 1) d ON true";

/// What [`attempt`] reads, of an attempt `a` and its result `r`; 33 columns.
pub(super) const ATTEMPT_COLUMNS: &str = "a.n, a.session, a.begun_at, a.end_by, a.recipient, a.tier_slot, \
     a.category, a.price, a.reserve, a.currency, a.price_reason, a.counts_as_service, a.month, a.book, \
     r.not_sent_at, r.rejected_at, r.accepted_at, r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, \
     r.played_at, r.failed_at, r.released_at, r.code, r.class, r.title, r.details, r.provider_id, \
     r.charge, a.fallback, a.warm_up_day, \
     a.incarnation IS DISTINCT FROM (SELECT i.incarnation FROM identity i WHERE i.one = 1)";

/// The order inside is that of the index that is meant; without statistics another one would cost the same.
const ATTEMPTS: &str = "FROM unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     CROSS JOIN LATERAL (SELECT * FROM attempt x \
         WHERE x.tenant = u.tenant AND x.message = u.message ORDER BY x.n OFFSET 0) a \
     LEFT JOIN LATERAL (SELECT * FROM result x \
         WHERE x.tenant = a.tenant AND x.message = a.message AND x.n = a.n LIMIT 1) r ON true \
     ORDER BY a.tenant, a.message, a.n";

const PUT_RESULTS: &str = "INSERT INTO result (tenant, message, n, facts, not_sent_at, rejected_at, \
     accepted_at, in_doubt_at, sent_at, delivered_at, read_at, played_at, failed_at, released_at, \
     code, class, title, details, provider_id, provider_hash, charge) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[], \
     $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], \
     $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::bigint[], \
     $16::text[], $17::text[], $18::text[], $19::text[], $20::bigint[], $21::text[]) \
     ON CONFLICT (tenant, message, n) DO UPDATE SET facts = excluded.facts, \
     not_sent_at = excluded.not_sent_at, rejected_at = excluded.rejected_at, \
     accepted_at = excluded.accepted_at, in_doubt_at = excluded.in_doubt_at, sent_at = excluded.sent_at, \
     delivered_at = excluded.delivered_at, read_at = excluded.read_at, played_at = excluded.played_at, \
     failed_at = excluded.failed_at, released_at = excluded.released_at, code = excluded.code, \
     class = excluded.class, title = excluded.title, details = excluded.details, \
     provider_id = excluded.provider_id, provider_hash = excluded.provider_hash, charge = excluded.charge";

const PUT_DUE: &str = "INSERT INTO due (tenant, message, session, lane, due_at, n, campaign, why) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::bigint[], \
     $7::uuid[], $8::text[]) \
     ON CONFLICT (tenant, message) DO UPDATE SET session = excluded.session, lane = excluded.lane, \
     due_at = excluded.due_at, n = excluded.n, why = excluded.why";
const DELETE_DUE: &str = "DELETE FROM due d USING unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     WHERE d.tenant = u.tenant AND d.message = u.message";
const PUT_CLOSED: &str = "INSERT INTO closed (tenant, message, reason, at) \
     SELECT u.tenant, u.message, u.reason, $4 \
     FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (tenant, message, reason) ON CONFLICT DO NOTHING";

const GIVEN_UP: &str = "SELECT u.tenant, u.message, d.given_up_at \
     FROM unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     CROSS JOIN LATERAL (SELECT x.given_up_at FROM doubt x \
         WHERE x.tenant = u.tenant AND x.message = u.message AND x.given_up_at IS NOT NULL LIMIT 1) d";

/// Where messages without attempts lie: in their campaign's feed, or as singles with their session. A feed
/// that was cancelled says so of what was behind its place.
const PLACES: &str = "SELECT u.tenant, u.message, coalesce(f.session, s.session), \
     coalesce(f.cancelled, false) \
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u (tenant, message, campaign) \
     LEFT JOIN LATERAL (SELECT x.session, x.cancelled_at IS NOT NULL AND x.after_id < u.message AS cancelled \
         FROM feed x WHERE x.tenant = u.tenant AND x.campaign = u.campaign \
         AND x.first_id <= u.message AND x.last_id >= u.message LIMIT 1) f ON true \
     LEFT JOIN LATERAL (SELECT x.session FROM single x \
         WHERE u.campaign IS NULL AND x.tenant = u.tenant AND x.message = u.message LIMIT 1) s ON true";

pub(super) async fn load(
    conn: &mut PgConnection,
    tenant: TenantId,
    message: MessageId,
) -> Fallible<Option<Stored>> {
    Ok(load_all(conn, &[(tenant, message)]).await?.remove(&(tenant, message)))
}

/// Those that are there of these messages, in two statements whatever their number.
pub(super) async fn load_all(
    conn: &mut PgConnection,
    messages: &[(TenantId, MessageId)],
) -> Fallible<HashMap<(TenantId, MessageId), Stored>> {
    let (tenants, ids) = keys(messages);
    let heads = sqlx::query(SELECT_HEADS)
        .bind(&tenants)
        .bind(&ids)
        .try_map(|row| head(&row))
        .fetch_all(&mut *conn)
        .await?;
    let mut found: HashMap<_, _> =
        heads.into_iter().map(|stored| ((stored.tenant, stored.id), stored)).collect();
    if found.is_empty() {
        return Ok(found);
    }
    let sql = format!("SELECT {ATTEMPT_COLUMNS}, a.tenant, a.message {ATTEMPTS}");
    let attempts: Vec<(TenantId, MessageId, Attempt)> = sqlx::query(AssertSqlSafe(sql))
        .bind(tenants)
        .bind(ids)
        .try_map(|row| Ok((id(&row, 33)?, id(&row, 34)?, attempt(&row)?)))
        .fetch_all(conn)
        .await?;
    for (tenant, message, attempt) in attempts {
        if let Some(stored) = found.get_mut(&(tenant, message)) {
            stored.attempts.push(attempt);
        }
    }
    Ok(found)
}

/// The columns of keys, each key once and in order.
fn keys(messages: &[(TenantId, MessageId)]) -> (Vec<Uuid>, Vec<Uuid>) {
    let each: BTreeSet<_> = messages.iter().collect();
    each.into_iter().map(|(tenant, message)| (tenant.as_uuid(), message.as_uuid())).unzip()
}

fn head(row: &PgRow) -> Result<Stored, Error> {
    let due = match (opt_uint(row, 5)?, opt_at(row, 7)?) {
        (Some(n), Some(at)) => Some(Due { n, why: opt_named(row, 6, HoldReason::from_name)?, at }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(undecodable(5)),
    };
    Ok(Stored {
        tenant: id(row, 8)?,
        id: id(row, 9)?,
        campaign: opt_id(row, 0)?,
        contact: opt_id(row, 1)?,
        recipient: recipient(row, 2)?,
        attempts: Vec::new(),
        closed: opt_named(row, 4, SkipReason::from_name)?,
        due,
    })
}

/// Reads the columns of [`ATTEMPT_COLUMNS`], which come first in the row.
pub(super) fn attempt(row: &PgRow) -> Result<Attempt, Error> {
    let money = |index: usize| match get::<Option<i64>>(row, index)? {
        Some(micros) => Ok::<_, Error>(Some(Money { micros, currency: parsed(row, 9)? })),
        None => Ok(None),
    };
    let category = named(row, 6, |name| RateCategory::from_name(name).and_then(RateCategory::sent_as))?;
    let estimate = Estimate {
        amount: money(7)?,
        reserve: money(8)?,
        reason: named(row, 10, PriceReason::from_name)?,
        counts_as_service: get(row, 11)?,
    };
    Ok(Attempt {
        n: uint(row, 0)?,
        session: id(row, 1)?,
        begun_at: at(row, 2)?,
        end_by: at(row, 3)?,
        former: get(row, 32)?,
        recipient: get(row, 4)?,
        tier_slot: get(row, 5)?,
        content: if get(row, 30)? { Chosen::Fallback } else { Chosen::Own },
        warm_up_day: opt_uint(row, 31)?,
        quote: Quote { category, estimate },
        month: parsed(row, 12)?,
        book: get(row, 13)?,
        facts: facts(row, 14)?,
    })
}

/// Where a message lies that has no attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) session: SessionId,
    /// Its feed was cancelled before its turn came. Feeds are cancelled as ranges, without rows for messages.
    cancelled: bool,
}

/// The places of those of these messages that have no attempts.
pub(super) async fn places<'a>(
    conn: &mut PgConnection,
    messages: impl IntoIterator<Item = &'a Stored>,
) -> Fallible<HashMap<(TenantId, MessageId), Place>> {
    let (mut tenants, mut ids, mut campaigns) = (Vec::new(), Vec::new(), Vec::new());
    for stored in messages.into_iter().filter(|stored| stored.attempts.is_empty()) {
        tenants.push(stored.tenant);
        ids.push(stored.id);
        campaigns.push(stored.campaign.map(|campaign| campaign.as_uuid()));
    }
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<((TenantId, MessageId), Option<Place>)> = sqlx::query(PLACES)
        .bind(uuids(tenants))
        .bind(uuids(ids))
        .bind(campaigns)
        .try_map(|row: PgRow| {
            let cancelled = get(&row, 3)?;
            let place = opt_id(&row, 2)?.map(|session| Place { session, cancelled });
            Ok(((id(&row, 0)?, id(&row, 1)?), place))
        })
        .fetch_all(conn)
        .await?;
    let places = found.into_iter().map(|(key, place)| Some((key, place?)));
    places.collect::<Option<_>>().ok_or(Fault::Broken("a message is of no number"))
}

impl Place {
    /// The number whose attempt a message is, or would be.
    pub(super) fn session_of(place: Option<&Self>, stored: &Stored) -> Fallible<SessionId> {
        match (stored.attempts.last(), place) {
            (Some(last), _) => Ok(last.session),
            (None, Some(place)) => Ok(place.session),
            (None, None) => Err(Fault::Broken("a message is of no number")),
        }
    }

    /// Closes a message that has no row of its own, where its feed was cancelled.
    pub(super) fn close(place: Option<&Self>, stored: &mut Stored) {
        if place.is_some_and(|place| place.cancelled) && stored.due.is_none() {
            stored.closed.get_or_insert(SkipReason::Cancelled);
        }
    }
}

/// The message as a report shows it.
pub(super) async fn into_view(
    conn: &mut PgConnection,
    stored: Stored,
    books: &mut Books,
) -> Fallible<MessageView> {
    let view = into_views(conn, vec![stored], books).await?.pop();
    view.ok_or(Fault::Broken("a message has no view"))
}

/// The state of a message, wherever it lies.
pub(super) async fn shown_state(conn: &mut PgConnection, mut stored: Stored) -> Fallible<MessageState> {
    let places = places(conn, [&stored]).await?;
    Place::close(places.get(&(stored.tenant, stored.id)), &mut stored);
    Ok(stored.standing().state)
}

/// Messages as reports show them, in the same order.
pub(super) async fn into_views(
    conn: &mut PgConnection,
    messages: Vec<Stored>,
    books: &mut Books,
) -> Fallible<Vec<MessageView>> {
    let places = places(conn, &messages).await?;
    let given_up = given_up(conn, &messages).await?;
    let mut views = Vec::with_capacity(messages.len());
    for mut stored in messages {
        let place = places.get(&(stored.tenant, stored.id));
        let session = Place::session_of(place, &stored)?;
        Place::close(place, &mut stored);
        let mut sold_by = Vec::with_capacity(stored.attempts.len());
        for attempt in &stored.attempts {
            sold_by.push(books.get(conn, attempt.book).await?);
        }
        let given_up_at = given_up.get(&(stored.tenant, stored.id)).copied();
        views.push(stored.view(session, &sold_by, given_up_at));
    }
    Ok(views)
}

/// Since when those of these messages are given up on that are in doubt for good.
async fn given_up(
    conn: &mut PgConnection,
    messages: &[Stored],
) -> Fallible<HashMap<(TenantId, MessageId), DateTime<Utc>>> {
    let doubtful = messages.iter().filter(|stored| stored.standing().state == MessageState::InDoubt);
    let doubtful: Vec<_> = doubtful.map(|stored| (stored.tenant, stored.id)).collect();
    if doubtful.is_empty() {
        return Ok(HashMap::new());
    }
    let (tenants, ids) = keys(&doubtful);
    let found: Vec<_> = sqlx::query(GIVEN_UP)
        .bind(tenants)
        .bind(ids)
        .try_map(|row: PgRow| Ok(((id(&row, 0)?, id(&row, 1)?), at(&row, 2)?)))
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().collect())
}

/// Whether a message without any row of its own was cancelled with its campaign's feed.
pub(super) async fn is_cancelled_in_feed(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
    message: MessageId,
) -> Fallible<bool> {
    let cancelled = sqlx::query_scalar(
        "SELECT cancelled_at IS NOT NULL AND after_id < $3 FROM feed \
         WHERE tenant = $1 AND campaign = $2 AND first_id <= $3 AND last_id >= $3",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.as_uuid())
    .bind(message.as_uuid())
    .fetch_one(conn)
    .await?;
    Ok(cancelled)
}

/// What a message says, with the placeholders of its campaign; `None` where it has no such content.
pub(super) async fn pattern(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: Option<CampaignId>,
    message: MessageId,
    chosen: Chosen,
) -> Fallible<Option<Content>> {
    let column = match chosen {
        Chosen::Own => "content",
        Chosen::Fallback => "fallback",
    };
    let Some(campaign) = campaign else {
        let sql = format!("SELECT {column} FROM single WHERE tenant = $1 AND message = $2");
        let content = sqlx::query(AssertSqlSafe(sql))
            .bind(tenant.as_uuid())
            .bind(message.as_uuid())
            .try_map(|row| match chosen {
                Chosen::Own => opt_json(&row, 0),
                Chosen::Fallback => Ok(opt_json(&row, 0)?.map(Content::Template)),
            })
            .fetch_optional(conn)
            .await?;
        return Ok(content.flatten());
    };
    let sql = format!("SELECT {column} FROM campaign WHERE tenant = $1 AND id = $2");
    let content = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(campaign.as_uuid())
        .try_map(|row| opt_json::<CampaignContent>(&row, 0))
        .fetch_optional(conn)
        .await?;
    Ok(content.flatten().map(|content| content.pattern().clone()))
}

/// Writes what is known of attempts; each stands in the list once.
pub(super) async fn put_results(
    conn: &mut PgConnection,
    results: &[(TenantId, MessageId, &Attempt)],
) -> Fallible<()> {
    if results.is_empty() {
        return Ok(());
    }
    let facts = || results.iter().map(|(_, _, attempt)| &attempt.facts);
    let failures = || facts().map(|facts| facts.failure.as_ref());
    let mut put = sqlx::query(PUT_RESULTS)
        .bind(uuids(results.iter().map(|(tenant, ..)| *tenant)))
        .bind(uuids(results.iter().map(|(_, message, _)| *message)))
        .bind(results.iter().map(|(_, _, attempt)| i64::from(attempt.n)).collect::<Vec<_>>())
        .bind(facts().map(|facts| i64::from(facts.mask())).collect::<Vec<_>>());
    for fact in Fact::ALL {
        put = put.bind(facts().map(|facts| facts.at(fact).map(ts)).collect::<Vec<_>>());
    }
    let details = |it: &FailureDetails| text(it.as_str()).into_owned();
    let provider_ids: Vec<_> = facts().map(|facts| facts.provider_id.as_deref().map(text)).collect();
    put.bind(failures().map(|it| it.map(|it| it.code)).collect::<Vec<_>>())
        .bind(failures().map(|it| it.map(|it| it.class.as_str())).collect::<Vec<_>>())
        .bind(failures().map(|it| it.map(|it| text(&it.title).into_owned())).collect::<Vec<_>>())
        .bind(failures().map(|it| it.and_then(|it| it.details.as_ref()).map(details)).collect::<Vec<_>>())
        .bind(provider_ids.iter().map(Option::as_deref).collect::<Vec<_>>())
        .bind(provider_ids.iter().map(|id| id.as_deref().map(provider_hash)).collect::<Vec<_>>())
        .bind(facts().map(|facts| facts.charge.map(Charge::key)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// A due row.
#[derive(Debug, Clone, Copy)]
pub(super) struct DueRow {
    pub(super) tenant: TenantId,
    pub(super) message: MessageId,
    pub(super) session: SessionId,
    pub(super) lane: Lane,
    pub(super) due: Due,
    pub(super) campaign: Option<CampaignId>,
}

/// Puts messages where they wait; each stands in the list once.
pub(super) async fn put_due(conn: &mut PgConnection, rows: &[DueRow]) -> Fallible<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(PUT_DUE)
        .bind(uuids(rows.iter().map(|row| row.tenant)))
        .bind(uuids(rows.iter().map(|row| row.message)))
        .bind(uuids(rows.iter().map(|row| row.session)))
        .bind(rows.iter().map(|row| lane_rank(row.lane)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| ts(row.due.at)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i64::from(row.due.n)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.campaign.map(|id| id.as_uuid())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.due.why.map(|why| why.as_str())).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn delete_all_due(
    conn: &mut PgConnection,
    messages: &[(TenantId, MessageId)],
) -> Fallible<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let (tenants, ids) = keys(messages);
    sqlx::query(DELETE_DUE).bind(tenants).bind(ids).execute(conn).await?;
    Ok(())
}

pub(super) async fn delete_due(
    conn: &mut PgConnection,
    tenant: TenantId,
    message: MessageId,
) -> Fallible<()> {
    delete_all_due(conn, &[(tenant, message)]).await
}

/// Takes a message out of where it waits.
pub(super) async fn leave_due(conn: &mut PgConnection, stored: &mut Stored) -> Fallible<()> {
    if stored.due.take().is_some() {
        delete_due(conn, stored.tenant, stored.id).await?;
    }
    Ok(())
}

/// Closes messages, of which each stands in one group; one that is closed already keeps its reason.
pub(super) async fn put_all_closed(
    conn: &mut PgConnection,
    closed: &BTreeMap<(TenantId, MessageId), SkipReason>,
    now: DateTime<Utc>,
) -> Fallible<()> {
    if closed.is_empty() {
        return Ok(());
    }
    sqlx::query(PUT_CLOSED)
        .bind(uuids(closed.keys().map(|(tenant, _)| *tenant)))
        .bind(uuids(closed.keys().map(|(_, message)| *message)))
        .bind(closed.values().map(|reason| reason.as_str()).collect::<Vec<_>>())
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn put_closed(
    conn: &mut PgConnection,
    tenant: TenantId,
    message: MessageId,
    reason: SkipReason,
    now: DateTime<Utc>,
) -> Fallible<()> {
    put_all_closed(conn, &BTreeMap::from([((tenant, message), reason)]), now).await
}

/// Closes a message, unless it is closed already.
pub(super) async fn close(
    conn: &mut PgConnection,
    stored: &mut Stored,
    reason: SkipReason,
    now: DateTime<Utc>,
) -> Fallible<()> {
    put_closed(conn, stored.tenant, stored.id, reason, now).await?;
    stored.closed.get_or_insert(reason);
    Ok(())
}
