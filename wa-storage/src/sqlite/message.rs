//! One message with everything that decides its state: its attempts, its closing, its due row.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wa_core::model::{
    CampaignContent, CampaignId, Charge, Chosen, Content, DeliveryFacts, Estimate, FailureDetails,
    HoldReason, MessageId, MessageState, MessageView, Money, PriceReason, RateCategory, SessionId,
    SkipReason, TenantId, micros,
};
use wa_core::rules::price::Quote;

use super::codec::{
    at, facts, id, named, opt_at, opt_id, opt_json, opt_named, opt_uint, parsed, provider_hash, recipient,
    uint, undecodable,
};
use super::error::Fallible;
use super::prices::Books;
pub(super) use crate::common::message::{Attempt, Due, Stored};

pub(super) const SELECT_HEAD: &str = "SELECT m.campaign, m.contact, m.phone, m.bsuid, c.reason, d.n, d.why, d.due_at \
     FROM message m \
     LEFT JOIN closed c ON c.tenant = m.tenant AND c.message = m.id \
     LEFT JOIN due d ON d.tenant = m.tenant AND d.message = m.id \
     WHERE m.tenant = ?1 AND m.id = ?2";

/// What [`attempt`] reads, of an attempt `a` and its result `r`; 33 columns.
macro_rules! attempt_columns {
    () => {
        "a.n, a.session, a.begun_at, a.end_by, a.recipient, a.tier_slot, a.category, a.price, a.reserve, a.currency, \
         a.price_reason, a.counts_as_service, a.month, a.book, \
         r.not_sent_at, r.rejected_at, r.accepted_at, r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, \
         r.played_at, r.failed_at, r.released_at, r.code, r.class, r.title, r.details, r.provider_id, \
         r.charge, a.fallback, a.warm_up_day, \
         a.incarnation IS NOT (SELECT i.incarnation FROM identity i WHERE i.one = 1)"
    };
}
pub(super) use attempt_columns;

pub(super) const SELECT_ATTEMPTS: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM attempt a \
     LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.tenant = ?1 AND a.message = ?2 ORDER BY a.n"
);

pub(super) const PUT_RESULT: &str = "INSERT INTO result (tenant, message, n, facts, not_sent_at, rejected_at, \
     accepted_at, in_doubt_at, sent_at, delivered_at, read_at, played_at, failed_at, released_at, \
     code, class, title, details, provider_id, provider_hash, charge) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) \
     ON CONFLICT (tenant, message, n) DO UPDATE SET facts = excluded.facts, \
     not_sent_at = excluded.not_sent_at, rejected_at = excluded.rejected_at, \
     accepted_at = excluded.accepted_at, in_doubt_at = excluded.in_doubt_at, sent_at = excluded.sent_at, \
     delivered_at = excluded.delivered_at, read_at = excluded.read_at, played_at = excluded.played_at, \
     failed_at = excluded.failed_at, released_at = excluded.released_at, code = excluded.code, \
     class = excluded.class, title = excluded.title, details = excluded.details, provider_id = excluded.provider_id, \
     provider_hash = excluded.provider_hash, charge = excluded.charge";

pub(super) const PUT_DUE: &str = "INSERT INTO due (tenant, message, session, lane, due_at, n, campaign, why) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
     ON CONFLICT (tenant, message) DO UPDATE SET session = excluded.session, lane = excluded.lane, \
     due_at = excluded.due_at, n = excluded.n, why = excluded.why";
pub(super) const GIVEN_UP: &str = "SELECT given_up_at FROM doubt WHERE tenant = ?1 AND message = ?2";
pub(super) const DELETE_DUE: &str = "DELETE FROM due WHERE tenant = ?1 AND message = ?2";
pub(super) const PUT_CLOSED: &str =
    "INSERT OR IGNORE INTO closed (tenant, message, reason, at) VALUES (?1, ?2, ?3, ?4)";

