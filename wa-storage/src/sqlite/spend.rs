//! What was spent: totals, contacts, budgets, trends. A few rows each, never the messages of a tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use wa_core::model::{
    BudgetOf, BudgetUse, CampaignId, Category, ContactId, Content, Currency, MessageId, Recipient, TenantId,
    micros,
};
use wa_core::port::store::{ContactSpend, Cost, CostOf, LastTemplate, TrendPoint, TrendQuery};
use wa_core::rules::cost::{self, CostCounter};
use wa_core::rules::rollup::{self, Count};

use super::audience::contacts;
use super::booked::budget_key;
use super::codec::{at, id, opt_id, parsed, recipient};
use super::error::Fallible;
use super::message::{Attempt, attempt, pattern};
use super::prices::Books;
use super::reports::read_counters;

pub(super) const BETWEEN: &str = "SELECT counter, sum(n) FROM ( \
     SELECT counter, n FROM rollup WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3 \
     UNION ALL SELECT counter, n FROM rollup_delta WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3) \
     GROUP BY counter";
pub(super) const TREND: &str = "SELECT slot, counter, sum(n) FROM ( \
     SELECT slot, counter, n FROM rollup \
     WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3 AND (?4 IS NULL OR session = ?4) \
     UNION ALL SELECT slot, counter, n FROM rollup_delta \
     WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3 AND (?4 IS NULL OR session = ?4)) \
     GROUP BY slot, counter";
/// From the few attempts to a recipient to their messages; without statistics the planner would go through
/// all messages of the tenant.
pub(super) const OF_RECIPIENT: &str = "SELECT a.n, a.session, a.begun_at, a.end_by, a.recipient, a.tier_slot, \
     a.category, a.price, a.reserve, a.currency, a.price_reason, a.counts_as_service, a.month, a.book, \
     r.not_sent_at, r.rejected_at, r.accepted_at, r.in_doubt_at, r.sent_at, r.delivered_at, r.read_at, \
     r.played_at, r.failed_at, r.released_at, r.code, r.class, r.title, r.details, r.provider_id, r.charge, \
     a.fallback, a.warm_up_day, m.id, m.campaign, m.phone, m.bsuid \
     FROM attempt a INDEXED BY attempt_by_recipient CROSS JOIN message m ON m.tenant = a.tenant AND m.id = a.message \
     LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.tenant = ?1 AND a.recipient = ?2";
pub(super) const BUDGET_USE: &str =
    "SELECT currency, committed, open FROM budget_use WHERE tenant = ?1 AND of = ?2";

pub(super) fn cost(conn: &Connection, tenant: TenantId, of: &CostOf) -> Fallible<Cost> {
    let counters = match *of {
        CostOf::Everything => read_counters(conn, tenant, None)?,
        CostOf::Campaign(campaign) => read_counters(conn, tenant, Some(campaign))?,
        CostOf::Between { from, to } => {
            let (from, to) = (micros(rollup::slot(from)), micros(rollup::slot(to)));
            let mut statement = conn.prepare_cached(BETWEEN)?;
            let rows = statement
                .query_map(params![tenant.as_bytes(), from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        }
        CostOf::Contact(contact) => {
            return Ok(of_contact(conn, tenant, contact)?.map(|spend| spend.cost).unwrap_or_default());
        }
        // A part that this version does not know has no attempts.
        _ => Vec::new(),
    };
    Ok(cost::total(counters.into_iter().filter_map(|(key, n)| Some((CostCounter::from_key(&key)?, n)))))
}

/// An attempt to a contact.
struct Sent {
    attempt: Attempt,
    message: MessageId,
    campaign: Option<CampaignId>,
    recipient: Recipient,
}

pub(super) fn of_contact(
    conn: &Connection,
    tenant: TenantId,
    contact: ContactId,
) -> Fallible<Option<ContactSpend>> {
    let Some(contact) = contacts::by_id(conn, tenant, contact)? else { return Ok(None) };
    let phone = contact.recipient.phone().map(Recipient::from);
    let bsuid = contact.recipient.bsuid().cloned().map(Recipient::from);
    let (mut spend, mut books) = (ContactSpend::default(), Books::default());
    let mut last: Option<Sent> = None;
    for key in phone.into_iter().chain(bsuid).map(|recipient| recipient.key()) {
        let mut statement = conn.prepare_cached(OF_RECIPIENT)?;
        let sent = statement.query_map(params![tenant.as_bytes(), key.cast_signed()], |row| {
            Ok(Sent {
                attempt: attempt(row)?,
                message: id(row, 32)?,
                campaign: opt_id(row, 33)?,
                recipient: recipient(row, 34)?,
            })
        })?;
        for sent in sent {
            let sent = sent?;
            let Some(booking) = books.booking(conn, &sent.recipient, &sent.attempt)? else { continue };
            for (counter, n) in cost::counted_in(&booking) {
                cost::apply(&mut spend.cost, &counter, n);
            }
            if sent.attempt.quote.category == Category::Service {
                continue;
            }
            spend.templates += 1;
            let place = |it: &Sent| (it.attempt.begun_at, it.message);
            if last.as_ref().is_none_or(|known| place(known) < place(&sent)) {
                last = Some(sent);
            }
        }
    }
    if let Some(sent) = last
        && let Some(Content::Template(template)) =
            pattern(conn, tenant, sent.campaign, sent.message, sent.attempt.content)?
    {
        let (name, language) = (template.name, template.language);
        spend.last_template = Some(LastTemplate { name, language, at: sent.attempt.begun_at });
    }
    Ok(Some(spend))
}

pub(super) fn budget_use(
    conn: &Connection,
    tenant: TenantId,
    of: BudgetOf,
) -> Fallible<BTreeMap<Currency, BudgetUse>> {
    let mut statement = conn.prepare_cached(BUDGET_USE)?;
    let rows = statement.query_map(params![tenant.as_bytes(), budget_key(of)], |row| {
        Ok((parsed(row, 0)?, BudgetUse { committed: row.get(1)?, open: row.get(2)? }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn trend(conn: &Connection, tenant: TenantId, ask: &TrendQuery) -> Fallible<Vec<TrendPoint>> {
    let TrendQuery { from, to, by, session } = ask;
    let (from, to) = (micros(rollup::slot(*from)), micros(rollup::slot(*to)));
    let session = session.as_ref().map(|id| id.as_bytes().as_slice());
    let mut sums: BTreeMap<DateTime<Utc>, BTreeMap<Count, i64>> = BTreeMap::new();
    let mut statement = conn.prepare_cached(TREND)?;
    let mut rows = statement.query(params![tenant.as_bytes(), from, to, session])?;
    while let Some(row) = rows.next()? {
        let (slot, key, n): (_, String, i64) = (at(row, 0)?, row.get(1)?, row.get(2)?);
        // A counter of a later version is not one of ours.
        if let Some(count) = Count::from_key(&key) {
            *sums.entry(rollup::step(slot, *by)).or_default().entry(count).or_default() += n;
        }
    }
    let points = sums.into_iter().map(|(start, counts)| {
        let mut point = TrendPoint::new(start);
        for (count, n) in counts.into_iter().filter(|(_, n)| *n != 0) {
            rollup::apply(&mut point, &count, n);
        }
        point
    });
    Ok(points.collect())
}