impl Stored {
    pub(super) fn load(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<Option<Self>> {
        let head = |row: &Row<'_>| {
            let due_at = opt_at(row, 7)?;
            let due = match (opt_uint(row, 5)?, due_at) {
                (Some(n), Some(at)) => Some(Due { n, why: opt_named(row, 6, HoldReason::from_name)?, at }),
                (None, None) => None,
                (Some(_), None) | (None, Some(_)) => return Err(undecodable(5)),
            };
            Ok(Self {
                tenant,
                id: message,
                campaign: opt_id(row, 0)?,
                contact: opt_id(row, 1)?,
                recipient: recipient(row, 2)?,
                attempts: Vec::new(),
                closed: opt_named(row, 4, SkipReason::from_name)?,
                due,
            })
        };
        let key = params![tenant.as_bytes(), message.as_bytes()];
        let Some(mut stored) = conn.prepare_cached(SELECT_HEAD)?.query_row(key, head).optional()? else {
            return Ok(None);
        };
        let mut statement = conn.prepare_cached(SELECT_ATTEMPTS)?;
        let attempts = statement.query_map(params![tenant.as_bytes(), message.as_bytes()], attempt)?;
        stored.attempts = attempts.collect::<rusqlite::Result<_>>()?;
        Ok(Some(stored))
    }

    /// The number whose attempt it is, or would be.
    pub(super) fn session(&self, conn: &Connection) -> Fallible<SessionId> {
        match (self.attempts.last(), self.campaign) {
            (Some(last), _) => Ok(last.session),
            (None, Some(campaign)) => Ok(feed_of(conn, self.tenant, campaign, self.id)?.session),
            (None, None) => session_of_single(conn, self.tenant, self.id),
        }
    }

    /// Closes it where its campaign's feed was cancelled and it has no row of its own.
    pub(super) fn learn_from_feed(&mut self, conn: &Connection) -> Fallible<()> {
        if let Some(campaign) = self.campaign
            && self.attempts.is_empty()
            && self.due.is_none()
            && self.closed.is_none()
            && is_cancelled_in_feed(conn, self.tenant, campaign, self.id)?
        {
            self.closed = Some(SkipReason::Cancelled);
        }
        Ok(())
    }

    /// Closes it, unless it is closed already.
    pub(super) fn close(
        &mut self,
        conn: &Connection,
        reason: SkipReason,
        now: DateTime<Utc>,
    ) -> Fallible<()> {
        put_closed(conn, self.tenant, self.id, reason, now)?;
        self.closed.get_or_insert(reason);
        Ok(())
    }

    pub(super) fn delete_due(&mut self, conn: &Connection) -> Fallible<()> {
        if self.due.take().is_some() {
            delete_due(conn, self.tenant, self.id)?;
        }
        Ok(())
    }

    /// The message as a report shows it; `place` says what its campaign knows of it.
    pub(super) fn into_view(mut self, conn: &Connection, books: &mut Books) -> Fallible<MessageView> {
        let session = match (self.attempts.last(), self.campaign) {
            (Some(last), _) => last.session,
            (None, Some(campaign)) => {
                let feed = feed_of(conn, self.tenant, campaign, self.id)?;
                if feed.cancelled && self.due.is_none() {
                    // A cancelled feed is moved as a range; its messages have no rows of their own.
                    self.closed.get_or_insert(SkipReason::Cancelled);
                }
                feed.session
            }
            (None, None) => session_of_single(conn, self.tenant, self.id)?,
        };
        let books = self.attempts.iter().map(|attempt| books.get(conn, attempt.book));
        let books = books.collect::<Fallible<Vec<_>>>()?;
        let given_up_at = given_up_at(conn, &self)?;
        Ok(self.view(session, &books, given_up_at))
    }
}

/// Since when a message in doubt is given up on.
fn given_up_at(conn: &Connection, stored: &Stored) -> Fallible<Option<DateTime<Utc>>> {
    if stored.standing().state != MessageState::InDoubt {
        return Ok(None);
    }
    let key = params![stored.tenant.as_bytes(), stored.id.as_bytes()];
    let found = conn.prepare_cached(GIVEN_UP)?.query_row(key, |row| opt_at(row, 0)).optional()?;
    Ok(found.flatten())
}

fn session_of_single(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<SessionId> {
    Ok(conn
        .prepare_cached("SELECT session FROM single WHERE tenant = ?1 AND message = ?2")?
        .query_row(params![tenant.as_bytes(), message.as_bytes()], |row| id(row, 0))?)
}

/// What a campaign's feed says of a message that has no row of its own in `attempt` or `due`.
struct FeedPlace {
    session: SessionId,
    cancelled: bool,
}

fn feed_of(
    conn: &Connection,
    tenant: TenantId,
    campaign: CampaignId,
    message: MessageId,
) -> Fallible<FeedPlace> {
    let found = conn
        .prepare_cached(
            "SELECT session, cancelled_at IS NOT NULL AND after_id < ?3 FROM feed \
             WHERE tenant = ?1 AND campaign = ?2 AND first_id <= ?3 AND last_id >= ?3",
        )?
        .query_row(params![tenant.as_bytes(), campaign.as_bytes(), message.as_bytes()], |row| {
            Ok(FeedPlace { session: id(row, 0)?, cancelled: row.get(1)? })
        })?;
    Ok(found)
}

/// Whether a message without any row of its own was cancelled with its campaign's feed.
pub(super) fn is_cancelled_in_feed(
    conn: &Connection,
    tenant: TenantId,
    campaign: CampaignId,
    message: MessageId,
) -> Fallible<bool> {
    Ok(feed_of(conn, tenant, campaign, message)?.cancelled)
}

pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let money = |index: usize| match row.get::<_, Option<i64>>(index)? {
        Some(micros) => Ok::<_, rusqlite::Error>(Some(Money { micros, currency: parsed(row, 9)? })),
        None => Ok(None),
    };
    let category = named(row, 6, |name| RateCategory::from_name(name).and_then(RateCategory::sent_as))?;
    let estimate = Estimate {
        amount: money(7)?,
        reserve: money(8)?,
        reason: named(row, 10, PriceReason::from_name)?,
        counts_as_service: row.get(11)?,
    };
    Ok(Attempt {
        n: uint(row, 0)?,
        session: id(row, 1)?,
        begun_at: at(row, 2)?,
        end_by: at(row, 3)?,
        former: row.get(32)?,
        recipient: row.get(4)?,
        tier_slot: row.get(5)?,
        content: if row.get(30)? { Chosen::Fallback } else { Chosen::Own },
        warm_up_day: row.get(31)?,
        quote: Quote { category, estimate },
        month: parsed(row, 12)?,
        book: row.get(13)?,
        facts: facts(row, 14)?,
    })
}

pub(super) fn put_result(
    conn: &Connection,
    tenant: TenantId,
    message: MessageId,
    n: u16,
    facts: &DeliveryFacts,
) -> Fallible<()> {
    use wa_core::model::Fact::{
        Accepted, Delivered, Failed, InDoubt, NotSent, Played, Read, Rejected, Released, Sent,
    };
    let at = |fact| facts.at(fact).map(micros);
    let failure = facts.failure.as_ref();
    conn.prepare_cached(PUT_RESULT)?.execute(params![
        tenant.as_bytes(),
        message.as_bytes(),
        n,
        facts.mask(),
        at(NotSent),
        at(Rejected),
        at(Accepted),
        at(InDoubt),
        at(Sent),
        at(Delivered),
        at(Read),
        at(Played),
        at(Failed),
        at(Released),
        failure.map(|it| it.code),
        failure.map(|it| it.class.as_str()),
        failure.map(|it| it.title.as_str()),
        failure.and_then(|it| it.details.as_ref()).map(FailureDetails::as_str),
        facts.provider_id,
        facts.provider_id.as_deref().map(provider_hash),
        facts.charge.map(Charge::key),
    ])?;
    Ok(())
}

/// What a message says, with the placeholders of its campaign; `None` where it has no such content.
pub(super) fn pattern(
    conn: &Connection,
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
        let key = params![tenant.as_bytes(), message.as_bytes()];
        let sql = format!("SELECT {column} FROM single WHERE tenant = ?1 AND message = ?2");
        let content = conn.prepare_cached(&sql)?.query_row(key, |row| match chosen {
            Chosen::Own => opt_json(row, 0),
            Chosen::Fallback => Ok(opt_json(row, 0)?.map(Content::Template)),
        });
        return Ok(content.optional()?.flatten());
    };
    let key = params![tenant.as_bytes(), campaign.as_bytes()];
    let sql = format!("SELECT {column} FROM campaign WHERE tenant = ?1 AND id = ?2");
    let content =
        conn.prepare_cached(&sql)?.query_row(key, |row| opt_json::<CampaignContent>(row, 0)).optional()?;
    Ok(content.flatten().map(|content| content.pattern().clone()))
}

pub(super) fn put_closed(
    conn: &Connection,
    tenant: TenantId,
    message: MessageId,
    reason: SkipReason,
    now: DateTime<Utc>,
) -> Fallible<()> {
    conn.prepare_cached(PUT_CLOSED)?.execute(params![
        tenant.as_bytes(),
        message.as_bytes(),
        reason.as_str(),
        micros(now)
    ])?;
    Ok(())
}

pub(super) fn delete_due(conn: &Connection, tenant: TenantId, message: MessageId) -> Fallible<()> {
    conn.prepare_cached(DELETE_DUE)?.execute(params![tenant.as_bytes(), message.as_bytes()])?;
    Ok(())
}
